//! What accounts were before: settings without secrets, who changed them and when.

use super::{
    AccountRow, StoreError, keys,
    table::{Item, Query, Table, item, row, text},
};
use crate::model::{AccountId, Tenant};

/// Versions that are kept, the current one included.
pub const VERSIONS: usize = 20;

/// Earlier versions, by tenant and account.
#[derive(Clone, Debug)]
pub struct History {
    table: Table,
}

impl History {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// Keeps a version that is about to be replaced: before its replacement is written, so that none can be lost.
    /// Keeping it twice is harmless. What is too old goes.
    pub async fn keep(&self, tenant: &Tenant, version: &AccountRow) -> Result<(), StoreError> {
        let account = &version.account.account;
        // Where its secrets were is of no use later: a restored version has those that are stored then.
        let kept = AccountRow { secret: None, ..version.clone() };
        let key = keys::history(tenant, account, version.account.updated_at, &version.version);
        self.table.put(item(&key, &kept)?, None, Vec::new()).await?;
        let earlier = self.items(tenant, account, None).await?;
        for old in earlier.iter().skip(VERSIONS - 1).filter_map(keys::Key::of) {
            self.table.delete(&old, None, Vec::new()).await?;
        }
        Ok(())
    }

    /// What an account was before, newest first.
    pub async fn list(&self, tenant: &Tenant, account: &AccountId) -> Result<Vec<AccountRow>, StoreError> {
        let limit = u32::try_from(VERSIONS).ok();
        self.items(tenant, account, limit).await?.into_iter().map(row).collect()
    }

    async fn items(&self, tenant: &Tenant, account: &AccountId, limit: Option<u32>) -> Result<Vec<Item>, StoreError> {
        let query = Query {
            condition: "#pk = :pk AND begins_with(#sk, :versions)",
            values: vec![(":pk", text(keys::mailbox(tenant, account))), (":versions", text(keys::HISTORY))],
            descending: true,
            limit,
            ..Query::default()
        };
        Ok(match limit {
            Some(_) => self.table.query(query).await?.0,
            None => self.table.query_all(query).await?,
        })
    }
}
