//! How an account fares. Written only when something changes: an idle poll writes nothing.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{StoreError, table::Table};
use crate::model::{AccountId, Tenant, Timestamp};

/// Whether an account works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum AccountState {
    /// It worked last time.
    Ok,
    /// Not tried since its settings changed.
    #[default]
    Unverified,
    /// The server refused the credentials.
    AuthFailed,
    /// The server could not be reached.
    ConnectFailed,
    /// Switched off.
    Disabled,
}

/// The same for doors that know fewer states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConfigCode {
    /// Usable.
    #[default]
    Ok,
    /// Nothing is configured.
    ConfigNotSet,
    /// Something is missing, such as the password.
    IncompleteConfig,
    /// The server refused the credentials.
    InvalidCredentials,
    /// The server fails.
    ProviderError,
}

/// An account's status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccountStatus {
    /// Whether it works.
    pub state: AccountState,
    /// The same as a code.
    pub error_code: ConfigCode,
    /// Refused logins in a row.
    pub auth_failures: u32,
    /// No login before this time: back-off.
    pub next_login_at: Option<Timestamp>,
    /// The last pull that brought or changed something.
    pub last_pull_at: Option<Timestamp>,
    /// The last message sent.
    pub last_send_at: Option<Timestamp>,
    /// The last failure in words that may be shown.
    pub last_error: Option<String>,
}

/// What to change of a status: `None` leaves a field as it is, so that sending and pulling do not undo each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusChange {
    /// Whether it works.
    pub state: Option<AccountState>,
    /// The same as a code.
    pub error_code: Option<ConfigCode>,
    /// Refused logins in a row.
    pub auth_failures: Option<u32>,
    /// No login before this time; `Some(None)` lifts it.
    pub next_login_at: Option<Option<Timestamp>>,
    /// The last pull that brought or changed something.
    pub last_pull_at: Option<Timestamp>,
    /// The last message sent.
    pub last_send_at: Option<Timestamp>,
    /// The last failure; `Some(None)` forgets it.
    pub last_error: Option<Option<String>>,
}

/// Statuses, by tenant and account.
#[derive(Clone, Debug)]
pub struct Statuses {
    table: Table,
}

impl Statuses {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// One account's status; the default where nothing happened yet.
    pub async fn get(&self, tenant: &Tenant, account: &AccountId) -> Result<AccountStatus, StoreError> {
        todo!()
    }

    /// The statuses of these accounts, for a list. Accounts without one have the default.
    pub async fn of(&self, tenant: &Tenant, accounts: &[AccountId]) -> Result<HashMap<AccountId, AccountStatus>, StoreError> {
        todo!()
    }

    /// Changes the named fields.
    pub async fn change(&self, tenant: &Tenant, account: &AccountId, change: &StatusChange) -> Result<(), StoreError> {
        todo!()
    }

    /// Forgets everything.
    pub async fn delete(&self, tenant: &Tenant, account: &AccountId) -> Result<(), StoreError> {
        todo!()
    }
}
