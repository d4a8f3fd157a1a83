//! What a handler answers.

pub use lambda_http::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_DNS_PREFETCH_CONTROL,
};
use lambda_http::http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use lambda_http::http::{HeaderMap, StatusCode};
use lambda_http::{Body, Response};
use serde::Serialize;

use super::problem::{document, status};
use crate::model::Problem;

/// An answer in the making.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    /// 200 with JSON.
    pub fn ok(value: &impl Serialize) -> Result<Self, Problem> {
        Self::json(StatusCode::OK, "application/json", value)
    }

    /// 201 with JSON and where it is.
    pub fn created(value: &impl Serialize, location: &str) -> Result<Self, Problem> {
        Ok(Self::json(StatusCode::CREATED, "application/json", value)?.header(LOCATION, location))
    }

    /// 202 with JSON and where to look later.
    pub fn accepted(value: &impl Serialize, location: &str) -> Result<Self, Problem> {
        Ok(Self::json(StatusCode::ACCEPTED, "application/json", value)?.header(LOCATION, location))
    }

    /// Marks an answer that was not produced by this call: its Idempotency-Key had been used before.
    #[must_use]
    pub fn replayed(self) -> Self {
        self.header(HeaderName::from_static("idempotency-replayed"), "true")
    }

    /// 204.
    pub fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, headers: HeaderMap::new(), body: Vec::new() }
    }

    /// 302 to a presigned URL: it must not be kept by caches, it ends.
    pub fn redirect(url: &str) -> Self {
        let reply = Self { status: StatusCode::FOUND, headers: HeaderMap::new(), body: Vec::new() };
        reply.header(LOCATION, url).header(HeaderName::from_static("cache-control"), "no-store")
    }

    /// 200 with bytes of a type.
    pub fn bytes(content_type: &str, body: Vec<u8>) -> Self {
        let reply = Self { status: StatusCode::OK, headers: HeaderMap::new(), body };
        reply.header(CONTENT_TYPE, content_type)
    }

    /// A problem.
    pub fn problem(problem: &Problem, request_id: &str) -> Self {
        let document = document(problem, request_id);
        Self::refusal(status(problem.code), "application/problem+json", &document, problem.retry_after)
    }

    /// A refusal in the words of a front door.
    pub(super) fn refused(status: StatusCode, body: &impl Serialize, retry_after: Option<u64>) -> Self {
        Self::refusal(status, "application/json", body, retry_after)
    }

    fn refusal(
        status: StatusCode,
        content_type: &'static str,
        body: &impl Serialize,
        retry_after: Option<u64>,
    ) -> Self {
        // A problem holds only strings and numbers; should it not serialise all the same, the status says enough.
        let reply = Self::json(status, content_type, body);
        let reply = reply.unwrap_or_else(|_| Self { status, headers: HeaderMap::new(), body: Vec::new() });
        match retry_after {
            Some(seconds) => reply.header(RETRY_AFTER, &seconds.to_string()),
            None => reply,
        }
    }

    /// Adds a header. A value that cannot stand in one is left out. A repeated name is joined with a comma
    /// (RFC 9110 §5.3): API Gateway's payload 2.0 keeps one value per name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        let joined = match self.headers.get(&name).and_then(|earlier| earlier.to_str().ok()) {
            Some(earlier) => format!("{earlier}, {value}"),
            None => value.to_owned(),
        };
        if let Ok(value) = HeaderValue::from_str(&joined) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The version of what is answered (RFC 9110 §8.8.3).
    #[must_use]
    pub fn etag(self, version: &str) -> Self {
        self.header(ETAG, &format!("\"{version}\""))
    }

    /// The status, for the log.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// As lambda_http takes it. Text is handed over as text, all else base64.
    pub fn into_response(self) -> Response<Body> {
        let body = match String::from_utf8(self.body) {
            Ok(text) if text.is_empty() => Body::Empty,
            Ok(text) if is_text(&self.headers) => Body::Text(text),
            Ok(text) => Body::Binary(text.into_bytes()),
            Err(bytes) => Body::Binary(bytes.into_bytes()),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }

    fn json(status: StatusCode, content_type: &'static str, value: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(value).map_err(Problem::internal)?;
        let reply = Self { status, headers: HeaderMap::new(), body };
        Ok(reply.header(CONTENT_TYPE, content_type))
    }
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.starts_with("text/") || kind.contains("json")
}
