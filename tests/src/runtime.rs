//! A function as a process of the test's own, beside those of the service: the test is its Lambda runtime. So it can be
//! run under another program (strace), with another environment (another clock, another way to AWS), several times over,
//! stopped, and killed at one exact moment.

use std::convert::Infallible;
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};

use crate::service::{Service, binaries};
use crate::{PATIENCE, dir};

/// What the gateway hands to `pull`, but for tenant and account.
const EVENT: &str = include_str!("../../infra/events/pull.json");

/// How long one invocation may take, as the template has it for a call.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How a process differs from those of the service.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Words before the function's own path.
    pub under: Vec<String>,
    /// Variables in place of the service's.
    pub env: Vec<(String, String)>,
    /// Seconds by which its clock is ahead of ours (libfaketime). A Lambda's host has the same clock as its function, so
    /// the deadlines of invocations are ahead as well.
    pub ahead: i64,
}

/// What a pull came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Its status and body.
    Answered(u16, Value),
    /// The process ended before it answered.
    Died,
}

/// A running function. Dropped, it ends.
#[derive(Debug)]
pub struct Function {
    child: Child,
    events: mpsc::Sender<Bytes>,
    answers: mpsc::Receiver<Bytes>,
    /// Its output.
    pub log: PathBuf,
}

/// A running `pull`. Dropped, it ends.
#[derive(Debug)]
pub struct Puller {
    function: Function,
    /// Its output.
    pub log: PathBuf,
}

/// Both ends of what the runtime's two calls carry.
struct Channels {
    ahead: i64,
    events: Mutex<mpsc::Receiver<Bytes>>,
    answers: mpsc::Sender<Bytes>,
}

impl Function {
    /// Starts one with the environment that the service gives to its functions.
    pub async fn start(service: &Service, name: &str, setup: &Setup) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        let (events, taken) = mpsc::channel(1);
        let (given, answers) = mpsc::channel(1);
        let channels = Arc::new(Channels { ahead: setup.ahead, events: Mutex::new(taken), answers: given });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, Arc::clone(&channels)));
            }
        });
        let log = dir::create(name).join("log");
        let output = File::create(&log).unwrap();
        let mut words = setup.under.clone();
        words.push(binaries().join(name).display().to_string());
        let child = Command::new(&words[0])
            .args(&words[1..])
            .env_clear()
            .env("TZ", ":UTC")
            .env("PATH", "/usr/bin:/bin")
            .envs(service.environment())
            .env("AWS_LAMBDA_RUNTIME_API", api)
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "own")
            .envs(setup.env.iter().cloned())
            .envs(if setup.ahead == 0 { Vec::new() } else { faked_clock(setup.ahead) })
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{words:?}: {error}; ./tests/run prepare installs what is missing"));
        Self { child, events, answers, log }
    }

    /// The number of the process, or of the program it runs under; none: it has ended.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Hands it an event; none: it ended before it answered.
    pub async fn invoke(&mut self, event: Bytes) -> Option<Bytes> {
        self.events.send(event).await.ok()?;
        let answer = async {
            tokio::select! {
                // An answer that is there counts, whatever became of the process then.
                biased;
                answer = self.answers.recv() => answer,
                _ = self.child.wait() => None,
            }
        };
        tokio::time::timeout(PATIENCE, answer).await.expect("it answers or ends in time")
    }
}

impl Puller {
    /// Starts one with the environment that the service gives to its functions.
    pub async fn start(service: &Service, setup: &Setup) -> Self {
        let function = Function::start(service, "pull", setup).await;
        Self { log: function.log.clone(), function }
    }

    /// The number of the process, or of the program it runs under; none: it has ended.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.function.pid()
    }

    /// Pulls an account, as a caller with the operator's token does.
    pub async fn pull(&mut self, tenant: &str, account: &str) -> Ending {
        let answer = self.function.invoke(event(tenant, account)).await;
        answer.map_or(Ending::Died, |answer| read(&answer))
    }
}

/// Another time of day; what runs by stop watch runs as before.
fn faked_clock(ahead: i64) -> Vec<(&'static str, String)> {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path().join("faketime"));
    let library = folders.map(|folder| folder.join("libfaketime.so.1")).find(|path| path.exists());
    let library = library.expect("libfaketime is installed: ./tests/run prepare").display().to_string();
    vec![("LD_PRELOAD", library), ("FAKETIME", format!("{ahead:+}")), ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned())]
}

fn event(tenant: &str, account: &str) -> Bytes {
    let path = format!("/v1/accounts/{account}/pull");
    let mut event: Value = serde_json::from_str(EVENT).unwrap();
    event["rawPath"] = path.as_str().into();
    event["requestContext"]["http"]["path"] = path.into();
    event["pathParameters"]["account"] = account.into();
    event["requestContext"]["authorizer"]["lambda"]["tenant"] = tenant.into();
    event.to_string().into()
}

fn read(answer: &Bytes) -> Ending {
    let answer: Value = serde_json::from_slice(answer).unwrap();
    let body = answer["body"].as_str().unwrap_or_else(|| panic!("no answer of a gateway's function: {answer}"));
    Ending::Answered(answer["statusCode"].as_u64().unwrap().try_into().unwrap(), serde_json::from_str(body).unwrap())
}

async fn connection(stream: tokio::net::TcpStream, channels: Arc<Channels>) {
    let serve = service_fn(|request| answer(request, Arc::clone(&channels)));
    // A process that was killed leaves its connection as it is.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), serve).await);
}

/// The Lambda Runtime API, as far as a function needs it: `next`, `response`, `error`.
async fn answer(request: Request<Incoming>, channels: Arc<Channels>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() == Method::GET {
        // Without a next event the process waits, and ends with the connection.
        let Some(event) = channels.events.lock().await.recv().await else {
            return Ok(Response::builder().status(410).body(Full::default()).unwrap());
        };
        let deadline = ((OffsetDateTime::now_utc() + TIMEOUT).unix_timestamp() + channels.ahead) * 1000;
        let response = Response::builder()
            .header("lambda-runtime-aws-request-id", "6f1d2c3b-4a59-4e68-8776-95a4b3c2d1e0")
            .header("lambda-runtime-deadline-ms", deadline)
            .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:local:000000000000:function:pull");
        return Ok(response.body(Full::new(event)).unwrap());
    }
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    if !body.is_empty() {
        drop(channels.answers.send(body).await);
    }
    Ok(Response::builder().status(202).body(Full::default()).unwrap())
}
