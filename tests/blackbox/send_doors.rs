//! Sending through the doors of jetQuery (A1.2, A1.3), EmailEngine (A3.4) and Email Service 1.0 (A4.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use sandbox::{At, Protocol, Rule};
use serde_json::{Value, json};
use tests::client::{Answer, Client};
use tests::peer::{Peer, Receive, Way};
use tests::service::TOKEN;

use crate::{account, run, service};

const JET: &str = "/api/core/mail/send/e-invoice";

/// A caller with an account of this name at a server of its own.
async fn caller(name: &str) -> (String, Client, Peer) {
    let (tenant, client) = service().await.tenant();
    let peer = Peer::start().await;
    account(&client, name, &peer.account(Receive::Imap, Way::Starttls)).await;
    (tenant, client, peer)
}

fn received(peer: &Peer, index: usize) -> String {
    String::from_utf8_lossy(&peer.sandbox.received()[index].bytes).into_owned()
}

/// The seed's example.
fn invoice() -> Value {
    json!({
        "mail_subject": "Document attached F001/202401", "mail_to": "grace@example.org", "mail_cc": "alan@example.org",
        "mail_body_text": "Przesyłam dokument \n\nPozdrawiama\n", "mail_remote_id": "932304ce-497d-4699-9c81-aa7decad31f6",
        "mail_remote_source": "saleinvoice", "mail_account": "e-invoice",
    })
}

/// Holds a refusal to the envelope of the doors whose seeds name none (decision 26).
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) -> String {
    let body = answer.value(status);
    assert_eq!((body["code"].as_str(), body.as_object().unwrap().len()), (Some(code), 2), "{body}");
    body["message"].as_str().unwrap().to_owned()
}

/// A1.2/4, A1.2/9, A1.2/10, A1.3/11 to A1.3/16, A1.3/18.
#[test]
fn a_1_2_and_3_the_example_of_the_seed_is_sent_and_found_again() {
    run(async {
        let (tenant, client, peer) = caller("e-invoice").await;
        let token = format!("Token {TOKEN}");
        let anybody = client.with_token(None);
        let ask = anybody.ask(Method::POST, JET).header("authorization", &token).header("tenant", &tenant);
        let sent = ask.json(&invoice()).send().await.value(200);
        assert_eq!((&sent["mail_state"], &sent["mail_account"]), (&json!("sent"), &json!("e-invoice")), "{sent}");
        assert_eq!(peer.sandbox.received()[0].recipients, ["grace@example.org", "alan@example.org"]);
        let id = sent["mail_id"].as_str().unwrap();
        let stored = client.get(format!("/v1/accounts/e-invoice/messages/{id}")).await.value(200);
        assert_eq!(
            stored["correlation"],
            json!({"source": "saleinvoice", "id": "932304ce-497d-4699-9c81-aa7decad31f6"}),
            "A1.3/15, 16"
        );
        assert_eq!(
            stored["text"].as_str().unwrap().replace("\r\n", "\n").trim_end(),
            "Przesyłam dokument \n\nPozdrawiama",
            "A1.3/14"
        );
        assert_eq!(stored["subject"], "Document attached F001/202401", "A1.3/11");

        let mut other = invoice();
        other["mail_account"] = json!("another");
        let words = refused(&client.post(JET, &other).await, 400, "ambiguous_account");
        assert!(words.contains("another"), "A1.3/18: {words}");
        let _ = refused(
            &client.post("/api/core/mail/send/nobody", &json!({"mail_to": "a@example.org"})).await,
            404,
            "account_not_found",
        );
        assert_eq!(peer.sandbox.received().len(), 1);
    });
}

