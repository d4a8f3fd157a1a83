//! Telling webhooks: one job of the queue is one event for one webhook, and stays one until it has arrived or is given
//! up.
//!
//! **Signatures** are those of Standard Webhooks: HMAC-SHA256 over id, time and body. Two secrets sign while one takes
//! the other's place. The id is the event's: it is the same at every try, so that a receiver can tell what it has had.
//!
//! **Tries.** What is answered with 2xx has arrived. Everything else is tried again after growing waits
//! (`WebhookBackoffSeconds`) for a day (`WebhookExpireSeconds`): then the delivery has failed, can be seen, and can be
//! replayed. 410 switches the webhook off at once; so does a receiver that nothing reached for days
//! (`WebhookFailingSeconds`). A redirect is no answer: it would lead where nobody looked.
//!
//! **Order of writes.** The next try is queued before this one is noted, so that a crash between the two costs a try
//! too many and never one too few. A try that finds a later one noted is a copy, and is dropped.

mod sign;

use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use url::Url;

use super::Tools;
use super::notify::payload::{payload, speaks};
use crate::mail::Deadline;
use crate::model::webhook::{Delivery, DeliveryState, DisabledReason, Format, WebhookTest};
use crate::model::{Event, Tenant, Timestamp};
use crate::net;
use crate::net::http::{Error as HttpError, Request};
use crate::store::{DeliveryRow, StoreError, WebhookJob, WebhookRow, delivery_id};

pub use sign::headers;

/// SQS delays for this long at most.
const LONGEST_DELAY: i64 = 900;

/// The status by which a receiver says that it is gone for good (Standard Webhooks; RFC 9110 §15.5.11).
const GONE: u16 = 410;

/// Failed deliveries that one call replays at most.
const REPLAYED: u32 = 500;

/// Deliveries of one read.
const PAGE: u32 = 100;

/// Whether a webhook is told of an event.
pub fn wants(webhook: &WebhookRow, event: &Event) -> bool {
    let settings = &webhook.settings;
    webhook.is_on()
        && settings.events.as_ref().is_none_or(|kinds| kinds.contains(&event.kind))
        && settings.accounts.as_ref().is_none_or(|accounts| accounts.contains(&event.account))
        && speaks(settings.format, event.kind)
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// HTTP status of the answer.
    pub status: Option<u16>,
    /// Why it does not count as arrived.
    pub error: Option<String>,
}

impl Outcome {
    /// Whether it has arrived.
    pub fn arrived(&self) -> bool {
        self.error.is_none()
    }
}

/// Does a job: tells a webhook, notes what came of it, and sees to the next try.
pub async fn deliver(tools: &Tools, job: WebhookJob, deadline: Deadline) -> Result<(), StoreError> {
    let now = Timestamp::now();
    if job.due > now {
        return later(tools, job, now).await;
    }
    let tenant = &job.tenant;
    let known = tools.store.webhooks.known(tenant, now).await?;
    let known = known.iter().find(|webhook| webhook.id == job.webhook).cloned();
    let webhook = match known {
        Some(webhook) => Some(webhook),
        // Whoever queued the job may know it for longer than our memory.
        None => tools.store.webhooks.get(tenant, &job.webhook).await?,
    };
    let Some(webhook) = webhook else {
        tracing::info!(webhook = %job.webhook, "the webhook is gone, and what was on its way to it is dropped");
        return Ok(());
    };
    if is_copy(tools, &job).await? {
        return Ok(());
    }
    if !webhook.is_on() {
        let outcome = Outcome { status: None, error: Some("the webhook is switched off".to_owned()) };
        return note(tools, &job, &outcome, DeliveryState::Failed, None, now).await;
    }
    let outcome = attempt(tools, tenant, &webhook, &job.event, deadline).await?;
    conclude(tools, &webhook, &job, &outcome).await
}

/// What has longer to wait than SQS delays goes round once more.
async fn later(tools: &Tools, job: WebhookJob, now: Timestamp) -> Result<(), StoreError> {
    let seconds = delay(job.due, now);
    tools.store.queues.enqueue_webhooks(&[job], seconds).await
}

fn delay(due: Timestamp, now: Timestamp) -> u32 {
    let seconds = due.0.saturating_sub(now.0).max(0) as u64;
    u32::try_from(seconds.div_ceil(1000).min(LONGEST_DELAY as u64)).unwrap_or_default()
}

