//! The whole error-to-HTTP mapping, on one screen (RFC 9457).

use lambda_http::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::{Code, FieldError, Phase, Probe, ProbeCode, Problem, Verdict};

/// The status of every code.
pub fn status(code: Code) -> StatusCode {
    match code {
        Code::MalformedJson | Code::MissingTenant | Code::AmbiguousAccount => StatusCode::BAD_REQUEST,
        Code::Unauthorized => StatusCode::UNAUTHORIZED,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::NotFound | Code::AccountNotFound | Code::MessageNotFound => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        Code::Conflict | Code::IdempotencyInProgress => StatusCode::CONFLICT,
        Code::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Code::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::InvalidRequest
        | Code::IdempotencyMismatch
        | Code::RecipientRejected
        | Code::MessageRejected
        | Code::HostNotAllowed
        | Code::AttachmentFailed
        | Code::VerificationFailed => StatusCode::UNPROCESSABLE_ENTITY,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Code::MailAuthFailed | Code::MailTlsFailed | Code::MailProtocolError | Code::MailConnectFailed => {
            StatusCode::BAD_GATEWAY
        }
        Code::MailServerBusy | Code::TryAgain => StatusCode::SERVICE_UNAVAILABLE,
        Code::MailServerTimeout => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// A problem as it leaves: `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProblemDocument<'a> {
    /// Always `about:blank`: `code` is what to switch on.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What happened and what to change.
    detail: &'a str,
    /// Stable reason.
    code: Code,
    /// Each wrong field.
    errors: &'a [FieldError],
    /// Quote it when you ask about this answer.
    request_id: &'a str,
    /// As in a probe, where the problem comes from a mail server: whether all sides that were tried work.
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<bool>,
    /// As in a probe: the sending side.
    #[serde(skip_serializing_if = "Option::is_none")]
    smtp: Option<&'a Verdict>,
    /// As in a probe: the receiving side.
    #[serde(skip_serializing_if = "Option::is_none")]
    receive: Option<&'a Verdict>,
    /// The resource as it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a serde_json::Value>,
    /// With `debug`: what was said to the mail server, without secrets and messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a [String]>,
}

/// Renders a problem.
pub fn document<'a>(problem: &'a Problem, request_id: &'a str) -> ProblemDocument<'a> {
    let (status, probe) = (status(problem.code), problem.probe.as_deref());
    ProblemDocument {
        kind: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: &problem.detail,
        code: problem.code,
        errors: &problem.errors,
        request_id,
        success: probe.map(|probe| probe.success),
        smtp: probe.and_then(|probe| probe.smtp.as_ref()),
        receive: probe.and_then(|probe| probe.receive.as_ref()),
        resource: problem.resource.as_deref(),
        trace: problem.trace.as_deref(),
    }
}

/// A mailbox that could not be used, told to somebody who called for it.
pub fn from_verdict(verdict: &Verdict, receive: bool) -> Problem {
    let code = match verdict.code {
        ProbeCode::HostNotAllowed => Code::HostNotAllowed,
        ProbeCode::Timeout => Code::MailServerTimeout,
        ProbeCode::DnsFailed | ProbeCode::ConnectFailed => Code::MailConnectFailed,
        ProbeCode::GreetingFailed => Code::MailServerBusy,
        ProbeCode::TlsFailed
        | ProbeCode::CertificateInvalid
        | ProbeCode::StarttlsUnavailable
        | ProbeCode::ProtocolInjection => Code::MailTlsFailed,
        ProbeCode::AuthFailed | ProbeCode::AuthUnavailable => Code::MailAuthFailed,
        ProbeCode::RecipientRejected => Code::RecipientRejected,
        ProbeCode::MessageRejected => Code::MessageRejected,
        ProbeCode::ProtocolError | ProbeCode::Ok => Code::MailProtocolError,
    };
    let phase: Phase = verdict.phase;
    let (smtp, received) = if receive { (None, Some(verdict.clone())) } else { (Some(verdict.clone()), None) };
    let mut problem = Problem::new(
        code,
        format!("the mail server: {} (phase {})", verdict.message, format!("{phase:?}").to_lowercase()),
    );
    problem.probe = Some(Box::new(Probe { success: false, smtp, receive: received }));
    if status(code) == StatusCode::SERVICE_UNAVAILABLE { problem.retry_after(60) } else { problem }
}
