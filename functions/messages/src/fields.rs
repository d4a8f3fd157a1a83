//! Projection: which fields of a message an answer holds.

use serde::Serialize;
use serde_json::{Map, Value};
use shared::http::Call;
use shared::http::call::wrong_parameter;
use shared::model::Problem;

/// Fields of a message in a list.
pub(crate) const LISTED: [&str; 29] = [
    "id",
    "account",
    "direction",
    "folder",
    "subject",
    "from",
    "manyFrom",
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
    "emailId",
    "state",
    "correlation",
    "deletedAt",
    "delivery",
    "autoReply",
    "report",
];

/// Fields that its source adds.
pub(crate) const READ: [&str; 7] = ["authors", "text", "html", "headers", "calendar", "appointments", "defects"];

/// The fields that were asked for; none: all.
pub(crate) struct Fields(Option<Vec<String>>);

impl Fields {
    /// Reads `fields`; what stands in none of these lists it refuses.
    pub(crate) fn read(call: &Call, known: &[&[&str]]) -> Result<Self, Problem> {
        let Some(names) = call.query.get("fields").filter(|names| !names.is_empty()) else {
            return Ok(Self(None));
        };
        let names: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
        let is_known = |name: &String| known.iter().any(|list| list.contains(&name.as_str()));
        match names.iter().find(|name| !is_known(name)) {
            Some(unknown) => {
                let known = known.concat().join(", ");
                Err(wrong_parameter("fields", &format!("some of {known}; not {unknown:?}")))
            }
            None => Ok(Self(Some(names))),
        }
    }

    /// Whether nothing else than these was asked for.
    pub(crate) fn within(&self, list: &[&str]) -> bool {
        self.0.as_ref().is_some_and(|names| names.iter().all(|name| list.contains(&name.as_str())))
    }

    /// The object, or the fields of it that were asked for.
    pub(crate) fn project(&self, object: &impl Serialize) -> Result<Value, Problem> {
        let whole = serde_json::to_value(object).map_err(Problem::internal)?;
        match (&self.0, whole) {
            (Some(names), Value::Object(fields)) => {
                let chosen = fields.into_iter().filter(|(name, _)| names.contains(name));
                Ok(Value::Object(chosen.collect::<Map<String, Value>>()))
            }
            (_, whole) => Ok(whole),
        }
    }
}
