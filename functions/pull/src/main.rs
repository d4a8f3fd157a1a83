//! `pull`: pull mailboxes and push what waits, on demand.

mod doors;
mod handler;

use shared::http::{doors as paths, mount, routes, serve};
use shared::ops::Tools;

use doors::jetquery;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::logging::init();
    let tools = Tools::from_env().await?;
    let budget = tools.settings.http_budget;
    serve(
        budget,
        vec![
            mount(&routes::PULL, {
                let tools = tools.clone();
                move |call| handler::pull(tools.clone(), call)
            }),
            mount(&routes::PULL_ALL, {
                let tools = tools.clone();
                move |call| handler::pull_all(tools.clone(), call)
            }),
            mount(&routes::PUSH, {
                let tools = tools.clone();
                move |call| handler::push(tools.clone(), call)
            }),
            mount(&routes::PUSH_ALL, {
                let tools = tools.clone();
                move |call| handler::push_all(tools.clone(), call)
            }),
            mount(&routes::SYNC, {
                let tools = tools.clone();
                move |call| handler::sync(tools.clone(), call)
            }),
            mount(&routes::SYNC_ALL, {
                let tools = tools.clone();
                move |call| handler::sync_all(tools.clone(), call)
            }),
            mount(&paths::JET_PULL_ALL, {
                let tools = tools.clone();
                move |call| jetquery::pull(tools.clone(), call)
            }),
            mount(&paths::JET_PULL_ALL_GET, {
                let tools = tools.clone();
                move |call| jetquery::pull(tools.clone(), call)
            }),
            mount(&paths::JET_PULL, {
                let tools = tools.clone();
                move |call| jetquery::pull(tools.clone(), call)
            }),
            mount(&paths::JET_PULL_GET, {
                let tools = tools.clone();
                move |call| jetquery::pull(tools.clone(), call)
            }),
            mount(&paths::JET_SYNC_ALL, {
                let tools = tools.clone();
                move |call| jetquery::sync(tools.clone(), call)
            }),
            mount(&paths::JET_SYNC_ALL_GET, {
                let tools = tools.clone();
                move |call| jetquery::sync(tools.clone(), call)
            }),
            mount(&paths::JET_SYNC, {
                let tools = tools.clone();
                move |call| jetquery::sync(tools.clone(), call)
            }),
            mount(&paths::JET_SYNC_GET, {
                let tools = tools.clone();
                move |call| jetquery::sync(tools.clone(), call)
            }),
        ],
    )
    .await
}
