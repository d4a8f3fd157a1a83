//! What a connection attempt ended in: the vocabulary that `mail` reports and every probe route answers with.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Stable outcome of talking to a mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeCode {
    /// It worked.
    Ok,
    /// The host name does not resolve.
    DnsFailed,
    /// No TCP connection: refused, unreachable, reset.
    ConnectFailed,
    /// The peer did not answer in time; the phase says where.
    Timeout,
    /// The server's first line is no greeting, or it refuses service.
    GreetingFailed,
    /// The TLS handshake failed for another reason than the certificate.
    TlsFailed,
    /// The certificate is expired, unknown, or for another name.
    CertificateInvalid,
    /// STARTTLS is required and the server does not offer it, or refuses it.
    StarttlsUnavailable,
    /// Plaintext arrived behind the STARTTLS answer (CVE-2011-0411): somebody injects commands or replies.
    ProtocolInjection,
    /// The server refused the credentials.
    AuthFailed,
    /// The server offers no mechanism that we could use.
    AuthUnavailable,
    /// A recipient was refused.
    RecipientRejected,
    /// The sender or the message was refused.
    MessageRejected,
    /// The peer broke the protocol, or closed the connection in the middle.
    ProtocolError,
    /// The egress policy does not allow this address.
    HostNotAllowed,
}

/// How far a dialogue with a mail server came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Resolving the name.
    Dns,
    /// TCP.
    Connect,
    /// Waiting for the first line.
    Greeting,
    /// TLS handshake, or the STARTTLS command before it.
    Tls,
    /// EHLO, CAPA, CAPABILITY.
    Capabilities,
    /// Logging in.
    Auth,
    /// SMTP MAIL.
    Mail,
    /// SMTP RCPT.
    Rcpt,
    /// SMTP DATA, the message, and the reply to its final dot.
    Data,
    /// IMAP STATUS, SELECT, EXAMINE; POP3 STAT.
    Select,
    /// Listing and fetching messages.
    List,
}

/// The verdict on one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Whether everything asked for worked.
    pub success: bool,
    /// The outcome.
    pub code: ProbeCode,
    /// The basic SMTP reply code, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_response_code: Option<u16>,
    /// The server's own words (cut to 200 printable characters, credentials removed), or ours.
    pub message: String,
    /// True when no usable connection came about: name, TCP, time-out before the greeting, TLS.
    pub connection_failed: bool,
    /// The last phase reached.
    pub phase: Phase,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// A person has to consent at the provider again: the OAuth grant is not accepted any more (RFC 6749 §5.2,
    /// `invalid_grant`). Shown only where it is so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub consent_needed: bool,
}

/// A probe of an account or of given settings: one verdict per side that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Whether all sides that were tried work.
    pub success: bool,
    /// The sending side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<Verdict>,
    /// The receiving side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive: Option<Verdict>,
}
