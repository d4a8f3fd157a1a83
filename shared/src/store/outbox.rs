//! Messages on their way out. Three writes per send: claim, commit, result; each is conditional on the claim.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    StoreError,
    files::Files,
    keys,
    outgoing::{self, BodyPlace, Commit, NewOutgoing, Outcome, OutgoingRow, state_name},
    random,
    table::{Item, Table, Values, Write, item, number, primary, row, text, text_of, value},
};
use crate::model::{
    Direction, MessageId, SendState, Tenant, Timestamp,
    send::{Recipient, SendRequest},
};

/// Bodies up to this size are items: a write unit per KB is cheaper than a PUT of S3 up to 4 KB, and an item is read
/// together with the state for a quarter of a GET up to 8 KB.
const ITEM_BODY_BYTES: usize = 8 << 10;

/// More than any body has: requests are bounded far below it.
const MOST_BODY_BYTES: usize = 1 << 30;

/// When a message that waits has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Then; the scheduler hands it on.
    At(Timestamp),
    /// Then, and it is handed on already: should it get lost, the scheduler hands it on once more at `again`.
    Handed {
        /// When its turn comes.
        at: Timestamp,
        /// Whoever is handed it on shows this to take it.
        again: Timestamp,
    },
}

/// How a new message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Queued.
    Queued(Turn),
    /// Queued, without a turn: it waits until somebody pushes it.
    Held,
    /// Sent by this very invocation, which owns it until then.
    Sending(Timestamp),
}

/// What came of claiming an id.
#[derive(Clone, Debug, PartialEq)]
pub enum Claimed {
    /// It is ours, and durable.
    Ours(OutgoingRow),
    /// Somebody was first: the row that is there. Compare the fingerprint.
    Exists(OutgoingRow),
}

/// What came of taking a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Taken {
    /// It is ours to send, and nothing was handed over.
    Ours(OutgoingRow),
    /// It is ours to settle: an earlier claim handed it over and ended without a result. Nobody knows whether the
    /// server took it. Finish it by its `on_unknown`; until then it stays in doubt, whatever happens to us.
    InDoubt(OutgoingRow),
    /// Somebody is sending it.
    Busy(OutgoingRow),
    /// Its time has not come.
    NotDue(OutgoingRow),
    /// It is at its end.
    Done(OutgoingRow),
    /// There is no such message.
    Missing,
}

/// Outgoing messages, by tenant and id.
#[derive(Clone, Debug)]
pub struct Outbox {
    pub(super) table: Table,
    files: Files,
}

impl Outbox {
    pub(super) fn new(table: Table, files: Files) -> Self {
        Self { table, files }
    }

    /// Writes the body, before [`Outbox::insert`]. Writing it again is harmless.
    pub async fn put_body(
        &self,
        tenant: &Tenant,
        id: &MessageId,
        fingerprint: &str,
        request: &SendRequest,
    ) -> Result<BodyPlace, StoreError> {
        let json =
            serde_json::to_vec(request).map_err(|_| StoreError::Corrupt { key: format!("body of message {id}") })?;
        if json.len() > ITEM_BODY_BYTES {
            self.files.put_body(tenant, id, fingerprint, json.into()).await?;
            return Ok(BodyPlace::Object);
        }
        let mut body = primary(&keys::body(tenant, id, fingerprint));
        body.insert("json".to_owned(), AttributeValue::B(json.into()));
        self.table.put(body, None, Vec::new()).await?;
        Ok(BodyPlace::Item)
    }

    /// The body of a message.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where it is not there.
    pub async fn body(&self, tenant: &Tenant, row: &OutgoingRow) -> Result<SendRequest, StoreError> {
        let whole = self.body_within(tenant, row, MOST_BODY_BYTES).await?;
        whole.ok_or_else(|| StoreError::Corrupt { key: keys::body(tenant, &row.id, row.body_name()).to_string() })
    }

