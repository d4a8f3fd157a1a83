//! Who is due? Once a minute: messages whose next attempt has come, and mailboxes whose slot it is.
//!
//! Nothing is written: a message that is queued twice is taken once, and which mailbox is due follows from the time.
//! What a crash left behind needs no pass of its own: a claim that ran over stands in the due index with the end of
//! its lease, and whoever takes it finds out how far it came.

use std::collections::BTreeMap;

use crate::model::poll::Rhythm;
use crate::model::{AccountId, MessageId, Poll, Tenant, Timestamp};
use crate::settings::Settings;
use crate::store::keys::{DUE_SHARDS, POLL_SHARDS};
use crate::store::{DeliverJob, PollEntry, PullJob, Store, StoreError};

/// Due messages of one shard that one tick hands on; the rest waits for the next tick.
const DUE_PER_SHARD: u32 = 1_000;

/// Messages of one account in one job: what one connection carries in a few minutes.
const MESSAGES_PER_JOB: usize = 50;

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
    let (messages, mailboxes) = tokio::join!(messages(store, tick), mailboxes(store, settings, tick));
    Ok(Scheduled { messages: messages?, mailboxes: mailboxes? })
}

async fn messages(store: &Store, tick: Timestamp) -> Result<usize, StoreError> {
    let mut count = 0;
    for shard in 0..DUE_SHARDS {
        let mut by_account: BTreeMap<(Tenant, AccountId), Vec<MessageId>> = BTreeMap::new();
        for due in store.outbox.due(shard, tick, DUE_PER_SHARD).await? {
            by_account.entry((due.tenant, due.account)).or_default().push(due.id);
            count += 1;
        }
        let job = |tenant: &Tenant, account: &AccountId, ids: &[MessageId]| DeliverJob {
            tenant: tenant.clone(),
            account: account.clone(),
            ids: ids.to_vec(),
        };
        let jobs: Vec<_> = by_account
            .iter()
            .flat_map(|((tenant, account), ids)| ids.chunks(MESSAGES_PER_JOB).map(move |ids| job(tenant, account, ids)))
            .collect();
        store.queues.enqueue_deliver(&jobs, 0).await?;
    }
    Ok(count)
}

async fn mailboxes(store: &Store, settings: &Settings, tick: Timestamp) -> Result<usize, StoreError> {
    let mut count = 0;
    for shard in 0..POLL_SHARDS {
        let due =
            store.polls.shard(shard).await?.into_iter().filter(|entry| is_due(entry, settings.tick_seconds, tick));
        let jobs: Vec<_> =
            due.map(|entry| PullJob { tenant: entry.tenant, account: entry.account, tick, asked: false }).collect();
        count += jobs.len();
        store.queues.enqueue_pull(&jobs).await?;
    }
    Ok(count)
}

fn is_due(entry: &PollEntry, tick_seconds: u32, tick: Timestamp) -> bool {
    let blocked = entry.blocked_until.is_some_and(|until| until > tick);
    !blocked && rhythm(entry, tick_seconds).is_due(tick)
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
