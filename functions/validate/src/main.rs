//! `validate`: check settings: does an account work?

mod doors;
mod handler;

use shared::http::{doors as paths, mount, routes, serve};
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
        mount(&routes::VERIFY, with_tools!(handler::verify)),
        mount(&routes::VALIDATE, with_tools!(handler::validate)),
        mount(&routes::DIAGNOSE_ACCOUNT, with_tools!(handler::diagnose_stored)),
        mount(&routes::DIAGNOSE, with_tools!(handler::diagnose_given)),
        mount(&routes::AUTOCONFIG, with_tools!(handler::autoconfig)),
        mount(&routes::RISKS, with_tools!(handler::risks)),
        mount(&paths::ENGINE_VERIFY, with_tools!(doors::emailengine::verify)),
        mount(&paths::PREFIXED_VERIFY, with_tools!(doors::emailengine::verify)),
        mount(&paths::PREFIXED_AUTOCONFIG, with_tools!(doors::emailengine::autoconfig)),
        mount(&paths::SERVICE_VALIDATE, with_tools!(doors::email_service::validate)),
        mount(&paths::QLIK_VALIDATE, with_tools!(doors::qlik::validate)),
        mount(&paths::QLIK_VERIFY, with_tools!(doors::qlik::verify)),
    ];
    serve(budget, mounts).await
}
