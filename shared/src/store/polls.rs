//! Which mailboxes are polled: packed into shards that `schedule` reads every minute. Ids and times only.

use super::{
    StoreError, keys,
    table::{Item, Query, Table, Values, described, number, number_of, text, text_of},
};
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
    pub async fn put(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        min_seconds: u32,
        max_seconds: u32,
    ) -> Result<(), StoreError> {
        let update = "SET #min = :min, #max = :max REMOVE #blocked";
        let values = vec![(":min", number(min_seconds)), (":max", number(max_seconds))];
        self.table.update(&keys::poll(tenant, account), update, None, values).await?;
        Ok(())
    }

    /// Polls it no more.
    pub async fn remove(&self, tenant: &Tenant, account: &AccountId) -> Result<(), StoreError> {
        self.table.delete(&keys::poll(tenant, account), None, Vec::new()).await?;
        Ok(())
    }

    /// Notes that mail came, which also ends its back-off. Nothing happens where the mailbox is not polled (any more).
    pub async fn arrived(&self, tenant: &Tenant, account: &AccountId, at: Timestamp) -> Result<(), StoreError> {
        self.update(tenant, account, "SET #last = :at REMOVE #blocked", vec![(":at", number(at.0))]).await
    }

    /// Leaves it alone until then; `None` lifts that. Nothing happens where the mailbox is not polled (any more).
    pub async fn block(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        until: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        match until {
            Some(until) => {
                self.update(tenant, account, "SET #blocked = :until", vec![(":until", number(until.0))]).await
            }
            None => self.update(tenant, account, "REMOVE #blocked", Vec::new()).await,
        }
    }

    /// All entries of one shard, as they were a moment ago: 0 to [`super::keys::POLL_SHARDS`] - 1.
    pub async fn shard(&self, shard: u8) -> Result<Vec<PollEntry>, StoreError> {
        let query = Query {
            condition: "#pk = :pk",
            values: vec![(":pk", text(keys::polls(shard)))],
            eventual: true,
            ..Query::default()
        };
        self.table.query_all(query).await?.iter().map(entry).collect()
    }

    async fn update(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        update: &str,
        values: Values<'_>,
    ) -> Result<(), StoreError> {
        // Refused where the entry is gone: polling was switched off meanwhile, and must stay so.
        self.table.update(&keys::poll(tenant, account), update, Some("attribute_exists(#pk)"), values).await?;
        Ok(())
    }
}

fn entry(item: &Item) -> Result<PollEntry, StoreError> {
    let read = || {
        let (tenant, account) = keys::polled(text_of(item, "sk")?)?;
        Some(PollEntry {
            tenant,
            account,
            min_seconds: number_of(item, "min")?,
            max_seconds: number_of(item, "max")?,
            last_arrival: number_of(item, "last").map(Timestamp),
            blocked_until: number_of(item, "blocked").map(Timestamp),
        })
    };
    read().ok_or_else(|| StoreError::Corrupt { key: described(item) })
}
