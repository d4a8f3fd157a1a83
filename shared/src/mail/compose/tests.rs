use super::{Attachment, ComposeError, Composed, Disposition, Draft, Mailbox, Priority, addr_spec, compose};
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
    check(&draft, include_bytes!("golden/text.eml"));
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
    check(&draft, include_bytes!("golden/full.eml"));
}

#[test]
fn only_blind_recipients_and_a_long_subject() {
    let from = mailbox("", "a@example.com");
    let subject = "aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeee fffffffff ggggggggg hhhhhhhhh iiiiiiiii";
    check(&Draft { subject, ..empty(&from, "3@example.com") }, include_bytes!("golden/blind.eml"));
}

/// What is refused: pointer and code.
#[track_caller]
fn refused(draft: &Draft<'_>) -> (String, &'static str) {
    let ComposeError { pointer, code, detail } = compose(draft).unwrap_err();
    assert!(!detail.is_empty());
    (pointer, code)
}

/// Everything that has split a header somewhere.
const INJECTIONS: [&str; 12] = [
    "x\r\nBcc: e@evil.example", "x\nBcc: e@evil.example", "x\rBcc: e@evil.example", "x\r\n\r\nbody", "x\r\n y", "\r\n",
    "x\0y", "x\u{b}y", "x\u{c}y", "x\u{1b}[2J", "x\u{7f}y", "x\u{85}y",
];

#[test]
fn no_value_splits_a_header() {
    for bad in INJECTIONS {
        let good = mailbox("A", "a@example.com");
        let draft = empty(&good, "1@example.com");
        let named = mailbox(bad, "a@example.com");
        let addressed = mailbox("", &format!("a{bad}@example.com"));
        let at_domain = mailbox("", &format!("a@example.com{bad}"));
        let id = [format!("<1@example.com{bad}>")];
        assert_eq!(refused(&Draft { subject: bad, ..draft.clone() }), ("/subject".into(), "invalid_subject"));
        assert_eq!(refused(&Draft { from: &named, ..draft.clone() }), ("/from/name".into(), "invalid_address"));
        assert_eq!(refused(&Draft { from: &addressed, ..draft.clone() }), ("/from/address".into(), "invalid_address"));
        assert_eq!(refused(&Draft { sender: Some(&named), ..draft.clone() }), ("/sender/name".into(), "invalid_address"));
        assert_eq!(refused(&Draft { to: &[good.clone(), at_domain], ..draft.clone() }), ("/to/1/address".into(), "invalid_address"));
        assert_eq!(refused(&Draft { cc: &[named.clone()], ..draft.clone() }), ("/cc/0/name".into(), "invalid_address"));
        assert_eq!(refused(&Draft { reply_to: &[named.clone()], ..draft.clone() }), ("/replyTo/0/name".into(), "invalid_address"));
        assert_eq!(refused(&Draft { message_id: bad, ..draft.clone() }), ("/messageId".into(), "invalid_message_id"));
        assert_eq!(refused(&Draft { in_reply_to: &id, ..draft.clone() }), ("/inReplyTo/0".into(), "invalid_message_id"));
        assert_eq!(refused(&Draft { references: &id, ..draft.clone() }), ("/references/0".into(), "invalid_message_id"));
        let headers = [("X-A".to_owned(), vec!["ok".to_owned(), bad.to_owned()])];
        assert_eq!(refused(&Draft { headers: &headers, ..draft.clone() }), ("/headers/0/values/1".into(), "invalid_header"));
        let headers = [("X-A".to_owned(), vec![]), (format!("X{bad}"), vec!["ok".to_owned()])];
        assert_eq!(refused(&Draft { headers: &headers, ..draft.clone() }), ("/headers/1/name".into(), "invalid_header"));
        let file = [attachment(&format!("a{bad}.pdf"), "application/pdf", b"x")];
        assert_eq!(refused(&Draft { attachments: &file, ..draft.clone() }), ("/attachments/0/filename".into(), "invalid_attachment"));
        let file = [attachment("a.pdf", &format!("application/pdf{bad}"), b"x")];
        assert_eq!(refused(&Draft { attachments: &file, ..draft.clone() }), ("/attachments/0/contentType".into(), "invalid_content_type"));
        let file = [Attachment { content_id: Some(bad.to_owned()), ..attachment("a.pdf", "", b"x") }];
        assert_eq!(refused(&Draft { attachments: &file, ..draft.clone() }), ("/attachments/0/contentId".into(), "invalid_attachment"));
    }
}

