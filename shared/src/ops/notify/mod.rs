//! Telling what happened: rows that changed become events ([`events`]), events go to the bus and to whoever wants them.
//!
//! Nobody announces anything by hand: the row is written, and its stream says the rest. So an event is never lost
//! between a write and its announcement, and one that is told twice has the same id.

pub mod events;
pub mod payload;

use aws_lambda_events::event::dynamodb::EventRecord;

use super::{Tools, webhooks};
use crate::model::{Event, Tenant, Timestamp};
use crate::store::changes::{self, Change, Changed};
use crate::store::{Store, StoreError, WebhookJob};

/// Announces what these records of the stream say, in order. The answer is the sequence number from which on they have
/// to come again; none: all is done.
pub async fn announce(tools: &Tools, records: Vec<EventRecord>, now: Timestamp) -> Option<String> {
    let first = records.first().and_then(|record| record.change.sequence_number.clone()).unwrap_or_default();
    let mut events = Vec::new();
    let mut broken = None;
    for record in records {
        let sequence = record.change.sequence_number.clone().unwrap_or_default();
        match of_record(&tools.store, record).await {
            Ok(found) => events.extend(found),
            Err(error) => {
                // It is handed over by itself, and at last put aside: what stands before it is told all the same.
                tracing::error!(%error, %sequence, "a change cannot be announced");
                broken = Some(sequence);
                break;
            }
        }
    }
    match publish(tools, &events, now).await {
        Ok(()) => broken,
        Err(error) => {
            tracing::error!(%error, events = events.len(), "events were not published; they come again");
            Some(first)
        }
    }
}

async fn of_record(store: &Store, record: EventRecord) -> Result<Vec<Event>, StoreError> {
    let Some(mut changed) = changes::read(record)? else {
        return Ok(Vec::new());
    };
    let account = match events::account_needed(&changed) {
        Some(account) => store.accounts.get(&changed.tenant, account).await?.map(|row| row.account),
        None => None,
    };
    let mut found = events::of(&changed, account.as_ref());
    // A row of a message to many does not hold them; most changes of it are no events.
    if !found.is_empty() && complete(store, &mut changed).await? {
        found = events::of(&changed, account.as_ref());
    }
    Ok(found)
}

async fn complete(store: &Store, changed: &mut Changed) -> Result<bool, StoreError> {
    let Change::Message { after: Some(after), .. } = &mut changed.change else { return Ok(false) };
    if after.incoming().is_some() {
        return Ok(false);
    }
    store.messages.complete(&changed.tenant, &mut after.row).await?;
    Ok(true)
}

/// The bus first: where what follows fails, both are told again, with the same ids.
async fn publish(tools: &Tools, events: &[Event], now: Timestamp) -> Result<(), StoreError> {
    tools.store.bus.put(events).await?;
    let mut jobs = Vec::new();
    for event in events {
        for webhook in tools.store.webhooks.known(&event.tenant, now).await?.iter() {
            if webhooks::wants(webhook, event) {
                jobs.push(job(&event.tenant, &webhook.id, event, now));
            }
        }
    }
    tools.store.queues.enqueue_webhooks(&jobs, 0).await
}

fn job(tenant: &Tenant, webhook: &str, event: &Event, now: Timestamp) -> WebhookJob {
    WebhookJob {
        tenant: tenant.clone(),
        webhook: webhook.to_owned(),
        event: event.clone(),
        attempt: 0,
        began: now,
        due: now,
    }
}
