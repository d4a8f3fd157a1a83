//! Who is due? Once a minute: messages whose next attempt has come, and mailboxes whose slot it is.
//!
//! A message that is handed on is marked with the time to hand it on again, should it get lost in the queue: so that a
//! backlog is not queued anew at every tick. Queued twice all the same, it is taken once. Which mailbox is due follows
//! from the time, and costs no write.
//! What a crash left behind needs no pass of its own: a claim that ran over stands in the due index with the end of
//! its lease, and whoever takes it finds out how far it came.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};

use crate::model::poll::Rhythm;
use crate::model::send::Lane;
use crate::model::{AccountId, MessageId, Poll, Tenant, Timestamp};
use crate::ops::send::queue::MESSAGES_PER_JOB;
use crate::settings::Settings;
use crate::store::keys::{BULK_SHARDS, DUE_SHARDS, POLL_SHARDS};
use crate::store::{DeliverJob, Due, Mailbox, PollEntry, Store, StoreError, Wanted};

/// Due messages of one shard that one tick hands on; the rest waits for the next tick.
const DUE_PER_SHARD: u32 = 1_000;

/// Jobs of one account and lane that one tick hands on: so many connections work for it at once.
const JOBS_PER_ACCOUNT: usize = 2;

/// Shards that are read at once.
const SHARDS_AT_ONCE: usize = 4;

/// Marks that are written at once.
const MARKS_AT_ONCE: usize = 32;

/// What a tick handed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Scheduled {
    /// Messages to deliver.
    pub messages: usize,
    /// Mailboxes to pull.
    pub mailboxes: usize,
}

/// Hands on what is due at `tick`.
pub async fn schedule(store: &Store, settings: &Settings, tick: Timestamp) -> Result<Scheduled, StoreError> {
    let (messages, mailboxes) = tokio::join!(messages(store, settings, tick), mailboxes(store, settings, tick));
    Ok(Scheduled { messages: messages?, mailboxes: mailboxes? })
}

async fn messages(store: &Store, settings: &Settings, tick: Timestamp) -> Result<usize, StoreError> {
    let mut due = Vec::new();
    for shard in 0..DUE_SHARDS + BULK_SHARDS {
        due.extend(store.outbox.due(shard, tick, DUE_PER_SHARD).await?);
    }
    let again = tick.plus_seconds(settings.queued_seconds.into());
    let chosen = by_account(due);
    let job = |due: &Vec<Due>| DeliverJob {
        tenant: due[0].tenant.clone(),
        account: due[0].account.clone(),
        ids: due.iter().map(|due| due.id.clone()).collect(),
        handed: Some(again),
    };
    store.queues.enqueue_deliver(&chosen.iter().map(job).collect::<Vec<_>>(), 0).await?;
    // Behind the queue: a crash in between hands on twice, which costs a read; before it, it would cost minutes.
    let marks = stream::iter(chosen.iter().flatten()).map(|due| store.outbox.handed_on(due, again));
    let mut marks = marks.buffer_unordered(MARKS_AT_ONCE);
    while let Some(marked) = marks.next().await {
        if let Err(error) = marked {
            tracing::warn!(%error, "not noted as handed on; the next tick does so again");
        }
    }
    Ok(chosen.iter().map(Vec::len).sum())
}

/// What one tick hands on, as jobs of one account each: lane by lane, and within a lane the tenants by turns. Few jobs
/// of one account: each is a connection to its server.
fn by_account(due: Vec<Due>) -> Vec<Vec<Due>> {
    let mut accounts: BTreeMap<(Lane, Tenant, AccountId), Vec<Due>> = BTreeMap::new();
    for due in due {
        accounts.entry((due.lane, due.tenant.clone(), due.account.clone())).or_default().push(due);
    }
    let mut jobs: Vec<(Lane, usize, Vec<Due>)> = Vec::new();
    let mut turns: BTreeMap<(Lane, Tenant), usize> = BTreeMap::new();
    for ((lane, tenant, _), mut due) in accounts {
        // The shards came one after the other.
        due.sort_by_key(|due| due.due.0);
        for job in due.chunks(MESSAGES_PER_JOB).take(JOBS_PER_ACCOUNT) {
            let turn = turns.entry((lane, tenant.clone())).or_default();
            *turn += 1;
            jobs.push((lane, *turn, job.to_vec()));
        }
    }
    jobs.sort_by_key(|(lane, turn, _)| (*lane, *turn));
    jobs.into_iter().map(|(_, _, job)| job).collect()
}

