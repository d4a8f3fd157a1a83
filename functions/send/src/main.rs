//! `send`: accept mail and send it.

mod files;
mod handler;
mod merge;
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
    macro_rules! with_tools {
        ($handler:path) => {{
            let tools = tools.clone();
            move |call| $handler(tools.clone(), call)
        }};
    }
    let mounts = vec![
        mount(&routes::SEND, with_tools!(handler::send)),
        mount(&routes::OUTBOX_LIST, with_tools!(outbox::list)),
        mount(&routes::OUTBOX_GET, with_tools!(outbox::get)),
        mount(&routes::OUTBOX_PATCH, with_tools!(outbox::patch)),
        mount(&routes::OUTBOX_DELETE, with_tools!(outbox::cancel)),
        mount(&routes::OUTBOX_RETRY, with_tools!(outbox::retry)),
        mount(&routes::SUPPRESSIONS_LIST, with_tools!(suppressions::list)),
        mount(&routes::SUPPRESSION_ADD, with_tools!(suppressions::add)),
        mount(&routes::SUPPRESSION_GET, with_tools!(suppressions::get)),
        mount(&routes::SUPPRESSION_DELETE, with_tools!(suppressions::delete)),
        mount(&routes::FILE_CREATE, with_tools!(files::create)),
        mount(&routes::PII_TOKEN_CREATE, with_tools!(pii::create)),
        mount(&routes::PII_TOKEN_GET, with_tools!(pii::get)),
        mount(&routes::PII_TOKEN_DELETE, with_tools!(pii::delete)),
        mount(&routes::PII_RESOLVER_PUT, with_tools!(pii::put_resolver)),
        mount(&routes::PII_RESOLVER_GET, with_tools!(pii::get_resolver)),
        mount(&routes::PII_RESOLVER_DELETE, with_tools!(pii::delete_resolver)),
        mount(&routes::TEMPLATES_LIST, with_tools!(templates::list)),
        mount(&routes::TEMPLATE_PUT, with_tools!(templates::put)),
        mount(&routes::TEMPLATE_GET, with_tools!(templates::get)),
        mount(&routes::TEMPLATE_DELETE, with_tools!(templates::delete)),
        mount(&routes::TEMPLATE_RENDER, with_tools!(templates::render)),
    ];
    serve(budget, mounts).await
}
