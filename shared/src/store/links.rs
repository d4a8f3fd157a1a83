//! Links to files for people without a token: each is a random name in the table, and ends by itself.

use serde::{Deserialize, Serialize};

use super::{
    StoreError, keys, random,
    table::{Table, item, number, row},
};
use crate::model::{Tenant, Timestamp};

/// Random bytes of a name: nobody guesses 160 bits.
const NAME_BYTES: usize = 20;

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// The file, by its SHA-256.
    pub file: String,
    /// The name that it is saved under.
    pub filename: String,
    /// Its type.
    pub content_type: String,
    /// Until when.
    pub expires_at: Timestamp,
}

/// Links, by tenant and name.
#[derive(Clone, Debug)]
pub struct Links {
    table: Table,
}

impl Links {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// Makes a link; returns what stands in its URL, `<tenant>.<name>`.
    pub async fn create(&self, tenant: &Tenant, link: &Link) -> Result<String, StoreError> {
        let name = random::hex(NAME_BYTES);
        let mut item = item(&keys::link(tenant, &name), link)?;
        item.insert("ttl".to_owned(), number(link.expires_at.seconds()));
        self.table.put(item, None, Vec::new()).await?;
        Ok(format!("{tenant}.{name}"))
    }

    /// Where a link leads, with its tenant; none where it has ended, or never was.
    pub async fn get(&self, token: &str, now: Timestamp) -> Result<Option<(Tenant, Link)>, StoreError> {
        let Some((tenant, name)) = token.split_once('.') else {
            return Ok(None);
        };
        let hex = name.len() == 2 * NAME_BYTES && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let Some(tenant) = Tenant::new(tenant).ok().filter(|_| hex) else {
            return Ok(None);
        };
        let link: Option<Link> = self.table.get(&keys::link(&tenant, name)).await?.map(row).transpose()?;
        // The table forgets some time later.
        Ok(link.filter(|link| link.expires_at > now).map(|link| (tenant, link)))
    }
}
