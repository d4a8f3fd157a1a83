//! An outgoing message as stored: the state item.

use serde::{Deserialize, Serialize};

use super::{
    StoreError, Turn,
    bounces::Bounced,
    keys,
    table::{Table, item, row, text_of},
};
use crate::model::follow_up::{Copy, Mark, Resolution};
use crate::model::message::thread_of;
use crate::model::{
    AccountId, Address, Direction, Message, MessageId, SendState, SentCopy, Tenant, Timestamp,
    send::{Correlation, Lane, OnUnknown, OutboxItem, Outgoing, Recipient},
};

/// More recipients than this are an item of their own, so that the three writes of a send stay cheap.
pub const INLINE_RECIPIENTS: usize = 20;

/// Whether the message was handed over: after this nobody can take it back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Commit {
    /// Not yet: a crash costs nothing.
    #[default]
    None,
    /// The final dot may have left: a crash leaves it in doubt.
    Committing,
}

/// Where the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyPlace {
    /// In an item beside the state.
    Item,
    /// In S3.
    Object,
}

/// A message to send, before its first write.
#[derive(Clone, Debug, PartialEq)]
pub struct NewOutgoing {
    /// [`super::keys::idempotent_id`] or [`super::keys::random_id`].
    pub id: MessageId,
    /// The account it leaves through.
    pub account: AccountId,
    /// SHA-256 of account, route and canonical body, hex.
    pub fingerprint: String,
    /// What [`super::Outbox::put_body`] said.
    pub body: BodyPlace,
    /// Its name, where the fingerprint is not.
    pub body_name: Option<String>,
    /// The Message-ID header, with its angle brackets.
    pub message_id: String,
    /// The sender.
    pub from: Address,
    /// The subject.
    pub subject: Option<String>,
    /// The recipients, all queued.
    pub recipients: Vec<Recipient>,
    /// What to do when the reply to the handed-over message is lost.
    pub on_unknown: OnUnknown,
    /// The caller's object.
    pub correlation: Option<Correlation>,
    /// A copy in the Sent folder, where this message says otherwise than its account.
    pub sent_copy: Option<SentCopy>,
    /// The mark to set on the message that it answers or forwards.
    pub mark: Option<Mark>,
    /// [`thread_of`] the first message of the conversation; none: this one is it.
    pub thread: Option<String>,
    /// Size of the source in bytes; 0 where it is not composed yet.
    pub size: u64,
    /// It brings files.
    pub has_attachments: bool,
    /// It is tried once: what cannot be handed over then has failed.
    pub once: bool,
    /// What goes first.
    pub lane: Lane,
    /// Not before this time.
    pub send_at: Option<Timestamp>,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// An outgoing message's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutgoingRow {
    /// Its id.
    pub id: MessageId,
    /// The account it leaves through.
    pub account: AccountId,
    /// Where it stands.
    pub state: SendState,
    /// Whether it was handed over; only while `state` is sending.
    #[serde(default, skip_serializing_if = "is_default")]
    pub phase: Commit,
    /// Counts the claims.
    pub fence: u64,
    /// Random name of the last claim (or of the insertion): what it writes is conditional on this.
    pub attempt: String,
    /// While it is queued or deferred: when it is tried. While it is being sent: when the claim ends.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "millis")]
    pub due: Option<Timestamp>,
    /// SHA-256 of account, route and canonical body, hex.
    pub fingerprint: String,
    /// Where the body is.
    pub body: BodyPlace,
    /// The Message-ID header.
    pub message_id: String,
    /// The sender.
    pub from: Address,
    /// The subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Each recipient. Stored here up to [`INLINE_RECIPIENTS`], in an item of their own beyond.
    #[serde(default)]
    pub recipients: Vec<Recipient>,
    /// The item that holds the recipients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recipients_in: Option<String>,
    /// What to do when the reply to the handed-over message is lost.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_unknown: OnUnknown,
    /// The caller's object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Correlation>,
    /// Name of the conversation; none: it begins with this message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// It is tried once: its caller cannot be told "later", so what is not handed over then has failed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub once: bool,
    /// A copy in the Sent folder, where this message says otherwise than its account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_copy: Option<SentCopy>,
    /// What goes first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lane: Lane,
    /// Not before this time; also its Date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_at: Option<Timestamp>,
    /// When somebody asked for another try of what had ended: it expires from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revived_at: Option<Timestamp>,
    /// While it is in the queue: when its turn came. `due` is when it is handed on again then, should it get lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Timestamp>,
    /// Names the body where the fingerprint does not: since it was edited, or because more stands in it than was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_name: Option<String>,
    /// Delivery attempts so far.
    pub attempts: u32,
    /// Size of the source in bytes.
    pub size: u64,
    /// It brings files.
    #[serde(default, skip_serializing_if = "is_default")]
    pub has_attachments: bool,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When the server said 250.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// Something is left to do at the mailbox: how often it was tried. While this is here, the message is not for
    /// sending, whatever its state, and `due` says when it is for this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_up: Option<u32>,
    /// What was done and is to be done at the mailbox.
    #[serde(default, skip_serializing_if = "is_default")]
    pub after: After,
    /// What came back about recipients after it had left, at most [`super::NOTED_BOUNCES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bounces: Vec<Bounced>,
    /// How often `bounces` was replaced.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bounced: u32,
}

