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
        let all = template.functions.iter().flat_map(|function| {
            function
                .routes
                .iter()
                .map(|route| Route::new(&function.name, route))
        });
        let (default, routes): (Vec<_>, Vec<_>) = all.partition(|route| route.key == "$default");
        Self {
            routes,
            default: default.into_iter().next(),
        }
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
            .filter(|route| {
                route
                    .method
                    .as_deref()
                    .is_none_or(|own| own == method.as_str())
            })
            .filter_map(|route| {
                Some(Match {
                    route,
                    parameters: route.parameters(&parts)?,
                })
            })
            .min_by_key(|found| found.route.rank())
            .or_else(|| {
                self.default.as_ref().map(|route| Match {
                    route,
                    parameters: Vec::new(),
                })
            })
    }
}

impl Route {
    fn new(function: &str, route: &template::Route) -> Self {
        let template::Route {
            method,
            path,
            authorized,
        } = route;
        let is_default = path == "$default";
        let segments = path.trim_start_matches('/').split('/').map(Segment::new);
        Self {
            key: if is_default {
                path.clone()
            } else {
                format!("{method} {path}")
            },
            function: function.to_owned(),
            authorized: *authorized,
            method: (method != "ANY").then(|| method.clone()),
            segments: if is_default {
                Vec::new()
            } else {
                segments.collect()
            },
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
        match text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
        {
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
    use super::*;

    fn router(keys: &[&str]) -> Router {
        let route = |key: &&str| {
            let (method, path) = key.split_once(' ').unwrap_or(("ANY", key));
            let route = template::Route {
                method: method.to_owned(),
                path: path.to_owned(),
                authorized: true,
            };
            Route::new("f", &route)
        };
        let (default, routes): (Vec<_>, Vec<_>) =
            keys.iter().map(route).partition(|r| r.key == "$default");
        Router {
            routes,
            default: default.into_iter().next(),
        }
    }

    fn selected(router: &Router, request: &str) -> String {
        let (method, path) = request.split_once(' ').unwrap();
        match router.select(&method.parse().unwrap(), path) {
            None => "none".to_owned(),
            Some(Match { route, parameters }) => {
                let parameters: Vec<_> = parameters
                    .iter()
                    .map(|(k, v)| format!(" {k}={v}"))
                    .collect();
                format!("{}{}", route.key, parameters.concat())
            }
        }
    }

    #[test]
    fn the_examples_of_the_developer_guide() {
        let router = router(&[
            "GET /pets/dog/1",
            "GET /pets/dog/{id}",
            "GET /pets/{proxy+}",
            "ANY /{proxy+}",
            "$default",
        ]);
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
            (
                "GET /a/b/m/1/source",
                "ANY /a/{account}/m/{proxy+} account=b proxy=1/source",
            ),
            ("GET /a/x/only", "GET /a/x/only"),
            // A route that does not know the method is no candidate, however exact its path.
            (
                "POST /a/x/only",
                "ANY /a/{account}/{any} account=x any=only",
            ),
            (
                "DELETE /a/x/only",
                "ANY /a/{account}/{any} account=x any=only",
            ),
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
}
