//! `send`: accept mail and send it.

mod batch;
mod handler;
mod outbox;

use shared::http::{mount, routes, serve};
use shared::ops::Tools;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::logging::init();
    let tools = Tools::from_env().await?;
    let budget = tools.settings.http_budget;
    serve(
        budget,
        vec![
            mount(&routes::SEND, {
                let tools = tools.clone();
                move |call| handler::send(tools.clone(), call)
            }),
            mount(&routes::SEND_BATCH, {
                let tools = tools.clone();
                move |call| batch::send(tools.clone(), call)
            }),
            mount(&routes::OUTBOX_LIST, {
                let tools = tools.clone();
                move |call| outbox::list(tools.clone(), call)
            }),
            mount(&routes::OUTBOX_GET, {
                let tools = tools.clone();
                move |call| outbox::get(tools.clone(), call)
            }),
            mount(&routes::OUTBOX_PATCH, {
                let tools = tools.clone();
                move |call| outbox::patch(tools.clone(), call)
            }),
            mount(&routes::OUTBOX_DELETE, {
                let tools = tools.clone();
                move |call| outbox::cancel(tools.clone(), call)
            }),
            mount(&routes::OUTBOX_RETRY, {
                let tools = tools.clone();
                move |call| outbox::retry(tools.clone(), call)
            }),
        ],
    )
    .await
}