/// Whether a later try is known than this job is for. The first one asks nobody: told twice is no harm.
async fn is_copy(tools: &Tools, job: &WebhookJob) -> Result<bool, StoreError> {
    if job.attempt == 0 {
        return Ok(false);
    }
    let id = delivery_id(&job.event);
    let found = tools.store.webhooks.delivery(&job.tenant, &job.webhook, &id).await?;
    Ok(found.is_some_and(|row| row.shown.state != DeliveryState::Pending || row.shown.attempts > job.attempt))
}

/// One request.
async fn attempt(
    tools: &Tools,
    tenant: &Tenant,
    webhook: &WebhookRow,
    event: &Event,
    deadline: Deadline,
) -> Result<Outcome, StoreError> {
    let failed = |words: &str| Outcome { status: None, error: Some(words.to_owned()) };
    let Some(body) = payload(webhook.settings.format, event) else {
        return Ok(failed("the format has no words for this event"));
    };
    let now = Timestamp::now();
    let secrets = tools.store.webhooks.secrets(tenant, webhook, now).await?;
    let Ok(url) = Url::parse(&webhook.settings.url) else {
        return Ok(failed("the URL cannot be read"));
    };
    let body = body.to_string().into_bytes();
    let mut request = Request::json(url, body);
    request.headers.extend(headers(&event.id, now, &request.body, &secrets));
    if webhook.settings.format == Format::EmailEngine {
        name_event(&mut request.headers, &event.id);
    }
    let until = Deadline::after(tools.settings.webhook_reply).instant().min(deadline.instant());
    Ok(match tools.network.status(request, until).await {
        Ok(status) => Outcome { status: Some(status), error: refusal(status) },
        Err(error) => {
            tracing::info!(%error, webhook = %webhook.id, "the webhook was not told");
            failed(words(&error))
        }
    })
}

/// EmailEngine names the event in a header of its own.
fn name_event(headers: &mut HeaderMap, id: &str) {
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(HeaderName::from_static("x-ee-wh-event-id"), value);
    }
}

fn refusal(status: u16) -> Option<String> {
    match status {
        200..=299 => None,
        300..=399 => Some("it answers with a redirect, which is not followed: change the URL".to_owned()),
        GONE => Some("it says that it is gone".to_owned()),
        _ => Some(format!("it answers with status {status}")),
    }
}

/// No more than a caller may know who chose the URL.
fn words(error: &HttpError) -> &'static str {
    match error {
        HttpError::Net(net::Error::NotAllowed) => "this host or port is not allowed",
        HttpError::Net(_) | HttpError::Url => "it cannot be reached",
        HttpError::Tls(_) => "no TLS connection came about: its certificate may be wrong",
        HttpError::Timeout => "it gave no answer in time",
        HttpError::TooLarge(_) | HttpError::Broken(_) => "it broke off",
    }
}

/// Notes a try, and sees to the next one or to the end.
async fn conclude(tools: &Tools, webhook: &WebhookRow, job: &WebhookJob, outcome: &Outcome) -> Result<(), StoreError> {
    let (now, settings) = (Timestamp::now(), &tools.settings);
    if outcome.arrived() {
        note(tools, job, outcome, DeliveryState::Delivered, None, now).await?;
        return health(tools, webhook, job, None).await;
    }
    let next = now.plus_seconds(pause(&settings.webhook_backoff_seconds, job.attempt));
    let over = next > job.began.plus_seconds(settings.webhook_expire_seconds.into());
    if over || outcome.status == Some(GONE) {
        note(tools, job, outcome, DeliveryState::Failed, None, now).await?;
    } else {
        let next_job = WebhookJob { attempt: job.attempt + 1, due: next, ..job.clone() };
        later(tools, next_job, now).await?;
        note(tools, job, outcome, DeliveryState::Pending, Some(next), now).await?;
    }
    if outcome.status == Some(GONE) {
        return tools.store.webhooks.disable(&job.tenant, &webhook.id, DisabledReason::Gone, None, now).await;
    }
    health(tools, webhook, job, Some(now)).await
}

fn pause(steps: &[u32], attempt: u32) -> i64 {
    let index = usize::try_from(attempt).unwrap_or(usize::MAX);
    i64::from(steps.get(index).or(steps.last()).copied().unwrap_or(60))
}

