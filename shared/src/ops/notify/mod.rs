//! Telling what happened: rows that changed become events ([`events`]), events go to the bus and to whoever wants them.
//!
//! Nobody announces anything by hand: the row is written, and its stream says the rest. So an event is never lost
//! between a write and its announcement, and one that is told twice has the same id.
//!
//! What fails because storage is slow comes again, with all that stands behind it: the order of a row's changes is kept.
//! A row that is damaged would fail for ever and hold up everybody's events: its change is put aside for a person.

pub mod events;
pub mod payload;

use aws_lambda_events::event::dynamodb::EventRecord;

use super::{Tools, webhooks};
use crate::model::{Event, Tenant, Timestamp};
use crate::store::changes::{self, Change, Changed};
use crate::store::{Store, StoreError, UntoldChange, WebhookJob};

/// Announces what these records of the stream say, in order. The answer is the sequence number from which on they have
/// to come again; none: all is done.
pub async fn announce(tools: &Tools, records: Vec<EventRecord>, now: Timestamp) -> Option<String> {
    let first = records.first().and_then(|record| record.change.sequence_number.clone()).unwrap_or_default();
    let mut events = Vec::new();
    let mut broken = None;
    for record in records {
        let sequence = record.change.sequence_number.clone().unwrap_or_default();
        let found = match of_record(&tools.store, record).await {
            Err(error) if error.is_damage() => put_aside(&tools.store, &sequence, &error).await,
            found => found,
        };
        match found {
            Ok(found) => events.extend(found),
            Err(error) => {
                // What stands before it is told all the same.
                tracing::error!(%error, %sequence, "a change cannot be announced now; it comes again");
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

/// No event comes of a change that is put aside.
async fn put_aside(store: &Store, sequence: &str, error: &StoreError) -> Result<Vec<Event>, StoreError> {
    tracing::error!(%error, %sequence, "a change cannot be announced, and is put aside");
    let change = UntoldChange { sequence_number: sequence.to_owned(), reason: error.to_string() };
    store.queues.put_aside(&change).await?;
    Ok(Vec::new())
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
