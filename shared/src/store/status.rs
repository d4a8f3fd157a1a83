//! How an account fares. Written only when something changes: an idle poll writes nothing.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::{
    Mailbox, Side, StoreError, keys,
    table::{Table, Write, glance, row, text_of, value},
};
use crate::model::views::{AccountErrorCode, AccountState};
use crate::model::{AccountId, Tenant, Timestamp};

/// How one side fares: each has a password of its own, and its own server that locks whoever insists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SideStatus {
    /// Refused logins in a row.
    pub refusals: u32,
    /// No login before this time.
    pub pause: Option<Timestamp>,
    /// The last use failed for another reason than a refused login.
    pub broken: bool,
    /// The grant is gone: only a person's consent helps, and no further refusal has to be waited for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
    /// Troubles of the receiving server, other than refused logins, of which each came soon behind the one before: a
    /// success in between does not forget them.
    #[serde(skip_serializing_if = "is_zero")]
    pub troubles: u32,
    /// When the last of them was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub troubled_at: Option<Timestamp>,
    /// The schedule leaves the mailbox alone until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rest: Option<Timestamp>,
}

impl SideStatus {
    /// The last use worked. What it has suffered before may still count.
    pub fn is_well(&self) -> bool {
        let Self { refusals, pause, broken, revoked, rest, .. } = self;
        *refusals == 0 && pause.is_none() && !broken && !revoked && rest.is_none()
    }

    /// Before this time the schedule does not sign in.
    pub fn quiet_until(&self) -> Option<Timestamp> {
        self.pause.max(self.rest)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// How fast the sending server takes mail, learned from its refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Nothing is sent from the queue before.
    pub until: Timestamp,
    /// Seconds of rest behind each round.
    pub seconds: u32,
    /// Messages of one round.
    pub burst: u32,
}

/// An account's status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccountStatus {
    /// Whether it works.
    pub state: AccountState,
    /// The same as a code.
    pub error_code: AccountErrorCode,
    /// SideStatus for sending.
    pub smtp: SideStatus,
    /// SideStatus for receiving.
    pub receive: SideStatus,
    /// Since when the credentials count as wrong, and not as refused now and then: the mark of the event
    /// `account.authFailed`.
    pub suspended_at: Option<Timestamp>,
    /// The last pull that brought or changed something.
    pub last_pull_at: Option<Timestamp>,
    /// The last message sent.
    pub last_send_at: Option<Timestamp>,
    /// The last failure in words that may be shown.
    pub last_error: Option<String>,
    /// How fast the sending server takes mail; none: no limit is known.
    pub pace: Option<Pace>,
    /// How the sending server was secured when somebody looked last.
    pub smtp_tls: Option<SeenTls>,
    /// The same of the receiving server.
    pub receive_tls: Option<SeenTls>,
    /// When the refresh token ends, where its endpoint told it.
    pub refresh_token_expires_at: Option<Timestamp>,
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

impl AccountStatus {
    /// Refused logins in a row, of both sides.
    pub fn auth_failures(&self) -> u32 {
        self.smtp.refusals.saturating_add(self.receive.refusals)
    }

    /// One side.
    pub fn side(&self, side: Side) -> SideStatus {
        match side {
            Side::Smtp => self.smtp,
            Side::Receive => self.receive,
        }
    }

    /// One side, to be changed.
    pub fn side_mut(&mut self, side: Side) -> &mut SideStatus {
        match side {
            Side::Smtp => &mut self.smtp,
            Side::Receive => &mut self.receive,
        }
    }
}

/// What to change of a status: `None` leaves a field as it is, so that sending and pulling do not undo each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusChange {
    /// Whether it works.
    pub state: Option<AccountState>,
    /// The same as a code.
    pub error_code: Option<AccountErrorCode>,
    /// SideStatus for sending.
    pub smtp: Option<SideStatus>,
    /// SideStatus for receiving.
    pub receive: Option<SideStatus>,
    /// Since when the credentials count as wrong; `Some(None)`: they do no more.
    pub suspended_at: Option<Option<Timestamp>>,
    /// The last pull that brought or changed something.
    pub last_pull_at: Option<Timestamp>,
    /// The last message sent.
    pub last_send_at: Option<Timestamp>,
    /// The last failure; `Some(None)` forgets it.
    pub last_error: Option<Option<String>>,
    /// How fast the sending server takes mail; `Some(None)`: no limit any more.
    pub pace: Option<Option<Pace>>,
    /// How the sending server is secured.
    pub smtp_tls: Option<SeenTls>,
    /// How the receiving server is secured.
    pub receive_tls: Option<SeenTls>,
    /// When the refresh token ends.
    pub refresh_token_expires_at: Option<Timestamp>,
}

