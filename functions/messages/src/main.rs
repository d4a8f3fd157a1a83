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

/// A handler with its tools.
macro_rules! with {
    ($tools:ident, $handler:path) => {{
        let tools = $tools.clone();
        move |call| $handler(tools.clone(), call)
    }};
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::logging::init();
    let tools = Tools::from_env().await?;
    let mut mounts = vec![
        mount(&routes::MESSAGES_LIST, with!(tools, list::list)),
        mount(&routes::THREAD_GET, with!(tools, list::thread)),
        mount(&routes::MESSAGE_GET, with!(tools, handler::get)),
        mount(&routes::MESSAGE_CHANGE, with!(tools, changes::change)),
        mount(&routes::MESSAGE_DELETE, with!(tools, changes::delete)),
        mount(&routes::FOLDERS_LIST, with!(tools, changes::folders)),
        mount(&routes::MESSAGE_HTML, with!(tools, html::page)),
        mount(&routes::AWAIT, with!(tools, waiting::wait)),
        mount(&routes::MESSAGE_SOURCE, with!(tools, handler::source)),
        mount(&routes::MESSAGE_ATTACHMENT, with!(tools, handler::attachment)),
        open(&routes::LINK, with!(tools, links::follow)),
        mount(&routes::FILE_GET, with!(tools, files::get)),
        mount(&paths::JET_LIST, with!(tools, jetquery::list)),
        mount(&paths::JET_MAIL, with!(tools, jetquery::get)),
        mount(&paths::JET_ATTACHMENTS, with!(tools, jetquery::attachments)),
        mount(&paths::JET_FILE, with!(tools, jetquery::file)),
    ];
    mounts.extend(engine(&tools));
    serve(tools.settings.http_budget, mounts).await
}

/// EmailEngine's door, at the root and under its prefix.
fn engine(tools: &Tools) -> Vec<Mount> {
    vec![
        mount(&paths::ENGINE_MESSAGES, with!(tools, emailengine::list)),
        mount(&paths::ENGINE_MESSAGE, with!(tools, emailengine::get)),
        mount(&paths::ENGINE_SOURCE, with!(tools, emailengine::source)),
        mount(&paths::ENGINE_TEXT, with!(tools, emailengine::text)),
        mount(&paths::ENGINE_ATTACHMENT, with!(tools, emailengine::attachment)),
        mount(&paths::ENGINE_SEARCH, with!(tools, emailengine::search)),
        mount(&paths::ENGINE_CHANGE, with!(tools, emailengine::update)),
        mount(&paths::ENGINE_MOVE, with!(tools, emailengine::move_to)),
        mount(&paths::ENGINE_REMOVE, with!(tools, emailengine::delete)),
        mount(&paths::ENGINE_MAILBOXES, with!(tools, emailengine::mailboxes)),
        mount(&paths::PREFIXED_MESSAGES, with!(tools, emailengine::list)),
        mount(&paths::PREFIXED_MESSAGE, with!(tools, emailengine::get)),
        mount(&paths::PREFIXED_SOURCE, with!(tools, emailengine::source)),
        mount(&paths::PREFIXED_TEXT, with!(tools, emailengine::text)),
        mount(&paths::PREFIXED_ATTACHMENT, with!(tools, emailengine::attachment)),
        mount(&paths::PREFIXED_SEARCH, with!(tools, emailengine::search)),
        mount(&paths::PREFIXED_CHANGE, with!(tools, emailengine::update)),
        mount(&paths::PREFIXED_MOVE, with!(tools, emailengine::move_to)),
        mount(&paths::PREFIXED_REMOVE, with!(tools, emailengine::delete)),
        mount(&paths::PREFIXED_MAILBOXES, with!(tools, emailengine::mailboxes)),
    ]
}
