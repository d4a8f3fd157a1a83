//! Access tokens: only their hashes are stored.

use serde::{Deserialize, Serialize};

use super::{StoreError, messages::Page, table::Table};
use crate::model::{AccountId, Tenant, Timestamp, principal::Scope};

/// A token as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenRow {
    /// SHA-256 of the token, lower-case hex.
    pub hash: String,
    /// Words for people.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The accounts it may touch; `None`: all of the tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<AccountId>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends. The row is deleted some time later: who reads it compares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Tokens, by tenant and hash.
#[derive(Clone, Debug)]
pub struct Tokens {
    table: Table,
}

impl Tokens {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// The token with this hash.
    pub async fn get(&self, tenant: &Tenant, hash: &str) -> Result<Option<TokenRow>, StoreError> {
        todo!()
    }

    /// A tenant's tokens, `limit` at a time.
    pub async fn list(&self, tenant: &Tenant, limit: u32, cursor: Option<&str>) -> Result<Page<TokenRow>, StoreError> {
        todo!()
    }

    /// Writes a token.
    pub async fn put(&self, tenant: &Tenant, row: &TokenRow) -> Result<(), StoreError> {
        todo!()
    }

    /// Deletes a token; false: there was none.
    pub async fn delete(&self, tenant: &Tenant, hash: &str) -> Result<bool, StoreError> {
        todo!()
    }
}
