//! `test-email`: send one known message.

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
        mount(&routes::TEST_EMAIL, with_tools!(handler::test_email)),
        mount(&paths::SERVICE_TEST_EMAIL, with_tools!(doors::email_service::test_email)),
        mount(&paths::QLIK_TEST_EMAIL, with_tools!(doors::qlik::send)),
    ];
    serve(budget, mounts).await
}
