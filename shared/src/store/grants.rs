//! What OAuth grants have brought: access tokens, and refresh tokens that took the place of the one that was given.
//!
//! One item per refresh token that somebody gave (or per application, where there is none). It belongs to that token
//! and not to a side, because where tokens rotate, both sides must follow one chain. Its content is encrypted under the
//! tenant's data key. Every write is conditional on the version that was read: a newer refresh token is never
//! overwritten by an older one. The claim beside it saves work; correctness does not rest on it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Serialize, Serializer};

use super::{
    Secrets, StoreError,
    keys::{self, GrantId},
    random,
    table::{Item, Table, Write, number, number_of, text, text_of},
};
use crate::model::{AccountId, Tenant, Timestamp};

/// Nothing that has not been renewed for so long is worth anything: providers drop refresh tokens after 90 days to six
/// months without use.
const KEPT_SECONDS: i64 = 200 * 86_400;

/// Grants in one process's memory; beyond, it begins anew.
const REMEMBERED: usize = 2_000;

/// The tokens of one grant.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct GrantTokens {
    /// The refresh token that took the place of the one given.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    pub refresh_token: Option<SecretString>,
    /// Access tokens, by scope.
    pub access: BTreeMap<String, Access>,
}

/// What asking for a scope has brought.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Access {
    /// A token.
    Token {
        /// The token.
        #[serde(serialize_with = "expose_one")]
        token: SecretString,
        /// When it should be renewed.
        renew_at: Timestamp,
        /// When it is worth nothing.
        expires_at: Timestamp,
    },
    /// The grant is not accepted any more.
    Revoked,
}

/// A grant as read.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// Its tokens.
    pub tokens: GrantTokens,
    /// Counts the writes; 0: there is none yet.
    pub version: u64,
    /// Until when somebody renews it, or nobody should.
    pub claimed_until: Option<Timestamp>,
    /// Why nobody should.
    pub trouble: Option<String>,
}

/// Which grant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GrantKey {
    /// Whose.
    pub tenant: Tenant,
    /// Of which mailbox.
    pub account: AccountId,
    /// Which one of it.
    pub id: GrantId,
}

/// The right to renew a grant, by its random name.
#[derive(Debug)]
pub struct GrantClaim(String);

/// One grant in memory. Whoever renews it holds the lock, so that a process asks once.
pub type GrantSlot = Arc<tokio::sync::Mutex<Option<Grant>>>;

/// Grants, by mailbox.
#[derive(Clone, Debug)]
pub struct Grants {
    table: Table,
    secrets: Secrets,
    memory: Arc<Mutex<HashMap<GrantKey, GrantSlot>>>,
}

impl Grants {
    pub(super) fn new(table: Table, secrets: Secrets) -> Self {
        Self { table, secrets, memory: Arc::default() }
    }

    /// What this process remembers of a grant.
    pub fn remembered(&self, key: &GrantKey) -> GrantSlot {
        // A poisoned lock means a panic between two lines that cannot leave the map half changed.
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.len() >= REMEMBERED && !memory.contains_key(key) {
            memory.clear();
        }
        Arc::clone(memory.entry(key.clone()).or_default())
    }

    /// Reads a grant; an empty one where there is none. What settings brought that were tried before they were stored
    /// ([`AccountId::nobody`]) counts as long as this account's own was never written, because the refresh token given
    /// may be used up by it.
    pub async fn load(&self, key: &GrantKey, now: Timestamp) -> Result<Grant, StoreError> {
        let own = self.table.get(&keys::grant(key)).await?.unwrap_or_default();
        let grant = self.opened(key, &own, now).await?;
        if own.contains_key("sealed") {
            return Ok(grant);
        }
        let tried = GrantKey { account: AccountId::nobody(), ..key.clone() };
        match self.table.get(&keys::grant(&tried)).await? {
            Some(item) => Ok(Grant { tokens: self.opened(&tried, &item, now).await?.tokens, ..grant }),
            None => Ok(grant),
        }
    }

