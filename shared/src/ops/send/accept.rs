//! Accepting a mail: check it, make it durable, and where the caller waits deliver it at once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

use super::attempt::{Attempt, Courier};
use super::content::{self, Given, Prepared};
use super::{expand, pace, queue};
use crate::mail::{Deadline, parse};
use crate::model::account::SideSecrets;
use crate::model::content::DryRun;
use crate::model::message::thread_of;
use crate::model::send::{Lane, OnUnknown, Outgoing, Recipient, SendRequest};
use crate::model::{Code, FieldError, MessageId, Problem, SendState, Tenant, Timestamp};
use crate::ops::suppressions::Suppressed;
use crate::ops::{Tools, mark, pii};
use crate::store::keys::{idempotent_id, random_id};
use crate::store::{AccountRow, Claim, Claimed, NewOutgoing, OutgoingRow};

/// The caller's name for one send, 1 to 255 printable ASCII characters, and the route that it was given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    key: String,
    route: &'static str,
}

impl IdempotencyKey {
    /// Checks the header. `route` is the operation that carries it: the same key at another route is a mistake of the
    /// caller.
    pub fn new(key: &str, route: &'static str) -> Result<Self, Problem> {
        let fits = (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if fits {
            return Ok(Self { key: key.to_owned(), route });
        }
        Err(Problem::invalid(vec![FieldError::new(
            "Idempotency-Key",
            "invalid_value",
            "1 to 255 printable ASCII characters",
        )]))
    }

    /// The key of one item of a batch (decision 3).
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        Self { key: format!("{}#{index}", self.key), route: self.route }
    }
}

/// What the caller does while the message is on its way.
#[derive(Clone, Copy, Debug)]
pub enum Wait {
    /// Nothing: the message is only queued.
    No,
    /// Nothing, and nothing is done until the message is pushed ([`super::push`]).
    Held,
    /// Waits. DATA is begun until then; what is not decided by then goes on without the caller.
    Until(Deadline),
    /// Waits, and cannot be told "later" (decision 5). There is one attempt: what has not begun DATA by then, or is
    /// refused for now, has failed and is not tried again, not even after a crash. The answer is never queued or
    /// deferred; it is sending only where the outcome could not be written down.
    Once(Deadline),
}

impl Wait {
    fn deadline(self) -> Option<Deadline> {
        match self {
            Self::No | Self::Held => None,
            Self::Until(deadline) | Self::Once(deadline) => Some(deadline),
        }
    }
}

/// Through whom a message leaves.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The account, or what stands for one.
    pub account: &'a AccountRow,
    /// The secrets of a sending side that was given with the call. They are stored nowhere, and so the message can be
    /// tried only while the caller waits: use [`Wait::Once`].
    pub given: Option<&'a SideSecrets>,
}

impl<'a> From<&'a AccountRow> for Sender<'a> {
    fn from(account: &'a AccountRow) -> Self {
        Self { account, given: None }
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

/// Accepts a mail.
///
/// After the claim nothing is an error any more: what happens is the message's state.
pub async fn accept<'a>(
    tools: &Tools,
    tenant: &Tenant,
    sender: impl Into<Sender<'a>>,
    request: &SendRequest,
    key: Option<&IdempotencyKey>,
    wait: Wait,
    now: Timestamp,
) -> Result<Accepted, Problem> {
    let sender = sender.into();
    let row = match begin(tools, tenant, sender, request, key, wait, now).await? {
        Begun::Ours(row) => row,
        Begun::Replayed(accepted) => return Ok(accepted),
    };
    let row = match wait.deadline() {
        Some(until) if row.state == SendState::Sending => deliver_now(tools, tenant, sender, row, until).await,
        _ => row,
    };
    if goes_on(&row) {
        queue::hand_on(tools, tenant, std::slice::from_ref(&row), Timestamp::now()).await;
    }
    Ok(Accepted { outgoing: row.outgoing(), replayed: false })
}

/// Whether a worker has something to do for it now: to deliver it, or what follows on its delivery.
pub(super) fn goes_on(row: &OutgoingRow) -> bool {
    let follows = row.follow_up.is_some() && row.due.is_some_and(|due| due <= Timestamp::now());
    row.state == SendState::Queued || follows
}

/// What came of a wish to send.
#[allow(clippy::large_enum_variant)] // one at a time, and gone at once
pub(super) enum Begun {
    /// It is durable, and ours: to try at once where it is sending, to hand on where it is queued.
    Ours(OutgoingRow),
    /// Its key was used before.
    Replayed(Accepted),
}

