//! What the calendar properties of a mail say about its attachments (A2.4/42 to A2.4/44): whether there is exactly one
//! appointment, its METHOD, and the answer of a REPLY (RFC 5545, RFC 5546).

use serde_json::Value;

use super::mail::{bytes, text};
use super::read::Properties;

const CALENDAR: &str = "text/calendar";

/// One appointment of a mail.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Appointment {
    /// As the carrier names it.
    pub(super) method: &'static str,
    /// As the carrier names it; of a REPLY only.
    pub(super) reply: Option<&'static str>,
}

/// The appointment of a mail that has exactly one. None where no attachment is a calendar: nothing is known then.
pub(super) fn of(mail: &Properties) -> Option<Option<Appointment>> {
    let attachments = mail.get("Attachments").and_then(Value::as_array)?;
    let calendars: Vec<String> = attachments.iter().filter_map(|item| calendar(item.as_object()?)).collect();
    match calendars.as_slice() {
        [] => None,
        [one] => Some(appointment(one)),
        _ => Some(None),
    }
}

/// The type of a calendar file with its METHOD, which a mail program needs to offer an answer (RFC 6047 §2.4). None:
/// it is no calendar, or its type says so already.
pub(super) fn media_type(kind: Option<&str>, filename: &str, bytes: &[u8]) -> Option<String> {
    if !is_calendar(kind, filename) || kind.is_some_and(|kind| kind.contains(';')) {
        return None;
    }
    let method = property(&unfolded(&String::from_utf8_lossy(bytes)), "METHOD")?.to_ascii_uppercase();
    let plain = method.bytes().all(|byte| byte.is_ascii_alphabetic());
    plain.then(|| format!("{CALENDAR}; method={method}; charset=utf-8"))
}

fn calendar(item: &Properties) -> Option<String> {
    if !is_calendar(text(item, "Type"), text(item, "Filename").unwrap_or_default()) {
        return None;
    }
    bytes(item)?.ok().map(|bytes| unfolded(&String::from_utf8_lossy(&bytes)))
}

fn is_calendar(kind: Option<&str>, filename: &str) -> bool {
    let named = filename.to_ascii_lowercase().ends_with(".ics");
    kind.map_or(named, |kind| kind.to_ascii_lowercase().starts_with(CALENDAR) || (named && !kind.contains('/')))
}

/// One event; further ones of its UID are exceptions of a series (RFC 5545 §3.8.4.4).
fn appointment(calendar: &str) -> Option<Appointment> {
    let begins = calendar.lines().any(|line| line.trim_end().eq_ignore_ascii_case("BEGIN:VEVENT"));
    let uids = || calendar.lines().filter_map(|line| value(line, "UID"));
    let first = uids().next();
    if !begins || uids().any(|uid| Some(uid) != first) {
        return None;
    }
    let method = method(property(calendar, "METHOD").unwrap_or_default());
    let reply = (method == "Reply").then(|| calendar.lines().find_map(answer).unwrap_or("Unknown"));
    Some(Appointment { method, reply })
}

/// RFC 5546 §1.4; a request is what adds an appointment.
fn method(name: &str) -> &'static str {
    match name.to_ascii_uppercase().as_str() {
        "ADD" => "Add",
        "CANCEL" => "Cancel",
        "COUNTER" => "Counter",
        "DECLINECOUNTER" => "DeclineCounter",
        "PUBLISH" => "Publish",
        "REFRESH" => "Refresh",
        "REPLY" => "Reply",
        "REQUEST" => "Request",
        _ => "Unknown",
    }
}

/// PARTSTAT of an attendee (RFC 5545 §3.2.12).
fn answer(line: &str) -> Option<&'static str> {
    let line = line.to_ascii_uppercase();
    let (_, rest) = line.strip_prefix("ATTENDEE")?.split_once("PARTSTAT=")?;
    let status = rest.split([';', ':']).next()?.trim_matches('"');
    match status {
        "ACCEPTED" => Some("Accepted"),
        "DECLINED" => Some("Declined"),
        "TENTATIVE" => Some("Tentative"),
        _ => None,
    }
}

fn property<'a>(calendar: &'a str, name: &str) -> Option<&'a str> {
    calendar.lines().find_map(|line| value(line, name))
}

/// The value of a line that holds this property, with or without parameters.
fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let head = line.get(..name.len())?;
    let rest = &line[name.len()..];
    (head.eq_ignore_ascii_case(name) && rest.starts_with([':', ';']))
        .then(|| rest.split_once(':'))?
        .map(|(_, value)| value.trim())
}

/// RFC 5545 §3.1.
fn unfolded(text: &str) -> String {
    text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "")
}
