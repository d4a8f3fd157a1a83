//! Access tokens: only their hashes are stored.

use serde::{Deserialize, Serialize};

use super::{
    StoreError,
    cursor::{self, Page},
    keys,
    table::{Table, Write, item, number, row},
};
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
        self.table.get(&keys::token(tenant, hash)).await?.map(row).transpose()
    }

    /// A tenant's tokens, `limit` at a time.
    pub async fn list(&self, tenant: &Tenant, limit: u32, cursor: Option<&str>) -> Result<Page<TokenRow>, StoreError> {
        cursor::rows(&self.table, keys::tokens(tenant), limit, cursor).await
    }

    /// Writes a token.
    pub async fn put(&self, tenant: &Tenant, row: &TokenRow) -> Result<(), StoreError> {
        let mut item = item(&keys::token(tenant, &row.hash), row)?;
        if let Some(expires) = row.expires_at {
            item.insert("ttl".to_owned(), number(expires.seconds()));
        }
        self.table.put(item, None, Vec::new()).await?;
        Ok(())
    }

    /// Deletes a token; false: there was none.
    pub async fn delete(&self, tenant: &Tenant, hash: &str) -> Result<bool, StoreError> {
        let deleted = self.table.delete(&keys::token(tenant, hash), None, Vec::new()).await?;
        Ok(matches!(deleted, Write::Done(old) if !old.is_empty()))
    }
}
