//! Waiting for a message.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Message, Timestamp};

/// Longest wait in seconds: an answer leaves by then (decision 5).
pub const MOST_SECONDS: u32 = 25;

/// Which message is waited for. Texts are parts, without regard to letter case; what is left out is not asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AwaitInput {
    /// Stands in From.
    pub from: Option<String>,
    /// Stands in To or Cc.
    pub to: Option<String>,
    /// Stands in the subject.
    pub subject: Option<String>,
    /// Stands in the subject or in the text.
    pub contains: Option<String>,
    /// Received at or after; left out: 30 seconds before the call, in which a mail may have been faster.
    pub since: Option<Timestamp>,
    /// How long to wait, 0 to 25. Default 25.
    pub timeout_seconds: Option<u32>,
    /// What must stand in it, and is answered.
    pub extract: Option<ExtractInput>,
}

/// What is taken out of a message.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", expecting = "expected \"code\", \"link\" or {\"pattern\": \"…\"}")]
pub enum ExtractInput {
    /// A one-time code.
    Code,
    /// A link that confirms, activates or signs in. It is never visited.
    Link,
    /// A regular expression without look-around: its first group, or all that it matches.
    Pattern(String),
}

/// What came.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Awaited {
    /// The message; null: none came. Where the time ran out it is one that fits but for what was to be extracted.
    pub message: Option<Message>,
    /// What was extracted.
    pub extracted: Option<String>,
    /// No message came in time that has all that was asked for.
    pub timed_out: bool,
}
