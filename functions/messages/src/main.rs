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

use shared::http::{Mount, doors as paths, mount, open, routes, serve};
use shared::ops::Tools;

use doors::{emailengine, jetquery};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::logging::init();
    let tools = Tools::from_env().await?;
    let mut mounts = vec![
        mount(&routes::MESSAGES_LIST, &tools, list::list),
        mount(&routes::THREAD_GET, &tools, list::thread),
        mount(&routes::MESSAGE_GET, &tools, handler::get),
        mount(&routes::MESSAGE_CHANGE, &tools, changes::change),
        mount(&routes::MESSAGE_DELETE, &tools, changes::delete),
        mount(&routes::FOLDERS_LIST, &tools, changes::folders),
        mount(&routes::MESSAGE_HTML, &tools, html::page),
        mount(&routes::AWAIT, &tools, waiting::wait),
        mount(&routes::MESSAGE_SOURCE, &tools, handler::source),
        mount(&routes::MESSAGE_ATTACHMENT, &tools, handler::attachment),
        open(&routes::LINK, &tools, links::follow),
        mount(&routes::FILE_GET, &tools, files::get),
        mount(&paths::JET_LIST, &tools, jetquery::list),
        mount(&paths::JET_MAIL, &tools, jetquery::get),
        mount(&paths::JET_ATTACHMENTS, &tools, jetquery::attachments),
        mount(&paths::JET_FILE, &tools, jetquery::file),
    ];
    mounts.extend(engine(&tools));
    serve(tools.settings.http_budget, mounts).await
}

/// EmailEngine's door, at the root and under its prefix.
fn engine(tools: &Tools) -> Vec<Mount> {
    vec![
        mount(&paths::ENGINE_MESSAGES, tools, emailengine::list),
        mount(&paths::ENGINE_MESSAGE, tools, emailengine::get),
        mount(&paths::ENGINE_SOURCE, tools, emailengine::source),
        mount(&paths::ENGINE_TEXT, tools, emailengine::text),
        mount(&paths::ENGINE_ATTACHMENT, tools, emailengine::attachment),
        mount(&paths::ENGINE_SEARCH, tools, emailengine::search),
        mount(&paths::ENGINE_CHANGE, tools, emailengine::update),
        mount(&paths::ENGINE_MOVE, tools, emailengine::move_to),
        mount(&paths::ENGINE_REMOVE, tools, emailengine::delete),
        mount(&paths::ENGINE_MAILBOXES, tools, emailengine::mailboxes),
        mount(&paths::PREFIXED_MESSAGES, tools, emailengine::list),
        mount(&paths::PREFIXED_MESSAGE, tools, emailengine::get),
        mount(&paths::PREFIXED_SOURCE, tools, emailengine::source),
        mount(&paths::PREFIXED_TEXT, tools, emailengine::text),
        mount(&paths::PREFIXED_ATTACHMENT, tools, emailengine::attachment),
        mount(&paths::PREFIXED_SEARCH, tools, emailengine::search),
        mount(&paths::PREFIXED_CHANGE, tools, emailengine::update),
        mount(&paths::PREFIXED_MOVE, tools, emailengine::move_to),
        mount(&paths::PREFIXED_REMOVE, tools, emailengine::delete),
        mount(&paths::PREFIXED_MAILBOXES, tools, emailengine::mailboxes),
    ]
}
