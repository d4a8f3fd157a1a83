//! Groups of fields in the machine-readable part of a report: delivery status (RFC 3464 §2) and feedback (RFC 5965 §3).

use super::status::{Status, reply_code};
use super::{Original, clean_address, words};
use crate::model::report::{Action, BounceKind, Reported};

/// What is read of such a part: some thousand recipients.
pub(super) const MAX_BYTES: usize = 512 * 1024;
/// Recipients of one report that are looked at.
pub(super) const MAX_RECIPIENTS: usize = 100;
/// Fields of one group; an honest one has a dozen.
const MAX_FIELDS: usize = 50;
/// Longest value in bytes.
const MAX_VALUE: usize = 2_000;

/// Fields between two empty lines, names in lower case.
pub(super) type Group = Vec<(String, String)>;

/// The groups of a part. Where a writer has forgotten the empty line, a second Final-Recipient begins a new one.
pub(super) fn groups(text: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = vec![Group::new()];
    for line in text.lines() {
        let Some(group) = groups.last_mut() else { break };
        if line.trim().is_empty() {
            if !group.is_empty() {
                groups.push(Group::new());
            }
        } else if line.starts_with([' ', '\t']) {
            // RFC 3464 §2.1.1 with RFC 5322 §2.2.3: a folded value goes on.
            if let Some((_, value)) = group.last_mut().filter(|(_, value)| value.len() < MAX_VALUE) {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            let field = (name.trim().to_ascii_lowercase(), super::super::cut(value.trim(), MAX_VALUE).to_owned());
            if field.0 == FINAL && group.iter().any(|(name, _)| name == FINAL) {
                groups.push(vec![field]);
            } else if group.len() < MAX_FIELDS {
                group.push(field);
            }
        }
        // One more than is looked at, for the fields about the message.
        if groups.len() > MAX_RECIPIENTS + 1 {
            break;
        }
    }
    groups
}

const FINAL: &str = "final-recipient";

/// The first field of this name that is not empty.
pub(super) fn value<'g>(group: &'g Group, name: &str) -> Option<&'g str> {
    group.iter().find(|(found, value)| found == name && !value.is_empty()).map(|(_, value)| value.as_str())
}

/// Per-recipient groups (RFC 3464 §2.3), and the Message-ID that some writers put before them.
pub(super) fn delivery_status(text: &str, original: &mut Original) -> Vec<Reported> {
    let groups = groups(text);
    for name in ["x-original-message-id", "original-message-id"] {
        original.add_all(groups.iter().filter_map(|group| value(group, name)));
    }
    groups.iter().filter_map(recipient).take(MAX_RECIPIENTS).collect()
}

fn recipient(group: &Group) -> Option<Reported> {
    // RFC 3464 §2.3.1: whom the sender meant, before aliases and forwards; §2.3.2: where it ended.
    let address = ["original-recipient", FINAL].iter().find_map(|name| typed_address(value(group, name)?))?;
    let diagnostic =
        value(group, "diagnostic-code").map(|value| value.split_once(';').map_or(value, |(_, words)| words));
    let told = value(group, "status").and_then(Status::read);
    let said = diagnostic.and_then(Status::find);
    // The code that the last server gave says more than one that a relay has made of its reply.
    let status = told.filter(|status| !status.is_general()).or(said).or(told);
    let action = action(value(group, "action"), status);
    // Where the two differ, none is proof enough against the address.
    let is_hard =
        |status: Option<Status>| status.is_none_or(|status| status.is_general() || status.kind() == BounceKind::Hard);
    let kind = match status {
        Some(status) if is_hard(told) && is_hard(said) => status.kind(),
        _ => BounceKind::Soft,
    };
    let code = status.map(|status| status.to_string()).or(diagnostic.and_then(reply_code).map(|code| code.to_string()));
    Some(Reported {
        address: Some(address),
        action,
        kind: (action == Action::Failed).then_some(kind),
        code,
        text: diagnostic.and_then(words),
    })
}

/// RFC 3464 §2.3.3; what is missing follows from the status.
fn action(word: Option<&str>, status: Option<Status>) -> Action {
    let word = word.unwrap_or_default().split([' ', '(']).next().unwrap_or_default();
    match (word.to_ascii_lowercase().as_str(), status.map(Status::class)) {
        ("failed", _) => Action::Failed,
        ("delayed", _) => Action::Delayed,
        ("delivered", _) => Action::Delivered,
        ("relayed", _) => Action::Relayed,
        ("expanded", _) => Action::Expanded,
        (_, Some(2)) => Action::Delivered,
        (_, Some(5)) => Action::Failed,
        // Nothing says that its server has given up.
        _ => Action::Delayed,
    }
}

/// `rfc822; bob@example.com` (RFC 3464 §2.3.1), `utf-8; …` (RFC 6533 §3).
fn typed_address(value: &str) -> Option<String> {
    let (kind, address) = value.split_once(';').unwrap_or(("rfc822", value));
    if kind.trim().eq_ignore_ascii_case("utf-8") { clean_address(&unescaped(address)) } else { clean_address(address) }
}

/// `\x{E9}` stands for a character (RFC 6533 §3, utf-8-addr-xtext and -unitext).
fn unescaped(text: &str) -> String {
    let mut pieces = text.split("\\x{");
    let mut result = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let escaped = piece
            .split_once('}')
            .and_then(|(hex, rest)| Some((u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)?, rest)));
        match escaped {
            Some((character, rest)) => {
                result.push(character);
                result.push_str(rest);
            }
            None => result.push_str(piece),
        }
    }
    result
}

/// A complaint (RFC 5965 §3); none for reports of other types: `not-spam` (RFC 6430) is praise, `auth-failure`
/// (RFC 6591) is about somebody's DNS.
pub(super) fn feedback(text: &str, fallback: Option<String>) -> Vec<Reported> {
    let fields: Group = groups(text).into_iter().flatten().collect();
    let kind = value(&fields, "feedback-type").unwrap_or_default().to_ascii_lowercase();
    if !matches!(kind.as_str(), "abuse" | "fraud" | "virus" | "other" | "opt-out" | "opt-out-list" | "miscategorized") {
        return Vec::new();
    }
    let named = fields.iter().filter(|(name, _)| matches!(name.as_str(), "original-rcpt-to" | "removal-recipient"));
    let mut addresses: Vec<Option<String>> = named.filter_map(|(_, value)| clean_address(value)).map(Some).collect();
    addresses.dedup();
    if addresses.is_empty() {
        addresses.push(fallback);
    }
    let complaint = |address| Reported {
        address,
        action: Action::Complained,
        kind: Some(BounceKind::Complaint),
        code: Some(kind.clone()),
        text: value(&fields, "user-agent").and_then(words),
    };
    addresses.into_iter().take(MAX_RECIPIENTS).map(complaint).collect()
}
