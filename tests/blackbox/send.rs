//! Sending while the caller waits: what reaches the server byte by byte, what is answered, and what is refused before
//! anything happens.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use sandbox::{At, Protocol, Rule};
use serde_json::{Value, json};
use tests::client::Client;
use tests::peer::{Peer, Receive, Way};

use crate::{account, masked, run, service};

/// A caller with an account at a server of its own.
pub(crate) async fn sender() -> (String, Client, Peer, String) {
    let (tenant, client) = service().await.tenant();
    let peer = Peer::start().await;
    let path = account(&client, "mail", &peer.account(Receive::Imap, Way::Starttls)).await;
    (tenant, client, peer, path)
}

fn received(peer: &Peer, index: usize) -> String {
    String::from_utf8(peer.sandbox.received()[index].bytes.to_vec()).expect("all that we send is UTF-8 or less")
}

/// A3.4/22
#[test]
fn a_text_is_sent_and_the_answer_tells_who_got_it() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let body =
            json!({"to": ["Grace <grace@example.org>", "ada@example.test"], "subject": "Hello", "text": "Hello Ada\n"});
        let answer = client.post(format!("{path}/messages"), &body).await;
        let reply = |address: &str| json!({"address": address, "state": "sent", "smtp": {"code": 250, "enhanced": "2.0.0", "text": "Accepted as 1"}, "attempts": 1});
        let value = masked(answer.value(200), &["/id", "/messageId", "/size", "/createdAt", "/sentAt"]);
        let wanted = json!({
            "id": "*", "account": "mail", "state": "sent", "messageId": "*", "size": "*", "createdAt": "*", "sentAt": "*",
            "recipients": [reply("grace@example.org"), reply("ada@example.test")],
        });
        assert_eq!(value, wanted);
        let at_sink = &peer.sandbox.received()[0];
        assert_eq!(
            (at_sink.from.as_str(), at_sink.tls, at_sink.login.as_deref()),
            ("ada@example.test", true, Some("ada@example.test"))
        );
        assert_eq!(at_sink.recipients, ["grace@example.org", "ada@example.test"]);
        assert_eq!(at_sink.bytes.len() as u64, answer.json()["size"].as_u64().unwrap());
        let text = received(&peer, 0);
        assert!(
            text.contains(&format!("\r\nMessage-ID: {}\r\n", answer.json()["messageId"].as_str().unwrap())),
            "{text}"
        );
        assert!(
            text.contains("From: \"Ada\" <ada@example.test>\r\n") || text.contains("From: Ada <ada@example.test>\r\n"),
            "{text}"
        );
        assert!(text.contains("Subject: Hello\r\n") && text.ends_with("\r\n\r\nHello Ada\r\n"), "{text}");
        assert!(!peer.saw_credential_in_clear());

        let outbox = client.get(format!("/v1/outbox/{}", answer.json()["id"].as_str().unwrap())).await;
        assert_eq!(outbox.value(200), answer.json());
    });
}

#[test]
fn html_text_both_and_lines_that_try_the_protocol() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let text = ".\n..\n.x\nFrom the start\nGrüße €\n\tend ";
        for (body, parts) in [
            (json!({"to": "ada@example.test", "subject": "t", "text": text}), vec!["text/plain"]),
            (json!({"to": "ada@example.test", "subject": "h", "html": "<p>Grüße</p>"}), vec!["text/html"]),
            (
                json!({"to": "ada@example.test", "subject": "b", "text": text, "html": "<p>Hi</p>"}),
                vec!["multipart/alternative", "text/plain", "text/html"],
            ),
        ] {
            let _ = client.post(format!("{path}/messages"), &body).await.is(200);
            let message = received(&peer, peer.sandbox.received().len() - 1);
            for part in parts {
                assert!(message.contains(&format!("Content-Type: {part}")), "{part}: {message}");
            }
            assert!(!message.replace("\r\n", "").contains(['\r', '\n']), "CRLF only");
        }
        // What was sent is what can be read again, dots and umlauts and all.
        let pulled = client.post_empty(format!("{path}/pull")).await.value(200);
        assert_eq!(pulled["new"], 3);
        let first = client.get(format!("{path}/messages/{}", pulled["stored"][0].as_str().unwrap())).await.value(200);
        assert_eq!(first["text"].as_str().unwrap().trim_end_matches(['\r', '\n']).replace("\r\n", "\n"), text);
    });
}

