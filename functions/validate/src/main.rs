//! `validate`: check settings: does an account work?

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
        vec![
            mount(&routes::VERIFY, {
                let tools = tools.clone();
                move |call| handler::verify(tools.clone(), call)
            }),
            mount(&routes::VALIDATE, {
                let tools = tools.clone();
                move |call| handler::validate(tools.clone(), call)
            }),
            mount(&routes::DIAGNOSE_ACCOUNT, {
                let tools = tools.clone();
                move |call| handler::diagnose_stored(tools.clone(), call)
            }),
            mount(&routes::AUTOCONFIG, {
                let tools = tools.clone();
                move |call| handler::autoconfig(tools.clone(), call)
            }),
            mount(&routes::RISKS, {
                let tools = tools.clone();
                move |call| handler::risks(tools.clone(), call)
            }),
            mount(&routes::DIAGNOSE, {
                let tools = tools.clone();
                move |call| handler::diagnose_given(tools.clone(), call)
            }),
        ],
    )
    .await
}
