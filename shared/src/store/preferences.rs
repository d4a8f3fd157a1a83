//! What a tenant has settled once for all its accounts.

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{
    Secrets, StoreError, keys,
    table::{Table, item, row},
};
use crate::model::account::split_query;
use crate::model::{Tenant, Timestamp};

/// A tenant's preferences.
#[derive(Clone, Debug, Default)]
pub struct Preferences {
    /// The token server of accounts that name none of their own. Its query may be a key.
    pub auth_server: Option<SecretString>,
}

/// The same as an item: the query is encrypted under the tenant's data key.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stored {
    auth_server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed_query: Option<String>,
}

/// Preferences, by tenant.
#[derive(Clone, Debug)]
pub struct AllPreferences {
    table: Table,
    secrets: Secrets,
}

impl AllPreferences {
    pub(super) fn new(table: Table, secrets: Secrets) -> Self {
        Self { table, secrets }
    }

    /// A tenant's preferences; the defaults where nothing was settled.
    pub async fn get(&self, tenant: &Tenant, now: Timestamp) -> Result<Preferences, StoreError> {
        let item = self.table.get(&keys::preferences(tenant)).await?;
        let stored: Stored = item.map(row).transpose()?.unwrap_or_default();
        let Some(sealed) = stored.sealed_query else {
            return Ok(Preferences { auth_server: stored.auth_server.map(Into::into) });
        };
        let corrupt = || StoreError::Corrupt { key: "preferences".into() };
        let sealed = STANDARD.decode(sealed).map_err(|_| corrupt())?;
        let opened = self.secrets.data_key(tenant, now).await?.open(&place(tenant), &sealed).ok_or_else(corrupt)?;
        let query = std::str::from_utf8(&opened).map_err(|_| corrupt())?;
        Ok(Preferences { auth_server: stored.auth_server.map(|url| format!("{url}?{query}").into()) })
    }

    /// Settles them.
    pub async fn put(&self, tenant: &Tenant, preferences: &Preferences, now: Timestamp) -> Result<(), StoreError> {
        let mut stored = Stored::default();
        if let Some((url, query)) = preferences.auth_server.as_ref().map(split_query) {
            stored.auth_server = Some(url);
            if let Some(query) = query {
                let sealed =
                    self.secrets.data_key(tenant, now).await?.seal(&place(tenant), query.expose_secret().as_bytes());
                let sealed = sealed.ok_or_else(|| StoreError::Corrupt { key: "preferences".into() })?;
                stored.sealed_query = Some(STANDARD.encode(sealed));
            }
        }
        self.table.put(item(&keys::preferences(tenant), &stored)?, None, Vec::new()).await?;
        Ok(())
    }
}

/// Where it is stored: what is moved elsewhere cannot be opened.
fn place(tenant: &Tenant) -> String {
    format!("preferences of {tenant}")
}
