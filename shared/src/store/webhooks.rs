//! Webhooks, their signing secrets, and the log of what was delivered to them.
//!
//! A signing secret is encrypted in the webhook's own item, under a key that lies in a secret of its own: whoever
//! delivers webhooks may read that one secret and none of the tenants' (decision 19). A tenant's webhooks are read once
//! per process and cache time, none as well as many: so a tenant without any costs half a read unit per minute, and
//! only while something happens there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_secretsmanager::Client;
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Serialize};

use super::{
    StoreError,
    cursor::{self, Page},
    error::aws,
    keys, random,
    seal::DataKey,
    table::{Query, Table, Write, item, number, row, text, text_of, value},
};
use crate::model::webhook::{Delivery, DeliveryState, DisabledReason, WEBHOOKS, WebhookInput};
use crate::model::{Event, Tenant, Timestamp};

/// Bytes of a signing secret (Standard Webhooks: 24 to 64).
const SECRET_BYTES: usize = 32;

/// How long a delivery is listed and can be replayed.
const LISTED_SECONDS: i64 = 14 * 86_400;

/// Tenants in one process's memory; beyond, it begins anew.
const REMEMBERED: usize = 10_000;

/// A webhook as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookRow {
    /// Its id.
    pub id: String,
    /// As it was given.
    pub settings: WebhookInput,
    /// Why it is switched off, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<DisabledReason>,
    /// Since when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
    /// Since when nothing has arrived there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// The newest first.
    keys: Vec<SealedSecret>,
    /// Names the settings as they are: a change is conditional on it.
    pub version: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its settings changed last.
    pub updated_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SealedSecret {
    sealed: String,
    /// Until when it signs; none: it is the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

impl WebhookRow {
    /// Whether anything is sent there.
    pub fn is_on(&self) -> bool {
        self.settings.enabled && self.disabled_reason.is_none()
    }

    /// Until when the secret before the newest signs, too.
    pub fn previous_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.keys.get(1)?.until.filter(|until| *until > now)
    }
}

/// A delivery as stored: with the event, so that it can be sent again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryRow {
    /// As it is listed.
    #[serde(flatten)]
    pub shown: Delivery,
    /// The event.
    pub payload: Event,
    /// When trying began: it is given up some time later.
    pub began: Timestamp,
}

/// What a tenant's webhooks were a moment ago.
type Known = (Timestamp, Arc<Vec<WebhookRow>>);

/// Webhooks, by tenant and id.
#[derive(Clone, Debug)]
pub struct Webhooks {
    table: Table,
    client: Client,
    cache_seconds: u32,
    known: Arc<Mutex<HashMap<Tenant, Known>>>,
    key: Arc<tokio::sync::OnceCell<DataKey>>,
}

impl Webhooks {
    pub(super) fn new(table: Table, client: Client, cache_seconds: u32) -> Self {
        Self { table, client, cache_seconds, known: Arc::default(), key: Arc::default() }
    }

    /// A tenant's webhooks, from memory where it is young enough.
    pub async fn known(&self, tenant: &Tenant, now: Timestamp) -> Result<Arc<Vec<WebhookRow>>, StoreError> {
        let young = |read: Timestamp| now.0.abs_diff(read.0) < u64::from(self.cache_seconds) * 1000;
        if let Some((_, found)) = self.memory().get(tenant).filter(|(read, _)| young(*read)) {
            return Ok(Arc::clone(found));
        }
        let found = Arc::new(self.all(tenant, true).await?);
        let mut memory = self.memory();
        if memory.len() >= REMEMBERED {
            memory.clear();
        }
        memory.insert(tenant.clone(), (now, Arc::clone(&found)));
        Ok(found)
    }

    /// A tenant's webhooks, by their ids.
    pub async fn list(&self, tenant: &Tenant) -> Result<Vec<WebhookRow>, StoreError> {
        self.all(tenant, false).await
    }

    async fn all(&self, tenant: &Tenant, eventual: bool) -> Result<Vec<WebhookRow>, StoreError> {
        let values = vec![(":pk", text(keys::webhooks(tenant)))];
        let query = Query { condition: "#pk = :pk", values, eventual, ..Query::default() };
        self.table.query_all(query).await?.into_iter().map(row).collect()
    }

