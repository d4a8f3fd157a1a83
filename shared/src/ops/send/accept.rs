//! Accepting a mail: check it, make it durable, and where the caller waits deliver it at once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

use super::attempt::{Attempt, Courier};
use super::content::{self, Prepared};
use crate::mail::Deadline;
use crate::model::content::DryRun;
use crate::model::message::thread_of;
use crate::model::send::{Outgoing, Recipient, RecipientState, SendRequest};
use crate::model::{Code, FieldError, MessageId, Problem, SendState, Tenant, Timestamp};
use crate::ops::Tools;
use crate::store::keys::{idempotent_id, random_id};
use crate::store::{AccountRow, Claim, Claimed, DeliverJob, NewOutgoing, OutgoingRow};

/// The caller's name for one send: 1 to 255 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Checks the header.
    pub fn new(key: &str) -> Result<Self, Problem> {
        let fits = (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if fits {
            return Ok(Self(key.to_owned()));
        }
        Err(Problem::invalid(vec![FieldError::new(
            "Idempotency-Key",
            "invalid_value",
            "1 to 255 printable ASCII characters",
        )]))
    }
}

/// An accepted message.
#[derive(Debug)]
pub struct Accepted {
    /// As it stands now.
    pub outgoing: Outgoing,
    /// The key had been used for the same request before; nothing was sent by this call.
    pub replayed: bool,
}

/// Accepts a mail. With a `wait`, DATA is begun within it; without, the message is only queued.
///
/// After the claim nothing is an error any more: what happens is the message's state.
pub async fn accept(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountRow,
    request: &SendRequest,
    key: Option<&IdempotencyKey>,
    wait: Option<Deadline>,
    now: Timestamp,
) -> Result<Accepted, Problem> {
    if account.account.smtp.is_none() {
        return Err(Problem::new(Code::InvalidRequest, "this account only receives: give it an smtp side with PUT"));
    }
    if request.dry_run {
        let detail = "a dry run is one message of one account: POST it alone";
        return Err(Problem::invalid(vec![FieldError::new("/dryRun", "invalid_value", detail)]));
    }
    let id = key.map_or_else(random_id, |key| idempotent_id(tenant, &key.0));
    let fingerprint = fingerprint(account, request)?;
    if let Some(earlier) = earlier(tools, tenant, request, key, &id).await? {
        return replay(earlier, &fingerprint, now);
    }
    let Prepared { request, from, loaded, message_id, source } =
        content::prepare(&tools.store, tenant, &account.account, request, &id, now).await?;
    let lean = content::put_files(&tools.store.files, tenant, &request, &loaded).await?;
    let body = tools.store.outbox.put_body(tenant, &id, &fingerprint, &lean).await?;
    let new = NewOutgoing {
        id,
        account: account.account.account.clone(),
        fingerprint: fingerprint.clone(),
        body,
        message_id,
        from,
        subject: request.subject.clone(),
        recipients: request.recipients().into_iter().map(|address| queued(&address.address)).collect(),
        on_unknown: request.on_unknown.unwrap_or_default(),
        correlation: request.correlation.clone(),
        thread: request.references.first().or(request.in_reply_to.first()).map(|first| thread_of(first)),
        size: source.len() as u64,
        created_at: now,
    };
    let lease = now.plus_seconds(i64::from(tools.settings.lease_seconds));
    let claim = if wait.is_some() { Claim::Sending(lease) } else { Claim::Queued(now) };
    let row = match tools.store.outbox.insert(tenant, new, claim).await? {
        Claimed::Ours(row) => row,
        Claimed::Exists(earlier) => return replay(earlier, &fingerprint, now),
    };
    let row = match wait {
        Some(until) => deliver_now(tools, tenant, account, row, until).await,
        None => row,
    };
    if row.state == SendState::Queued {
        hand_on(tools, tenant, &row).await;
    }
    Ok(Accepted { outgoing: row.outgoing(), replayed: false })
}

