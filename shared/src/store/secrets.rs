//! Passwords, in Secrets Manager: one secret per tenant (a further shard when one is full).

use aws_sdk_secretsmanager::Client;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::model::{AccountId, Tenant, Timestamp, account::Passwords};

/// Where an account's passwords are. A cached secret of another version is read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRef {
    /// Which of the tenant's secrets.
    pub shard: u32,
    /// Its VersionId when the passwords were written.
    pub version: String,
}

/// Which of an account's passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// For sending.
    Smtp,
    /// For receiving.
    Receive,
}

/// Why there is no password to log in with.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// None is stored: the account is incomplete.
    #[error("no password is stored")]
    NotFound,
    /// The password belongs to another server, port, security or user: it is given to nobody else.
    #[error("the password belongs to other settings")]
    FingerprintMismatch,
    /// Secrets Manager cannot be asked. No failure of the account.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What passwords belong to: [`crate::model::Server::fingerprint`] of each side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprints {
    /// Of the sending side.
    pub smtp: Option<String>,
    /// Of the receiving side.
    pub receive: Option<String>,
}

/// Passwords, by tenant and account.
#[derive(Clone, Debug)]
pub struct Secrets {
    client: Client,
}

impl Secrets {
    pub(super) fn new(client: Client, cache_seconds: u32) -> Self {
        todo!()
    }

    /// Stores an account's passwords before its row is written. A side without a new password keeps its stored one if
    /// the fingerprint is still the same, and loses it otherwise. `at` is where the row says they are now.
    pub async fn put(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        at: Option<&SecretRef>,
        passwords: &Passwords,
        fingerprints: &Fingerprints,
    ) -> Result<SecretRef, StoreError> {
        todo!()
    }

    /// The password for one side, from memory where it is young enough and of the row's version.
    pub async fn get(&self, tenant: &Tenant, account: &AccountId, at: &SecretRef, side: Side, fingerprint: &str, now: Timestamp) -> Result<SecretString, SecretError> {
        todo!()
    }

    /// The same, past the memory: once, after a server refused what memory gave.
    pub async fn refresh(&self, tenant: &Tenant, account: &AccountId, at: &SecretRef, side: Side, fingerprint: &str, now: Timestamp) -> Result<SecretString, SecretError> {
        todo!()
    }

    /// Deletes an account's passwords, after its row.
    pub async fn delete(&self, tenant: &Tenant, account: &AccountId, at: &SecretRef) -> Result<(), StoreError> {
        todo!()
    }
}
