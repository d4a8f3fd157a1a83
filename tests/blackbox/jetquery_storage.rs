//! jetQuery's pull, sync and mail storage: A1.2 and A1.4.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use tests::client::Client;
use tests::peer::{Peer, Receive, Way};
use tests::{sha256, until};

use crate::{account, run, service};

/// A caller with two mailboxes, of which the first is pulled over POP3 (A1.1/1).
async fn caller() -> (Client, Peer) {
    let (_, client) = service().await.tenant();
    let peer = Peer::start().await;
    let _ = account(&client, "e-invoice", &peer.account(Receive::Pop3, Way::Tls)).await;
    (client, peer)
}

/// An invoice twice under two names, and a small file between them, all in one mail.
fn mail(file: &[u8], small: &[u8]) -> Vec<u8> {
    let part = |name: &str, kind: &str, bytes: &[u8]| {
        format!(
            "--b\r\nContent-Type: {kind}\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            STANDARD
                .encode(bytes)
                .as_bytes()
                .chunks(76)
                .map(|line| String::from_utf8_lossy(line) + "\r\n")
                .collect::<String>()
        )
    };
    let pdf = "application/pdf";
    format!(
        "From: \"Kowalski, Jan\" <jan@example.org>\r\nTo: ada@example.test\r\nSubject: =?utf-8?Q?Faktura_z=C5=82o=C5=BCona?=\r\n\
         Message-ID: <f1@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n\
         --a\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nDzie\u{144} dobry\r\n\
         --a\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p onclick=\"x()\">Dzie\u{144} <b>dobry</b><script>alert(1)</script></p>\r\n--a--\r\n\
         {}{}{}--b--\r\n",
        part("TEST 7.pdf", pdf, file),
        part("a & b.txt", "text/plain", small),
        part("TEST 1.pdf", pdf, file)
    )
    .into_bytes()
}

fn uuid(bytes: &[u8]) -> String {
    let sum = sha256(bytes);
    [&sum[..8], &sum[8..12], &sum[12..16], &sum[16..20], &sum[20..32]].join("-")
}

