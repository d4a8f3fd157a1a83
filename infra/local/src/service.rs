//! Everything that runs, in the order in which it starts and, backwards, stops.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use sandbox::{Sandbox, Service as Mail};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::aws::{self, ACCOUNT, Aws, AwsError, REGION};
use crate::banner::{self, Mailbox};
use crate::cargo::{self, BuildError};
use crate::data::{DataDir, DataError};
use crate::env_file;
use crate::gateway;
use crate::runtime::{FunctionSpec, Runtime, RuntimeError, RuntimeOptions};
use crate::settings::Settings;
use crate::template::{Context, Function, Queue, Statement, Template, TemplateError};
use crate::triggers::{DEFAULT_CONCURRENCY, TriggerError, Triggers};

/// Names what has no name of its own in the template.
const STACK: &str = "halfpenny";
/// The tenant that the operator's token acts for.
const ROOT_TENANT: &str = "local";

/// Why the service does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    /// The data directory.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The template cannot be honoured.
    #[error("infra/template.yaml: {0}")]
    Template(#[from] TemplateError),
    /// A trigger of the template cannot be honoured.
    #[error("infra/template.yaml: {0}")]
    Trigger(#[from] TriggerError),
    /// The functions do not build.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// DynamoDB, S3, Secrets Manager or SQS.
    #[error("embedded AWS: {0} (HALFPENNY_PORT chooses other ports)")]
    Aws(#[from] AwsError),
    /// The sandbox mail server.
    #[error("sandbox mail server: {0} (HALFPENNY_PORT chooses other ports, HALFPENNY_SANDBOX=off does without)")]
    Sandbox(#[from] sandbox::Error),
    /// The function host.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The gateway's port.
    #[error("cannot listen on port {port}: {source} (HALFPENNY_PORT chooses another)")]
    Listen {
        /// As asked for.
        port: u16,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Nobody could be told that the service is ready.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// The functions' binaries lie beside this program's.
    #[error("where this program lies is unknown: {0}")]
    Program(io::Error),
}

/// Runs until `stop`, or returns why it cannot.
///
/// # Errors
/// See [`ServiceError`]; what had started by then is stopped.
pub(crate) async fn run(settings: Settings, stop: CancellationToken) -> Result<(), ServiceError> {
    let data = DataDir::open(&settings.data)?;
    let token = data.token(settings.token.clone())?;
    // Every port is taken before the long build, so that a clash is known at once.
    let listeners = listen(settings.port).await?;
    let sandbox = start_sandbox(&settings, &data).await?;
    let roots = data.roots(sandbox.as_ref().map(Sandbox::ca_pem), settings.ca_file.as_deref())?;
    let parameters = parameters(&settings, &token, roots.as_deref());
    let (aws, template) = start_aws(&settings, &data, &parameters).await?;

    if settings.build && !build(&settings, &stop).await? {
        return Ok(());
    }
    let options = RuntimeOptions {
        port: above(settings.port, 3),
        data: data.path().to_owned(),
        region: REGION.to_owned(),
        account: ACCOUNT.to_owned(),
    };
    let runtime = Runtime::start(options, functions(&settings, &template, &aws)?).await?;
    let triggers = Triggers::start(&template, &runtime, aws.sqs(), aws.streams())?;
    announce(&data, &token, &listeners, &template, &aws, sandbox.as_ref())?;

    gateway::serve(listeners, &template, Arc::clone(&runtime), stop.cancelled()).await;
    triggers.stop();
    runtime.shutdown().await;
    triggers.stopped().await;
    if let Some(sandbox) = sandbox {
        sandbox.shutdown().await;
    }
    tracing::debug!(requests = ?aws.counts(), "embedded AWS");
    aws.shutdown();
    Ok(())
}

/// A port at its fixed distance; all are ephemeral if the first one is.
fn above(base: u16, distance: u16) -> u16 {
    match base {
        0 => 0,
        base => base + distance,
    }
}

/// 127.0.0.1, and ::1 where the machine has it.
async fn listen(port: u16) -> Result<Vec<TcpListener>, ServiceError> {
    let failed = |source| ServiceError::Listen { port, source };
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
    let same = first.local_addr().map_err(failed)?.port();
    match TcpListener::bind((Ipv6Addr::LOCALHOST, same)).await {
        Ok(second) => Ok(vec![first, second]),
        // Taken there by somebody else: "localhost" would be two services. A chance port may do without.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && port != 0 => Err(failed(error)),
        Err(_) => Ok(vec![first]),
    }
}

async fn start_sandbox(settings: &Settings, data: &DataDir) -> Result<Option<Sandbox>, ServiceError> {
    if !settings.sandbox {
        return Ok(None);
    }
    let at = |distance| above(settings.port, distance);
    let user = |address: &str| sandbox::User { address: address.to_owned(), password: banner::PASSWORD.to_owned() };
    let options = sandbox::Options {
        ports: sandbox::Ports {
            smtp: at(25),
            submission: at(587),
            smtps: at(465),
            pop3: at(110),
            pop3s: at(995),
            imap: at(143),
            imaps: at(993),
        },
        ca_dir: Some(data.path().join("sandbox")),
        data: Some(data.path().join("sandbox/mail")),
        users: banner::USERS.map(user).into(),
        ..sandbox::Options::default()
    };
    Ok(Some(Sandbox::start(options).await?))
}

/// What the local service says where a deployment has its operator; `HALFPENNY_PARAMETERS` has the last word.
fn parameters(settings: &Settings, token: &str, roots: Option<&Path>) -> BTreeMap<String, String> {
    let token = hex::encode(digest(&SHA256, token.as_bytes()));
    let roots = roots.map(|path| path.display().to_string()).unwrap_or_default();
    let own = [
        ("RootTokenSha256", token),
        ("RootTenant", ROOT_TENANT.to_owned()),
        ("AllowNets", settings.allow_nets.clone()),
        ("CaFile", roots),
    ];
    let mut parameters: BTreeMap<_, _> = own.map(|(name, value)| (name.to_owned(), value)).into();
    parameters.extend(settings.parameters.clone());
    parameters
}

/// The template is read twice: its queues are known before, and their URLs after SQS has its port.
async fn start_aws(
    settings: &Settings,
    data: &DataDir,
    parameters: &BTreeMap<String, String>,
) -> Result<(Aws, Template), ServiceError> {
    let path = settings.root.join("infra/template.yaml");
    let load = |queue_url_base: String| {
        let context =
            Context { region: REGION.to_owned(), account: ACCOUNT.to_owned(), stack: STACK.to_owned(), queue_url_base };
        Template::load(&path, parameters, &context)
    };
    let Template { functions, tables, buckets, queues, buses, .. } = load(String::new())?;
    let aws = Aws::start(aws::Options {
        data: data.path().to_owned(),
        dynamodb_port: above(settings.port, 1),
        services_port: above(settings.port, 2),
        tables,
        buckets,
        queues: queues.into_iter().map(|spec| queue(spec, settings.sqs_copies)).collect(),
        buses,
        policies: functions.into_iter().map(policy).collect(),
    });
    let aws = aws.await?;
    let template = load(aws.endpoints().services)?;
    Ok((aws, template))
}

fn queue(queue: Queue, copies: u32) -> aws::QueueSpec {
    let Queue { name, visibility_seconds, delay_seconds, retention_seconds, redrive } = queue;
    let redrive = redrive.map(|r| aws::Redrive { target: r.target, max_receive_count: r.max_receive_count });
    aws::QueueSpec { name, visibility_seconds, delay_seconds, retention_seconds, redrive, copies }
}

fn policy(function: Function) -> (String, Vec<aws::Statement>) {
    let statement = |s: Statement| aws::Statement { actions: s.actions, resources: s.resources };
    (function.name, function.statements.into_iter().map(statement).collect())
}

/// Builds the functions; `false` if the service is to stop instead.
async fn build(settings: &Settings, stop: &CancellationToken) -> Result<bool, ServiceError> {
    tracing::info!("building the functions; the first time takes some minutes");
    match stop.run_until_cancelled(cargo::build(&settings.cargo, &settings.root)).await {
        Some(built) => built.map(|()| true).map_err(Into::into),
        None => Ok(false),
    }
}

fn functions(settings: &Settings, template: &Template, aws: &Aws) -> Result<Vec<FunctionSpec>, ServiceError> {
    let program = std::env::current_exe().map_err(ServiceError::Program)?;
    let folder = program.parent().unwrap_or(Path::new("."));
    let endpoints = env_file::aws(&aws.endpoints());
    let spec = |function: &Function| {
        let mut env = environment(function);
        env.extend(endpoints.clone());
        env.insert("AWS_ACCESS_KEY_ID".to_owned(), aws::access_key(&function.name));
        env.extend(settings.function_log.iter().map(|level| ("AWS_LAMBDA_LOG_LEVEL".to_owned(), level.clone())));
        let concurrency = function.queues.iter().filter_map(|trigger| trigger.max_concurrency).max();
        Ok(FunctionSpec {
            name: function.name.clone(),
            binary: cargo::binary(folder, &function.binary)?,
            memory_mb: function.memory_mb,
            timeout: function.timeout,
            env,
            // A stream waits for no free instance: its one batch at a time comes on top.
            instances: concurrency.unwrap_or_default().max(DEFAULT_CONCURRENCY)
                + u32::from(!function.streams.is_empty()),
        })
    };
    template.functions.iter().map(spec).collect()
}

/// The template's variables, without the path of a root bundle that only Amazon Linux has.
fn environment(function: &Function) -> BTreeMap<String, String> {
    let mut env = function.environment.clone();
    env.retain(|name, value| name != "SSL_CERT_FILE" || Path::new(value).exists());
    env
}

/// Writes the env file, and then the line that programs wait for.
fn announce(
    data: &DataDir,
    token: &str,
    listeners: &[TcpListener],
    template: &Template,
    aws: &Aws,
    sandbox: Option<&Sandbox>,
) -> Result<(), ServiceError> {
    let address = listeners.first().map(TcpListener::local_addr);
    let port = address.transpose().map_err(ServiceError::Output)?.map_or(0, |address| address.port());
    let url = format!("http://127.0.0.1:{port}");
    let mut variables: BTreeMap<_, _> = template.functions.iter().flat_map(environment).collect();
    variables.extend(env_file::aws(&aws.endpoints()));
    variables.extend(sandbox.into_iter().flat_map(mail_ports));
    variables.insert("HALFPENNY_URL".to_owned(), url.clone());
    variables.insert("HALFPENNY_TOKEN".to_owned(), token.to_owned());
    data.write_private("env", &env_file::render(&variables))?;

    let mailbox = sandbox.map(|s| Mailbox { submission: s.port(Mail::Submission), imaps: s.port(Mail::Imaps) });
    let text = banner::render(&url, token, &data.path().display().to_string(), mailbox);
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(ServiceError::Output)
}

/// `HALFPENNY_SANDBOX_IMAPS=9993` and so on.
fn mail_ports(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let name = |service: Mail| format!("HALFPENNY_SANDBOX_{}", format!("{service:?}").to_ascii_uppercase());
    Mail::ALL.iter().map(|service| (name(*service), sandbox.port(*service).to_string())).collect()
}
