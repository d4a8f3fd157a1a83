//! The local service, `cargo run`: the whole of Halfpenny on one machine, without an AWS account.
//!
//! | room | holds |
//! |---|---|
//! | [`settings`] | the environment, read once |
//! | [`service`] | the order in which all of it starts and stops |
//! | [`template`] | `infra/template.yaml`: the one source of functions, routes, triggers and resources |
//! | [`aws`] | DynamoDB, S3, Secrets Manager and SQS for the real SDKs, on files |
//! | [`runtime`] | the Lambda Runtime API, and the processes that speak it |
//! | [`gateway`] | HTTP to API Gateway events and back, the authorizer, Lambda's Invoke |
//! | [`triggers`] | queues and schedules |
//! | [`cargo`], [`data`], [`env_file`], [`banner`] | the build, the data directory, and what the user is given |
//!
//! **Invariant**: the functions are the deployed binaries, unchanged; whatever differs locally differs out here.

mod aws;
mod banner;
mod cargo;
mod data;
mod env_file;
mod gateway;
mod runtime;
mod service;
mod settings;
mod template;
mod triggers;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use settings::Settings;

/// What the service itself says unless `RUST_LOG` asks for more.
const DEFAULT_LOG: &str = "warn,local=info";

#[tokio::main]
async fn main() -> ExitCode {
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to report to if this fails.
            drop(writeln!(io::stderr(), "error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn start() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::from_env()?;
    let filter = EnvFilter::builder().parse(settings.log.as_deref().unwrap_or(DEFAULT_LOG))?;
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(io::stderr).init();
    service::run(settings, stop_signal()?).await?;
    Ok(())
}

/// Cancelled by the first SIGINT or SIGTERM; a second one ends the process as it stands.
fn stop_signal() -> io::Result<CancellationToken> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stopping.is_cancelled() {
                std::process::exit(1);
            }
            stopping.cancel();
        }
    });
    Ok(stop)
}
