//! Handing on: what this invocation does not send goes to `deliver`, at once or for its time.

use crate::model::{MessageId, Tenant, Timestamp};
use crate::ops::Tools;
use crate::settings::Settings;
use crate::store::{DeliverJob, OutgoingRow, Turn};

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

/// Hands messages of one account on that nobody is sending, all with the same turn. Should that fail, the scheduler
/// finds them.
pub(super) async fn hand_on(tools: &Tools, tenant: &Tenant, rows: &[OutgoingRow], now: Timestamp) {
    let Some(first) = rows.first() else {
        return;
    };
    let at = first.turn.or(first.due).unwrap_or(now);
    if first.turn.is_none() && at > now {
        return;
    }
    // Rounded up: who comes too early is sent away.
    let delay = u32::try_from((at.0 - now.0 + 999) / 1000).unwrap_or_default();
    let job = |rows: &[OutgoingRow]| DeliverJob {
        tenant: tenant.clone(),
        account: first.account.clone(),
        ids: rows.iter().map(|row| row.id.clone()).collect::<Vec<MessageId>>(),
        handed: first.handed(),
    };
    let jobs: Vec<DeliverJob> = rows.chunks(MESSAGES_PER_JOB).map(job).collect();
    if let Err(error) = tools.store.queues.enqueue_deliver(&jobs, delay).await {
        tracing::warn!(%error, first = %first.id, count = rows.len(), "not queued; the scheduler will find them");
    }
}
