//! A receiver of webhooks: it keeps what it is told, checks signatures by its own reading of Standard Webhooks, and
//! answers as it is told to.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ring::hmac;
use sandbox::{Certificate, acceptor_for};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use crate::peer;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// This status.
    Status(u16),
    /// Every other request with 500, the others with 204.
    Half,
    /// A redirect to its own path `/elsewhere`.
    Redirect,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its path.
    pub path: String,
    /// `webhook-id`.
    pub id: String,
    /// `webhook-timestamp`.
    pub timestamp: String,
    /// `webhook-signature`.
    pub signature: String,
    /// The body.
    pub body: Bytes,
    /// What was answered.
    pub status: u16,
}

impl Told {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The kind of the event.
    #[must_use]
    pub fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether one of its signatures is of this secret.
    #[must_use]
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let content = [self.id.as_bytes(), b".", self.timestamp.as_bytes(), b".", &self.body].concat();
        self.signature.split(' ').any(|signature| {
            let tag = signature.strip_prefix("v1,").and_then(|tag| STANDARD.decode(tag).ok()).unwrap_or_default();
            hmac::verify(&key, &content, &tag).is_ok()
        })
    }
}

/// A running receiver on a loopback port.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// `http://127.0.0.1:PORT/hook`, or the same with https.
    pub url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    told: Vec<Told>,
}

impl Receiver {
    /// Starts one.
    pub async fn start(mood: Mood) -> Self {
        let (receiver, listener) = Self::listen("http", mood).await;
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(serving.clone(), stream));
            }
        });
        receiver
    }

    /// Starts one behind TLS that shows this certificate.
    pub async fn start_tls(mood: Mood, certificate: Certificate) -> Self {
        let (receiver, listener) = Self::listen("https", mood).await;
        let (serving, acceptor) = (receiver.clone(), acceptor_for(peer::ca_dir().await, certificate).unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever does not like the certificate breaks off.
                if let Ok(stream) = acceptor.accept(stream).await {
                    tokio::spawn(serve(serving.clone(), stream));
                }
            }
        });
        receiver
    }

    async fn listen(scheme: &str, mood: Mood) -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{scheme}://{}/hook", listener.local_addr().unwrap());
        (Self { url, state: Arc::new(Mutex::new(State { mood, told: Vec::new() })) }, listener)
    }

    /// How it answers from now on.
    pub fn turn(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// Every request so far.
    #[must_use]
    pub fn told(&self) -> Vec<Told> {
        self.state().told.clone()
    }

    /// Those that it answered with success.
    #[must_use]
    pub fn taken(&self) -> Vec<Told> {
        self.told().into_iter().filter(|told| told.status < 300).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(receiver: Receiver, stream: S) {
    let service = service_fn(move |request| answer(receiver.clone(), request));
    // Nobody minds how a connection ends.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn answer(receiver: Receiver, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let text = |name: &str| head.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let mut state = receiver.state();
    let status = match state.mood {
        Mood::Status(status) => status,
        Mood::Half if state.told.len().is_multiple_of(2) => 500,
        Mood::Half => 204,
        Mood::Redirect => 307,
    };
    state.told.push(Told {
        path: head.uri.path().to_owned(),
        id: text("webhook-id"),
        timestamp: text("webhook-timestamp"),
        signature: text("webhook-signature"),
        body,
        status,
    });
    let answer = Response::builder().status(status);
    let answer = if status == 307 { answer.header("location", "/elsewhere") } else { answer };
    let body = if status == 204 { Full::default() } else { Full::from("CANARY-of-the-receiver") };
    Ok(answer.body(body).unwrap())
}
