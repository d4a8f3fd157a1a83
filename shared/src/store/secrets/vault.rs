//! One secret's content, and the writing of it without losing anybody's change.

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Serialize, Serializer};

use super::super::{StoreError, error::aws, keys, random, seal::DataKey};
use crate::model::{AccountId, Tenant, account::SideSecrets};

/// Secrets Manager takes 65,536 bytes; the rest is room for what grows.
const FULL_BYTES: usize = 60_000;

/// One secret: those of up to a few hundred accounts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Vault {
    /// 32 random bytes, base64, in the tenant's first secret only: what is encrypted in the table is under this key.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    data_key: Option<SecretString>,
    pub accounts: BTreeMap<AccountId, Entry>,
}

impl Vault {
    /// The key under which what is in the table is encrypted.
    pub(super) fn data_key(&self) -> Option<DataKey> {
        let key = STANDARD.decode(self.data_key.as_ref()?.expose_secret()).map(Zeroizing::new).ok()?;
        DataKey::new(&key)
    }

    /// A vault with no account.
    pub(super) fn empty() -> Self {
        Self { data_key: None, accounts: BTreeMap::new() }
    }

    /// A vault with this key.
    #[cfg(test)]
    pub(super) fn with_data_key(key: [u8; 32]) -> Self {
        Self { data_key: Some(STANDARD.encode(key).into()), accounts: BTreeMap::new() }
    }

    /// A vault with one account.
    pub(super) fn of(account: AccountId, entry: Entry) -> Self {
        Self { data_key: None, accounts: [(account, entry)].into() }
    }
}

/// One account's secrets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The VersionId under which this entry was written: the account's row names it. The secret's own version moves on
    /// with every other account.
    pub version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp: Option<Kept>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive: Option<Kept>,
    /// What the account's row may still name, newest first: an entry counts once the row names it, and whoever writes
    /// one may be stopped before that, or lose against another writer. None of these has a past of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<Entry>,
}

/// The secrets of one side and what they belong to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kept {
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    password: Option<SecretString>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    client_secret: Option<SecretString>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    refresh_token: Option<SecretString>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    query: Option<SecretString>,
    pub fingerprint: String,
}

impl Kept {
    pub(super) fn new(secrets: SideSecrets, fingerprint: String) -> Self {
        let SideSecrets { password, client_secret, refresh_token, query } = secrets;
        Self { password, client_secret, refresh_token, query, fingerprint }
    }

    pub(super) fn secrets(&self) -> SideSecrets {
        let Self { password, client_secret, refresh_token, query, .. } = self.clone();
        SideSecrets { password, client_secret, refresh_token, query }
    }

    fn exposed(&self) -> [Option<&str>; 4] {
        [&self.password, &self.client_secret, &self.refresh_token, &self.query]
            .map(|secret| secret.as_ref().map(ExposeSecret::expose_secret))
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint && self.exposed() == other.exposed()
    }
}

/// How many earlier entries are kept beside one: what the row names, and what others wrote at the same time, any of
/// whom may win. More than a handful never change one account at once.
const PAST: usize = 8;

impl Entry {
    /// No secret that counts; there may be a past.
    pub(super) fn is_empty(&self) -> bool {
        self.smtp.is_none() && self.receive.is_none()
    }

    /// Nothing to store.
    pub(super) fn is_gone(&self) -> bool {
        self.is_empty() && self.past.is_empty()
    }

    /// The entry written as `version`: this one, or one before it.
    pub(super) fn named(&self, version: &str) -> Option<&Self> {
        std::iter::once(self).chain(&self.past).find(|entry| entry.version == version)
    }

    /// What a successor of this entry has to remember while the account's row names `version`: that entry, and those
    /// written since, whose writers may be about to write the row. Where it is not known any more, this entry.
    pub(super) fn remembered(&self, version: Option<&str>) -> Vec<Self> {
        let all: Vec<&Self> = std::iter::once(self).chain(&self.past).collect();
        let named = all.iter().position(|entry| Some(entry.version.as_str()) == version).unwrap_or(0);
        let since = all.iter().take(named).take(PAST - 1);
        let all = since.chain(all.get(named)).filter(|entry| !entry.is_empty());
        all.map(|entry| Self { past: Vec::new(), ..(*entry).clone() }).collect()
    }

    pub(super) fn same_secrets(&self, other: &Self) -> bool {
        self.smtp == other.smtp && self.receive == other.receive
    }
}

/// What came of writing one version.
pub(super) enum Write {
    Done,
    /// Somebody else wrote meanwhile: read again.
    Lost,
    /// No further version or byte fits into this secret.
    Full,
}