/// A1.2/5, A1.2/7, A1.2/8, A1.2/9: by GET and POST, with and without an account.
#[test]
fn a_1_2_5_mail_is_pulled_and_synced_and_the_dialogue_is_shown_on_demand() {
    run(async {
        let (client, peer) = caller().await;
        peer.sandbox.deliver(&peer.user, mail(b"pdf", b"small")).unwrap();
        let ask = client.ask(Method::GET, "/api/core/mail/pull/e-invoice?debug=true");
        let ask = ask.header("authorization", &format!("Token {}", tests::service::TOKEN));
        let pulled = ask.header("content-type", "application/json").send().await.value(200);
        assert_eq!(
            (&pulled["account"], &pulled["new"], &pulled["more"]),
            (&json!("e-invoice"), &json!(1), &json!(false))
        );
        let trace: Vec<&str> = pulled["trace"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        assert!(trace.iter().any(|line| line.starts_with("S: +OK")), "{trace:?}");
        assert!(trace.iter().any(|line| line.starts_with("C: RETR") || line.starts_with("C: TOP")), "{trace:?}");
        assert!(!trace.iter().any(|line| line.contains("Faktura") || line.contains("multipart")), "no mail: {trace:?}");
        for form in tests::canary::forms(&peer.user, &peer.password) {
            assert!(!trace.iter().any(|line| line.contains(form.as_str())), "{trace:?}");
        }
        let again = client.post_empty("/api/core/mail/pull/e-invoice").await.value(200);
        assert_eq!((&again["new"], again.get("trace")), (&json!(0), None));

        // Every account that receives is queued; what is not known is no wish (decision 26).
        let _ = account(&client, "sends-only", &json!({"from": peer.user, "smtp": peer.smtp(Way::Tls)})).await;
        let all = json!({"accounts": [{"account": "e-invoice", "queued": true}]});
        assert_eq!(client.get("/api/core/mail/pull?debug=true&x=y").await.value(200), all);
        assert_eq!(client.post_empty("/api/core/mail/pull").await.value(200), all);

        let stored = json!({"mail_account": "e-invoice", "mail_to": "grace@example.org", "mail_subject": "s"});
        let _ = client.post("/api/core/mail/mail_set", &stored).await.is(200);
        let synced = until("no worker holds the mailbox", async || {
            let answer = client.post_empty("/api/core/mail/sync/e-invoice?debug=1").await;
            (answer.status != 409).then_some(answer)
        })
        .await
        .value(200);
        assert_eq!((&synced["account"], &synced["new"]), (&json!("e-invoice"), &json!(0)), "{synced}");
        assert!(synced["trace"].is_array() && peer.sandbox.received().len() == 1, "{synced}");
        let both = client.get("/api/core/mail/sync").await.value(200);
        assert_eq!((&both["accounts"], &both["delivered"]), (&all["accounts"], &json!(0)));

        let nobody = client.get("/api/core/mail/pull/nobody").await.value(404);
        assert_eq!(nobody["code"], "account_not_found");
        let only = client.get("/api/core/mail/pull/sends-only").await.value(422);
        assert_eq!((&only["code"], only.get("trace")), (&json!("invalid_request"), None));
    });
}

/// A1.2/8, natively: a failure tells its dialogue too, and no secret.
#[test]
fn a_1_2_8_a_pull_that_fails_tells_what_was_said() {
    run(async {
        let (client, peer) = caller().await;
        let echo = format!("-ERR [SYS/PERM] no {} here\r\n", peer.password);
        peer.sandbox.script(
            sandbox::Rule::on(sandbox::Protocol::Pop3)
                .at(sandbox::At::Command("STAT"))
                .times(2)
                .reply(echo.clone().into_bytes()),
        );
        for path in ["/v1/accounts/e-invoice/pull?debug=true", "/api/core/mail/pull/e-invoice?debug=true"] {
            let failed = client.post_empty(path).await;
            let body: Value = failed.json();
            assert!(failed.status >= 500 && failed.status < 505, "{body}");
            let trace = body["trace"].as_array().unwrap_or_else(|| panic!("{body}"));
            let last = trace.iter().filter_map(Value::as_str).find(|line| line.contains("SYS/PERM")).unwrap();
            assert!(last.starts_with("S: -ERR") && !body.to_string().contains(&peer.password), "{body}");
        }
        client.post_empty("/v1/accounts/e-invoice/pull?debug=perhaps").await.names(&[("?debug", "invalid_value")]);
        client.post_empty("/v1/pull?debug=true").await.names(&[("?debug", "unknown_parameter")]);
    });
}

/// A1.4/21 to A1.4/26, A1.4/29.
#[test]
fn a_1_4_21_received_mail_is_read_with_its_attachments() {
    run(async {
        let (client, peer) = caller().await;
        let (file, small) = (b"%PDF ".repeat(2_000), b"less than 4 KB".to_vec());
        peer.sandbox.deliver(&peer.user, mail(&file, &small)).unwrap();
        let pulled = client.get("/api/core/mail/pull/e-invoice").await.value(200);
        let id = pulled["stored"][0].as_str().unwrap();
        let path = format!("/api/core/mail/mail/{id}");
        let read = client.get(path.clone()).await.value(200);
        for (field, wanted) in [
            ("mail_id", json!(id)),
            ("mail_account", json!("e-invoice")),
            ("mail_direction", json!("incoming")),
            ("mail_state", json!("received")),
            ("mail_subject", json!("Faktura złożona")),
            ("mail_from", json!("jan@example.org")),
            ("mail_from_name", json!("Kowalski, Jan")),
            ("mail_to", json!("ada@example.test")),
            ("mail_cc", json!("")),
            ("mail_message_id", json!("<f1@example.org>")),
            ("mail_body_text", json!("Dzień dobry")),
            ("mail_body_html", json!("<p>Dzień <b>dobry</b></p>")),
        ] {
            assert_eq!(read[field], wanted, "{field}: {read}");
        }
        // The XML field: one content under two names has one hash, and the dot belongs to the extension.
        let (pdf, txt) = (uuid(&file), uuid(&small));
        let one = |name: &str, bytes: usize, hash: &str, extension: &str| {
            format!(
                "<file><name>{name}</name><bytes>{bytes}</bytes><hash>{hash}</hash><extension>{extension}</extension></file>"
            )
        };
        let files = [
            one("TEST 7.pdf", 10_000, &pdf, ".pdf"),
            one("a &amp; b.txt", 14, &txt, ".txt"),
            one("TEST 1.pdf", 10_000, &pdf, ".pdf"),
        ];
        assert_eq!(read["mail_attachments"], format!("<ArrayOfFile>{}</ArrayOfFile>", files.concat()));
        let rows = client.get(format!("{path}/attachments")).await.value(200);
        let row = |name: &str, bytes: usize, hash: &str, extension: &str| json!({"hash": hash, "name": name, "bytes": bytes, "extension": extension});
        assert_eq!(
            rows,
            json!([
                row("TEST 7.pdf", 10_000, &pdf, ".pdf"),
                row("a & b.txt", 14, &txt, ".txt"),
                row("TEST 1.pdf", 10_000, &pdf, ".pdf")
            ])
        );
        let listed = client.get("/api/core/mail/mail?mail_account=e-invoice").await.value(200);
        let mut summary = read.clone();
        for body in ["mail_body_text", "mail_body_html"] {
            summary.as_object_mut().unwrap().remove(body);
        }
        assert_eq!(listed, json!({"items": [summary], "nextCursor": null}));
    });
}

/// A1.4/21, A1.4/27.
#[test]
fn a_1_4_27_files_are_read_and_sent_on_by_their_uuid() {
    run(async {
        let (client, peer) = caller().await;
        let (file, small) = (b"%PDF ".repeat(2_000), b"less than 4 KB".to_vec());
        peer.sandbox.deliver(&peer.user, mail(&file, &small)).unwrap();
        let pulled = client.get("/api/core/mail/pull/e-invoice").await.value(200);
        let path = format!("/api/core/mail/mail/{}", pulled["stored"][0].as_str().unwrap());
        let (pdf, txt) = (uuid(&file), uuid(&small));
        // A file of either size, with hyphens or without.
        for (uuid, bytes) in [(&pdf, &file), (&txt, &small)] {
            let inline = client.get(format!("/api/core/mail/files/{uuid}?inline=true")).await;
            assert_eq!(inline.is(200).body.as_ref(), bytes.as_slice());
            let bare = client.get(format!("/api/core/mail/files/{}", uuid.replace('-', ""))).await;
            assert!(bare.is(302).header("location").starts_with("http"));
        }
        // A1.3/17 with A1.4/27: what was received is sent on, the small one too; and read again as it went.
        let send = json!({"mail_to": "grace@example.org", "mail_subject": "s", "mail_body_text": "Za\u{142}\u{105}cznik",
                          "mail_remote_id": "4711", "mail_remote_source": "saleinvoice", "mail_attachments": txt});
        let sent = client.post("/api/core/mail/send/e-invoice", &send).await.value(200);
        let went = client.get(format!("/api/core/mail/mail/{}", sent["mail_id"].as_str().unwrap())).await.value(200);
        let told: Vec<&Value> =
            ["mail_direction", "mail_state", "mail_to", "mail_body_text", "mail_remote_id", "mail_remote_source"]
                .iter()
                .map(|field| &went[*field])
                .collect();
        assert_eq!(json!(told), json!(["outgoing", "sent", "grace@example.org", "Załącznik", "4711", "saleinvoice"]));
        assert!(
            went["mail_attachments"].as_str().unwrap().contains(&format!("<bytes>14</bytes><hash>{txt}</hash>")),
            "{went}"
        );

        let (_, other) = service().await.tenant();
        for (path, code) in [
            (path, "message_not_found"),
            ("/api/core/mail/mail/nothing".into(), "message_not_found"),
            (format!("/api/core/mail/files/{pdf}"), "not_found"),
            (format!("/api/core/mail/files/{txt}"), "not_found"),
            ("/api/core/mail/mail?mail_account=e-invoice".into(), "account_not_found"),
            ("/api/core/mail/mail".into(), "account_not_found"),
        ] {
            assert_eq!(other.get(path.clone()).await.value(404)["code"], code, "{path}");
        }
    });
}
