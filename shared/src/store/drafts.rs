//! Accounts that are not complete yet. A front door may set one field after the other; what it has so far lies apart
//! from the accounts, so that nobody sends through half of one.

use super::{
    AccountRow, StoreError, keys,
    table::{Table, item, row},
};
use crate::model::{AccountId, Tenant};

/// Incomplete accounts, by tenant and name. A field that is missing is an empty text or port 0.
#[derive(Clone, Debug)]
pub struct Drafts {
    table: Table,
}

impl Drafts {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// The draft that lies over this version of the account, or over none. Any other one was overtaken by a change of
    /// the account itself and counts no more.
    pub async fn get(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        over: Option<&AccountRow>,
    ) -> Result<Option<AccountRow>, StoreError> {
        let draft: Option<AccountRow> = self.table.get(&keys::draft(tenant, account)).await?.map(row).transpose()?;
        let version = over.map(|row| row.version.as_str()).unwrap_or_default();
        Ok(draft.filter(|draft| draft.version == version))
    }

    /// Writes a draft; its `version` is that of the account it lies over, or empty.
    pub async fn put(&self, tenant: &Tenant, draft: &AccountRow) -> Result<(), StoreError> {
        let item = item(&keys::draft(tenant, &draft.account.account), draft)?;
        self.table.put(item, None, Vec::new()).await?;
        Ok(())
    }
}
