//! Stored mail as the API shows it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    AccountId, Address, MessageId, Timestamp,
    report::{AutoReply, Report},
    send::{Correlation, Disposition, Recipient},
};

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Pulled from the mailbox.
    Incoming,
    /// Sent through the account.
    Outgoing,
}

/// An attachment of a stored message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// Number of the part, for `…/attachments/{part}`.
    pub part: u32,
    /// Cleaned file name.
    pub filename: Option<String>,
    /// Its type.
    pub content_type: String,
    /// Decoded size in bytes.
    pub size: u64,
    /// SHA-256 of the decoded bytes, lower-case hex.
    pub file_id: String,
    /// `attachment` or `inline`.
    pub disposition: Disposition,
    /// Content-ID without its brackets.
    pub content_id: Option<String>,
    /// False where the name's ending is one that runs code when opened.
    pub safe: bool,
}

/// How long the texts of a message are as they are encoded; 0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TextSizes {
    /// The plain text.
    #[serde(skip_serializing_if = "is_none")]
    pub plain: u64,
    /// The HTML.
    #[serde(skip_serializing_if = "is_none")]
    pub html: u64,
}

// serde asks for a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_none(bytes: &u64) -> bool {
    *bytes == 0
}

/// Name of a conversation: it follows from the Message-ID of its first message, which every answer refers to
/// (RFC 5322 §3.6.4).
pub fn thread_of(first: &str) -> String {
    MessageId::derived(&["thread", first]).to_string()
}

/// A stored message as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The account it belongs to.
    pub account: AccountId,
    /// Which way it went.
    pub direction: Direction,
    /// The folder it is in at its server; none for outgoing mail.
    pub folder: Option<String>,
    /// Subject, at most 998 characters.
    pub subject: Option<String>,
    /// The (first) From.
    pub from: Option<Address>,
    /// From names more than one author (RFC 5322 §3.6.2): readers differ in whom they show. Left out where it does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub many_from: bool,
    /// To.
    pub to: Vec<Address>,
    /// Cc.
    pub cc: Vec<Address>,
    /// Reply-To.
    pub reply_to: Vec<Address>,
    /// The Date header.
    pub date: Option<Timestamp>,
    /// When the server received it (IMAP INTERNALDATE), else when it was stored or accepted here.
    pub received_at: Timestamp,
    /// Size of the source in bytes.
    pub size: u64,
    /// IMAP flags, as the last pull found them.
    pub flags: Vec<String>,
    /// Message-ID with its angle brackets.
    pub message_id: Option<String>,
    /// In-Reply-To.
    pub in_reply_to: Option<String>,
    /// Same for all messages of one conversation.
    pub thread_id: String,
    /// The first 200 characters of the text.
    pub preview: String,
    /// Bytes of its texts as they came; left out where they are not known, or it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_sizes: Option<TextSizes>,
    /// Whether there are attachments.
    pub has_attachments: bool,
    /// The attachments.
    pub attachments: Vec<Attachment>,
    /// SHA-256 of the source, lower-case hex.
    pub sha256: Option<String>,
    /// The server's own name of the message, the same in whatever folder (IMAP EMAILID, RFC 8474 §5.1), where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_id: Option<String>,
    /// `received`, `quarantined`, `tooLarge`, `stalled`; an outgoing message's delivery state.
    pub state: String,
    /// The caller's object, for outgoing mail.
    pub correlation: Option<Correlation>,
    /// Since when it is no longer at its server, where somebody else than its account's settings deleted it. Lists leave
    /// it out; by its id it can still be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// Each recipient's delivery, for outgoing mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Vec<Recipient>>,
    /// A program wrote it: no program may answer it, or the two answer each other for ever (RFC 3834 §2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_reply: Option<AutoReply>,
    /// What it reports about a message that was sent; none for ordinary mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}