    /// The body of a message; none where it has more than `most` bytes.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where it is not there.
    pub async fn body_within(
        &self,
        tenant: &Tenant,
        row: &OutgoingRow,
        most: usize,
    ) -> Result<Option<SendRequest>, StoreError> {
        let key = keys::body(tenant, &row.id, row.body_name());
        let json = match row.body {
            BodyPlace::Object => self.files.get_body(tenant, &row.id, row.body_name(), most).await?.to_vec(),
            BodyPlace::Item => match self.table.get(&key).await?.as_mut().and_then(|item| item.remove("json")) {
                Some(AttributeValue::B(json)) => json.into_inner(),
                _ => return Err(StoreError::Missing { what: "the body of the message" }),
            },
        };
        if json.len() > most {
            return Ok(None);
        }
        serde_json::from_slice(&json).map(Some).map_err(|_| StoreError::Corrupt { key: key.to_string() })
    }

    /// Claims the id: the one conditional write that makes a message durable.
    pub async fn insert(&self, tenant: &Tenant, new: NewOutgoing, claim: Claim) -> Result<Claimed, StoreError> {
        let mut row = OutgoingRow::new(new, random::hex(8));
        match claim {
            Claim::Queued(turn) => row.wait(turn),
            Claim::Held => row.state = SendState::Queued,
            Claim::Sending(until) => (row.state, row.fence, row.due) = (SendState::Sending, 1, Some(until)),
        }
        let written = self.recipients(tenant, &row, "", &row.recipients).await?;
        let all = std::mem::replace(&mut row.recipients, written.0);
        row.recipients_in = written.1;
        let mut item = self.item(tenant, &row)?;
        if row.state == SendState::Sending {
            // It enters the list should it have to wait; most never do.
            item.retain(|name, _| name != "opk" && name != "osk");
        }
        row.recipients = all;
        match self.table.put(item, Some("attribute_not_exists(#pk)"), Vec::new()).await? {
            Write::Done(_) => Ok(Claimed::Ours(row)),
            // The answer got lost and the SDK asked again: it is our own row that is there.
            Write::Refused(Some(old)) if is_attempt(&old, &row.attempt) => Ok(Claimed::Ours(row)),
            Write::Refused(Some(old)) => Ok(Claimed::Exists(self.read(tenant, old).await?)),
            Write::Refused(None) => Err(StoreError::busy("PutItem")),
        }
    }

    /// One message's state. Strongly consistent.
    pub async fn get(&self, tenant: &Tenant, id: &MessageId) -> Result<Option<OutgoingRow>, StoreError> {
        match self.table.get(&keys::message(tenant, id)).await? {
            Some(item) if item.contains_key("fence") => Ok(Some(self.read(tenant, item).await?)),
            _ => Ok(None),
        }
    }

    /// Claims a message that is due, or whose claim ran over, for `lease_seconds` from `now`. One that was handed on
    /// can be taken by whoever shows its `again` ([`Turn::Handed`]).
    pub async fn take(
        &self,
        tenant: &Tenant,
        id: &MessageId,
        handed: Option<Timestamp>,
        now: Timestamp,
        lease_seconds: u32,
    ) -> Result<Taken, StoreError> {
        let attempt = random::hex(8);
        let update = "SET #state = :sending, #attempt = :attempt, #fence = #fence + :one, #due = :until REMOVE #turn";
        let values = vec![
            (":sending", text(state_name(SendState::Sending))),
            (":attempt", text(&attempt)),
            (":one", number(1)),
            (":until", number(now.plus_seconds(lease_seconds.into()).0)),
            (":now", number(now.0)),
            (":handed", number(handed.unwrap_or(now).0)),
        ];
        // Only what waits or is being sent has a due time; of what is being sent it is the end of the claim. What has
        // left and waits for something else is not for sending ([`Outbox::take_follow_up`]).
        let ripe = "(#due <= :now OR (#due = :handed AND #state <> :sending)) AND attribute_not_exists(#followUp)";
        let taken = match self.table.update(&keys::message(tenant, id), update, Some(ripe), values).await? {
            Write::Done(item) => item,
            // The answer got lost and the SDK asked again: it is ourselves who took it.
            Write::Refused(Some(old)) if is_attempt(&old, &attempt) => old,
            Write::Refused(Some(old)) if old.contains_key("fence") => {
                let row = self.read(tenant, old).await?;
                return Ok(match row.state {
                    _ if row.follow_up.is_some() => Taken::Done(row),
                    SendState::Sending => Taken::Busy(row),
                    SendState::Queued | SendState::Deferred => Taken::NotDue(row),
                    _ => Taken::Done(row),
                });
            }
            Write::Refused(_) => return Ok(Taken::Missing),
        };
        let row = self.read(tenant, taken).await?;
        Ok(if row.phase == Commit::Committing { Taken::InDoubt(row) } else { Taken::Ours(row) })
    }

