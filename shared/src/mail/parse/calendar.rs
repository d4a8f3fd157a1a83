//! Calendar parts of a message (RFC 6047): which appointment it is about, and what it does with it.
//!
//! A message about an invitation often holds it twice, as an alternative of its text and as a file. What counts is how
//! many appointments there are: a calendar that names further occurrences of a series by the same UID is still one
//! (RFC 5545 §3.8.4.4).

use calcard::common::PartialDateTime;
use calcard::common::timezone::Tz;
use calcard::icalendar::timezone::TzResolver;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarParameterName,
    ICalendarParameterValue, ICalendarParticipationStatus, ICalendarProperty, ICalendarValue,
};
use calcard::{Entry, Parser};
use chrono::{NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use icalendar::parser::unfold;
use std::collections::HashSet;

use super::header::{PartHeader, part_header, tidy};
use super::layout::{Part, layout};
use super::{guard, part_text, slice};
use crate::model::calendar::{Answer, Appointment, CalendarTime, Invited};
use crate::model::{Address, Timestamp};

/// Encoded bytes of a part, parts of a message, calendars of a part, and people of an appointment that are looked at.
const MAX_BYTES: usize = 1 << 20;
const MAX_PARTS: usize = 10;
const MAX_CALENDARS: usize = 20;
const MAX_PEOPLE: usize = 200;

/// Longest text and longest name that is kept.
const MAX_TEXT: usize = 998;
const MAX_NAME: usize = 255;

/// The appointments of a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Appointments {
    /// How many there are.
    pub count: usize,
    /// The one, where there is exactly one.
    pub one: Option<Appointment>,
}

/// Reads all calendar parts of a message. Never fails: what is no calendar holds no appointment.
pub fn appointments(raw: &[u8]) -> Appointments {
    guard(|| {
        let layout = layout(raw);
        let mut parts: Vec<&Part> = layout.text.iter().chain(&layout.files).collect();
        parts.dedup_by_key(|part| part.number);
        let calendars = parts.into_iter().filter(|part| is_calendar(&part_header(slice(raw, &part.header))));
        let texts: Vec<String> = calendars.take(MAX_PARTS).map(|part| part_text(raw, part, MAX_BYTES)).collect();
        of(texts.iter().map(String::as_str))
    })
    .unwrap_or_default()
}

/// The appointments of calendars that came by themselves; the first ones of very many. Never fails.
pub fn appointments_in(texts: &[String]) -> Appointments {
    guard(|| of(texts.iter().take(MAX_PARTS).map(String::as_str).filter(|text| text.len() <= MAX_BYTES)))
        .unwrap_or_default()
}

/// METHOD of a calendar, where it has exactly one that can stand in a Content-Type (RFC 6047 §2.4).
pub fn calendar_method(ics: &str) -> Option<String> {
    let unfolded = unfold(ics);
    let mut methods = unfolded.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("METHOD").then(|| value.trim().to_ascii_uppercase())
    });
    let method = methods.next().filter(|_| methods.next().is_none())?;
    let is_word = (1..=40).contains(&method.len()) && method.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-');
    is_word.then_some(method)
}

fn is_calendar(head: &PartHeader) -> bool {
    let named = head.filename.as_ref().is_some_and(|name| name.to_ascii_lowercase().ends_with(".ics"));
    named || matches!(head.content_type.as_deref(), Some("text/calendar" | "application/ics"))
}

/// The appointments of some calendars together.
fn of<'t>(texts: impl Iterator<Item = &'t str>) -> Appointments {
    let calendars: Vec<ICalendar> = texts.flat_map(calendars).collect();
    let (mut uids, mut nameless, mut found) = (HashSet::new(), 0_usize, None);
    for calendar in &calendars {
        for event in calendar.components.iter().filter(|it| it.component_type == ICalendarComponentType::VEvent) {
            let is_new = match event.uid() {
                Some(uid) => uids.insert(uid),
                None => {
                    nameless += 1;
                    true
                }
            };
            // The series itself says more than one of its occurrences.
            let says_more = !event.is_recurrence_override()
                && found.is_some_and(|(_, known): (_, &ICalendarComponent)| known.is_recurrence_override());
            if found.is_none() || (!is_new && says_more) {
                found = Some((calendar, event));
            }
        }
    }
    let count = uids.len() + nameless;
    let one = found.filter(|_| count == 1).map(|(calendar, event)| appointment(calendar, event));
    Appointments { count, one }
}

