//! The vault of personal data: what a token stands for, encrypted under the tenant's data key. Whoever has the table
//! alone reads nothing, and a value that is moved to another token cannot be opened.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Secrets, StoreError,
    keys::{self, Key},
    random,
    table::{Item, Table, Write, item, number, number_of, primary, row, text, text_of},
};
use crate::model::pii::PiiToken;
use crate::model::{Tenant, Timestamp};

/// Letters and digits of a token. 32 of them: five bits each, and none that is read as another.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// The two random parts of a token: 120 bits, which nobody guesses.
const PARTS: [usize; 2] = [8, 16];

/// Who resolves the tokens that are not kept here.
#[derive(Clone, Debug)]
pub struct Resolver {
    /// Where it is asked.
    pub url: String,
    /// What it is asked with.
    pub secret: Option<SecretString>,
    /// When it was settled.
    pub updated_at: Timestamp,
}

/// Personal data, by tenant and token.
#[derive(Clone, Debug)]
pub struct Pii {
    table: Table,
    secrets: Secrets,
}

impl Pii {
    pub(super) fn new(table: Table, secrets: Secrets) -> Self {
        Self { table, secrets }
    }

    /// Keeps a value under a new token.
    pub async fn create(
        &self,
        tenant: &Tenant,
        value: &SecretString,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<PiiToken, StoreError> {
        let token = PiiToken { token: new_token(), created_at: now, expires_at };
        let key = keys::pii_token(tenant, &token.token);
        let mut item = item(&key, &token)?;
        item.insert("sealed".to_owned(), self.sealed(tenant, &key, value, now).await?);
        if let Some(end) = expires_at {
            item.insert("ttl".to_owned(), number(end.seconds()));
        }
        self.table.put(item, None, Vec::new()).await?;
        Ok(token)
    }

    /// A token, without its value.
    pub async fn get(&self, tenant: &Tenant, token: &str, now: Timestamp) -> Result<Option<PiiToken>, StoreError> {
        let found: Option<PiiToken> = self.table.get(&keys::pii_token(tenant, token)).await?.map(row).transpose()?;
        Ok(found.filter(|found| found.expires_at.is_none_or(|end| end > now)))
    }

    /// Forgets a value; false: there was none.
    pub async fn delete(&self, tenant: &Tenant, token: &str) -> Result<bool, StoreError> {
        let deleted = self.table.delete(&keys::pii_token(tenant, token), None, Vec::new()).await?;
        Ok(matches!(deleted, Write::Done(old) if !old.is_empty()))
    }

    /// What these tokens stand for, those of them that are kept here.
    pub async fn reveal(
        &self,
        tenant: &Tenant,
        tokens: &[String],
        now: Timestamp,
    ) -> Result<BTreeMap<String, SecretString>, StoreError> {
        let keys: Vec<Key> = tokens.iter().map(|token| keys::pii_token(tenant, token)).collect();
        let mut values = BTreeMap::new();
        for item in self.table.batch_get(&keys, None).await? {
            // The table forgets some time later.
            let over = number_of::<i64>(&item, "ttl").is_some_and(|end| end <= now.seconds());
            if let (Some(token), false) = (text_of(&item, "token"), over) {
                let key = keys::pii_token(tenant, token);
                values.insert(token.to_owned(), self.opened(tenant, &key, &item, now).await?);
            }
        }
        Ok(values)
    }

    /// The tenant's resolver.
    pub async fn resolver(&self, tenant: &Tenant, now: Timestamp) -> Result<Option<Resolver>, StoreError> {
        let key = keys::pii_resolver(tenant);
        let Some(item) = self.table.get(&key).await? else {
            return Ok(None);
        };
        let secret = match item.contains_key("sealed") {
            true => Some(self.opened(tenant, &key, &item, now).await?),
            false => None,
        };
        let corrupt = || StoreError::Corrupt { key: key.to_string() };
        let url = text_of(&item, "url").ok_or_else(corrupt)?.to_owned();
        Ok(Some(Resolver { url, secret, updated_at: Timestamp(number_of(&item, "updatedAt").ok_or_else(corrupt)?) }))
    }

    /// Settles the tenant's resolver.
    pub async fn put_resolver(&self, tenant: &Tenant, resolver: &Resolver, now: Timestamp) -> Result<(), StoreError> {
        let key = keys::pii_resolver(tenant);
        let mut item = primary(&key);
        item.insert("url".to_owned(), text(&resolver.url));
        item.insert("updatedAt".to_owned(), number(resolver.updated_at.0));
        if let Some(secret) = &resolver.secret {
            item.insert("sealed".to_owned(), self.sealed(tenant, &key, secret, now).await?);
        }
        self.table.put(item, None, Vec::new()).await?;
        Ok(())
    }

    /// Forgets the tenant's resolver; false: there was none.
    pub async fn delete_resolver(&self, tenant: &Tenant) -> Result<bool, StoreError> {
        let deleted = self.table.delete(&keys::pii_resolver(tenant), None, Vec::new()).await?;
        Ok(matches!(deleted, Write::Done(old) if !old.is_empty()))
    }

    async fn sealed(
        &self,
        tenant: &Tenant,
        key: &Key,
        value: &SecretString,
        now: Timestamp,
    ) -> Result<AttributeValue, StoreError> {
        let data_key = self.secrets.data_key(tenant, now).await?;
        let sealed = data_key.seal(&key.to_string(), value.expose_secret().as_bytes());
        sealed.map(|bytes| AttributeValue::B(Blob::new(bytes))).ok_or(StoreError::Corrupt { key: key.to_string() })
    }

    async fn opened(
        &self,
        tenant: &Tenant,
        key: &Key,
        item: &Item,
        now: Timestamp,
    ) -> Result<SecretString, StoreError> {
        let corrupt = || StoreError::Corrupt { key: key.to_string() };
        let sealed = item.get("sealed").and_then(|sealed| sealed.as_b().ok()).ok_or_else(corrupt)?;
        let data_key = self.secrets.data_key(tenant, now).await?;
        let opened = data_key.open(&key.to_string(), sealed.as_ref()).ok_or_else(corrupt)?;
        Ok(SecretString::from(std::str::from_utf8(&opened).map_err(|_| corrupt())?))
    }
}

fn new_token() -> String {
    let parts = PARTS.map(|length| {
        let random = random::fill(length);
        random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect::<String>()
    });
    format!("NS-EU-{}-{}", parts[0], parts[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_tokens_are_tokens_and_differ() {
        let tokens: std::collections::HashSet<String> = (0..100).map(|_| new_token()).collect();
        assert!(tokens.len() == 100 && tokens.iter().all(|token| crate::model::pii::is_token(token)), "{tokens:?}");
    }
}
