//! What the calendar properties of a mail say about its attachments (A2.4/42 to A2.4/44): whether there is exactly one
//! appointment, its METHOD, and the answer of a REPLY (RFC 5545, RFC 5546).

use serde_json::Value;
use shared::mail::parse::{Appointments, appointments_in, calendar_method};
use shared::model::calendar::{Answer, Appointment};

use super::mail::{bytes, text};
use super::read::Properties;

const CALENDAR: &str = "text/calendar";

/// The appointments of a mail. None where no attachment is a calendar: nothing is known then.
pub(super) fn of(mail: &Properties) -> Option<Appointments> {
    let attachments = mail.get("Attachments").and_then(Value::as_array)?;
    let calendars: Vec<String> = attachments.iter().filter_map(|item| calendar(item.as_object()?)).collect();
    (!calendars.is_empty()).then(|| appointments_in(&calendars))
}

/// The type of a calendar file with its METHOD, which a mail program needs to offer an answer (RFC 6047 §2.4). None:
/// it is no calendar, or its type says so already.
pub(super) fn media_type(kind: Option<&str>, filename: &str, bytes: &[u8]) -> Option<String> {
    if !is_calendar(kind, filename) || kind.is_some_and(|kind| kind.contains(';')) {
        return None;
    }
    let method = calendar_method(&String::from_utf8_lossy(bytes))?;
    Some(format!("{CALENDAR}; method={method}; charset=utf-8"))
}

/// METHOD as the carrier names it (RFC 5546 §1.4).
pub(super) fn method(appointment: &Appointment) -> &'static str {
    match appointment.method.as_deref() {
        Some("ADD") => "Add",
        Some("CANCEL") => "Cancel",
        Some("COUNTER") => "Counter",
        Some("DECLINECOUNTER") => "DeclineCounter",
        Some("PUBLISH") => "Publish",
        Some("REFRESH") => "Refresh",
        Some("REPLY") => "Reply",
        Some("REQUEST") => "Request",
        _ => "Unknown",
    }
}

/// The answer of a REPLY as the carrier names it.
pub(super) fn reply(appointment: &Appointment) -> &'static str {
    match appointment.reply_status {
        Some(Answer::Accepted) => "Accepted",
        Some(Answer::Declined) => "Declined",
        Some(Answer::Tentative) => "Tentative",
        _ => "Unknown",
    }
}

fn calendar(item: &Properties) -> Option<String> {
    if !is_calendar(text(item, "Type"), text(item, "Filename").unwrap_or_default()) {
        return None;
    }
    bytes(item)?.ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn is_calendar(kind: Option<&str>, filename: &str) -> bool {
    let named = filename.to_ascii_lowercase().ends_with(".ics");
    kind.map_or(named, |kind| kind.to_ascii_lowercase().starts_with(CALENDAR) || (named && !kind.contains('/')))
}
