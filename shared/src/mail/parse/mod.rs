//! From the bytes of a received message to what a list shows.
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use super::compose::{Disposition, Mailbox};

/// One file of a message. Field names are those of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartInfo {
    /// Stable number used in URLs: place in the MIME tree, depth first, the root is 0.
    pub part: u32,
    /// Decoded and made safe for a file system, at most 255 bytes.
    pub filename: Option<String>,
    /// `type/subtype` in lower case, without parameters.
    pub content_type: String,
    /// Decoded size in bytes.
    pub size: u64,
    /// As the sender wished it (RFC 2183 §2).
    pub disposition: Disposition,
    /// Content id without angle brackets.
    pub content_id: Option<String>,
    /// False for file types that run code, and for names that hide their type.
    pub safe: bool,
}

/// Something that was wrong with the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defect {
    /// Stable word.
    pub code: String,
    /// Where and how much.
    pub detail: String,
}

/// What a list and a reading pane need; bounded, so that a row stays under 32 KB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parsed {
    /// Decoded subject, at most 998 bytes.
    pub subject: String,
    /// Authors.
    pub from: Vec<Mailbox>,
    /// Recipients.
    pub to: Vec<Mailbox>,
    /// Recipients of copies.
    pub cc: Vec<Mailbox>,
    /// Where answers go.
    pub reply_to: Vec<Mailbox>,
    /// The Date field in UTC.
    #[serde(with = "time::serde::rfc3339::option")]
    pub date: Option<OffsetDateTime>,
    /// With angle brackets.
    pub message_id: Option<String>,
    /// With angle brackets.
    pub in_reply_to: Vec<String>,
    /// With angle brackets, oldest first.
    pub references: Vec<String>,
    /// First 200 characters of the text, white space folded.
    pub preview: String,
    /// Whether there is anything to read.
    pub has_text: bool,
    /// Files.
    pub attachments: Vec<PartInfo>,
    /// Header fields of the message itself.
    pub header_count: u32,
    /// Auto-Submitted, if present (RFC 3834 §5).
    pub auto_submitted: Option<String>,
    /// List-Id, if present (RFC 2919 §2).
    pub list_id: Option<String>,
    /// What was wrong with the message.
    pub defects: Vec<Defect>,
}
