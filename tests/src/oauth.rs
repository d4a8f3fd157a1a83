//! An OAuth 2.0 token endpoint (RFC 6749) and a token server, as the tests' own process. Its refresh tokens rotate, and
//! one that is used twice ends the grant, as RFC 9700 §4.14.2 recommends.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The application that it knows.
pub const CLIENT_ID: &str = "halfpenny-tests";

/// Its secret.
pub const CLIENT_SECRET: &str = "CANARY-client-secret-51c";

/// What it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Tokens.
    Good,
    /// This status and nothing else.
    Broken(u16),
}

/// Fields of a form or query.
pub type Fields = BTreeMap<String, String>;

/// A running endpoint.
#[derive(Clone)]
pub struct Issuer {
    /// `http://127.0.0.1:<port>`.
    pub url: String,
    state: Arc<Mutex<State>>,
    told: Arc<dyn Fn(&str) + Send + Sync>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("url", &self.url).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    mood: Mood,
    lifetime: u32,
    count: u32,
    /// The refresh tokens that are good now.
    current: HashSet<String>,
    /// Those that were used up.
    used: HashSet<String>,
    reused: usize,
    issued: Vec<Instant>,
    asked: Vec<Fields>,
    /// What the token server answers.
    handed: Value,
    server_asked: Vec<Fields>,
    /// Seconds that refresh tokens last, where it tells them.
    refresh_lifetime: Option<u32>,
}

impl Issuer {
    /// Starts one whose access tokens live for `lifetime` seconds. `told` hears of each before its caller has it.
    pub async fn start(lifetime: u32, told: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State {
            mood: Mood::Good,
            lifetime,
            count: 0,
            current: HashSet::new(),
            used: HashSet::new(),
            reused: 0,
            issued: Vec::new(),
            asked: Vec::new(),
            handed: Value::Null,
            server_asked: Vec::new(),
            refresh_lifetime: None,
        };
        let url = format!("http://{}", listener.local_addr().unwrap());
        let issuer = Self { url, state: Arc::new(Mutex::new(state)), told: Arc::new(told) };
        let serving = issuer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let issuer = serving.clone();
                let service = service_fn(move |request| answer(issuer.clone(), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        issuer
    }

    /// A consent: a refresh token that is good until it is used.
    #[must_use]
    pub fn consent(&self) -> String {
        let mut state = self.state();
        state.count += 1;
        let token = format!("CANARY-refresh-{}", state.count);
        state.current.insert(token.clone());
        token
    }

    /// Ends every grant.
    pub fn revoke(&self) {
        self.state().current.clear();
    }

    /// How it answers from now on.
    pub fn turn(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// It tells from now on that refresh tokens last for so many seconds.
    pub fn limit(&self, seconds: u32) {
        self.state().refresh_lifetime = Some(seconds);
    }

    /// What the token server answers from now on.
    pub fn hand(&self, answer: Value) {
        self.state().handed = answer;
    }

    /// The forms that were posted to the token endpoint.
    #[must_use]
    pub fn asked(&self) -> Vec<Fields> {
        self.state().asked.clone()
    }

    /// The queries of the token server.
    #[must_use]
    pub fn server_asked(&self) -> Vec<Fields> {
        self.state().server_asked.clone()
    }

    /// When access tokens were issued.
    #[must_use]
    pub fn issued(&self) -> Vec<Instant> {
        self.state().issued.clone()
    }

    /// How often a refresh token was used a second time.
    #[must_use]
    pub fn reused(&self) -> usize {
        self.state().reused
    }

    /// How many refresh tokens were used.
    #[must_use]
    pub fn used(&self) -> usize {
        self.state().used.len()
    }

    /// `auth` of a mailbox with this consent.
    #[must_use]
    pub fn auth(&self, username: &str, refresh_token: &str) -> Value {
        json!({"type": "oauth2", "provider": "generic", "username": username, "clientId": CLIENT_ID,
               "clientSecret": CLIENT_SECRET, "refreshToken": refresh_token, "tokenUrl": format!("{}/token", self.url)})
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn token(&self, fields: &Fields) -> (u16, Value) {
        let field = |name: &str| fields.get(name).map(String::as_str);
        let mut state = self.state();
        state.asked.push(fields.clone());
        if let Mood::Broken(status) = state.mood {
            return (status, json!({"error": "CANARY words of the peer"}));
        }
        if (field("client_id"), field("client_secret")) != (Some(CLIENT_ID), Some(CLIENT_SECRET)) {
            return (401, json!({"error": "invalid_client"}));
        }
        state.count += 1;
        let access_token = format!("CANARY-access-{}", state.count);
        let mut answer = json!({"access_token": access_token, "token_type": "Bearer", "expires_in": state.lifetime});
        if field("grant_type") == Some("refresh_token") {
            let given = field("refresh_token").unwrap_or_default();
            if state.used.contains(given) {
                state.reused += 1;
                state.current.clear();
            }
            if !state.current.remove(given) {
                return (400, json!({"error": "invalid_grant"}));
            }
            state.used.insert(given.to_owned());
            let next = format!("CANARY-refresh-{}", state.count);
            state.current.insert(next.clone());
            answer["refresh_token"] = json!(next);
            if let Some(seconds) = state.refresh_lifetime {
                answer["refresh_token_expires_in"] = json!(seconds);
            }
        }
        state.issued.push(Instant::now());
        (self.told)(&access_token);
        (200, answer)
    }
}

async fn answer(issuer: Issuer, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let (status, answer) = match (head.method, head.uri.path()) {
        (Method::POST, "/token") => {
            let body = body.collect().await.unwrap().to_bytes();
            issuer.token(&fields(&String::from_utf8_lossy(&body)))
        }
        (Method::GET, "/server") => {
            let mut state = issuer.state();
            state.server_asked.push(fields(head.uri.query().unwrap_or_default()));
            (200, state.handed.clone())
        }
        _ => (404, Value::Null),
    };
    let body = Full::from(answer.to_string());
    Ok(Response::builder().status(status).header("content-type", "application/json").body(body).unwrap())
}

fn fields(form: &str) -> Fields {
    let decoded = |word: &str| percent_decode_str(&word.replace('+', " ")).decode_utf8().unwrap().into_owned();
    form.split('&')
        .filter_map(|field| field.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}
