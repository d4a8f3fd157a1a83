use super::filename::{clean, is_safe};
use super::{PartInfo, attachment, files, headers, html, parse, text};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One expectation of the corpus. What is not named is empty.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    parsed: Value,
    text: Option<String>,
    html: Option<String>,
    /// Decoded files in hex, by part.
    #[serde(default)]
    files: BTreeMap<u32, String>,
}

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mail/parse/golden");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut messages: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "eml")).collect();
    messages.sort();
    messages
}

/// A row as the expectations are written: without empty values, defects by code, and without sizes in which line ends
/// count (those of texts and of attached messages).
fn row(raw: &[u8]) -> Value {
    let mut row = serde_json::to_value(parse(raw)).unwrap();
    let object = row.as_object_mut().unwrap();
    object.remove("textSizes");
    for file in object["attachments"].as_array_mut().unwrap() {
        if file["contentType"] == "message/rfc822" {
            file.as_object_mut().unwrap().remove("size");
        }
    }
    let codes: Vec<Value> = object["defects"].as_array().unwrap().iter().map(|defect| defect["code"].clone()).collect();
    object.insert("defects".into(), codes.into());
    without_empty(object)
}

fn without_empty(object: &Map<String, Value>) -> Value {
    let empty = [json!(null), json!(""), json!([]), json!(false), json!(0)];
    object
        .iter()
        .filter(|(_, value)| !empty.contains(value))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect::<Map<_, _>>()
        .into()
}

fn with_line_ends(raw: &[u8], end: &[u8]) -> Vec<u8> {
    let mut result = Vec::new();
    for line in raw.split_inclusive(|&b| b == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        result.extend_from_slice(text.strip_suffix(b"\r").unwrap_or(text));
        if text.len() < line.len() {
            result.extend_from_slice(end);
        }
    }
    result
}

/// Compares one message with what was written down, and says where they differ.
fn differences(path: &Path, end: &[u8]) -> Vec<String> {
    let raw = with_line_ends(&std::fs::read(path).unwrap(), end);
    let expected: Expected = serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
    let mut found = Vec::new();
    let mut compare = |what: &str, left: Value, right: Value| {
        if left != right {
            found.push(format!("{} with {end:?}, {what}:\n  read    {left}\n  written {right}", path.display()));
        }
    };
    compare("row", row(&raw), expected.parsed);
    if expected.text.is_some() {
        compare("text", json!(text(&raw)), json!(expected.text));
    }
    compare("html", json!(html(&raw).map(|html| html.trim_end().to_owned())), json!(expected.html));
    for (part, content) in expected.files {
        let (info, bytes) = attachment(&raw, part).unwrap();
        compare("file", json!([info.part, info.size, hex::encode(&bytes)]), json!([part, bytes.len(), content]));
    }
    found
}

#[test]
fn every_message_of_the_corpus_reads_as_written_down() {
    let messages = corpus();
    let ends = [&b"\n"[..], b"\r\n"];
    let found: Vec<String> =
        messages.iter().flat_map(|path| ends.iter().flat_map(|end| differences(path, end))).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    let malformed =
        messages.iter().filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("bad-")).count();
    assert!(messages.len() >= 30, "only {} messages", messages.len());
    assert!(malformed * 3 >= messages.len(), "only {malformed} of {} are malformed", messages.len());
}

#[test]
fn files_are_the_attachments_of_the_row() {
    for path in corpus() {
        let raw = std::fs::read(&path).unwrap();
        let (infos, sizes): (Vec<PartInfo>, Vec<u64>) =
            files(&raw).map(|(info, bytes)| (info, bytes.len() as u64)).unzip();
        assert_eq!(infos, parse(&raw).attachments, "{}", path.display());
        assert_eq!(infos.iter().map(|info| info.size).collect::<Vec<_>>(), sizes, "{}", path.display());
        assert!(attachment(&raw, 4_000_000).is_none());
    }
}

#[test]
fn headers_come_in_order_decoded_and_unfolded() {
    let raw =
        b"received: one\r\nX-A: =?utf-8?Q?J=C3=BCrgen?=\r\nReceived: two\r\n folded\r\nX-A: \r\n\r\nX-B: body\r\n";
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        headers(raw),
        [pair("received", "one"), pair("X-A", "Jürgen"), pair("Received", "two folded"), pair("X-A", "")]
    );
}

