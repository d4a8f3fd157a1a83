//! Settings that could work instead, best first, and what they differ in.

use serde_json::{Map, Value, json};

use super::Ports;
use super::causes::speaks;
use super::stages::{Examination, Subject};
use crate::model::{Auth, Cause, Protocol, Security};

/// Settings that may mend the cause, best first.
pub(super) fn corrections(cause: Cause, subject: &Subject, examination: &Examination, ports: &Ports) -> Vec<Subject> {
    let secured = |security| with(subject, |subject| subject.server.security = security);
    let mut found = match cause {
        Cause::TlsExpected => vec![secured(Security::Tls)],
        Cause::TlsNotSpoken => vec![secured(Security::Starttls)],
        Cause::AuthNeedsTls => {
            [vec![secured(Security::Starttls)], elsewhere(subject, subject.protocol, ports)].concat()
        }
        Cause::StarttlsMissing
        | Cause::StarttlsRefused
        | Cause::PortClosed
        | Cause::PortBlocked
        | Cause::TimeoutConnect
        | Cause::TimeoutGreeting
        | Cause::NotAMailServer => elsewhere(subject, subject.protocol, ports),
        Cause::WrongProtocol => other_protocol(subject, examination, ports),
        Cause::CertificateSelfSigned | Cause::CertificateUnknownIssuer => {
            vec![with(subject, |subject| subject.server.verify_certificate = false)]
        }
        Cause::CertificateWrongName => names(subject, examination),
        Cause::CredentialsRefused => full_address(subject).into_iter().collect(),
        Cause::FromNotAllowed => own_address(subject).into_iter().collect(),
        Cause::FolderMissing => {
            vec![with(subject, |subject| subject.folders = nearest(&subject.folders, &examination.folders))]
        }
        _ => Vec::new(),
    };
    found.retain(|corrected| corrected != subject);
    found
}

fn with(subject: &Subject, change: impl FnOnce(&mut Subject)) -> Subject {
    let mut corrected = subject.clone();
    change(&mut corrected);
    corrected
}

/// The usual ports of a protocol: with TLS from the first byte (RFC 8314 §3), then with STARTTLS.
fn elsewhere(subject: &Subject, protocol: Protocol, ports: &Ports) -> Vec<Subject> {
    ports
        .of(protocol)
        .map(|(port, security)| {
            with(subject, |subject| {
                subject.protocol = protocol;
                subject.server.port = port;
                subject.server.security = security;
            })
        })
        .to_vec()
}

/// The port speaks another protocol: on the receiving side that may be the one that is meant.
fn other_protocol(subject: &Subject, examination: &Examination, ports: &Ports) -> Vec<Subject> {
    let spoken = examination.first_line().and_then(speaks);
    let here = spoken.filter(|spoken| subject.protocol != Protocol::Smtp && *spoken != Protocol::Smtp);
    let switched = here.map(|protocol| {
        with(subject, |subject| {
            subject.protocol = protocol;
            if protocol == Protocol::Pop3 {
                subject.folders = vec!["INBOX".to_owned()];
            }
        })
    });
    switched.into_iter().chain(elsewhere(subject, subject.protocol, ports)).collect()
}

/// The names in the certificate that could be connected to.
fn names(subject: &Subject, examination: &Examination) -> Vec<Subject> {
    let certificate = examination.tls.as_ref().and_then(|facts| facts.certificate.as_ref());
    let names = certificate.map(|certificate| certificate.names.as_slice()).unwrap_or_default();
    let usable = names.iter().filter(|name| !name.starts_with('*')).take(super::TRIED_NAMES);
    usable.map(|name| with(subject, |subject| subject.server.host.clone_from(name))).collect()
}

/// The address instead of its local part, or of any name without a domain.
fn full_address(subject: &Subject) -> Option<Subject> {
    let sender = subject.sender.clone().filter(|sender| sender.contains('@'))?;
    let mut corrected = subject.clone();
    match &mut corrected.server.auth {
        Auth::Password { username, .. } if !username.contains('@') => *username = sender,
        _ => return None,
    }
    Some(corrected)
}

/// The user name as sender, where it is an address.
fn own_address(subject: &Subject) -> Option<Subject> {
    let username = subject.server.auth.username().filter(|username| username.contains('@'))?;
    Some(with(subject, |corrected| corrected.sender = Some(username.to_owned())))
}

/// The folders that there are, by the names that were asked for: letter case differs, or a prefix such as `INBOX.`.
fn nearest(wanted: &[String], there: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for folder in wanted {
        let same = there.iter().find(|name| *name == folder);
        let alike = || there.iter().find(|name| name.eq_ignore_ascii_case(folder));
        let inside = || there.iter().find(|name| last(name).eq_ignore_ascii_case(last(folder)));
        if let Some(name) = same.or_else(alike).or_else(inside).filter(|name| !found.contains(*name)) {
            found.push(name.clone());
        }
    }
    // RFC 3501 §5.1: INBOX is always there.
    if found.is_empty() { vec!["INBOX".to_owned()] } else { found }
}

fn last(name: &str) -> &str {
    name.rsplit(['/', '.']).next().unwrap_or(name)
}

/// What differs, as a merge patch (RFC 7396) of the account.
pub(super) fn patch(from: &Subject, to: &Subject) -> Value {
    let mut side = Map::new();
    let mut differ = |name: &str, old: Value, new: Value| {
        if old != new {
            side.insert(name.to_owned(), new);
        }
    };
    differ("protocol", json!(from.protocol), json!(to.protocol));
    differ("host", json!(from.server.host), json!(to.server.host));
    differ("port", json!(from.server.port), json!(to.server.port));
    differ("security", json!(from.server.security), json!(to.server.security));
    differ("verifyCertificate", json!(from.server.verify_certificate), json!(to.server.verify_certificate));
    differ("folders", json!(from.folders), json!(to.folders));
    if from.server.auth.username() != to.server.auth.username() {
        side.insert("auth".to_owned(), json!({"username": to.server.auth.username()}));
    }
    let mut patch = Map::new();
    if !side.is_empty() {
        patch.insert(from.side().to_owned(), Value::Object(side));
    }
    if from.sender != to.sender {
        patch.insert("from".to_owned(), json!({"address": to.sender}));
    }
    Value::Object(patch)
}

/// Whether a credential that was given for `from` may be used with `to`: the same host, no less proof of who it is,
/// no less secrecy on the way. A name out of a certificate, for one, is whatever somebody put there.
pub(super) fn may_carry(from: &Subject, to: &Subject) -> bool {
    from.server.host == to.server.host
        && (to.server.verify_certificate || !from.server.verify_certificate)
        && (to.server.security != Security::None || from.server.security == Security::None)
}
