//! One message in full: text where there is only HTML, authors, appointments, files that hide what they are, and only
//! the fields that were asked for.

use serde_json::{Value, json};
use tests::client::Client;

use crate::reading::pulled;
use crate::run;

fn mail(head: &str, body: &str) -> Vec<u8> {
    let head = head.replace('\n', "\r\n");
    format!("To: ada@example.test\r\nMIME-Version: 1.0\r\n{head}\r\n\r\n{}\r\n", body.replace('\n', "\r\n"))
        .into_bytes()
}

async fn by_subject(client: &Client, path: &str, subject: &str) -> Value {
    let page = client.get(format!("{path}/messages?subject={subject}")).await.value(200);
    let id = page["items"][0]["id"].as_str().unwrap();
    client.get(format!("{path}/messages/{id}")).await.value(200)
}

const INVITE: &str = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//y//EN\nMETHOD:REQUEST\nBEGIN:VEVENT\nUID:7@example.org\n\
SEQUENCE:1\nSUMMARY:Plan\nDTSTART;TZID=Europe/Berlin:20261201T100000\nDURATION:PT1H\nORGANIZER;CN=Bob:mailto:bob@example.org\n\
ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:ada@example.test\nEND:VEVENT\nEND:VCALENDAR";

/// A2.4/42, A2.4/43, A2.4/44: exactly one appointment, its method, and the answer of a reply.
#[test]
fn a_2_4_42_to_44_the_one_appointment_of_a_message() {
    run(async {
        let both = format!(
            "--m\nContent-Type: multipart/alternative; boundary=a\n\n--a\nContent-Type: text/plain\n\nCome!\n--a\n\
             Content-Type: text/calendar; method=REQUEST; charset=utf-8\n\n{INVITE}\n--a--\n--m\n\
             Content-Type: application/ics; name=invite.ics\nContent-Disposition: attachment; filename=invite.ics\n\n{INVITE}\n--m--"
        );
        let two = format!("{INVITE}\n{}", INVITE.replace("UID:7", "UID:8"));
        let reply = INVITE.replace("METHOD:REQUEST", "METHOD:REPLY").replace("NEEDS-ACTION", "ACCEPTED");
        let single = |subject: &str, ics: &str| {
            mail(&format!("From: bob@example.org\nSubject: {subject}\nContent-Type: text/calendar; charset=utf-8"), ics)
        };
        let broken: String = INVITE.chars().take(INVITE.len() / 2).collect();
        let messages = [
            mail("From: bob@example.org\nSubject: both\nContent-Type: multipart/mixed; boundary=m", &both),
            single("two", &two),
            single("reply", &reply),
            single("broken", &broken),
            mail("From: bob@example.org\nSubject: none", "hello"),
        ];
        let (_, client, _peer, path) = pulled(&messages).await;
        let detail = by_subject(&client, &path, "both").await;
        let wanted = json!({
            "method": "REQUEST", "replyStatus": null, "uid": "7@example.org", "sequence": 1, "summary": "Plan", "location": null,
            "status": null,
            "start": {"local": "2026-12-01T10:00:00", "zone": "Europe/Berlin", "at": "2026-12-01T09:00:00.000Z"},
            "end": {"local": "2026-12-01T11:00:00", "zone": "Europe/Berlin", "at": "2026-12-01T10:00:00.000Z"},
            "recurrenceId": null, "recurring": false, "organizer": {"name": "Bob", "address": "bob@example.org"},
            "attendees": [{"address": "ada@example.test", "answer": "needs-action"}],
        });
        assert_eq!((&detail["calendar"], &detail["appointments"]), (&wanted, &json!(1)));
        let detail = by_subject(&client, &path, "two").await;
        assert_eq!((&detail["calendar"], &detail["appointments"]), (&Value::Null, &json!(2)));
        let detail = by_subject(&client, &path, "reply").await;
        assert_eq!(detail["calendar"]["method"], "REPLY");
        assert_eq!(detail["calendar"]["replyStatus"], "accepted");
        let detail = by_subject(&client, &path, "broken").await;
        assert!(detail["appointments"].as_u64().unwrap() <= 1, "{detail}");
        let detail = by_subject(&client, &path, "none").await;
        assert_eq!((&detail["calendar"], &detail["appointments"]), (&Value::Null, &json!(0)));
    });
}