fn calendars(text: &str) -> Vec<ICalendar> {
    let mut parser = Parser::new(text);
    let mut found = Vec::new();
    while found.len() < MAX_CALENDARS {
        match parser.entry() {
            Entry::ICalendar(calendar) => found.push(calendar),
            Entry::Eof => break,
            _ => {}
        }
    }
    found
}

fn appointment(calendar: &ICalendar, event: &ICalendarComponent) -> Appointment {
    let zones = calendar.build_tz_resolver();
    let text = |property: ICalendarProperty| {
        let value = event.property(&property)?.values.first()?.as_text()?;
        Some(tidy(value, MAX_TEXT)).filter(|text| !text.is_empty())
    };
    let method = calendar.components.iter().find_map(|it| it.property(&ICalendarProperty::Method));
    let method = method.and_then(|entry| entry.values.first()?.as_text().map(|name| tidy(name, 40)));
    let method = method.map(|name| name.to_ascii_uppercase());
    let people = event.properties(&ICalendarProperty::Attendee).take(MAX_PEOPLE);
    let attendees: Vec<Invited> =
        people.filter_map(|entry| Some(Invited { who: person(entry)?, answer: answer(entry) })).collect();
    // RFC 5546 §3.2.3: a reply names its sender alone.
    let replied = method.as_deref() == Some("REPLY");
    let sequence = event.property(&ICalendarProperty::Sequence).and_then(|entry| entry.values.first()?.as_integer());
    Appointment {
        reply_status: attendees.first().filter(|_| replied).and_then(|attendee| attendee.answer),
        method,
        uid: text(ICalendarProperty::Uid),
        sequence: sequence.and_then(|number| u32::try_from(number).ok()),
        summary: text(ICalendarProperty::Summary),
        location: text(ICalendarProperty::Location),
        status: text(ICalendarProperty::Status),
        start: event.property(&ICalendarProperty::Dtstart).and_then(|entry| time(entry, &zones)),
        end: end(event, &zones),
        recurrence_id: event.property(&ICalendarProperty::RecurrenceId).and_then(|entry| time(entry, &zones)),
        recurring: event.is_recurrent(),
        organizer: event.property(&ICalendarProperty::Organizer).and_then(person),
        attendees,
    }
}

/// A calendar address with its common name (RFC 5545 §3.3.3, §3.2.2).
fn person(entry: &ICalendarEntry) -> Option<Address> {
    let address = tidy(entry.calendar_address()?, MAX_NAME);
    let name = entry.parameter(&ICalendarParameterName::Cn).and_then(ICalendarParameterValue::as_text);
    let name = name.map(|name| tidy(name, MAX_NAME)).filter(|name| !name.is_empty());
    (!address.is_empty()).then_some(Address { name, address })
}

fn answer(entry: &ICalendarEntry) -> Option<Answer> {
    match entry.parameter(&ICalendarParameterName::Partstat)? {
        ICalendarParameterValue::Partstat(ICalendarParticipationStatus::NeedsAction) => Some(Answer::NeedsAction),
        ICalendarParameterValue::Partstat(ICalendarParticipationStatus::Accepted) => Some(Answer::Accepted),
        ICalendarParameterValue::Partstat(ICalendarParticipationStatus::Declined) => Some(Answer::Declined),
        ICalendarParameterValue::Partstat(ICalendarParticipationStatus::Tentative) => Some(Answer::Tentative),
        ICalendarParameterValue::Partstat(ICalendarParticipationStatus::Delegated) => Some(Answer::Delegated),
        _ => None,
    }
}

