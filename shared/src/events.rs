//! Events that are no HTTP requests: SQS batches, records of the table's stream, and the clock. Only these handlers return `Err`: it means "again".

use std::future::Future;
use std::time::Duration;

use aws_lambda_events::event::dynamodb::{Event as StreamEvent, EventRecord};
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use futures_util::{StreamExt, stream};
use lambda_runtime::{Context, Error, LambdaEvent, run, service_fn};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::background;
use crate::mail::Deadline;
use crate::model::Timestamp;

/// Lambda lets no function run longer.
const LONGEST: Duration = Duration::from_secs(900);

/// How long a batch may wait for work that outlives its jobs.
const LAST_WORK: Duration = Duration::from_secs(25);

/// Runs a consumer of jobs. A job that fails goes back to its queue alone (partial batch response); one that cannot
/// be read goes the same way, until the queue gives it to its dead letters.
pub async fn consume<T, F, Fut>(handle: F) -> Result<(), Error>
where
    T: DeserializeOwned,
    F: Fn(T, Deadline) -> Fut,
    Fut: Future<Output = Result<(), crate::store::StoreError>>,
{
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let deadline = deadline(&event.context);
        let mut response = SqsBatchResponse::default();
        for message in event.payload.records {
            if let Some(id) = job(message, deadline, &handle).await {
                response.add_failure(id);
            }
        }
        background::finished(LAST_WORK).await;
        Ok::<_, Error>(response)
    }))
    .await
}

/// Jobs of one batch that are done at once.
const JOBS_AT_ONCE: usize = 10;

/// Runs what tells of changes: records of the table's stream go to `announce`, jobs of its own queue to `handle`, several
/// at once. `announce` answers with the sequence number from which on the records have to come again.
pub async fn changes_and_jobs<T, A, AFut, H, HFut>(announce: A, handle: H) -> Result<(), Error>
where
    T: DeserializeOwned,
    A: Fn(Vec<EventRecord>) -> AFut,
    AFut: Future<Output = Option<String>>,
    H: Fn(T, Deadline) -> HFut,
    HFut: Future<Output = Result<(), crate::store::StoreError>>,
{
    run(service_fn(async |event: LambdaEvent<Value>| {
        let deadline = deadline(&event.context);
        if event.payload.pointer("/Records/0/eventSource").and_then(Value::as_str) == Some("aws:dynamodb") {
            let changes: StreamEvent = serde_json::from_value(event.payload)?;
            let mut response = DynamoDbEventResponse::default();
            if let Some(sequence) = announce(changes.records).await {
                let mut failure = DynamoDbBatchItemFailure::default();
                failure.item_identifier = Some(sequence);
                response.batch_item_failures.push(failure);
            }
            return Ok::<_, Error>(serde_json::to_value(response)?);
        }
        let batch: SqsEvent = serde_json::from_value(event.payload)?;
        let jobs = batch.records.into_iter().map(|message| job(message, deadline, &handle));
        let failed: Vec<Option<String>> = stream::iter(jobs).buffer_unordered(JOBS_AT_ONCE).collect().await;
        let mut response = SqsBatchResponse::default();
        failed.into_iter().flatten().for_each(|id| response.add_failure(id));
        Ok(serde_json::to_value(response)?)
    }))
    .await
}

/// Does one job; its id where it has to come again.
async fn job<T, F, Fut>(message: SqsMessage, deadline: Deadline, handle: &F) -> Option<String>
where
    T: DeserializeOwned,
    F: Fn(T, Deadline) -> Fut,
    Fut: Future<Output = Result<(), crate::store::StoreError>>,
{
    let id = message.message_id.unwrap_or_default();
    let done = match serde_json::from_str(message.body.as_deref().unwrap_or_default()) {
        Ok(job) => handle(job, deadline).await.map_err(Error::from),
        Err(error) => Err(Error::from(error)),
    };
    let error = done.err()?;
    tracing::error!(%error, message = %id, "the job failed and goes back to its queue");
    Some(id)
}

/// What EventBridge sends at each tick.
#[derive(Debug, Deserialize)]
struct Tick {
    /// When it was due (RFC 3339).
    time: Timestamp,
}

/// Runs what the clock calls, with the time of the tick: "now" is what the schedule says, not when we got to it.
pub async fn ticks<T, F, Fut>(handle: F) -> Result<(), Error>
where
    T: Serialize,
    F: Fn(Timestamp) -> Fut,
    Fut: Future<Output = Result<T, crate::store::StoreError>>,
{
    run(service_fn(async |event: LambdaEvent<Tick>| handle(event.payload.time).await.map_err(Error::from))).await
}

/// The end of the invocation, less a second to answer in.
fn deadline(context: &Context) -> Deadline {
    let left = time_left(context, Timestamp::now()).unwrap_or(LONGEST);
    Deadline::after(left.saturating_sub(Duration::from_secs(1)))
}

/// What is left of an invocation. No invocation begins after its end: `cargo lambda watch` puts a length of time where
/// Lambda puts a moment, which then lies in 1970, and tells nothing.
pub(crate) fn time_left(context: &Context, now: Timestamp) -> Option<Duration> {
    let now = u64::try_from(now.0).unwrap_or(0);
    context.deadline.checked_sub(now).filter(|left| *left > 0).map(Duration::from_millis)
}
