//! The built service as a child process: `local` with its functions, on ports and a directory of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::aws::Aws;
use crate::client::Client;
use crate::guard::{self, Guarded};
use crate::{dir, peer, until};

/// The operator's token.
pub const TOKEN: &str = "hp_black-box.operator";

/// Intervals of a second or two, so that what takes minutes on AWS takes seconds here.
const PARAMETERS: &[(&str, &str)] = &[
    ("LeaseSeconds", "2"),
    ("BackoffSeconds", "1,1,1"),
    ("TroubleSeconds", "1"),
    ("TickSeconds", "1"),
    ("QueuedSeconds", "3"),
    ("TickRate", "rate(1 second)"),
    ("MinPollSeconds", "1"),
    ("ConnectSeconds", "5"),
    ("ReplySeconds", "5"),
    ("DotSeconds", "5"),
    ("ProbeSeconds", "8"),
    ("VisibilitySeconds", "5"),
    ("WebhookCacheSeconds", "0"),
    ("WebhookBackoffSeconds", "1"),
    ("WebhookReplySeconds", "5"),
    ("WebhookVisibilitySeconds", "8"),
];

/// A running service.
#[derive(Debug)]
pub struct Service {
    process: Guarded,
    /// Its data directory.
    pub data: PathBuf,
    url: String,
    env: BTreeMap<String, String>,
    options: Options,
}

/// How a service differs from the others.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Template parameters in place of the tests' usual ones.
    pub parameters: Vec<(&'static str, String)>,
    /// What the functions log (`RUST_LOG`); none: the default.
    pub log: Option<&'static str>,
    /// Trace every protocol (`AWS_LAMBDA_LOG_LEVEL`).
    pub trace: bool,
    /// SQS delivers each message one to so many times; 0: once.
    pub copies: u32,
}

impl Service {
    /// Starts one with an empty data directory.
    pub async fn start(options: Options) -> Self {
        let data = dir::create("service");
        Self::start_on(data, options).await
    }

    async fn start_on(data: PathBuf, options: Options) -> Self {
        let (process, url) = launch(&data, &options).await;
        let env = std::fs::read_to_string(data.join("env")).unwrap();
        let env = env
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()))
            .collect();
        Self { process, data, url, env, options }
    }

    /// kill -9 of the service and all its functions, then a start on the same data.
    pub async fn crash_and_restart(self) -> Self {
        let options = self.options.clone();
        self.crash_and_restart_as(options).await
    }

    /// The same with other options.
    pub async fn crash_and_restart_as(mut self, options: Options) -> Self {
        let functions = self.pids(None);
        self.process.kill().await;
        for pid in functions {
            guard::kill(pid, Signal::KILL);
        }
        Self::start_on(self.data.clone(), options).await
    }

    /// SIGTERM; returns the exit code.
    pub async fn stop(&mut self) -> Option<i32> {
        self.process.stop().await
    }

    /// A caller with the operator's token.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.url, Some(TOKEN))
    }

    /// A caller with the operator's token for a tenant that nobody else uses.
    #[must_use]
    pub fn tenant(&self) -> (String, Client) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let tenant = format!("tenant-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let client = self.client().for_tenant(&tenant);
        (tenant, client)
    }

    /// Clients for its AWS.
    pub async fn aws(&self) -> Aws {
        Aws::new(&self.env).await
    }

    /// A value of its `env` file.
    #[must_use]
    pub fn env(&self, name: &str) -> &str {
        &self.env[name]
    }

    /// All of its `env` file: what its functions have in their environment, and its own address and token.
    #[must_use]
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// Process numbers of its functions, or of one of them.
    #[must_use]
    pub fn pids(&self, function: Option<&str>) -> Vec<u32> {
        let list = std::fs::read_to_string(self.data.join("pids")).unwrap_or_default();
        let mut pids = Vec::new();
        for line in list.lines() {
            let fields: Vec<_> = line.splitn(3, ' ').collect();
            let [pid, _, binary] = fields.as_slice() else { continue };
            let name = Path::new(binary).file_name().map(|name| name.to_string_lossy().into_owned());
            if function.is_none_or(|wanted| name.as_deref() == Some(wanted)) {
                pids.extend(pid.parse::<u32>());
            }
        }
        pids
    }

    /// Everything that the service and its functions have logged.
    #[must_use]
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for path in dir::files(&self.data.join("log")).into_iter().chain([self.data.join("terminal.log")]) {
            text.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()));
        }
        text
    }
}

/// The folder of the built binaries: cargo puts this program into `<profile>/deps`, or beside them.
#[must_use]
pub fn binaries() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let folder = program.parent().unwrap();
    if folder.ends_with("deps") { folder.parent().unwrap().to_owned() } else { folder.to_owned() }
}

async fn launch(data: &Path, options: &Options) -> (Guarded, String) {
    let program = binaries().join("local");
    assert!(program.is_file(), "{} is not built: cargo build --workspace --bins", program.display());
    let mut parameters: BTreeMap<&str, String> =
        PARAMETERS.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    parameters.extend(options.parameters.iter().cloned());
    let parameters: Vec<_> = parameters.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    let terminal = std::fs::File::options().create(true).append(true).open(data.join("terminal.log")).unwrap();
    let mut command = guard::command(program);
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("HALFPENNY_PORT", "0")
        .env("HALFPENNY_DATA", data)
        .env("HALFPENNY_TOKEN", TOKEN)
        .env("HALFPENNY_SANDBOX", "off")
        .env("HALFPENNY_BUILD", "off")
        .env("HALFPENNY_SQS_COPIES", options.copies.max(1).to_string())
        .env("HALFPENNY_CA_FILE", peer::ca_file().await)
        .env("HALFPENNY_PARAMETERS", parameters.join(" "))
        .env_remove("HALFPENNY_ALLOW_NETS")
        .env_remove("RUST_LOG")
        .envs(options.log.map(|log| ("RUST_LOG", log)))
        .envs(options.trace.then_some(("AWS_LAMBDA_LOG_LEVEL", "TRACE")))
        .stdout(Stdio::piped())
        .stderr(terminal);
    let mut process = Guarded::start(command, &data.join("pid")).await;
    let mut lines = BufReader::new(process.shell.stdout.take().unwrap()).lines();
    let first = tokio::time::timeout(crate::PATIENCE, lines.next_line()).await.expect("it is ready in time").unwrap();
    let url = first.as_deref().and_then(|line| line.strip_prefix("ready ")).map(str::to_owned);
    let url = url.unwrap_or_else(|| panic!("not ready: {first:?}; see {}", data.join("terminal.log").display()));
    // Nobody reads the rest, but it must not stop the service.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    until("the service answers", async || {
        let answer = Client::new(&url, None).get("/health").await;
        (answer.status == 200).then_some(())
    })
    .await;
    (process, url)
}
