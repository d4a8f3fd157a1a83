//! `authorize`: API Gateway's authorizer (payload 2.0, simple responses). It always lets pass, with the principal or
//! an error in its context: a refusal then leaves in the envelope of the door it came to (decision 24).

use std::collections::BTreeMap;

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::{Deserialize, Serialize};
use shared::http::principal::to_context;
use shared::model::Timestamp;
use shared::ops::tokens;
use shared::settings::Settings;
use shared::store::Store;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    /// The values of the identity sources: the Authorization header.
    #[serde(default)]
    identity_source: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    is_authorized: bool,
    context: BTreeMap<&'static str, String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    shared::logging::init();
    let settings = Settings::from_env()?;
    let store = Store::from_settings(&settings).await;
    run(service_fn(async |event: LambdaEvent<Request>| authorize(&store, &settings, &event.payload).await)).await
}

async fn authorize(store: &Store, settings: &Settings, request: &Request) -> Result<Response, Error> {
    let header = request.identity_source.iter().flatten().next();
    let token = header.and_then(|header| tokens::presented(header));
    let principal = match &token {
        Some(token) => tokens::principal(store, settings, token, Timestamp::now()).await?,
        None => None,
    };
    let context = principal
        .map_or_else(|| BTreeMap::from([("error", "unauthorized".to_owned())]), |principal| to_context(&principal));
    Ok(Response { is_authorized: true, context })
}
