//! HTTP as a caller of the service has it.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client as Hyper, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A caller with a token and perhaps a tenant.
#[derive(Debug, Clone)]
pub struct Client {
    url: String,
    token: Option<String>,
    tenant: Option<String>,
    hyper: Hyper<HttpConnector, Full<Bytes>>,
}

/// A request that is being put together.
#[derive(Debug)]
pub struct Ask<'a> {
    client: &'a Client,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The request, for the words of a failed assertion.
    pub asked: String,
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Client {
    /// A caller of the service at this address.
    #[must_use]
    pub fn new(url: &str, token: Option<&str>) -> Self {
        let hyper = Hyper::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self { url: url.to_owned(), token: token.map(str::to_owned), tenant: None, hyper }
    }

    /// The same caller with another token, or none.
    #[must_use]
    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..self.clone() }
    }

    /// The same caller acting for a tenant.
    #[must_use]
    pub fn for_tenant(&self, tenant: &str) -> Self {
        Self { tenant: Some(tenant.to_owned()), ..self.clone() }
    }

    /// Begins a request.
    #[must_use]
    pub fn ask(&self, method: Method, path: impl Into<String>) -> Ask<'_> {
        Ask { client: self, method, path: path.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// GET.
    pub async fn get(&self, path: impl Into<String>) -> Answer {
        self.ask(Method::GET, path).send().await
    }

    /// DELETE.
    pub async fn delete(&self, path: impl Into<String>) -> Answer {
        self.ask(Method::DELETE, path).send().await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: impl Into<String>, body: &Value) -> Answer {
        self.ask(Method::POST, path).json(body).send().await
    }

    /// POST without a body.
    pub async fn post_empty(&self, path: impl Into<String>) -> Answer {
        self.ask(Method::POST, path).send().await
    }

    /// PUT with a JSON body.
    pub async fn put(&self, path: impl Into<String>, body: &Value) -> Answer {
        self.ask(Method::PUT, path).json(body).send().await
    }
}

impl Ask<'_> {
    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    /// Adds a header of any bytes.
    #[must_use]
    pub fn header_bytes(mut self, name: &'static str, value: http::HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", serde_json::to_vec(body).unwrap())
    }

    /// Sets any body.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        self.body = body.into();
        self
    }

    /// Sets a body of no type.
    #[must_use]
    pub fn bytes(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it and reads the whole answer.
    pub async fn send(self) -> Answer {
        let Self { client, method, path, mut headers, body } = self;
        let url = if path.starts_with("http") { path } else { format!("{}{path}", client.url) };
        let own = url.starts_with(&client.url);
        if let Some(token) = client.token.as_ref().filter(|_| own && !headers.contains_key(AUTHORIZATION)) {
            headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        }
        if let Some(tenant) = &client.tenant {
            headers.insert("tenant", tenant.parse().unwrap());
        }
        let asked = format!("{method} {url}");
        let mut request = Request::builder().method(method).uri(url).body(Full::new(body)).unwrap();
        *request.headers_mut() = headers;
        let response = client.hyper.request(request).await.unwrap_or_else(|error| panic!("{asked}: {error:?}"));
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap_or_else(|error| panic!("{asked}: {error:?}")).to_bytes();
        Answer { asked, status: head.status.as_u16(), headers: head.headers, body }
    }
}

impl Answer {
    /// The body as text, for words.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header, empty if absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON, whatever the status.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {} {error}: {}", self.asked, self.status, self.text()))
    }

    /// Holds it to a status.
    #[must_use]
    #[track_caller]
    pub fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text());
        assert!(!self.header("x-request-id").is_empty(), "{}: no X-Request-Id", self.asked);
        self
    }

    /// Holds it to a status, and returns its JSON.
    #[track_caller]
    pub fn value(&self, status: u16) -> Value {
        self.is(status).json()
    }

    /// Holds it to a problem with everything that every problem has (RFC 9457), and returns it.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let body = self.value(status);
        assert_eq!(self.header("content-type"), "application/problem+json", "{}: {body}", self.asked);
        assert_eq!(body["code"], code, "{}: {body}", self.asked);
        assert_eq!(body["status"], status, "{body}");
        assert_eq!(body["type"], "about:blank", "{body}");
        assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()), "{body}");
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
        assert!(body["errors"].is_array(), "{body}");
        assert_eq!(body["requestId"], self.header("x-request-id"), "{body}");
        body
    }

    /// Holds it to a 422 that names exactly these fields, by pointer and code.
    #[track_caller]
    pub fn names(&self, fields: &[(&str, &str)]) {
        let body = self.problem(422, "invalid_request");
        let text = |field: &Value, name: &str| field[name].as_str().unwrap_or_default().to_owned();
        let named: Vec<_> = body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| (text(field, "pointer"), text(field, "code")))
            .collect();
        let wanted: Vec<_> = fields.iter().map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned())).collect();
        assert_eq!(named, wanted, "{}: {body}", self.asked);
    }
}
