//! From what happened to why: by phase, reply code, enhanced code, response code and TLS alert, never by English prose.
//! Where a provider gives no code of its own, its documented marker stands in [`MARKERS`].

use super::Ports;
use super::stages::{Examination, Subject};
use crate::mail::connect::TlsExpected;
use crate::mail::providers::{self, Passwords};
use crate::mail::tls::{self, Trouble};
use crate::mail::{Error, Refusal};
use crate::model::{Auth, Cause, Phase, ProbeCode, Protocol, Security};

/// Words that a provider documents for a case that it gives no code of its own: the phase they come in, the words,
/// what they mean, and whose they are. Most are the paths of help pages, which outlive their wording.
const MARKERS: [(Phase, &str, Cause); 13] = [
    // Google, support.google.com/mail/answer/3726730 (SMTP) and Gmail's IMAP and POP3.
    (Phase::Auth, "?p=InvalidSecondFactor", Cause::AppPasswordRequired),
    (Phase::Auth, "?p=BadCredentials", Cause::AppPasswordRequired),
    (Phase::Auth, "support.google.com/accounts/answer/185833", Cause::AppPasswordRequired),
    (Phase::Auth, "?p=WebLoginRequired", Cause::WebLoginRequired),
    (Phase::Auth, "Too many login attempts", Cause::LoginThrottled),
    (Phase::Auth, "Too many simultaneous connections", Cause::TooManyConnections),
    (Phase::Auth, "not enabled for POP access", Cause::PopDisabled),
    (Phase::Auth, "not enabled for IMAP use", Cause::ImapDisabled),
    // Microsoft, learn.microsoft.com "authenticated client SMTP submission"; all of them come with 5.7.139.
    (Phase::Auth, "SmtpClientAuthentication is disabled for the Tenant", Cause::SmtpAuthDisabledTenant),
    (Phase::Auth, "SmtpClientAuthentication is disabled for the Mailbox", Cause::SmtpAuthDisabledMailbox),
    (Phase::Auth, "user is locked", Cause::AccountLocked),
    // Dovecot names its setting.
    (Phase::Auth, "mail_max_userip_connections", Cause::TooManyConnections),
    // Yahoo and AOL.
    (Phase::Auth, "(#AUTH005)", Cause::LoginThrottled),
];

/// Why an examination failed.
pub(super) fn recognise(subject: &Subject, examination: &Examination, error: &Error, ports: &Ports) -> Cause {
    match error.code {
        ProbeCode::Timeout => timeout(subject, error.phase, ports),
        ProbeCode::DnsFailed => Cause::HostUnknown,
        ProbeCode::HostNotAllowed => Cause::HostNotAllowed,
        ProbeCode::ProtocolInjection => Cause::ProtocolInjection,
        ProbeCode::ConnectFailed if error.phase == Phase::Connect => Cause::PortClosed,
        ProbeCode::TlsFailed | ProbeCode::CertificateInvalid => handshake(examination, error),
        // A 4yz says that the server would, another time (RFC 3207 §4: 454); a 5yz or NO that it does not.
        ProbeCode::StarttlsUnavailable if error.refusal.is_some() => Cause::StarttlsRefused,
        ProbeCode::StarttlsUnavailable => Cause::StarttlsMissing,
        _ => match &error.refusal {
            Some(refusal) => refused(subject, examination, error, refusal),
            None => unanswered(subject, examination, error),
        },
    }
}

fn timeout(subject: &Subject, phase: Phase, ports: &Ports) -> Cause {
    match phase {
        Phase::Dns => Cause::TimeoutDns,
        Phase::Connect if subject.server.port == ports.relay => Cause::PortBlocked,
        Phase::Connect => Cause::TimeoutConnect,
        Phase::Greeting => Cause::TimeoutGreeting,
        Phase::Tls => Cause::TimeoutTls,
        Phase::Capabilities => Cause::TimeoutCapabilities,
        Phase::Auth => Cause::TimeoutAuth,
        Phase::Mail | Phase::Rcpt | Phase::Data => Cause::TimeoutMail,
        Phase::Select | Phase::List => Cause::TimeoutSelect,
    }
}

fn handshake(examination: &Examination, error: &Error) -> Cause {
    // A second look at the server, without checking, has brought its certificate.
    let certificate = examination.tls.as_ref().and_then(|facts| facts.certificate.as_ref());
    tls::trouble(error).map_or(Cause::TlsFailed, |trouble| of_trouble(&trouble, certificate))
}

