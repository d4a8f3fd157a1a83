//! What `diagnose` finds: how far each side came, what stopped it, and how to mend it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Address;
use super::account::{ReceiveInput, ServerInput};
use super::probe::{Phase, Verdict};

/// Settings to diagnose; either side or both. Nothing is stored.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiagnoseInput {
    /// The sending side.
    #[serde(default)]
    pub smtp: Option<ServerInput>,
    /// The receiving side.
    #[serde(default)]
    pub receive: Option<ReceiveInput>,
    /// The sender that MAIL is tried with; left out: the user name, where it is an address.
    #[serde(default, deserialize_with = "super::address::given_option")]
    pub from: Option<Address>,
}

/// One step on the way to a working account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StageName {
    /// Resolving the name.
    Dns,
    /// TCP.
    Connect,
    /// The server's first line.
    Greeting,
    /// The handshake (and STARTTLS before it): version, cipher, certificate.
    Tls,
    /// EHLO, CAPA, CAPABILITY.
    Capabilities,
    /// Whether a way to sign in is offered that we know.
    Mechanisms,
    /// Signing in.
    Auth,
    /// MAIL: may this account send as this address?
    Mail,
    /// RCPT: would it take a message? No DATA follows.
    Rcpt,
    /// STATUS of each folder, or STAT.
    Select,
    /// LIST, where a folder was not found.
    List,
}

impl From<Phase> for StageName {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Dns => Self::Dns,
            Phase::Connect => Self::Connect,
            Phase::Greeting => Self::Greeting,
            Phase::Tls => Self::Tls,
            Phase::Capabilities => Self::Capabilities,
            Phase::Auth => Self::Auth,
            Phase::Mail => Self::Mail,
            // No message is ever handed over here.
            Phase::Rcpt | Phase::Data => Self::Rcpt,
            Phase::Select => Self::Select,
            Phase::List => Self::List,
        }
    }
}

/// How one step went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// `smtp` or `receive`.
    pub side: String,
    /// Which step.
    pub stage: StageName,
    /// Whether it was passed.
    pub success: bool,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// What was found there: addresses, certificate, capabilities, the server's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Why an account does not work. Recognised by reply codes, enhanced codes, response codes, phases and TLS alerts;
/// where a provider gives no code of its own, by the marker that it documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The host name does not exist.
    HostUnknown,
    /// The egress policy refuses this host or port.
    HostNotAllowed,
    /// Nothing listens on this port.
    PortClosed,
    /// Port 25 does not answer: most networks, AWS among them, block it.
    #[serde(rename = "port_25_blocked")]
    PortBlocked,
    /// The name servers do not answer in time.
    TimeoutDns,
    /// TCP does not come about in time.
    TimeoutConnect,
    /// The server says nothing.
    TimeoutGreeting,
    /// The handshake, or STARTTLS, is not answered in time.
    TimeoutTls,
    /// EHLO, CAPA or CAPABILITY is not answered in time.
    TimeoutCapabilities,
    /// The sign-in is not answered in time.
    TimeoutAuth,
    /// MAIL or RCPT is not answered in time.
    TimeoutMail,
    /// The mailbox is not opened in time.
    TimeoutSelect,
    /// The port speaks TLS from the first byte; the settings say otherwise.
    TlsExpected,
    /// The port begins in the clear; the settings ask for TLS from the first byte.
    TlsNotSpoken,
    /// The port belongs to another mail protocol.
    WrongProtocol,
    /// What answers is no mail server.
    NotAMailServer,
    /// Too many connections at once from us or from this user.
    TooManyConnections,
    /// The server refuses to talk to our address.
    AddressRefused,
    /// The server is too busy, or in maintenance.
    ServerBusy,
    /// The server hangs up in the middle.
    ConnectionClosed,
    /// Its words are not those of the protocol.
    ProtocolViolation,
    /// The certificate vouches for itself.
    CertificateSelfSigned,
    /// The certificate's issuer is unknown, or the chain has a gap.
    CertificateUnknownIssuer,
    /// The certificate has expired.
    CertificateExpired,
    /// The certificate's time has not come: a wrong clock, most likely.
    CertificateNotYetValid,
    /// The certificate is for other names.
    CertificateWrongName,
    /// The certificate is wrong in another way.
    CertificateInvalid,
    /// No TLS 1.2, or no safe cipher.
    TlsTooOld,
    /// The handshake fails in another way.
    TlsFailed,
    /// STARTTLS is not offered.
    StarttlsMissing,
    /// STARTTLS is offered and refused.
    StarttlsRefused,
    /// Plaintext stands behind the answer to STARTTLS.
    ProtocolInjection,
    /// Signing in is offered only under TLS.
    AuthNeedsTls,
    /// Only OAuth 2.0 is accepted.
    OauthRequired,
    /// None of the offered mechanisms is one of ours.
    MechanismUnsupported,
    /// The provider wants an app password instead of the account's own.
    AppPasswordRequired,
    /// SMTP AUTH is switched off for the whole tenant (Microsoft).
    SmtpAuthDisabledTenant,
    /// SMTP AUTH is switched off for this mailbox (Microsoft).
    SmtpAuthDisabledMailbox,
    /// SMTP AUTH is switched off, or the password is wrong: Microsoft says the same to both.
    SmtpAuthDisabled,
    /// POP3 is switched off for this mailbox.
    #[serde(rename = "pop3_disabled")]
    PopDisabled,
    /// IMAP is switched off for this mailbox.
    ImapDisabled,
    /// The provider wants a person to sign in with a browser.
    WebLoginRequired,
    /// The account is locked by a policy or after too many attempts.
    AccountLocked,
    /// The account is disabled, or only its administrator can help.
    AccountDisabled,
    /// The password has expired, or has to be changed once.
    PasswordExpired,
    /// The account may not use this mailbox.
    NotAuthorized,
    /// Another session has the mailbox open (POP3 allows one).
    MailboxInUse,
    /// Too many sign-ins in too short a time.
    LoginThrottled,
    /// The server cannot check credentials right now.
    AuthTemporarilyUnavailable,
    /// The user name lacks its domain.
    UsernameForm,
    /// No password or other secret is stored for these settings.
    PasswordMissing,
    /// The OAuth endpoint gives no token right now, or there is no way to it.
    TokenUnavailable,
    /// The OAuth grant, or the token that it brought, is refused.
    TokenRefused,
    /// User name or password is wrong.
    CredentialsRefused,
    /// The server takes mail only from whoever signs in.
    AuthRequired,
    /// The account may not send as this address.
    FromNotAllowed,
    /// The server asks unknown senders to come back later.
    Greylisted,
    /// The mailbox of the recipient does not exist.
    RecipientRejected,
    /// The server does not relay for us.
    RelayDenied,
    /// The mailbox, or the server's disk, is full.
    MailboxFull,
    /// There is no such folder.
    FolderMissing,
    /// The folder may not be read.
    FolderNotAllowed,
}

