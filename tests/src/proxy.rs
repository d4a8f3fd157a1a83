//! A faulty way to AWS: a proxy before the embedded services that refuses, breaks or loses what a test points at.
//! What it does not spoil it passes on as it is, signature and all, and it counts every call.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use crate::service::Service;

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Too much at once: 400 with the service's own code, of S3 `503 SlowDown`.
    Throttled,
    /// 500.
    Broken,
    /// It takes effect, and its answer is lost: the connection ends.
    Lost,
    /// It takes no effect: the connection ends.
    Cut,
    /// A byte in the middle of its body changes on the way.
    Damaged,
}

/// A call on its way.
#[derive(Debug)]
pub struct Call<'a> {
    /// `dynamodb.PutItem`, `s3.PUT`.
    pub name: &'a str,
    /// The path, which in S3 ends with the object's key.
    pub path: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// Says what goes wrong with a call.
type Judge = Box<dyn FnMut(&Call<'_>) -> Option<Fault> + Send>;

/// A running proxy; each endpoint has its own port.
pub struct Proxy {
    /// The variables that lead a function through it.
    pub env: Vec<(String, String)>,
    state: Arc<State>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("env", &self.env).finish_non_exhaustive()
    }
}

struct State {
    judge: Mutex<Judge>,
    counts: Mutex<BTreeMap<String, usize>>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Proxy {
    /// Starts one before a service's AWS.
    pub async fn start(service: &Service, judge: impl FnMut(&Call<'_>) -> Option<Fault> + Send + 'static) -> Self {
        let state = Arc::new(State {
            judge: Mutex::new(Box::new(judge)),
            counts: Mutex::default(),
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
        });
        let mut env: Vec<(String, String)> = Vec::new();
        let mut fronts: BTreeMap<String, String> = BTreeMap::new();
        for (name, url) in service.environment().iter().filter(|(name, _)| name.starts_with("AWS_ENDPOINT_URL_")) {
            if !fronts.contains_key(url) {
                fronts.insert(url.clone(), front(url.clone(), Arc::clone(&state)).await);
            }
            env.push((name.clone(), fronts[url].clone()));
        }
        Self { env, state }
    }

    /// Calls so far, by name.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, usize> {
        self.state.counts.lock().unwrap().clone()
    }

    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.counts().values().sum()
    }
}

/// Listens before one endpoint; returns its own URL.
async fn front(behind: String, state: Arc<State>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, behind.clone(), Arc::clone(&state)));
        }
    });
    url
}

async fn connection(stream: TcpStream, behind: String, state: Arc<State>) {
    let serve = service_fn(|request| pass(request, &behind, &state));
    // An error is how a connection is cut; and who was killed leaves his as it is.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), serve).await);
}

async fn pass(request: Request<Incoming>, behind: &str, state: &State) -> Result<Response<Full<Bytes>>, String> {
    let (head, body) = request.into_parts();
    let mut body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
    let name = name(&head);
    *state.counts.lock().unwrap().entry(name.clone()).or_default() += 1;
    let fault = (state.judge.lock().unwrap())(&Call { name: &name, path: head.uri.path(), body: &body });
    match fault {
        Some(Fault::Throttled) => return Ok(refusal(&name, true)),
        Some(Fault::Broken) => return Ok(refusal(&name, false)),
        Some(Fault::Cut) => return Err("cut".to_owned()),
        Some(Fault::Damaged) => body = damaged(&body),
        Some(Fault::Lost) | None => {}
    }
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut onward = Request::builder().method(&head.method).uri(format!("{behind}{path}").parse::<Uri>().unwrap());
    // The host is part of the signature: it stays that of this proxy.
    onward.headers_mut().unwrap().extend(head.headers);
    let response = state.client.request(onward.body(Full::new(body)).unwrap()).await.map_err(|e| e.to_string())?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
    match fault {
        Some(Fault::Lost) => Err("the answer is lost".to_owned()),
        _ => Ok(Response::from_parts(head, Full::new(body))),
    }
}

fn damaged(body: &Bytes) -> Bytes {
    let mut bytes = body.to_vec();
    let middle = bytes.len() / 2;
    bytes.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 1);
    bytes.into()
}

/// `DynamoDB_20120810.PutItem` is `dynamodb.PutItem`; a call without a target is S3's.
fn name(head: &http::request::Parts) -> String {
    match head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
        Some(target) => match target.split_once('.') {
            Some(("AmazonSQS", operation)) => format!("sqs.{operation}"),
            Some(("secretsmanager", operation)) => format!("secretsmanager.{operation}"),
            Some((_, operation)) => format!("dynamodb.{operation}"),
            None => target.to_owned(),
        },
        None => format!("s3.{}", head.method),
    }
}

/// A refusal in the words of the service.
fn refusal(name: &str, throttled: bool) -> Response<Full<Bytes>> {
    let (service, _) = name.split_once('.').unwrap_or((name, ""));
    let (status, code) = match (service, throttled) {
        ("s3", true) => (503, "SlowDown"),
        ("s3", false) => (500, "InternalError"),
        ("dynamodb", true) => (400, "ProvisionedThroughputExceededException"),
        ("sqs", true) => (400, "RequestThrottled"),
        (_, true) => (400, "ThrottlingException"),
        (_, false) => (500, "InternalServerError"),
    };
    let (content_type, body) = match service {
        "s3" => ("application/xml", format!("<Error><Code>{code}</Code><Message>A fault.</Message></Error>")),
        _ => ("application/x-amz-json-1.0", format!(r#"{{"__type":"{code}","message":"A fault."}}"#)),
    };
    Response::builder().status(status).header("content-type", content_type).body(Full::new(body.into())).unwrap()
}
