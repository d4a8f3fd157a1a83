//! Which route answers a request (API Gateway developer guide, "Create routes for HTTP APIs", "Routing API requests").

use std::cmp::Reverse;

use hyper::Method;

use crate::template::{self, Template};

/// The routes of the API.
pub(super) struct Router {
    routes: Vec<Route>,
    default: Option<Route>,
}

/// One route and the function behind it.
pub(super) struct Route {
    /// `POST /v1/accounts/{account}/messages`, or `$default`.
    pub(super) key: String,
    /// The function's name.
    pub(super) function: String,
    /// Whether the authorizer is asked first.
    pub(super) authorized: bool,
    /// `None` for `ANY`.
    method: Option<String>,
    segments: Vec<Segment>,
}

/// A part of a route's path. The order is that of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Variable(String),
    /// `{name+}`, at the end only: one part or more.
    Greedy(String),
}

/// A route that fits, and what its variables stand for.
pub(super) struct Match<'a> {
    /// The route.
    pub(super) route: &'a Route,
    /// Variable and value in the order of the path; empty for `$default`.
    pub(super) parameters: Vec<(&'a str, String)>,
}

impl Router {
    /// The routes of every function of `template`.
    pub(super) fn new(template: &Template) -> Self {
        let all = template
            .functions
            .iter()
            .flat_map(|function| function.routes.iter().map(|route| Route::new(&function.name, route)));
        let (default, routes): (Vec<_>, Vec<_>) = all.partition(|route| route.key == "$default");
        Self { routes, default: default.into_iter().next() }
    }

    /// The route for `method` and the decoded `path`; `None` where API Gateway itself answers 404.
    ///
    /// Routes that do not know the method are no candidates. Of the others a full match comes before a greedy one
    /// and both before `$default` (documented); among equals the earlier literal part wins, then the method itself
    /// over `ANY` (observed, not documented).
    pub(super) fn select(&self, method: &Method, path: &str) -> Option<Match<'_>> {
        let parts: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        self.routes
            .iter()
            .filter(|route| route.method.as_deref().is_none_or(|own| own == method.as_str()))
            .filter_map(|route| Some(Match { route, parameters: route.parameters(&parts)? }))
            .min_by_key(|found| found.route.rank())
            .or_else(|| self.default.as_ref().map(|route| Match { route, parameters: Vec::new() }))
    }
}

impl Route {
    fn new(function: &str, route: &template::Route) -> Self {
        let template::Route { method, path, authorized } = route;
        let is_default = path == "$default";
        let segments = path.trim_start_matches('/').split('/').map(Segment::new);
        Self {
            key: if is_default { path.clone() } else { format!("{method} {path}") },
            function: function.to_owned(),
            authorized: *authorized,
            method: (method != "ANY").then(|| method.clone()),
            segments: if is_default { Vec::new() } else { segments.collect() },
        }
    }

    /// What the variables stand for if the path fits; a variable is never empty.
    fn parameters(&self, parts: &[&str]) -> Option<Vec<(&str, String)>> {
        let mut parameters = Vec::new();
        let mut rest = parts;
        for segment in &self.segments {
            let (first, after) = rest.split_first()?;
            match segment {
                Segment::Literal(text) if text == first => {}
                Segment::Literal(_) => return None,
                Segment::Variable(_) | Segment::Greedy(_) if first.is_empty() => return None,
                Segment::Variable(name) => parameters.push((name.as_str(), (*first).to_owned())),
                Segment::Greedy(name) => {
                    parameters.push((name.as_str(), rest.join("/")));
                    return Some(parameters);
                }
            }
            rest = after;
        }
        rest.is_empty().then_some(parameters)
    }

    /// The smallest rank wins.
    fn rank(&self) -> (bool, Vec<u8>, Reverse<bool>) {
        let order = |segment: &Segment| match segment {
            Segment::Literal(_) => 0,
            Segment::Variable(_) => 1,
            Segment::Greedy(_) => 2,
        };
        let ranks: Vec<u8> = self.segments.iter().map(order).collect();
        (ranks.contains(&2), ranks, Reverse(self.method.is_some()))
    }
}