fn of_trouble(trouble: &Trouble, certificate: Option<&tls::Certificate>) -> Cause {
    match trouble {
        Trouble::NotTls => Cause::TlsNotSpoken,
        Trouble::TooOld => Cause::TlsTooOld,
        Trouble::Expired => Cause::CertificateExpired,
        Trouble::NotYetValid => Cause::CertificateNotYetValid,
        Trouble::UnknownIssuer if certificate.is_some_and(tls::Certificate::is_self_signed) => {
            Cause::CertificateSelfSigned
        }
        Trouble::UnknownIssuer => Cause::CertificateUnknownIssuer,
        Trouble::WrongName => Cause::CertificateWrongName,
        Trouble::Certificate => Cause::CertificateInvalid,
        Trouble::Other => Cause::TlsFailed,
    }
}

/// No refusal: the server broke off, broke the protocol, or has nothing that we could use.
fn unanswered(subject: &Subject, examination: &Examination, error: &Error) -> Cause {
    if error.source.as_ref().is_some_and(|source| source.is::<TlsExpected>()) {
        return Cause::TlsExpected;
    }
    match error.code {
        ProbeCode::AuthUnavailable => sign_in_impossible(subject, examination),
        _ if error.is_broken_off() => Cause::ConnectionClosed,
        ProbeCode::GreetingFailed => match examination.first_line().map(speaks) {
            Some(Some(spoken)) if spoken != subject.protocol => Cause::WrongProtocol,
            Some(Some(_)) => Cause::ServerBusy,
            Some(None) => Cause::NotAMailServer,
            None => Cause::ConnectionClosed,
        },
        _ => Cause::ProtocolViolation,
    }
}

/// No credential came about, before any mail server was asked.
pub(super) fn without_credential(error: &Error) -> Cause {
    match error.code {
        ProbeCode::AuthUnavailable => Cause::PasswordMissing,
        // RFC 6749 §5.2: invalid_grant.
        ProbeCode::AuthFailed => Cause::TokenRefused,
        _ => Cause::TokenUnavailable,
    }
}

/// Which protocol a first line belongs to: RFC 5321 §4.3.1, RFC 1939 §4, RFC 3501 §7.1.
pub(super) fn speaks(line: &str) -> Option<Protocol> {
    let begins = |words: &[&str]| words.iter().any(|word| line.starts_with(word));
    if begins(&["220 ", "220-", "421 ", "554 ", "554-"]) || line == "220" {
        Some(Protocol::Smtp)
    } else if begins(&["+OK", "-ERR"]) {
        Some(Protocol::Pop3)
    } else if begins(&["* OK", "* PREAUTH", "* BYE"]) {
        Some(Protocol::Imap)
    } else {
        None
    }
}

fn sign_in_impossible(subject: &Subject, examination: &Examination) -> Cause {
    let offered = &examination.offered;
    let oauth = |mechanism: &String| ["XOAUTH2", "OAUTHBEARER"].contains(&mechanism.as_str());
    match &subject.server.auth {
        Auth::None => Cause::AuthRequired,
        // RFC 4954 §4, RFC 3501 §6.2.3, RFC 2595 §3.2: what is offered in the clear is not what is offered under TLS.
        _ if subject.server.security == Security::None => Cause::AuthNeedsTls,
        _ if offered.iter().any(oauth) => Cause::OauthRequired,
        _ => Cause::MechanismUnsupported,
    }
}

fn refused(subject: &Subject, examination: &Examination, error: &Error, refusal: &Refusal) -> Cause {
    let marked = MARKERS
        .iter()
        .filter(|(phase, ..)| *phase == error.phase)
        .find(|(_, words, _)| refusal.text.contains(words))
        .map(|(_, _, cause)| *cause);
    let secure = subject.server.security != Security::None;
    let code = (refusal.code.unwrap_or_default(), refusal.enhanced.as_deref().unwrap_or_default());
    match (error.phase, subject.protocol) {
        _ if marked.is_some() => with_token(subject, marked.unwrap_or(Cause::CredentialsRefused)),
        (Phase::Greeting | Phase::Tls | Phase::Capabilities, _) => turned_away(code),
        (Phase::Auth, Protocol::Smtp) => {
            // Of a token that is not good, Microsoft says 5.7.3 and no more.
            let bare = code.1 == "5.7.3" && !matches!(subject.server.auth, Auth::Password { .. });
            let cause = if bare { Cause::CredentialsRefused } else { smtp_auth(code, secure) };
            as_the_provider_means(subject, cause)
        }
        (Phase::Auth, Protocol::Pop3) => as_the_provider_means(subject, pop3_auth(code.1)),
        (Phase::Auth, Protocol::Imap) => as_the_provider_means(subject, imap_auth(code.1)),
        (Phase::Mail, _) => mail(code),
        (Phase::Rcpt | Phase::Data, _) => rcpt(code),
        _ => opening(subject, examination, code.1),
    }
}