/// Makes a mail durable, claimed by this invocation where somebody waits for it.
pub(super) async fn begin(
    tools: &Tools,
    tenant: &Tenant,
    sender: Sender<'_>,
    request: &SendRequest,
    key: Option<&IdempotencyKey>,
    wait: Wait,
    now: Timestamp,
) -> Result<Begun, Problem> {
    let account = sender.account;
    let fingerprint = fingerprint(account, request, key)?;
    let id = key.map_or_else(random_id, |key| idempotent_id(tenant, &key.key));
    // What is fetched may be another thing by now, or gone: a key that was used is answered before.
    if key.is_some()
        && expand::is_needed(request)
        && let Some(earlier) = tools.store.outbox.get(tenant, &id).await?
    {
        return replay(earlier, &fingerprint, now).map(Begun::Replayed);
    }
    let prepared = prepare(tools, tenant, account, Given::New(request), &id, &fingerprint, now).await;
    let new = match prepared {
        // Not to be tried again, a lost reply leaves it in doubt at most.
        Ok(new) if matches!(wait, Wait::Once(_)) && new.on_unknown == OnUnknown::Retry => {
            NewOutgoing { once: true, on_unknown: OnUnknown::Hold, ..new }
        }
        Ok(new) => NewOutgoing { once: matches!(wait, Wait::Once(_)), ..new },
        // What was accepted once is answered for, even if the account or a file has changed since.
        Err(problem) if key.is_some() => {
            return match tools.store.outbox.get(tenant, &id).await? {
                Some(earlier) => replay(earlier, &fingerprint, now).map(Begun::Replayed),
                None => Err(problem),
            };
        }
        Err(problem) => return Err(problem),
    };
    // Nobody waits for next week.
    let wait = if new.send_at.is_some_and(|at| at > now) { Wait::No } else { wait };
    let claim = match wait {
        Wait::Held => Claim::Held,
        Wait::No => Claim::Queued(queue::turn(new.send_at.unwrap_or(now), now, &tools.settings)),
        // From now on, and not from when a batch began.
        Wait::Until(_) | Wait::Once(_) => {
            Claim::Sending(Timestamp::now().plus_seconds(i64::from(tools.settings.lease_seconds)))
        }
    };
    match tools.store.outbox.insert(tenant, new, claim).await? {
        Claimed::Ours(row) => Ok(Begun::Ours(row)),
        Claimed::Exists(earlier) => replay(earlier, &fingerprint, now).map(Begun::Replayed),
    }
}

