//! From an API Gateway event to an answer: find the route, know the caller, call the handler.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lambda_http::http::{HeaderName, Method};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response, service_fn};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tracing::Instrument;

use super::call::{Call, is_callers, text};
use super::principal::from_context;
use super::routes::Route;
use super::{Reply, body, door};
use crate::background;
use crate::events::time_left;
use crate::mail::Deadline;
use crate::model::{Code, Principal, Problem, Timestamp};

/// Headers that name a request, the first one ours. Email Service 1.0 writes "Request ID" (A4.1/4), which no header can
/// be called: whoever generated a client from it sends one of the other two.
const REQUEST_IDS: [&str; 3] = ["x-request-id", "request-id", "request_id"];

/// How long an answer may wait for work that its caller has given up on: API Gateway waits for no more.
const LAST_WORK: Duration = Duration::from_secs(4);

type Answer = Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send>>;

enum Handler {
    Authorized(Box<dyn Fn(Call) -> Answer + Send + Sync>),
    Open(Box<dyn Fn(Visit) -> Answer + Send + Sync>),
}

/// A request without a token: nobody knows who it is.
#[derive(Debug)]
pub struct Visit {
    /// Path parameters, percent-decoded.
    pub path: BTreeMap<String, String>,
    /// When it came.
    pub now: Timestamp,
}

/// A route with the handler that serves it.
pub struct Mount {
    route: &'static Route,
    handler: Handler,
}

/// Mounts a handler on a route. Each call gets its own clone of the tools.
pub fn mount<T, F, Fut>(route: &'static Route, tools: &T, handler: F) -> Mount
where
    T: Clone + Send + Sync + 'static,
    F: Fn(T, Call) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply, Problem>> + Send + 'static,
{
    let tools = tools.clone();
    Mount { route, handler: Handler::Authorized(Box::new(move |call| Box::pin(handler(tools.clone(), call)))) }
}

/// Mounts a handler on a route that needs no token.
pub fn open<T, F, Fut>(route: &'static Route, tools: &T, handler: F) -> Mount
where
    T: Clone + Send + Sync + 'static,
    F: Fn(T, Visit) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply, Problem>> + Send + 'static,
{
    let tools = tools.clone();
    Mount { route, handler: Handler::Open(Box::new(move |visit| Box::pin(handler(tools.clone(), visit)))) }
}

/// The handlers of one path, by method.
type Methods = Vec<Mount>;

struct Router {
    paths: matchit::Router<Methods>,
    budget: Duration,
}

/// Serves the mounted routes until Lambda ends the process. `budget` is how long an answer may take.
pub async fn serve(budget: Duration, mounts: Vec<Mount>) -> Result<(), lambda_http::Error> {
    let router = Arc::new(Router::new(budget, mounts)?);
    lambda_http::run(service_fn(move |request: Request| {
        let router = Arc::clone(&router);
        async move {
            let answer = router.answer(request).await;
            background::finished(LAST_WORK).await;
            Ok::<_, Infallible>(answer)
        }
    }))
    .await
}

impl Router {
    fn new(budget: Duration, mounts: Vec<Mount>) -> Result<Self, matchit::InsertError> {
        let mut by_path: BTreeMap<&'static str, Methods> = BTreeMap::new();
        for mount in mounts {
            by_path.entry(mount.route.path).or_default().push(mount);
        }
        let mut paths = matchit::Router::new();
        for (path, methods) in by_path {
            paths.insert(path, methods)?;
        }
        Ok(Self { paths, budget })
    }

    /// Never fails: whatever happens is an answer.
    async fn answer(&self, request: Request) -> Response<Body> {
        let (named, request_id) = request_id(&request);
        let span = tracing::info_span!("request", id = %request_id);
        let (method, path) = (request.method().clone(), path(&request));
        async {
            let started = Timestamp::now();
            let route = self.route(&path);
            let door = door::of(route, &path);
            let reply = match self.dispatch(request, &request_id, started).await {
                Ok(reply) => reply,
                Err(problem) => {
                    report(&problem);
                    door.refusal(&problem, &request_id)
                }
            };
            let reply = match named {
                Some(name) if name != REQUEST_IDS[0] => reply.header(HeaderName::from_static(name), &request_id),
                _ => reply,
            };
            let took = Timestamp::now().0 - started.0;
            // The route and not the path: names of accounts are often addresses.
            let route = route.map_or("none", |route| route.path);
            tracing::info!(%method, route, status = reply.status(), ms = took, "answered");
            reply.header(HeaderName::from_static(REQUEST_IDS[0]), &request_id).into_response()
        }
        .instrument(span)
        .await
    }

    /// A route of this path, whatever its method: all of a path belong to one door, whose words a refusal leaves in.
    fn route(&self, path: &str) -> Option<&'static Route> {
        Some(self.paths.at(path).ok()?.value.first()?.route)
    }

    async fn dispatch(&self, request: Request, request_id: &str, now: Timestamp) -> Result<Reply, Problem> {
        let path = path(&request);
        let found =
            self.paths.at(&path).map_err(|_| Problem::new(Code::NotFound, format!("there is nothing at {path}")))?;
        let Some(mount) = pick(found.value, request.method()) else {
            let allowed: Vec<_> = found.value.iter().map(|mount| mount.route.method).collect();
            return Err(Problem::new(
                Code::MethodNotAllowed,
                format!("{} is not served here; use {}", request.method(), allowed.join(" or ")),
            ));
        };
        let parameters = found.params.iter().map(|(name, value)| (name.to_owned(), decoded(value))).collect();
        let handler = match &mount.handler {
            Handler::Open(handler) => return handler(Visit { path: parameters, now }).await,
            Handler::Authorized(handler) => handler,
        };
        let principal = caller(&request, mount.route)?;
        body::check_size(request.body().len())?;
        handler(call(request, principal, parameters, request_id, now, self.budget)).await
    }
}

/// The path as API Gateway gives it, which is decoded. lambda_http parses it once more as a URL, where `a#b` loses its
/// tail and `/x/../y` its middle: the request would reach another resource than the one it names.
fn path(request: &Request) -> String {
    request.raw_http_path().to_owned()
}

/// HEAD is a GET whose body API Gateway drops (RFC 9110 §9.3.2).
fn pick<'a>(methods: &'a Methods, method: &Method) -> Option<&'a Mount> {
    let wanted = if method == Method::HEAD { Method::GET.as_str() } else { method.as_str() };
    methods.iter().find(|mount| mount.route.method == wanted)
}

