//! Handing on: what this invocation does not send goes to `deliver`, at once or for its time.

use std::collections::BTreeMap;

use crate::model::{Tenant, Timestamp};
use crate::ops::Tools;
use crate::settings::Settings;
use crate::store::{DeliverJob, OutgoingRow, StoreError, Turn};

/// SQS keeps a message back for up to 15 minutes. What comes later is found by the scheduler.
const LONGEST_DELAY_SECONDS: i64 = 900;

/// Messages of one account in one job: what one connection carries in some minutes. A job that runs out of time hands
/// the rest on.
pub(in crate::ops) const MESSAGES_PER_JOB: usize = 250;

/// The turn of a message that waits until `at`.
pub(super) fn turn(at: Timestamp, now: Timestamp, settings: &Settings) -> Turn {
    let at = at.max(now);
    if at.seconds() - now.seconds() < LONGEST_DELAY_SECONDS {
        Turn::handed(at, settings.queued_seconds)
    } else {
        Turn::At(at)
    }
}

/// Hands messages of one account on that nobody is sending. Should that fail, the scheduler finds them.
pub(super) async fn hand_on(tools: &Tools, tenant: &Tenant, rows: &[OutgoingRow], now: Timestamp) {
    let mut turns: BTreeMap<(i64, Option<i64>), Vec<&OutgoingRow>> = BTreeMap::new();
    for row in rows {
        // What is held has no turn.
        let Some(at) = row.turn.or(row.due) else { continue };
        // What waits for a later time and was not given a turn yet is the scheduler's.
        if row.turn.is_some() || at <= now {
            turns.entry((at.0, row.handed().map(|again| again.0))).or_default().push(row);
        }
    }
    for ((at, handed), rows) in turns {
        // Rounded up: who comes too early is sent away.
        let delay = u32::try_from((at - now.0).max(0) / 1000 + i64::from(at > now.0)).unwrap_or_default();
        let job = |rows: &[&OutgoingRow]| DeliverJob {
            tenant: tenant.clone(),
            account: rows[0].account.clone(),
            ids: rows.iter().map(|row| row.id.clone()).collect(),
            handed: handed.map(Timestamp),
        };
        let jobs: Vec<DeliverJob> = rows.chunks(MESSAGES_PER_JOB).map(job).collect();
        if let Err(error) = tools.store.queues.enqueue_deliver(&jobs, delay).await {
            tracing::warn!(%error, count = rows.len(), "not queued; the scheduler will find them");
        }
    }
}

/// Puts the rest of a job off until then. What is further away than the scheduler looks is left to it.
pub(super) async fn put_off(tools: &Tools, rest: DeliverJob, until: Timestamp) -> Result<(), StoreError> {
    let delay = u32::try_from(until.seconds() - Timestamp::now().seconds() + 1).unwrap_or(1);
    if delay < tools.settings.queued_seconds && i64::from(delay) < LONGEST_DELAY_SECONDS {
        tools.store.queues.enqueue_deliver(&[rest], delay).await?;
    }
    Ok(())
}
