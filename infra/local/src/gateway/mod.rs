//! API Gateway's HTTP API, as far as this project leans on it: routes, authorizer, payload format 2.0, limits.
//! Beside it the Invoke call of Lambda itself, so that `cargo lambda invoke` works against the local service.
//!
//! Not here, because nothing uses it: stages, CORS, throttling, mapping, domain names, HTTP/2.
//! Answers that API Gateway itself gives are `{"message": "…"}`; the service's own problem shape comes from the functions.

mod authorize;
mod body;
mod event;
mod invocations;
mod invoke;
mod response;
mod route;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(crate) use invoke::{Invoke, InvokeError, InvokeErrorKind};

use crate::template::Template;
use authorize::{Gatekeeper, Verdict};
use event::ApiRequest;
use response::{ApiResponse, message};
use route::{Match, Router};

/// The largest request body that API Gateway takes (quota "Payload size" of HTTP APIs: 10 MB).
const MAX_BODY: usize = 10 * 1024 * 1024;
/// The largest event that Lambda takes (quota "Invocation payload", synchronous: 6 MB).
const MAX_EVENT: usize = 6 * 1024 * 1024;
/// How long API Gateway waits for a function (quota "Maximum integration timeout" of HTTP APIs: 30 s).
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a shutdown waits for what is under way.
const GRACE: Duration = Duration::from_secs(2);
/// The pause after a connection that could not be accepted (no descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the routes of `template` on every listener until `shutdown` is ready;
/// then accepts nothing more and gives what is under way at most 2 s.
pub(crate) async fn serve<I: Invoke>(
    listeners: Vec<TcpListener>,
    template: &Template,
    functions: Arc<I>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let gateway = Arc::new(Gateway::new(template, functions, INTEGRATION_TIMEOUT));
    gateway.serve(listeners, shutdown).await;
}

/// What every connection shares.
struct Gateway<I> {
    router: Router,
    gatekeeper: Option<Gatekeeper>,
    functions: Arc<I>,
    integration_timeout: Duration,
}

impl<I: Invoke> Gateway<I> {
    fn new(template: &Template, functions: Arc<I>, integration_timeout: Duration) -> Self {
        Self {
            router: Router::new(template),
            gatekeeper: template.authorizer.clone().map(Gatekeeper::new),
            functions,
            integration_timeout,
        }
    }

    async fn serve(self: Arc<Self>, listeners: Vec<TcpListener>, shutdown: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        let mut loops = JoinSet::new();
        for listener in listeners {
            loops.spawn(Arc::clone(&self).accept(listener, stop.clone()));
        }
        shutdown.await;
        stop.cancel();
        loops.join_all().await;
    }

    /// One listener's connections; those that outlive the grace period end with the set.
    async fn accept(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let gateway = Arc::clone(&self);
                        let service = service_fn(move |request| {
                            let gateway = Arc::clone(&gateway);
                            async move { Ok::<_, Infallible>(gateway.answer(request, peer).await) }
                        });
                        let connection = http1::Builder::new()
                            .timer(TokioTimer::new())
                            .serve_connection(TokioIo::new(stream), service);
                        connections.spawn(graceful.watch(connection));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        if timeout(GRACE, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests under way were cut off");
        }
    }

    /// Answers one request, and says so in the log: never the query or a header, which may hold addresses and tokens.
    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> ApiResponse {
        let started = Instant::now();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.respond(request, peer).await;
        tracing::info!(%method, %path, status = response.status().as_u16(), elapsed = ?started.elapsed());
        response
    }

    async fn respond(&self, request: Request<Incoming>, peer: SocketAddr) -> ApiResponse {
        let (head, body) = request.into_parts();
        let body = match body::read(body, MAX_BODY).await {
            Ok(body) => body,
            Err(body::Unread::TooLarge) => {
                return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
            }
            Err(body::Unread::Broken(error)) => {
                tracing::debug!(%error, "the caller left in the middle of its request");
                return message(StatusCode::BAD_REQUEST, "Bad Request");
            }
        };
        if let Some(function) = invocations::target(head.uri.path()) {
            return invocations::answer(&self.functions, function, &head.method, &head.headers, body).await;
        }
        let request = ApiRequest::new(head, body, peer);
        let mut response = self.route(&request).await;
        if let Ok(id) = HeaderValue::from_str(&request.id) {
            response.headers_mut().insert("apigw-requestid", id);
        }
        response
    }

    /// Route, authorizer, function.
    async fn route(&self, request: &ApiRequest) -> ApiResponse {
        let Some(found) = self.router.select(&request.head.method, &request.path) else {
            return message(StatusCode::NOT_FOUND, "Not Found");
        };
        let gatekeeper = self.gatekeeper.as_ref().filter(|_| found.route.authorized);
        let principal = match gatekeeper {
            None => None,
            Some(gatekeeper) => match gatekeeper.verdict(self.functions.as_ref(), request, &found).await {
                Verdict::Allowed(principal) => Some(principal),
                Verdict::Denied => return message(StatusCode::FORBIDDEN, "Forbidden"),
                Verdict::Unidentified => {
                    return message(StatusCode::UNAUTHORIZED, "Unauthorized");
                }
                Verdict::Failed => return internal_error(),
            },
        };
        let event = request.function_event(&found, principal.as_ref()).to_string();
        if event.len() > MAX_EVENT {
            return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        }
        self.call(&found, Bytes::from(event)).await
    }

    /// The function's answer, or API Gateway's own for one that is none or late. A late function goes on.
    async fn call(&self, found: &Match<'_>, event: Bytes) -> ApiResponse {
        let function = &found.route.function;
        match timeout(self.integration_timeout, self.functions.invoke(function, event)).await {
            Err(_) => {
                tracing::warn!(%function, "no answer within {:?}", self.integration_timeout);
                message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
            }
            Ok(Err(error)) => {
                tracing::warn!(%function, kind = ?error.kind, "the function failed");
                internal_error()
            }
            Ok(Ok(answer)) => response::from_function(&answer).unwrap_or_else(|| {
                tracing::warn!(%function, "the function's answer is no HTTP response");
                internal_error()
            }),
        }
    }
}

fn internal_error() -> ApiResponse {
    message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}