#[test]
fn attachments_arrive_byte_for_byte_under_their_names() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let mut random = tests::random::Random::new(3);
        let files = [
            ("übersicht – 2026.pdf", random.bytes(29_223)),
            ("日本語.txt", random.bytes(1)),
            ("plain.bin", random.bytes(300_000)),
            ("empty.dat", Vec::new()),
        ];
        let attachments: Vec<Value> = files.iter().map(|(name, bytes)| json!({"filename": name, "contentType": "application/pdf", "content": STANDARD.encode(bytes)})).collect();
        let body = json!({"to": "ada@example.test", "subject": "Files", "text": "see", "attachments": attachments});
        let _ = client.post(format!("{path}/messages"), &body).await.is(200);
        let sent = peer.sandbox.received()[0].bytes.clone();
        assert!(sent.is_ascii() && sent.split(|byte| *byte == b'\n').all(|line| line.len() <= 999), "RFC 5322 §2.1.1");
        let pulled = client.post_empty(format!("{path}/pull")).await.value(200);
        let id = pulled["stored"][0].as_str().unwrap();
        let detail = client.get(format!("{path}/messages/{id}")).await.value(200);
        let listed = detail["attachments"].as_array().unwrap();
        assert_eq!(listed.len(), files.len());
        for ((name, bytes), attachment) in files.iter().zip(listed) {
            assert_eq!(
                (&attachment["filename"], &attachment["size"], &attachment["fileId"]),
                (&json!(name), &json!(bytes.len()), &json!(tests::sha256(bytes)))
            );
            let got = client.get(format!("{path}/messages/{id}/attachments/{}?inline=true", attachment["part"])).await;
            assert!(got.is(200).body == *bytes, "{name}");
        }
    });
}

#[test]
fn headers_priority_reply_to_and_bcc_do_what_they_say() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let body = json!({
            "to": "ada@example.test", "cc": {"name": "Zoë", "address": "zoe@example.org"}, "bcc": "hidden@example.org", "replyTo": "desk@example.org",
            "subject": "Größe", "text": "x", "priority": "high", "headers": [{"name": "X-Ticket", "values": ["42", "43"]}],
        });
        let answer = client.post(format!("{path}/messages"), &body).await.value(200);
        assert_eq!(answer["recipients"].as_array().unwrap().len(), 3);
        assert_eq!(
            peer.sandbox.received()[0].recipients,
            ["ada@example.test", "zoe@example.org", "hidden@example.org"]
        );
        let message = received(&peer, 0);
        assert!(!message.contains("hidden@example.org") && !message.to_lowercase().contains("\r\nbcc:"), "{message}");
        for line in ["X-Ticket: 42\r\n", "X-Ticket: 43\r\n", "X-Priority: 1", "desk@example.org"] {
            assert!(message.contains(line), "{line}: {message}");
        }
    });
}

#[test]
fn a_key_sends_once_however_often_it_is_asked_for() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let body = json!({"to": "ada@example.test", "subject": "Once", "text": "only"});
        let ask = |body: Value| {
            let ask = client
                .ask(Method::POST, format!("{path}/messages"))
                .header("idempotency-key", "order 4711")
                .json(&body);
            async move { ask.send().await }
        };
        let first = ask(body.clone()).await;
        assert_eq!(first.is(200).header("idempotency-replayed"), "");
        for _ in 0..3 {
            let again = ask(body.clone()).await;
            assert_eq!((again.value(200), again.header("idempotency-replayed")), (first.json(), "true"));
        }
        let mut other = body.clone();
        other["text"] = json!("other");
        let _ = ask(other).await.problem(422, "idempotency_mismatch");
        account(&client, "second", &peer.account(Receive::Imap, Way::Tls)).await;
        let elsewhere = client
            .ask(Method::POST, "/v1/accounts/second/messages")
            .header("idempotency-key", "order 4711")
            .json(&body)
            .send()
            .await;
        let _ = elsewhere.problem(422, "idempotency_mismatch");
        assert_eq!(peer.sandbox.received().len(), 1);
        let long = "k".repeat(256);
        for key in ["", "ümlaut", long.as_str()] {
            let value = http::HeaderValue::from_bytes(key.as_bytes()).unwrap();
            let answer = client
                .ask(Method::POST, format!("{path}/messages"))
                .header_bytes("idempotency-key", value)
                .json(&body)
                .send()
                .await;
            assert_eq!(answer.status, 422, "{key:?}: {}", answer.text());
            answer.names(&[("Idempotency-Key", "invalid_value")]);
        }
        assert_eq!(peer.sandbox.received().len(), 1);
    });
}

