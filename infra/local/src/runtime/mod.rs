//! The Lambda host: runs the built function binaries as processes and speaks the real Lambda Runtime API to them.
//!
//! One HTTP port serves all; an instance is named by its path prefix, `/<function>/<instance>`. An instance number is
//! never used twice, so nothing that a dead process left behind can be mistaken for its successor's.

mod api;
mod error;
mod function;
mod log;
mod pids;
mod process;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::gateway::{Invoke, InvokeError, InvokeErrorKind};
pub(crate) use error::RuntimeError;
use error::failure;
use function::Function;
use pids::Pids;

/// Largest event and largest answer of a synchronous invocation, in bytes (AWS Lambda quotas: 6 MB).
pub(crate) const MAX_PAYLOAD: usize = 6 * 1024 * 1024;
/// How long a stop waits for invocations under way.
const DRAIN: Duration = Duration::from_secs(2);

/// One function of the template, as the host runs it.
#[derive(Debug, Clone)]
pub(crate) struct FunctionSpec {
    /// Package, binary and log name: `send`, `pull-worker`.
    pub(crate) name: String,
    /// The built binary.
    pub(crate) binary: PathBuf,
    /// What the function is told about its memory; not enforced.
    pub(crate) memory_mb: u32,
    /// Runs from the moment an instance takes an event; at its end the instance is killed.
    pub(crate) timeout: Duration,
    /// The whole environment beside Lambda's own variables: nothing is inherited.
    pub(crate) env: BTreeMap<String, String>,
    /// How many processes may run at once.
    pub(crate) instances: u32,
}

/// Where the host listens and writes.
#[derive(Debug, Clone)]
pub(crate) struct RuntimeOptions {
    /// Port of the Runtime API on 127.0.0.1; 0 takes a free one.
    pub(crate) port: u16,
    /// The data directory: `log/<function>.log` and `pids` are written below it.
    pub(crate) data: PathBuf,
    /// Region in ARNs and in the functions' environment.
    pub(crate) region: String,
    /// Account number in ARNs.
    pub(crate) account: String,
}

/// What all functions of a host share.
struct Host {
    /// The port that is really listened on.
    port: u16,
    region: String,
    account: String,
    log: Arc<log::Log>,
    pids: Pids,
    /// Cancelled when every process has to end.
    stop: CancellationToken,
    /// The supervisors, one per process.
    tasks: TaskTracker,
}

/// The running host.
pub(crate) struct Runtime {
    host: Arc<Host>,
    functions: BTreeMap<String, Arc<Function>>,
}

impl Runtime {
    /// Ends what a killed host left behind, and listens. Processes start with the first invocation.
    ///
    /// # Errors
    /// The port is taken, or the data directory cannot be written.
    pub(crate) async fn start(
        options: RuntimeOptions,
        functions: Vec<FunctionSpec>,
    ) -> Result<Arc<Self>, RuntimeError> {
        let RuntimeOptions { port, data, region, account } = options;
        let at = |path: PathBuf| move |source| RuntimeError::Data { path, source };
        let pids = Pids::take_over(data.join("pids")).await.map_err(at(data.join("pids")))?;
        let log = log::Log::open(data.join("log")).map_err(at(data.join("log")))?;
        for function in &functions {
            log.rotate(&function.name).map_err(at(data.join("log")))?;
        }
        let listen = |source| RuntimeError::Listen { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(listen)?;
        let host = Arc::new(Host {
            port: listener.local_addr().map_err(listen)?.port(),
            region,
            account,
            log: Arc::new(log),
            pids,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let named = |spec: FunctionSpec| (spec.name.clone(), Arc::new(Function::new(spec, Arc::clone(&host))));
        let functions = functions.into_iter().map(named).collect();
        let runtime = Arc::new(Self { host, functions });
        tokio::spawn(api::serve(listener, Arc::clone(&runtime)));
        Ok(runtime)
    }

    /// Takes no more work, gives what runs [`DRAIN`] to finish, and ends every process.
    pub(crate) async fn shutdown(&self) {
        for function in self.functions.values() {
            function.stop();
        }
        let deadline = Instant::now() + DRAIN;
        while self.functions.values().any(|f| f.busy()) && Instant::now() < deadline {
            sleep(Duration::from_millis(10)).await;
        }
        self.host.stop.cancel();
        self.host.tasks.close();
        self.host.tasks.wait().await;
    }
}

impl Invoke for Runtime {
    /// Runs a function and waits for its answer. Dropping the future leaves the invocation running, as on AWS.
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        match self.functions.get(function) {
            Some(found) => found.invoke(payload).await,
            None => Err(failure(
                InvokeErrorKind::UnknownFunction,
                "ResourceNotFoundException",
                &format!("Function not found: {function}"),
            )),
        }
    }
}
