//! The port of DynamoDB: what its caller may do is passed on to dynoxide, which does not ask that; and what it costs is
//! counted ([`units`]).

mod units;

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use s3s::Body;
use serde_json::Value;

use self::units::Metered;
use crate::aws::counts::Counts;
use crate::aws::http::{Answer, DYNAMODB, respond, status_only};
use crate::aws::policy::{self, Denied, Policies, actions};

/// Largest request of DynamoDB: 16 MB.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Stands before dynoxide at `upstream`.
#[derive(Clone)]
pub(super) struct Guard {
    policies: Policies,
    counts: Counts,
    upstream: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Guard {
    pub(super) fn new(policies: Policies, counts: Counts, upstream: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { policies, counts, upstream, client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// The body that asks for the price as well, where the request is an operation that has one.
    fn check(&self, request: &Request<Bytes>) -> Result<Option<Metered>, Denied> {
        // Without a target it is no operation, and dynoxide says what else it may be.
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        let Some((_, operation)) = target.split_once('.') else {
            return Ok(None);
        };
        // What is not JSON names no table: dynoxide tells that to whoever may ask for any.
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        self.policies.check(&policy::caller(request.headers()), actions::dynamodb(operation, &body))?;
        Ok(Metered::new(operation, body))
    }

    async fn forward(&self, request: Request<Bytes>) -> Response<Body> {
        let mut request = request.map(Full::new);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let forwarded = match Uri::try_from(format!("http://{}{path}", self.upstream)) {
            Ok(uri) => {
                *request.uri_mut() = uri;
                self.client.request(request).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match forwarded {
            Ok(response) => response.map(Body::from),
            // It is stopping, most often: the SDKs try again, and then meet nobody at all.
            Err(error) => {
                tracing::error!(error, "dynamodb");
                status_only(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    async fn metered(&self, request: Request<Bytes>, metered: Metered) -> Response<Body> {
        let (mut parts, _) = request.into_parts();
        forget_length(&mut parts.headers);
        let answer = self.forward(Request::from_parts(parts, metered.request())).await;
        let (mut parts, body) = answer.into_parts();
        let Ok(body) = body.collect().await else {
            return status_only(StatusCode::INTERNAL_SERVER_ERROR);
        };
        let (body, units) = metered.answer(parts.status.is_success(), body.to_bytes());
        if let Some((kind, halves)) = units {
            self.counts.add_many("dynamodb", kind, halves);
        }
        forget_length(&mut parts.headers);
        Response::from_parts(parts, Body::from(body))
    }
}

/// What says how long a body was, and which sum it had.
fn forget_length(headers: &mut HeaderMap) {
    headers.remove(hyper::header::CONTENT_LENGTH);
    headers.remove("x-amz-crc32");
}

impl Answer for Guard {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MAX_BYTES).collect().await else {
            return status_only(StatusCode::PAYLOAD_TOO_LARGE);
        };
        let request = Request::from_parts(parts, body.to_bytes());
        match self.check(&request) {
            Ok(Some(metered)) => self.metered(request, metered).await,
            Ok(None) => self.forward(request).await,
            Err(denied) => respond(&DYNAMODB, Err(denied.into())),
        }
    }
}
