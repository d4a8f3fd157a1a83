//! `messages`: list and read stored mail.

mod changes;
mod doors;
mod files;
mod filter;
mod handler;
mod links;

use shared::http::{doors as paths, mount, open, routes, serve};
use shared::ops::Tools;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::logging::init();
    let tools = Tools::from_env().await?;
    let budget = tools.settings.http_budget;
    serve(
        budget,
        vec![
            mount(&routes::MESSAGES_LIST, {
                let tools = tools.clone();
                move |call| handler::list(tools.clone(), call)
            }),
            mount(&routes::MESSAGE_GET, {
                let tools = tools.clone();
                move |call| handler::get(tools.clone(), call)
            }),
            mount(&routes::MESSAGE_CHANGE, {
                let tools = tools.clone();
                move |call| changes::change(tools.clone(), call)
            }),
            mount(&routes::MESSAGE_DELETE, {
                let tools = tools.clone();
                move |call| changes::delete(tools.clone(), call)
            }),
            mount(&routes::FOLDERS_LIST, {
                let tools = tools.clone();
                move |call| changes::folders(tools.clone(), call)
            }),
            mount(&routes::MESSAGE_SOURCE, {
                let tools = tools.clone();
                move |call| handler::source(tools.clone(), call)
            }),
            mount(&routes::MESSAGE_ATTACHMENT, {
                let tools = tools.clone();
                move |call| handler::attachment(tools.clone(), call)
            }),
            open(&routes::LINK, {
                let tools = tools.clone();
                move |visit| links::follow(tools.clone(), visit)
            }),
            mount(&routes::FILE_GET, {
                let tools = tools.clone();
                move |call| files::get(tools.clone(), call)
            }),
            mount(&paths::ENGINE_MESSAGES, {
                let tools = tools.clone();
                move |call| doors::emailengine::list(tools.clone(), call)
            }),
            mount(&paths::PREFIXED_MESSAGES, {
                let tools = tools.clone();
                move |call| doors::emailengine::list(tools.clone(), call)
            }),
            mount(&paths::ENGINE_MESSAGE, {
                let tools = tools.clone();
                move |call| doors::emailengine::get(tools.clone(), call)
            }),
            mount(&paths::PREFIXED_MESSAGE, {
                let tools = tools.clone();
                move |call| doors::emailengine::get(tools.clone(), call)
            }),
            mount(&paths::ENGINE_SOURCE, {
                let tools = tools.clone();
                move |call| doors::emailengine::source(tools.clone(), call)
            }),
            mount(&paths::PREFIXED_SOURCE, {
                let tools = tools.clone();
                move |call| doors::emailengine::source(tools.clone(), call)
            }),
            mount(&paths::ENGINE_TEXT, {
                let tools = tools.clone();
                move |call| doors::emailengine::text(tools.clone(), call)
            }),
            mount(&paths::PREFIXED_TEXT, {
                let tools = tools.clone();
                move |call| doors::emailengine::text(tools.clone(), call)
            }),
            mount(&paths::ENGINE_ATTACHMENT, {
                let tools = tools.clone();
                move |call| doors::emailengine::attachment(tools.clone(), call)
            }),
            mount(&paths::PREFIXED_ATTACHMENT, {
                let tools = tools.clone();
                move |call| doors::emailengine::attachment(tools.clone(), call)
            }),
            mount(&paths::ENGINE_SEARCH, {
                let tools = tools.clone();
                move |call| doors::emailengine::search(tools.clone(), call)
            }),
            mount(&paths::PREFIXED_SEARCH, {
                let tools = tools.clone();
                move |call| doors::emailengine::search(tools.clone(), call)
            }),
            mount(&paths::ENGINE_CHANGE, {
                let tools = tools.clone();
                move |call| doors::emailengine::update(tools.clone(), call)
            }),
            mount(&paths::PREFIXED_CHANGE, {
                let tools = tools.clone();
                move |call| doors::emailengine::update(tools.clone(), call)
            }),
            mount(&paths::ENGINE_MOVE, {
                let tools = tools.clone();
                move |call| doors::emailengine::move_to(tools.clone(), call)
            }),
            mount(&paths::PREFIXED_MOVE, {
                let tools = tools.clone();
                move |call| doors::emailengine::move_to(tools.clone(), call)
            }),
            mount(&paths::ENGINE_REMOVE, {
                let tools = tools.clone();
                move |call| doors::emailengine::delete(tools.clone(), call)
            }),
            mount(&paths::PREFIXED_REMOVE, {
                let tools = tools.clone();
                move |call| doors::emailengine::delete(tools.clone(), call)
            }),
            mount(&paths::ENGINE_MAILBOXES, {
                let tools = tools.clone();
                move |call| doors::emailengine::mailboxes(tools.clone(), call)
            }),
            mount(&paths::PREFIXED_MAILBOXES, {
                let tools = tools.clone();
                move |call| doors::emailengine::mailboxes(tools.clone(), call)
            }),
        ],
    )
    .await
}
