//! Problems: what a caller is told when a request cannot be carried out (RFC 9457).
//!
//! Plain data; which HTTP status a code has stands in `http::problem`, and nowhere else.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::probe::Probe;

/// Stable machine-readable reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The body is no JSON.
    MalformedJson,
    /// A front door that requires the header `Tenant` was called without it.
    MissingTenant,
    /// Path and body of a front door's request name different accounts.
    AmbiguousAccount,
    /// No valid token.
    Unauthorized,
    /// The token lacks a right.
    Forbidden,
    /// No such thing (also: another tenant's).
    NotFound,
    /// No such account (also: another tenant's).
    AccountNotFound,
    /// No such message (also: another tenant's).
    MessageNotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// It collides with what is there or under way.
    Conflict,
    /// A request with this Idempotency-Key is being carried out right now.
    IdempotencyInProgress,
    /// If-Match names another version than the current one.
    PreconditionFailed,
    /// The body is larger than the limit.
    BodyTooLarge,
    /// No type that the caller accepts can be answered.
    NotAcceptable,
    /// The Content-Type is not one that the route takes.
    UnsupportedMediaType,
    /// A field is missing, unknown or wrong; `errors` names each.
    InvalidRequest,
    /// This Idempotency-Key was used with another body or route.
    IdempotencyMismatch,
    /// Every recipient was refused for good.
    RecipientRejected,
    /// The message was refused for good.
    MessageRejected,
    /// The egress policy does not allow this address.
    HostNotAllowed,
    /// An attachment could not be had.
    AttachmentFailed,
    /// The settings were probed and do not work; nothing was changed.
    VerificationFailed,
    /// Too many requests.
    RateLimited,
    /// Our fault.
    Internal,
    /// The mail server refused the credentials.
    MailAuthFailed,
    /// TLS with the mail server failed.
    MailTlsFailed,
    /// The mail server broke the protocol.
    MailProtocolError,
    /// The mail server cannot be reached.
    MailConnectFailed,
    /// The mail server asks to come back later.
    MailServerBusy,
    /// Something of ours is busy.
    TryAgain,
    /// The mail server did not answer in time.
    MailServerTimeout,
}

/// One wrong field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the request body, or the name of a query parameter or header.
    pub pointer: String,
    /// Stable reason, such as `unknown_field`, `missing`, `invalid_address`.
    pub code: String,
    /// What to change.
    pub detail: String,
}

impl FieldError {
    /// A wrong field.
    pub fn new(pointer: impl Into<String>, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code: code.into(), detail: detail.into() }
    }
}

/// Why a request was not carried out. `cause` is for the log and never leaves the service.
#[derive(Debug)]
pub struct Problem {
    /// Stable reason.
    pub code: Code,
    /// What happened and what to change, for the caller.
    pub detail: String,
    /// Wrong fields, all of them.
    pub errors: Vec<FieldError>,
    /// Seconds after which to try again.
    pub retry_after: Option<u64>,
    /// How the probe ended that this problem comes from.
    pub probe: Option<Box<Probe>>,
    /// The resource as it stands, where the problem is a result too (a message refused by its server).
    pub resource: Option<Box<serde_json::Value>>,
    /// What was said to a mail server, where the caller asked to see it.
    pub trace: Option<Box<[String]>>,
    /// What went wrong underneath; logged, not shown.
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Problem {
    /// A problem with its words.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            probe: None,
            resource: None,
            trace: None,
            cause: None,
        }
    }

    /// A request with wrong fields.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] if one.pointer.is_empty() => one.detail.clone(),
            [one] => format!("{}: {}", one.pointer, one.detail),
            many => format!("{} fields are wrong; errors names each", many.len()),
        };
        Self { errors, ..Self::new(Code::InvalidRequest, detail) }
    }

    /// Something of ours failed; the caller gets an id to ask with, the log gets the cause.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(
            Code::Internal,
            "something failed on our side; nothing was lost, try again or ask with the request id",
        )
        .because(cause)
    }

    /// Keeps what went wrong underneath, for the log.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Tells when to come back.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Attaches the resource as it stands.
    #[must_use]
    pub fn with_resource(mut self, resource: &impl Serialize) -> Self {
        self.resource = serde_json::to_value(resource).ok().map(Box::new);
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