#[test]
fn a_request_refused_before_the_claim_consumes_no_key() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let ask = |body: Value| {
            let ask = client.ask(Method::POST, format!("{path}/messages")).header("idempotency-key", "k").json(&body);
            async move { ask.send().await }
        };
        ask(json!({"to": "ada@example.test", "colour": "red"})).await.names(&[("/colour", "unknown_field")]);
        let good = ask(json!({"to": "ada@example.test", "subject": "x"})).await;
        assert_eq!((good.is(200).header("idempotency-replayed"), peer.sandbox.received().len()), ("", 1));
    });
}

#[test]
fn the_same_key_at_the_same_time_is_sent_once() {
    run(async {
        let (_, client, peer, path) = sender().await;
        peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Data).stall(std::time::Duration::from_secs(1)));
        let body = json!({"to": "ada@example.test", "subject": "Race"});
        let asks = (0..6).map(|_| {
            client.ask(Method::POST, format!("{path}/messages")).header("idempotency-key", "race").json(&body).send()
        });
        let answers = futures_util::future::join_all(asks).await;
        let fresh = answers
            .iter()
            .filter(|answer| answer.status == 200 && answer.header("idempotency-replayed").is_empty())
            .count();
        assert_eq!(fresh, 1);
        for answer in &answers {
            match answer.status {
                200 => assert_eq!(answer.json()["state"], "sent"),
                409 => {
                    let _ = answer.problem(409, "idempotency_in_progress");
                    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
                }
                other => panic!("{other}: {}", answer.text()),
            }
        }
        assert!(answers.iter().any(|answer| answer.status == 409), "the others came while it was under way");
        let after = client
            .ask(Method::POST, format!("{path}/messages"))
            .header("idempotency-key", "race")
            .json(&body)
            .send()
            .await;
        assert_eq!((after.value(200)["state"].clone(), after.header("idempotency-replayed")), (json!("sent"), "true"));
        assert_eq!(peer.sandbox.received().len(), 1);
    });
}

/// What stands in a valid request instead, and the field that is named.
fn bad_fields() -> Vec<(Value, &'static str, &'static str)> {
    let many: Vec<String> = (0..101).map(|number| format!("u{number}@example.org")).collect();
    vec![
        (json!({"subject": "nobody"}), "/to", "missing"),
        (json!({"to": [], "subject": "x"}), "/to", "missing"),
        (json!({"to": "ada@example.test"}), "/text", "missing"),
        (json!({"to": "nobody", "subject": "x"}), "/to", "invalid_value"),
        (json!({"to": "a@example.org\r\nRCPT TO:<b@example.org>", "subject": "x"}), "/to", "invalid_value"),
        (json!({"to": many, "subject": "x"}), "/to", "too_many"),
        (json!({"to": "ada@example.test", "subject": "x", "from": "boss@example.test"}), "/from", "not_an_identity"),
        (
            json!({"to": "ada@example.test", "subject": "x", "attachments": [{"filename": "a", "content": "***"}]}),
            "/attachments/0/content",
            "invalid_base64",
        ),
        (
            json!({"to": "ada@example.test", "subject": "x", "attachments": [{"filename": "a"}]}),
            "/attachments/0",
            "missing",
        ),
        (json!({"to": "ada@example.test", "subject": "x", "priority": "urgent"}), "/priority", "invalid_value"),
        (json!({"to": "ada@example.test", "subject": "x", "onUnknown": "maybe"}), "/onUnknown", "invalid_value"),
        (json!({"to": "ada@example.test", "subject": "x", "colour": "red"}), "/colour", "unknown_field"),
    ]
}

