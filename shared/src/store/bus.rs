//! The event bus: every event, for whoever has rules on it.

use std::sync::Arc;

use aws_sdk_eventbridge::{Client, primitives::DateTime, types::PutEventsRequestEntry};
use serde_json::json;

use super::{StoreError, error::aws};
use crate::model::Event;

/// EventBridge takes at most this many entries in one request.
const BATCH: usize = 10;

/// And at most 256 KB of them; an event has at most 64 KB.
const BATCH_BYTES: usize = 200_000;

/// What `source` says of our events.
const SOURCE: &str = "halfpenny";

/// The bus.
#[derive(Clone, Debug)]
pub struct Bus {
    client: Client,
    name: Arc<str>,
}

impl Bus {
    pub(super) fn new(client: Client, name: String) -> Self {
        Self { client, name: name.into() }
    }

    /// Puts events in order. Where it fails some may have been put: they are put again then, with the same ids.
    pub async fn put(&self, events: &[Event]) -> Result<(), StoreError> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        for event in events {
            let (entry, size) = self.entry(event);
            if batch.len() == BATCH || (bytes + size > BATCH_BYTES && !batch.is_empty()) {
                self.send(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            batch.push(entry);
            bytes += size;
        }
        if batch.is_empty() { Ok(()) } else { self.send(batch).await }
    }

    /// An entry and its size. The id stands in the detail: EventBridge gives one of its own, another at each put.
    fn entry(&self, event: &Event) -> (PutEventsRequestEntry, usize) {
        let mut detail = event.body();
        detail["id"] = json!(event.id);
        let detail = detail.to_string();
        let size = detail.len() + 100;
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&*self.name)
            .source(SOURCE)
            .detail_type(event.kind.name())
            .time(DateTime::from_millis(event.at.0))
            .detail(detail);
        (entry.build(), size)
    }

    async fn send(&self, mut left: Vec<PutEventsRequestEntry>) -> Result<(), StoreError> {
        // EventBridge answers for each entry; what it could not take is put once more.
        for _ in 0..2 {
            let answer = self.client.put_events().set_entries(Some(left.clone())).send().await;
            let answer = answer.map_err(aws("PutEvents"))?;
            let mut answers = answer.entries().iter().map(|entry| entry.error_code().is_some());
            left.retain(|_| answers.next().unwrap_or(true));
            if left.is_empty() {
                return Ok(());
            }
        }
        Err(StoreError::busy("PutEvents"))
    }
}
