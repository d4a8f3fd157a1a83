mod hostile;
mod raw;

use super::{Attachment, Calendar, ComposeError, Composed, Disposition, Draft, Mailbox, Priority, addr_spec, compose};
use bytes::Bytes;
use time::OffsetDateTime;
use time::macros::datetime;

fn mailbox(name: &str, address: &str) -> Mailbox {
    Mailbox { name: (!name.is_empty()).then(|| name.to_owned()), address: address.to_owned() }
}

/// A draft with nothing in it but what must be there.
fn empty<'a>(from: &'a Mailbox, message_id: &'a str) -> Draft<'a> {
    Draft {
        from,
        sender: None,
        reply_to: &[],
        to: &[],
        cc: &[],
        subject: "",
        text: None,
        html: None,
        headers: &[],
        priority: None,
        attachments: &[],
        message_id,
        date: OffsetDateTime::UNIX_EPOCH,
        in_reply_to: &[],
        references: &[],
        calendar: None,
    }
}

fn attachment(filename: &str, content_type: &str, content: &[u8]) -> Attachment {
    Attachment {
        filename: filename.to_owned(),
        content_type: content_type.to_owned(),
        content: Bytes::copy_from_slice(content),
        disposition: Disposition::Attachment,
        content_id: None,
    }
}

#[track_caller]
fn check(draft: &Draft<'_>, expected: &[u8]) {
    let composed = compose(draft).unwrap();
    assert_eq!(String::from_utf8_lossy(&composed.bytes), String::from_utf8_lossy(expected));
    assert_eq!(compose(draft).unwrap().bytes, composed.bytes, "the same draft, other bytes");
    assert!(!composed.needs_8bit && !composed.needs_smtputf8);
}

#[test]
fn a_text_in_polish() {
    let from = mailbox("E-Invoice", "invoice@example.com");
    let to = [mailbox("", "a@example.org"), mailbox("Kowalski, Jan", "jan@example.org")];
    let draft = Draft {
        to: &to,
        subject: "Faktura za usługi",
        text: Some("Dzień dobry,\nw załączeniu faktura.\r\n.\r"),
        date: datetime!(2026-03-03 10:05:07 +01:00),
        ..empty(&from, "<1@example.com>")
    };
    check(&draft, include_bytes!("../golden/text.eml"));
}

#[test]
fn everything_at_once() {
    let from = mailbox("", "invoice@example.com");
    let sender = mailbox("Robot", "robot@example.com");
    let picture = Attachment {
        disposition: Disposition::Inline,
        content_id: Some("<logo>".to_owned()),
        ..attachment("logo.png", "image/png", b"\x89PNG")
    };
    let headers = [
        ("X-Ticket".to_owned(), vec!["42".to_owned(), "43".to_owned()]),
        ("X-Owner".to_owned(), vec!["Jürgen".to_owned()]),
    ];
    let draft = Draft {
        sender: Some(&sender),
        reply_to: &[mailbox("", "help@example.com")],
        to: &[mailbox(" ", "a@MÜNCHEN.example")],
        cc: &[mailbox("Jürgen", "j@example.org")],
        subject: "Document attached F001/202401",
        text: Some("Hello"),
        html: Some("<p>Hello <img src=\"cid:logo\"></p>"),
        headers: &headers,
        priority: Some(Priority::High),
        attachments: &[picture, attachment("Jahresabschluß 2024.pdf", "", b"%PDF-1.4\n")],
        date: datetime!(2026-03-03 09:05:07 UTC),
        in_reply_to: &["<x@example.org>".to_owned()],
        references: &["<w@example.org>".to_owned(), "x@example.org".to_owned()],
        ..empty(&from, "2@example.com")
    };
    check(&draft, include_bytes!("../golden/full.eml"));
}

#[test]
fn only_blind_recipients_and_a_long_subject() {
    let from = mailbox("", "a@example.com");
    let subject = "aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeee fffffffff ggggggggg hhhhhhhhh iiiiiiiii";
    check(&Draft { subject, ..empty(&from, "3@example.com") }, include_bytes!("../golden/blind.eml"));
}

/// What is refused: pointer and code.
#[track_caller]
fn refused(draft: &Draft<'_>) -> (String, &'static str) {
    let ComposeError { pointer, code, detail } = compose(draft).unwrap_err();
    assert!(!detail.is_empty());
    (pointer, code)
}

