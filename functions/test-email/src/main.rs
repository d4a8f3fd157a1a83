//! `test-email`: send one known message.

mod handler;

use shared::http::{mount, routes, serve};
use shared::ops::Tools;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::logging::init();
    let tools = Tools::from_env().await?;
    let budget = tools.settings.http_budget;
    serve(
        budget,
        vec![mount(&routes::TEST_EMAIL, {
            let tools = tools.clone();
            move |call| handler::test_email(tools.clone(), call)
        })],
    )
    .await
}