#[test]
fn reserved_and_malformed_header_names_are_refused() {
    let from = mailbox("", "a@example.com");
    let long = "X".repeat(77);
    for name in [
        "From", "fRoM", "Sender", "Reply-To", "To", "Cc", "Bcc", "BCC", "Subject", "Date", "Message-ID", "Received",
        "Return-Path", "DKIM-Signature", "dkim-x", "ARC-Seal", "Resent-To", "Content-Type", "content-anything",
        "MIME-Version", "Authentication-Results", "X-Priority", "Importance", "", "X A", "X:", "X-Ä", ":", " X", &long,
    ] {
        let headers = [(name.to_owned(), vec!["v".to_owned()])];
        let draft = Draft { headers: &headers, ..empty(&from, "1@example.com") };
        assert_eq!(refused(&draft), ("/headers/0/name".into(), "invalid_header"), "{name}");
    }
    let headers = [("References".to_owned(), vec!["<a@b>".to_owned()])];
    let draft = Draft { headers: &headers, ..empty(&from, "1@example.com") };
    assert!(compose(&draft).is_ok());
    let references = ["<c@d>".to_owned()];
    assert_eq!(refused(&Draft { references: &references, ..draft }).0, "/headers/0/name");
}

#[test]
fn values_that_cannot_be_folded_are_refused() {
    let from = mailbox("", "a@example.com");
    for (length, fits) in [(900, true), (901, false)] {
        let headers = [("X-A".to_owned(), vec!["x".repeat(length)])];
        let draft = Draft { headers: &headers, ..empty(&from, "1@example.com") };
        assert_eq!(compose(&draft).is_ok(), fits, "{length}");
    }
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
        "", "a", "@", "a@", "@example.com", "a..b@example.com", ".a@example.com", "a.@example.com", "a b@example.com",
        "a@b@example.com", "<a@example.com>", "a@example.com>", "a@exa mple.com", "a@-example.com", "a@example..com",
        "a@example.com.", "a@[127.0.0.256]", "a@[::1]", "a@ex_ample.com", "\"a@example.com", "\"a\"b\"@example.com",
        "\"a\\\"@example.com", "a,b@example.com", "a;@example.com", &long,
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

/// No body may leave as bytes that a server could take for the end of the message or for another line.
#[track_caller]
fn assert_wire(bytes: &[u8]) {
    assert!(bytes.ends_with(b"\r\n") && bytes.is_ascii());
    for line in bytes[..bytes.len() - 2].split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(line.len() <= 998 && !line.contains(&b'\r') && !line.contains(&0));
    }
    assert_eq!(bytes.iter().filter(|&&b| b == b'\r').count(), bytes.iter().filter(|&&b| b == b'\n').count());
}

#[test]
fn hostile_bodies_stay_in_their_lines() {
    let pieces = [
        "\r.\r", "\n.\n", "\r\n.\r\n", ".", "..", "\0", "\r", "\n", "\r\r\n", "\n\r", "\u{1b}", "\u{7f}", "a", " ", "\t", "=",
        "=0D=0A", "--", "From ", "ł", "\u{2028}", "\u{feff}", "🙂",
    ];
    let from = mailbox("", "a@example.com");
    // Every pair, then long mixtures in an order that a small generator fixes.
    let pairs = pieces.iter().flat_map(|a| pieces.iter().map(move |b| format!("{a}{b}")));
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        pieces[(state >> 16) as usize % pieces.len()]
    };
    let mixtures = (0..200).map(|n| (0..n * 3).map(|_| next()).collect::<String>()).collect::<Vec<_>>();
    let long = ["x".repeat(3_000), "x ".repeat(3_000), "ł".repeat(3_000), ".\r\n".repeat(500), "\0".repeat(3_000)];
    for body in pairs.chain(mixtures).chain(long) {
        let files = [attachment("a.txt", "text/plain", body.as_bytes()), attachment("a.eml", "message/rfc822", body.as_bytes())];
        let draft = Draft { text: Some(&body), html: Some(&body), attachments: &files, ..empty(&from, "1@example.com") };
        let bytes = compose(&draft).unwrap().bytes;
        assert_wire(&bytes);
        let lines = body.replace("\r\n", "\n").replace('\r', "\n");
        assert_eq!(super::super::parse::attachment(&bytes, 4).unwrap().1, body.as_bytes(), "{body:?}");
        let read = super::super::parse::text(&bytes).unwrap_or_default();
        assert_eq!(read.trim_end_matches('\n').trim_start_matches('\u{feff}').trim_end(), lines.trim_end_matches('\n').trim_start_matches('\u{feff}').trim_end(), "{body:?}");
    }
}

#[test]
fn an_attached_message_is_not_encoded_unless_it_must() {
    let from = mailbox("", "a@example.com");
    let plain = [attachment("a.eml", "message/rfc822", b"Subject: x\n\ny\n")];
    let bytes = compose(&Draft { attachments: &plain, ..empty(&from, "1@example.com") }).unwrap().bytes;
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("Content-Type: message/rfc822; name=\"a.eml\"\r\nContent-Transfer-Encoding: 7bit\r\n"), "{text}");
    assert!(text.contains("\r\n\r\nSubject: x\r\n\r\ny\r\n"), "{text}");
    let eight = [attachment("a.eml", "message/rfc822", "Subject: ł\n\ny\n".as_bytes())];
    let bytes = compose(&Draft { attachments: &eight, ..empty(&from, "1@example.com") }).unwrap().bytes;
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("Content-Type: application/octet-stream; name=\"a.eml\"\r\nContent-Transfer-Encoding: base64\r\n"), "{text}");
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
