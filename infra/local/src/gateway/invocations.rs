//! Lambda's own Invoke call (AWS Lambda API reference, "Invoke"), so that `cargo lambda invoke` and the SDKs
//! reach a function directly.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderMap, HeaderValue, ORIGIN};
use hyper::{Method, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::MAX_EVENT;
use super::invoke::{Invoke, InvokeErrorKind};
use super::response::{ApiResponse, json_response};

/// The function that a path of the Invoke call names: a name or an ARN, with or without a qualifier.
pub(super) fn target(path: &str) -> Option<String> {
    let name = path.strip_prefix("/2015-03-31/functions/")?.strip_suffix("/invocations")?;
    let decoded = percent_decode_str(name).decode_utf8().ok()?;
    let unqualified = decoded.rsplit_once("function:").map_or(decoded.as_ref(), |(_, name)| name);
    let name = unqualified.split(':').next().unwrap_or_default();
    (!name.is_empty() && !name.contains('/')).then(|| name.to_owned())
}

/// Answers one Invoke call.
pub(super) async fn answer<I: Invoke>(
    functions: &std::sync::Arc<I>,
    function: String,
    method: &Method,
    headers: &HeaderMap,
    payload: Bytes,
) -> ApiResponse {
    if method != Method::POST {
        return refused(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowedException", "use POST");
    }
    if headers.contains_key(ORIGIN) {
        // AWS asks for a signature here. We ask for nothing, so a web page that is open in the
        // developer's browser must not get through: browsers name it in this header (RFC 6454 §7).
        return refused(StatusCode::FORBIDDEN, "AccessDeniedException", "not for web pages");
    }
    if payload.len() > MAX_EVENT {
        let text = format!("{} byte payload is too large (limit {MAX_EVENT} bytes)", payload.len());
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", &text);
    }
    let payload = if payload.is_empty() { Bytes::from_static(b"{}") } else { payload };
    if serde_json::from_slice::<serde::de::IgnoredAny>(&payload).is_err() {
        let text = "Could not parse request body into json";
        return refused(StatusCode::BAD_REQUEST, "InvalidRequestContentException", text);
    }
    match headers.get("x-amz-invocation-type").map(HeaderValue::as_bytes) {
        None | Some(b"RequestResponse") => wait_for(functions.as_ref(), &function, payload).await,
        Some(b"Event") => {
            let functions = functions.clone();
            tokio::spawn(async move {
                if let Err(error) = functions.invoke(&function, payload).await {
                    tracing::warn!(%function, kind = ?error.kind, "an asynchronous invocation failed");
                }
            });
            empty(StatusCode::ACCEPTED)
        }
        Some(b"DryRun") => empty(StatusCode::NO_CONTENT),
        Some(_) => {
            let text = "X-Amz-Invocation-Type is RequestResponse, Event or DryRun";
            refused(StatusCode::BAD_REQUEST, "InvalidParameterValueException", text)
        }
    }
}

/// A function's error is a 200 with a header that says so.
async fn wait_for<I: Invoke>(functions: &I, function: &str, payload: Bytes) -> ApiResponse {
    let (answer, failed) = match functions.invoke(function, payload).await {
        Ok(answer) => (answer, false),
        Err(error) if error.kind == InvokeErrorKind::UnknownFunction => {
            let text = format!("Function not found: {function}");
            return refused(StatusCode::NOT_FOUND, "ResourceNotFoundException", &text);
        }
        Err(error) => (error.payload, true),
    };
    let mut response = json_response(StatusCode::OK, answer);
    let headers = response.headers_mut();
    headers.insert("x-amz-executed-version", HeaderValue::from_static("$LATEST"));
    if failed {
        headers.insert("x-amz-function-error", HeaderValue::from_static("Unhandled"));
    }
    response
}

/// Lambda's own refusals have `Type` and `Message`; `cargo lambda invoke` shows the other two.
fn refused(status: StatusCode, kind: &'static str, text: &str) -> ApiResponse {
    let body = json!({ "Type": "User", "Message": text, "errorType": kind, "errorMessage": text });
    let mut response = json_response(status, Bytes::from(body.to_string()));
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(kind));
    response
}

fn empty(status: StatusCode) -> ApiResponse {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::target;

    #[test]
    fn a_function_is_named_in_many_ways() {
        for (path, name) in [
            ("/2015-03-31/functions/send/invocations", Some("send")),
            ("/2015-03-31/functions/pull-worker:live/invocations", Some("pull-worker")),
            ("/2015-03-31/functions/arn:aws:lambda:eu-west-1:0:function:send/invocations", Some("send")),
            ("/2015-03-31/functions/arn%3Aaws%3Alambda%3Ax%3A0%3Afunction%3Asend%3A1/invocations", Some("send")),
            ("/2015-03-31/functions//invocations", None),
            ("/2015-03-31/functions/send", None),
            ("/2015-03-31/functions/a%2Fb/invocations", None),
            ("/v1/accounts", None),
        ] {
            assert_eq!(target(path).as_deref(), name, "{path}");
        }
    }
}
