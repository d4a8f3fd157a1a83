//! Outgoing mail: what `POST …/messages` takes, and the states it goes through.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::content::{Dsn, Invite, ListUnsubscribe, Reference};
use super::follow_up::{self, Mark, Resolution};
use super::report::Bounce;
use super::template::TemplateId;
use super::{AccountId, Address, MessageId, Phase, SentCopy, Timestamp, address::recipients};

/// State of an outgoing message (reliability: each recipient ends in exactly one of sent, failed, unknown).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SendState {
    /// Durable, waiting for its turn.
    Queued,
    /// An invocation is delivering it.
    Sending,
    /// Every recipient's server said 250.
    Sent,
    /// Some were sent, some failed for good.
    Partial,
    /// A temporary failure; tried again at its next attempt.
    Deferred,
    /// Every recipient failed for good.
    Failed,
    /// The message was handed over and the reply was lost; nobody knows.
    Unknown,
    /// Taken back before it was handed over.
    Canceled,
}

/// State of one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecipientState {
    /// Not decided yet.
    Queued,
    /// The server said 250 after the message.
    Sent,
    /// A temporary refusal; tried again.
    Deferred,
    /// Refused for good.
    Failed,
    /// Handed over, reply lost.
    Unknown,
    /// Taken back.
    Canceled,
}

/// What to do when the reply to a handed-over message was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUnknown {
    /// Leave it at `unknown`. The default: never sent twice.
    #[default]
    Hold,
    /// Send it again with the same Message-ID; a recipient may get it twice.
    Retry,
    /// Count it as failed.
    Fail,
}

/// What goes first where not all can go at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Mail that the service's own people wait for. The lane of the account `system`.
    System,
    /// Mail that somebody waits for.
    #[default]
    Transactional,
    /// Mail to many. The lane of a batch.
    Bulk,
}

/// X-Priority and Importance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Priority 1.
    High,
    /// No header.
    Normal,
    /// Priority 5.
    Low,
}

/// A header of the caller's; the same name may have several values, and may repeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// RFC 5322 §2.2 field name.
    pub name: String,
    /// One header line each.
    pub values: Vec<String>,
}

/// How a part is meant to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// A file beside the text.
    #[default]
    Attachment,
    /// Shown inside the HTML, by its content id.
    Inline,
}

/// An attachment as given: one of `content`, `fileId`, `url`, and `message` with `part`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttachmentInput {
    /// Its name; left out: the name at its source, if there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub filename: String,
    /// Its type; left out: what its source, its name's ending or its first bytes say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The bytes, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// A stored file of the tenant, by its SHA-256, instead of `content`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<String>,
    /// Where to fetch it, before anything is sent: https, at most three redirects, nothing unpacked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A stored message of the same account, one of whose attachments it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// Which attachment of `message`: its `part`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// `attachment` or `inline`.
    #[serde(default)]
    pub disposition: Disposition,
    /// The `cid:` by which the HTML names an inline part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_id: Option<String>,
}

/// One message of a mail merge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MergeItem {
    /// Recipients.
    #[serde(deserialize_with = "recipients", skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Address>,
    /// Recipients of a copy.
    #[serde(deserialize_with = "recipients", skip_serializing_if = "Vec::is_empty")]
    pub cc: Vec<Address>,
    /// Recipients that nobody sees.
    #[serde(deserialize_with = "recipients", skip_serializing_if = "Vec::is_empty")]
    pub bcc: Vec<Address>,
    /// Parameters of the template beside those that all messages share, and before them.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    #[schema(value_type = Object)]
    pub params: serde_json::Map<String, serde_json::Value>,
    /// The caller's object; left out: that of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Correlation>,
}

/// When files leave as links, and for how long these lead to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Links {
    /// Largest message in bytes, its files encoded; beyond, the largest files become links. Left out: 20 MB, which most
    /// servers take.
    pub above: u64,
    /// Days that a link lives, 1 to 30. Left out: 7.
    pub days: u32,
}

impl Links {
    /// Longest life of a link in days.
    pub const MOST_DAYS: u32 = 30;
}

impl Default for Links {
    fn default() -> Self {
        Self { above: 20_000_000, days: 7 }
    }
}

/// The caller's own object that a message belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Correlation {
    /// Kind of object.
    pub source: String,
    /// Its id.
    pub id: String,
}