/// How to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fix {
    /// In words.
    pub text: String,
    /// As a merge patch (RFC 7396) of the account; null where no setting mends it.
    #[schema(value_type = Option<Object>)]
    pub patch: Option<Value>,
    /// Whether the patched settings were tried and work, as far as `tried.phase` says.
    pub verified: bool,
    /// How the patched settings fared. Up to phase `capabilities` only: the password was not sent, because it was
    /// given for other settings, or the patched ones do not prove who the server is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried: Option<Verdict>,
}

/// One side of an account, examined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Examined {
    /// The verdict, as of a probe.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Each step, in order.
    pub stages: Vec<Stage>,
    /// What was said, line by line: `C:` is us, `S:` the server. Secrets are `***`.
    pub transcript: Vec<String>,
    /// Why it does not work.
    pub cause: Option<Cause>,
    /// How to mend it.
    pub fix: Option<Fix>,
}

/// An account, examined. What stands beside the sides is about the whole: `stages` and `transcript` of both, the
/// `cause` that comes first (sending before receiving), and one `fix` with one patch for all that can be mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Diagnosis {
    /// Whether all sides that were tried work.
    pub success: bool,
    /// The sending side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<Examined>,
    /// The receiving side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive: Option<Examined>,
    /// The steps of both sides.
    pub stages: Vec<Stage>,
    /// The dialogues of both sides, each line with its side.
    pub transcript: Vec<String>,
    /// The first cause.
    pub cause: Option<Cause>,
    /// One way to mend all.
    pub fix: Option<Fix>,
}

impl Diagnosis {
    /// Puts the sides together.
    pub fn new(smtp: Option<Examined>, receive: Option<Examined>) -> Self {
        let mut whole = Self {
            success: true,
            stages: Vec::new(),
            transcript: Vec::new(),
            cause: None,
            fix: None,
            smtp: None,
            receive: None,
        };
        let mut fixes: Vec<&Fix> = Vec::new();
        for (name, side) in [("smtp", &smtp), ("receive", &receive)] {
            let Some(side) = side else { continue };
            whole.success &= side.verdict.success;
            whole.stages.extend(side.stages.iter().cloned());
            whole.transcript.extend(side.transcript.iter().map(|line| format!("{name} {line}")));
            whole.cause = whole.cause.or(side.cause);
            fixes.extend(&side.fix);
        }
        whole.fix = (!fixes.is_empty()).then(|| together(&fixes));
        Self { smtp, receive, ..whole }
    }
}

fn together(fixes: &[&Fix]) -> Fix {
    let mut patch: Option<Value> = None;
    for one in fixes.iter().filter_map(|fix| fix.patch.as_ref()) {
        match (&mut patch, one) {
            // The sides have no member in common, except `from`, which only the sending side mends.
            (Some(Value::Object(all)), Value::Object(one)) => all.extend(one.clone()),
            _ => patch = Some(one.clone()),
        }
    }
    let mut texts: Vec<&str> = fixes.iter().map(|fix| fix.text.as_str()).collect();
    texts.dedup();
    Fix { text: texts.join("\n"), patch, verified: fixes.iter().all(|fix| fix.verified), tried: None }
}