#[test]
fn html_is_read_as_text_and_many_authors_are_said_to_be() {
    run(async {
        let html =
            "<h1>Hi</h1><p>See <a href=\"https://example.com/a\">this</a></p><ul><li>one<li>two</ul><style>p{}</style>";
        let messages = [
            mail("From: bob@example.org\nSubject: html\nContent-Type: text/html; charset=utf-8", html),
            mail("From: bob@example.org, Eve <eve@example.org>\nSender: bob@example.org\nSubject: many", "x"),
            mail("From: bob@example.org\nFrom: eve@example.org\nSubject: twice", "x"),
        ];
        let (_, client, _peer, path) = pulled(&messages).await;
        let detail = by_subject(&client, &path, "html").await;
        let text = detail["text"].as_str().unwrap();
        assert!(text.starts_with("# Hi\n") && text.contains("* one\n* two"), "{text}");
        assert!(text.contains("[1]: https://example.com/a") && !text.contains("p{}"), "{text}");
        assert_eq!((&detail["manyFrom"], &detail["authors"]), (&Value::Null, &Value::Null));
        for subject in ["many", "twice"] {
            let detail = by_subject(&client, &path, subject).await;
            assert_eq!(detail["manyFrom"], true, "{detail}");
            assert_eq!(detail["from"]["address"], "bob@example.org");
            assert_eq!(detail["authors"][1]["address"], "eve@example.org");
        }
        let detail = by_subject(&client, &path, "twice").await;
        let codes: Vec<_> = detail["defects"].as_array().unwrap().iter().map(|defect| &defect["code"]).collect();
        assert!(codes.contains(&&json!("duplicate_field")), "{codes:?}");
        let listed = client.get(format!("{path}/messages?subject=many&fields=manyFrom")).await.value(200);
        assert_eq!(listed["items"], json!([{"manyFrom": true}]));
    });
}

/// reliability.md, part 3, row 11.
#[test]
fn files_that_hide_what_they_are_are_flagged_and_their_names_cleaned() {
    run(async {
        let names = [
            ("a.pdf", "a.pdf", true),
            ("../../etc/passwd.txt", "passwd.txt", true),
            ("C:\\temp\\a.docx", "a.docx", true),
            ("run.exe", "run.exe", false),
            ("photo.jpg.js", "photo.jpg.js", false),
            ("bill.pdf.lnk", "bill.pdf.lnk", false),
            ("disk.iso", "disk.iso", false),
            ("page.html", "page.html", false),
            ("a.svg", "a.svg", false),
            ("m.docm", "m.docm", false),
            ("x.vbs", "x.vbs", false),
            ("CON.txt", "_CON.txt", true),
            ("a.txt. . ", "a.txt", true),
            ("fdp\u{202e}fdp.exe", "fdpfdp.exe", false),
            ("cod\u{202e}txt.a", "codtxt.a", false),
        ];
        let encoded =
            |name: &str| percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string();
        let parts: String = names
            .iter()
            .map(|(name, ..)| {
                format!(
                    "--m\nContent-Type: application/octet-stream\nContent-Disposition: attachment; filename*=utf-8''{}\n\nx\n",
                    encoded(name)
                )
            })
            .collect();
        let source = mail(
            "From: bob@example.org\nSubject: files\nContent-Type: multipart/mixed; boundary=m",
            &format!("{parts}--m--"),
        );
        let (_, client, _peer, path) = pulled(&[source]).await;
        let detail = by_subject(&client, &path, "files").await;
        let shown: Vec<_> = detail["attachments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| (file["filename"].as_str().unwrap(), file["safe"].as_bool().unwrap()))
            .collect();
        let wanted: Vec<_> = names.iter().map(|(_, clean, safe)| (*clean, *safe)).collect();
        assert_eq!(shown, wanted);
    });
}

#[test]
fn only_the_fields_that_were_asked_for_are_answered() {
    run(async {
        let (_, client, _peer, path) = pulled(&[mail("From: bob@example.org\nSubject: one", "hello")]).await;
        let page = client.get(format!("{path}/messages?fields=id")).await.value(200);
        let id = page["items"][0]["id"].as_str().unwrap();
        let get = async |fields: &str| client.get(format!("{path}/messages/{id}?fields={fields}")).await;
        assert_eq!(get("id,subject").await.value(200), json!({"id": id, "subject": "one"}));
        let text = get("subject,text").await.value(200);
        assert_eq!(text, json!({"subject": "one", "text": "hello"}));
        get("id,password").await.names(&[("?fields", "invalid_value")]);
        client.get(format!("{path}/messages?fields=text")).await.names(&[("?fields", "invalid_value")]);
    });
}
