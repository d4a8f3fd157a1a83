//! SQS: standard queues as rows, in process for the host's triggers and over HTTP ([`api`]) for the functions.
//!
//! A received message is hidden by a time, not by a flag, so that it comes back by itself: after its visibility ends,
//! and after a restart. Delivery is at least once and roughly in order, as on AWS.

mod api;
mod moves;
mod requests;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

pub(super) use self::api::handle;
use self::rows::NewMessage;
use super::clock::now_ms;
use super::db::Db;
use super::{ACCOUNT, AwsError, QueueSpec, REGION};

/// Largest message, and largest sum of a batch: body and attributes in bytes (SQS quotas, since August 2025).
const MAX_BYTES: usize = 1_048_576;
/// Longest visibility timeout: 12 hours.
const MAX_VISIBILITY_SECONDS: u32 = 43_200;
/// Longest `DelaySeconds`.
const MAX_DELAY_SECONDS: u32 = 900;

/// All queues; clones share them.
#[derive(Clone)]
pub(crate) struct Sqs {
    db: Db,
    endpoint: Arc<str>,
    queues: Arc<BTreeMap<String, Queue>>,
}

struct Queue {
    spec: QueueSpec,
    /// Rung when a message may have become visible earlier than the rows said.
    changed: Notify,
}

/// One message as a receive gives it out.
#[derive(Debug, Clone)]
pub(crate) struct SqsMessage {
    /// Stays the same for the life of the message, in the dead-letter queue too.
    pub message_id: String,
    /// For delete and change of visibility; a new one for each receive.
    pub receipt_handle: String,
    /// As sent.
    pub body: String,
    /// 1 at the first receive.
    pub receive_count: u32,
    /// Milliseconds since 1970.
    pub sent_at_ms: i64,
    /// Milliseconds since 1970.
    pub first_received_at_ms: i64,
    /// Hexadecimal MD5 of the body.
    pub md5: String,
    /// `MessageAttributes` as sent (SQS JSON: name to `{DataType, StringValue | BinaryValue}`).
    pub attributes: serde_json::Map<String, serde_json::Value>,
    /// Name of the queue whose redrive policy moved the message here.
    pub dead_letter_source: Option<String>,
}

impl Sqs {
    /// The queues of the template over the messages that are there.
    pub(super) fn new(db: Db, endpoint: &str, specs: Vec<QueueSpec>) -> Result<Self, AwsError> {
        let queues: BTreeMap<_, _> =
            specs.into_iter().map(|spec| (spec.name.clone(), Queue { spec, changed: Notify::new() })).collect();
        for Queue { spec, .. } in queues.values() {
            if let Some(redrive) = &spec.redrive
                && !queues.contains_key(&redrive.target)
            {
                let message = format!("{}: the dead-letter queue {} does not exist", spec.name, redrive.target);
                return Err(AwsError::refused("InvalidParameterValue", message));
            }
        }
        Ok(Self { db, endpoint: endpoint.into(), queues: Arc::new(queues) })
    }

    /// Up to `max` (1 to 10) visible messages, hidden from now for `visibility` seconds (the queue's own when `None`).
    /// Messages received too often go to the dead-letter queue instead, in the same transaction.
    ///
    /// # Errors
    /// `QueueDoesNotExist`, `InvalidParameterValue`, or the state's.
    pub(crate) async fn receive(
        &self,
        queue: &str,
        max: u32,
        visibility: Option<u32>,
    ) -> Result<Vec<SqsMessage>, AwsError> {
        if !(1..=10).contains(&max) {
            return Err(invalid("MaxNumberOfMessages must be between 1 and 10"));
        }
        let spec = self.queue(queue)?.spec.clone();
        let visibility = check_visibility(visibility.unwrap_or(spec.visibility_seconds))?;
        let redrive = spec.redrive.as_ref().map(|redrive| redrive.target.clone());
        let (moved, messages) = self
            .db
            .call(move |t| {
                let now = now_ms();
                rows::expire(t, &spec, now)?;
                let moved = rows::move_to_dead_letters(t, &spec, now)?;
                Ok::<_, AwsError>((moved, rows::receive(t, &spec.name, max, now, visibility)?))
            })
            .await?;
        if let Some(target) = redrive
            && moved > 0
        {
            self.queue(&target)?.changed.notify_waiters();
        }
        Ok(messages)
    }

