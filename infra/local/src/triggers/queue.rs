//! Lambda's event source mapping for SQS: batches to a function, and what its answer means for each message.
//!
//! docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html. A message that failed is left alone: its
//! visibility time-out brings it back, and after `maxReceiveCount` the queue moves it to the dead letters.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use super::DEFAULT_CONCURRENCY;
use crate::aws::{ACCESS_KEY, ACCOUNT, AwsError, REGION, Sqs, SqsMessage};
use crate::gateway::{Invoke, InvokeError};
use crate::template::QueueTrigger;

/// Messages that one receive gives at most (SQS quota).
const MAX_RECEIVE: u32 = 10;
/// How long one wait for messages lasts at most; SQS's own long poll has the same limit.
const LONG_POLL: Duration = Duration::from_secs(20);
/// Pause after the queue itself failed.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// One queue of one function.
pub(super) struct Poller<I> {
    function: String,
    trigger: QueueTrigger,
    functions: Arc<I>,
    sqs: Sqs,
}

impl<I: Invoke> Poller<I> {
    /// A poller that has not begun.
    pub(super) fn new(function: &str, trigger: &QueueTrigger, functions: Arc<I>, sqs: Sqs) -> Self {
        Self { function: function.to_owned(), trigger: trigger.clone(), functions, sqs }
    }

    /// Hands out batches for ever, as many at once as `MaximumConcurrency` allows.
    pub(super) async fn run(self, tasks: TaskTracker) {
        let poller = Arc::new(self);
        let limit = poller.trigger.max_concurrency.unwrap_or(DEFAULT_CONCURRENCY);
        let running = Arc::new(Semaphore::new(limit as usize));
        // Never closed: an error cannot come.
        while let Ok(permit) = Arc::clone(&running).acquire_owned().await {
            let batch = poller.batch().await;
            let poller = Arc::clone(&poller);
            tasks.spawn(async move {
                poller.work(batch).await;
                drop(permit);
            });
        }
    }

    /// Waits for messages.
    async fn batch(&self) -> Vec<SqsMessage> {
        loop {
            match self.gather().await {
                Ok(batch) if !batch.is_empty() => return batch,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(queue = %self.trigger.queue, "cannot receive: {error}");
                    sleep(AFTER_ERROR).await;
                }
            }
        }
    }

    /// Waits for a first message and takes what is there, up to a batch; less than that waits for more as long as
    /// `MaximumBatchingWindowInSeconds` says.
    async fn gather(&self) -> Result<Vec<SqsMessage>, AwsError> {
        let queue = &self.trigger.queue;
        self.sqs.wait(queue, LONG_POLL).await?;
        let end = Instant::now() + self.trigger.window;
        let mut batch = Vec::new();
        loop {
            let room = self.trigger.batch_size.saturating_sub(count(&batch));
            if room == 0 {
                return Ok(batch);
            }
            let more = self.sqs.receive(queue, room.min(MAX_RECEIVE), None).await?;
            let left = end.saturating_duration_since(Instant::now());
            if more.is_empty() && (batch.is_empty() || left.is_zero()) {
                return Ok(batch);
            }
            if more.is_empty() {
                self.sqs.wait(queue, left).await?;
            }
            batch.extend(more);
        }
    }

    /// One invocation and its consequences.
    async fn work(&self, batch: Vec<SqsMessage>) {
        let Self { function, trigger, .. } = self;
        let answer = self.functions.invoke(function, event(&batch, &self.sqs.arn(&trigger.queue))).await;
        if let Err(error) = &answer {
            tracing::warn!(%function, messages = batch.len(), "batch failed: {error}");
        }
        let ids: Vec<&str> = batch.iter().map(|message| message.message_id.as_str()).collect();
        let failed = failed(trigger.partial_failures, &ids, &answer);
        for message in batch.iter().filter(|message| !failed.contains(message.message_id.as_str())) {
            if let Err(error) = self.sqs.delete(&trigger.queue, &message.receipt_handle).await {
                // It comes back, as it would on AWS: consumers are ready for that.
                tracing::warn!(queue = %trigger.queue, "cannot delete a finished message: {error}");
            }
        }
    }
}

fn count(batch: &[SqsMessage]) -> u32 {
    u32::try_from(batch.len()).unwrap_or(u32::MAX)
}

/// The ids of the messages that are not done.
fn failed<'a>(partial: bool, ids: &[&'a str], answer: &Result<Bytes, InvokeError>) -> BTreeSet<&'a str> {
    let all = || ids.iter().copied().collect();
    match answer {
        Err(_) => all(),
        Ok(_) if !partial => BTreeSet::new(),
        Ok(body) => reported(ids, body).unwrap_or_else(all),
    }
}

/// The failures a function reports; `None` when the report makes no sense, which counts as failure of all.
fn reported<'a>(ids: &[&'a str], body: &[u8]) -> Option<BTreeSet<&'a str>> {
    if body.is_empty() {
        return Some(BTreeSet::new());
    }
    let answer: Value = serde_json::from_slice(body).ok()?;
    match answer.get("batchItemFailures") {
        None | Some(Value::Null) => Some(BTreeSet::new()),
        Some(Value::Array(failures)) => failures
            .iter()
            .map(|failure| {
                let id = failure.get("itemIdentifier")?.as_str()?;
                ids.iter().copied().find(|known| *known == id)
            })
            .collect(),
        Some(_) => None,
    }
}