/// What a request refers to may be gone when its key is used again: then the first one's outcome is what counts.
async fn earlier(
    tools: &Tools,
    tenant: &Tenant,
    request: &SendRequest,
    key: Option<&IdempotencyKey>,
    id: &MessageId,
) -> Result<Option<OutgoingRow>, Problem> {
    if key.is_none() || request.reference.is_none() {
        return Ok(None);
    }
    Ok(tools.store.outbox.get(tenant, id).await?)
}

/// What would be sent, and to whom; nothing is claimed or stored.
pub async fn rehearse(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountRow,
    request: &SendRequest,
    key: Option<&IdempotencyKey>,
    now: Timestamp,
) -> Result<DryRun, Problem> {
    let id = key.map_or_else(random_id, |key| idempotent_id(tenant, &key.0));
    let Prepared { request, from, message_id, source, .. } =
        content::prepare(&tools.store, tenant, &account.account, request, &id, now).await?;
    let size = source.len() as u64;
    let (source, encoding) = match String::from_utf8(source) {
        Ok(text) => (text, "text"),
        Err(bytes) => (STANDARD.encode(bytes.as_bytes()), "base64"),
    };
    Ok(DryRun {
        dry_run: true,
        envelope_from: request.envelope_from.as_ref().unwrap_or(&from).address.clone(),
        recipients: request.recipients().into_iter().map(|address| address.address.clone()).collect(),
        message_id,
        size,
        source,
        encoding: encoding.to_owned(),
    })
}

fn queued(address: &str) -> Recipient {
    Recipient { address: address.to_owned(), state: RecipientState::Queued, smtp: None, error: None, attempts: 0 }
}

/// Of the account and of all that was asked for: the same key with another one is a mistake of the caller.
fn fingerprint(account: &AccountRow, request: &SendRequest) -> Result<String, Problem> {
    let body = serde_json::to_vec(request).map_err(Problem::internal)?;
    let mut text = account.account.account.as_str().as_bytes().to_vec();
    text.push(0);
    text.extend(body);
    Ok(hex::encode(digest(&SHA256, &text)))
}

/// The key is taken: the same request gets the message as it stands now.
fn replay(row: OutgoingRow, fingerprint: &str, now: Timestamp) -> Result<Accepted, Problem> {
    if row.fingerprint != fingerprint {
        return Err(Problem::new(
            Code::IdempotencyMismatch,
            "this Idempotency-Key was used with another body or account: use a new key",
        ));
    }
    let under_way = row.state == SendState::Sending && row.due.is_some_and(|until| until > now);
    if under_way {
        let left = row.due.map_or(1, |until| until.seconds() - now.seconds());
        let problem = Problem::new(
            Code::IdempotencyInProgress,
            "a request with this Idempotency-Key is being carried out right now",
        );
        return Err(problem.retry_after(u64::try_from(left.clamp(1, 5)).unwrap_or(1)));
    }
    Ok(Accepted { outgoing: row.outgoing(), replayed: true })
}

/// The first attempt, while the caller waits. Whatever goes wrong from here on is a state and no error: the message
/// is durable.
async fn deliver_now(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountRow,
    row: OutgoingRow,
    until: Deadline,
) -> OutgoingRow {
    let mut courier = Courier::new(tools, tenant, account);
    let before = row.clone();
    match courier.attempt(row, Some(until)).await {
        Ok(Attempt::Done(row)) => {
            courier.leave().await;
            *row
        }
        Ok(Attempt::Lost) => before,
        Err(error) => {
            tracing::error!(%error, id = %before.id, "the attempt could not be written down; its claim runs over");
            before
        }
    }
}

/// A message that nobody is sending goes to the queue. Should that fail, the scheduler finds it.
async fn hand_on(tools: &Tools, tenant: &Tenant, row: &OutgoingRow) {
    let ids: Vec<MessageId> = vec![row.id.clone()];
    let job = DeliverJob { tenant: tenant.clone(), account: row.account.clone(), ids };
    if let Err(error) = tools.store.queues.enqueue_deliver(&[job], 0).await {
        tracing::warn!(%error, id = %row.id, "not queued; the scheduler will find it");
    }
}
