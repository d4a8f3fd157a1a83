//! What a tenant has settled once for all its accounts.

use serde::{Deserialize, Serialize};

use super::{
    StoreError, keys,
    table::{Table, item, row},
};
use crate::model::Tenant;

/// A tenant's preferences.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Preferences {
    /// The token server of accounts that name none of their own.
    pub auth_server: Option<String>,
}

/// Preferences, by tenant.
#[derive(Clone, Debug)]
pub struct AllPreferences {
    table: Table,
}

impl AllPreferences {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// A tenant's preferences; the defaults where nothing was settled.
    pub async fn get(&self, tenant: &Tenant) -> Result<Preferences, StoreError> {
        let item = self.table.get(&keys::preferences(tenant)).await?;
        item.map(row).transpose().map(Option::unwrap_or_default)
    }

    /// Settles them.
    pub async fn put(&self, tenant: &Tenant, preferences: &Preferences) -> Result<(), StoreError> {
        self.table.put(item(&keys::preferences(tenant), preferences)?, None, Vec::new()).await?;
        Ok(())
    }
}
