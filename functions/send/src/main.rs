//! `send`: accept mail and send it.

mod files;
mod handler;
mod outbox;
mod pii;
mod suppressions;
mod templates;

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
            mount(&routes::SUPPRESSIONS_LIST, {
                let tools = tools.clone();
                move |call| suppressions::list(tools.clone(), call)
            }),
            mount(&routes::SUPPRESSION_ADD, {
                let tools = tools.clone();
                move |call| suppressions::add(tools.clone(), call)
            }),
            mount(&routes::SUPPRESSION_GET, {
                let tools = tools.clone();
                move |call| suppressions::get(tools.clone(), call)
            }),
            mount(&routes::SUPPRESSION_DELETE, {
                let tools = tools.clone();
                move |call| suppressions::delete(tools.clone(), call)
            }),
            mount(&routes::FILE_CREATE, {
                let tools = tools.clone();
                move |call| files::create(tools.clone(), call)
            }),
            mount(&routes::PII_TOKEN_CREATE, {
                let tools = tools.clone();
                move |call| pii::create(tools.clone(), call)
            }),
            mount(&routes::PII_TOKEN_GET, {
                let tools = tools.clone();
                move |call| pii::get(tools.clone(), call)
            }),
            mount(&routes::PII_TOKEN_DELETE, {
                let tools = tools.clone();
                move |call| pii::delete(tools.clone(), call)
            }),
            mount(&routes::PII_RESOLVER_PUT, {
                let tools = tools.clone();
                move |call| pii::put_resolver(tools.clone(), call)
            }),
            mount(&routes::PII_RESOLVER_GET, {
                let tools = tools.clone();
                move |call| pii::get_resolver(tools.clone(), call)
            }),
            mount(&routes::PII_RESOLVER_DELETE, {
                let tools = tools.clone();
                move |call| pii::delete_resolver(tools.clone(), call)
            }),
            mount(&routes::TEMPLATES_LIST, {
                let tools = tools.clone();
                move |call| templates::list(tools.clone(), call)
            }),
            mount(&routes::TEMPLATE_PUT, {
                let tools = tools.clone();
                move |call| templates::put(tools.clone(), call)
            }),
            mount(&routes::TEMPLATE_GET, {
                let tools = tools.clone();
                move |call| templates::get(tools.clone(), call)
            }),
            mount(&routes::TEMPLATE_DELETE, {
                let tools = tools.clone();
                move |call| templates::delete(tools.clone(), call)
            }),
            mount(&routes::TEMPLATE_RENDER, {
                let tools = tools.clone();
                move |call| templates::render(tools.clone(), call)
            }),
        ],
    )
    .await
}