    /// Deletes a received message. An outdated receipt succeeds and deletes nothing, as on AWS.
    ///
    /// # Errors
    /// `QueueDoesNotExist`, `ReceiptHandleIsInvalid`, or the state's.
    pub(crate) async fn delete(&self, queue: &str, receipt: &str) -> Result<(), AwsError> {
        let (queue, receipt) = (self.queue(queue)?.spec.name.clone(), Receipt::parse(receipt)?);
        self.db.call(move |t| rows::delete(t, &queue, &receipt)).await
    }

    /// Hides a received message for `seconds` from now; 0 gives it back at once.
    ///
    /// # Errors
    /// `MessageNotInflight` when it is visible again, `InvalidParameterValue` when the receipt is outdated or the
    /// time is over 12 hours, and those of [`Self::delete`].
    pub(crate) async fn change_visibility(&self, queue: &str, receipt: &str, seconds: u32) -> Result<(), AwsError> {
        let found = self.queue(queue)?;
        let (name, receipt) = (found.spec.name.clone(), Receipt::parse(receipt)?);
        let hidden = check_visibility(seconds)?;
        self.db.call(move |t| rows::change_visibility(t, &name, &receipt, now_ms(), hidden)).await?;
        found.changed.notify_waiters();
        Ok(())
    }

    /// The queue's URL, as the functions get it.
    pub(crate) fn url(&self, queue: &str) -> String {
        format!("{}/{ACCOUNT}/{queue}", self.endpoint)
    }

    /// The queue's ARN.
    pub(crate) fn arn(&self, queue: &str) -> String {
        format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}")
    }

    /// Returns when a message may be visible, or after `longest`; at once when there is one.
    ///
    /// # Errors
    /// `QueueDoesNotExist`, or the state's.
    pub(crate) async fn wait(&self, queue: &str, longest: Duration) -> Result<(), AwsError> {
        let found = self.queue(queue)?;
        let deadline = Instant::now() + longest;
        let changed = found.changed.notified();
        tokio::pin!(changed);
        // Before the look at the rows: what is sent after it must wake us.
        changed.as_mut().enable();
        let name = found.spec.name.clone();
        let next = self.db.call(move |t| rows::next_visible(t, &name)).await?;
        let until = next.map_or(deadline, |at| deadline.min(Instant::now() + milliseconds(at - now_ms())));
        tokio::select! {
            () = &mut changed => (),
            () = sleep_until(until) => (),
        }
        Ok(())
    }

    /// Sends what the host itself has to tell.
    ///
    /// # Errors
    /// `QueueDoesNotExist`, or the state's.
    pub(crate) async fn put(&self, queue: &str, body: String) -> Result<(), AwsError> {
        let message = NewMessage { body, attributes: serde_json::Map::new(), delay_seconds: None };
        self.send(queue, message).await.map(|_| ())
    }

    /// Stores one message; see [`api`] for the limits of a request. Answers with its id.
    async fn send(&self, queue: &str, message: NewMessage) -> Result<String, AwsError> {
        let found = self.queue(queue)?;
        let spec = found.spec.clone();
        let id = self.db.call(move |t| rows::insert(t, &spec, &message, now_ms())).await?;
        found.changed.notify_waiters();
        Ok(id)
    }

    fn queue(&self, name: &str) -> Result<&Queue, AwsError> {
        let missing = || AwsError::refused("QueueDoesNotExist", "The specified queue does not exist.");
        self.queues.get(name).ok_or_else(missing)
    }
}

/// A receipt handle: which message, and which receive of it.
struct Receipt {
    sequence: i64,
    handle: String,
}

impl Receipt {
    fn parse(text: &str) -> Result<Self, AwsError> {
        let invalid = || AwsError::refused("ReceiptHandleIsInvalid", "The input receipt handle is invalid.");
        let (sequence, _) = text.split_once('-').ok_or_else(invalid)?;
        Ok(Self { sequence: sequence.parse().map_err(|_| invalid())?, handle: text.to_owned() })
    }
}

fn invalid(reason: &str) -> AwsError {
    AwsError::refused("InvalidParameterValue", format!("One or more parameters are invalid. Reason: {reason}."))
}

/// Seconds to milliseconds, within what SQS takes.
fn check_visibility(seconds: u32) -> Result<i64, AwsError> {
    if seconds > MAX_VISIBILITY_SECONDS {
        return Err(invalid("VisibilityTimeout must be between 0 and 43200"));
    }
    Ok(i64::from(seconds) * 1000)
}

fn milliseconds(count: i64) -> Duration {
    Duration::from_millis(u64::try_from(count).unwrap_or(0))
}
