//! Events that are no HTTP requests: SQS batches and the clock. Only these handlers return `Err`: it means "again".

use std::future::Future;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Context, Error, LambdaEvent, run, service_fn};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

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
            let id = message.message_id.unwrap_or_default();
            let done = match serde_json::from_str(message.body.as_deref().unwrap_or_default()) {
                Ok(job) => handle(job, deadline).await.map_err(Error::from),
                Err(error) => Err(Error::from(error)),
            };
            if let Err(error) = done {
                tracing::error!(%error, message = %id, "the job failed and goes back to its queue");
                response.add_failure(id);
            }
        }
        background::finished(LAST_WORK).await;
        Ok::<_, Error>(response)
    }))
    .await
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
