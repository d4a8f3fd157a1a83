//! Invitations (iTIP, RFC 5546): from an event to its VCALENDAR, once, when the mail is accepted.

use std::fmt::Write;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use icalendar::parser::{read_calendar, unfold};
use icalendar::{Calendar, Component, Event, EventLike, Property};
use url::Url;

use crate::mail::compose;
use crate::mail::parse::calendar_method;
use crate::model::content::{Attendee, Invite, InviteMethod, InviteStatus, Participation, Role};
use crate::model::send::SendRequest;
use crate::model::{Address, FieldError, Problem, Timestamp};

/// Longest calendar, and longest text of an event, in bytes.
const ICS_BYTES: usize = 256 << 10;
const TEXT_BYTES: usize = 32 << 10;

/// Makes of an event its VCALENDAR. `own_uid` names an event that has no name yet.
pub(super) fn settle(request: &mut SendRequest, from: &Address, own_uid: &str, now: Timestamp) -> Result<(), Problem> {
    let Some(invite) = &request.invite else {
        return Ok(());
    };
    let ics = match &invite.ics {
        Some(_) if *invite != (Invite { ics: invite.ics.clone(), ..Invite::default() }) => {
            Err(wrong("/invite/ics", "conflict", "ics is the whole invitation: leave the event's fields out"))
        }
        Some(ics) => given(ics),
        None => write(invite, request, from, own_uid, now),
    };
    let ics = ics.map_err(|error| Problem::invalid(vec![error]))?;
    request.invite = Some(Invite { ics: Some(ics), ..Invite::default() });
    Ok(())
}

fn wrong(pointer: &str, code: &str, detail: &str) -> FieldError {
    FieldError::new(pointer, code, detail)
}

/// A finished calendar: one VCALENDAR with a method and something in it.
fn given(ics: &str) -> Result<String, FieldError> {
    let refuse = |detail: &str| Err(wrong("/invite/ics", "invalid_value", detail));
    if ics.len() > ICS_BYTES || ics.chars().any(|c| c.is_control() && !matches!(c, '\r' | '\n' | '\t')) {
        return refuse("at most 256 KB, without control characters");
    }
    let starts = |text: &str, word: &str| text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    let unfolded = unfold(ics);
    let readable = starts(ics.trim_start(), "BEGIN:VCALENDAR")
        && read_calendar(&unfolded).is_ok_and(|calendar| !calendar.components.is_empty());
    if !readable {
        return refuse("this is no VCALENDAR with a component in it (RFC 5545 §3.4)");
    }
    if calendar_method(ics).is_none() {
        return refuse("a calendar that is mailed has one METHOD (RFC 5546 §3.1)");
    }
    Ok(ics.to_owned())
}