/// A1.3/17, A1.3/19, A1.3/20, A1.4/27; decision 18.
#[test]
fn a_1_3_17_lists_of_recipients_and_files() {
    run(async {
        let (_, client, peer) = caller("e-invoice").await;
        let bytes = tests::random::Random::new(17).bytes(30_000);
        let first = json!({"to": "grace@example.org", "attachments": [{"filename": "a.pdf", "content": STANDARD.encode(&bytes)}]});
        let _ = client.post("/v1/accounts/e-invoice/messages", &first).await.is(200);
        let digits = &tests::sha256(&bytes)[..32];
        let uuid =
            format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
        let body = json!({"mail_to": "\"Hopper, Grace\" <grace@example.org>; ada@example.test", "mail_bcc": "hidden@example.org",
                          "mail_body_html": "<p>Hi</p>", "mail_attachments": format!("{}, {uuid}", uuid.to_uppercase())});
        let sent = client.post(JET, &body).await.value(200);
        assert_eq!(sent["mail_state"], "sent");
        assert_eq!(
            peer.sandbox.received()[1].recipients,
            ["grace@example.org", "ada@example.test", "hidden@example.org"]
        );
        let text = received(&peer, 1);
        assert!(text.contains("Hopper, Grace") && !text.contains("hidden@example.org"), "{text}");
        let dense = text.replace("\r\n", "");
        assert_eq!(dense.matches(&STANDARD.encode(&bytes)).count(), 2);

        for (field, value) in [
            ("mail_attachments", "a7590409-b792-8f1c-81d0-0191a509d671"),
            ("mail_attachments", "x"),
            ("mail_to", "nobody"),
        ] {
            let mut wrong = invoice();
            wrong[field] = json!(value);
            let words = refused(&client.post(JET, &wrong).await, 422, "invalid_request");
            assert!(words.contains(field), "{words}");
        }
        let other = service().await.tenant().1;
        account(&other, "e-invoice", &peer.account(Receive::Imap, Way::Starttls)).await;
        let mut stolen = invoice();
        stolen["mail_attachments"] = json!(uuid);
        let _ = refused(&other.post(JET, &stolen).await, 422, "invalid_request");
    });
}

/// Decision 5.
#[test]
fn jet_query_is_told_what_failed_and_nothing_is_tried_later() {
    run(async {
        let (_, client, peer) = caller("e-invoice").await;
        peer.sandbox.script(
            Rule::on(Protocol::Smtp).at(At::Command("RCPT")).matching("later@").reply("451 4.7.1 Come back later\r\n"),
        );
        let words = refused(
            &client.post(JET, &json!({"mail_to": "later@example.org", "mail_subject": "s"})).await,
            422,
            "recipient_rejected",
        );
        assert!(words.contains("451"), "{words}");
        let partial = client
            .post(JET, &json!({"mail_to": "later@example.org, grace@example.org", "mail_subject": "s"}))
            .await
            .value(200);
        assert_eq!(
            (&partial["mail_state"], &partial["mail_refused"]),
            (&json!("partial"), &json!(["later@example.org"]))
        );
        let ask = async || client.ask(Method::POST, JET).header("idempotency-key", "k").json(&invoice()).send().await;
        let (first, second) = (ask().await, ask().await);
        assert_eq!((first.value(200), second.header("idempotency-replayed")), (second.value(200), "true"));
    });
}

/// A1.2/6, A1.4/21, A1.4/28, A1.4/30.
#[test]
fn a_1_4_28_what_is_put_into_storage_is_sent_by_a_push() {
    run(async {
        let (_, client, peer) = caller("e-invoice").await;
        let set = async |body: &Value| client.post("/api/core/mail/mail_set", body).await;
        let first = set(&invoice()).await.value(200);
        assert_eq!((&first["mail_state"], &first["mail_sent"]), (&json!("queued"), &Value::Null), "{first}");
        let mut second = invoice();
        second["mail_subject"] = json!("Second");
        let second = set(&second).await.value(200);
        let mut changed = invoice();
        changed["mail_id"] = first["mail_id"].clone();
        changed["mail_subject"] = json!("Changed");
        changed.as_object_mut().unwrap().remove("mail_cc");
        assert_eq!(set(&changed).await.value(200)["mail_id"], first["mail_id"], "set is an upsert");
        let id = first["mail_id"].as_str().unwrap();
        let stored = client.get(format!("/v1/accounts/e-invoice/messages/{id}")).await.value(200);
        assert_eq!((&stored["direction"], &stored["subject"]), (&json!("outgoing"), &json!("Changed")), "A1.4/21");

        // A mail that is sent later marks that the clock has gone on: the ticks of a second leave what is held alone.
        let marker = json!({"to": "alan@example.org", "text": "x", "sendAt": in_seconds(2)});
        let _ = client.post("/v1/accounts/e-invoice/messages", &marker).await.is(202);
        tests::until("the marker is sent", async || (!peer.sandbox.received().is_empty()).then_some(())).await;
        assert_eq!(peer.sandbox.received().len(), 1, "nothing is sent before the push");

        let pushed = client.get("/api/core/mail/push/e-invoice").await.value(200);
        assert_eq!(pushed, json!({"delivered": 2, "deferred": 0, "failed": 0, "unknown": 0}));
        let sent = peer.sandbox.received();
        assert_eq!((sent.len(), sent[1].recipients.as_slice()), (3, ["grace@example.org".to_owned()].as_slice()));
        assert!(received(&peer, 1).contains("Subject: Changed") && received(&peer, 2).contains("Subject: Second"));
        assert!(!second["mail_id"].is_null());
        let _ = refused(&set(&changed).await, 409, "conflict");

        peer.sandbox.script(
            Rule::on(Protocol::Smtp).at(At::Command("RCPT")).matching("never@").reply("550 5.1.1 No such user\r\n"),
        );
        let _ = set(&json!({"mail_account": "e-invoice", "mail_to": "never@example.org", "mail_subject": "s"}))
            .await
            .is(200);
        let _ = set(&json!({"mail_account": "e-invoice", "mail_to": "grace@example.org", "mail_subject": "s"}))
            .await
            .is(200);
        let pushed = client.post_empty("/api/core/mail/push").await.value(200);
        assert_eq!(pushed, json!({"delivered": 1, "deferred": 0, "failed": 1, "unknown": 0}));
        assert_eq!(client.get("/api/core/mail/push").await.value(200)["delivered"], 0);

        let _ = refused(&set(&json!({"mail_to": "a@example.org"})).await, 422, "invalid_request");
        let _ = refused(
            &set(&json!({"mail_account": "nobody", "mail_to": "a@example.org"})).await,
            404,
            "account_not_found",
        );
        let _ = refused(&client.post_empty("/api/core/mail/push/nobody").await, 404, "account_not_found");
    });
}

