//! Accounts: settings without secrets, and which version of the secret belongs to them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{
    Mailbox, SecretRef, StoreError,
    cursor::{self, Page},
    keys, random,
    table::{Table, Values, Write, glance, item, row, text, text_of},
};
use crate::model::{Account, AccountId, Tenant};

/// An account as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountRow {
    /// Settings, as shown.
    pub account: Account,
    /// Changes with every write: the ETag. Set by [`Accounts::put`].
    pub version: String,
    /// Which token changed it last: [`crate::model::Principal::token`].
    #[serde(default)]
    pub changed_by: String,
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

impl Expect {
    fn condition(&self) -> (Option<&'static str>, Values<'static>) {
        match self {
            Self::Absent => (Some("attribute_not_exists(#pk)"), Vec::new()),
            Self::Version(version) => (Some("#version = :version"), vec![(":version", text(version))]),
            Self::Any => (None, Vec::new()),
        }
    }
}

const CONFLICT: StoreError = StoreError::Conflict { what: "the account" };

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
        self.table.get(&keys::account(tenant, account)).await?.map(row).transpose()
    }

    /// These accounts as they were a moment ago; those that cannot be read are told to the log and left out, like those
    /// that are not there: whoever takes an account for gone asks [`Accounts::get`] first.
    pub async fn glance(&self, mailboxes: &[Mailbox]) -> Result<HashMap<Mailbox, AccountRow>, StoreError> {
        let keys = mailboxes.iter().map(|at| (keys::account(&at.tenant, &at.account), at));
        glance(&self.table, keys).await
    }

    /// A tenant's accounts by name, `limit` at a time.
    pub async fn list(
        &self,
        tenant: &Tenant,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<Page<AccountRow>, StoreError> {
        cursor::rows(&self.table, keys::accounts(tenant), limit, cursor).await
    }

    /// A version that no account has yet.
    pub fn next_version() -> String {
        random::hex(8)
    }

    /// Writes an account under a new version, which it returns.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where `expected` does not hold.
    pub async fn put(&self, tenant: &Tenant, row: AccountRow, expected: &Expect) -> Result<AccountRow, StoreError> {
        self.put_as(tenant, AccountRow { version: Self::next_version(), ..row }, expected).await
    }

    /// The same under the version that it comes with: one of [`Accounts::next_version`].
    ///
    /// # Errors
    /// As there.
    pub async fn put_as(&self, tenant: &Tenant, row: AccountRow, expected: &Expect) -> Result<AccountRow, StoreError> {
        let item = item(&keys::account(tenant, &row.account.account), &row)?;
        let (condition, values) = expected.condition();
        match self.table.put(item, condition, values).await? {
            Write::Done(_) => Ok(row),
            // The answer got lost and the SDK asked again: it is our own version that is there.
            Write::Refused(Some(old)) if text_of(&old, "version") == Some(&row.version) => Ok(row),
            Write::Refused(_) => Err(CONFLICT),
        }
    }

    /// Deletes an account's settings; false: there were none (any more).
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where `expected` does not hold.
    pub async fn delete(&self, tenant: &Tenant, account: &AccountId, expected: &Expect) -> Result<bool, StoreError> {
        let (condition, values) = expected.condition();
        match self.table.delete(&keys::account(tenant, account), condition, values).await? {
            Write::Done(old) => Ok(!old.is_empty()),
            Write::Refused(None) => Ok(false),
            Write::Refused(Some(_)) => Err(CONFLICT),
        }
    }
}
