//! What listens, and one router for S3, Secrets Manager, SQS and EventBridge: `x-amz-target` names a JSON service, everything else
//! is S3.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::Body;
use s3s::service::S3Service;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::counts::Counts;
use super::events::Events;
use super::policy::{self, Need, Policies, actions};
use super::secrets::Secrets;
use super::sqs::Sqs;
use super::{AwsError, sqs};

/// Largest JSON request: 1 MiB of message, each byte of it escaped as `\u00xx` at worst.
const MAX_JSON_BYTES: usize = 7 * 1024 * 1024;

/// A bound port of 127.0.0.1.
pub(super) struct Listener {
    listener: TcpListener,
    port: u16,
}

impl Listener {
    /// Takes the port, or any when it is 0.
    pub(super) async fn bind(port: u16) -> Result<Self, AwsError> {
        let failed = |source| AwsError::Port { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Self { listener, port })
    }

    /// Base URL, without a slash at its end.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Answers by `service` until `stop`; requests that run then are finished.
    pub(super) async fn serve(self, service: impl Answer, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => drop(tokio::spawn(connection(stream, service.clone(), stop.clone()))),
                // The peer is gone again, or file descriptors are short: others may yet be served.
                Err(error) => tracing::warn!(%error, "accept"),
            }
        }
    }
}

/// What is behind a [`Listener`].
pub(super) trait Answer: Clone + Send + Sync + 'static {
    /// The answer to one request; a failure is an answer too.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send;
}

async fn connection(stream: TcpStream, service: impl Answer, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.answer(request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // A client that hangs up in the middle; nobody is left to be told.
        tracing::debug!(%error, "connection");
    }
}

/// The requests so far as JSON, `{"dynamodb.PutItem": 3}`, with units and bytes that were read of objects, for tests that hold a flow to its budget.
/// No bucket can have this name.
const COUNTS: &str = "/_counts";

/// What was put to the event buses as JSON, oldest first, for tests and the curious.
const EVENTS: &str = "/_events";

/// The services behind the listener.
#[derive(Clone)]
pub(super) struct Router {
    pub(super) s3: S3Service,
    pub(super) secrets: Secrets,
    pub(super) sqs: Sqs,
    pub(super) events: Events,
    pub(super) policies: Policies,
    pub(super) counts: Counts,
}

impl Answer for Router {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let Some(target) = request.headers().get("x-amz-target") else {
            return match request.uri().path() {
                COUNTS => Response::new(Body::from(Bytes::from(json!(self.counts.snapshot()).to_string()))),
                EVENTS => respond(&JSON_1_1, self.events.kept().await),
                _ => self.s3(request).await,
            };
        };
        let target = target.to_str().unwrap_or_default().to_owned();
        match target.split_once('.') {
            Some(("AmazonSQS", operation)) => {
                self.counts.add("sqs", operation);
                let result = match self.admit(request, operation, actions::sqs).await {
                    Ok(body) => sqs::handle(&self.sqs, operation, body).await,
                    Err(error) => Err(error),
                };
                respond(&JSON_1_0, result)
            }
            Some(("secretsmanager", operation)) => {
                self.counts.add("secretsmanager", operation);
                let result = match self.admit(request, operation, actions::secrets).await {
                    Ok(body) => self.secrets.handle(operation, body).await,
                    Err(error) => Err(error),
                };
                respond(&JSON_1_1, result)
            }
            Some(("AWSEvents", operation)) => {
                self.counts.add("events", operation);
                let result = match self.admit(request, operation, actions::events).await {
                    Ok(body) => self.events.handle(operation, body).await,
                    Err(error) => Err(error),
                };
                respond(&JSON_1_1, result)
            }
            _ => respond(&JSON_1_0, Err(AwsError::refused("UnknownOperationException", "No such service."))),
        }
    }
}

impl Router {
    /// The body of a request that its caller may make.
    async fn admit(
        &self,
        request: Request<Incoming>,
        operation: &str,
        needs: fn(&str, &Value) -> Vec<Need>,
    ) -> Result<Value, AwsError> {
        let caller = policy::caller(request.headers());
        let body = json_body(request).await?;
        self.policies.check(&caller, needs(operation, &body))?;
        Ok(body)
    }

