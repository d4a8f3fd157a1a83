//! `notify`: tell what happened. One binary for both of its triggers: what the table's stream says becomes events for the
//! bus and jobs for the queue of webhooks, and what that queue holds is delivered.

#![recursion_limit = "256"] // the layout of the SDK's futures within ours

use shared::events::changes_and_jobs;
use shared::model::Timestamp;
use shared::ops::notify::announce;
use shared::ops::{Tools, webhooks};
use shared::store::WebhookJob;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::logging::init();
    let tools = Tools::from_env().await?;
    changes_and_jobs(
        async |records| announce(&tools, records, Timestamp::now()).await,
        async |job: WebhookJob, deadline| webhooks::deliver(&tools, job, deadline).await,
    )
    .await
}