fn caller(request: &Request, route: &Route) -> Result<Principal, Problem> {
    let none = HashMap::new();
    let context = request.request_context_ref();
    let fields: &HashMap<String, Value> = match context {
        Some(RequestContext::ApiGatewayV2(context)) => {
            context.authorizer.as_ref().map_or(&none, |authorizer| &authorizer.fields)
        }
        _ => &none,
    };
    let tenant = text(request.headers(), "Tenant")?;
    let principal = from_context(fields, tenant)?;
    route.door.admits(tenant)?;
    match route.scope {
        Some(scope) if !principal.may(scope) => {
            Err(Problem::new(Code::Forbidden, format!("this call needs a token with the scope {:?}", scope.name())))
        }
        _ => Ok(principal),
    }
}

fn call(
    request: Request,
    principal: Principal,
    path: BTreeMap<String, String>,
    request_id: &str,
    now: Timestamp,
    budget: Duration,
) -> Call {
    let query = request.query_string_parameters();
    let query = query.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let left = request.lambda_context_ref().and_then(|context| time_left(context, now)).unwrap_or(budget);
    let (parts, body) = request.into_parts();
    Call {
        principal,
        method: parts.method,
        path,
        query,
        headers: parts.headers,
        body: body.to_vec().into(),
        request_id: request_id.to_owned(),
        now,
        deadline: Deadline::after(budget.min(left)),
    }
}

/// The caller's own id with the header that it came in, if it can stand in a header and a log line; else API
/// Gateway's.
fn request_id(request: &Request) -> (Option<&'static str>, String) {
    let usable = |id: &str| !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
    let given = REQUEST_IDS.into_iter().find_map(|name| {
        let id = request.headers().get(name)?.to_str().ok().filter(|id| usable(id))?;
        Some((Some(name), id.to_owned()))
    });
    let lambda = || request.lambda_context_ref().map(|context| context.request_id.clone());
    given.unwrap_or_else(|| (None, lambda().unwrap_or_default()))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// What is ours goes to the log with its cause; what is the caller's is told to the caller alone.
fn report(problem: &Problem) {
    let cause = problem.cause.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static));
    if is_callers(problem) {
        tracing::debug!(code = ?problem.code, "refused");
    } else {
        tracing::error!(code = ?problem.code, cause, "failed");
    }
}