/// A mail to send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SendRequest {
    /// Recipients.
    #[serde(deserialize_with = "recipients", skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Address>,
    /// Recipients of a copy.
    #[serde(deserialize_with = "recipients", skip_serializing_if = "Vec::is_empty")]
    pub cc: Vec<Address>,
    /// Recipients that nobody sees.
    #[serde(deserialize_with = "recipients", skip_serializing_if = "Vec::is_empty")]
    pub bcc: Vec<Address>,
    /// Where answers go.
    #[serde(deserialize_with = "recipients", skip_serializing_if = "Vec::is_empty")]
    pub reply_to: Vec<Address>,
    /// The account's address or one of its identities; left out: the account's.
    #[serde(deserialize_with = "super::address::given_option", skip_serializing_if = "Option::is_none")]
    pub from: Option<Address>,
    /// Subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Plain text body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// HTML body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// A template that gives subject, text and HTML instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateId>,
    /// What the template is rendered with.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    #[schema(value_type = Object)]
    pub params: serde_json::Map<String, serde_json::Value>,
    /// Both bodies as CommonMark with tables, instead of `text` and `html`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub markdown: Option<String>,
    /// A whole message (RFC 5322), as text or base64, instead of everything that makes one. `to`, `cc` and `bcc` then
    /// name who gets it; left out: those whom it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// A stored message that is answered or handed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Message-IDs of what is answered, where it is not stored here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub in_reply_to: Vec<String>,
    /// Message-IDs of the conversation, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// An invitation that goes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite: Option<Invite>,
    /// How readers leave the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_unsubscribe: Option<ListUnsubscribe>,
    /// Who gets the server's reports (RFC 5321 §3.3, MAIL): the account's address or one of its identities; left out:
    /// `from`.
    #[serde(deserialize_with = "super::address::given_option", skip_serializing_if = "Option::is_none")]
    pub envelope_from: Option<Address>,
    /// Wishes about delivery reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dsn: Option<Dsn>,
    /// Only show what would be sent; nothing is sent or stored.
    #[serde(skip_serializing_if = "is_false")]
    pub dry_run: bool,
    /// A message of its own for each of these, instead of one to all; at most 500.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub merge: Vec<MergeItem>,
    /// Files that would make the message too large become links in its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub links: Option<Links>,
    /// Where links lead to: scheme and host that the caller used. No part of what is asked for.
    #[serde(skip)]
    pub origin: Option<String>,
    /// Further headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// Priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Attachments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<AttachmentInput>,
    /// Not before this time, up to a year ahead; left out: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_at: Option<Timestamp>,
    /// What goes first where not all can go at once; left out: `system` for the account of that name, `bulk` in a
    /// batch, else `transactional`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<Lane>,
    /// When the reply to the handed-over message is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_unknown: Option<OnUnknown>,
    /// The caller's object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Correlation>,
    /// A copy in the Sent folder; left out: as the account says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_copy: Option<SentCopy>,
}

impl SendRequest {
    /// Everybody who gets it, each mailbox once, in order.
    pub fn recipients(&self) -> Vec<&Address> {
        let mut seen: Vec<&Address> = Vec::new();
        for address in self.to.iter().chain(&self.cc).chain(&self.bcc) {
            if !seen.iter().any(|earlier| earlier.same_mailbox(&address.address)) {
                seen.push(address);
            }
        }
        seen
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The server's word on one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SmtpReply {
    /// Basic code (RFC 5321 §4.2).
    pub code: u16,
    /// Enhanced code (RFC 3463).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enhanced: Option<String>,
    /// The rest, cut to 200 printable characters.
    pub text: String,
}

/// One recipient's delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Recipient {
    /// Envelope address.
    pub address: String,
    /// Where it stands.
    pub state: RecipientState,
    /// The last reply about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<SmtpReply>,
    /// Our words where no reply came (connection, time-out).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How far the last attempt came that did not end in `sent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// How often it was tried.
    pub attempts: u32,
    /// What came back after the server had taken it: a bounce or a complaint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounce: Option<Bounce>,
}

impl Recipient {
    /// A recipient of a new message.
    pub fn new(address: &str) -> Self {
        let address = address.to_owned();
        Self { address, state: RecipientState::Queued, smtp: None, error: None, phase: None, attempts: 0, bounce: None }
    }
}

/// An outgoing message as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outgoing {
    /// Its id.
    pub id: MessageId,
    /// The account it leaves through.
    pub account: AccountId,
    /// Where it stands.
    pub state: SendState,
    /// The Message-ID header, the same on every attempt.
    pub message_id: String,
    /// Size of the source in bytes.
    pub size: u64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When the server said 250.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// When it is tried next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// Each recipient.
    pub recipients: Vec<Recipient>,
    /// The copy in the Sent folder; none where none is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<follow_up::Copy>,
    /// The mark on the message that it answers or forwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// Where the reply to the handed-over message was lost: what was found out since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
}

/// A message of the outbox list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutboxItem {
    /// How it fares.
    #[serde(flatten)]
    pub outgoing: Outgoing,
    /// The sender.
    pub from: Address,
    /// The subject.
    pub subject: Option<String>,
    /// What goes first.
    pub lane: Lane,
    /// Not before this time.
    pub send_at: Option<Timestamp>,
    /// The caller's object.
    pub correlation: Option<Correlation>,
}
