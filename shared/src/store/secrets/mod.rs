//! Passwords and their like, in Secrets Manager: one secret per tenant (a further shard when one is full).

mod vault;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_secretsmanager::Client;
use serde::{Deserialize, Serialize};

use self::vault::{Entry, Kept, Vault, Write};
use super::{StoreError, random, seal::DataKey};
use crate::model::{
    AccountId, Tenant, Timestamp,
    account::{Account, AccountSecrets, SideSecrets},
};

/// Where an account's secrets are. A cached secret of another version is read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRef {
    /// Which of the tenant's secrets.
    pub shard: u32,
    /// The VersionId under which they were written.
    pub version: String,
}

/// Which of an account's sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// For sending.
    Smtp,
    /// For receiving.
    Receive,
}

/// Why there is no secret to log in with.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// None is stored: the account is incomplete.
    #[error("no secret is stored")]
    NotFound,
    /// The secret belongs to another server, port, security or user: it is given to nobody else.
    #[error("the secret belongs to other settings")]
    FingerprintMismatch,
    /// Secrets Manager cannot be asked. No failure of the account.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What secrets belong to: [`crate::model::Server::fingerprint`] of each side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprints {
    /// Of the sending side.
    pub smtp: Option<String>,
    /// Of the receiving side.
    pub receive: Option<String>,
}

impl Fingerprints {
    /// Those of an account's settings.
    pub fn of(account: &Account) -> Self {
        Self { smtp: account.smtp_fingerprint(), receive: account.receive_fingerprint() }
    }
}

/// What one of several accounts has given: as [`Secrets::put`] takes it.
#[derive(Debug)]
pub struct SecretChange<'a> {
    /// Whose.
    pub account: &'a AccountId,
    /// Where its row says its secrets are now.
    pub at: Option<&'a SecretRef>,
    /// What is given.
    pub secrets: &'a AccountSecrets,
    /// What it belongs to.
    pub fingerprints: Fingerprints,
}

/// How often a writer that lost against another one tries again.
const WRITE_TRIES: u64 = 12;

/// Secrets of accounts, by tenant and account.
#[derive(Clone, Debug)]
pub struct Secrets {
    client: Client,
    cache_seconds: u32,
    cache: Arc<Mutex<HashMap<(Tenant, u32), Slot>>>,
}

/// One secret in memory. Whoever reads it holds the lock, so that a hundred mailboxes of a tenant read it once.
type Slot = Arc<tokio::sync::Mutex<Option<Cached>>>;

#[derive(Debug)]
struct Cached {
    vault: Vault,
    read_at: Timestamp,
}

/// What came of writing an account into one of the tenant's secrets.
enum Placed {
    /// It is there, written under this version.
    At(String),
    /// It does not fit; these are its secrets now.
    Full(Entry),
}

impl Secrets {
    pub(super) fn new(client: Client, cache_seconds: u32) -> Self {
        Self { client, cache_seconds, cache: Arc::default() }
    }

    /// Stores an account's secrets, before its row is written. A side that is not given one anew keeps the stored one if
    /// the fingerprint is still the same, and loses it otherwise. `at` is where the row says they are now: those stay
    /// beside the new ones until the row names these, so that a writer who is stopped between the two changes nothing.
    /// Nothing is written where nothing changes; no reference comes back where none is left.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where too many others write at the same time.
    pub async fn put(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        at: Option<&SecretRef>,
        secrets: &AccountSecrets,
        fingerprints: &Fingerprints,
    ) -> Result<Option<SecretRef>, StoreError> {
        let mut shard = at.map_or(0, |at| at.shard);
        let mut carried = Entry::default();
        loop {
            let next = |stored: Option<&Entry>| merged(stored.unwrap_or(&carried), at, secrets, fingerprints);
            match self.write(tenant, account, shard, next).await? {
                Placed::At(version) => {
                    return Ok(Some(SecretRef { shard, version }).filter(|at| !at.version.is_empty()));
                }
                Placed::Full(entry) => (carried, shard) = (entry, shard + 1),
            }
        }
    }