/// What would be sent, and to whom; nothing is claimed.
pub async fn rehearse(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountRow,
    request: &SendRequest,
    key: Option<&IdempotencyKey>,
    now: Timestamp,
) -> Result<DryRun, Problem> {
    let times = check_times(request, now);
    if !times.is_empty() {
        return Err(Problem::invalid(times));
    }
    let id = key.map_or_else(random_id, |key| idempotent_id(tenant, &key.key));
    let Prepared { request, from, loaded, message_id, date, clear, source } =
        content::prepare(tools, tenant, &account.account, Given::New(request), &id, now).await?;
    let size = source.len() as u64;
    // No answer shows what a token stands for.
    let source = if clear.is_empty() {
        source
    } else {
        content::render(&pii::masked(&request), &loaded, &from, &message_id, date)?.bytes
    };
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

/// Checks and composes the message, and stores all of it but its row.
pub(super) async fn prepare(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountRow,
    given: Given<'_>,
    id: &MessageId,
    fingerprint: &str,
    now: Timestamp,
) -> Result<NewOutgoing, Problem> {
    if account.account.smtp.is_none() {
        return Err(Problem::new(Code::InvalidRequest, "this account only receives: give it an smtp side with PUT"));
    }
    let asked = given.request();
    let mut wrong = check_times(asked, now);
    if asked.dry_run {
        let detail = "a dry run is one message of one account: POST it alone";
        wrong.push(FieldError::new("/dryRun", "invalid_value", detail));
    }
    if !asked.merge.is_empty() {
        wrong.push(FieldError::new("/merge", "invalid_value", "a mail merge is a request of its own: POST it alone"));
    }
    if !wrong.is_empty() {
        return Err(Problem::invalid(wrong));
    }
    let Prepared { request, from, loaded, message_id, clear, source, .. } =
        content::prepare(tools, tenant, &account.account, given, id, now).await?;
    let addresses = request.recipients();
    let addresses = addresses.iter().map(|address| (address.address.as_str(), clear.address(&address.address)));
    let suppressed = Suppressed::among(&tools.store, tenant, addresses).await?;
    if let Some(problem) = suppressed.all(&request) {
        return Err(problem);
    }
    let size = source.len() as u64;
    let in_raw = || request.raw.is_some() && parse::files(&source).next().is_some();
    let has_attachments = !loaded.is_empty() || in_raw();
    drop(source);
    let lean = content::put_files(&tools.store.files, tenant, &request, &loaded).await?;
    // What was worked out may come out otherwise the next time. Under a name of its own, no replay of the key touches
    // the body of a message that is under way.
    let own_name = if request == *asked { None } else { Some(hash_of(&lean)?) };
    let name = own_name.as_deref().unwrap_or(fingerprint);
    let body = tools.store.outbox.put_body(tenant, id, name, &lean).await?;
    tools.store.outbox.note_message_id(tenant, &message_id, id).await?;
    let mut recipients: Vec<_> =
        request.recipients().into_iter().map(|address| Recipient::new(&address.address)).collect();
    suppressed.strike(&mut recipients);
    Ok(NewOutgoing {
        id: id.clone(),
        account: account.account.account.clone(),
        fingerprint: fingerprint.to_owned(),
        body,
        body_name: own_name,
        message_id,
        from,
        subject: request.subject.clone(),
        recipients,
        on_unknown: request.on_unknown.unwrap_or_default(),
        correlation: request.correlation.clone(),
        sent_copy: request.sent_copy,
        mark: request.reference.as_ref().and_then(mark::wanted),
        thread: request.references.first().or(request.in_reply_to.first()).map(|first| thread_of(first)),
        size,
        has_attachments,
        once: false,
        lane: request.lane.unwrap_or_else(|| lane(account)),
        send_at: request.send_at,
        created_at: now,
    })
}

fn hash_of(request: &SendRequest) -> Result<String, Problem> {
    let body = serde_json::to_vec(request).map_err(Problem::internal)?;
    Ok(hex::encode(digest(&SHA256, &body)))
}

/// A time that lies back by a clock that is a little late means now; by more it is a mistake.
const LATE_SECONDS: i64 = 300;

/// How far ahead mail is kept: a year, and a day for its leap.
const AHEAD_SECONDS: i64 = 366 * 86_400;

fn check_times(request: &SendRequest, now: Timestamp) -> Vec<FieldError> {
    let Some(at) = request.send_at else {
        return Vec::new();
    };
    let wrong = |detail: String| vec![FieldError::new("/sendAt", "out_of_range", detail)];
    if at < now.plus_seconds(-LATE_SECONDS) {
        return wrong(format!("{at} is in the past, it is {now} now; leave it out to send at once"));
    }
    if at > now.plus_seconds(AHEAD_SECONDS) {
        return wrong(format!("{at} is more than a year ahead; it is {now} now"));
    }
    Vec::new()
}

/// The lane of a message that names none.
pub(super) fn lane(account: &AccountRow) -> Lane {
    if account.account.account.as_str() == SYSTEM { Lane::System } else { Lane::Transactional }
}

/// The account that sends the system's own messages.
const SYSTEM: &str = "system";

/// Of route, account and all that was asked for: the same key with another one is a mistake of the caller.
fn fingerprint(account: &AccountRow, request: &SendRequest, key: Option<&IdempotencyKey>) -> Result<String, Problem> {
    let body = serde_json::to_vec(request).map_err(Problem::internal)?;
    let route = key.map_or("", |key| key.route);
    let mut text = format!("{route}\0{}\0", account.account.account).into_bytes();
    text.extend(body);
    Ok(hex::encode(digest(&SHA256, &text)))
}

/// The key is taken: the same request gets the message as it stands now.
fn replay(row: OutgoingRow, fingerprint: &str, now: Timestamp) -> Result<Accepted, Problem> {
    if row.fingerprint != fingerprint {
        return Err(Problem::new(
            Code::IdempotencyMismatch,
            "this Idempotency-Key was used with another body, account or route: use a new key",
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

/// The first attempt, while the caller waits.
async fn deliver_now(
    tools: &Tools,
    tenant: &Tenant,
    sender: Sender<'_>,
    row: OutgoingRow,
    until: Deadline,
) -> OutgoingRow {
    let mut courier = Courier::new(tools, tenant, sender, true);
    let row = attempt_now(&mut courier, row, until).await;
    courier.leave().await;
    if sender.given.is_none() {
        pace::note_one(tools, tenant, sender.account, &row).await;
    }
    row
}

/// An attempt while the caller waits. Whatever goes wrong from here on is a state and no error: the message is durable.
pub(super) async fn attempt_now(courier: &mut Courier<'_>, row: OutgoingRow, until: Deadline) -> OutgoingRow {
    let before = row.clone();
    match courier.attempt(row, Some(until)).await {
        Ok(Attempt::Done(row)) => *row,
        Ok(Attempt::Lost) => before,
        Err(error) => {
            tracing::error!(%error, id = %before.id, "the attempt could not be written down; its claim runs over");
            before
        }
    }
}