/// A time with the zone that it names (RFC 5545 §3.3.5).
fn time(entry: &ICalendarEntry, zones: &TzResolver<&str>) -> Option<CalendarTime> {
    let written = entry.values.first()?.as_partial_date_time()?;
    let day = day(written)?;
    if !written.has_time() {
        return Some(CalendarTime { local: day.to_string(), zone: None, at: None });
    }
    let local = day.and_hms_opt(
        written.hour?.into(),
        written.minute?.into(),
        // A leap second is the one before it.
        written.second.unwrap_or_default().min(59).into(),
    )?;
    let zone = if written.has_zone() { Some(Tz::UTC) } else { entry.tz_id().and_then(|name| zones.resolve(name)) };
    Some(placed(local, zone.filter(|zone| !zone.is_floating())))
}

fn day(written: &PartialDateTime) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(written.year?.into(), written.month?.into(), written.day?.into())
}

fn placed(local: NaiveDateTime, zone: Option<Tz>) -> CalendarTime {
    CalendarTime {
        local: local.format("%Y-%m-%dT%H:%M:%S").to_string(),
        at: zone.and_then(|zone| moment(local, zone)),
        zone: zone
            .and_then(|zone| if zone.is_utc() { Some("UTC".to_owned()) } else { Some(zone.name()?.into_owned()) }),
    }
}

/// RFC 5545 §3.3.5: of a time that occurs twice the first is meant, and one that does not occur has the offset from
/// before the gap.
fn moment(local: NaiveDateTime, zone: Tz) -> Option<Timestamp> {
    let hour = TimeDelta::hours(1);
    let utc = match zone.from_local_datetime(&local).earliest() {
        Some(at) => at.timestamp_millis(),
        None => zone.from_local_datetime(&local.checked_sub_signed(hour)?).earliest()?.timestamp_millis() + 3_600_000,
    };
    Some(Timestamp(utc))
}

