//! How an account fares. Written only when something changes: an idle poll writes nothing.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::{
    StoreError, keys,
    table::{Table, row, text_of, value},
};
use crate::model::views::{AccountErrorCode, AccountState};
use crate::model::{AccountId, Tenant, Timestamp};

/// An account's status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccountStatus {
    /// Whether it works.
    pub state: AccountState,
    /// The same as a code.
    pub error_code: AccountErrorCode,
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
    /// How the sending server was secured when somebody looked last.
    pub smtp_tls: Option<SeenTls>,
    /// The same of the receiving server.
    pub receive_tls: Option<SeenTls>,
}

/// How a server was secured when somebody looked last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenTls {
    /// Which server: another one has another certificate.
    pub host: String,
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The last moment of its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
}

/// What to change of a status: `None` leaves a field as it is, so that sending and pulling do not undo each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusChange {
    /// Whether it works.
    pub state: Option<AccountState>,
    /// The same as a code.
    pub error_code: Option<AccountErrorCode>,
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
    /// How the sending server is secured.
    pub smtp_tls: Option<SeenTls>,
    /// How the receiving server is secured.
    pub receive_tls: Option<SeenTls>,
}

/// A field to set, or to remove where there is no value.
type Field = (&'static str, Option<AttributeValue>);

impl StatusChange {
    fn fields(&self) -> Result<Vec<Field>, StoreError> {
        let mut fields = Vec::new();
        add(&mut fields, "state", self.state.as_ref().map(Some))?;
        add(&mut fields, "errorCode", self.error_code.as_ref().map(Some))?;
        add(&mut fields, "authFailures", self.auth_failures.as_ref().map(Some))?;
        add(&mut fields, "nextLoginAt", self.next_login_at.as_ref().map(Option::as_ref))?;
        add(&mut fields, "lastPullAt", self.last_pull_at.as_ref().map(Some))?;
        add(&mut fields, "lastSendAt", self.last_send_at.as_ref().map(Some))?;
        add(&mut fields, "lastError", self.last_error.as_ref().map(Option::as_ref))?;
        add(&mut fields, "smtpTls", self.smtp_tls.as_ref().map(Some))?;
        add(&mut fields, "receiveTls", self.receive_tls.as_ref().map(Some))?;
        Ok(fields)
    }
}

fn add<T: Serialize>(
    fields: &mut Vec<Field>,
    name: &'static str,
    change: Option<Option<&T>>,
) -> Result<(), StoreError> {
    if let Some(change) = change {
        fields.push((name, change.map(value).transpose()?));
    }
    Ok(())
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
        let item = self.table.get(&keys::status(tenant, account)).await?;
        item.map(row).transpose().map(Option::unwrap_or_default)
    }

    /// The statuses of these accounts, for a list; nothing happened yet to those that are left out.
    pub async fn of(
        &self,
        tenant: &Tenant,
        accounts: &[AccountId],
    ) -> Result<HashMap<AccountId, AccountStatus>, StoreError> {
        let keys: Vec<_> = accounts.iter().map(|account| keys::status(tenant, account)).collect();
        let mut statuses = HashMap::new();
        for item in self.table.batch_get(&keys, None).await? {
            if let Some(account) = text_of(&item, "sk").and_then(|name| AccountId::new(name).ok()) {
                statuses.insert(account, row(item)?);
            }
        }
        Ok(statuses)
    }

    /// Changes the named fields.
    pub async fn change(&self, tenant: &Tenant, account: &AccountId, change: &StatusChange) -> Result<(), StoreError> {
        let fields = change.fields()?;
        let sets: Vec<String> =
            fields.iter().flat_map(|(name, value)| value.is_some().then(|| format!("#{name} = :{name}"))).collect();
        let removes: Vec<String> =
            fields.iter().flat_map(|(name, value)| value.is_none().then(|| format!("#{name}"))).collect();
        let clauses = [("SET", sets), ("REMOVE", removes)].into_iter().filter(|(_, fields)| !fields.is_empty());
        let update: Vec<String> = clauses.map(|(verb, fields)| format!("{verb} {}", fields.join(", "))).collect();
        if update.is_empty() {
            return Ok(());
        }
        let placeholders: Vec<(String, AttributeValue)> =
            fields.into_iter().filter_map(|(name, value)| Some((format!(":{name}"), value?))).collect();
        let values = placeholders.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        self.table.update(&keys::status(tenant, account), &update.join(" "), None, values).await?;
        Ok(())
    }

    /// Forgets everything.
    pub async fn delete(&self, tenant: &Tenant, account: &AccountId) -> Result<(), StoreError> {
        self.table.delete(&keys::status(tenant, account), None, Vec::new()).await?;
        Ok(())
    }
}
