//! `pull-worker`: pull the mailboxes that the schedule or a caller has queued.

#![recursion_limit = "256"] // the layout of a delivery: use cases over protocols over TLS, each a future in a future

use shared::events::consume;
use shared::ops::pull::work;
use shared::ops::{Tools, again};
use shared::store::{AgainJob, PullBatch};

/// What the queue brings.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Work {
    /// Messages to announce or read again.
    Again(AgainJob),
    /// Mailboxes to pull.
    Pull(PullBatch),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::logging::init();
    let tools = Tools::from_env().await?;
    consume(async |job: Work, deadline| match job {
        Work::Again(job) => again::work(&tools, job, deadline).await,
        Work::Pull(batch) => work(&tools, batch, deadline).await,
    })
    .await
}
