//! `send`: accept mail and send it.

mod batch;
mod doors;
mod files;
mod handler;
mod merge;
mod outbox;
mod pii;
mod suppressions;
mod templates;

use shared::http::{doors as paths, mount, routes, serve};
use shared::ops::Tools;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::logging::init();
    let tools = Tools::from_env().await?;
    let mounts = vec![
        mount(&routes::SEND, &tools, handler::send),
        mount(&routes::SEND_BATCH, &tools, batch::send),
        mount(&routes::OUTBOX_LIST, &tools, outbox::list),
        mount(&routes::OUTBOX_GET, &tools, outbox::get),
        mount(&routes::OUTBOX_PATCH, &tools, outbox::patch),
        mount(&routes::OUTBOX_DELETE, &tools, outbox::cancel),
        mount(&routes::OUTBOX_RETRY, &tools, outbox::retry),
        mount(&routes::SUPPRESSIONS_LIST, &tools, suppressions::list),
        mount(&routes::SUPPRESSION_ADD, &tools, suppressions::add),
        mount(&routes::SUPPRESSION_GET, &tools, suppressions::get),
        mount(&routes::SUPPRESSION_DELETE, &tools, suppressions::delete),
        mount(&routes::FILE_CREATE, &tools, files::create),
        mount(&routes::PII_TOKEN_CREATE, &tools, pii::create),
        mount(&routes::PII_TOKEN_GET, &tools, pii::get),
        mount(&routes::PII_TOKEN_DELETE, &tools, pii::delete),
        mount(&routes::PII_RESOLVER_PUT, &tools, pii::put_resolver),
        mount(&routes::PII_RESOLVER_GET, &tools, pii::get_resolver),
        mount(&routes::PII_RESOLVER_DELETE, &tools, pii::delete_resolver),
        mount(&routes::TEMPLATES_LIST, &tools, templates::list),
        mount(&routes::TEMPLATE_PUT, &tools, templates::put),
        mount(&routes::TEMPLATE_GET, &tools, templates::get),
        mount(&routes::TEMPLATE_DELETE, &tools, templates::delete),
        mount(&routes::TEMPLATE_RENDER, &tools, templates::render),
        mount(&paths::JET_SEND, &tools, doors::jetquery::send),
        mount(&paths::JET_SET, &tools, doors::jetquery::set),
        mount(&paths::JET_PUSH_ALL, &tools, doors::jetquery::push),
        mount(&paths::JET_PUSH_ALL_GET, &tools, doors::jetquery::push),
        mount(&paths::JET_PUSH, &tools, doors::jetquery::push),
        mount(&paths::JET_PUSH_GET, &tools, doors::jetquery::push),
        mount(&paths::SERVICE_SEND, &tools, doors::email_service::send),
        mount(&paths::ENGINE_SUBMIT, &tools, doors::emailengine::submit),
        mount(&paths::PREFIXED_SUBMIT, &tools, doors::emailengine::submit),
        mount(&paths::PREFIXED_OUTBOX_LIST, &tools, doors::emailengine::list),
        mount(&paths::PREFIXED_OUTBOX_GET, &tools, doors::emailengine::queued),
        mount(&paths::PREFIXED_OUTBOX_DELETE, &tools, doors::emailengine::unqueue),
        mount(&paths::OFFICE_SEND, &tools, doors::superoffice::send_emails),
        mount(&paths::OFFICE_SEND_BEHIND, &tools, doors::superoffice::send_emails),
    ];
    serve(tools.settings.http_budget, mounts).await
}
