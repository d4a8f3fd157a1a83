//! Work for other functions, by SQS. These shapes are what `deliver`, `pull-worker` and `notify` read.

use std::sync::Arc;

use aws_sdk_sqs::{Client, types::SendMessageBatchRequestEntry};
use serde::{Deserialize, Serialize};

use super::{StoreError, error::aws};
use crate::model::{AccountId, Event, MessageId, Tenant, Timestamp};

/// Messages of one account to deliver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverJob {
    /// Whose.
    pub tenant: Tenant,
    /// The account they leave through.
    pub account: AccountId,
    /// Which.
    pub ids: Vec<MessageId>,
    /// What [`Turn::Handed`](super::Turn::Handed) says of them: they can be taken although they are handed on again
    /// only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed: Option<Timestamp>,
}

/// A mailbox to pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullJob {
    /// Whose.
    pub tenant: Tenant,
    /// Which mailbox.
    pub account: AccountId,
    /// The tick that asked for it: a job older than one interval is dropped.
    pub tick: Timestamp,
    /// Asked for by a call or left over by a run: never dropped for its age.
    #[serde(default)]
    pub asked: bool,
}

/// An event to tell one webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WebhookJob {
    /// Whose.
    pub tenant: Tenant,
    /// Which webhook.
    pub webhook: String,
    /// What happened.
    pub event: Event,
    /// Attempts before this one.
    pub attempt: u32,
    /// When trying began: it is given up some time later.
    pub began: Timestamp,
    /// Not before. SQS delays for 15 minutes at most: what has longer to wait goes round.
    pub due: Timestamp,
}

/// SQS takes at most this many messages in one request.
const BATCH: usize = 10;

/// SQS delays at most this long; what is due later is found by its due time.
const LONGEST_DELAY_SECONDS: u32 = 900;

/// The queues.
#[derive(Clone, Debug)]
pub struct Queues {
    client: Client,
    deliver: Arc<str>,
    pull: Arc<str>,
    webhook: Arc<str>,
}

impl Queues {
    /// The URLs: to deliver, to pull, to tell webhooks.
    pub(super) fn new(client: Client, urls: [&String; 3]) -> Self {
        let [deliver, pull, webhook] = urls.map(|url| url.as_str().into());
        Self { client, deliver, pull, webhook }
    }

    /// Asks `deliver` to deliver, after a delay of at most 900 s.
    pub async fn enqueue_deliver(&self, jobs: &[DeliverJob], delay_seconds: u32) -> Result<(), StoreError> {
        self.enqueue(&self.deliver, jobs, delay_seconds).await
    }

    /// Asks `pull-worker` to pull.
    pub async fn enqueue_pull(&self, jobs: &[PullJob]) -> Result<(), StoreError> {
        self.enqueue(&self.pull, jobs, 0).await
    }

    /// Asks `notify` to tell webhooks, after a delay of at most 900 s.
    pub async fn enqueue_webhooks(&self, jobs: &[WebhookJob], delay_seconds: u32) -> Result<(), StoreError> {
        self.enqueue(&self.webhook, jobs, delay_seconds).await
    }

    async fn enqueue(&self, queue: &str, jobs: &[impl Serialize], delay_seconds: u32) -> Result<(), StoreError> {
        for batch in jobs.chunks(BATCH) {
            let mut left = batch
                .iter()
                .enumerate()
                .map(|(index, job)| entry(index, job, delay_seconds))
                .collect::<Result<Vec<_>, _>>()?;
            // SQS answers for each message; what it could not take for reasons of its own is asked once more.
            for _ in 0..2 {
                let request = self.client.send_message_batch().queue_url(queue).set_entries(Some(left.clone()));
                let answer = request.send().await.map_err(aws("SendMessageBatch"))?;
                if let Some(refused) = answer.failed.iter().find(|failed| failed.sender_fault) {
                    let code = refused.code.clone();
                    return Err(StoreError::Refused {
                        operation: "SendMessageBatch",
                        code,
                        status: 200,
                        request: String::new(),
                    });
                }
                left.retain(|entry| answer.failed.iter().any(|failed| failed.id == entry.id));
                if left.is_empty() {
                    break;
                }
            }
            if !left.is_empty() {
                return Err(StoreError::busy("SendMessageBatch"));
            }
        }
        Ok(())
    }
}

fn entry(index: usize, job: &impl Serialize, delay_seconds: u32) -> Result<SendMessageBatchRequestEntry, StoreError> {
    let json = serde_json::to_string(job).map_err(|_| StoreError::Corrupt { key: "a job".into() })?;
    SendMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .message_body(json)
        .delay_seconds(i32::try_from(delay_seconds.min(LONGEST_DELAY_SECONDS)).unwrap_or_default())
        .build()
        .map_err(|error| StoreError::invalid("SendMessageBatch", error))
}