    /// The same for several accounts: one version of the tenant's secret for all of them, because a secret keeps about
    /// a hundred versions. Where they do not fit together, each finds its place by itself.
    ///
    /// # Errors
    /// As [`Secrets::put`]; then some may be written.
    pub async fn put_all(
        &self,
        tenant: &Tenant,
        changes: &[SecretChange<'_>],
    ) -> Result<Vec<Option<SecretRef>>, StoreError> {
        let mut by_shard: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (index, change) in changes.iter().enumerate() {
            by_shard.entry(change.at.map_or(0, |at| at.shard)).or_default().push(index);
        }
        let mut places = vec![None; changes.len()];
        for (shard, group) in by_shard {
            let together: Vec<&SecretChange<'_>> = group.iter().map(|index| &changes[*index]).collect();
            let written = self.write_together(tenant, shard, &together).await?;
            for (position, index) in group.iter().enumerate() {
                let change = &changes[*index];
                places[*index] = match &written {
                    Some(written) => written[position].clone(),
                    None => self.put(tenant, change.account, change.at, change.secrets, &change.fingerprints).await?,
                };
            }
        }
        Ok(places)
    }

    /// The secrets of one side, from memory where it is young enough and of the row's version.
    ///
    /// # Errors
    /// Tells apart what the account lacks from what Secrets Manager cannot say right now.
    pub async fn get(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        at: &SecretRef,
        side: Side,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<SideSecrets, SecretError> {
        let slot = self.slot(tenant, at.shard);
        let mut cached = slot.lock().await;
        let young = |cached: &Cached| now.0.abs_diff(cached.read_at.0) < u64::from(self.cache_seconds) * 1000;
        let written = |cached: &Cached| {
            let entry = cached.vault.accounts.get(account);
            entry.is_some_and(|entry| entry.named(&at.version).is_some())
        };
        if !cached.as_ref().is_some_and(|cached| young(cached) && written(cached)) {
            *cached = self.read(tenant, at.shard, now).await?;
        }
        found(cached.as_ref(), account, Which::Named(&at.version), side, fingerprint)
    }

    /// The newest for these settings, past the memory: once, after a server refused what memory gave.
    ///
    /// # Errors
    /// As [`Secrets::get`].
    pub async fn refresh(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        at: &SecretRef,
        side: Side,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<SideSecrets, SecretError> {
        let slot = self.slot(tenant, at.shard);
        let mut cached = slot.lock().await;
        *cached = self.read(tenant, at.shard, now).await?;
        found(cached.as_ref(), account, Which::Newest(&at.version), side, fingerprint)
    }

    /// The tenant's data key, which is made with the tenant's first secret.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where the tenant's first secret holds none.
    pub(super) async fn data_key(&self, tenant: &Tenant, now: Timestamp) -> Result<DataKey, StoreError> {
        let slot = self.slot(tenant, 0);
        let mut cached = slot.lock().await;
        for _ in 0..2 {
            // It never changes: however old the memory is.
            if let Some(key) = cached.as_ref().and_then(|cached| cached.vault.data_key()) {
                return Ok(key);
            }
            *cached = self.read(tenant, 0, now).await?;
            if cached.is_none() {
                vault::create(&self.client, tenant, 0, Vault::empty(), &random::hex(16)).await?;
            }
        }
        *cached = self.read(tenant, 0, now).await?;
        let key = cached.as_ref().and_then(|cached| cached.vault.data_key());
        key.ok_or(StoreError::Missing { what: "the tenant's data key" })
    }

    /// Forgets what stands beside an account's secrets, after its row names these: a password that was taken away shall
    /// not wait for the next one. `at` is what the row names, or named before.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where too many others write at the same time.
    pub async fn settle(&self, tenant: &Tenant, account: &AccountId, at: &SecretRef) -> Result<(), StoreError> {
        let bare = |stored: Option<&Entry>| Entry { past: Vec::new(), ..stored.cloned().unwrap_or_default() };
        match self.write(tenant, account, at.shard, bare).await? {
            Placed::At(_) => Ok(()),
            Placed::Full(_) => Err(StoreError::busy("PutSecretValue")),
        }
    }

    /// Deletes an account's secrets, whatever its row says of them: from every secret that they may have moved through.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where too many others write at the same time.
    pub async fn delete(&self, tenant: &Tenant, account: &AccountId, at: Option<&SecretRef>) -> Result<(), StoreError> {
        for shard in 0..=at.map_or(0, |at| at.shard) {
            if let Placed::Full(_) = self.write(tenant, account, shard, |_| Entry::default()).await? {
                return Err(StoreError::busy("PutSecretValue"));
            }
        }
        Ok(())
    }

    /// Reads, changes one account, writes; again if somebody else wrote meanwhile.
    async fn write(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        shard: u32,
        next: impl Fn(Option<&Entry>) -> Entry,
    ) -> Result<Placed, StoreError> {
        for attempt in 0..WRITE_TRIES {
            let found = vault::read(&self.client, tenant, shard).await?;
            let stored = found.as_ref().and_then(|(vault, _)| vault.accounts.get(account));
            let (mut entry, version) = (next(stored), random::hex(16));
            if let Some(unchanged) = unchanged(stored, &entry) {
                // This also recognises our own write whose answer was lost.
                return Ok(Placed::At(unchanged));
            }
            if entry.version.is_empty() {
                entry.version.clone_from(&version);
            }
            let written = match found {
                None => {
                    let vault = Vault::of(account.clone(), entry.clone());
                    vault::create(&self.client, tenant, shard, vault, &version).await?
                }
                Some((mut vault, read)) => {
                    match entry.is_gone() {
                        true => vault.accounts.remove(account),
                        false => vault.accounts.insert(account.clone(), entry.clone()),
                    };
                    vault::replace(&self.client, tenant, shard, &vault, &read, &version).await?
                }
            };
            match written {
                Write::Done if entry.is_empty() => return Ok(Placed::At(String::new())),
                Write::Done => return Ok(Placed::At(entry.version)),
                Write::Full => return Ok(Placed::Full(entry)),
                Write::Lost => tokio::time::sleep(Duration::from_millis(20 * attempt)).await,
            }
        }
        Err(StoreError::Conflict { what: "the tenant's secret" })
    }

    /// Writes several accounts under one version; none where they do not fit into this secret together.
    async fn write_together(
        &self,
        tenant: &Tenant,
        shard: u32,
        changes: &[&SecretChange<'_>],
    ) -> Result<Option<Vec<Option<SecretRef>>>, StoreError> {
        for attempt in 0..WRITE_TRIES {
            let version = random::hex(16);
            let found = vault::read(&self.client, tenant, shard).await?;
            let (mut vault, read) = found.map_or((Vault::default(), None), |(vault, read)| (vault, Some(read)));
            let mut changed = false;
            for change in changes {
                let stored = vault.accounts.get(change.account).cloned().unwrap_or_default();
                let next = merged(&stored, change.at, change.secrets, &change.fingerprints);
                if next.same_secrets(&stored) {
                    continue;
                }
                changed = true;
                match next.is_gone() {
                    true => vault.accounts.remove(change.account),
                    false => vault.accounts.insert(change.account.clone(), Entry { version: version.clone(), ..next }),
                };
            }
            let place = |account| {
                let entry = vault.accounts.get(account).filter(|entry| !entry.is_empty());
                entry.map(|entry| entry.version.clone())
            };
            let places = changes.iter().map(|change| Some(SecretRef { shard, version: place(change.account)? }));
            let places = places.collect();
            if !changed {
                return Ok(Some(places));
            }
            let written = match read {
                None => vault::create(&self.client, tenant, shard, vault, &version).await?,
                Some(read) => vault::replace(&self.client, tenant, shard, &vault, &read, &version).await?,
            };
            match written {
                Write::Done => return Ok(Some(places)),
                Write::Full => return Ok(None),
                Write::Lost => tokio::time::sleep(Duration::from_millis(20 * attempt)).await,
            }
        }
        Err(StoreError::Conflict { what: "the tenant's secret" })
    }

    async fn read(&self, tenant: &Tenant, shard: u32, now: Timestamp) -> Result<Option<Cached>, StoreError> {
        let found = vault::read(&self.client, tenant, shard).await?;
        Ok(found.map(|(vault, _)| Cached { vault, read_at: now }))
    }

    /// Puts a data key into memory, as reading the tenant's secret would.
    #[cfg(test)]
    pub(super) fn remember_data_key(&self, tenant: &Tenant, key: [u8; 32]) {
        let cached = Cached { vault: Vault::with_data_key(key), read_at: Timestamp(0) };
        self.slot(tenant, 0).try_lock().unwrap().replace(cached);
    }

    fn slot(&self, tenant: &Tenant, shard: u32) -> Slot {
        // A poisoned lock means a panic between two lines that cannot leave the map half changed.
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(cache.entry((tenant.clone(), shard)).or_default())
    }
}

/// The version to go on with where the entry says nothing new; empty where it holds no secret.
fn unchanged(stored: Option<&Entry>, entry: &Entry) -> Option<String> {
    let Some(stored) = stored else {
        return entry.is_gone().then(String::new);
    };
    let settles = entry.past.is_empty() && !stored.past.is_empty();
    if entry.is_gone() || settles || !stored.same_secrets(entry) {
        return None;
    }
    Some(if stored.is_empty() { String::new() } else { stored.version.clone() })
}

/// New secrets where given; those that the row names where they belong to the same settings still. A row that names
/// none has none, whatever is stored.
fn merged(stored: &Entry, at: Option<&SecretRef>, secrets: &AccountSecrets, fingerprints: &Fingerprints) -> Entry {
    let named = at.map(|at| stored.named(&at.version).unwrap_or(stored));
    let side = |of: fn(&Entry) -> &Option<Kept>, given: &SideSecrets, fingerprint: &Option<String>| {
        let fingerprint = fingerprint.clone()?;
        let stored = named.and_then(|named| of(named).as_ref()).filter(|kept| kept.fingerprint == fingerprint);
        let secrets = given.clone().or(stored.map(Kept::secrets).unwrap_or_default());
        (!secrets.is_empty()).then(|| Kept::new(secrets, fingerprint))
    };
    Entry {
        version: String::new(),
        smtp: side(|entry| &entry.smtp, &secrets.smtp, &fingerprints.smtp),
        receive: side(|entry| &entry.receive, &secrets.receive, &fingerprints.receive),
        past: stored.remembered(at.map(|at| at.version.as_str())),
    }
}

/// Which of an account's entries is asked for.
#[derive(Clone, Copy)]
enum Which<'a> {
    /// The one that the row names; where it is gone, the row is old and the newest counts.
    Named(&'a str),
    /// The newest, and where it does not belong to the settings, the one that the row names.
    Newest(&'a str),
}

fn found(
    cached: Option<&Cached>,
    account: &AccountId,
    which: Which<'_>,
    side: Side,
    fingerprint: &str,
) -> Result<SideSecrets, SecretError> {
    let entry = cached.and_then(|cached| cached.vault.accounts.get(account)).ok_or(SecretError::NotFound)?;
    let of = |entry: &Entry| {
        let kept = match side {
            Side::Smtp => &entry.smtp,
            Side::Receive => &entry.receive,
        };
        let kept = kept.as_ref().ok_or(SecretError::NotFound)?;
        if kept.fingerprint == fingerprint { Ok(kept.secrets()) } else { Err(SecretError::FingerprintMismatch) }
    };
    match which {
        Which::Named(version) => of(entry.named(version).unwrap_or(entry)),
        Which::Newest(version) => of(entry).or_else(|_| of(entry.named(version).unwrap_or(entry))),
    }
}

#[cfg(test)]
mod tests;
