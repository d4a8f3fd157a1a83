//! `deliver`: hand over what is queued.

#![recursion_limit = "256"] // the layout of a delivery: use cases over protocols over TLS, each a future in a future

use shared::events::consume;
use shared::ops::Tools;
use shared::ops::send::deliver;
use shared::store::DeliverJob;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::logging::init();
    let tools = Tools::from_env().await?;
    consume(async |job: DeliverJob, deadline| deliver(&tools, &job, deadline).await).await
}
