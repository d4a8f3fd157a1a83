//! `pull`: pull mailboxes and push what waits, on demand.

mod again;
mod doors;
mod handler;

use shared::http::{doors as paths, mount, routes, serve};
use shared::ops::Tools;

use doors::jetquery;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::logging::init();
    let tools = Tools::from_env().await?;
    let mounts = vec![
        mount(&routes::PULL, &tools, handler::pull),
        mount(&routes::PULL_ALL, &tools, handler::pull_all),
        mount(&routes::REWIND, &tools, again::rewind),
        mount(&routes::REPARSE, &tools, again::reparse),
        mount(&routes::ACKNOWLEDGE, &tools, again::acknowledge),
        mount(&routes::PUSH, &tools, handler::push),
        mount(&routes::PUSH_ALL, &tools, handler::push_all),
        mount(&routes::SYNC, &tools, handler::sync),
        mount(&routes::SYNC_ALL, &tools, handler::sync_all),
        mount(&paths::JET_PULL_ALL, &tools, jetquery::pull),
        mount(&paths::JET_PULL_ALL_GET, &tools, jetquery::pull),
        mount(&paths::JET_PULL, &tools, jetquery::pull),
        mount(&paths::JET_PULL_GET, &tools, jetquery::pull),
        mount(&paths::JET_SYNC_ALL, &tools, jetquery::sync),
        mount(&paths::JET_SYNC_ALL_GET, &tools, jetquery::sync),
        mount(&paths::JET_SYNC, &tools, jetquery::sync),
        mount(&paths::JET_SYNC_GET, &tools, jetquery::sync),
    ];
    serve(tools.settings.http_budget, mounts).await
}