/// Mailboxes whose slot it is, many by one message. A shard that cannot be read keeps no other from being polled.
async fn mailboxes(store: &Store, settings: &Settings, tick: Timestamp) -> Result<usize, StoreError> {
    let mut shards =
        stream::iter(0..POLL_SHARDS).map(|shard| store.polls.shard(shard)).buffer_unordered(SHARDS_AT_ONCE);
    let (mut jobs, mut failure) = (Vec::new(), None);
    while let Some(shard) = shards.next().await {
        match shard {
            Ok(entries) => {
                let due = entries.into_iter().filter(|entry| is_due(entry, settings.tick_seconds, tick));
                jobs.extend(due.map(|entry| wanted(entry, settings.tick_seconds, tick)));
            }
            Err(error) => failure = Some(error),
        }
    }
    let count = jobs.len();
    store.queues.enqueue_polls(tick, jobs).await?;
    failure.map_or(Ok(count), Err)
}

/// Once a day a mailbox is looked at as if nothing were known of it.
fn wanted(entry: PollEntry, tick_seconds: u32, tick: Timestamp) -> Wanted {
    let quiet = entry.quiet.clone().filter(|_| !rhythm(&entry, tick_seconds).begins_day(tick));
    Wanted { mailbox: Mailbox { tenant: entry.tenant, account: entry.account }, quiet }
}

fn is_due(entry: &PollEntry, tick_seconds: u32, tick: Timestamp) -> bool {
    let blocked = entry.blocked_until.is_some_and(|until| until > tick);
    let hurried = entry.hurried_until.is_some_and(|until| until > tick);
    !blocked && (hurried || rhythm(entry, tick_seconds).is_due(tick))
}

/// When a polled mailbox is due.
pub fn rhythm(entry: &PollEntry, tick_seconds: u32) -> Rhythm {
    Rhythm {
        poll: Poll { enabled: true, min_seconds: entry.min_seconds, max_seconds: entry.max_seconds },
        tick_seconds,
        last_arrival: entry.last_arrival,
        hash: slot(&entry.tenant, &entry.account),
    }
}

/// Spreads mailboxes over the slots of their interval.
pub fn slot(tenant: &Tenant, account: &AccountId) -> u64 {
    let id = MessageId::derived(&["slot", tenant.as_str(), account.as_str()]);
    u64::from_str_radix(&id.as_str()[..16], 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> PollEntry {
        PollEntry {
            tenant: Tenant::new("one").unwrap(),
            account: AccountId::new("box").unwrap(),
            min_seconds: 900,
            max_seconds: 900,
            last_arrival: None,
            blocked_until: None,
            hurried_until: None,
            quiet: Some("0123".to_owned()),
        }
    }

    fn minutes(entry: &PollEntry) -> usize {
        let start = Timestamp(1_700_000_000_000);
        (0..16).filter(|minute| is_due(entry, 60, start.plus_seconds(60 * minute))).count()
    }

    #[test]
    fn a_hurried_mailbox_is_due_at_every_tick_and_a_blocked_one_at_none() {
        let soon = Some(Timestamp(1_700_000_000_000).plus_seconds(16 * 60));
        assert_eq!(minutes(&entry()), 2);
        assert_eq!(minutes(&PollEntry { hurried_until: soon, ..entry() }), 16);
        assert_eq!(minutes(&PollEntry { hurried_until: soon, blocked_until: soon, ..entry() }), 0);
    }

    #[test]
    fn what_is_noted_of_a_quiet_mailbox_is_left_out_once_a_day() {
        let start = Timestamp(1_700_000_000_000);
        let ticks = (0..1_440).map(|minute| start.plus_seconds(60 * minute)).filter(|at| is_due(&entry(), 60, *at));
        let without = ticks.filter(|at| wanted(entry(), 60, *at).quiet.is_none()).count();
        assert_eq!(without, 1);
    }
}
