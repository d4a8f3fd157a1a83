//! An HTTP request as API Gateway's event, payload format 2.0
//! (developer guide, "Create AWS Lambda proxy integrations for HTTP APIs").

use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::format_description;
use uuid::Uuid;

use super::route::Match;

/// The account, API and stage that events name.
const ACCOUNT: &str = "000000000000";
const API: &str = "local";

/// Headers that concern one connection (RFC 9110 §7.6.1), and the expectation that the server has met itself.
const CONNECTION_HEADERS: [&str; 9] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A request whose body has been read.
pub(super) struct ApiRequest {
    /// Method, URI and headers.
    pub(super) head: Parts,
    /// The whole body.
    pub(super) body: Bytes,
    /// The decoded path: what routes are matched against, and the event's `rawPath`.
    pub(super) path: String,
    /// API Gateway's id of the request.
    pub(super) id: String,
    /// The caller.
    pub(super) peer: SocketAddr,
    /// When it arrived.
    pub(super) received: OffsetDateTime,
}

impl ApiRequest {
    /// Takes the request in. API Gateway decodes the path before it does anything else,
    /// and even cuts it at a question mark that was encoded (observed, not documented).
    pub(super) fn new(head: Parts, body: Bytes, peer: SocketAddr) -> Self {
        let decoded = percent_decode_str(head.uri.path()).decode_utf8_lossy();
        let path = decoded.split('?').next().unwrap_or_default().to_owned();
        Self { path, head, body, id: Uuid::new_v4().to_string(), peer, received: OffsetDateTime::now_utc() }
    }

    /// A header's value, if it is there and not empty.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        joined(&self.head.headers, name).filter(|value| !value.is_empty())
    }

    /// The event for the function; `principal` is the authorizer's context.
    pub(super) fn function_event(&self, found: &Match<'_>, principal: Option<&Value>) -> Value {
        let mut event = self.common(found);
        if let Some(principal) = principal {
            event["requestContext"]["authorizer"] = json!({ "lambda": principal });
        }
        if !self.body.is_empty() {
            let text = is_text(&self.head.headers).then(|| std::str::from_utf8(&self.body).ok()).flatten();
            event["isBase64Encoded"] = text.is_none().into();
            event["body"] = match text {
                Some(text) => text.into(),
                None => BASE64_STANDARD.encode(&self.body).into(),
            };
        } else {
            event["isBase64Encoded"] = false.into();
        }
        event
    }

    /// The event for the authorizer: no body (developer guide, "Control access to HTTP APIs with Lambda authorizers").
    pub(super) fn authorizer_event(&self, found: &Match<'_>, identity: &[String]) -> Value {
        let mut event = self.common(found);
        let (method, path) = (&self.head.method, &self.path);
        event["type"] = "REQUEST".into();
        event["identitySource"] = identity.into();
        event["routeArn"] = format!("arn:aws:execute-api:local:{ACCOUNT}:{API}/$default/{method}{path}").into();
        event
    }

    fn common(&self, found: &Match<'_>) -> Value {
        let mut event = json!({
            "version": "2.0",
            "routeKey": found.route.key,
            "rawPath": self.path,
            "rawQueryString": self.head.uri.query().unwrap_or_default(),
            "headers": self.headers(),
            "requestContext": self.context(found),
        });
        let cookies = cookies(&self.head.headers);
        if !cookies.is_empty() {
            // An empty list would become an empty `cookie` header in lambda_http; AWS leaves the field out.
            event["cookies"] = cookies.into();
        }
        let query = query_parameters(self.head.uri.query().unwrap_or_default());
        if !query.is_empty() {
            event["queryStringParameters"] = query.into();
        }
        if !found.parameters.is_empty() {
            let parameters = found.parameters.iter();
            event["pathParameters"] = parameters
                .map(|(name, value)| ((*name).to_owned(), value.clone().into()))
                .collect::<Map<_, _>>()
                .into();
        }
        event
    }

    fn context(&self, found: &Match<'_>) -> Value {
        let host = self.host();
        let domain = host.as_ref().map(Authority::host).unwrap_or_default();
        json!({
            "accountId": ACCOUNT,
            "apiId": API,
            "domainName": domain,
            "domainPrefix": domain.split('.').next(),
            "http": {
                "method": self.head.method.as_str(),
                "path": self.path,
                "protocol": format!("{:?}", self.head.version),
                "sourceIp": self.peer.ip().to_string(),
                "userAgent": self.header("user-agent").unwrap_or_default(),
            },
            "requestId": self.id,
            "routeKey": found.route.key,
            "stage": "$default",
            "time": self.common_log_time(),
            "timeEpoch": u64::try_from(self.received.unix_timestamp_nanos() / 1_000_000).unwrap_or_default(),
        })
    }

    /// `12/Mar/2020:19:03:58 +0000`.
    fn common_log_time(&self) -> String {
        let format = format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
        self.received.format(format).unwrap_or_default()
    }

    /// What the caller takes this server to be called.
    fn host(&self) -> Option<Authority> {
        let named = self.header(HOST.as_str()).and_then(|host| host.parse().ok());
        named.or_else(|| self.head.uri.authority().cloned())
    }

    /// Names in lower case, values of one name joined by commas, cookies apart, and what API Gateway adds.
    fn headers(&self) -> Map<String, Value> {
        let mut headers: Map<String, Value> = self
            .head
            .headers
            .keys()
            .filter(|name| **name != COOKIE && !CONNECTION_HEADERS.contains(&name.as_str()))
            .filter_map(|name| Some((name.to_string(), joined(&self.head.headers, name.as_str())?.into())))
            .collect();
        let caller = self.peer.ip().to_string();
        let forwarded = match self.header("x-forwarded-for") {
            Some(earlier) => format!("{earlier}, {caller}"),
            None => caller,
        };
        let host = self.host();
        let port = host.as_ref().and_then(Authority::port_u16).unwrap_or(80);
        let trace = Uuid::new_v4().simple().to_string();
        let added = [
            ("content-length", self.body.len().to_string()),
            ("x-amzn-trace-id", format!("Root=1-{:08x}-{}", self.received.unix_timestamp(), &trace[..24])),
            ("x-forwarded-for", forwarded),
            ("x-forwarded-port", port.to_string()),
            ("x-forwarded-proto", "http".to_owned()),
            ("host", host.map(|host| host.to_string()).unwrap_or_default()),
        ];
        headers.extend(added.map(|(name, value)| (name.to_owned(), value.into())));
        headers
    }
}