/// docs.aws.amazon.com/lambda/latest/dg/with-sqs.html, "Example Lambda function event".
fn event(batch: &[SqsMessage], arn: &str) -> Bytes {
    let records: Vec<Value> = batch.iter().map(|message| record(message, arn)).collect();
    Bytes::from(json!({ "Records": records }).to_string())
}

fn record(message: &SqsMessage, arn: &str) -> Value {
    let mut attributes = json!({
        "ApproximateReceiveCount": message.receive_count.to_string(),
        "SentTimestamp": message.sent_at_ms.to_string(),
        "SenderId": ACCESS_KEY,
        "ApproximateFirstReceiveTimestamp": message.first_received_at_ms.to_string(),
    });
    if let Some(source) = &message.dead_letter_source {
        attributes["DeadLetterQueueSourceArn"] = json!(format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{source}"));
    }
    json!({
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": attributes,
        "messageAttributes": message_attributes(&message.attributes),
        "md5OfBody": message.md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": REGION,
    })
}

/// SQS writes `StringValue`, Lambda `stringValue`.
fn message_attributes(sent: &Map<String, Value>) -> Map<String, Value> {
    let lambda = |value: &Value| {
        let mut attribute = json!({ "stringListValues": [], "binaryListValues": [] });
        for (sqs, lambda) in [("DataType", "dataType"), ("StringValue", "stringValue"), ("BinaryValue", "binaryValue")]
        {
            if let Some(found) = value.get(sqs) {
                attribute[lambda] = found.clone();
            }
        }
        attribute
    };
    sent.iter().map(|(name, value)| (name.clone(), lambda(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::InvokeErrorKind;

    fn answered(body: &str) -> Result<Bytes, InvokeError> {
        Ok(Bytes::from(body.to_owned()))
    }

    #[test]
    fn only_the_reported_messages_stay() {
        let ids = ["a", "b", "c"];
        for (answer, expected) in [
            ("", &[][..]),
            ("null", &[]),
            ("{}", &[]),
            (r#"{"batchItemFailures":null}"#, &[]),
            (r#"{"batchItemFailures":[]}"#, &[]),
            (r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#, &["b"]),
            (
                r#"{"batchItemFailures":[{"itemIdentifier":"c"},{"itemIdentifier":"a"},{"itemIdentifier":"a"}]}"#,
                &["a", "c"],
            ),
        ] {
            let failed: Vec<_> = failed(true, &ids, &answered(answer)).into_iter().collect();
            assert_eq!(failed, expected, "{answer}");
        }
    }

    #[test]
    fn a_report_that_makes_no_sense_fails_the_whole_batch() {
        let ids = ["a", "b"];
        for answer in [
            "not json",
            r#"{"batchItemFailures":"b"}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"z"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"id":"b"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"a"},{}]}"#,
        ] {
            assert_eq!(failed(true, &ids, &answered(answer)), BTreeSet::from(ids), "{answer}");
        }
    }

    #[test]
    fn an_error_fails_all_and_without_partial_reports_any_answer_is_success() {
        let ids = ["a", "b"];
        let error = || InvokeError { kind: InvokeErrorKind::Timedout, payload: Bytes::new() };
        assert_eq!(failed(true, &ids, &Err(error())), BTreeSet::from(ids));
        assert_eq!(failed(false, &ids, &Err(error())), BTreeSet::from(ids));
        let reported = answered(r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#);
        assert_eq!(failed(false, &ids, &reported), BTreeSet::new());
    }

    #[test]
    fn the_event_is_lambdas() {
        let attributes = json!({"Trace": {"DataType": "String", "StringValue": "t1"}});
        let message = SqsMessage {
            message_id: "m-1".to_owned(),
            receipt_handle: "1-r".to_owned(),
            body: "{\"a\":1}".to_owned(),
            receive_count: 2,
            sent_at_ms: 1_763_719_200_123,
            first_received_at_ms: 1_763_719_201_000,
            md5: "d41d".to_owned(),
            attributes: attributes.as_object().unwrap().clone(),
            dead_letter_source: Some("work".to_owned()),
        };
        let event: Value = serde_json::from_slice(&event(&[message], "arn:aws:sqs:us-east-1:000000000000:q")).unwrap();
        let expected = json!({"Records": [{
            "messageId": "m-1",
            "receiptHandle": "1-r",
            "body": "{\"a\":1}",
            "attributes": {
                "ApproximateReceiveCount": "2",
                "SentTimestamp": "1763719200123",
                "SenderId": "halfpenny",
                "ApproximateFirstReceiveTimestamp": "1763719201000",
                "DeadLetterQueueSourceArn": "arn:aws:sqs:us-east-1:000000000000:work",
            },
            "messageAttributes": {"Trace": {
                "dataType": "String", "stringValue": "t1", "stringListValues": [], "binaryListValues": [],
            }},
            "md5OfBody": "d41d",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:q",
            "awsRegion": "us-east-1",
        }]});
        assert_eq!(event, expected);
    }
}