/// Google says the same words of a token that is not good: it is no password, and no app password would help.
fn with_token(subject: &Subject, cause: Cause) -> Cause {
    let token = matches!(subject.server.auth, Auth::OAuth2(_) | Auth::TokenServer(_));
    if token && cause == Cause::AppPasswordRequired { Cause::TokenRefused } else { cause }
}

/// Some providers refuse the account's own password always, and say no more than that it is refused.
fn as_the_provider_means(subject: &Subject, cause: Cause) -> Cause {
    let password = matches!(subject.server.auth, Auth::Password { .. });
    if !password && cause == Cause::CredentialsRefused {
        return Cause::TokenRefused;
    }
    let provider =
        providers::of_server(&subject.server.host).filter(|_| password && cause == Cause::CredentialsRefused);
    match provider.map(|provider| provider.passwords) {
        Some(Passwords::App(_)) => Cause::AppPasswordRequired,
        // For receiving, every date in the table has passed; for sending, such a provider has codes of its own.
        Some(Passwords::Ending { .. }) if subject.protocol != Protocol::Smtp => Cause::OauthRequired,
        _ => cause,
    }
}

/// Before anybody signs in.
fn turned_away(code: (u16, &str)) -> Cause {
    match code {
        // Postfix and Exchange Online count connections by these; RFC 5530 §3 LIMIT.
        (421, "4.7.0" | "4.3.2") | (432, _) | (_, "LIMIT") => Cause::TooManyConnections,
        // RFC 5321 §3.1: no SMTP service here, for you.
        (554 | 550 | 521, _) => Cause::AddressRefused,
        _ => Cause::ServerBusy,
    }
}

/// RFC 4954 §6 and the registry of enhanced codes (RFC 5248); Microsoft's and Google's own codes beside them.
fn smtp_auth(code: (u16, &str), secure: bool) -> Cause {
    match code {
        // Microsoft: 5.7.139 and 5.7.3 stand for a switched-off SMTP AUTH as well as for a wrong password;
        // 5.7.30 for the end of basic authentication.
        (_, "5.7.139" | "5.7.3") => Cause::SmtpAuthDisabled,
        (_, "5.7.30") => Cause::OauthRequired,
        // Google: 534 5.7.9 asks for an app password, 5.7.14 for a browser.
        (534, "5.7.9") => Cause::AppPasswordRequired,
        (534, "5.7.14") => Cause::WebLoginRequired,
        (538, _) | (_, "5.7.11" | "5.7.10") => Cause::AuthNeedsTls,
        (530 | 503 | 502 | 500, _) if !secure => Cause::AuthNeedsTls,
        (_, "5.7.13" | "5.2.1") => Cause::AccountDisabled,
        (_, "5.7.12" | "4.7.12") => Cause::PasswordExpired,
        (432, "4.3.2") => Cause::TooManyConnections,
        (421, _) => Cause::LoginThrottled,
        (504 | 534 | 500 | 501 | 502 | 503, _) => Cause::MechanismUnsupported,
        (400..=499, _) => Cause::AuthTemporarilyUnavailable,
        _ => Cause::CredentialsRefused,
    }
}

/// RFC 2449 §8.1, RFC 3206 §4.
fn pop3_auth(code: &str) -> Cause {
    match code {
        "IN-USE" => Cause::MailboxInUse,
        "LOGIN-DELAY" => Cause::LoginThrottled,
        "SYS/TEMP" => Cause::AuthTemporarilyUnavailable,
        "SYS/PERM" => Cause::AccountDisabled,
        _ => Cause::CredentialsRefused,
    }
}