/// A time of RFC 3339 so many seconds ahead.
fn in_seconds(seconds: i64) -> String {
    let at = time::OffsetDateTime::now_utc() + time::Duration::seconds(seconds);
    at.format(&time::format_description::well_known::Rfc3339).unwrap()
}

/// A3.4: the outbox in EmailEngine's words.
#[test]
fn email_engines_outbox_is_listed_and_taken_back() {
    run(async {
        let (_, client, peer) = caller("example").await;
        let at = in_seconds(3600);
        let mut ids = Vec::new();
        for index in 0..3 {
            let body =
                json!({"to": "grace@example.org", "subject": format!("Later {index}"), "text": "x", "sendAt": at});
            let queued = client.post("/v1/account/example/submit", &body).await.value(200);
            assert_eq!(queued["sendAt"].as_str().unwrap()[..19], at[..19]);
            ids.push(queued["queueId"].as_str().unwrap().to_owned());
        }
        let list = async |query: &str| client.get(format!("/emailengine/v1/outbox{query}")).await.value(200);
        let all = tests::until("all are listed", async || {
            let all = list("").await;
            (all["total"] == 3).then_some(all)
        })
        .await;
        assert_eq!((&all["page"], &all["pages"]), (&json!(0), &json!(1)));
        let first = &all["messages"][0];
        assert_eq!((&first["queueId"], &first["progress"]), (&json!(ids[0]), &json!({"status": "queued"})), "{first}");
        assert_eq!(first["nextAttempt"].as_str().unwrap()[..19], at[..19]);
        let second = list("?page=1&pageSize=2").await;
        assert_eq!((&second["pages"], second["messages"].as_array().unwrap().len()), (&json!(2), 1));
        let path = format!("/emailengine/v1/outbox/{}", ids[1]);
        assert_eq!(client.delete(&path).await.value(200), json!({"deleted": true}));
        assert_eq!(client.delete(&path).await.value(200), json!({"deleted": false}));
        let other = service().await.tenant().1;
        assert_eq!(other.get(format!("/emailengine/v1/outbox/{}", ids[0])).await.value(404)["code"], "MessageNotFound");
        assert_eq!(client.get("/emailengine/v1/outbox?pageSize=x").await.value(400)["statusCode"], 400);
        assert!(peer.sandbox.received().is_empty());
    });
}

