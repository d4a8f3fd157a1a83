//! What has split headers and smuggled messages elsewhere.

use super::{attachment, empty, mailbox, refused};
use crate::mail::compose::{Attachment, Draft, compose};
use crate::mail::parse;

/// Everything that has split a header somewhere.
const INJECTIONS: [&str; 12] = [
    "x\r\nBcc: e@evil.example",
    "x\nBcc: e@evil.example",
    "x\rBcc: e@evil.example",
    "x\r\n\r\nbody",
    "x\r\n y",
    "\r\n",
    "x\0y",
    "x\u{b}y",
    "x\u{c}y",
    "x\u{1b}[2J",
    "x\u{7f}y",
    "x\u{85}y",
];

/// Tries each of them in a draft that `fill` makes, and expects it to be refused there.
fn each(pointer: &str, code: &str, fill: impl Fn(&str, &dyn Fn(&Draft<'_>))) {
    for bad in INJECTIONS {
        fill(bad, &|draft| assert_eq!(refused(draft), (pointer.to_owned(), code), "{bad:?}"));
    }
}

#[test]
fn no_subject_or_name_splits_a_header() {
    let good = mailbox("A", "a@example.com");
    let draft = empty(&good, "1@example.com");
    let code = "invalid_address";
    each("/subject", "invalid_subject", |bad, check| check(&Draft { subject: bad, ..draft.clone() }));
    each("/from/name", code, |bad, check| {
        check(&Draft { from: &mailbox(bad, "a@example.com"), ..draft.clone() });
    });
    each("/sender/name", code, |bad, check| {
        check(&Draft { sender: Some(&mailbox(bad, "a@example.com")), ..draft.clone() });
    });
    each("/cc/0/name", code, |bad, check| {
        check(&Draft { cc: &[mailbox(bad, "a@example.com")], ..draft.clone() });
    });
    each("/replyTo/0/name", code, |bad, check| {
        check(&Draft { reply_to: &[mailbox(bad, "a@example.com")], ..draft.clone() });
    });
}

#[test]
fn no_address_or_id_splits_a_header() {
    let good = mailbox("A", "a@example.com");
    let draft = empty(&good, "1@example.com");
    each("/from/address", "invalid_address", |bad, check| {
        check(&Draft { from: &mailbox("", &format!("a{bad}@example.com")), ..draft.clone() });
    });
    each("/to/1/address", "invalid_address", |bad, check| {
        let to = [good.clone(), mailbox("", &format!("a@example.com{bad}"))];
        check(&Draft { to: &to, ..draft.clone() });
    });
    let code = "invalid_message_id";
    each("/messageId", code, |bad, check| check(&Draft { message_id: bad, ..draft.clone() }));
    each("/inReplyTo/0", code, |bad, check| {
        check(&Draft { in_reply_to: &[format!("<1@example.com{bad}>")], ..draft.clone() });
    });
    each("/references/0", code, |bad, check| {
        check(&Draft { references: &[format!("<{bad}1@example.com>")], ..draft.clone() });
    });
}

#[test]
fn no_further_header_splits_a_header() {
    let good = mailbox("A", "a@example.com");
    let draft = empty(&good, "1@example.com");
    each("/headers/0/values/1", "invalid_header", |bad, check| {
        let headers = [("X-A".to_owned(), vec!["ok".to_owned(), bad.to_owned()])];
        check(&Draft { headers: &headers, ..draft.clone() });
    });
    each("/headers/1/name", "invalid_header", |bad, check| {
        let headers = [("X-A".to_owned(), vec![]), (format!("X{bad}"), vec!["ok".to_owned()])];
        check(&Draft { headers: &headers, ..draft.clone() });
    });
}

#[test]
fn no_file_splits_a_header() {
    let good = mailbox("A", "a@example.com");
    let draft = empty(&good, "1@example.com");
    each("/attachments/0/filename", "invalid_attachment", |bad, check| {
        let file = attachment(&format!("a{bad}.pdf"), "application/pdf", b"x");
        check(&Draft { attachments: &[file], ..draft.clone() });
    });
    each("/attachments/0/contentType", "invalid_content_type", |bad, check| {
        let file = attachment("a.pdf", &format!("application/pdf{bad}"), b"x");
        check(&Draft { attachments: &[file], ..draft.clone() });
    });
    each("/attachments/0/contentId", "invalid_attachment", |bad, check| {
        let file = Attachment { content_id: Some(bad.to_owned()), ..attachment("a.pdf", "", b"x") };
        check(&Draft { attachments: &[file], ..draft.clone() });
    });
}

#[test]
fn reserved_and_malformed_header_names_are_refused() {
    let from = mailbox("", "a@example.com");
    let long = "X".repeat(77);
    for name in [
        "From",
        "fRoM",
        "Sender",
        "Reply-To",
        "To",
        "Cc",
        "Bcc",
        "BCC",
        "Subject",
        "Date",
        "Message-ID",
        "Received",
        "Return-Path",
        "DKIM-Signature",
        "dkim-x",
        "ARC-Seal",
        "Resent-To",
        "Content-Type",
        "content-anything",
        "MIME-Version",
        "Authentication-Results",
        "X-Priority",
        "Importance",
        "",
        "X A",
        "X:",
        "X-Ä",
        ":",
        " X",
        &long,
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
        "\r.\r",
        "\n.\n",
        "\r\n.\r\n",
        ".",
        "..",
        "\0",
        "\r",
        "\n",
        "\r\r\n",
        "\n\r",
        "\u{1b}",
        "\u{7f}",
        "a",
        " ",
        "\t",
        "=",
        "=0D=0A",
        "--",
        "From ",
        "ł",
        "\u{2028}",
        "\u{feff}",
        "🙂",
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
        let files = [
            attachment("a.txt", "text/plain", body.as_bytes()),
            attachment("a.eml", "message/rfc822", body.as_bytes()),
        ];
        let draft =
            Draft { text: Some(&body), html: Some(&body), attachments: &files, ..empty(&from, "1@example.com") };
        let bytes = compose(&draft).unwrap().bytes;
        assert_wire(&bytes);
        let lines = body.replace("\r\n", "\n").replace('\r', "\n");
        assert_eq!(parse::attachment(&bytes, 4).unwrap().1, body.as_bytes(), "{body:?}");
        let read = parse::text(&bytes).unwrap_or_default();
        assert_eq!(
            read.trim_end_matches('\n').trim_start_matches('\u{feff}').trim_end(),
            lines.trim_end_matches('\n').trim_start_matches('\u{feff}').trim_end(),
            "{body:?}"
        );
    }
}