/// Who takes part in it, and what it is about.
fn write(
    invite: &Invite,
    request: &SendRequest,
    from: &Address,
    own_uid: &str,
    now: Timestamp,
) -> Result<String, FieldError> {
    let method = invite.method.ok_or_else(|| {
        wrong("/invite/method", "missing", "request, reply or cancel; or give a finished calendar as ics")
    })?;
    if method != InviteMethod::Request && invite.uid.is_none() {
        return Err(wrong("/invite/uid", "missing", "a reply or cancellation names the event that it is about"));
    }
    if method == InviteMethod::Reply && invite.organizer.is_none() {
        return Err(wrong("/invite/organizer", "missing", "a reply names who invited"));
    }
    check_texts(invite)?;
    let attendees = attendees(invite, method, request, from)?;
    let mut event = Event::new();
    event.uid(invite.uid.as_deref().unwrap_or(own_uid));
    event.timestamp(DateTime::from_timestamp_millis(now.0).unwrap_or_default());
    event.add_property("SEQUENCE", invite.sequence.unwrap_or(0).to_string());
    times(&mut event, invite, method)?;
    if let Some(summary) = invite.summary.as_deref().or(request.subject.as_deref()) {
        event.summary(&lines(summary));
    }
    if let Some(description) = &invite.description {
        event.description(&lines(description));
    }
    if let Some(location) = &invite.location {
        event.location(&lines(location));
    }
    if let Some(url) = &invite.url {
        let url = Url::parse(url).map_err(|_| wrong("/invite/url", "invalid_value", "a whole URL"))?;
        event.url(url.as_str());
    }
    // RFC 5546 §3.2.3: a reply says nothing about the event itself.
    if method != InviteMethod::Reply || invite.status.is_some() {
        event.add_property("STATUS", status_word(invite.status, method));
    }
    event.append_property(person("ORGANIZER", invite.organizer.as_ref().unwrap_or(from), "/invite/organizer")?);
    for (index, attendee) in attendees.iter().enumerate() {
        let mut property = person("ATTENDEE", &attendee.address, &format!("/invite/attendees/{index}/address"))?;
        property.add_parameter("PARTSTAT", participation_word(attendee.participation));
        if method != InviteMethod::Reply {
            property.add_parameter("ROLE", role_word(attendee.role));
            property.add_parameter("RSVP", if attendee.rsvp { "TRUE" } else { "FALSE" });
        }
        event.append_multi_property(property.done());
    }
    let mut calendar = Calendar::empty();
    calendar.append_property(("VERSION", "2.0"));
    calendar.append_property(("PRODID", "-//Halfpenny//Mail//EN"));
    calendar.append_property(("CALSCALE", "GREGORIAN"));
    calendar.append_property(("METHOD", method_word(method)));
    calendar.push(event.done());
    let mut ics = String::new();
    write!(ics, "{calendar}").map_err(|_| wrong("/invite", "invalid_value", "the event cannot be written"))?;
    Ok(ics)
}

/// Attendees as given, or those whom the mail goes to.
fn attendees(
    invite: &Invite,
    method: InviteMethod,
    request: &SendRequest,
    from: &Address,
) -> Result<Vec<Attendee>, FieldError> {
    let attendee = |address: &Address| Attendee {
        address: address.clone(),
        role: Role::Required,
        participation: Participation::NeedsAction,
        rsvp: true,
    };
    let attendees: Vec<Attendee> = match method {
        _ if !invite.attendees.is_empty() => invite.attendees.clone(),
        InviteMethod::Reply => vec![attendee(from)],
        InviteMethod::Request | InviteMethod::Cancel => request.to.iter().chain(&request.cc).map(attendee).collect(),
    };
    match (method, attendees.as_slice()) {
        // RFC 5546 §3.2.3: whoever replies, and what.
        (InviteMethod::Reply, [one]) if one.participation != Participation::NeedsAction => Ok(attendees),
        (InviteMethod::Reply, _) => {
            let detail = "a reply has one attendee, with its participation: accepted, declined or tentative";
            Err(wrong("/invite/attendees", "invalid_value", detail))
        }
        (_, []) => Err(wrong("/invite/attendees", "missing", "name who is invited, here or in to")),
        (_, many) if many.len() > 200 => Err(wrong("/invite/attendees", "too_many", "the limit attendees is 200")),
        _ => Ok(attendees),
    }
}

/// ORGANIZER or ATTENDEE (RFC 5545 §3.8.4.1). A quote cannot stand in a parameter (§3.1).
fn person(key: &str, address: &Address, pointer: &str) -> Result<Property, FieldError> {
    let spec = compose::addr_spec(&address.address).map_err(|detail| wrong(pointer, "invalid_address", detail))?;
    let mut property = Property::new(key, format!("mailto:{}", spec.address));
    if let Some(name) = &address.name {
        let name: String = name.chars().filter(|c| !c.is_control()).map(|c| if c == '"' { '\'' } else { c }).collect();
        if !name.is_empty() {
            property.add_parameter("CN", &name);
        }
    }
    Ok(property)
}

/// A point of the calendar.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum When {
    Day(NaiveDate),
    At(DateTime<Utc>),
}