/// All values of a header, joined by commas; bytes that are not UTF-8 are replaced.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let values: Vec<_> = headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// RFC 6265 §4.2.1: pairs separated by a semicolon and a space.
fn cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(COOKIE).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    lines
        .flat_map(|line| line.split(';').map(|pair| pair.trim().to_owned()).collect::<Vec<_>>())
        .filter(|pair| !pair.is_empty())
        .collect()
}

/// Decoded parameters; the values of a repeated one are joined by commas.
fn query_parameters(query: &str) -> Map<String, Value> {
    let mut parameters = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match parameters.get_mut(name.as_ref()) {
            Some(Value::String(earlier)) => {
                earlier.push(',');
                earlier.push_str(&value);
            }
            _ => {
                parameters.insert(name.into_owned(), value.into_owned().into());
            }
        }
    }
    parameters
}

/// The content types whose bodies API Gateway hands over as text. All others are base64, forms and
/// `+json` types and bodies without a type among them (observed, not documented).
fn is_text(headers: &HeaderMap) -> bool {
    let content_type = joined(headers, CONTENT_TYPE.as_str()).unwrap_or_default().to_ascii_lowercase();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/") || matches!(essence, "application/json" | "application/xml" | "application/javascript")
}

#[cfg(test)]
mod tests {
    use hyper::Request;
    use hyper::http::request::Builder;

    use super::*;
    use crate::gateway::route::Router;
    use crate::template::{Function, Route, Template};

    fn router() -> Router {
        let route = |path: &str| Route { method: "ANY".to_owned(), path: path.to_owned(), authorized: true };
        let function = Function {
            logical_id: "F".to_owned(),
            name: "f".to_owned(),
            binary: "f".to_owned(),
            memory_mb: 128,
            timeout: std::time::Duration::from_secs(3),
            statements: Vec::new(),
            environment: Default::default(),
            routes: vec![route("/a/{name}"), route("$default")],
            queues: Vec::new(),
            streams: Vec::new(),
            schedules: Vec::new(),
        };
        Router::new(&Template {
            functions: vec![function],
            authorizer: None,
            tables: Vec::new(),
            buckets: Vec::new(),
            queues: Vec::new(),
            buses: Vec::new(),
        })
    }

    fn event(request: Builder, body: &'static [u8]) -> Value {
        let (head, ()) = request.body(()).unwrap().into_parts();
        let peer = "127.0.0.1:4711".parse().unwrap();
        let mut request = ApiRequest::new(head, Bytes::from_static(body), peer);
        request.received = time::macros::datetime!(2020-03-12 19:03:58.390 UTC);
        request.id = "id".to_owned();
        let router = router();
        let found = router.select(&request.head.method, &request.path).unwrap();
        request.function_event(&found, Some(&json!({"tenant": "t"})))
    }