/// RFC 5530 §3. WEBALERT is Google's.
fn imap_auth(code: &str) -> Cause {
    match code {
        "PRIVACYREQUIRED" => Cause::AuthNeedsTls,
        "AUTHORIZATIONFAILED" | "NOPERM" => Cause::NotAuthorized,
        "EXPIRED" => Cause::PasswordExpired,
        "CONTACTADMIN" => Cause::AccountDisabled,
        "UNAVAILABLE" | "SERVERBUG" => Cause::AuthTemporarilyUnavailable,
        "INUSE" => Cause::MailboxInUse,
        "LIMIT" => Cause::TooManyConnections,
        "OVERQUOTA" => Cause::MailboxFull,
        "WEBALERT" => Cause::WebLoginRequired,
        _ => Cause::CredentialsRefused,
    }
}

/// MAIL: RFC 5321 §4.2.3, RFC 4954 §6 (530), RFC 6409 §4.2 (550 5.7.1); 5.7.57, 5.7.60 and 5.2.252 are Exchange's.
fn mail(code: (u16, &str)) -> Cause {
    match code {
        (530, _) | (_, "5.7.57") => Cause::AuthRequired,
        (432, _) | (421, "4.7.0" | "4.3.2") => Cause::TooManyConnections,
        (452 | 552, _) => Cause::MailboxFull,
        (450 | 451, "4.7.1") => Cause::Greylisted,
        (400..=499, _) => Cause::ServerBusy,
        _ => Cause::FromNotAllowed,
    }
}

/// RCPT. Postfix refuses senders here as well (553), because it waits for the recipient before it judges.
fn rcpt(code: (u16, &str)) -> Cause {
    match code {
        (530, _) | (_, "5.7.57") => Cause::AuthRequired,
        (553, _) | (_, "5.7.60" | "5.2.252" | "5.1.8" | "5.1.7") => Cause::FromNotAllowed,
        // RFC 6647 §2.1: greylisting answers 421, 450 or 451.
        (450 | 451, _) => Cause::Greylisted,
        (452 | 552, _) | (_, "5.2.2" | "4.2.2") => Cause::MailboxFull,
        (400..=499, _) => Cause::ServerBusy,
        (551 | 554, _) | (_, "5.7.1" | "5.7.54" | "5.7.64") => Cause::RelayDenied,
        _ => Cause::RecipientRejected,
    }
}

/// STAT and STATUS: RFC 5530 §3.
fn opening(subject: &Subject, examination: &Examination, code: &str) -> Cause {
    let there = |folder: &String| examination.folders.contains(folder);
    match code {
        "IN-USE" | "INUSE" => Cause::MailboxInUse,
        "SYS/TEMP" | "UNAVAILABLE" | "SERVERBUG" => Cause::ServerBusy,
        "LIMIT" => Cause::TooManyConnections,
        "NONEXISTENT" | "TRYCREATE" => Cause::FolderMissing,
        "NOPERM" | "AUTHORIZATIONFAILED" => Cause::FolderNotAllowed,
        _ if subject.protocol == Protocol::Imap && !subject.folders.iter().all(there) => Cause::FolderMissing,
        _ => Cause::FolderNotAllowed,
    }
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, CertificateError};

    use super::*;

    /// What no sandbox can bring about: a silent name server, a wrong clock, a revoked certificate.
    #[test]
    fn phases_and_tls_errors_have_their_causes() {
        assert_eq!(phase_of(Phase::Dns), Cause::TimeoutDns);
        let handshake = |reason: rustls::Error| {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidData, reason);
            let error = Error::new(ProbeCode::CertificateInvalid, Phase::Tls, "no").because(source);
            tls::trouble(&error).map(|trouble| of_trouble(&trouble, None))
        };
        for (reason, cause) in [
            (rustls::Error::InvalidCertificate(CertificateError::NotValidYet), Cause::CertificateNotYetValid),
            (rustls::Error::InvalidCertificate(CertificateError::Revoked), Cause::CertificateInvalid),
            (rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer), Cause::CertificateUnknownIssuer),
            (rustls::Error::AlertReceived(AlertDescription::ProtocolVersion), Cause::TlsTooOld),
            (rustls::Error::AlertReceived(AlertDescription::InternalError), Cause::TlsFailed),
        ] {
            assert_eq!(handshake(reason.clone()), Some(cause), "{reason:?}");
        }
    }

    fn phase_of(phase: Phase) -> Cause {
        let auth = Auth::None;
        let server = crate::model::Server {
            host: "mail.example.com".into(),
            port: 587,
            security: Security::Starttls,
            verify_certificate: true,
            auth,
        };
        let subject = Subject { protocol: Protocol::Smtp, server, folders: Vec::new(), sender: None };
        timeout(&subject, phase, &Ports::default())
    }
}
