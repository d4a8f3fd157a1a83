//! `test-email`: send one known message.

mod doors;
mod handler;

use shared::http::{doors as paths, mount, routes, serve};
use shared::ops::Tools;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::logging::init();
    let tools = Tools::from_env().await?;
    let mounts = vec![
        mount(&routes::TEST_EMAIL, &tools, handler::test_email),
        mount(&paths::SERVICE_TEST_EMAIL, &tools, doors::email_service::test_email),
        mount(&paths::QLIK_TEST_EMAIL, &tools, doors::qlik::send),
    ];
    serve(tools.settings.http_budget, mounts).await
}
