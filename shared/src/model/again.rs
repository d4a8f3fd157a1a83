//! What is asked for once more: to be told, to be read, or to be let go.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AccountId, FieldError, MessageId, Problem, Timestamp};

/// Most messages that one call names.
pub const NAMED: usize = 1_000;

/// Where to go back to: a time or a message, one of the two.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RewindInput {
    /// Everything that was received or stored then or later.
    #[serde(default)]
    pub to: Option<Timestamp>,
    /// The same from this message on.
    #[serde(default)]
    pub message: Option<MessageId>,
}

/// What to read again: some messages, or all that were received or stored since a time.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReparseInput {
    /// These; at most 1,000.
    #[serde(default)]
    pub messages: Option<Vec<MessageId>>,
    /// All that were received or stored then or later.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

/// What the caller has in safety.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcknowledgeInput {
    /// These messages; at most 1,000.
    pub messages: Vec<MessageId>,
}

/// What came of going back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rewound {
    /// The account.
    pub account: AccountId,
    /// Messages that are announced again, each by the same event id as before.
    pub announced: u32,
    /// There are more; a worker goes on with them.
    pub more: bool,
    /// True: a worker asks the server for what is missing here.
    pub queued: bool,
}

/// What came of reading again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reparsed {
    /// The account.
    pub account: AccountId,
    /// Messages that were read again; each keeps its id and is announced again.
    pub reparsed: u32,
    /// Those of the named ones that cannot be: unknown, sent from here, without a source here, or still unreadable.
    pub skipped: Vec<MessageId>,
    /// There are more; a worker goes on with them.
    pub more: bool,
}

/// What came of an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledged {
    /// The account.
    pub account: AccountId,
    /// Messages that are acknowledged now, or were before.
    pub acknowledged: u32,
    /// Those that are no received messages of this account.
    pub unknown: Vec<MessageId>,
}

impl RewindInput {
    /// The time or the message.
    pub fn check(self) -> Result<Result<Timestamp, MessageId>, Problem> {
        match (self.to, self.message) {
            (Some(to), None) => Ok(Ok(to)),
            (None, Some(message)) => Ok(Err(message)),
            _ => Err(one_of("/to", "give either to (a time) or message (an id)")),
        }
    }
}

impl ReparseInput {
    /// The messages or the time.
    pub fn check(self) -> Result<Result<Timestamp, Vec<MessageId>>, Problem> {
        match (self.messages, self.since) {
            (Some(messages), None) => Ok(Err(named(messages)?)),
            (None, Some(since)) => Ok(Ok(since)),
            _ => Err(one_of("/messages", "give either messages (ids) or since (a time)")),
        }
    }
}

impl AcknowledgeInput {
    /// The messages, each once.
    pub fn check(self) -> Result<Vec<MessageId>, Problem> {
        named(self.messages)
    }
}

fn named(mut messages: Vec<MessageId>) -> Result<Vec<MessageId>, Problem> {
    if messages.is_empty() || messages.len() > NAMED {
        let detail = format!("{} ids; give 1 to {NAMED}", messages.len());
        return Err(Problem::invalid(vec![FieldError::new("/messages", "out_of_range", detail)]));
    }
    messages.sort_unstable();
    messages.dedup();
    Ok(messages)
}

fn one_of(pointer: &str, detail: &str) -> Problem {
    Problem::invalid(vec![FieldError::new(pointer, "invalid_value", detail)])
}
