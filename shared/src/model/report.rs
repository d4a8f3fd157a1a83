//! What mail servers and readers tell about mail that was sent: bounces, delays, complaints.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MessageId, Timestamp};

/// Recipients of one report that a row shows; the source names them all.
pub const LISTED_RECIPIENTS: usize = 20;

/// That a program wrote a message (RFC 3834 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum AutoReply {
    /// As an answer: somebody is away, a ticket was opened, a message could not be delivered.
    Replied,
    /// Of its own accord.
    Generated,
}

/// What a report says in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReportKind {
    /// At least one recipient did not get the message and will not.
    Bounce,
    /// Nobody has got or lost it yet: its server goes on trying. No bounce.
    Delayed,
    /// It arrived, as far as the server can tell.
    Delivered,
    /// Its recipient calls it spam.
    Complaint,
}

/// What happened to one recipient (RFC 3464 §2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Its server has given up.
    Failed,
    /// Its server tries again.
    Delayed,
    /// It is in the mailbox.
    Delivered,
    /// It went on to a server that sends no reports.
    Relayed,
    /// It went on to several addresses.
    Expanded,
    /// The recipient complains (RFC 5965).
    Complained,
}

/// How bad it is, in rising order: what is worse replaces what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum BounceKind {
    /// This message was not delivered; the next one may be: mailbox full, too large, refused by a policy, given up.
    Soft,
    /// The address does not exist or is switched off. It is suppressed from now on.
    Hard,
    /// The recipient calls it spam. The address is suppressed from now on.
    Complaint,
}

/// What came back about one recipient of a message that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bounce {
    /// How bad it is.
    pub kind: BounceKind,
    /// The enhanced code (RFC 3463), or the basic one (RFC 5321 §4.2) where there is no other; of a complaint its
    /// feedback type (RFC 5965 §7.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The server's words, cut to 200 printable characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// When the report arrived.
    pub at: Timestamp,
    /// The message that reports it.
    pub report: MessageId,
}

/// What a report says about one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reported {
    /// Whom the message was sent to, as the report names it; left out where it names nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What happened.
    pub action: Action,
    /// Of a failure and of a complaint: how bad it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<BounceKind>,
    /// As in a recipient's `bounce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// As in a recipient's `bounce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What a received message reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// In a word.
    pub kind: ReportKind,
    /// Message-ID of what it is about, as far as it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The message of ours that it is about. Where this is left out the report has changed nothing: anybody can write
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// The first 20 recipients that it is about.
    pub recipients: Vec<Reported>,
}