    #[test]
    fn a_whole_event() {
        let request = Request::post("/a/x%20y?k=1&k=%C3%A4&l=a+b")
            .header("Host", "127.0.0.1:9000")
            .header("X-Two", "1")
            .header("X-Two", "2")
            .header("Cookie", "a=1; b=2")
            .header("Content-Type", "application/json; charset=utf-8")
            .header("User-Agent", "curl/8")
            .header("Connection", "keep-alive")
            .header("X-Forwarded-For", "10.0.0.1")
            .header("X-Forwarded-Proto", "gopher");
        let mut event = event(request, b"{\"a\":1}");
        let trace = event["headers"].as_object_mut().unwrap().remove("x-amzn-trace-id").unwrap();
        assert!(trace.as_str().unwrap().starts_with("Root=1-5e6a879e-"), "{trace}");
        assert_eq!(
            event,
            json!({
                "version": "2.0",
                "routeKey": "ANY /a/{name}",
                "rawPath": "/a/x y",
                "rawQueryString": "k=1&k=%C3%A4&l=a+b",
                "cookies": ["a=1", "b=2"],
                "headers": {
                    "host": "127.0.0.1:9000", "x-two": "1,2", "content-type": "application/json; charset=utf-8",
                    "user-agent": "curl/8", "content-length": "7", "x-forwarded-for": "10.0.0.1, 127.0.0.1",
                    "x-forwarded-port": "9000", "x-forwarded-proto": "http"
                },
                "queryStringParameters": {"k": "1,ä", "l": "a b"},
                "pathParameters": {"name": "x y"},
                "requestContext": {
                    "accountId": "000000000000", "apiId": "local",
                    "authorizer": {"lambda": {"tenant": "t"}},
                    "domainName": "127.0.0.1", "domainPrefix": "127",
                    "http": {
                        "method": "POST", "path": "/a/x y", "protocol": "HTTP/1.1",
                        "sourceIp": "127.0.0.1", "userAgent": "curl/8"
                    },
                    "requestId": "id", "routeKey": "ANY /a/{name}", "stage": "$default",
                    "time": "12/Mar/2020:19:03:58 +0000", "timeEpoch": 1_584_039_838_390_u64
                },
                "isBase64Encoded": false,
                "body": "{\"a\":1}"
            })
        );
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let event = event(Request::get("/nowhere"), b"");
        for absent in ["cookies", "queryStringParameters", "pathParameters", "body", "stageVariables"] {
            assert!(event.get(absent).is_none(), "{absent}");
        }
        assert_eq!(event["routeKey"], "$default");
        assert_eq!(event["rawQueryString"], "");
        assert_eq!(event["isBase64Encoded"], false);
    }

    #[test]
    fn a_body_is_text_only_for_text_types() {
        for (content_type, body, base64) in [
            ("application/json", &b"{}"[..], false),
            ("Text/Plain; charset=utf-8", b"x", false),
            ("application/xml", b"<a/>", false),
            ("application/json", b"\xff", true),
            ("application/x-www-form-urlencoded", b"a=1", true),
            ("application/merge-patch+json", b"{}", true),
            ("message/rfc822", b"x", true),
        ] {
            let event = event(Request::put("/a/x").header("content-type", content_type), body);
            assert_eq!(event["isBase64Encoded"], base64, "{content_type}");
            let expected = if base64 { BASE64_STANDARD.encode(body) } else { String::from_utf8_lossy(body).into() };
            assert_eq!(event["body"], expected, "{content_type}");
        }
        assert_eq!(event(Request::put("/a/x"), b"x")["isBase64Encoded"], true);
    }

    #[test]
    fn the_path_is_decoded_first_and_cut_at_a_question_mark() {
        assert_eq!(event(Request::get("/a/b%2Fc"), b"")["routeKey"], "$default");
        let event = event(Request::get("/a/b%3Fc?d=e"), b"");
        assert_eq!(event["rawPath"], "/a/b");
        assert_eq!(event["pathParameters"], json!({"name": "b"}));
        assert_eq!(event["queryStringParameters"], json!({"d": "e"}));
    }

    #[test]
    fn a_host_may_have_no_port_or_be_an_ipv6_address() {
        for (host, domain, port) in
            [("mail.example", "mail.example", "80"), ("[::1]", "[::1]", "80"), ("[::1]:9000", "[::1]", "9000")]
        {
            let event = event(Request::get("/a/x").header("host", host), b"");
            assert_eq!(event["requestContext"]["domainName"], domain);
            assert_eq!(event["headers"]["x-forwarded-port"], port);
            assert_eq!(event["headers"]["host"], host);
        }
    }

    #[test]
    fn the_authorizer_gets_no_body() {
        let (head, ()) = Request::put("/a/x").body(()).unwrap().into_parts();
        let request = ApiRequest::new(head, Bytes::from_static(b"secret"), "[::1]:1".parse().unwrap());
        let router = router();
        let found = router.select(&request.head.method, &request.path).unwrap();
        let event = request.authorizer_event(&found, &["Bearer t".to_owned()]);
        assert_eq!(event["type"], "REQUEST");
        assert_eq!(event["version"], "2.0");
        assert_eq!(event["identitySource"], json!(["Bearer t"]));
        assert_eq!(event["routeArn"], "arn:aws:execute-api:local:000000000000:local/$default/PUT/a/x");
        assert_eq!(event["requestContext"]["http"]["sourceIp"], "::1");
        assert!(event.get("body").is_none() && event.get("isBase64Encoded").is_none());
    }
}
