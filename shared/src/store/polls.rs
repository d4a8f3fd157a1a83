//! Which mailboxes are polled: packed into shards that `schedule` reads every minute. Ids and times only.

use super::{
    StoreError, keys,
    table::{Item, Query, Table, Values, Write, described, number, number_of, text, text_of},
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
    /// At each tick up to this time: somebody is waiting for a message.
    pub hurried_until: Option<Timestamp>,
    /// What the server says of the mailbox where nothing has happened: a hash ([`Polls::mark`]).
    pub quiet: Option<String>,
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
        let update = "SET #min = :min, #max = :max REMOVE #blocked, #quiet";
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
        self.update(tenant, account, "SET #last = :at REMOVE #blocked, #quiet", vec![(":at", number(at.0))])
            .await
            .map(drop)
    }

    /// Leaves it alone until then; `None` lifts that. Nothing happens where the mailbox is not polled (any more).
    pub async fn block(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        until: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let (update, values) = match until {
            Some(until) => ("SET #blocked = :until REMOVE #quiet", vec![(":until", number(until.0))]),
            None => ("REMOVE #blocked, #quiet", Vec::new()),
        };
        self.update(tenant, account, update, values).await.map(drop)
    }

    /// Polls it at each tick until then, whatever its interval, because somebody waits for a message: for `…/await`.
    /// The worker still needs a moment, so whoever is in more of a hurry than a tick pulls by himself. False: the mailbox
    /// is not polled at all, and nothing was noted. It does not end a back-off. One write; nobody needs to take it back.
    pub async fn hurry(&self, tenant: &Tenant, account: &AccountId, until: Timestamp) -> Result<bool, StoreError> {
        self.update(tenant, account, "SET #hurried = :until", vec![(":until", number(until.0))]).await
    }

    /// Notes what the server says of a mailbox that has been quiet for a while: whoever is told the same at the next poll
    /// needs neither its status nor its ledgers, and an idle poll costs one read of half a unit. A hash, so that nothing
    /// of the mailbox stands under a key without a tenant.
    pub async fn mark(&self, tenant: &Tenant, account: &AccountId, quiet: &str) -> Result<(), StoreError> {
        self.update(tenant, account, "SET #quiet = :quiet", vec![(":quiet", text(quiet))]).await.map(drop)
    }

    /// Forgets that mark, so that the next poll looks at the ledger: for whoever changes what is to be done there
    /// without pulling, and whoever deletes where the server may soon say the same again. Without it the mailbox is looked at within a day.
    pub async fn unmark(&self, tenant: &Tenant, account: &AccountId) -> Result<(), StoreError> {
        self.update(tenant, account, "REMOVE #quiet", Vec::new()).await.map(drop)
    }

    /// All entries of one shard, as they were a moment ago: 0 to [`super::keys::POLL_SHARDS`] - 1. An entry is an item of
    /// some 70 bytes, and a query pays for the sum of them: 55 mailboxes for each 4 KB, which is half a unit. They are
    /// not packed into fewer and larger items, because a write pays for the whole item, and each arrival writes.
    /// One that cannot be read is told to the log and left out: the others are due all the same.
    pub async fn shard(&self, shard: u8) -> Result<Vec<PollEntry>, StoreError> {
        let query = Query {
            condition: "#pk = :pk",
            values: vec![(":pk", text(keys::polls(shard)))],
            eventual: true,
            ..Query::default()
        };
        let entries = self.table.query_all(query).await?;
        let read = |item| entry(item).inspect_err(|error| tracing::error!(%error, "a polled mailbox cannot be read"));
        Ok(entries.iter().filter_map(|item| read(item).ok()).collect())
    }

    async fn update(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        update: &str,
        values: Values<'_>,
    ) -> Result<bool, StoreError> {
        // Refused where the entry is gone: polling was switched off meanwhile, and must stay so.
        let key = keys::poll(tenant, account);
        let written = self.table.update(&key, update, Some("attribute_exists(#pk)"), values).await?;
        Ok(matches!(written, Write::Done(_)))
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
            hurried_until: number_of(item, "hurried").map(Timestamp),
            quiet: text_of(item, "quiet").map(str::to_owned),
        })
    };
    read().ok_or_else(|| StoreError::Corrupt { key: described(item) })
}