    /// One webhook.
    pub async fn get(&self, tenant: &Tenant, id: &str) -> Result<Option<WebhookRow>, StoreError> {
        self.table.get(&keys::webhook(tenant, id)).await?.map(row).transpose()
    }

    /// Makes a webhook of this id, with its secret; none where the tenant has [`WEBHOOKS`] of them.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: there is one of this id.
    pub async fn create(
        &self,
        tenant: &Tenant,
        id: String,
        settings: WebhookInput,
        now: Timestamp,
    ) -> Result<Option<(WebhookRow, SecretString)>, StoreError> {
        if self.all(tenant, false).await?.len() >= WEBHOOKS {
            return Ok(None);
        }
        let (secret, sealed) = self.new_secret(tenant, &id).await?;
        let disabled = (!settings.enabled).then_some(DisabledReason::Manual);
        let row = WebhookRow {
            id,
            settings,
            disabled_reason: disabled,
            disabled_at: disabled.map(|_| now),
            failing_since: None,
            keys: vec![sealed],
            version: random::hex(8),
            created_at: now,
            updated_at: now,
        };
        self.write(tenant, &row, "attribute_not_exists(#pk)", Vec::new()).await?;
        Ok(Some((row, secret)))
    }

    /// Replaces a webhook's settings. Switched on, it is forgiven what was.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: somebody else changed it since it was read.
    pub async fn change(
        &self,
        tenant: &Tenant,
        row: WebhookRow,
        settings: WebhookInput,
        now: Timestamp,
    ) -> Result<WebhookRow, StoreError> {
        let read = row.version.clone();
        let mut row = WebhookRow { version: random::hex(8), updated_at: now, settings, ..row };
        match (row.settings.enabled, row.disabled_reason) {
            (true, _) => (row.disabled_reason, row.disabled_at, row.failing_since) = (None, None, None),
            (false, None) => (row.disabled_reason, row.disabled_at) = (Some(DisabledReason::Manual), Some(now)),
            (false, Some(_)) => {}
        }
        self.replace(tenant, &row, &read).await?;
        Ok(row)
    }

    /// Gives a webhook a new secret; the one before it signs beside it until `keep`.
    ///
    /// # Errors
    /// As [`Webhooks::change`].
    pub async fn rotate(
        &self,
        tenant: &Tenant,
        row: WebhookRow,
        keep: Timestamp,
        now: Timestamp,
    ) -> Result<(WebhookRow, SecretString), StoreError> {
        let (secret, sealed) = self.new_secret(tenant, &row.id).await?;
        let read = row.version.clone();
        let before = row.keys.first().filter(|_| keep > now).cloned();
        let before = before.map(|key| SealedSecret { until: Some(keep), ..key });
        let keys = std::iter::once(sealed).chain(before).collect();
        let row = WebhookRow { version: random::hex(8), updated_at: now, keys, ..row };
        self.replace(tenant, &row, &read).await?;
        Ok((row, secret))
    }

    async fn replace(&self, tenant: &Tenant, row: &WebhookRow, read: &str) -> Result<(), StoreError> {
        self.write(tenant, row, "#version = :read", vec![(":read", text(read))]).await
    }