#[test]
fn file_names_are_defused() {
    let long = format!("{}.pdf", "ł".repeat(200));
    let cut = format!("{}.pdf", "ł".repeat(125));
    for (given, expected) in [
        ("a.pdf", Some("a.pdf")),
        ("Zażółć gęślą.pdf", Some("Zażółć gęślą.pdf")),
        ("e\u{301}.txt", Some("é.txt")),
        ("../../etc/passwd", Some("passwd")),
        ("..\\..\\windows\\win.ini", Some("win.ini")),
        ("C:\\a.txt", Some("a.txt")),
        ("C:a.txt", Some("C_a.txt")),
        ("/", None),
        ("..", None),
        ("a/..", Some("a")),
        ("", None),
        ("   ", None),
        ("a.txt. . .", Some("a.txt")),
        (" a.txt ", Some("a.txt")),
        ("a\r\nb\0c\u{1b}.txt", Some("abc.txt")),
        ("gnp\u{202e}exe.pdf", Some("gnpexe.pdf")),
        ("a\u{2066}b\u{200b}.txt", Some("ab.txt")),
        ("CON", Some("_CON")),
        ("con.txt", Some("_con.txt")),
        ("Lpt1 .log", Some("_Lpt1 .log")),
        ("console.txt", Some("console.txt")),
        ("a<b>\"c|d?e*.txt", Some("a_b__c_d_e_.txt")),
        (".htaccess", Some(".htaccess")),
        (&long, Some(&cut)),
    ] {
        assert_eq!(clean(given).as_deref(), expected, "{given:?}");
    }
}

#[test]
fn dangerous_files_are_marked() {
    for (name, content_type, start, safe) in [
        ("a.pdf", "application/pdf", &b"%PDF"[..], true),
        ("a.docx", "application/zip", b"PK\x03\x04\x14\0\0\0", true),
        ("archive.tar.gz", "application/gzip", b"", true),
        ("version 1.2.txt", "text/plain", b"", true),
        ("a.exe", "application/pdf", b"", false),
        ("a.EXE", "application/pdf", b"", false),
        ("a.pdf.exe", "application/pdf", b"", false),
        ("a.exe.pdf", "application/pdf", b"", false),
        ("a.pdf        .js", "application/pdf", b"", false),
        ("a.js ", "application/pdf", b"", false),
        ("a.lnk", "", b"", false),
        ("a.iso", "", b"", false),
        ("a.html", "", b"", false),
        ("a.svg", "", b"", false),
        ("a.docm", "", b"", false),
        ("a", "text/html", b"", false),
        ("a", "application/x-msdownload", b"", false),
        ("a", "application/vnd.ms-excel.sheet.macroenabled.12", b"", false),
        ("gnp\u{202e}exe.pdf", "application/pdf", b"", false),
        ("a.pdf", "application/pdf", b"MZ\x90\0", false),
        ("a.zip", "application/zip", b"PK\x03\x04\x14\0\x01\0", false),
    ] {
        assert_eq!(is_safe(name, content_type, start), safe, "{name:?} {content_type}");
    }
}

/// Rows have to fit the store, whatever the message holds.
#[test]
fn a_row_stays_under_32_kilobytes() {
    let many = |item: &str, count: usize| item.repeat(count);
    let address = format!("\"{}\" <{}@example.com>, ", "ł".repeat(100), "a".repeat(200));
    let file = format!(
        "--m\r\nContent-Type: application/{}; name=\"{}.pdf\"\r\nContent-ID: <{}>\r\n\r\nx\r\n",
        "x".repeat(100),
        "ł".repeat(120),
        "c".repeat(200),
    );
    let raw = format!(
        "From: {0}a@b\r\nTo: {0}a@b\r\nCc: {0}a@b\r\nReply-To: {0}a@b\r\nSubject: {1}\r\nMessage-ID: <{2}@x>\r\n\
         In-Reply-To: {3}\r\nReferences: {3}\r\nAuto-Submitted: {1}\r\nList-Id: <{1}>\r\n\
         Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\n{1}\r\n{4}--m--\r\n",
        many(&address, 300),
        many("ł", 5_000),
        many("i", 800),
        many("<0123456789@example.com>\r\n ", 2_000),
        many(&file, 500),
    );
    let parsed = parse(raw.as_bytes());
    let size = serde_json::to_vec(&parsed).unwrap().len();
    assert!(size < 32 * 1024, "{size} bytes");
    assert!(parsed.subject.len() <= 998 && parsed.preview.chars().count() <= 200);
    assert!(parsed.defects.iter().any(|defect| defect.code == "cut"));
    assert_eq!(files(raw.as_bytes()).count(), 500);
    assert_eq!(parsed.references.first(), parsed.references.last());
}

/// What one megabyte of each hostile shape is made of.
const SIZE: usize = 1_000_000;

