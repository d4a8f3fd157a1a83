//! The whole gateway over real connections, in front of functions that live in this file.

use std::collections::BTreeMap;
use std::sync::Mutex;

use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HeaderMap;
use hyper::http::request::Builder;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::template::Context;

const TEMPLATE: &str = "
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Token
        Authorizers:
          Token:
            FunctionArn: !GetAtt Authorize.Arn
            AuthorizerPayloadFormatVersion: '2.0'
            EnableSimpleResponses: true
            Identity: {Headers: [Authorization], ReauthorizeEvery: TTL}
  Authorize: {Type: AWS::Serverless::Function, Metadata: {BuildProperties: {Binary: authorize}}}
  Echo:
    Type: AWS::Serverless::Function
    Metadata: {BuildProperties: {Binary: echo}}
    Properties:
      Events:
        Open: {Type: HttpApi, Properties: {Method: ANY, Path: '/open/{proxy+}', Auth: {Authorizer: NONE}}}
        Closed: {Type: HttpApi, Properties: {Method: ANY, Path: /closed}}
        Other: {Type: HttpApi, Properties: {Method: ANY, Path: /other}}
  Fail:
    Type: AWS::Serverless::Function
    Metadata: {BuildProperties: {Binary: fail}}
    Properties: {Events: {E: {Type: HttpApi, Properties: {Method: GET, Path: /fail, Auth: {Authorizer: NONE}}}}}
  Odd:
    Type: AWS::Serverless::Function
    Metadata: {BuildProperties: {Binary: odd}}
    Properties: {Events: {E: {Type: HttpApi, Properties: {Method: GET, Path: /odd, Auth: {Authorizer: NONE}}}}}
  Slow:
    Type: AWS::Serverless::Function
    Metadata: {BuildProperties: {Binary: slow}}
    Properties: {Events: {E: {Type: HttpApi, Properties: {Method: GET, Path: /slow, Auth: {Authorizer: NONE}}}}}
";

/// The functions of [`TEMPLATE`], and what they were called with.
#[derive(Default)]
struct Functions {
    calls: Mutex<Vec<(String, usize)>>,
    /// Tells that `slow` has begun.
    begun: Notify,
    /// Lets `slow` go on.
    release: Notify,
}

impl Functions {
    fn calls_of(&self, name: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|(function, _)| function == name).count()
    }

    fn last_event_length(&self) -> usize {
        self.calls.lock().unwrap().last().unwrap().1
    }
}

fn answer(value: &Value) -> Result<Bytes, InvokeError> {
    Ok(Bytes::from(value.to_string()))
}

fn failure(kind: InvokeErrorKind) -> Result<Bytes, InvokeError> {
    Err(InvokeError { kind, payload: Bytes::from_static(b"{\"errorType\":\"T\",\"errorMessage\":\"m\"}") })
}

fn authorize(event: &Value) -> Result<Bytes, InvokeError> {
    match event["identitySource"][0].as_str().unwrap() {
        "Bearer good" => answer(&json!({"isAuthorized": true, "context": {"tenant": "acme"}})),
        "Bearer bad" => answer(&json!({"isAuthorized": false})),
        "Bearer odd" => answer(&json!({"policy": "allow"})),
        _ => failure(InvokeErrorKind::Unhandled),
    }
}

impl Invoke for Functions {
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        self.calls.lock().unwrap().push((function.to_owned(), payload.len()));
        let event: Value = serde_json::from_slice(&payload).unwrap();
        match function {
            "authorize" => authorize(&event),
            "echo" => answer(&json!({
                "statusCode": 200,
                "headers": {"content-type": "application/json"},
                "body": event.to_string(),
            })),
            "fail" => failure(InvokeErrorKind::Exit),
            "odd" => Ok(Bytes::from_static(b"{\"statusCode\": \"soon\"}")),
            "slow" => {
                self.begun.notify_one();
                self.release.notified().await;
                answer(&json!({"statusCode": 200, "body": "late"}))
            }
            _ => failure(InvokeErrorKind::UnknownFunction),
        }
    }
}

