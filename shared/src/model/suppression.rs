//! Addresses that a tenant does not send to any more.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Address, FieldError, MessageId, Timestamp};

/// Longest note in bytes: it is for people.
pub const NOTE_BYTES: usize = 1_000;

/// Why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum SuppressionReason {
    /// Somebody said so.
    #[default]
    Manual,
    /// Its server said that there is no such mailbox.
    HardBounce,
    /// Its owner called a message spam.
    Complaint,
    /// Its owner wants no more.
    Unsubscribe,
}

impl SuppressionReason {
    /// Its name in JSON and in a recipient's `error`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::HardBounce => "hardBounce",
            Self::Complaint => "complaint",
            Self::Unsubscribe => "unsubscribe",
        }
    }
}

/// An address to suppress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SuppressionInput {
    /// The address; a name beside it is not kept.
    #[serde(deserialize_with = "super::address::given")]
    pub address: Address,
    /// Why; left out: `manual`.
    #[serde(default)]
    pub reason: SuppressionReason,
    /// The message that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// Words for people, at most 1,000 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl SuppressionInput {
    /// What the shape alone does not say.
    pub fn check(&self) -> Vec<FieldError> {
        let bytes = self.note.as_ref().map_or(0, String::len);
        if bytes <= NOTE_BYTES {
            return Vec::new();
        }
        let detail = format!("{bytes} bytes; the limit noteBytes is {NOTE_BYTES}");
        vec![FieldError::new("/note", "too_long", detail)]
    }
}

/// A suppressed address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Suppression {
    /// In lower case, its domain in ASCII: so it is compared.
    pub address: String,
    /// Why.
    pub reason: SuppressionReason,
    /// The message that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// Words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
}