/// What follows on a message at the account's own mailbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct After {
    /// The copy in the Sent folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<Copy>,
    /// The mark on the message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// The doubt whether it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
}

/// How an attempt ended: what to write.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Anything but sending.
    pub state: SendState,
    /// When to try again, or when what follows is due; only for queued and deferred, and with `follow_up`.
    pub due: Option<Timestamp>,
    /// Each recipient, in the order of the row.
    pub recipients: Vec<Recipient>,
    /// Delivery attempts so far.
    pub attempts: u32,
    /// Size of the source in bytes.
    pub size: u64,
    /// When the server said 250.
    pub sent_at: Option<Timestamp>,
    /// Something is left to do at the mailbox: how often it was tried.
    pub follow_up: Option<u32>,
    /// What was done and is to be done there.
    pub after: After,
}

impl OutgoingRow {
    /// The row of a new message.
    pub(super) fn new(new: NewOutgoing, attempt: String) -> Self {
        Self {
            id: new.id,
            account: new.account,
            state: SendState::Queued,
            phase: Commit::None,
            fence: 0,
            attempt,
            due: None,
            fingerprint: new.fingerprint,
            body: new.body,
            message_id: new.message_id,
            from: new.from,
            subject: new.subject,
            recipients: new.recipients,
            recipients_in: None,
            on_unknown: new.on_unknown,
            correlation: new.correlation,
            thread: new.thread,
            once: new.once,
            sent_copy: new.sent_copy,
            lane: new.lane,
            send_at: new.send_at,
            revived_at: None,
            turn: None,
            body_name: new.body_name,
            attempts: 0,
            size: new.size,
            has_attachments: new.has_attachments,
            created_at: new.created_at,
            sent_at: None,
            follow_up: None,
            after: After { mark: new.mark, ..After::default() },
            bounces: Vec::new(),
            bounced: 0,
        }
    }

    /// Nothing will happen to it any more.
    pub fn is_final(&self) -> bool {
        !matches!(self.state, SendState::Queued | SendState::Deferred | SendState::Sending)
    }

    /// Lets it wait for its turn.
    pub fn wait(&mut self, turn: Turn) {
        self.state = SendState::Queued;
        (self.due, self.turn) = match turn {
            Turn::At(at) => (Some(at), None),
            Turn::Handed { at, again } => (Some(again), Some(at)),
        };
    }

    /// Its Date, the same at every attempt.
    pub fn date(&self) -> Timestamp {
        self.send_at.map_or(self.created_at, |at| at.max(self.created_at))
    }

    /// Since when it could have been sent: it expires by that.
    pub fn waiting_since(&self) -> Timestamp {
        self.revived_at.map_or(self.date(), |at| at.max(self.date()))
    }

    /// What names its body.
    pub(super) fn body_name(&self) -> &str {
        self.body_name.as_deref().unwrap_or(&self.fingerprint)
    }

    /// Whether the outbox lists it.
    pub(super) fn is_listed(&self) -> bool {
        !self.is_final() || self.state == SendState::Unknown
    }

    /// As the outbox lists it.
    pub fn item(&self) -> OutboxItem {
        OutboxItem {
            outgoing: self.outgoing(),
            from: self.from.clone(),
            subject: self.subject.clone(),
            lane: self.lane,
            send_at: self.send_at,
            correlation: self.correlation.clone(),
        }
    }

    /// As one is shown.
    pub fn outgoing(&self) -> Outgoing {
        Outgoing {
            id: self.id.clone(),
            account: self.account.clone(),
            state: self.state,
            message_id: self.message_id.clone(),
            size: self.size,
            created_at: self.created_at,
            sent_at: self.sent_at,
            next_attempt_at: self
                .turn
                .or(self.due)
                .filter(|_| matches!(self.state, SendState::Queued | SendState::Deferred)),
            recipients: self.delivery(),
            copy: self.after.copy.clone(),
            mark: self.after.mark.clone(),
            resolution: self.after.resolution.clone(),
        }
    }