/// A gateway of its own on a free port, gone at the end of the test.
struct Running {
    address: SocketAddr,
    functions: Arc<Functions>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

async fn start_with(ttl: u32, timeout: Duration) -> Running {
    let context = Context {
        region: "local".to_owned(),
        account: "000000000000".to_owned(),
        stack: "test".to_owned(),
        queue_url_base: String::new(),
    };
    let text = TEMPLATE.replace("TTL", &ttl.to_string());
    let template = Template::parse(&text, &BTreeMap::new(), &context).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let functions = Arc::new(Functions::default());
    let gateway = Arc::new(Gateway::new(&template, Arc::clone(&functions), timeout));
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(gateway.serve(vec![listener], async { stopped.await.unwrap_or_default() }));
    Running { address, functions, stop, served }
}

async fn start() -> Running {
    start_with(300, INTEGRATION_TIMEOUT).await
}

struct Answered {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and body together.
    fn is(&self, status: u16, body: &Value) {
        assert_eq!((self.status, &self.json()), (status, body));
    }
}

impl Running {
    async fn connect(&self) -> SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn send(&self, request: Builder, body: impl Into<Bytes>) -> Answered {
        let request = request.header("host", "local").body(Full::new(body.into())).unwrap();
        let response = self.connect().await.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        Answered { status: head.status.as_u16(), headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    async fn get_with_token(&self, path: &str, token: &str) -> Answered {
        self.send(Request::get(path).header("authorization", token), "").await
    }
}

#[tokio::test]
async fn a_route_without_authorizer_goes_straight_to_its_function() {
    let gateway = start().await;
    let answered = gateway.send(Request::put("/open/a/b?c=d").header("content-type", "text/plain"), "hello").await;
    assert_eq!(answered.status, 200);
    let event = answered.json();
    assert_eq!(event["routeKey"], "ANY /open/{proxy+}");
    assert_eq!(event["pathParameters"], json!({"proxy": "a/b"}));
    assert_eq!(event["body"], "hello");
    assert_eq!(event["requestContext"]["http"]["method"], "PUT");
    assert_eq!(event["requestContext"].get("authorizer"), None);
    assert_eq!(answered.headers["apigw-requestid"], event["requestContext"]["requestId"].as_str().unwrap());
    assert_eq!(gateway.functions.calls_of("authorize"), 0);
}

#[tokio::test]
async fn the_authorizer_decides() {
    let gateway = start().await;
    let answered = gateway.get_with_token("/closed", "Bearer good").await;
    assert_eq!(answered.status, 200);
    assert_eq!(answered.json()["requestContext"]["authorizer"], json!({"lambda": {"tenant": "acme"}}));
    for (token, status, body) in [
        ("Bearer bad", 403, "Forbidden"),
        ("Bearer crash", 500, "Internal Server Error"),
        ("Bearer odd", 500, "Internal Server Error"),
        ("", 401, "Unauthorized"),
    ] {
        gateway.get_with_token("/closed", token).await.is(status, &json!({"message": body}));
    }
    gateway.send(Request::get("/closed"), "").await.is(401, &json!({"message": "Unauthorized"}));
    assert_eq!(gateway.functions.calls_of("echo"), 1);
    assert_eq!(gateway.functions.calls_of("authorize"), 4);
}

#[tokio::test]
async fn yes_and_no_are_kept_for_every_route_and_failures_are_not() {
    let gateway = start().await;
    for (token, asked) in [("Bearer good", 1), ("Bearer bad", 2), ("Bearer crash", 4)] {
        let first = gateway.get_with_token("/closed", token).await;
        let second = gateway.get_with_token("/other", token).await;
        assert_eq!(first.status, second.status);
        assert_eq!(gateway.functions.calls_of("authorize"), asked, "{token}");
    }
    let kept = gateway.get_with_token("/other", "Bearer good").await;
    assert_eq!(kept.json()["requestContext"]["authorizer"]["lambda"]["tenant"], "acme");
}

#[tokio::test]
async fn without_ttl_the_authorizer_is_always_asked() {
    let gateway = start_with(0, INTEGRATION_TIMEOUT).await;
    for _ in 0..2 {
        assert_eq!(gateway.get_with_token("/closed", "Bearer good").await.status, 200);
    }
    assert_eq!(gateway.functions.calls_of("authorize"), 2);
}

#[tokio::test]
async fn a_kept_answer_ends_with_its_time() {
    let gateway = start_with(1, INTEGRATION_TIMEOUT).await;
    assert_eq!(gateway.get_with_token("/closed", "Bearer good").await.status, 200);
    assert_eq!(gateway.functions.calls_of("authorize"), 1);
    while gateway.functions.calls_of("authorize") == 1 {
        assert_eq!(gateway.get_with_token("/closed", "Bearer good").await.status, 200);
    }
}

#[tokio::test]
async fn functions_that_fail_or_answer_nonsense_are_a_500() {
    let gateway = start().await;
    for path in ["/fail", "/odd"] {
        gateway.send(Request::get(path), "").await.is(500, &json!({"message": "Internal Server Error"}));
    }
}

#[tokio::test]
async fn what_no_route_names_is_a_404() {
    let gateway = start().await;
    for request in [Request::get("/nowhere"), Request::post("/fail"), Request::head("/fail")] {
        let answered = gateway.send(request, "").await;
        assert_eq!(answered.status, 404);
    }
    gateway.send(Request::get("/open/"), "").await.is(404, &json!({"message": "Not Found"}));
}

#[tokio::test]
async fn a_late_function_is_a_503() {
    let gateway = start_with(300, Duration::from_millis(20)).await;
    gateway.send(Request::get("/slow"), "").await.is(503, &json!({"message": "Service Unavailable"}));
    assert_eq!(gateway.functions.calls_of("slow"), 1);
}

#[tokio::test]
async fn an_event_may_have_6_mb_and_no_more() {
    let gateway = start().await;
    let send = async |length: usize| {
        let request = Request::post("/open/x").header("content-type", "text/plain");
        gateway.send(request, "x".repeat(length)).await
    };
    assert_eq!(send(6_000_000).await.status, 200);
    let room = MAX_EVENT - (gateway.functions.last_event_length() - 6_000_000);
    assert_eq!(send(room).await.status, 200);
    assert_eq!(gateway.functions.last_event_length(), MAX_EVENT);
    send(room + 1).await.is(413, &json!({"message": "Request Entity Too Large"}));
    assert_eq!(gateway.functions.calls_of("echo"), 2);
}

#[tokio::test]
async fn a_body_over_10_mb_is_a_413() {
    let gateway = start().await;
    let answered = gateway.send(Request::post("/open/x"), vec![0; MAX_BODY + 1]).await;
    answered.is(413, &json!({"message": "Request Entity Too Large"}));
    assert_eq!(gateway.functions.calls_of("echo"), 0);
}

#[tokio::test]
async fn head_reaches_the_function_and_loses_the_body_on_its_way_back() {
    let gateway = start().await;
    let answered = gateway.send(Request::head("/open/x"), "").await;
    assert_eq!((answered.status, answered.body.len()), (200, 0));
    let length: usize = answered.headers["content-length"].to_str().unwrap().parse().unwrap();
    assert!(length > 100, "{length}");
    assert_eq!(gateway.functions.calls_of("echo"), 1);
}

#[tokio::test]
async fn lambdas_own_invoke_call_works() {
    let gateway = start().await;
    let path = |name: &str| format!("/2015-03-31/functions/{name}/invocations");
    let answered = gateway.send(Request::post(path("echo")), "{\"a\":1}").await;
    assert_eq!(answered.status, 200);
    assert_eq!(answered.json()["body"], "{\"a\":1}");
    assert_eq!(answered.headers["x-amz-executed-version"], "$LATEST");
    assert!(!answered.headers.contains_key("x-amz-function-error"));

    let failed = gateway.send(Request::post(path("fail")), "{}").await;
    failed.is(200, &json!({"errorType": "T", "errorMessage": "m"}));
    assert_eq!(failed.headers["x-amz-function-error"], "Unhandled");

    let unknown = gateway.send(Request::post(path("nobody")), "{}").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json()["Message"], "Function not found: nobody");
    assert_eq!(unknown.json()["errorType"], "ResourceNotFoundException");
    assert_eq!(unknown.headers["x-amzn-errortype"], "ResourceNotFoundException");

    assert_eq!(gateway.send(Request::post(path("echo")), "no json").await.status, 400);
    assert_eq!(gateway.send(Request::get(path("echo")), "").await.status, 405);
    let odd = Request::post(path("echo")).header("x-amz-invocation-type", "Later");
    assert_eq!(gateway.send(odd, "{}").await.status, 400);
    let dry = Request::post(path("echo")).header("x-amz-invocation-type", "DryRun");
    assert_eq!(gateway.send(dry, "{}").await.status, 204);
    let large = format!("\"{}\"", "x".repeat(MAX_EVENT - 1));
    assert_eq!(gateway.send(Request::post(path("echo")), large).await.status, 413);
    assert_eq!(gateway.functions.calls_of("echo"), 1);
}

#[tokio::test]
async fn an_asynchronous_invocation_is_not_waited_for() {
    let gateway = start().await;
    let request = Request::post("/2015-03-31/functions/slow/invocations").header("x-amz-invocation-type", "Event");
    let answered = gateway.send(request, "{}").await;
    assert_eq!((answered.status, answered.body.len()), (202, 0));
    gateway.functions.begun.notified().await;
}

#[tokio::test]
async fn a_web_page_cannot_invoke_functions() {
    let gateway = start().await;
    let request = Request::post("/2015-03-31/functions/echo/invocations").header("origin", "https://evil.example");
    assert_eq!(gateway.send(request, "{}").await.status, 403);
    assert_eq!(gateway.functions.calls_of("echo"), 0);
}

#[tokio::test]
async fn a_shutdown_lets_requests_finish_and_accepts_no_more() {
    let gateway = start().await;
    let mut idle = gateway.connect().await;
    let mut busy = gateway.connect().await;
    let request = Request::get("/slow").header("host", "local").body(Full::default()).unwrap();
    let answer = tokio::spawn(async move { busy.send_request(request).await.unwrap() });
    gateway.functions.begun.notified().await;
    gateway.stop.send(()).unwrap();
    while TcpStream::connect(gateway.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    gateway.functions.release.notify_one();
    assert_eq!(answer.await.unwrap().status(), 200);
    gateway.served.await.unwrap();
    assert!(idle.ready().await.is_err());
}

#[tokio::test]
async fn a_shutdown_waits_two_seconds_and_no_more() {
    let gateway = start().await;
    let mut busy = gateway.connect().await;
    let request = Request::get("/slow").header("host", "local").body(Full::default()).unwrap();
    let answer = tokio::spawn(async move { busy.send_request(request).await });
    gateway.functions.begun.notified().await;
    let begun = Instant::now();
    gateway.stop.send(()).unwrap();
    gateway.served.await.unwrap();
    assert!((GRACE..GRACE * 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert!(answer.await.unwrap().is_err());
}
