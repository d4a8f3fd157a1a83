//! Which messages a list shows, and which of their fields.

use serde_json::{Map, Value};
use shared::http::Call;
use shared::http::call::wrong_parameter;
use shared::model::{Address, Direction, Message, Problem};
use shared::ops::search::Query;

/// All parameters that a list takes.
const KNOWN: [&str; 14] = [
    "q",
    "limit",
    "cursor",
    "folder",
    "direction",
    "from",
    "to",
    "subject",
    "since",
    "before",
    "hasAttachments",
    "unseen",
    "thread",
    "fields",
];

/// Fields that can be asked for.
const FIELDS: [&str; 24] = [
    "id",
    "account",
    "direction",
    "folder",
    "subject",
    "from",
    "to",
    "cc",
    "replyTo",
    "date",
    "receivedAt",
    "size",
    "flags",
    "messageId",
    "inReplyTo",
    "threadId",
    "preview",
    "textSizes",
    "hasAttachments",
    "attachments",
    "sha256",
    "state",
    "correlation",
    "delivery",
];

/// What a caller asked for.
pub(crate) struct Filter {
    folder: Option<String>,
    direction: Option<Direction>,
    from: Option<String>,
    to: Option<String>,
    subject: Option<String>,
    has_attachments: Option<bool>,
    unseen: Option<bool>,
    thread: Option<String>,
    fields: Option<Vec<String>>,
    /// What is searched for.
    pub(crate) query: Option<Query>,
}

impl Filter {
    /// Reads the query; what it does not know it refuses.
    pub(crate) fn read(call: &Call) -> Result<Self, Problem> {
        call.only(&KNOWN)?;
        let text = |name: &str| call.query.get(name).filter(|text| !text.is_empty()).cloned();
        let folded = |name: &str| text(name).map(|text| text.to_lowercase());
        let direction = match call.query.get("direction").map(String::as_str) {
            None => None,
            Some("incoming") => Some(Direction::Incoming),
            Some("outgoing") => Some(Direction::Outgoing),
            Some(_) => return Err(wrong_parameter("direction", "incoming or outgoing")),
        };
        let fields =
            text("fields").map(|names| names.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>());
        if let Some(unknown) = fields.iter().flatten().find(|name| !FIELDS.contains(&name.as_str())) {
            return Err(wrong_parameter("fields", &format!("some of {}; not {unknown:?}", FIELDS.join(", "))));
        }
        Ok(Self {
            folder: text("folder"),
            direction,
            from: folded("from"),
            to: folded("to"),
            subject: folded("subject"),
            has_attachments: call.flag("hasAttachments")?,
            unseen: call.flag("unseen")?,
            thread: text("thread"),
            fields,
            query: call.query.get("q").map(|text| Query::read(text)).transpose()?,
        })
    }

    /// Whether the list shows it.
    pub(crate) fn passes(&self, message: &Message) -> bool {
        let names = |addresses: &[&Address], wanted: &String| addresses.iter().any(|address| holds(address, wanted));
        let to: Vec<&Address> = message.to.iter().chain(&message.cc).collect();
        let from: Vec<&Address> = message.from.iter().collect();
        let seen = message.flags.iter().any(|flag| flag.eq_ignore_ascii_case("\\Seen"));
        self.folder.as_ref().is_none_or(|folder| message.folder.as_ref() == Some(folder))
            && self.direction.is_none_or(|direction| message.direction == direction)
            && self.from.as_ref().is_none_or(|wanted| names(&from, wanted))
            && self.to.as_ref().is_none_or(|wanted| names(&to, wanted))
            && self.subject.as_ref().is_none_or(|wanted| {
                message.subject.as_ref().is_some_and(|subject| subject.to_lowercase().contains(wanted))
            })
            && self.has_attachments.is_none_or(|wanted| message.has_attachments == wanted)
            && self.unseen.is_none_or(|wanted| seen != wanted)
            && self.thread.as_ref().is_none_or(|thread| message.thread_id == *thread)
    }

    /// The message, or the fields of it that were asked for.
    pub(crate) fn project(&self, message: &Message) -> Result<Value, Problem> {
        let whole = serde_json::to_value(message).map_err(Problem::internal)?;
        let (Some(fields), Value::Object(object)) = (&self.fields, &whole) else {
            return Ok(whole);
        };
        let chosen: Map<String, Value> = object
            .iter()
            .filter(|(name, _)| fields.contains(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Ok(Value::Object(chosen))
    }
}

fn holds(address: &Address, wanted: &str) -> bool {
    address.address.to_lowercase().contains(wanted)
        || address.name.as_ref().is_some_and(|name| name.to_lowercase().contains(wanted))
}
