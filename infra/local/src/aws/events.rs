//! EventBridge, as far as the functions use it: `PutEvents` to the template's buses. No rule and no target is here:
//! what was put is kept for a day, and shown to tests and to the curious ([`Events::kept`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::params;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::clock::now_ms;
use super::db::Db;
use super::{AwsError, REGION};

/// Entries of one request (EventBridge quota).
const MAX_ENTRIES: usize = 10;
/// The sum of all entries' texts in one request, in bytes (EventBridge quota).
const MAX_BYTES: usize = 256 * 1024;
/// How long events are kept here, in milliseconds.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// All buses; clones share them.
#[derive(Clone)]
pub(super) struct Events {
    db: Db,
    buses: Arc<BTreeSet<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutEvents {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    source: Option<String>,
    detail_type: Option<String>,
    detail: Option<String>,
    event_bus_name: Option<String>,
    time: Option<Value>,
}

impl Events {
    pub(super) fn new(db: Db, buses: &[String]) -> Self {
        Self { db, buses: Arc::new(buses.iter().cloned().collect()) }
    }

    /// Answers one operation.
    pub(super) async fn handle(&self, operation: &str, body: Value) -> Result<Value, AwsError> {
        match operation {
            "PutEvents" => {
                let unreadable = |_| AwsError::refused("ValidationException", "The request is not well formed.");
                self.put(serde_json::from_value(body).map_err(unreadable)?).await
            }
            _ => Err(AwsError::refused("UnknownOperationException", "No such operation.")),
        }
    }

    async fn put(&self, request: PutEvents) -> Result<Value, AwsError> {
        if request.entries.is_empty() || request.entries.len() > MAX_ENTRIES {
            return Err(AwsError::refused("ValidationException", "Entries must have between 1 and 10 members."));
        }
        if request.entries.iter().map(Entry::size).sum::<usize>() > MAX_BYTES {
            return Err(AwsError::refused("ValidationException", "Total size of the entries is over the limit."));
        }
        let mut answers = Vec::new();
        let mut taken = Vec::new();
        for entry in request.entries {
            match entry.refusal(&self.buses) {
                Some((code, message)) => answers.push(json!({ "ErrorCode": code, "ErrorMessage": message })),
                None => {
                    let id = Uuid::new_v4().to_string();
                    answers.push(json!({ "EventId": id }));
                    taken.push((id, entry));
                }
            }
        }
        let failed = answers.len() - taken.len();
        self.keep(taken).await?;
        Ok(json!({ "FailedEntryCount": failed, "Entries": answers }))
    }

    async fn keep(&self, taken: Vec<(String, Entry)>) -> Result<(), AwsError> {
        let keep = move |t: &rusqlite::Transaction<'_>| {
            let now = now_ms();
            t.execute("DELETE FROM events WHERE put_at < ?1", [now - KEPT_MS])?;
            for (id, entry) in taken {
                let bus = entry.bus();
                let event = json!({
                    "version": "0", "id": id, "region": REGION, "source": entry.source, "time": entry.time,
                    "detail-type": entry.detail_type, "resources": [],
                    "detail": serde_json::from_str::<Value>(entry.detail.as_deref().unwrap_or_default())?,
                });
                t.execute(
                    "INSERT INTO events (bus, event, put_at) VALUES (?1, ?2, ?3)",
                    params![bus, event.to_string(), now],
                )?;
            }
            Ok(())
        };
        self.db.call(keep).await
    }

    /// What was put, oldest first, as rules would see it.
    pub(super) async fn kept(&self) -> Result<Value, AwsError> {
        self.db
            .call(|t| {
                let mut select = t.prepare("SELECT event FROM events ORDER BY sequence")?;
                let rows = select.query_map([], |row| row.get::<_, String>(0))?;
                let mut events = Vec::new();
                for row in rows {
                    events.push(serde_json::from_str::<Value>(&row?)?);
                }
                Ok(Value::Array(events))
            })
            .await
    }
}

impl Entry {
    /// docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html.
    fn size(&self) -> usize {
        let texts = [&self.source, &self.detail_type, &self.detail];
        let time = if self.time.is_some() { 14 } else { 0 };
        texts.into_iter().flatten().map(String::len).sum::<usize>() + time
    }

    fn bus(&self) -> &str {
        let name = self.event_bus_name.as_deref().unwrap_or("default");
        name.rsplit('/').next().unwrap_or(name)
    }

    fn refusal(&self, buses: &BTreeSet<String>) -> Option<(&'static str, String)> {
        let invalid = |what: &str| Some(("InvalidArgument", format!("Parameter {what} is not valid.")));
        let is_object = |text: &String| serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object());
        match self {
            Self { source, .. } if source.as_deref().is_none_or(str::is_empty) => invalid("Source"),
            Self { detail_type, .. } if detail_type.as_deref().is_none_or(str::is_empty) => invalid("DetailType"),
            Self { detail, .. } if !detail.as_ref().is_some_and(is_object) => {
                Some(("MalformedDetail", "Detail is malformed.".to_owned()))
            }
            // AWS drops such an event in silence; here somebody is to notice.
            entry if !buses.contains(entry.bus()) => {
                Some(("ResourceNotFoundException", format!("Event bus {} does not exist.", entry.bus())))
            }
            _ => None,
        }
    }
}