    async fn write(
        &self,
        tenant: &Tenant,
        row: &WebhookRow,
        condition: &str,
        values: Vec<(&'static str, AttributeValue)>,
    ) -> Result<(), StoreError> {
        let new = item(&keys::webhook(tenant, &row.id), row)?;
        let written = self.table.put(new, Some(condition), values).await?;
        self.forget(tenant);
        match written {
            Write::Done(_) => Ok(()),
            // The answer got lost and the SDK asked again: it is our own writing that is there.
            Write::Refused(Some(old)) if text_of(&old, "version") == Some(&row.version) => Ok(()),
            Write::Refused(_) => Err(StoreError::Conflict { what: "the webhook" }),
        }
    }

    /// Forgets a webhook; false: there was none. What is on its way to it is dropped, its log ends by itself.
    pub async fn delete(&self, tenant: &Tenant, id: &str) -> Result<bool, StoreError> {
        let deleted = self.table.delete(&keys::webhook(tenant, id), None, Vec::new()).await?;
        self.forget(tenant);
        Ok(matches!(deleted, Write::Done(old) if !old.is_empty()))
    }

    /// Switches a webhook off; nothing happens where it is, is gone, or fails since another time than this: then
    /// something has arrived there meanwhile.
    pub async fn disable(
        &self,
        tenant: &Tenant,
        id: &str,
        reason: DisabledReason,
        failing_since: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let update =
            "SET #disabledReason = :reason, #disabledAt = :now, #version = :version, #settings.#enabled = :off";
        let mut values = vec![
            (":reason", value(&reason)?),
            (":now", value(&now)?),
            (":version", text(random::hex(8))),
            (":off", AttributeValue::Bool(false)),
        ];
        let mut condition = "attribute_exists(#pk) AND attribute_not_exists(#disabledReason)".to_owned();
        if let Some(since) = failing_since {
            condition.push_str(" AND #failingSince = :since");
            values.push((":since", value(&since)?));
        }
        self.table.update(&keys::webhook(tenant, id), update, Some(&condition), values).await?;
        self.forget(tenant);
        Ok(())
    }

    /// Notes whether what was sent there last has arrived: since when not.
    pub async fn note_health(
        &self,
        tenant: &Tenant,
        id: &str,
        failing_since: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let key = keys::webhook(tenant, id);
        let exists = "attribute_exists(#pk)";
        match failing_since {
            None => self.table.update(&key, "REMOVE #failingSince", Some(exists), Vec::new()).await?,
            Some(since) => {
                let update = "SET #failingSince = if_not_exists(#failingSince, :since)";
                self.table.update(&key, update, Some(exists), vec![(":since", value(&since)?)]).await?
            }
        };
        self.forget(tenant);
        Ok(())
    }

    /// The secrets that a webhook is signed with now, the newest first.
    pub async fn secrets(
        &self,
        tenant: &Tenant,
        row: &WebhookRow,
        now: Timestamp,
    ) -> Result<Vec<SecretString>, StoreError> {
        let key = self.key(false).await?;
        let place = keys::webhook(tenant, &row.id).to_string();
        let corrupt = || StoreError::Corrupt { key: place.clone() };
        let signing = row.keys.iter().filter(|key| key.until.is_none_or(|until| until > now));
        signing
            .map(|sealed| {
                let bytes = STANDARD.decode(&sealed.sealed).map_err(|_| corrupt())?;
                let opened = key.open(&place, &bytes).ok_or_else(corrupt)?;
                std::str::from_utf8(&opened).map(SecretString::from).map_err(|_| corrupt())
            })
            .collect()
    }

    async fn new_secret(&self, tenant: &Tenant, id: &str) -> Result<(SecretString, SealedSecret), StoreError> {
        let secret = format!("whsec_{}", STANDARD.encode(Zeroizing::new(random::fill(SECRET_BYTES))));
        let place = keys::webhook(tenant, id).to_string();
        let sealed = self.key(true).await?.seal(&place, secret.as_bytes());
        let sealed = sealed.ok_or(StoreError::Corrupt { key: place })?;
        Ok((secret.into(), SealedSecret { sealed: STANDARD.encode(sealed), until: None }))
    }

    /// The key of all signing secrets. Who makes webhooks makes it with the first one; it never changes.
    async fn key(&self, make: bool) -> Result<&DataKey, StoreError> {
        self.key.get_or_try_init(|| self.read_key(make)).await
    }

    async fn read_key(&self, make: bool) -> Result<DataKey, StoreError> {
        for _ in 0..2 {
            match self.client.get_secret_value().secret_id(keys::WEBHOOK_KEY).send().await {
                Ok(answer) => {
                    let text = Zeroizing::new(answer.secret_string.unwrap_or_default());
                    let bytes = STANDARD.decode(text.as_bytes()).map(Zeroizing::new).unwrap_or_default();
                    return DataKey::new(&bytes).ok_or(StoreError::Corrupt { key: keys::WEBHOOK_KEY.to_owned() });
                }
                Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => {
                }
                Err(error) => return Err(aws("GetSecretValue")(error)),
            }
            if !make {
                break;
            }
            let new = Zeroizing::new(STANDARD.encode(Zeroizing::new(random::fill(32))));
            match self.client.create_secret().name(keys::WEBHOOK_KEY).secret_string(&*new).send().await {
                Ok(_) => {}
                // Somebody else has made it meanwhile.
                Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_exists_exception()) => {}
                Err(error) => return Err(aws("CreateSecret")(error)),
            }
        }
        Err(StoreError::Missing { what: "the key of the webhooks" })
    }