/// DTSTART and DTEND, in UTC: so no VTIMEZONE is needed (RFC 5545 §3.6.5).
fn times(event: &mut Event, invite: &Invite, method: InviteMethod) -> Result<(), FieldError> {
    let zone = invite.timezone.as_deref().map(|name| {
        let detail = "an IANA name such as Europe/Berlin";
        name.parse::<Tz>().map_err(|_| wrong("/invite/timezone", "invalid_value", detail))
    });
    let zone = zone.transpose()?;
    let start = invite.start.as_deref().map(|text| when(text, zone, "/invite/start")).transpose()?;
    let end = invite.end.as_deref().map(|text| when(text, zone, "/invite/end")).transpose()?;
    match (start, end) {
        (None, _) if method == InviteMethod::Request => {
            return Err(wrong("/invite/start", "missing", "say when it begins"));
        }
        (Some(When::Day(_)), Some(When::At(_))) | (Some(When::At(_)), Some(When::Day(_))) => {
            return Err(wrong("/invite/end", "invalid_value", "start and end are both days or both times"));
        }
        (Some(start), Some(end)) if end <= start => {
            return Err(wrong("/invite/end", "invalid_value", "the end is behind the start (RFC 5545 §3.8.2.2)"));
        }
        _ => {}
    }
    match start {
        Some(When::Day(day)) => event.starts(day),
        Some(When::At(at)) => event.starts(at),
        None => event,
    };
    match end {
        Some(When::Day(day)) => event.ends(day),
        Some(When::At(at)) => event.ends(at),
        None => event,
    };
    Ok(())
}

fn when(text: &str, zone: Option<Tz>, pointer: &str) -> Result<When, FieldError> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(When::At(at.with_timezone(&Utc)));
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Ok(When::Day(day));
    }
    let local =
        ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"].iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let Some(local) = local else {
        let detail = "a time with its offset (2026-12-01T10:00:00+01:00), a local time with timezone, or a day";
        return Err(wrong(pointer, "invalid_value", detail));
    };
    let Some(zone) = zone else {
        return Err(wrong("/invite/timezone", "missing", "a local time needs its zone"));
    };
    // An hour that occurs twice is the first one; an hour that is skipped is none.
    zone.from_local_datetime(&local)
        .earliest()
        .map(|at| When::At(at.with_timezone(&Utc)))
        .ok_or_else(|| wrong(pointer, "invalid_value", "clocks skip this hour in that zone"))
}

/// What a reader shows is short, and nothing in it ends a line: the writer knows LF only.
fn check_texts(invite: &Invite) -> Result<(), FieldError> {
    let texts = [
        ("/invite/uid", &invite.uid, false),
        ("/invite/summary", &invite.summary, true),
        ("/invite/location", &invite.location, true),
        ("/invite/description", &invite.description, true),
        ("/invite/url", &invite.url, false),
    ];
    for (pointer, text, lines) in texts {
        let Some(text) = text else { continue };
        let clean = |c: char| !c.is_control() || (lines && matches!(c, '\r' | '\n' | '\t'));
        if text.is_empty() || text.len() > TEXT_BYTES || !text.chars().all(clean) {
            return Err(wrong(pointer, "invalid_value", "1 byte to 32 KB, without control characters"));
        }
    }
    Ok(())
}

fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn method_word(method: InviteMethod) -> &'static str {
    match method {
        InviteMethod::Request => "REQUEST",
        InviteMethod::Reply => "REPLY",
        InviteMethod::Cancel => "CANCEL",
    }
}

fn status_word(status: Option<InviteStatus>, method: InviteMethod) -> &'static str {
    match (status, method) {
        (Some(InviteStatus::Tentative), _) => "TENTATIVE",
        (Some(InviteStatus::Cancelled), _) | (None, InviteMethod::Cancel) => "CANCELLED",
        (Some(InviteStatus::Confirmed) | None, _) => "CONFIRMED",
    }
}

fn participation_word(participation: Participation) -> &'static str {
    match participation {
        Participation::NeedsAction => "NEEDS-ACTION",
        Participation::Accepted => "ACCEPTED",
        Participation::Declined => "DECLINED",
        Participation::Tentative => "TENTATIVE",
    }
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Chair => "CHAIR",
        Role::Required => "REQ-PARTICIPANT",
        Role::Optional => "OPT-PARTICIPANT",
    }
}

#[cfg(test)]
mod tests;