    /// Each recipient, with what came back about it.
    fn delivery(&self) -> Vec<Recipient> {
        let bounce =
            |address: &str| self.bounces.iter().find(|one| one.address == address).map(|one| one.bounce.clone());
        let with_bounce = |one: &Recipient| Recipient { bounce: bounce(&one.address), ..one.clone() };
        self.recipients.iter().map(with_bounce).collect()
    }

    /// As lists of messages show it. What only the body knows (Cc, preview, which files) is left empty: reading one
    /// message fills it in from there.
    pub fn message(&self) -> Message {
        Message {
            id: self.id.clone(),
            account: self.account.clone(),
            direction: Direction::Outgoing,
            folder: None,
            subject: self.subject.clone(),
            from: Some(self.from.clone()),
            many_from: false,
            to: self.recipients.iter().map(|recipient| Address::bare(recipient.address.clone())).collect(),
            cc: Vec::new(),
            reply_to: Vec::new(),
            date: Some(self.created_at),
            received_at: self.created_at,
            size: self.size,
            flags: Vec::new(),
            message_id: Some(self.message_id.clone()),
            in_reply_to: None,
            thread_id: self.thread.clone().unwrap_or_else(|| thread_of(&self.message_id)),
            preview: String::new(),
            text_sizes: None,
            has_attachments: self.has_attachments,
            attachments: Vec::new(),
            sha256: None,
            email_id: None,
            state: state_name(self.state).to_owned(),
            correlation: self.correlation.clone(),
            deleted_at: None,
            delivery: Some(self.delivery()),
            auto_reply: None,
            report: None,
        }
    }
}

/// The recipients of a message with many of them.
#[derive(Serialize, Deserialize)]
struct Many {
    list: Vec<Recipient>,
}

/// Writes recipients that are too many for the state item, before it. Every claim writes under names of its own, so
/// that the state item always leads to what was written with it. The answer is what the state item is to hold.
pub(super) async fn put_recipients(
    table: &Table,
    tenant: &Tenant,
    id: &MessageId,
    name: String,
    list: &[Recipient],
) -> Result<(Vec<Recipient>, Option<String>), StoreError> {
    if list.len() <= INLINE_RECIPIENTS {
        return Ok((list.to_vec(), None));
    }
    let many = item(&keys::recipients(tenant, id, &name), &Many { list: list.to_vec() })?;
    table.put(many, None, Vec::new()).await?;
    Ok((Vec::new(), Some(name)))
}

/// Reads the recipients of those rows whose items do not hold them.
pub(super) async fn complete<'a>(
    table: &Table,
    tenant: &Tenant,
    rows: impl Iterator<Item = &'a mut OutgoingRow>,
) -> Result<(), StoreError> {
    let mut rows: Vec<&mut OutgoingRow> = rows.filter(|row| row.recipients_in.is_some()).collect();
    let key = |row: &OutgoingRow| row.recipients_in.as_ref().map(|name| keys::recipients(tenant, &row.id, name));
    let keys: Vec<keys::Key> = rows.iter().filter_map(|row| key(row)).collect();
    for found in table.batch_get(&keys, None).await? {
        let place = (text_of(&found, "pk").map(str::to_owned), text_of(&found, "sk").map(str::to_owned));
        let many: Many = row(found)?;
        let owner = rows.iter_mut().find(|row| {
            key(row).is_some_and(|key| place.0.as_deref() == Some(key.pk()) && place.1.as_deref() == Some(key.sk()))
        });
        if let Some(owner) = owner {
            owner.recipients = many.list;
        }
    }
    match rows.iter().find(|row| row.recipients.is_empty()) {
        Some(row) => Err(StoreError::Corrupt { key: format!("recipients of message {}", row.id) }),
        None => Ok(()),
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Times that an index sorts by: a number, milliseconds since 1970.
mod millis {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::model::Timestamp;

    pub(super) fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(|at| at.0).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(deserializer)?.map(Timestamp))
    }
}

/// A state as it is stored and shown.
pub(super) fn state_name(state: SendState) -> &'static str {
    match state {
        SendState::Queued => "queued",
        SendState::Sending => "sending",
        SendState::Sent => "sent",
        SendState::Partial => "partial",
        SendState::Deferred => "deferred",
        SendState::Failed => "failed",
        SendState::Unknown => "unknown",
        SendState::Canceled => "canceled",
    }
}