    /// One delivery.
    pub async fn delivery(&self, tenant: &Tenant, webhook: &str, id: &str) -> Result<Option<DeliveryRow>, StoreError> {
        self.table.get(&keys::delivery(tenant, webhook, id)).await?.map(row).transpose()
    }

    /// Notes how a delivery stands, unless a later attempt has been noted.
    pub async fn note_delivery(&self, tenant: &Tenant, webhook: &str, row: &DeliveryRow) -> Result<(), StoreError> {
        let mut new = item(&keys::delivery(tenant, webhook, &row.shown.id), row)?;
        let end = row.shown.last_attempt_at.plus_seconds(LISTED_SECONDS);
        new.insert("ttl".to_owned(), number(end.seconds()));
        let condition = "attribute_not_exists(#pk) OR #attempts < :attempts";
        self.table.put(new, Some(condition), vec![(":attempts", number(row.shown.attempts))]).await?;
        Ok(())
    }

    /// Lets a delivery that has ended begin anew; false: it has not ended, or is gone.
    pub async fn revive_delivery(
        &self,
        tenant: &Tenant,
        webhook: &str,
        row: &DeliveryRow,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let update = "SET #state = :pending, #began = :now, #nextAttemptAt = :now";
        let condition = "#state = :state AND #attempts = :attempts";
        let values = vec![
            (":pending", value(&DeliveryState::Pending)?),
            (":now", value(&now)?),
            (":state", value(&row.shown.state)?),
            (":attempts", number(row.shown.attempts)),
        ];
        if row.shown.state == DeliveryState::Pending {
            return Ok(false);
        }
        let key = keys::delivery(tenant, webhook, &row.shown.id);
        Ok(matches!(self.table.update(&key, update, Some(condition), values).await?, Write::Done(_)))
    }

    /// A webhook's deliveries, newest first.
    ///
    /// # Errors
    /// [`StoreError::Cursor`] for a cursor of another list, or an altered one.
    pub async fn deliveries(
        &self,
        tenant: &Tenant,
        webhook: &str,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<Page<DeliveryRow>, StoreError> {
        let list = keys::deliveries(tenant, webhook);
        let before = cursor.map_or(Ok("~".to_owned()), |cursor| cursor::open(&list, cursor))?;
        let query = Query {
            condition: "#pk = :pk AND #sk < :before",
            values: vec![(":pk", text(&list)), (":before", text(before))],
            descending: true,
            limit: Some(limit),
            ..Query::default()
        };
        let (items, more) = self.table.query(query).await?;
        let last = items.last().and_then(|item| text_of(item, "sk")).filter(|_| more);
        let next_cursor = last.map(|sk| cursor::seal(&list, sk));
        Ok(Page { items: items.into_iter().map(row).collect::<Result<_, _>>()?, next_cursor })
    }

    fn forget(&self, tenant: &Tenant) {
        self.memory().remove(tenant);
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, HashMap<Tenant, Known>> {
        // A poisoned lock means a panic between two lines that cannot leave the map half changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The webhook that EmailEngine's settings are about, in every tenant: its name in hex.
pub const ENGINE_WEBHOOK: &str = "wh_656d61696c656e67696e6500";

/// An id for a webhook.
pub fn new_webhook_id() -> String {
    format!("wh_{}", random::hex(12))
}

/// Whether this can be the id of a webhook.
pub fn is_webhook_id(id: &str) -> bool {
    id.strip_prefix("wh_").is_some_and(|hex| hex.len() == 24 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The id of a delivery: by the time of its event, then by the event. An event that is told once more later is another
/// delivery.
pub fn delivery_id(event: &Event) -> String {
    format!("{:013}-{}", event.at.0.max(0), event.id)
}

/// Whether this can be the id of a delivery.
pub fn is_delivery_id(id: &str) -> bool {
    id.len() < 80 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// The secret's bytes as signatures use them.
pub fn secret_bytes(secret: &SecretString) -> Zeroizing<Vec<u8>> {
    let text = secret.expose_secret().strip_prefix("whsec_").unwrap_or_default();
    STANDARD.decode(text).map(Zeroizing::new).unwrap_or_default()
}
