//! What happened, as webhooks and the event bus tell it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{AccountId, Message, MessageId, Tenant, Timestamp};

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub enum EventType {
    /// A pulled message was stored; also again with the same id, where it was read anew.
    #[serde(rename = "message.received")]
    MessageReceived,
    /// Flags or folder of a stored message changed.
    #[serde(rename = "message.updated")]
    MessageUpdated,
    /// A message is gone.
    #[serde(rename = "message.deleted")]
    MessageDeleted,
    /// The server took a message; where it took it for some recipients only, `message.failed` tells of the others.
    #[serde(rename = "message.sent")]
    MessageSent,
    /// An attempt failed and is followed by another.
    #[serde(rename = "message.delayed")]
    MessageDelayed,
    /// A message failed for good, for all recipients or some.
    #[serde(rename = "message.failed")]
    MessageFailed,
    /// A message was handed over and the reply was lost.
    #[serde(rename = "message.unknown")]
    MessageUnknown,
    /// A sent message came back.
    #[serde(rename = "message.bounced")]
    MessageBounced,
    /// A recipient called a sent message spam.
    #[serde(rename = "message.complained")]
    MessageComplained,
    /// The credentials of an account count as wrong.
    #[serde(rename = "account.authFailed")]
    AccountAuthFailed,
    /// They do no more.
    #[serde(rename = "account.recovered")]
    AccountRecovered,
    /// The server numbers the messages of a folder anew.
    #[serde(rename = "folder.reset")]
    FolderReset,
    /// Something will stop working soon.
    #[serde(rename = "risk.raised")]
    RiskRaised,
}

impl EventType {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::MessageReceived,
        Self::MessageUpdated,
        Self::MessageDeleted,
        Self::MessageSent,
        Self::MessageDelayed,
        Self::MessageFailed,
        Self::MessageUnknown,
        Self::MessageBounced,
        Self::MessageComplained,
        Self::AccountAuthFailed,
        Self::AccountRecovered,
        Self::FolderReset,
        Self::RiskRaised,
    ];

    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::MessageReceived => "message.received",
            Self::MessageUpdated => "message.updated",
            Self::MessageDeleted => "message.deleted",
            Self::MessageSent => "message.sent",
            Self::MessageDelayed => "message.delayed",
            Self::MessageFailed => "message.failed",
            Self::MessageUnknown => "message.unknown",
            Self::MessageBounced => "message.bounced",
            Self::MessageComplained => "message.complained",
            Self::AccountAuthFailed => "account.authFailed",
            Self::AccountRecovered => "account.recovered",
            Self::FolderReset => "folder.reset",
            Self::RiskRaised => "risk.raised",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The same however often it is told: it follows from what happened.
    pub id: String,
    /// What kind.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub tenant: Tenant,
    /// Of which account.
    pub account: AccountId,
    /// What a pulled message is known by at its server (the text of a `MessageKey`): formats of other systems name UIDs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The rest of `data`, beside tenant and account. No text of a mail.
    pub data: Map<String, Value>,
}

impl Event {
    /// An id that follows from these parts.
    pub fn id_of(parts: &[&str]) -> String {
        format!("evt_{}", MessageId::derived(&[&["event"], parts].concat()))
    }

    /// As it is told natively, but for its id: that stands in a header, or beside it.
    pub fn body(&self) -> Value {
        let mut data = Map::new();
        data.insert("tenant".to_owned(), json!(self.tenant));
        data.insert("account".to_owned(), json!(self.account));
        data.extend(self.data.clone());
        json!({"type": self.kind, "timestamp": self.at, "data": data})
    }

    /// The message that it is about, as it was then; none where it is about something else.
    pub fn message(&self) -> Option<Message> {
        Message::deserialize(self.data.get("message")?).ok()
    }

    /// A member of the message that it is about.
    pub fn of_message(&self, name: &str) -> Option<&Value> {
        self.data.get("message")?.get(name).filter(|value| !value.is_null())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_json() {
        for kind in EventType::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(EventType::named(kind.name()), Some(kind));
        }
    }
}
