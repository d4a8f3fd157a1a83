//! The HTTP side of the Lambda Runtime API
//! (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), for all instances on one port.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use super::error::failure;
use super::function::{Event, Function};
use super::{MAX_PAYLOAD, Runtime};
use crate::gateway::{InvokeError, InvokeErrorKind};

type Answer = Response<Full<Bytes>>;

/// Accepts connections until the host stops.
pub(super) async fn serve(listener: TcpListener, runtime: Arc<Runtime>) {
    let stop = runtime.host.stop.clone();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, Arc::clone(&runtime)))),
            // Out of file descriptors, say: the next try may succeed.
            Err(error) => tracing::warn!("runtime api: {error}"),
        }
    }
}

async fn connection(stream: TcpStream, runtime: Arc<Runtime>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("runtime api: {error}");
    }
    let stop = runtime.host.stop.clone();
    let service = service_fn(move |request| {
        let runtime = Arc::clone(&runtime);
        async move { Ok::<_, Infallible>(answer(&runtime, request).await) }
    });
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = stop.cancelled() => {}
        // An instance that ends breaks its poll off: its supervisor deals with that.
        result = served => if let Err(error) = result { tracing::debug!("runtime api: {error}") },
    }
}

/// `/<function>/<instance>/2018-06-01/runtime/<call>`
fn split(path: &str) -> Option<(&str, u32, Vec<&str>)> {
    let mut parts = path.strip_prefix('/')?.split('/');
    let function = parts.next()?;
    let number = parts.next()?.parse().ok()?;
    match (parts.next()?, parts.next()?) {
        ("2018-06-01", "runtime") => Some((function, number, parts.collect())),
        _ => None,
    }
}

async fn answer(runtime: &Runtime, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let found = split(&path).and_then(|(name, number, call)| {
        let function = runtime.functions.get(name)?;
        Some((function, number, call))
    });
    let Some((function, number, call)) = found else {
        return refuse(StatusCode::NOT_FOUND, "InvalidPath", &path);
    };
    match (request.method(), call.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => next(function, number).await,
        (&Method::POST, ["invocation", id, "response"]) => {
            let outcome = collect(request).await;
            finish(function, number, id, outcome)
        }
        (&Method::POST, ["invocation", id, "error"]) => {
            let outcome = collect(request).await;
            finish(function, number, id, outcome.and_then(|body| Err(unhandled(body))))
        }
        (&Method::POST, ["init", "error"]) => {
            let text = collect(request).await.unwrap_or_else(|error| error.payload);
            tracing::warn!(function = %function.spec.name, "init error: {}", String::from_utf8_lossy(&text));
            accepted()
        }
        _ => refuse(StatusCode::NOT_FOUND, "InvalidPath", &path),
    }
}

async fn next(function: &Arc<Function>, number: u32) -> Answer {
    let Some(event) = function.next(number).await else {
        return refuse(StatusCode::FORBIDDEN, "InvalidStateTransition", "this instance gets no work");
    };
    let Event { id, deadline_ms, payload } = event;
    let host = &function.host;
    let arn = format!("arn:aws:lambda:{}:{}:function:{}", host.region, host.account, function.spec.name);
    let built = Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", id)
        .header("lambda-runtime-deadline-ms", deadline_ms)
        .header("lambda-runtime-invoked-function-arn", arn)
        .body(Full::new(payload));
    built.unwrap_or_else(|error| refuse(StatusCode::INTERNAL_SERVER_ERROR, "Internal", &error.to_string()))
}

/// The body of an answer, or why it cannot be one.
async fn collect(request: Request<Incoming>) -> Result<Bytes, InvokeError> {
    match Limited::new(request.into_body(), MAX_PAYLOAD).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(failure(
            InvokeErrorKind::TooLarge,
            "Function.ResponseSizeTooLarge",
            &format!("Response payload size exceeded maximum allowed payload size ({MAX_PAYLOAD} bytes)."),
        )),
        Err(error) => {
            Err(failure(InvokeErrorKind::Exit, "Runtime.ExitError", &format!("the answer broke off: {error}")))
        }
    }
}

fn unhandled(payload: Bytes) -> InvokeError {
    let kind = InvokeErrorKind::Unhandled;
    InvokeError { kind, payload }
}

fn finish(function: &Function, number: u32, id: &str, outcome: Result<Bytes, InvokeError>) -> Answer {
    let too_large = matches!(&outcome, Err(error) if error.kind == InvokeErrorKind::TooLarge);
    if !function.finish(number, id, outcome) {
        return refuse(StatusCode::GONE, "InvalidRequestID", "no such invocation here, or its time is up");
    }
    if too_large {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", "over 6 MB");
    }
    accepted()
}

fn accepted() -> Answer {
    json_answer(StatusCode::ACCEPTED, &json!({ "status": "OK" }))
}

fn refuse(status: StatusCode, error_type: &str, message: &str) -> Answer {
    json_answer(status, &json!({ "errorType": error_type, "errorMessage": message }))
}

fn json_answer(status: StatusCode, body: &serde_json::Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    answer
}
