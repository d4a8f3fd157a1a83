use serde_json::{Value, json};

use super::*;

fn settled(invite: Value) -> Result<String, String> {
    let request = json!({"to": ["Bob <bob@example.org>", "eve@bücher.example"], "subject": "Lunch", "invite": invite});
    let mut request: SendRequest = serde_json::from_value(request).unwrap();
    let from = Address::parse("Ada, \"Countess\" <ada@example.test>").unwrap_or(Address {
        name: Some("Ada \"of\" Lovelace; Countess".to_owned()),
        address: "ada@example.test".to_owned(),
    });
    settle(&mut request, &from, "1@example.test", Timestamp(0)).map_err(|problem| problem.errors[0].pointer.clone())?;
    Ok(request.invite.unwrap().ics.unwrap())
}

#[test]
fn a_request_in_local_time_is_written_in_utc() {
    let ics = settled(json!({
        "method": "request", "start": "2026-07-01T12:00", "end": "2026-07-01T13:00:00", "timezone": "Europe/Berlin",
        "location": "Café; 2nd floor, left", "description": "One\r\ntwo\\three", "url": "https://example.test/e",
    }))
    .unwrap();
    for line in [
        "METHOD:REQUEST",
        "DTSTAMP:19700101T000000Z",
        "DTSTART:20260701T100000Z",
        "DTEND:20260701T110000Z",
        "UID:1@example.test",
        "SEQUENCE:0",
        "STATUS:CONFIRMED",
        "SUMMARY:Lunch",
        "LOCATION:Café\\; 2nd floor\\, left",
        "DESCRIPTION:One\\ntwo\\\\three",
        "URL:https://example.test/e",
        "ORGANIZER;CN=\"Ada 'of' Lovelace; Countess\":mailto:ada@example.test",
    ] {
        assert!(ics.contains(&format!("\r\n{line}\r\n")), "{line}: {ics}");
    }
    let unfolded = ics.replace("\r\n ", "");
    let bob = "ATTENDEE;CN=Bob;PARTSTAT=NEEDS-ACTION;ROLE=REQ-PARTICIPANT;RSVP=TRUE:mailto:bob@example.org\r\n";
    assert!(unfolded.contains(bob) && unfolded.contains(":mailto:eve@xn--bcher-kva.example\r\n"), "{unfolded}");
    assert!(ics.split("\r\n").all(|line| line.len() <= 75), "RFC 5545 §3.1");
    assert!(!ics.replace("\r\n", "").contains(['\r', '\n']) && ics.ends_with("END:VCALENDAR\r\n"));
    assert_eq!(calendar_method(&ics).as_deref(), Some("REQUEST"));
}

#[test]
fn a_reply_and_a_cancellation_name_the_event() {
    let person = json!({"address": "ada@example.test", "participation": "accepted"});
    let reply = json!({"method": "reply", "uid": "7@x.example", "organizer": "bob@example.org", "attendees": [person]});
    let ics = settled(reply).unwrap();
    assert!(ics.contains("METHOD:REPLY\r\n") && ics.contains("ATTENDEE;PARTSTAT=ACCEPTED:mailto:ada@example.test\r\n"));
    assert!(ics.contains("ORGANIZER:mailto:bob@example.org\r\n") && !ics.contains("STATUS:"), "{ics}");
    let ics = settled(json!({"method": "cancel", "uid": "7@x.example", "sequence": 3, "start": "2026-12-01"})).unwrap();
    assert!(ics.contains("STATUS:CANCELLED\r\n") && ics.contains("SEQUENCE:3\r\n"), "{ics}");
    assert!(ics.contains("DTSTART;VALUE=DATE:20261201\r\n"), "{ics}");
}

#[test]
fn what_makes_no_invitation_is_named() {
    let request = |field: &str, value: Value| {
        let mut invite = json!({"method": "request", "start": "2026-07-01T12:00:00Z"});
        invite[field] = value;
        settled(invite).unwrap_err()
    };
    assert_eq!(request("method", Value::Null), "/invite/method");
    assert_eq!(request("start", Value::Null), "/invite/start");
    assert_eq!(request("start", json!("tomorrow")), "/invite/start");
    assert_eq!(request("start", json!("2026-07-01T12:00")), "/invite/timezone");
    assert_eq!(request("timezone", json!("Mars/Olympus")), "/invite/timezone");
    assert_eq!(request("end", json!("2026-07-01T12:00:00Z")), "/invite/end");
    assert_eq!(request("end", json!("2026-07-02")), "/invite/end");
    assert_eq!(request("uid", json!("a\r\nMETHOD:CANCEL")), "/invite/uid");
    assert_eq!(request("url", json!("nowhere")), "/invite/url");
    assert_eq!(request("ics", json!("BEGIN:VCALENDAR")), "/invite/ics");
    let skipped = json!({"method": "request", "start": "2026-03-29T02:30", "timezone": "Europe/Berlin"});
    assert_eq!(settled(skipped).unwrap_err(), "/invite/start");
    assert_eq!(settled(json!({"method": "cancel"})).unwrap_err(), "/invite/uid");
    assert_eq!(settled(json!({"method": "reply", "uid": "1"})).unwrap_err(), "/invite/organizer");
    let silent = json!({"method": "reply", "uid": "1", "organizer": "bob@example.org"});
    assert_eq!(settled(silent).unwrap_err(), "/invite/attendees");
}

#[test]
fn a_finished_calendar_is_taken_as_it_is() {
    let event = "BEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\nEND:VEVENT\r\n";
    let ics = |head: &str| format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{head}{event}END:VCALENDAR\r\n");
    let good = ics("METHOD:COUNTER\r\n");
    assert_eq!(settled(json!({"ics": good})).unwrap(), good);
    assert_eq!(calendar_method(&good).as_deref(), Some("COUNTER"));
    for bad in
        [ics(""), ics("METHOD:A\r\nMETHOD:B\r\n"), ics("METHOD:a;b\r\n"), "x".to_owned(), ics("METHOD:A\r\nX:\0\r\n")]
    {
        assert_eq!(settled(json!({"ics": bad})).unwrap_err(), "/invite/ics", "{bad}");
    }
}