/// A3.4/17, A3.4/18, A3.4/22: a standalone message, at both places of the door.
#[test]
fn a_3_4_18_a_message_is_queued_and_sent() {
    run(async {
        let (_, client, peer) = caller("example").await;
        for (index, prefix) in ["", "/emailengine"].iter().enumerate() {
            let body = json!({
                "from": {"name": "Example Sender", "address": "ada@example.test"}, "to": [{"name": "Andris", "address": "grace@example.org"}],
                "cc": [{"name": "", "address": "alan@example.org"}], "replyTo": {"name": "", "address": "desk@example.org"},
                "subject": "Hello", "text": "my reply to you", "html": "<p>my reply to you</p>", "headers": {"X-Ticket": ["42", "43"], "X-One": "1"},
                "attachments": [{"filename": "checkmark.png", "content": "iVBORw0KGgo="}], "trackingEnabled": true,
            });
            let ask = client
                .ask(Method::POST, format!("{prefix}/v1/account/example/submit"))
                .header("idempotency-key", &format!("k{index}"));
            let queued = ask.json(&body).send().await.value(200);
            assert_eq!(
                queued.as_object().unwrap().keys().collect::<Vec<_>>(),
                ["response", "messageId", "sendAt", "queueId"]
            );
            assert_eq!(queued["response"], "Queued for delivery");
            tests::until("it is sent", async || (peer.sandbox.received().len() > index).then_some(())).await;
            let text = received(&peer, index);
            for part in [
                "X-Ticket: 42\r\n",
                "X-Ticket: 43\r\n",
                "X-One: 1\r\n",
                "checkmark.png",
                "Example Sender",
                "desk@example.org",
                queued["messageId"].as_str().unwrap(),
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
            let path = format!("/emailengine/v1/outbox/{}", queued["queueId"].as_str().unwrap());
            let item = tests::until("it is noted", async || {
                let item = client.get(&path).await.value(200);
                (item["progress"]["status"] == "submitted").then_some(item)
            })
            .await;
            assert_eq!(
                (&item["account"], &item["subject"], &item["attemptsMade"]),
                (&json!("example"), &json!("Hello"), &json!(1))
            );
            assert_eq!(
                item["envelope"],
                json!({"from": "ada@example.test", "to": ["grace@example.org", "alan@example.org"]})
            );
            assert!(item["progress"]["response"].as_str().unwrap().starts_with("250 "), "{item}");
            assert_eq!(client.delete(&path).await.value(200), json!({"deleted": false}));
        }
    });
}

/// A3.4: the door's own envelope, and what it does not take.
#[test]
fn email_engine_names_the_wrong_field() {
    run(async {
        let (_, client, peer) = caller("example").await;
        let path = "/v1/account/example/submit";
        for (body, key) in [
            (json!({"text": "x"}), "to"),
            (json!({"to": "nobody", "text": "x"}), "to"),
            (json!({"to": "a@example.org", "text": "x", "envelope": {"to": ["b@example.org"]}}), "envelope"),
            (json!({"to": "a@example.org", "attachments": [{"content": "!"}]}), "content"),
            (json!({"to": "a@example.org", "text": "x", "from": "stranger@example.org"}), "from"),
        ] {
            let answer = client.post(path, &body).await.value(400);
            assert_eq!((&answer["statusCode"], &answer["message"]), (&json!(400), &json!("Invalid input")), "{answer}");
            assert_eq!(answer["fields"][0]["key"], key, "{answer}");
        }
        let missing = client.post("/v1/account/nobody/submit", &json!({"to": "a@example.org"})).await.value(404);
        assert_eq!(missing["code"], "AccountNotFound");
        let gone = client.get(format!("/emailengine/v1/outbox/{}", "0".repeat(32))).await.value(404);
        assert_eq!(gone["code"], "MessageNotFound");
        assert!(peer.sandbox.received().is_empty());
    });
}

/// A3.4/17, A3.4/19, A3.4/20: an answer to a stored message.
#[test]
fn a_3_4_20_a_reply_refers_and_a_missing_message_is_404() {
    run(async {
        let (_, client, peer) = caller("example").await;
        let original = "From: Grace <grace@example.org>\r\nTo: ada@example.test\r\nSubject: Lunch\r\n\
                        Message-ID: <lunch@example.org>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\nLunch?\r\n";
        peer.sandbox.deliver("ada@example.test", original.as_bytes().to_vec()).unwrap();
        let pulled = client.post_empty("/v1/accounts/example/pull").await.value(200);
        let id = pulled["stored"][0].as_str().unwrap();
        let path = "/v1/account/example/submit";
        let body = |id: &str, action: &str| json!({"reference": {"message": id, "action": action}, "to": [{"address": "grace@example.org"}], "text": "Yes"});
        for (index, (action, subject)) in
            [("reply", "Subject: Re: Lunch"), ("forward", "Subject: Fwd: Lunch")].into_iter().enumerate()
        {
            let queued = client.post(path, &body(id, action)).await.value(200);
            assert_eq!(queued["reference"], json!({"message": id, "success": true}), "{queued}");
            tests::until("it is sent", async || (peer.sandbox.received().len() > index).then_some(())).await;
            let text = received(&peer, index);
            assert!(text.contains(subject) && text.contains("References: <lunch@example.org>"), "A3.4/20: {text}");
            assert_eq!(text.contains("In-Reply-To: <lunch@example.org>"), action == "reply", "{text}");
        }
        let missing = "0".repeat(32);
        let answer = client.post(path, &body(&missing, "reply")).await.value(404);
        assert_eq!((&answer["code"], &answer["statusCode"]), (&json!("MessageNotFound"), &json!(404)), "A3.4/19");
        let mut lenient = body(&missing, "reply");
        lenient["reference"]["ignoreMissing"] = json!(true);
        let queued = client.post(path, &lenient).await.value(200);
        assert_eq!(queued["reference"], json!({"message": missing, "success": false}));
        tests::until("it is sent", async || (peer.sandbox.received().len() == 3).then_some(())).await;
    });
}

/// Holds an answer to the one shape of Email Service 1.0, and returns its words.
#[track_caller]
fn words(answer: &Answer, status: u16) -> String {
    let body = answer.value(status);
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["message"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

/// A4.2/6 to A4.2/15.
#[test]
fn a_4_2_an_email_is_sent_with_its_downloads() {
    run(async {
        let (_, client) = service().await.tenant();
        let send = async |body: &Value| client.post("/send-email", body).await;
        let hello =
            json!({"subject": "Hello", "recipient": "grace@example.org", "message": "First line\nsecond line\n"});
        let _ = words(&send(&hello).await, 404);
        let peer = Peer::start().await;
        account(&client, "default", &peer.account(Receive::Imap, Way::Starttls)).await;
        let web = tests::web::Web::start().await;
        let url = web.file(
            "/a",
            &["Content-Disposition: attachment; filename=\"offer.txt\"", "Content-Type: text/plain"],
            b"the offer",
        );
        let mut with_file = hello.clone();
        with_file["attachments"] = json!([url]);
        let _ = words(&send(&with_file).await, 200);
        let text = received(&peer, 0);
        assert!(text.contains("First line\r\nsecond line") && text.contains("offer.txt"), "A4.2/10, 12, 14: {text}");

        let token = async |value: &str| {
            let made = client.post("/v1/pii-tokens", &json!({"value": value})).await.value(201);
            made["token"].as_str().unwrap().to_owned()
        };
        let (who, what) = (token("alan@example.org").await, token("Your offer, Alan").await);
        let body = json!({"subject": what, "recipient": who, "message": "x"});
        let said = words(&send(&body).await, 200);
        assert!(!said.contains("alan"), "A4.2/13: {said}");
        assert_eq!(peer.sandbox.received()[1].recipients, ["alan@example.org"]);
        assert!(received(&peer, 1).contains("Subject: Your offer, Alan"), "A4.2/7");

        let cases = [
            (json!({"subject": "s"}), 400, "recipient"),
            (json!({"recipient": "nobody", "subject": "s"}), 400, "recipient"),
            (json!({"recipient": "a@example.org"}), 400, "message"),
            (json!({"recipient": "a@example.org", "message": ""}), 400, "message"),
            (json!({"recipient": "a@example.org", "message": "NS-EU-NOBODY-KNOWS"}), 422, "NS-EU-NOBODY-KNOWS"),
            (json!({"recipient": "NS-EU-NOBODY-KNOWS", "message": "x"}), 422, "NS-EU-NOBODY-KNOWS"),
            (
                json!({"recipient": "a@example.org", "message": "x", "attachments": [format!("{url}/gone")]}),
                422,
                "attachments",
            ),
            (
                json!({"recipient": "a@example.org", "message": "x", "attachments": ["http://10.1.2.3/a"]}),
                422,
                "attachments",
            ),
        ];
        for (body, status, word) in cases {
            let answer = send(&body).await;
            assert!([status, 400].contains(&answer.status), "{body}: {}", answer.text());
            let said = words(&answer, answer.status);
            assert!(said.contains(word) || status == 422, "{body}: {said}");
        }
        peer.sandbox.script(
            Rule::on(Protocol::Smtp).at(At::Command("RCPT")).matching("never@").reply("550 5.1.1 No such user\r\n"),
        );
        let said = words(&send(&json!({"recipient": "never@example.org", "message": "x"})).await, 422);
        assert!(said.contains("550"), "A4.2/15: {said}");
        let no_tenant = service().await.client();
        assert!(words(&no_tenant.post("/send-email", &hello).await, 400).contains("Tenant"), "A4.1/3");
        assert_eq!(peer.sandbox.received().len(), 2, "nothing else was sent");
    });
}