    async fn s3(&self, request: Request<Incoming>) -> Response<Body> {
        // Counted in `s3`, where the operation is known.
        match Service::call(&self.s3, request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::error!(?error, "s3");
                status_only(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

/// How a JSON service words its answers.
pub(super) struct Protocol {
    content_type: HeaderValue,
    /// Before the name of an error.
    namespace: &'static str,
    /// The error that says no policy allows it.
    denied: &'static str,
    /// The error that says it is the service's own fault.
    internal: &'static str,
    /// Whether errors carry their name of the older query protocol, on which the SDKs' typed errors depend.
    query_names: bool,
}

/// SQS.
const JSON_1_0: Protocol = Protocol {
    content_type: HeaderValue::from_static("application/x-amz-json-1.0"),
    namespace: "com.amazonaws.sqs#",
    denied: CORAL_DENIED,
    internal: "InternalFailure",
    query_names: true,
};

/// DynamoDB, where it is not dynoxide that answers.
pub(super) const DYNAMODB: Protocol = Protocol {
    content_type: HeaderValue::from_static("application/x-amz-json-1.0"),
    namespace: "com.amazonaws.dynamodb.v20120810#",
    denied: CORAL_DENIED,
    internal: "com.amazonaws.dynamodb.v20120810#InternalServerError",
    query_names: false,
};

/// Secrets Manager and EventBridge.
const JSON_1_1: Protocol = Protocol {
    content_type: HeaderValue::from_static("application/x-amz-json-1.1"),
    namespace: "",
    denied: "AccessDeniedException",
    internal: "InternalServiceError",
    query_names: false,
};

async fn json_body(request: Request<Incoming>) -> Result<Value, AwsError> {
    let body = Limited::new(request.into_body(), MAX_JSON_BYTES).collect().await.map(|body| body.to_bytes());
    let unreadable = || AwsError::refused("SerializationException", "The request is not JSON, cut off or too large.");
    match body {
        Ok(body) if body.is_empty() => Ok(json!({})),
        Ok(body) => serde_json::from_slice(&body).map_err(|_| unreadable()),
        Err(_) => Err(unreadable()),
    }
}

/// What the front of the older services says.
const CORAL_DENIED: &str = "com.amazon.coral.service#AccessDeniedException";

/// The answer as the protocol words it.
pub(super) fn respond(protocol: &Protocol, result: Result<Value, AwsError>) -> Response<Body> {
    let (status, code, body) = match result {
        Ok(value) => (StatusCode::OK, None, value),
        Err(AwsError::Refused { code, message }) => {
            let body = json!({ "__type": format!("{}{code}", protocol.namespace), "message": message });
            (StatusCode::BAD_REQUEST, Some(code), body)
        }
        Err(AwsError::Denied(denied)) => {
            let body = json!({ "__type": protocol.denied, "Message": denied.to_string() });
            (StatusCode::BAD_REQUEST, Some("AccessDenied"), body)
        }
        Err(ours) => {
            tracing::error!(error = %ours, "request");
            let body = json!({ "__type": protocol.internal, "message": ours.to_string() });
            (StatusCode::INTERNAL_SERVER_ERROR, None, body)
        }
    };
    let mut response = Response::new(Body::from(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, protocol.content_type.clone());
    if let Some(code) = code.filter(|_| protocol.query_names)
        && let Ok(value) = HeaderValue::try_from(format!("{};Sender", query_name(code)))
    {
        response.headers_mut().insert(HeaderName::from_static("x-amzn-query-error"), value);
    }
    response
}

/// The query protocol's name of an SQS error (the `awsQueryError` traits of the service model).
fn query_name(code: &str) -> String {
    match code {
        "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue".to_owned(),
        "BatchEntryIdsNotDistinct"
        | "BatchRequestTooLong"
        | "EmptyBatchRequest"
        | "InvalidBatchEntryId"
        | "MessageNotInflight"
        | "TooManyEntriesInBatchRequest"
        | "UnsupportedOperation" => {
            format!("AWS.SimpleQueueService.{code}")
        }
        other => other.to_owned(),
    }
}

/// An answer without a body.
pub(super) fn status_only(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