    /// Holds a claim longer, while nothing is handed over. False: there is nothing to hold any more, because it was
    /// committed, finished or taken by somebody else.
    pub async fn hold(&self, tenant: &Tenant, row: &OutgoingRow, until: Timestamp) -> Result<bool, StoreError> {
        let values = vec![
            (":until", number(until.0)),
            (":attempt", text(&row.attempt)),
            (":sending", text(state_name(SendState::Sending))),
        ];
        let claimed = "#attempt = :attempt AND #state = :sending AND attribute_not_exists(#phase)";
        let done =
            self.table.update(&keys::message(tenant, &row.id), "SET #due = :until", Some(claimed), values).await?;
        Ok(matches!(done, Write::Done(_)))
    }

    /// The last durable write before the final dot: from now on a crash leaves the message in doubt. Notes what the
    /// server said about each recipient, and holds the claim at least until then. Whoever was accepted in this very
    /// transaction must stand as queued: that is who is in doubt after a crash.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: the claim was lost; do not send the dot.
    pub async fn commit(
        &self,
        tenant: &Tenant,
        row: &mut OutgoingRow,
        recipients: &[Recipient],
        until: Timestamp,
    ) -> Result<(), StoreError> {
        // An end that stays costs no write to the due index.
        let until = row.due.map_or(until, |due| due.max(until));
        let mut update = "SET #phase = :committing, #due = :until".to_owned();
        let mut values = vec![(":committing", value(&Commit::Committing)?), (":until", number(until.0))];
        if recipients != row.recipients {
            let written = self.recipients(tenant, row, "-c", recipients).await?;
            update.push_str(&set_recipients(written, &mut values)?);
        }
        let done = self.update_claimed(tenant, row, &update, values).await?;
        // Repeated by the SDK it holds again, so there is no lost answer to recognise.
        if let Write::Refused(_) = done {
            return Err(CONFLICT);
        }
        row.phase = Commit::Committing;
        row.due = Some(until);
        row.recipients = recipients.to_vec();
        Ok(())
    }

