//! Reports for people only: qmail's (QSBMF), Exim's, old ones of Gmail, Exchange and sendmail, and what gateways leave
//! of Postfix's.
//!
//! What they share is read, never their sentences: a line that begins with an address, and behind it, before the next
//! one, a code. That alone could be any letter, so the sender must be a mail system, or a header or the format must say
//! that it is a failure.

use super::fields::MAX_RECIPIENTS;
use super::status::{Status, reply_code};
use super::{Head, clean_address, words};
use crate::model::report::{Action, BounceKind, Reported};

/// First words of qmail's reports: so says the format (cr.yp.to/proto/qsbmf.txt).
const QSBMF: &str = "Hi. This is the";

/// Lines that are looked at.
const MAX_LINES: usize = 2_000;

/// The recipients that a text says are lost or late; none where it is no report.
pub(super) fn recipients(head: &Head, text: &str) -> Vec<Reported> {
    let named = head.failed_recipients();
    let is_failure = !named.is_empty() || text.trim_start().starts_with(QSBMF);
    if !is_failure && !head.is_from_mail_system() {
        return Vec::new();
    }
    let sections = sections(text);
    let mut found: Vec<Reported> = Vec::new();
    for (address, words) in &sections {
        let is_named = named.is_empty() || named.iter().any(|name| name.eq_ignore_ascii_case(address));
        let known = found.iter().any(|earlier| earlier.address.as_deref() == Some(address));
        if is_named && !known {
            found.extend(reported(address.clone(), words, is_failure));
        }
    }
    // Named in the header, and in the middle of a sentence in the text.
    for address in named {
        if !found.iter().any(|one| one.address.as_ref().is_some_and(|found| found.eq_ignore_ascii_case(&address))) {
            let alone = if found.is_empty() { before_copy(text) } else { String::new() };
            found.extend(reported(address, &alone, true));
        }
    }
    found.truncate(MAX_RECIPIENTS);
    found
}

/// What its section says about a recipient. Without a code, and with nothing else that says failure, it is no report:
/// none. A code of class 4 then means that its server goes on trying.
fn reported(address: String, section: &str, is_failure: bool) -> Option<Reported> {
    let section = telling(section);
    let status = Status::find(section);
    let reply = reply_code(section);
    let class = status.map(Status::class).or(reply.map(|code| if code < 500 { 4 } else { 5 }));
    let action = match class {
        _ if is_failure => Action::Failed,
        Some(5) => Action::Failed,
        Some(_) => Action::Delayed,
        None => return None,
    };
    let code = status.map(|status| status.to_string()).or(reply.map(|code| code.to_string()));
    let kind = (action == Action::Failed).then(|| status.map_or(BounceKind::Soft, Status::kind));
    Some(Reported { address: Some(address), action, kind, code, text: words(section) })
}

/// The paragraph of a section that has the code: others are for people.
fn telling(section: &str) -> &str {
    let paragraphs = || section.split("\n\n").filter(|words| !words.trim().is_empty());
    paragraphs()
        .find(|words| Status::find(words).is_some())
        .or_else(|| paragraphs().find(|words| reply_code(words).is_some()))
        .or_else(|| paragraphs().next())
        .unwrap_or_default()
}

/// Each recipient and the words behind it, up to the next one or to the copy of the message.
fn sections(text: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in text.lines().take(MAX_LINES) {
        if !sections.is_empty() && begins_copy(line) {
            break;
        }
        // A server's words may begin a line with the address that they are about.
        let other = |address: &String| sections.last().is_none_or(|(last, _)| last != address);
        if let Some((address, rest)) = recipient_line(line).filter(|(address, _)| other(address)) {
            if sections.len() == MAX_RECIPIENTS {
                break;
            }
            sections.push((address, rest.to_owned()));
        } else if let Some((_, words)) = sections.last_mut() {
            words.push('\n');
            words.push_str(line.trim());
        }
    }
    sections
}

/// `<bob@example.com>:`, `<bob@example.com>: host mx said: …`, `bob@example.com` by itself, `bob@example.com on <date>`.
fn recipient_line(line: &str) -> Option<(String, &str)> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let is_bracketed = word.starts_with('<');
    let (word, rest) = match word.split_once('>') {
        Some((word, tail)) if is_bracketed && matches!(tail, "" | ":" | "...") => (word, rest),
        Some(_) => return None,
        None => (word.trim_end_matches(':'), rest),
    };
    let ends = rest.is_empty() || is_bracketed || rest.starts_with("on ");
    let address = clean_address(word).filter(|address| ends && address.split('@').all(|side| !side.is_empty()))?;
    Some((address, rest.trim()))
}

/// Every one of these programs rules a line before the copy (QSBMF: a paragraph that begins with a hyphen), or the
/// header of the message begins at once.
fn begins_copy(line: &str) -> bool {
    line.trim_start().starts_with("---") || line.starts_with("Return-Path:") || line.starts_with("Received:")
}

fn before_copy(text: &str) -> String {
    text.lines().take(MAX_LINES).take_while(|line| !begins_copy(line)).collect::<Vec<_>>().join("\n")
}
