//! `validate`: check settings: does an account work?

mod doors;
mod handler;

use shared::http::{doors as paths, mount, routes, serve};
use shared::ops::Tools;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::logging::init();
    let tools = Tools::from_env().await?;
    let mounts = vec![
        mount(&routes::VERIFY, &tools, handler::verify),
        mount(&routes::VALIDATE, &tools, handler::validate),
        mount(&routes::DIAGNOSE_ACCOUNT, &tools, handler::diagnose_stored),
        mount(&routes::DIAGNOSE, &tools, handler::diagnose_given),
        mount(&routes::AUTOCONFIG, &tools, handler::autoconfig),
        mount(&routes::RISKS, &tools, handler::risks),
        mount(&paths::ENGINE_VERIFY, &tools, doors::emailengine::verify),
        mount(&paths::PREFIXED_VERIFY, &tools, doors::emailengine::verify),
        mount(&paths::PREFIXED_AUTOCONFIG, &tools, doors::emailengine::autoconfig),
        mount(&paths::SERVICE_VALIDATE, &tools, doors::email_service::validate),
        mount(&paths::QLIK_VALIDATE, &tools, doors::qlik::validate),
        mount(&paths::QLIK_VERIFY, &tools, doors::qlik::verify),
    ];
    serve(tools.settings.http_budget, mounts).await
}