/// Remembers since when nothing arrives at a webhook, and switches it off in the end. Written only where it changes.
async fn health(
    tools: &Tools,
    webhook: &WebhookRow,
    job: &WebhookJob,
    failed_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    let store = &tools.store.webhooks;
    match (webhook.failing_since, failed_at) {
        (None, None) => Ok(()),
        (Some(_), None) => store.note_health(&job.tenant, &webhook.id, None).await,
        (None, Some(now)) => store.note_health(&job.tenant, &webhook.id, Some(now)).await,
        (Some(since), Some(now)) => {
            if since.plus_seconds(tools.settings.webhook_failing_seconds.into()) > now {
                return Ok(());
            }
            tracing::warn!(webhook = %webhook.id, "nothing has arrived there for days: it is switched off");
            store.disable(&job.tenant, &webhook.id, DisabledReason::Failing, Some(since), now).await
        }
    }
}

async fn note(
    tools: &Tools,
    job: &WebhookJob,
    outcome: &Outcome,
    state: DeliveryState,
    next_attempt_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let shown = Delivery {
        id: delivery_id(&job.event),
        event: job.event.id.clone(),
        kind: job.event.kind,
        account: job.event.account.clone(),
        state,
        attempts: job.attempt + 1,
        status: outcome.status,
        error: outcome.error.clone(),
        at: job.event.at,
        last_attempt_at: now,
        next_attempt_at,
    };
    let row = DeliveryRow { shown, payload: job.event.clone(), began: job.began };
    tools.store.webhooks.note_delivery(&job.tenant, &job.webhook, &row).await
}

/// Sends an event now, once, and notes nothing: somebody is looking at the answer.
pub async fn test(
    tools: &Tools,
    tenant: &Tenant,
    webhook: &WebhookRow,
    event: &Event,
    deadline: Deadline,
) -> Result<WebhookTest, StoreError> {
    let began = Instant::now();
    let outcome = attempt(tools, tenant, webhook, event, deadline).await?;
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(WebhookTest { success: outcome.arrived(), status: outcome.status, error: outcome.error, duration_ms })
}

/// Lets a delivery that has ended begin anew; false: it is on its way.
pub async fn replay(
    tools: &Tools,
    tenant: &Tenant,
    webhook: &str,
    row: &DeliveryRow,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if !tools.store.webhooks.revive_delivery(tenant, webhook, row, now).await? {
        return Ok(false);
    }
    let job = WebhookJob {
        tenant: tenant.clone(),
        webhook: webhook.to_owned(),
        event: row.payload.clone(),
        attempt: row.shown.attempts,
        began: now,
        due: now,
    };
    tools.store.queues.enqueue_webhooks(&[job], 0).await?;
    Ok(true)
}

/// Lets failed deliveries begin anew, the newest first, of events not older than `since`: how many, and whether there
/// may be more.
pub async fn replay_since(
    tools: &Tools,
    tenant: &Tenant,
    webhook: &str,
    since: Timestamp,
    now: Timestamp,
) -> Result<(u32, bool), StoreError> {
    let mut replayed = 0;
    let mut cursor = None;
    loop {
        let page = tools.store.webhooks.deliveries(tenant, webhook, PAGE, cursor.as_deref()).await?;
        for row in &page.items {
            if row.shown.at < since {
                return Ok((replayed, false));
            }
            if row.shown.state == DeliveryState::Failed && replay(tools, tenant, webhook, row, now).await? {
                replayed += 1;
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() || replayed >= REPLAYED {
            return Ok((replayed, cursor.is_some()));
        }
    }
}

/// Whether a URL leads where it may not. What does not resolve now may do so later.
pub async fn is_forbidden(tools: &Tools, url: &str) -> bool {
    let Some((host, port)) =
        Url::parse(url).ok().and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?)))
    else {
        return false;
    };
    let until = Deadline::after(Duration::from_secs(5)).instant();
    matches!(tools.network.resolve(&host, port, until).await, Err(net::Error::NotAllowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_the_last_one_repeats() {
        let steps = [5, 30, 120];
        assert_eq!([0, 1, 2, 3, 99].map(|attempt| pause(&steps, attempt)), [5, 30, 120, 120, 120]);
    }

    #[test]
    fn a_delay_is_what_is_left_and_what_sqs_takes() {
        let now = Timestamp(10_000);
        for (due, expected) in [(9_000, 0), (10_000, 0), (10_001, 1), (11_000, 1), (40_000, 30), (100_000_000, 900)] {
            assert_eq!(delay(Timestamp(due), now), expected, "{due}");
        }
    }

    #[test]
    fn only_2xx_has_arrived() {
        assert!([200, 202, 204, 299].into_iter().all(|status| refusal(status).is_none()));
        assert!([199, 301, 302, 307, 400, 404, 410, 429, 500].into_iter().all(|status| refusal(status).is_some()));
    }
}