    /// Writes how the attempt ended, and gives the claim back.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: the claim was lost; nothing was written.
    pub async fn finish(
        &self,
        tenant: &Tenant,
        row: &OutgoingRow,
        outcome: Outcome,
    ) -> Result<OutgoingRow, StoreError> {
        let is_listed = matches!(outcome.state, SendState::Queued | SendState::Deferred | SendState::Unknown);
        let waits = matches!(outcome.state, SendState::Queued | SendState::Deferred) || outcome.follow_up.is_some();
        // Without a time of its own it is tried when the claim would have ended: never lost from the index.
        let due = outcome.due.or(row.due).filter(|_| waits);
        let mut update = "SET #state = :state, #attempts = :attempts, #size = :size".to_owned();
        let mut values = vec![
            (":state", text(state_name(outcome.state))),
            (":attempts", number(outcome.attempts)),
            (":size", number(outcome.size)),
        ];
        if let Some(sent_at) = outcome.sent_at {
            update.push_str(", #sentAt = :sent");
            values.push((":sent", value(&sent_at)?));
        }
        if let Some(due) = due {
            update.push_str(", #due = :due");
            values.push((":due", number(due.0)));
        }
        if let Some(tries) = outcome.follow_up {
            update.push_str(", #followUp = :tries");
            values.push((":tries", number(tries)));
        }
        if outcome.after != row.after {
            update.push_str(", #after = :after");
            values.push((":after", value(&outcome.after)?));
        }
        let written = self.recipients(tenant, row, "-f", &outcome.recipients).await?;
        update.push_str(&set_recipients(written, &mut values)?);
        if is_listed {
            update.push_str(", #opk = :opk, #osk = :osk");
            values.push((":opk", text(keys::outbox(tenant))));
            values.push((":osk", text(keys::in_outbox(&row.account, row.created_at, &row.id))));
        }
        update.push_str(" REMOVE #phase");
        update.push_str(if waits { "" } else { ", #due, #duesh" });
        update.push_str(if is_listed { "" } else { ", #opk, #osk" });
        let item = match self.update_claimed(tenant, row, &update, values).await? {
            Write::Done(item) => item,
            // The answer got lost and the SDK asked again: it is our own result that is there.
            Write::Refused(Some(old))
                if is_attempt(&old, &row.attempt) && text_of(&old, "state") == Some(state_name(outcome.state)) =>
            {
                old
            }
            Write::Refused(_) => return Err(CONFLICT),
        };
        self.read(tenant, item).await
    }

    /// A row as an item, with the places in the indexes that belong to its state.
    pub(super) fn item(&self, tenant: &Tenant, row: &OutgoingRow) -> Result<Item, StoreError> {
        let mut item = item(&keys::message(tenant, &row.id), row)?;
        item.extend(keys::by_time(tenant, &row.account, row.created_at, &row.id, Direction::Outgoing));
        if row.due.is_some() {
            item.insert("duesh".to_owned(), text(keys::due(&row.id, row.lane)));
        }
        if row.is_listed() {
            item.insert("opk".to_owned(), text(keys::outbox(tenant)));
            item.insert("osk".to_owned(), text(keys::in_outbox(&row.account, row.created_at, &row.id)));
        }
        Ok(item)
    }

    async fn update_claimed(
        &self,
        tenant: &Tenant,
        row: &OutgoingRow,
        update: &str,
        mut values: Values<'_>,
    ) -> Result<Write, StoreError> {
        values.push((":attempt", text(&row.attempt)));
        values.push((":sending", text(state_name(SendState::Sending))));
        let claimed = "#attempt = :attempt AND #state = :sending";
        self.table.update(&keys::message(tenant, &row.id), update, Some(claimed), values).await
    }

    pub(super) async fn recipients(
        &self,
        tenant: &Tenant,
        row: &OutgoingRow,
        step: &str,
        list: &[Recipient],
    ) -> Result<(Vec<Recipient>, Option<String>), StoreError> {
        outgoing::put_recipients(&self.table, tenant, &row.id, format!("{}{step}", row.attempt), list).await
    }

    pub(super) async fn read(&self, tenant: &Tenant, item: Item) -> Result<OutgoingRow, StoreError> {
        let mut row: OutgoingRow = row(item)?;
        outgoing::complete(&self.table, tenant, [&mut row].into_iter()).await?;
        Ok(row)
    }
}

pub(super) const CONFLICT: StoreError = StoreError::Conflict { what: "the message" };

pub(super) fn is_attempt(item: &Item, attempt: &str) -> bool {
    text_of(item, "attempt") == Some(attempt)
}

/// The part of an update that puts recipients (and where the others are) into the state item.
pub(super) fn set_recipients(
    (list, elsewhere): (Vec<Recipient>, Option<String>),
    values: &mut Values<'_>,
) -> Result<String, StoreError> {
    values.push((":recipients", value(&list)?));
    Ok(match elsewhere {
        Some(name) => {
            values.push((":elsewhere", text(name)));
            ", #recipients = :recipients, #recipientsIn = :elsewhere".to_owned()
        }
        None => ", #recipients = :recipients".to_owned(),
    })
}
