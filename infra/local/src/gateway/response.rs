//! A function's answer as an HTTP response, payload format 2.0
//! (developer guide, "Create AWS Lambda proxy integrations for HTTP APIs", "Lambda function response").

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use hyper::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A response whose body is all there.
pub(super) type ApiResponse = Response<Full<Bytes>>;

/// What API Gateway sends for a body whose function named no type.
const DEFAULT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Headers that the server sets itself.
const OWN_HEADERS: [&str; 4] = ["connection", "content-length", "keep-alive", "transfer-encoding"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: Value,
    #[serde(default)]
    headers: Option<Map<String, Value>>,
    #[serde(default)]
    cookies: Option<Vec<String>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// API Gateway's own answers: `{"message": "…"}`.
pub(super) fn message(status: StatusCode, text: &str) -> ApiResponse {
    json_response(status, Bytes::from(json!({ "message": text }).to_string()))
}

/// A JSON document.
pub(super) fn json_response(status: StatusCode, body: Bytes) -> ApiResponse {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// The response that `answer` describes; `None` where API Gateway would say 500, because it describes none.
///
/// An answer without `statusCode` is the body itself, with 200.
pub(super) fn from_function(answer: &Bytes) -> Option<ApiResponse> {
    let value: Value = serde_json::from_slice(answer).ok()?;
    if value.get("statusCode").is_none() {
        return Some(json_response(StatusCode::OK, answer.clone()));
    }
    let answer: Answer = serde_json::from_value(value).ok()?;
    let body = match answer.body {
        Some(text) if answer.is_base64_encoded => Bytes::from(BASE64_STANDARD.decode(text).ok()?),
        Some(text) => Bytes::from(text),
        None => Bytes::new(),
    };
    let mut headers = headers(answer.headers.unwrap_or_default())?;
    for cookie in answer.cookies.unwrap_or_default() {
        headers.append(SET_COOKIE, HeaderValue::from_str(&cookie).ok()?);
    }
    if !body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, DEFAULT_TYPE);
    }
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status(&answer.status_code)?;
    *response.headers_mut() = headers;
    Some(response)
}

/// A number, or the text of one, from 200 to 599.
fn status(value: &Value) -> Option<StatusCode> {
    let number = match value {
        Value::String(text) => text.parse().ok()?,
        number => u16::try_from(number.as_u64()?).ok()?,
    };
    (200..600).contains(&number).then(|| StatusCode::from_u16(number).ok()).flatten()
}

/// One value per name (format 2.0 has no multi-value headers); numbers and booleans are taken as text.
fn headers(given: Map<String, Value>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let text = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        if !OWN_HEADERS.contains(&name.as_str()) {
            headers.insert(name, HeaderValue::from_str(&text).ok()?);
        }
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn mapped(answer: &Value) -> Option<(u16, Vec<String>, Bytes)> {
        let response = from_function(&Bytes::from(answer.to_string()))?;
        let (head, body) = response.into_parts();
        let line = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        let mut lines: Vec<_> = head.headers.iter().map(line).collect();
        lines.sort_unstable();
        Some((head.status.as_u16(), lines, body.collect().await.unwrap().to_bytes()))
    }

    #[tokio::test]
    async fn a_whole_answer() {
        let answer = json!({
            "statusCode": 201,
            "headers": {"Content-Type": "application/json", "X-N": 5, "X-B": true, "Content-Length": "99"},
            "multiValueHeaders": {"X-Lost": ["a"]},
            "cookies": ["a=1; Path=/", "b=2"],
            "body": "{}",
            "isBase64Encoded": false
        });
        let (status, headers, body) = mapped(&answer).await.unwrap();
        assert_eq!(status, 201);
        assert_eq!(
            headers,
            ["content-type: application/json", "set-cookie: a=1; Path=/", "set-cookie: b=2", "x-b: true", "x-n: 5"]
        );
        assert_eq!(body, "{}");
    }

    #[tokio::test]
    async fn base64_is_decoded_and_a_type_added() {
        let answer = json!({"statusCode": "200", "body": "AP8=", "isBase64Encoded": true});
        let (status, headers, body) = mapped(&answer).await.unwrap();
        assert_eq!((status, &body[..]), (200, &b"\x00\xff"[..]));
        assert_eq!(headers, ["content-type: text/plain; charset=utf-8"]);
    }

    #[tokio::test]
    async fn without_status_the_answer_is_the_body() {
        for answer in [json!({"a": 1}), json!("text"), json!([1]), json!(null)] {
            let (status, headers, body) = mapped(&answer).await.unwrap();
            assert_eq!((status, headers), (200, vec!["content-type: application/json".to_owned()]));
            assert_eq!(body, answer.to_string());
        }
    }

    #[tokio::test]
    async fn an_empty_answer_has_no_type() {
        let (status, headers, body) = mapped(&json!({"statusCode": 204, "headers": null, "body": null})).await.unwrap();
        assert_eq!((status, headers, body.len()), (204, Vec::new(), 0));
    }

    #[tokio::test]
    async fn what_is_no_response_is_refused() {
        for answer in [
            json!({"statusCode": 99}),
            json!({"statusCode": 600}),
            json!({"statusCode": "ok"}),
            json!({"statusCode": 101}),
            json!({"statusCode": 200, "body": "%", "isBase64Encoded": true}),
            json!({"statusCode": 200, "headers": {"a b": "c"}}),
            json!({"statusCode": 200, "headers": {"a": "b\nc"}}),
            json!({"statusCode": 200, "headers": {"a": ["b"]}}),
            json!({"statusCode": 200, "body": {"a": 1}}),
        ] {
            assert!(mapped(&answer).await.is_none(), "{answer}");
        }
        assert!(from_function(&Bytes::from_static(b"no json")).is_none());
    }
}
