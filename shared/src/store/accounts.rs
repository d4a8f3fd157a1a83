//! Accounts: settings without secrets, and which version of the secret belongs to them.

use serde::{Deserialize, Serialize};

use super::{SecretRef, StoreError, messages::Page, table::Table};
use crate::model::{Account, AccountId, Tenant};

/// An account as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountRow {
    /// Settings, as shown.
    pub account: Account,
    /// Changes with every write: the ETag. Set by [`Accounts::put`].
    pub version: String,
    /// Where the passwords are; none where the account has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRef>,
}

/// What must be there for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Absent,
    /// This version.
    Version(String),
    /// Whatever.
    Any,
}

/// Accounts, by tenant and name.
#[derive(Clone, Debug)]
pub struct Accounts {
    table: Table,
}

impl Accounts {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// One account.
    pub async fn get(&self, tenant: &Tenant, account: &AccountId) -> Result<Option<AccountRow>, StoreError> {
        todo!()
    }

    /// A tenant's accounts by name, `limit` at a time.
    pub async fn list(&self, tenant: &Tenant, limit: u32, cursor: Option<&str>) -> Result<Page<AccountRow>, StoreError> {
        todo!()
    }

    /// Writes an account under a new version, which it returns.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where `expected` does not hold.
    pub async fn put(&self, tenant: &Tenant, row: AccountRow, expected: &Expect) -> Result<AccountRow, StoreError> {
        todo!()
    }

    /// Deletes an account's settings; false: there were none.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where `expected` does not hold.
    pub async fn delete(&self, tenant: &Tenant, account: &AccountId, expected: &Expect) -> Result<bool, StoreError> {
        todo!()
    }
}
