//! Lambda's event source mapping for a DynamoDB stream: batches in order to a function, and what its answer means.
//!
//! docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html. One shard, one batch at a time: what
//! fails holds up what comes behind it, until it succeeds or is given up. The position is noted behind each success, so
//! that what was under way when anything died comes again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::sleep;

use crate::aws::{ACCOUNT, AwsError, REGION, Sqs, StreamRecord, Streams, shard_id, stream_arn};
use crate::gateway::{Invoke, InvokeError};
use crate::template::StreamTrigger;

/// Pause after a stream gave nothing. (AWS looks four times a second, too.)
const IDLE: Duration = Duration::from_millis(200);
/// Pause after the state itself failed.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// Pause before the first retry; it doubles.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// Longest pause before a retry.
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// One stream of one function.
pub(super) struct Poller<I> {
    function: String,
    consumer: String,
    trigger: StreamTrigger,
    functions: Arc<I>,
    streams: Streams,
    sqs: Sqs,
}

/// Records to hand over, and how often that was tried.
struct Part {
    records: Vec<StreamRecord>,
    tries: u32,
}

impl<I: Invoke> Poller<I> {
    /// A poller that has not begun.
    pub(super) fn new(function: &str, trigger: &StreamTrigger, functions: Arc<I>, streams: Streams, sqs: Sqs) -> Self {
        let consumer = format!("{function}/{}", trigger.name);
        Self { function: function.to_owned(), consumer, trigger: trigger.clone(), functions, streams, sqs }
    }

    /// Hands out batches for ever.
    pub(super) async fn run(self) {
        loop {
            match self.round().await {
                Ok(true) => {}
                Ok(false) => sleep(IDLE).await,
                Err(error) => {
                    tracing::warn!(table = %self.trigger.table, "cannot read the stream: {error}");
                    sleep(AFTER_ERROR).await;
                }
            }
        }
    }

    /// One read and all that follows from it; false: there was nothing.
    async fn round(&self) -> Result<bool, AwsError> {
        let position = self.streams.position(&self.consumer).await?;
        let mut read = self.streams.read(&self.trigger.table, position.as_deref()).await?;
        if !read.is_empty() && !self.trigger.window.is_zero() {
            sleep(self.trigger.window).await;
            read = self.streams.read(&self.trigger.table, position.as_deref()).await?;
        }
        let Some(last) = read.last().map(|record| record.sequence.clone()) else {
            return Ok(false);
        };
        let passing: Vec<StreamRecord> = read.into_iter().filter(|record| self.passes(record)).collect();
        for batch in passing.chunks(self.trigger.batch_size.max(1)) {
            self.work(batch.to_vec()).await?;
        }
        self.streams.advance(&self.consumer, &last).await?;
        Ok(true)
    }

    fn passes(&self, record: &StreamRecord) -> bool {
        let filters = &self.trigger.filters;
        filters.is_empty() || filters.iter().any(|filter| filter.matches(Some(&record.event)))
    }

    /// One batch, until every record of it has succeeded or is given up.
    async fn work(&self, records: Vec<StreamRecord>) -> Result<(), AwsError> {
        let mut parts = VecDeque::from([Part { records, tries: 0 }]);
        while let Some(part) = parts.pop_front() {
            let answer = self.functions.invoke(&self.function, event(&part.records)).await;
            let Some(failed) = self.failed_from(&part.records, &answer) else {
                self.done(&part.records).await?;
                continue;
            };
            let (done, left) = part.records.split_at(failed);
            self.done(done).await?;
            // A batch that came forward begins to count anew.
            let tries = if failed == 0 { part.tries + 1 } else { 1 };
            if self.is_over(left, tries) {
                self.give_up(left, tries).await?;
                continue;
            }
            tracing::warn!(function = %self.function, records = left.len(), tries, "batch failed and is tried again");
            for records in self.halves(left).into_iter().rev() {
                parts.push_front(Part { records, tries });
            }
            sleep(FIRST_RETRY.saturating_mul(1 << (tries - 1).min(10)).min(LONGEST_RETRY)).await;
        }
        Ok(())
    }

    async fn done(&self, records: &[StreamRecord]) -> Result<(), AwsError> {
        match records.last() {
            Some(last) => self.streams.advance(&self.consumer, &last.sequence).await,
            None => Ok(()),
        }
    }

    fn halves(&self, records: &[StreamRecord]) -> Vec<Vec<StreamRecord>> {
        if !self.trigger.bisect || records.len() < 2 {
            return vec![records.to_vec()];
        }
        let (first, second) = records.split_at(records.len() / 2);
        vec![first.to_vec(), second.to_vec()]
    }

    /// Index of the first record that is not done; none: all are.
    fn failed_from(&self, records: &[StreamRecord], answer: &Result<Bytes, InvokeError>) -> Option<usize> {
        match answer {
            Err(_) => Some(0),
            Ok(_) if !self.trigger.partial_failures => None,
            Ok(body) => reported(records, body),
        }
    }

    fn is_over(&self, records: &[StreamRecord], tries: u32) -> bool {
        let exhausted = self.trigger.max_retries.is_some_and(|most| tries > most);
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let oldest = records.first().map_or(now, |record| record.created_at);
        let age = u64::try_from(now - oldest).unwrap_or_default();
        exhausted || self.trigger.max_age.is_some_and(|most| age > most.as_secs())
    }

    /// Tells the queue for failures which records were given up, but not what is in them: as on AWS.
    async fn give_up(&self, records: &[StreamRecord], tries: u32) -> Result<(), AwsError> {
        tracing::error!(function = %self.function, records = records.len(), tries, "records given up");
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
        if let Some(queue) = &self.trigger.on_failure {
            let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
            let function = &self.function;
            let message = json!({
                "requestContext": {
                    "functionArn": format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}"),
                    "condition": "RetryAttemptsExhausted",
                    "approximateInvokeCount": tries,
                },
                "version": "1.0",
                "timestamp": now,
                "DDBStreamBatchInfo": {
                    "shardId": shard_id(&self.trigger.table),
                    "startSequenceNumber": first.sequence,
                    "endSequenceNumber": last.sequence,
                    "batchSize": records.len(),
                    "streamArn": stream_arn(&self.trigger.table),
                },
            });
            self.sqs.put(queue, message.to_string()).await?;
        }
        self.done(records).await
    }
}

/// The lowest of the reported sequence numbers counts, and all behind it is tried again. A report that makes no sense
/// fails all.
fn reported(records: &[StreamRecord], body: &[u8]) -> Option<usize> {
    if body.is_empty() {
        return None;
    }
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return Some(0);
    };
    match answer.get("batchItemFailures") {
        None | Some(Value::Null) => None,
        Some(Value::Array(failures)) => {
            let index = |failure: &Value| {
                let sequence = failure.get("itemIdentifier").and_then(Value::as_str)?;
                records.iter().position(|record| record.sequence == sequence)
            };
            failures.iter().map(|failure| index(failure).unwrap_or(0)).min()
        }
        Some(_) => Some(0),
    }
}

fn event(records: &[StreamRecord]) -> Bytes {
    let records: Vec<&Value> = records.iter().map(|record| &record.event).collect();
    Bytes::from(json!({ "Records": records }).to_string())
}

#[cfg(test)]
mod tests;