impl Segment {
    fn new(text: &str) -> Self {
        match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            None => Self::Literal(text.to_owned()),
            Some(name) => match name.strip_suffix('+') {
                Some(name) => Self::Greedy(name.to_owned()),
                None => Self::Variable(name.to_owned()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn router(keys: &[&str]) -> Router {
        let route = |key: &&str| {
            let (method, path) = key.split_once(' ').unwrap_or(("ANY", key));
            let route = template::Route { method: method.to_owned(), path: path.to_owned(), authorized: true };
            Route::new("f", &route)
        };
        let (default, routes): (Vec<_>, Vec<_>) = keys.iter().map(route).partition(|r| r.key == "$default");
        Router { routes, default: default.into_iter().next() }
    }

    fn selected(router: &Router, request: &str) -> String {
        let (method, path) = request.split_once(' ').unwrap();
        match router.select(&method.parse().unwrap(), path) {
            None => "none".to_owned(),
            Some(Match { route, parameters }) => {
                let parameters: Vec<_> = parameters.iter().map(|(k, v)| format!(" {k}={v}")).collect();
                format!("{}{}", route.key, parameters.concat())
            }
        }
    }

    #[test]
    fn the_examples_of_the_developer_guide() {
        let router =
            router(&["GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}", "$default"]);
        for (request, route) in [
            ("GET /pets/dog/1", "GET /pets/dog/1"),
            ("GET /pets/dog/2", "GET /pets/dog/{id} id=2"),
            ("GET /pets/cat/1", "GET /pets/{proxy+} proxy=cat/1"),
            ("POST /test/5", "ANY /{proxy+} proxy=test/5"),
            ("GET /", "$default"),
        ] {
            assert_eq!(selected(&router, request), route, "{request}");
        }
    }

    #[test]
    fn methods_variables_and_greed() {
        let router = router(&[
            "ANY /a/{account}/m",
            "POST /a/{account}/m",
            "ANY /a/{account}/m/{proxy+}",
            "ANY /a/{proxy+}",
            "GET /a/x/only",
            "ANY /a/{account}/{any}",
            "DELETE /{one}/x/only",
        ]);
        for (request, route) in [
            ("POST /a/b/m", "POST /a/{account}/m account=b"),
            ("GET /a/b/m", "ANY /a/{account}/m account=b"),
            ("HEAD /a/b/m", "ANY /a/{account}/m account=b"),
            ("GET /a/b/m/1/source", "ANY /a/{account}/m/{proxy+} account=b proxy=1/source"),
            ("GET /a/x/only", "GET /a/x/only"),
            // A route that does not know the method is no candidate, however exact its path.
            ("POST /a/x/only", "ANY /a/{account}/{any} account=x any=only"),
            ("DELETE /a/x/only", "ANY /a/{account}/{any} account=x any=only"),
            ("DELETE /b/x/only", "DELETE /{one}/x/only one=b"),
            ("HEAD /b/x/only", "none"),
            // Neither a variable nor a greedy one is ever empty: a slash at the end is another path.
            ("GET /a/", "none"),
            ("GET /a", "none"),
            ("GET /a/b/m/", "ANY /a/{proxy+} proxy=b/m/"),
            ("GET /A/b/m", "none"),
        ] {
            assert_eq!(selected(&router, request), route, "{request}");
        }
    }

    fn deployed() -> Router {
        let context = template::Context {
            region: "local".to_owned(),
            account: "000000000000".to_owned(),
            stack: "test".to_owned(),
            queue_url_base: String::new(),
        };
        let token = [("RootTokenSha256".to_owned(), "0".repeat(64))].into();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        Router::new(&Template::load(&path, &token, &context).unwrap())
    }

    #[test]
    fn the_deployed_routes_lead_to_their_functions() {
        let router = deployed();
        for (request, function, route) in [
            ("GET /health", "config", "ANY /health"),
            ("POST /docs", "config", "ANY /docs"),
            ("GET /v1/accounts", "config", "ANY /v1/accounts"),
            ("PUT /v1/accounts/a", "config", "ANY /v1/accounts/{account} account=a"),
            ("GET /v1/accounts/a/nothing", "config", "$default"),
            ("DELETE /v1/tokens/t", "config", "ANY /v1/tokens/{proxy+} proxy=t"),
            ("GET /", "config", "$default"),
            ("POST /v1/accounts/a/messages", "send", "POST /v1/accounts/{account}/messages account=a"),
            ("GET /v1/accounts/a/messages", "messages", "ANY /v1/accounts/{account}/messages account=a"),
            ("DELETE /v1/accounts/a/messages", "messages", "ANY /v1/accounts/{account}/messages account=a"),
            (
                "GET /v1/accounts/a/messages/m/attachments/2",
                "messages",
                "ANY /v1/accounts/{account}/messages/{proxy+} account=a proxy=m/attachments/2",
            ),
            ("GET /v1/outbox/m", "send", "ANY /v1/outbox/{proxy+} proxy=m"),
            ("GET /v1/accounts/a/pull", "pull", "ANY /v1/accounts/{account}/pull account=a"),
            ("POST /v1/pull", "pull", "ANY /v1/pull"),
            ("POST /v1/accounts/a/verify", "validate", "ANY /v1/accounts/{account}/verify account=a"),
            ("POST /v1/validate-credentials", "validate", "ANY /v1/validate-credentials"),
            ("PUT /v1/accounts/a/test-email", "test-email", "ANY /v1/accounts/{account}/test-email account=a"),
        ] {
            assert_eq!(selected(&router, request), route, "{request}");
            let (method, path) = request.split_once(' ').unwrap();
            let found = router.select(&method.parse().unwrap(), path).unwrap();
            assert_eq!(found.route.function, function, "{request}");
        }
    }

    /// Which of two greedy routes wins is documented nowhere: none may cover another.
    #[test]
    fn no_two_deployed_greedy_routes_cover_one_another() {
        let router = deployed();
        let is_greedy = |route: &&Route| matches!(route.segments.last(), Some(Segment::Greedy(_)));
        let greedy: Vec<_> = router.routes.iter().filter(is_greedy).collect();
        assert_eq!(greedy.len(), 9);
        for (at, one) in greedy.iter().enumerate() {
            for other in &greedy[at + 1..] {
                let prefixes = one.segments.iter().zip(&other.segments);
                let apart = |(a, b): (&Segment, &Segment)| matches!((a, b), (Segment::Literal(a), Segment::Literal(b)) if a != b);
                assert!(prefixes.into_iter().any(apart), "{} and {}", one.key, other.key);
            }
        }
    }

    #[test]
    fn the_sample_events_name_the_routes_of_their_functions() {
        let router = deployed();
        for function in ["config", "messages", "pull", "send", "test-email", "validate"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../events/{function}.json"));
            let event: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            let method = event["requestContext"]["http"]["method"].as_str().unwrap();
            let found = router.select(&method.parse().unwrap(), event["rawPath"].as_str().unwrap()).unwrap();
            assert_eq!(found.route.function, function);
            assert_eq!(event["routeKey"], found.route.key);
            assert_eq!(event["requestContext"]["routeKey"], found.route.key);
            let parameters: serde_json::Map<_, _> =
                found.parameters.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
            assert_eq!(event["pathParameters"], serde_json::Value::Object(parameters));
        }
    }
}
