//! Reading what was pulled: lists, filters, pages, details, sources, attachments.

use serde_json::{Value, json};
use tests::client::Client;
use tests::corpus;
use tests::peer::{Peer, Receive, Way};

use crate::pull::pull_all;
use crate::{account, masked, run, service};

pub(crate) async fn pulled(messages: &[Vec<u8>]) -> (String, Client, Peer, String) {
    let (tenant, client) = service().await.tenant();
    let peer = Peer::start().await;
    for message in messages {
        peer.sandbox.deliver(&peer.user, message.clone()).unwrap();
    }
    let path = account(&client, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
    assert_eq!(pull_all(&client, &path).await as usize, messages.len());
    (tenant, client, peer, path)
}

/// The one message of an account.
pub(crate) async fn only(client: &Client, path: &str) -> (String, Value) {
    let items = client.get(format!("{path}/messages")).await.value(200)["items"].clone();
    assert_eq!(items.as_array().unwrap().len(), 1);
    (items[0]["id"].as_str().unwrap().to_owned(), items[0].clone())
}

const RICH: &[u8] = b"Return-Path: <ada@example.test>\r\nFrom: =?utf-8?Q?Ad=C3=A4?= <ada@example.test>\r\nTo: Grace <grace@example.test>, bob@example.org\r\n\
Cc: carol@example.org\r\nReply-To: desk@example.org\r\nSubject: A =?utf-8?B?w7xi?= subject\r\nDate: Sat, 21 Nov 2026 09:30:00 +0200\r\n\
Message-ID: <m2@example.test>\r\nIn-Reply-To: <m1@example.test>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\n\
Content-Type: multipart/alternative; boundary=\"a\"\r\n\r\n--a\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello Gr\xc3\xa4ce\r\n--a\r\n\
Content-Type: text/html; charset=utf-8\r\n\r\n<p onclick=\"x()\">Hello <b>Gr\xc3\xa4ce</b><script>alert(1)</script><img src=\"https://track.example/x.gif\"></p>\r\n--a--\r\n--b\r\n\
Content-Type: application/pdf; name=\"a.pdf\"\r\nContent-Disposition: attachment; filename=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVsbG8=\r\n--b\r\n\
Content-Type: application/x-msdownload\r\nContent-Disposition: attachment; filename=\"../run.exe\"\r\n\r\nMZ\r\n--b--\r\n";

#[test]
fn a_message_is_shown_with_everything_that_lists_promise() {
    run(async {
        let (_, client, _peer, path) = pulled(&[RICH.to_vec()]).await;
        let (id, item) = only(&client, &path).await;
        let wanted = json!({
            "id": id, "account": "mail", "direction": "incoming", "folder": "INBOX", "subject": "A üb subject",
            "from": {"name": "Adä", "address": "ada@example.test"},
            "to": [{"name": "Grace", "address": "grace@example.test"}, {"address": "bob@example.org"}],
            "cc": [{"address": "carol@example.org"}], "replyTo": [{"address": "desk@example.org"}],
            "date": "2026-11-21T07:30:00.000Z", "receivedAt": "*", "size": RICH.len(), "flags": [], "messageId": "<m2@example.test>", "inReplyTo": "<m1@example.test>",
            "threadId": "*", "preview": "Hello Gräce", "textSizes": {"plain": 12, "html": 104}, "hasAttachments": true,
            "attachments": [
                {"part": "*", "filename": "a.pdf", "contentType": "application/pdf", "size": 5, "fileId": tests::sha256(b"Hello"), "disposition": "attachment", "contentId": null, "safe": true},
                {"part": "*", "filename": "run.exe", "contentType": "application/x-msdownload", "size": 2, "fileId": tests::sha256(b"MZ"), "disposition": "attachment", "contentId": null, "safe": false},
            ],
            "sha256": tests::sha256(RICH), "state": "received", "correlation": null,
        });
        let shown = masked(item.clone(), &["/receivedAt", "/threadId", "/attachments/0/part", "/attachments/1/part"]);
        assert_eq!(shown, wanted);

        let detail = client.get(format!("{path}/messages/{id}")).await.value(200);
        for (name, value) in item.as_object().unwrap() {
            assert_eq!(detail[name], *value, "{name}");
        }
        assert_eq!(detail["text"].as_str().unwrap().trim_end(), "Hello Gräce");
        let html = detail["html"].as_str().unwrap();
        assert!(html.contains("<b>Gräce</b>"), "{html}");
        for danger in ["script", "onclick", "track.example"] {
            assert!(!html.contains(danger), "{danger}: {html}");
        }
        let names: Vec<_> =
            detail["headers"].as_array().unwrap().iter().map(|header| header["name"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "Return-Path",
                "From",
                "To",
                "Cc",
                "Reply-To",
                "Subject",
                "Date",
                "Message-ID",
                "In-Reply-To",
                "MIME-Version",
                "Content-Type"
            ]
        );
        assert_eq!(detail["headers"][5]["value"], "A üb subject");
        assert_eq!(detail["defects"], json!([]));
    });
}

#[test]
fn source_and_attachments_are_the_very_bytes() {
    run(async {
        let file = tests::random::Random::new(4).bytes(250_000);
        let source = corpus::with_attachment(1, "data.pdf", &file);
        let (_, client, _peer, path) = pulled(std::slice::from_ref(&source)).await;
        let (id, item) = only(&client, &path).await;
        let inline = client.get(format!("{path}/messages/{id}/source?inline=true")).await;
        assert_eq!(inline.is(200).header("content-type"), "message/rfc822");
        assert!(inline.body == source);
        let part = &item["attachments"][0]["part"];
        let inline = client.get(format!("{path}/messages/{id}/attachments/{part}?inline=true")).await;
        assert_eq!(inline.is(200).header("content-type"), "application/pdf");
        assert!(inline.body == file);
        for (rest, bytes, disposition) in
            [("source".to_owned(), &source, ".eml"), (format!("attachments/{part}"), &file, "data.pdf")]
        {
            let redirect = client.get(format!("{path}/messages/{id}/{rest}")).await;
            let url = redirect.is(302).header("location").to_owned();
            assert!(url.contains("X-Amz-Signature=") && url.contains("X-Amz-Expires=900"), "{url}");
            let got = client.with_token(None).get(url.clone()).await;
            assert_eq!(got.status, 200, "{}", got.text());
            assert!(got.body == *bytes);
            let shown = got.header("content-disposition");
            assert!(shown.starts_with("attachment") && shown.contains(disposition), "{shown}");
            let tampered = client.with_token(None).get(url.replace("X-Amz-Expires=900", "X-Amz-Expires=901")).await;
            assert!([400, 403].contains(&tampered.status), "{}", tampered.status);
        }
        let _ = client.get(format!("{path}/messages/{id}/attachments/99")).await.problem(404, "not_found");
        let _ = client.get(format!("{path}/messages/{id}/attachments/x")).await.problem(404, "not_found");
        let none = "0123456789abcdef0123456789abcdef";
        for rest in ["", "/source", "/attachments/1"] {
            let _ = client.get(format!("{path}/messages/{none}{rest}")).await.problem(404, "message_not_found");
            let _ = client.get(format!("{path}/messages/none{rest}")).await.problem(404, "message_not_found");
        }
    });
}

#[test]
fn eight_charsets_are_read_as_they_were_meant() {
    run(async {
        let foreign = corpus::charsets();
        let sources: Vec<_> = foreign.iter().map(|foreign| foreign.source.clone()).collect();
        let (_, client, _peer, path) = pulled(&sources).await;
        let items = client.get(format!("{path}/messages")).await.value(200)["items"].clone();
        for message in &foreign {
            let item = items
                .as_array()
                .unwrap()
                .iter()
                .find(|item| item["messageId"] == format!("<{}@example.test>", message.charset))
                .unwrap();
            assert_eq!(
                (&item["subject"], &item["preview"]),
                (&json!(message.subject), &json!(message.text)),
                "{}",
                message.charset
            );
            let detail = client.get(format!("{path}/messages/{}", item["id"].as_str().unwrap())).await.value(200);
            assert_eq!(detail["text"].as_str().unwrap().trim_end(), message.text, "{}", message.charset);
        }
    });
}

#[test]
fn lists_are_filtered_and_refuse_what_they_do_not_know() {
    run(async {
        let message = |from: &str, to: &str, subject: &str| {
            format!("From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nx\r\n").into_bytes()
        };
        let messages = [
            message("Ada <ada@example.test>", "grace@example.test", "Invoice 1"),
            message("bob@example.org", "Grace <grace@example.test>", "invoice 2"),
            corpus::with_attachment(3, "c.pdf", b"c"),
        ];
        let (_, client, _peer, path) = pulled(&messages).await;
        let count = async |query: &str| {
            client.get(format!("{path}/messages?{query}")).await.value(200)["items"].as_array().unwrap().len()
        };
        for (query, wanted) in [
            ("", 3),
            ("from=BOB", 1),
            ("from=ada", 2),
            ("to=grace", 3),
            ("subject=INVOICE", 2),
            ("subject=invoice&from=bob", 1),
            ("hasAttachments=true", 1),
            ("hasAttachments=false", 2),
            ("folder=INBOX", 3),
            ("folder=Sent", 0),
            ("direction=incoming", 3),
            ("direction=outgoing", 0),
            ("unseen=true", 3),
            ("unseen=false", 0),
            ("since=2000-01-01T00:00:00Z", 3),
            ("before=2000-01-01T00:00:00Z", 0),
        ] {
            assert_eq!(count(query).await, wanted, "{query}");
        }
        let narrow = client.get(format!("{path}/messages?fields=id,subject&subject=invoice%201")).await.value(200);
        assert_eq!(
            masked(narrow, &["/items/0/id"]),
            json!({"items": [{"id": "*", "subject": "Invoice 1"}], "nextCursor": null})
        );
        for (query, pointer, code) in [
            ("form=bob", "?form", "unknown_parameter"),
            ("direction=up", "?direction", "invalid_value"),
            ("hasAttachments=maybe", "?hasAttachments", "invalid_value"),
            ("since=yesterday", "?since", "invalid_value"),
            ("limit=1000", "?limit", "invalid_value"),
            ("fields=id,password", "?fields", "invalid_value"),
        ] {
            client.get(format!("{path}/messages?{query}")).await.names(&[(pointer, code)]);
        }
        let _ = client.get("/v1/accounts/nobody/messages").await.problem(404, "account_not_found");
    });
}

#[test]
fn pages_are_newest_first_and_complete() {
    run(async {
        let messages: Vec<_> = (0..23).map(corpus::plain).collect();
        let (_, client, _peer, path) = pulled(&messages).await;
        let (mut times, mut subjects, mut cursor) = (Vec::new(), Vec::new(), None::<String>);
        loop {
            let rest = cursor.map_or(String::new(), |cursor| {
                format!(
                    "&cursor={}",
                    percent_encoding::utf8_percent_encode(&cursor, percent_encoding::NON_ALPHANUMERIC)
                )
            });
            let page = client.get(format!("{path}/messages?limit=5{rest}")).await.value(200);
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 5);
            times.extend(items.iter().map(|item| item["receivedAt"].as_str().unwrap().to_owned()));
            subjects.extend(items.iter().map(|item| item["subject"].as_str().unwrap().to_owned()));
            cursor = page["nextCursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        assert!(times.windows(2).all(|pair| pair[0] >= pair[1]), "newest first");
        subjects.sort();
        let mut wanted: Vec<_> = (0..23).map(|number| format!("Message {number}")).collect();
        wanted.sort();
        assert_eq!(subjects, wanted, "each once");
        // A cursor belongs to its list: another tenant's of the same name refuses it.
        let (_, other, _other_peer, path) = pulled(&[]).await;
        let page = client.get(format!("{path}/messages?limit=5")).await.value(200);
        let cursor = page["nextCursor"].as_str().unwrap();
        let elsewhere = other.get(format!("{path}/messages?cursor={cursor}")).await;
        let _ = elsewhere.problem(422, "invalid_request");
    });
}

#[test]
fn broken_mime_is_read_as_far_as_it_goes_and_says_what_is_wrong() {
    run(async {
        let (_, client, _peer, path) = pulled(&corpus::odd()).await;
        let items = client.get(format!("{path}/messages?limit=100")).await.value(200)["items"].clone();
        let mut with_defects = 0;
        for item in items.as_array().unwrap() {
            assert_eq!(item["state"], "received", "{item}");
            let id = item["id"].as_str().unwrap();
            let detail = client.get(format!("{path}/messages/{id}")).await.value(200);
            with_defects += usize::from(!detail["defects"].as_array().unwrap().is_empty());
            let source = client.get(format!("{path}/messages/{id}/source?inline=true")).await;
            assert_eq!(tests::sha256(&source.is(200).body), item["sha256"].as_str().unwrap());
        }
        assert!(with_defects >= 2, "{with_defects}");
    });
}
