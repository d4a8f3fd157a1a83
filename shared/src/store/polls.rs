//! Which mailboxes are polled: packed into shards that `schedule` reads every minute. Ids and times only.

use super::{StoreError, table::Table};
use crate::model::{AccountId, Tenant, Timestamp};

/// A mailbox that is polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollEntry {
    /// Whose.
    pub tenant: Tenant,
    /// Which.
    pub account: AccountId,
    /// Shortest interval in seconds.
    pub min_seconds: u32,
    /// Longest interval in seconds.
    pub max_seconds: u32,
    /// When mail came last.
    pub last_arrival: Option<Timestamp>,
    /// Not before this time: back-off after failures.
    pub blocked_until: Option<Timestamp>,
}

/// Polled mailboxes, by shard.
#[derive(Clone, Debug)]
pub struct Polls {
    table: Table,
}

impl Polls {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// Polls a mailbox from now on, or with other intervals; what is known about its arrivals stays, its back-off ends.
    pub async fn put(&self, tenant: &Tenant, account: &AccountId, min_seconds: u32, max_seconds: u32) -> Result<(), StoreError> {
        todo!()
    }

    /// Polls it no more.
    pub async fn remove(&self, tenant: &Tenant, account: &AccountId) -> Result<(), StoreError> {
        todo!()
    }

    /// Notes that mail came. Nothing happens where the mailbox is not polled (any more).
    pub async fn arrived(&self, tenant: &Tenant, account: &AccountId, at: Timestamp) -> Result<(), StoreError> {
        todo!()
    }

    /// Leaves it alone until then; `None` lifts that. Nothing happens where the mailbox is not polled (any more).
    pub async fn block(&self, tenant: &Tenant, account: &AccountId, until: Option<Timestamp>) -> Result<(), StoreError> {
        todo!()
    }

    /// All entries of one shard, 0 to [`super::keys::POLL_SHARDS`] - 1.
    pub async fn shard(&self, shard: u8) -> Result<Vec<PollEntry>, StoreError> {
        todo!()
    }
}
