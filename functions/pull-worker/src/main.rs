//! `pull-worker`: pull the mailboxes that the schedule or a caller has queued.

#![recursion_limit = "256"] // the layout of a delivery: use cases over protocols over TLS, each a future in a future

use shared::events::consume;
use shared::ops::Tools;
use shared::ops::pull::work;
use shared::store::PullBatch;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::logging::init();
    let tools = Tools::from_env().await?;
    consume(async |batch: PullBatch, deadline| work(&tools, batch, deadline).await).await
}