/// A vault as read, under its VersionId; none where the secret does not exist.
pub(super) async fn read(client: &Client, tenant: &Tenant, shard: u32) -> Result<Option<(Vault, String)>, StoreError> {
    let name = keys::secret(tenant, shard);
    let answer = match client.get_secret_value().secret_id(&name).send().await {
        Ok(answer) => answer,
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => {
            return Ok(None);
        }
        Err(error) => return Err(aws("GetSecretValue")(error)),
    };
    let json = Zeroizing::new(answer.secret_string.unwrap_or_default());
    let vault = serde_json::from_str(&json).map_err(|_| StoreError::Corrupt { key: name.clone() })?;
    let version = answer.version_id.ok_or(StoreError::Corrupt { key: name })?;
    Ok(Some((vault, version)))
}

/// Creates a secret with this content under this version.
pub(super) async fn create(
    client: &Client,
    tenant: &Tenant,
    shard: u32,
    mut vault: Vault,
    version: &str,
) -> Result<Write, StoreError> {
    if shard == 0 {
        vault.data_key = Some(STANDARD.encode(Zeroizing::new(random::fill(32))).into());
    }
    let several = vault.accounts.len() > 1;
    let Some(json) = fitting(&vault)? else {
        if several {
            return Ok(Write::Full);
        }
        // No further secret would take it either.
        return Err(StoreError::Refused {
            operation: "CreateSecret",
            code: "secrets too long".into(),
            status: 0,
            request: String::new(),
        });
    };
    let request =
        client.create_secret().name(keys::secret(tenant, shard)).client_request_token(version).secret_string(&*json);
    match request.send().await {
        Ok(_) => Ok(Write::Done),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_exists_exception()) => {
            Ok(Write::Lost)
        }
        Err(error) => Err(aws("CreateSecret")(error)),
    }
}

/// Writes this content under this version, if `read` is still the current one.
///
/// PutSecretValue alone would overwrite whatever is there. So the version comes in under a label of its own, and
/// AWSCURRENT is moved from the version that was read: that is refused when it sits elsewhere by now. The label goes in
/// either case, because a labelled version is never dropped, and about 100 of them are all that a secret has.
pub(super) async fn replace(
    client: &Client,
    tenant: &Tenant,
    shard: u32,
    vault: &Vault,
    read: &str,
    version: &str,
) -> Result<Write, StoreError> {
    let Some(json) = fitting(vault)? else {
        return Ok(Write::Full);
    };
    let name = keys::secret(tenant, shard);
    let label = format!("writing-{version}");
    let staged = client
        .put_secret_value()
        .secret_id(&name)
        .client_request_token(version)
        .secret_string(&*json)
        .version_stages(&label);
    match staged.send().await {
        Ok(_) => {}
        Err(error) if code(&error) == Some("LimitExceededException") => return Ok(Write::Full),
        Err(error) => return Err(aws("PutSecretValue")(error)),
    }
    let moved = client
        .update_secret_version_stage()
        .secret_id(&name)
        .version_stage("AWSCURRENT")
        .remove_from_version_id(read)
        .move_to_version_id(version);
    let moved = moved.send().await;
    let unlabelled = client
        .update_secret_version_stage()
        .secret_id(&name)
        .version_stage(&label)
        .remove_from_version_id(version)
        .send()
        .await;
    let done = match moved {
        Ok(_) => Write::Done,
        Err(error) if matches!(code(&error), Some("InvalidParameterException" | "InvalidRequestException")) => {
            Write::Lost
        }
        Err(error) => return Err(aws("UpdateSecretVersionStage")(error)),
    };
    if let Err(error) = unlabelled {
        // The write stands; a label too many costs one of the secret's versions, and says so.
        tracing::warn!(error = %aws("UpdateSecretVersionStage")(error), "a version of a secret keeps its label");
    }
    Ok(done)
}

fn fitting(vault: &Vault) -> Result<Option<Zeroizing<String>>, StoreError> {
    let json =
        serde_json::to_string(vault).map(Zeroizing::new).map_err(|_| StoreError::Corrupt { key: "a secret".into() })?;
    Ok(Some(json).filter(|json| json.len() <= FULL_BYTES))
}

fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

fn expose<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(ExposeSecret::expose_secret).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(password: usize) -> Vault {
        let kept = Kept::new(SideSecrets::password("p".repeat(password).into()), "f".into());
        Vault::of(AccountId::new("box").unwrap(), Entry { version: "v".into(), smtp: Some(kept), ..Entry::default() })
    }

    #[test]
    fn is_full_at_its_limit() {
        let rest = fitting(&vault(0)).unwrap().unwrap().len();
        assert!(fitting(&vault(FULL_BYTES - rest)).unwrap().is_some());
        assert!(fitting(&vault(FULL_BYTES - rest + 1)).unwrap().is_none());
    }

    #[test]
    fn is_read_as_it_was_written() {
        let written =
            r#"{"dataKey":"a2V5","accounts":{"box":{"version":"v","smtp":{"password":"secret","fingerprint":"f"}}}}"#;
        let vault: Vault = serde_json::from_str(written).unwrap();
        assert_eq!(&*fitting(&vault).unwrap().unwrap(), written);
        assert!(!format!("{vault:?}").contains("secret\""), "{vault:?}");
    }
}
