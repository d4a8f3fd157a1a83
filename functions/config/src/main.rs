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
    let budget = tools.settings.http_budget;
    macro_rules! with_tools {
        ($handler:path) => {{
            let tools = tools.clone();
            move |call| $handler(tools.clone(), call)
        }};
    }
    let mounts = vec![
        open(&routes::HEALTH, |_| async { Reply::ok(&Health { status: "ok", version: env!("CARGO_PKG_VERSION") }) }),
        open(&routes::OPENAPI, |_| async { Reply::ok(&openapi::document()) }),
        open(&routes::DOCS, |_| async { Ok(Reply::bytes("text/html; charset=utf-8", docs::page().into_bytes())) }),
        mount(&routes::ACCOUNTS_LIST, with_tools!(accounts::list)),
        mount(&routes::ACCOUNT_CREATE, with_tools!(accounts::create)),
        mount(&routes::ACCOUNT_PUT, with_tools!(accounts::put)),
        mount(&routes::ACCOUNT_PATCH, with_tools!(accounts::patch)),
        mount(&routes::ACCOUNTS_IMPORT, with_tools!(jetquery::import::import)),
        mount(&routes::ACCOUNT_GET, with_tools!(accounts::get)),
        mount(&routes::ACCOUNT_DELETE, with_tools!(accounts::delete)),
        mount(&routes::ACCOUNT_HISTORY, with_tools!(history::list)),
        mount(&routes::ACCOUNT_RESTORE, with_tools!(history::restore)),
        mount(&routes::TOKEN_CREATE, with_tools!(tokens::create)),
        mount(&routes::TOKENS_LIST, with_tools!(tokens::list)),
        mount(&routes::TOKEN_DELETE, with_tools!(tokens::delete)),
        mount(&routes::WEBHOOKS_LIST, with_tools!(webhooks::list)),
        mount(&routes::WEBHOOK_CREATE, with_tools!(webhooks::create)),
        mount(&routes::WEBHOOK_MOCK, webhooks::mock),
        mount(&routes::WEBHOOK_GET, with_tools!(webhooks::get)),
        mount(&routes::WEBHOOK_PUT, with_tools!(webhooks::put)),
        mount(&routes::WEBHOOK_PATCH, with_tools!(webhooks::patch)),
        mount(&routes::WEBHOOK_DELETE, with_tools!(webhooks::delete)),
        mount(&routes::WEBHOOK_ROTATE, with_tools!(webhooks::rotate)),
        mount(&routes::WEBHOOK_TEST, with_tools!(webhooks::test)),
        mount(&routes::WEBHOOK_DELIVERIES, with_tools!(webhooks::deliveries)),
        mount(&routes::WEBHOOK_REPLAY, with_tools!(webhooks::replay)),
        mount(&routes::WEBHOOK_REPLAY_FAILED, with_tools!(webhooks::replay_failed)),
        mount(&paths::ENGINE_CREATE, with_tools!(emailengine::create)),
        mount(&paths::ENGINE_GET, with_tools!(emailengine::get)),
        mount(&paths::ENGINE_UPDATE, with_tools!(emailengine::update)),
        mount(&paths::ENGINE_DELETE, with_tools!(emailengine::delete)),
        mount(&paths::ENGINE_SETTINGS, with_tools!(emailengine::settings)),
        mount(&paths::ENGINE_SETTLE, with_tools!(emailengine::settle)),
        mount(&paths::PREFIXED_CREATE, with_tools!(emailengine::create)),
        mount(&paths::PREFIXED_GET, with_tools!(emailengine::get)),
        mount(&paths::PREFIXED_UPDATE, with_tools!(emailengine::update)),
        mount(&paths::PREFIXED_DELETE, with_tools!(emailengine::delete)),
        mount(&paths::PREFIXED_SETTINGS, with_tools!(emailengine::settings)),
        mount(&paths::PREFIXED_SETTLE, with_tools!(emailengine::settle)),
        mount(&paths::PREFIXED_LIST, with_tools!(emailengine::list)),
        mount(&paths::JET_GET, with_tools!(jetquery::get)),
        mount(&paths::JET_PUT, with_tools!(jetquery::put)),
        mount(&paths::JET_DELETE, with_tools!(jetquery::delete)),
        mount(&paths::QLIK_GET, with_tools!(qlik::get)),
        mount(&paths::QLIK_PATCH, with_tools!(qlik::patch)),
        mount(&paths::QLIK_PUT, with_tools!(qlik::put)),
        mount(&paths::QLIK_DELETE, with_tools!(qlik::delete)),
    ];
    serve(budget, mounts).await
}
