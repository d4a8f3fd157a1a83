//! The service itself: its state, its document, and the tokens of a tenant.

use super::{Route, answer, bare, route};
use crate::model::principal::Scope;

/// Whether the service answers.
pub const HEALTH: Route = Route {
    scope: None,
    answers: &[answer(200, "It does.", "Health")],
    ..route("GET", "/health", "config", "health", "Whether the service answers")
};

/// This document.
pub const OPENAPI: Route = Route {
    scope: None,
    answers: &[bare(200, "OpenAPI 3.1.")],
    ..route("GET", "/openapi.json", "config", "openapi", "This document")
};

/// This document for people.
pub const DOCS: Route = Route {
    scope: None,
    answers: &[bare(200, "An HTML page.")],
    ..route("GET", "/docs", "config", "docs", "This document as a page")
};

/// Make a token.
pub const TOKEN_CREATE: Route = Route {
    scope: Some(Scope::Admin),
    request: Some("TokenInput"),
    answers: &[answer(201, "The only answer that shows the token.", "TokenCreated")],
    problems: &[400, 403, 413, 415, 422],
    ..route("POST", "/v1/tokens", "config", "createToken", "Make a token for this tenant")
};

/// All tokens.
pub const TOKENS_LIST: Route = Route {
    scope: Some(Scope::Admin),
    answers: &[answer(200, "All tokens, without the tokens themselves.", "TokenPage")],
    ..route("GET", "/v1/tokens", "config", "listTokens", "List the tokens of this tenant")
};

/// Revoke a token.
pub const TOKEN_DELETE: Route = Route {
    scope: Some(Scope::Admin),
    answers: &[bare(204, "Revoked; API Gateway may let it pass for up to its cache time of 300 s.")],
    problems: &[404],
    ..route("DELETE", "/v1/tokens/{id}", "config", "deleteToken", "Revoke a token")
};