    /// Takes the right to renew the grant for a while; none where it was written since, or somebody else has it.
    pub async fn claim(
        &self,
        key: &GrantKey,
        version: u64,
        now: Timestamp,
        seconds: u32,
    ) -> Result<Option<GrantClaim>, StoreError> {
        let owner = random::hex(8);
        let until = now.plus_seconds(seconds.into());
        let values = vec![
            (":owner", text(&owner)),
            (":until", number(until.0)),
            (":now", number(now.0)),
            (":version", number(version)),
            (":ttl", number(until.plus_seconds(KEPT_SECONDS).seconds())),
        ];
        let update = "SET #owner = :owner, #until = :until, #ttl = :ttl REMOVE #trouble";
        let same = if version == 0 {
            "(attribute_not_exists(#version) AND :version = :version)"
        } else {
            "#version = :version"
        };
        let free = format!("(attribute_not_exists(#until) OR #until <= :now) AND {same}");
        match self.table.update(&keys::grant(key), update, Some(&free), values).await? {
            Write::Done(_) => Ok(Some(GrantClaim(owner))),
            // The answer got lost and the SDK asked again: it is ourselves who have it.
            Write::Refused(Some(old)) if text_of(&old, "owner") == Some(&owner) => Ok(Some(GrantClaim(owner))),
            Write::Refused(_) => Ok(None),
        }
    }

    /// Writes what renewing brought over the version that was read, gives the claim back, and counts the version up.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: somebody wrote it meanwhile; nothing was written.
    pub async fn save(
        &self,
        key: &GrantKey,
        claim: &GrantClaim,
        grant: &mut Grant,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_vec(&grant.tokens).map(Zeroizing::new);
        let json = json.map_err(|_| StoreError::Corrupt { key: "a grant".into() })?;
        let data_key = self.secrets.data_key(&key.tenant, now).await?;
        let sealed = data_key.seal(&place(key), &json).ok_or(StoreError::Corrupt { key: "a grant".into() })?;
        let read = grant.version;
        let values = vec![
            (":sealed", AttributeValue::B(Blob::new(sealed))),
            (":next", number(read + 1)),
            (":read", number(read)),
            (":writer", text(&claim.0)),
            (":ttl", number(now.plus_seconds(KEPT_SECONDS).seconds())),
        ];
        let update =
            "SET #sealed = :sealed, #version = :next, #writer = :writer, #ttl = :ttl REMOVE #owner, #until, #trouble";
        let same = if read == 0 { "attribute_not_exists(#version) AND :read = :read" } else { "#version = :read" };
        match self.table.update(&keys::grant(key), update, Some(same), values).await? {
            Write::Done(_) => {}
            // The answer got lost and the SDK asked again: it is our own writing that is there.
            Write::Refused(Some(old))
                if text_of(&old, "writer") == Some(&claim.0) && number_of(&old, "version") == Some(read + 1) => {}
            Write::Refused(_) => return Err(StoreError::Conflict { what: "the grant" }),
        }
        grant.version = read + 1;
        (grant.claimed_until, grant.trouble) = (None, None);
        Ok(())
    }

    /// Lets nobody try again before then, and says why. Nothing happens where somebody else renews by now.
    pub async fn rest(
        &self,
        key: &GrantKey,
        claim: &GrantClaim,
        until: Timestamp,
        trouble: &str,
    ) -> Result<(), StoreError> {
        let values = vec![(":owner", text(&claim.0)), (":until", number(until.0)), (":trouble", text(trouble))];
        let update = "SET #until = :until, #trouble = :trouble";
        self.table.update(&keys::grant(key), update, Some("#owner = :owner"), values).await?;
        Ok(())
    }

    async fn opened(&self, key: &GrantKey, item: &Item, now: Timestamp) -> Result<Grant, StoreError> {
        let corrupt = || StoreError::Corrupt { key: keys::grant(key).to_string() };
        let tokens = match item.get("sealed") {
            // Claimed, and never written.
            None => GrantTokens::default(),
            Some(sealed) => {
                let sealed = sealed.as_b().map_err(|_| corrupt())?.as_ref();
                let data_key = self.secrets.data_key(&key.tenant, now).await?;
                let json = data_key.open(&place(key), sealed).ok_or_else(corrupt)?;
                serde_json::from_slice(&json).map_err(|_| corrupt())?
            }
        };
        Ok(Grant {
            tokens,
            version: number_of(item, "version").unwrap_or_default(),
            claimed_until: number_of(item, "until").map(Timestamp),
            trouble: text_of(item, "trouble").map(str::to_owned),
        })
    }
}

/// Where it is stored: what is moved elsewhere cannot be opened.
fn place(key: &GrantKey) -> String {
    keys::grant(key).to_string()
}

fn expose<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(ExposeSecret::expose_secret).serialize(serializer)
}

fn expose_one<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}
