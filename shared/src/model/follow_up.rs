//! What is done at the account's own mailbox once a message has left: the copy in its Sent folder, the mark on the
//! message that it answers, and the search for a message whose reply was lost.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MessageId, Timestamp};

/// How the copy in the Sent folder fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CopyState {
    /// It will be made.
    Pending,
    /// It was put into the folder.
    Stored,
    /// It was there already: the server had made it, or an earlier try whose answer was lost.
    Found,
    /// Left to the server, which makes it by itself.
    Server,
    /// It could not be made; `error` says why. Not tried again.
    Failed,
}

/// The copy in the Sent folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Copy {
    /// How it fares.
    pub state: CopyState,
    /// The folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Why the last try failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Copy {
    /// Nothing but a state.
    pub fn of(state: CopyState) -> Self {
        Self { state, folder: None, error: None }
    }
}

/// How the mark on the referenced message fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MarkState {
    /// It will be set once the message is sent.
    Pending,
    /// It is set.
    Set,
    /// It could not be set at the server; `error` says why. Not tried again.
    Failed,
}

/// The mark on the message that was replied to or forwarded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mark {
    /// How it fares.
    pub state: MarkState,
    /// The message that gets it.
    pub message: MessageId,
    /// `\Answered` (RFC 3501 §2.3.2) or `$Forwarded` (RFC 5788 §4.1).
    pub flag: String,
    /// Why the last try failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is known of a message that was handed over and whose reply was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ResolutionState {
    /// Its copy is being looked for in the account's own folders.
    Searching,
    /// Its copy was found: the server took it.
    Found,
    /// No copy was found: `onUnknown` has decided.
    NotFound,
    /// There is nowhere to look, or a copy would prove nothing: `onUnknown` has decided.
    Impossible,
}

/// How a doubt is resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resolution {
    /// What is known.
    pub state: ResolutionState,
    /// How often its copy was looked for.
    pub lookups: u32,
    /// The folder in which it was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Why the last lookup failed, or why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When this was found out.
    pub at: Timestamp,
}