fn fill(start: &str, item: &str) -> Vec<u8> {
    format!("{start}{}", item.repeat(SIZE / item.len())).into_bytes()
}

fn noise() -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(SIZE).collect()
}

/// Each has to end in a row that fits the store, and its parts in bytes.
fn survives(shape: &[u8]) {
    let start = String::from_utf8_lossy(&shape[..60]).into_owned();
    let parsed = parse(shape);
    assert!(serde_json::to_vec(&parsed).unwrap().len() < 32 * 1024, "{start}");
    assert!(text(shape).is_none_or(|text| text.len() <= 1024 * 1024), "{start}");
    assert!(html(shape).is_none_or(|html| html.len() <= 8 * shape.len()), "{start}");
    assert!(headers(shape).len() <= 500, "{start}");
    let decoded: usize = files(shape).map(|(_, bytes)| bytes.len()).sum();
    assert!(decoded <= 2 * shape.len(), "{start} grew to {decoded}");
}

#[test]
fn hostile_headers_complete() {
    for (start, item) in [
        ("", "\0"),
        ("", "\n"),
        ("", "a:\n"),
        ("", "a: b\n"),
        ("", "From: a@b, \n "),
        ("", "Received: from a by b; Tue, 3 Mar 2026 10:05:07 +0100\n"),
        ("To: ", "a@b, "),
        ("To: ", "("),
        ("To: ", "\""),
        ("To: ", "a:;,"),
        ("Subject: ", "=?utf-8?Q?a?= "),
        ("Subject: ", "=?"),
        ("References: ", "<a@b> "),
        ("Content-Type: text/plain; ", "a=b; "),
        ("Content-Type: text/plain; ", "a*0*=b; "),
    ] {
        survives(&fill(start, item));
    }
    survives(&noise());
}

#[test]
fn hostile_trees_complete() {
    let mixed = "Content-Type: multipart/mixed; boundary=b\n\n";
    for (start, item) in [
        (mixed, "--b\n\n"),
        (mixed, "--b\n\nx\n"),
        (mixed, "--b"),
        (mixed, "--b\nContent-Type: multipart/mixed; boundary=never\n\n"),
        (mixed, "--b\nContent-Type: message/rfc822\n\n"),
        ("", "Content-Type: message/rfc822\n\n"),
        ("", "Content-Type: multipart/mixed; boundary=b\n\n--b\n"),
    ] {
        survives(&fill(start, item));
    }
    for kind in ["mixed", "digest", "alternative"] {
        let level = |i| format!("Content-Type: multipart/{kind}; boundary={i}\n\n--{i}\n");
        survives((0..900).map(level).collect::<String>().as_bytes());
        survives((0..20_000).map(level).collect::<String>().as_bytes());
    }
    survives(&[mixed.as_bytes(), &noise()].concat());
}

#[test]
fn hostile_bodies_complete() {
    for (start, item) in [
        ("Content-Type: text/html\n\n", "<div>"),
        ("Content-Type: text/html\n\n", "<"),
        ("Content-Type: text/html\n\n", "&"),
        ("Content-Type: text/html\n\n", "<!--"),
        ("Content-Transfer-Encoding: base64\n\n", "="),
        ("Content-Transfer-Encoding: base64\n\n", "A*"),
        ("Content-Transfer-Encoding: quoted-printable\n\n", "="),
        ("Content-Transfer-Encoding: quoted-printable\n\n", "=\n"),
        ("Content-Type: text/plain; charset=utf-7\n\n", "+AAAA-"),
        ("Content-Type: text/plain; charset=iso-2022-jp\n\n", "\u{1b}$B"),
    ] {
        survives(&fill(start, item));
    }
}

#[test]
fn a_hundred_thousand_messages_in_messages_do_not_end_the_stack() {
    let raw = "Content-Type: message/rfc822\n\n".repeat(100_000);
    assert_eq!(parse(raw.as_bytes()).attachments.len(), 1);
}

#[test]
fn too_many_and_too_deep_parts_are_left_out() {
    let flat = format!("Content-Type: multipart/mixed; boundary=b\n\n{}--b--\n", "--b\n\nx\n".repeat(20_000));
    assert!(parse(flat.as_bytes()).defects.iter().any(|defect| defect.code == "too_many_parts"));
    let deep: String = (0..200).map(|i| format!("Content-Type: multipart/mixed; boundary=b{i}\n\n--b{i}\n")).collect();
    let parsed = parse(format!("{deep}Content-Type: text/plain\n\nx\n").as_bytes());
    assert!(parsed.defects.iter().any(|defect| defect.code == "too_deep"), "{:?}", parsed.defects);
}
