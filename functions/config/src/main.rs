//! `config`: accounts, tokens and webhooks; also what needs no token at all.

mod accounts;
mod doors;
mod history;
mod tokens;
mod usecase;
mod webhooks;

use shared::http::{Reply, docs, doors as paths, mount, open, openapi, routes, serve};
use shared::model::views::Health;
use shared::ops::Tools;

use doors::{emailengine, jetquery, qlik};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::logging::init();
    let tools = Tools::from_env().await?;
    let mounts = vec![
        open(&routes::HEALTH, &tools, |_, _| async {
            Reply::ok(&Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
        }),
        open(&routes::OPENAPI, &tools, |_, _| async { Reply::ok(&openapi::document()) }),
        open(&routes::DOCS, &tools, |_, _| async {
            Ok(Reply::bytes("text/html; charset=utf-8", docs::page().into_bytes()))
        }),
        mount(&routes::ACCOUNTS_LIST, &tools, accounts::list),
        mount(&routes::ACCOUNT_CREATE, &tools, accounts::create),
        mount(&routes::ACCOUNT_PUT, &tools, accounts::put),
        mount(&routes::ACCOUNT_PATCH, &tools, accounts::patch),
        mount(&routes::ACCOUNTS_IMPORT, &tools, jetquery::import::import),
        mount(&routes::ACCOUNT_GET, &tools, accounts::get),
        mount(&routes::ACCOUNT_DELETE, &tools, accounts::delete),
        mount(&routes::ACCOUNT_HISTORY, &tools, history::list),
        mount(&routes::ACCOUNT_RESTORE, &tools, history::restore),
        mount(&routes::TOKEN_CREATE, &tools, tokens::create),
        mount(&routes::TOKENS_LIST, &tools, tokens::list),
        mount(&routes::TOKEN_DELETE, &tools, tokens::delete),
        mount(&routes::WEBHOOKS_LIST, &tools, webhooks::list),
        mount(&routes::WEBHOOK_CREATE, &tools, webhooks::create),
        mount(&routes::WEBHOOK_MOCK, &tools, webhooks::mock),
        mount(&routes::WEBHOOK_GET, &tools, webhooks::get),
        mount(&routes::WEBHOOK_PUT, &tools, webhooks::put),
        mount(&routes::WEBHOOK_PATCH, &tools, webhooks::patch),
        mount(&routes::WEBHOOK_DELETE, &tools, webhooks::delete),
        mount(&routes::WEBHOOK_ROTATE, &tools, webhooks::rotate),
        mount(&routes::WEBHOOK_TEST, &tools, webhooks::test),
        mount(&routes::WEBHOOK_DELIVERIES, &tools, webhooks::deliveries),
        mount(&routes::WEBHOOK_REPLAY, &tools, webhooks::replay),
        mount(&routes::WEBHOOK_REPLAY_FAILED, &tools, webhooks::replay_failed),
        mount(&paths::ENGINE_CREATE, &tools, emailengine::create),
        mount(&paths::ENGINE_GET, &tools, emailengine::get),
        mount(&paths::ENGINE_UPDATE, &tools, emailengine::update),
        mount(&paths::ENGINE_DELETE, &tools, emailengine::delete),
        mount(&paths::ENGINE_SETTINGS, &tools, emailengine::settings),
        mount(&paths::ENGINE_SETTLE, &tools, emailengine::settle),
        mount(&paths::PREFIXED_CREATE, &tools, emailengine::create),
        mount(&paths::PREFIXED_GET, &tools, emailengine::get),
        mount(&paths::PREFIXED_UPDATE, &tools, emailengine::update),
        mount(&paths::PREFIXED_DELETE, &tools, emailengine::delete),
        mount(&paths::PREFIXED_SETTINGS, &tools, emailengine::settings),
        mount(&paths::PREFIXED_SETTLE, &tools, emailengine::settle),
        mount(&paths::PREFIXED_LIST, &tools, emailengine::list),
        mount(&paths::JET_GET, &tools, jetquery::get),
        mount(&paths::JET_PUT, &tools, jetquery::put),
        mount(&paths::JET_DELETE, &tools, jetquery::delete),
        mount(&paths::QLIK_GET, &tools, qlik::get),
        mount(&paths::QLIK_PATCH, &tools, qlik::patch),
        mount(&paths::QLIK_PUT, &tools, qlik::put),
        mount(&paths::QLIK_DELETE, &tools, qlik::delete),
    ];
    serve(tools.settings.http_budget, mounts).await
}
