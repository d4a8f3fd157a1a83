use super::automatic;
use crate::model::report::ReportKind;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mail/parse/report/golden");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut messages: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "eml")).collect();
    messages.sort();
    messages
}

/// What is read of a message, as it is written down in the corpus: without what is empty.
fn read(raw: &[u8]) -> Value {
    let found = automatic(raw);
    let mut result = json!({});
    for (name, value) in
        [("autoReply", json!(found.auto_reply)), ("report", json!(found.report)), ("originals", json!(found.originals))]
    {
        if value != json!(null) && value != json!([]) {
            result[name] = value;
        }
    }
    result
}

#[test]
fn every_report_of_the_corpus_is_read_as_it_is_written_down_whatever_its_line_ends() {
    let corpus = corpus();
    assert!(corpus.len() >= 50, "{} messages", corpus.len());
    let mut wrong = Vec::new();
    for path in corpus {
        let raw = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
        let expected: Value = serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
        for raw in [raw.clone(), raw.replace('\n', "\r\n")] {
            let found = read(raw.as_bytes());
            if found != expected {
                wrong.push(format!("{}:\n  read    {found}\n  written {expected}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_report_that_is_cut_or_damaged_anywhere_is_read_as_far_as_it_goes() {
    for path in corpus() {
        let raw = std::fs::read(&path).unwrap();
        for end in (0..raw.len()).step_by(37) {
            let _ = automatic(&raw[..end]);
            let mut damaged = raw.clone();
            damaged[end] = b"\0\xff<;:\n"[end % 6];
            let _ = automatic(&damaged);
        }
    }
}

#[test]
fn what_strangers_send_is_bounded() {
    let report = |status: &str| {
        format!(
            "From: MAILER-DAEMON@x.example\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\
             Content-Type: message/delivery-status\r\n\r\n{status}\r\n--b--\r\n"
        )
    };
    let many: String = (0..20_000)
        .map(|number| {
            format!("\r\nFinal-Recipient: rfc822; r{number}@x.example\r\nAction: failed\r\nStatus: 5.1.1\r\n")
        })
        .collect();
    let long = "x".repeat(1 << 20);
    let one = "Final-Recipient: rfc822; a@x.example\r\nAction: failed\r\n";
    let folded = format!("{one}Diagnostic-Code: smtp; 550\r\n{}", " x\r\n".repeat(100_000));
    let shapes = [
        report(&many),
        report(&format!("{one}Diagnostic-Code: smtp; {long}\r\n")),
        report(&format!("Final-Recipient: rfc822; {long}@x.example\r\nAction: failed\r\n")),
        report(&folded),
        report(&format!("{one}Status: 5.{long}\r\n")),
        report(&format!("{one}{}", "A: b\r\n".repeat(100_000))),
        report(&"\r\n".repeat(500_000)),
        format!("X-Failed-Recipients: {}\r\n\r\nx", "a@x.example, ".repeat(50_000)),
        format!("From: postmaster@x.example\r\n\r\n{}", "a@x.example\r\n550 5.1.1\r\n".repeat(100_000)),
        format!("From: postmaster@x.example\r\n\r\n{}", "<a@x.example>: 550 \r\n<".repeat(100_000)),
        format!("From: postmaster@x.example\r\n\r\n{}", "Message-ID: <a@b>\r\n".repeat(100_000)),
        format!("Return-Path: <>\r\nReferences: {}\r\n\r\nx", "<a@b> ".repeat(100_000)),
        format!("Auto-Submitted: {long}\r\n\r\n"),
        format!("From: {long}\r\nReturn-Path:{long}"),
    ];
    for shape in shapes {
        let (started, found) = (std::time::Instant::now(), automatic(shape.as_bytes()));
        let size = serde_json::to_vec(&found.report).unwrap().len();
        let start = &shape[..60.min(shape.len())];
        assert!(started.elapsed().as_secs() < 5, "{start}");
        assert!(size < 100 * 1024 && found.originals.len() <= 8, "{start}: {size}");
    }
    let found = automatic(report(&many).as_bytes()).report.unwrap();
    assert_eq!((found.kind, found.recipients.len()), (ReportKind::Bounce, 100));
}
