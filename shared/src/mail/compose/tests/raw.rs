//! Whole messages: what is completed, what is refused.

use time::macros::datetime;

use crate::mail::compose::{Raw, raw};

fn given(message: &str) -> Result<Raw, (&'static str, String)> {
    let own = |from: &crate::model::Address| format!("<own@{}>", from.domain());
    raw(message.as_bytes(), own, datetime!(2026-03-03 09:05:07 UTC)).map_err(|error| {
        assert_eq!(error.pointer, "/raw");
        (error.code, error.detail)
    })
}

#[test]
fn lines_bcc_date_and_id_are_put_right() {
    let message = "From: \"Ada, (not eve@x)\" <ada@example.test>\nTo: bob@example.org,\n\tTeam: eve@example.org;\r\nbcc: hidden@example.org,\r\n \
                   BOB@example.org\rSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n\n.\nline\r\rend";
    let raw = given(message).unwrap();
    let wanted = "From: \"Ada, (not eve@x)\" <ada@example.test>\r\nTo: bob@example.org,\r\n\tTeam: eve@example.org;\r\n\
                  Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nDate: Tue, 3 Mar 2026 09:05:07 +0000\r\n\
                  Message-ID: <own@example.test>\r\n\r\n.\r\nline\r\n\r\nend\r\n";
    assert_eq!(String::from_utf8(raw.bytes).unwrap(), wanted);
    let recipients: Vec<_> = raw.recipients.iter().map(|address| address.address.as_str()).collect();
    assert_eq!(recipients, ["bob@example.org", "eve@example.org", "hidden@example.org"]);
    assert_eq!((raw.from.address.as_str(), raw.subject.as_deref()), ("ada@example.test", Some("Grüße")));
    assert_eq!(raw.message_id, "<own@example.test>");
}

#[test]
fn what_is_right_stays_as_it_is() {
    let message = "Date: Tue, 3 Mar 2026 09:05:07 +0000\r\nMessage-ID: <x@y>\r\nFrom: ada@example.test\r\n\
                   X-Long: a\r\n b\r\n\r\nx\r\n";
    let raw = given(message).unwrap();
    assert_eq!((String::from_utf8(raw.bytes).unwrap().as_str(), raw.message_id.as_str()), (message, "<x@y>"));
    let again = given(message).unwrap();
    assert_eq!(again.recipients.len(), 0);
    assert!(given("From: a@b.test\r\n").unwrap().bytes.ends_with(b"\r\n\r\n"), "no body at all");
}

#[test]
fn what_must_not_leave_is_refused_by_name() {
    let head = "From: ada@example.test\r\n";
    let long = format!("{head}\r\n{}", "x".repeat(999));
    let huge = format!("{head}{}\r\nx", "X-A: b\r\n".repeat(9_000));
    for (message, code) in [
        ("From: ada@example.test\r\nX: a\0b\r\n\r\nx", "invalid_message"),
        (long.as_str(), "invalid_message"),
        (huge.as_str(), "invalid_header"),
        ("To: bob@example.org\r\n\r\nx", "invalid_address"),
        ("From: ada@example.test, eve@example.org\r\n\r\nx", "invalid_address"),
        ("From: ada@example.test\r\nFrom: ada@example.test\r\n\r\nx", "invalid_header"),
        ("From: ada@exa_mple.test\r\n\r\nx", "invalid_address"),
        ("From: <ada@example.test> eve@example.org\r\n\r\nx", "invalid_address"),
        ("From: eve@example.org <ada@example.test>\r\n\r\nx", "invalid_address"),
        ("From: (eve@example.org) ada@example.test\r\n\r\nx", "invalid_address"),
        ("From: Team: ada@example.test;\r\n\r\nx", "invalid_address"),
        ("From: ada@example.test\r\nSender: a@b.test, c@d.test\r\n\r\nx", "invalid_address"),
        ("From: ada@example.test\r\nReceived: by x\r\n\r\nx", "invalid_header"),
        ("From: ada@example.test\r\nDKIM-Signature: x\r\n\r\nx", "invalid_header"),
        ("From: ada@example.test\r\nResent-To: x@example.org\r\n\r\nx", "invalid_header"),
        ("From: ada@example.test\r\nReturn-Path: <x@example.org>\r\n\r\nx", "invalid_header"),
        ("From: ada@example.test\r\nno field\r\n\r\nx", "invalid_header"),
        (" From: ada@example.test\r\n\r\nx", "invalid_header"),
        ("\r\nFrom: ada@example.test\r\n\r\nx", "invalid_header"),
        ("From : ada@example.test\r\n\r\nx", "invalid_header"),
        ("From: ada@example.test\r\nX: a\r\n \r\n b\r\n\r\nx", "invalid_header"),
        ("From: ada@example.test\r\nX: a\u{7}b\r\n\r\nx", "invalid_header"),
        ("From: ada@example.test\r\nMessage-ID: x\r\n\r\nx", "invalid_message_id"),
        ("From: ada@example.test\r\nTo: a b@example.org\r\n\r\nx", "invalid_address"),
    ] {
        let refused = given(message).unwrap_err();
        assert_eq!(refused.0, code, "{message:.60}: {}", refused.1);
    }
}
