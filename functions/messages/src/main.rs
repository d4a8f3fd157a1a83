//! `messages`: list and read stored mail.

mod changes;
mod doors;
mod extract;
mod fields;
mod files;
mod filter;
mod handler;
mod html;
mod links;
mod list;
mod waiting;

use shared::http::{doors as paths, mount, open, routes, serve};
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
            mount(&routes::MESSAGES_LIST, {
                let tools = tools.clone();
                move |call| list::list(tools.clone(), call)
            }),
            mount(&routes::THREAD_GET, {
                let tools = tools.clone();
                move |call| list::thread(tools.clone(), call)
            }),
            mount(&routes::MESSAGE_GET, {
                let tools = tools.clone();
                move |call| handler::get(tools.clone(), call)
            }),
            mount(&routes::MESSAGE_HTML, {
                let tools = tools.clone();
                move |call| html::page(tools.clone(), call)
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
            mount(&routes::AWAIT, {
                let tools = tools.clone();
                move |call| waiting::wait(tools.clone(), call)
            }),
            open(&routes::LINK, {
                let tools = tools.clone();
                move |visit| links::follow(tools.clone(), visit)
            }),
            mount(&routes::FILE_GET, {
                let tools = tools.clone();
                move |call| files::get(tools.clone(), call)
            }),
            mount(&paths::JET_LIST, {
                let tools = tools.clone();
                move |call| jetquery::list(tools.clone(), call)
            }),
            mount(&paths::JET_MAIL, {
                let tools = tools.clone();
                move |call| jetquery::get(tools.clone(), call)
            }),
            mount(&paths::JET_ATTACHMENTS, {
                let tools = tools.clone();
                move |call| jetquery::attachments(tools.clone(), call)
            }),
            mount(&paths::JET_FILE, {
                let tools = tools.clone();
                move |call| jetquery::file(tools.clone(), call)
            }),
        ],
    )
    .await
}
