//! `schedule`: once a minute, hand on what is due.

#![recursion_limit = "256"] // the layout of the SDK's futures within ours

use shared::events::ticks;
use shared::ops::schedule::schedule;
use shared::settings::Settings;
use shared::store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::logging::init();
    let settings = Settings::from_env()?;
    let store = Store::from_settings(&settings).await;
    ticks(async |tick| schedule(&store, &settings, tick).await).await
}