#[test]
fn a_wrong_field_is_named_and_nothing_is_sent_or_stored() {
    run(async {
        let (tenant, client, peer, path) = sender().await;
        let aws = service().await.aws().await;
        let before = aws.items_of(&format!("T#{tenant}#")).await;
        for (body, pointer, code) in bad_fields() {
            client.post(format!("{path}/messages"), &body).await.names(&[(pointer, code)]);
        }
        for (name, value) in [
            ("X-Ticket", "a\r\nBcc: evil@example.org"),
            ("X Ticket", "a"),
            ("Bcc", "evil@example.org"),
            ("From", "evil@example.org"),
            ("Content-Type", "text/html"),
            ("Subject\r\nX", "a"),
        ] {
            let body =
                json!({"to": "ada@example.test", "subject": "x", "headers": [{"name": name, "values": [value]}]});
            let problem = client.post(format!("{path}/messages"), &body).await.problem(422, "invalid_request");
            assert!(problem["errors"][0]["pointer"].as_str().unwrap().starts_with("/headers/0"), "{problem}");
        }
        let subject = json!({"to": "ada@example.test", "subject": "a\r\nBcc: evil@example.org", "text": "x"});
        client.post(format!("{path}/messages"), &subject).await.names(&[("/subject", "invalid_subject")]);
        client
            .post(format!("{path}/messages?wait=26"), &json!({"to": "ada@example.test", "subject": "x"}))
            .await
            .names(&[("?wait", "invalid_value")]);
        let _ = client
            .post("/v1/accounts/nobody/messages", &json!({"to": "ada@example.test", "subject": "x"}))
            .await
            .problem(404, "account_not_found");
        assert_eq!(aws.items_of(&format!("T#{tenant}#")).await, before);
        assert!(aws.objects(&format!("t/{tenant}/")).await.is_empty());
        assert_eq!((peer.logins(), peer.sandbox.received().len()), (0, 0));
    });
}

#[test]
fn too_large_names_the_limit_and_its_number() {
    run(async {
        let (tenant, client, peer, path) = sender().await;
        let body = |size: usize| {
            let frame = r#"{"to":"ada@example.test","subject":""}"#.len();
            format!(r#"{{"to":"ada@example.test","subject":"{}"}}"#, "x".repeat(size - frame))
        };
        let post =
            |body: String| client.ask(Method::POST, format!("{path}/messages")).body("application/json", body).send();
        let over = post(body(4_718_593)).await.problem(413, "body_too_large");
        assert!(over["detail"].as_str().unwrap().contains("bodyBytes is 4718592"), "{over}");
        let recipients: Vec<String> = (0..101).map(|number| format!("u{number}@example.org")).collect();
        let many = client
            .post(format!("{path}/messages"), &json!({"to": recipients, "subject": "x"}))
            .await
            .problem(422, "invalid_request");
        assert!(many["errors"][0]["detail"].as_str().unwrap().contains("the limit recipients is 100"), "{many}");
        assert!(service().await.aws().await.items_of(&format!("T#{tenant}#M")).await.is_empty());
        assert_eq!(peer.sandbox.received().len(), 0);
        // At the limit the body itself is taken: what is wrong with it is another matter.
        assert_ne!(post(body(4_718_592)).await.status, 413);
    });
}

#[test]
fn an_identity_may_stand_in_from_and_an_account_without_smtp_sends_nothing() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let mut settings = peer.account(Receive::Imap, Way::Tls);
        settings["identities"] = json!(["Sales <sales@example.test>"]);
        let path = account(&client, "mail", &settings).await;
        let _ = client
            .post(
                format!("{path}/messages"),
                &json!({"to": "ada@example.test", "subject": "x", "from": "SALES@example.test"}),
            )
            .await
            .is(200);
        assert_eq!(peer.sandbox.received()[0].from.to_lowercase(), "sales@example.test");
        settings.as_object_mut().unwrap().remove("smtp");
        let only = account(&client, "receiving", &settings).await;
        let _ = client
            .post(format!("{only}/messages"), &json!({"to": "ada@example.test", "subject": "x"}))
            .await
            .problem(422, "invalid_request");
        assert_eq!(peer.sandbox.received().len(), 1);
    });
}