/// A field to set, or to remove where there is no value.
type Field = (&'static str, Option<AttributeValue>);

impl StatusChange {
    /// Forgets how the account fared, and not when it was used or what was learned of its servers.
    pub fn afresh() -> Self {
        Self {
            state: Some(AccountState::default()),
            error_code: Some(AccountErrorCode::default()),
            smtp: Some(SideStatus::default()),
            receive: Some(SideStatus::default()),
            suspended_at: Some(None),
            last_error: Some(None),
            ..Self::default()
        }
    }

    /// What leads from one status to another.
    pub fn between(before: &AccountStatus, after: &AccountStatus) -> Self {
        fn changed<T: Clone + PartialEq>(before: &T, after: &T) -> Option<T> {
            (before != after).then(|| after.clone())
        }
        Self {
            state: changed(&before.state, &after.state),
            error_code: changed(&before.error_code, &after.error_code),
            smtp: changed(&before.smtp, &after.smtp),
            receive: changed(&before.receive, &after.receive),
            suspended_at: changed(&before.suspended_at, &after.suspended_at),
            last_pull_at: changed(&before.last_pull_at, &after.last_pull_at).flatten(),
            last_send_at: changed(&before.last_send_at, &after.last_send_at).flatten(),
            last_error: changed(&before.last_error, &after.last_error),
            pace: changed(&before.pace, &after.pace),
            smtp_tls: changed(&before.smtp_tls, &after.smtp_tls).flatten(),
            receive_tls: changed(&before.receive_tls, &after.receive_tls).flatten(),
            refresh_token_expires_at: changed(&before.refresh_token_expires_at, &after.refresh_token_expires_at)
                .flatten(),
        }
    }

    fn fields(&self) -> Result<Vec<Field>, StoreError> {
        let mut fields = Vec::new();
        add(&mut fields, "state", self.state.as_ref().map(Some))?;
        add(&mut fields, "errorCode", self.error_code.as_ref().map(Some))?;
        add(&mut fields, "smtp", self.smtp.as_ref().map(Some))?;
        add(&mut fields, "receive", self.receive.as_ref().map(Some))?;
        add(&mut fields, "suspendedAt", self.suspended_at.as_ref().map(Option::as_ref))?;
        add(&mut fields, "lastPullAt", self.last_pull_at.as_ref().map(Some))?;
        add(&mut fields, "lastSendAt", self.last_send_at.as_ref().map(Some))?;
        add(&mut fields, "lastError", self.last_error.as_ref().map(Option::as_ref))?;
        add(&mut fields, "pace", self.pace.as_ref().map(Option::as_ref))?;
        add(&mut fields, "smtpTls", self.smtp_tls.as_ref().map(Some))?;
        add(&mut fields, "receiveTls", self.receive_tls.as_ref().map(Some))?;
        add(&mut fields, "refreshTokenExpiresAt", self.refresh_token_expires_at.as_ref().map(Some))?;
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

    /// The statuses of these mailboxes as they were a moment ago; nothing happened yet to those that are left out.
    pub async fn glance(&self, mailboxes: &[Mailbox]) -> Result<HashMap<Mailbox, AccountStatus>, StoreError> {
        glance(&self.table, mailboxes.iter().map(|at| (keys::status(&at.tenant, &at.account), at))).await
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

    /// Takes the one login that the end of a pause allows: of all who find it over at the same moment, one gets true.
    /// `seen` is the pause that was found, `until` the one that holds until the outcome is known.
    pub async fn take_login(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        side: Side,
        seen: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let (update, condition) = match side {
            Side::Smtp => ("SET #smtp.#pause = :until", "#smtp.#pause = :seen"),
            Side::Receive => ("SET #receive.#pause = :until", "#receive.#pause = :seen"),
        };
        let values = vec![(":until", value(&until)?), (":seen", value(&seen)?)];
        // Where our own answer got lost we count as refused: a login too few is harmless.
        let taken = self.table.update(&keys::status(tenant, account), update, Some(condition), values).await?;
        Ok(matches!(taken, Write::Done(_)))
    }

    /// Forgets everything.
    pub async fn delete(&self, tenant: &Tenant, account: &AccountId) -> Result<(), StoreError> {
        self.table.delete(&keys::status(tenant, account), None, Vec::new()).await?;
        Ok(())
    }
}
