//! Suppressed addresses, by tenant and address.
//!
//! Most tenants have none, and every attempt at a message asks: so a mark of one item says whether there is any. Asking
//! costs one read unit where there is none, and one more for each recipient (half a batch's) where there is.

use super::{
    StoreError,
    cursor::{self, Page},
    keys::{self, Key},
    table::{Table, Write, item, primary, row},
};
use crate::model::Tenant;
use crate::model::suppression::Suppression;

/// Suppressed addresses.
#[derive(Clone, Debug)]
pub struct Suppressions {
    table: Table,
}

impl Suppressions {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// Suppresses an address; false: it was suppressed before, and says this now.
    pub async fn put(&self, tenant: &Tenant, suppression: &Suppression) -> Result<bool, StoreError> {
        // The mark first: without it nobody looks. It stays when the last address goes, for nobody counts them.
        self.table.put(primary(&keys::suppresses(tenant)), None, Vec::new()).await?;
        let item = item(&keys::suppression(tenant, &suppression.address), suppression)?;
        match self.table.put(item.clone(), Some("attribute_not_exists(#pk)"), Vec::new()).await? {
            Write::Done(_) => Ok(true),
            Write::Refused(_) => self.table.put(item, None, Vec::new()).await.map(|_| false),
        }
    }

    /// One address, in the form in which it is stored.
    pub async fn get(&self, tenant: &Tenant, address: &str) -> Result<Option<Suppression>, StoreError> {
        self.table.get(&keys::suppression(tenant, address)).await?.map(row).transpose()
    }

    /// Those of these addresses, in the form in which they are stored, that are suppressed.
    pub async fn among(&self, tenant: &Tenant, addresses: &[String]) -> Result<Vec<Suppression>, StoreError> {
        if addresses.is_empty() || self.table.get(&keys::suppresses(tenant)).await?.is_none() {
            return Ok(Vec::new());
        }
        let keys: Vec<Key> = addresses.iter().map(|address| keys::suppression(tenant, address)).collect();
        self.table.batch_get(&keys, None).await?.into_iter().map(row).collect()
    }

    /// A tenant's suppressed addresses in alphabetical order, `limit` at a time.
    pub async fn list(
        &self,
        tenant: &Tenant,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<Page<Suppression>, StoreError> {
        cursor::rows(&self.table, keys::suppressions(tenant), limit, cursor).await
    }

    /// Takes an address off the list; false: it was not on it.
    pub async fn delete(&self, tenant: &Tenant, address: &str) -> Result<bool, StoreError> {
        let deleted = self.table.delete(&keys::suppression(tenant, address), None, Vec::new()).await?;
        Ok(matches!(deleted, Write::Done(old) if !old.is_empty()))
    }
}