/// DTEND, or DTSTART and DURATION (RFC 5545 §3.6.1).
fn end(event: &ICalendarComponent, zones: &TzResolver<&str>) -> Option<CalendarTime> {
    if let Some(end) = event.property(&ICalendarProperty::Dtend) {
        return time(end, zones);
    }
    let ICalendarValue::Duration(duration) = event.property(&ICalendarProperty::Duration)?.values.first()? else {
        return None;
    };
    let begun = event.property(&ICalendarProperty::Dtstart)?;
    let start = time(begun, zones)?;
    let length = duration.to_time_delta()?;
    if let Ok(day) = start.local.parse::<NaiveDate>() {
        let local = day.checked_add_signed(length)?.to_string();
        return Some(CalendarTime { local, zone: None, at: None });
    }
    let local = start.local.parse::<NaiveDateTime>().ok()?.checked_add_signed(length)?;
    let at = start.at.map(|at| at.plus_seconds(length.num_seconds()));
    let local = local.format("%Y-%m-%dT%H:%M:%S").to_string();
    Some(CalendarTime { local, zone: start.zone, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(events: &str) -> Appointment {
        of([calendar(events).as_str()].into_iter()).one.unwrap()
    }

    fn calendar(events: &str) -> String {
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\n{events}\r\nEND:VCALENDAR\r\n")
    }

    fn event(lines: &str) -> String {
        format!("BEGIN:VEVENT\r\n{lines}\r\nEND:VEVENT")
    }

    #[test]
    fn an_invitation_is_read() {
        let found = one(&format!(
            "METHOD:REQUEST\r\n{}",
            event(
                "UID:4711@example.com\r\nSEQUENCE:2\r\nSUMMARY:Plan\\, at last\r\nLOCATION:Room 1\r\nSTATUS:CONFIRMED\r\n\
                 DTSTART;TZID=Europe/Berlin:20261201T100000\r\nDTEND;TZID=Europe/Berlin:20261201T113000\r\n\
                 ORGANIZER;CN=\"Ada, L.\":mailto:ada@example.com\r\n\
                 ATTENDEE;CN=Grace;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:grace@example.com\r\n\
                 ATTENDEE;PARTSTAT=ACCEPTED:MAILTO:bob@example.com"
            )
        ));
        let time = |local: &str, at| CalendarTime {
            local: local.into(),
            zone: Some("Europe/Berlin".into()),
            at: Timestamp::parse(at),
        };
        let person =
            |name: Option<&str>, address: &str| Address { name: name.map(str::to_owned), address: address.into() };
        let wanted = Appointment {
            method: Some("REQUEST".into()),
            reply_status: None,
            uid: Some("4711@example.com".into()),
            sequence: Some(2),
            summary: Some("Plan, at last".into()),
            location: Some("Room 1".into()),
            status: Some("CONFIRMED".into()),
            start: Some(time("2026-12-01T10:00:00", "2026-12-01T09:00:00Z")),
            end: Some(time("2026-12-01T11:30:00", "2026-12-01T10:30:00Z")),
            recurrence_id: None,
            recurring: false,
            organizer: Some(person(Some("Ada, L."), "ada@example.com")),
            attendees: vec![
                Invited { who: person(Some("Grace"), "grace@example.com"), answer: Some(Answer::NeedsAction) },
                Invited { who: person(None, "bob@example.com"), answer: Some(Answer::Accepted) },
            ],
        };
        assert_eq!(found, wanted);
    }

    #[test]
    fn times_are_of_a_zone_of_utc_of_a_day_or_of_whoever_reads_them() {
        let start = |lines: &str| one(&event(&format!("UID:1\r\n{lines}"))).start.unwrap();
        let shown = |lines: &str| {
            let CalendarTime { local, zone, at } = start(lines);
            format!("{local} {} {}", zone.unwrap_or_default(), at.map(|at| at.to_string()).unwrap_or_default())
        };
        for (lines, wanted) in [
            ("DTSTART:20261201T100000Z", "2026-12-01T10:00:00 UTC 2026-12-01T10:00:00.000Z"),
            ("DTSTART:20261201T100000", "2026-12-01T10:00:00  "),
            ("DTSTART;VALUE=DATE:20261201", "2026-12-01  "),
            (
                "DTSTART;TZID=W. Europe Standard Time:20260701T100000",
                "2026-07-01T10:00:00 Europe/Berlin 2026-07-01T08:00:00.000Z",
            ),
            ("DTSTART;TZID=Nowhere/Land:20261201T100000", "2026-12-01T10:00:00  "),
            // Clocks go forward at 2:00, and back at 3:00.
            (
                "DTSTART;TZID=Europe/Berlin:20260329T023000",
                "2026-03-29T02:30:00 Europe/Berlin 2026-03-29T01:30:00.000Z",
            ),
            (
                "DTSTART;TZID=Europe/Berlin:20261025T023000",
                "2026-10-25T02:30:00 Europe/Berlin 2026-10-25T00:30:00.000Z",
            ),
        ] {
            assert_eq!(shown(lines), wanted, "{lines}");
        }
        let end = |lines: &str| one(&event(&format!("UID:1\r\n{lines}"))).end.unwrap();
        assert_eq!(end("DTSTART:20261201T100000Z\r\nDURATION:PT45M").at, Timestamp::parse("2026-12-01T10:45:00Z"));
        assert_eq!(end("DTSTART;VALUE=DATE:20261201\r\nDURATION:P2D").local, "2026-12-03");
    }

    /// A2.4/42, A2.4/43, A2.4/44.
    #[test]
    fn there_is_one_appointment_or_none_is_shown() {
        let count = |texts: &[&str]| {
            let found = of(texts.iter().copied());
            assert_eq!(found.one.is_some(), found.count == 1);
            found.count
        };
        let first = calendar(&event("UID:1\r\nDTSTART:20261201T100000Z"));
        let other = calendar(&event("UID:2\r\nDTSTART:20261201T100000Z"));
        assert_eq!(count(&[&first]), 1);
        assert_eq!(count(&[&first, &first]), 1, "as alternative and as file");
        assert_eq!(count(&[&first, &other]), 2);
        assert_eq!(count(&[]), 0);
        assert_eq!(count(&["hello", ""]), 0);
        assert_eq!(count(&[&calendar("BEGIN:VTODO\r\nUID:1\r\nEND:VTODO")]), 0);
        let nameless = calendar(&event("SUMMARY:x"));
        assert_eq!(count(&[&nameless]), 1);
        assert_eq!(count(&[&nameless, &nameless]), 2);
        let occurrence = event("UID:1\r\nRECURRENCE-ID:20261208T100000Z\r\nSUMMARY:moved");
        let series = event("UID:1\r\nDTSTART:20261201T100000Z\r\nRRULE:FREQ=WEEKLY\r\nSUMMARY:weekly");
        let both = calendar(&format!("{occurrence}\r\n{series}"));
        assert_eq!(count(&[&both]), 1);
        let found = of([both.as_str()].into_iter()).one.unwrap();
        assert_eq!((found.summary.as_deref(), found.recurring), (Some("weekly"), true));
    }

    #[test]
    fn a_reply_says_what_its_sender_answers() {
        for (word, wanted) in [
            ("ACCEPTED", Some(Answer::Accepted)),
            ("declined", Some(Answer::Declined)),
            ("TENTATIVE", Some(Answer::Tentative)),
            ("X-PERHAPS", None),
        ] {
            let reply =
                format!("METHOD:reply\r\n{}", event(&format!("UID:1\r\nATTENDEE;PARTSTAT={word}:mailto:a@x.org")));
            let found = one(&reply);
            assert_eq!((found.method.as_deref(), found.reply_status), (Some("REPLY"), wanted), "{word}");
        }
        let request =
            one(&format!("METHOD:REQUEST\r\n{}", event("UID:1\r\nATTENDEE;PARTSTAT=ACCEPTED:mailto:a@x.org")));
        assert_eq!(request.reply_status, None);
        assert_eq!(
            one(&format!("METHOD:DECLINECOUNTER\r\n{}", event("UID:1"))).method.as_deref(),
            Some("DECLINECOUNTER")
        );
        assert_eq!(one(&event("UID:1")).method, None);
    }

    #[test]
    fn hostile_calendars_complete() {
        let mail = |ics: &str| format!("From: a@example.com\r\nContent-Type: text/calendar\r\n\r\n{ics}").into_bytes();
        let good = calendar(&event("UID:1\r\nDTSTART:20261201T100000Z\r\nDURATION:PT1H"));
        let mut shapes: Vec<String> = (0..good.len()).step_by(3).map(|end| good[..end].to_owned()).collect();
        shapes.extend([
            "BEGIN:VEVENT\r\n".repeat(50_000),
            "BEGIN:VCALENDAR\r\n".repeat(50_000),
            "END:VCALENDAR\r\n".repeat(50_000),
            calendar(&event("UID:1\r\n").repeat(5_000)),
            calendar(&event(&format!("UID:1\r\n{}", "ATTENDEE:mailto:a@example.com\r\n".repeat(20_000)))),
            calendar(&event(&format!("UID:{}", "x".repeat(500_000)))),
            calendar(&event(&format!("SUMMARY;{}:x", "X-A=b;".repeat(50_000)))),
            calendar(&event("UID:1\r\nDTSTART:99999999T999999Z\r\nDURATION:P99999999999999999999W")),
            calendar(&event("UID:1\r\nDTSTART;TZID=Europe/Berlin:00000101T000000\r\nDURATION:-P9999999W")),
            calendar(&event("UID:1\r\nDTSTART;VALUE=DATE:99991231\r\nDURATION:P99999999D")),
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID\nDTSTART\n:\n;;;=\n\"\n".to_owned(),
            "\u{feff}BEGIN:VCALENDAR\rBEGIN:VEVENT\r".to_owned(),
        ]);
        for shape in shapes {
            let found = appointments(&mail(&shape));
            assert!(found.count <= 50_000, "{}", &shape[..shape.len().min(60)]);
        }
        assert_eq!(appointments(&mail(&good)).count, 1);
    }
}