#[test]
fn addresses_are_checked_and_domains_become_ascii() {
    for (given, expected) in [
        ("a@example.com", "a@example.com"),
        ("a+b=c@Example.COM", "a+b=c@example.com"),
        ("\"a b\"@example.com", "\"a b\"@example.com"),
        ("\"a\\\"@b\"@example.com", "\"a\\\"@b\"@example.com"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("a@[127.0.0.1]", "a@[127.0.0.1]"),
        ("a@[IPv6:::1]", "a@[IPv6:::1]"),
        ("a@localhost", "a@localhost"),
    ] {
        let spec = addr_spec(given).unwrap();
        assert_eq!((spec.address.as_str(), spec.smtputf8), (expected, false));
    }
    let long = format!("{}@example.com", "a".repeat(243));
    for bad in [
        "",
        "a",
        "@",
        "a@",
        "@example.com",
        "a..b@example.com",
        ".a@example.com",
        "a.@example.com",
        "a b@example.com",
        "a@b@example.com",
        "<a@example.com>",
        "a@example.com>",
        "a@exa mple.com",
        "a@-example.com",
        "a@example..com",
        "a@example.com.",
        "a@[127.0.0.256]",
        "a@[::1]",
        "a@ex_ample.com",
        "\"a@example.com",
        "\"a\"b\"@example.com",
        "\"a\\\"@example.com",
        "a,b@example.com",
        "a;@example.com",
        &long,
    ] {
        assert!(addr_spec(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_local_part_beyond_ascii_needs_smtputf8() {
    let from = mailbox("", "jürgen@bücher.example");
    let Composed { bytes, needs_8bit, needs_smtputf8 } = compose(&empty(&from, "1@example.com")).unwrap();
    assert!(needs_8bit && needs_smtputf8);
    assert!(memchr::memmem::find(&bytes, "From: <jürgen@xn--bcher-kva.example>\r\n".as_bytes()).is_some());
}

#[test]
fn an_attached_message_is_not_encoded_unless_it_must() {
    let from = mailbox("", "a@example.com");
    let plain = [attachment("a.eml", "message/rfc822", b"Subject: x\n\ny\n")];
    let bytes = compose(&Draft { attachments: &plain, ..empty(&from, "1@example.com") }).unwrap().bytes;
    let text = String::from_utf8(bytes).unwrap();
    assert!(
        text.contains("Content-Type: message/rfc822; name=\"a.eml\"\r\nContent-Transfer-Encoding: 7bit\r\n"),
        "{text}"
    );
    assert!(text.contains("\r\n\r\nSubject: x\r\n\r\ny\r\n"), "{text}");
    let eight = [attachment("a.eml", "message/rfc822", "Subject: ł\n\ny\n".as_bytes())];
    let bytes = compose(&Draft { attachments: &eight, ..empty(&from, "1@example.com") }).unwrap().bytes;
    let text = String::from_utf8(bytes).unwrap();
    assert!(
        text.contains(
            "Content-Type: application/octet-stream; name=\"a.eml\"\r\nContent-Transfer-Encoding: base64\r\n"
        ),
        "{text}"
    );
}

#[test]
fn a_body_that_holds_the_boundary_gets_another() {
    let from = mailbox("", "a@example.com");
    let draft = Draft { text: Some("x"), html: Some("x"), ..empty(&from, "1@example.com") };
    let first = String::from_utf8(compose(&draft).unwrap().bytes).unwrap();
    let boundary = first.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let attack = format!("--{boundary}--");
    let second = String::from_utf8(compose(&Draft { text: Some(&attack), ..draft }).unwrap().bytes).unwrap();
    assert!(!second.contains(&format!("boundary=\"{boundary}\"")));
}

#[test]
fn content_types_are_checked() {
    let from = mailbox("", "a@example.com");
    for (given, written) in [
        ("", "application/octet-stream;"),
        ("text/csv; charset=utf-8; header=present", "text/csv; charset=\"utf-8\"; header=\"present\";"),
        ("IMAGE/PNG", "image/png;"),
    ] {
        let files = [attachment("a.unknown", given, b"x")];
        let bytes = compose(&Draft { attachments: &files, ..empty(&from, "1@example.com") }).unwrap().bytes;
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(&format!("Content-Type: {written}")), "{text}");
    }
    for bad in ["pdf", "a/b/c", "multipart/mixed; boundary=x", "application/", "/pdf", "a b/c", "text/plän"] {
        let files = [attachment("a", bad, b"x")];
        let draft = Draft { attachments: &files, ..empty(&from, "1@example.com") };
        assert_eq!(refused(&draft).0, "/attachments/0/contentType", "{bad}");
    }
}

#[test]
fn a_calendar_is_the_last_rendering() {
    let from = mailbox("", "a@example.com");
    let calendar = Some(Calendar { method: "REQUEST", ics: "BEGIN:VCALENDAR\nEND:VCALENDAR" });
    let draft = Draft { text: Some("Come"), html: Some("<p>Come"), calendar, ..empty(&from, "1@example.com") };
    let text = String::from_utf8(compose(&draft).unwrap().bytes).unwrap();
    let places = ["text/plain", "text/html", "text/calendar"].map(|kind| text.find(&format!("Content-Type: {kind}")));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
    assert!(text.contains("multipart/alternative") && text.contains("method=\"REQUEST\""), "{text}");
    assert!(text.contains("\r\n\r\nBEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"), "{text}");
}
