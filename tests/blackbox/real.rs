//! Real servers: Dovecot for IMAP and POP3, Postfix for submission with SASL, over implicit TLS and over STARTTLS.

use serde_json::{Value, json};
use tests::checker::{Verdict, end_state};
use tests::corpus;
use tests::dovecot::Dovecot;
use tests::peer::{Receive, Way};
use tests::postfix::{Postfix, Sink};
use tests::random::Random;
use tests::until;
use tokio::sync::OnceCell;

use crate::pull::pull_all;
use crate::{account, run, service};

static SERVERS: OnceCell<(Dovecot, Postfix)> = OnceCell::const_new();

pub(crate) async fn servers() -> &'static (Dovecot, Postfix) {
    SERVERS
        .get_or_init(|| async {
            let dovecot = Dovecot::start().await;
            let postfix = Postfix::start(&dovecot).await;
            (dovecot, postfix)
        })
        .await
}

/// An account for a user at the real servers.
pub(crate) async fn settings(user: &str, receive: Receive, way: Way) -> Value {
    let (dovecot, postfix) = servers().await;
    json!({"from": user, "smtp": postfix.smtp(user, way), "receive": dovecot.receive(user, receive, way)})
}

#[test]
fn what_is_sent_through_postfix_arrives_in_dovecot_and_is_pulled_back_byte_for_byte() {
    run(async {
        for (receive, way, user) in [
            (Receive::Imap, Way::Tls, "imap-tls@example.test"),
            (Receive::Imap, Way::Starttls, "imap-starttls@example.test"),
            (Receive::Pop3, Way::Tls, "pop3-tls@example.test"),
            (Receive::Pop3, Way::Starttls, "pop3-starttls@example.test"),
        ] {
            let service = service().await;
            let (tenant, client) = service.tenant();
            let path = account(&client, "mail", &settings(user, receive, way).await).await;
            let probe = client.post_empty(format!("{path}/verify")).await.value(200);
            assert_eq!((&probe["smtp"]["code"], &probe["receive"]["code"]), (&json!("ok"), &json!("ok")), "{probe}");
            let file = Random::new(8).bytes(100_000);
            let content = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &file);
            let mail = json!({"to": user, "subject": "Über Postfix", "text": ".\nGrüße\n", "html": "<p>Grüße</p>", "attachments": [{"filename": "größe.bin", "content": content}]});
            let sent = client.post(format!("{path}/messages"), &mail).await.value(200);
            assert_eq!(
                (&sent["state"], &sent["recipients"][0]["smtp"]["code"]),
                (&json!("sent"), &json!(250)),
                "{sent}"
            );
            let (dovecot, _) = servers().await;
            until("Postfix has delivered it", async || (dovecot.messages(user).len() == 1).then_some(())).await;
            assert_eq!(pull_all(&client, &path).await, 1, "{receive:?} {way:?}");
            let source = dovecot.messages(user).remove(0);
            let items = client.get(format!("{path}/messages?direction=incoming")).await.value(200)["items"].clone();
            let id = items[0]["id"].as_str().unwrap();
            assert_eq!((&items[0]["subject"], &items[0]["messageId"]), (&json!("Über Postfix"), &sent["messageId"]));
            let raw = service.aws().await.object(&format!("t/{tenant}/raw/{id}")).await.unwrap();
            assert_eq!(tests::sha256(&raw), tests::sha256(&source), "{receive:?} {way:?}");
            let part = &items[0]["attachments"][0]["part"];
            let back = client.get(format!("{path}/messages/{id}/attachments/{part}?inline=true")).await;
            assert!(back.is(200).body == file);
        }
    });
}

#[test]
fn a_mailbox_of_many_kinds_is_stored_byte_for_byte_and_emptied_when_asked() {
    run(async {
        let (dovecot, _) = servers().await;
        let service = service().await;
        let mut random = Random::announced("real");
        for receive in Receive::BOTH {
            let user = format!("many-{}@example.test", receive.name());
            // Dovecot stores what it is given; its own rules make CRLF of it on the wire.
            let mut messages = corpus::mixed(60, &mut random);
            messages.extend(corpus::odd());
            let (tenant, client) = service.tenant();
            dovecot.deliver(&user, &messages);
            let mut settings = settings(&user, receive, Way::Tls).await;
            settings["receive"]["keepOnServer"] = json!(false);
            let path = account(&client, "mail", &settings).await;
            assert_eq!(pull_all(&client, &path).await as usize, messages.len());
            assert_eq!(dovecot.messages(&user).len(), messages.len());
            let truth = dovecot.messages(&user);
            let state = end_state(&service.aws().await, &client, &tenant, "mail", &truth, &truth).await;
            assert_eq!((state.verdict(), state.rows.len()), (Verdict::default(), messages.len()), "{receive:?}");
            assert_eq!(pull_all(&client, &path).await, 0);
            assert!(dovecot.messages(&user).is_empty(), "{receive:?}");
            let state = end_state(&service.aws().await, &client, &tenant, "mail", &truth, &[]).await;
            assert_eq!(state.verdict(), Verdict::default(), "{receive:?}");
        }
    });
}

#[test]
fn a_real_mailbox_is_pulled_on_schedule() {
    run(async {
        let (dovecot, _) = servers().await;
        for receive in Receive::BOTH {
            let user = format!("polled-{}@example.test", receive.name());
            let (_, client) = service().await.tenant();
            let mut settings = settings(&user, receive, Way::Starttls).await;
            settings["poll"] = json!({"enabled": true, "minSeconds": 1, "maxSeconds": 1});
            let path = account(&client, "mail", &settings).await;
            dovecot.deliver(&user, &[corpus::plain(1)]);
            until("it is pulled without a call", async || {
                let items = client.get(format!("{path}/messages")).await.value(200)["items"].clone();
                (items.as_array().unwrap().len() == 1).then_some(())
            })
            .await;
            let _ = client.delete(path).await.is(204);
        }
    });
}

#[test]
fn real_servers_refuse_in_their_own_words() {
    run(async {
        let (_, client) = service().await.tenant();
        let mut settings = settings("words@example.test", Receive::Pop3, Way::Starttls).await;
        settings["smtp"]["auth"]["password"] = json!("wrong");
        settings["receive"]["auth"]["password"] = json!("wrong");
        let probe = client
            .post("/v1/validate-credentials", &json!({"smtp": settings["smtp"], "receive": settings["receive"]}))
            .await
            .value(200);
        assert_eq!(
            (&probe["smtp"]["code"], &probe["smtp"]["smtpResponseCode"], &probe["receive"]["code"]),
            (&json!("auth_failed"), &json!(535), &json!("auth_failed")),
            "{probe}"
        );
    });
}

#[test]
fn postfix_refuses_a_stranger_and_takes_the_others() {
    run(async {
        let user = "partial@example.test";
        let (_, client) = service().await.tenant();
        let path = account(&client, "mail", &settings(user, Receive::Imap, Way::Tls).await).await;
        let answer = client
            .post(
                format!("{path}/messages"),
                &json!({"to": [user, "\"a b\"@example.test", "x@[300.1.1.1]"], "subject": "Some"}),
            )
            .await;
        assert!([200, 422].contains(&answer.status), "{}", answer.text());
        let long = format!("{}@example.test", "l".repeat(60));
        let sent =
            client.post(format!("{path}/messages"), &json!({"to": [user, long], "subject": "Both"})).await.value(200);
        assert_eq!(sent["state"], "sent", "{sent}");
    });
}

#[test]
fn smtp_sink_that_loses_its_reply_leaves_the_message_unknown_and_in_one_copy() {
    run(async {
        let (_, client) = service().await.tenant();
        for (options, state, status) in [
            (vec![], "sent", 200),
            (vec!["-q", "."], "unknown", 202),
            (vec!["-f", "RCPT"], "failed", 422),
            (vec!["-r", "RCPT"], "deferred", 202),
        ] {
            let sink = Sink::start(&options).await;
            let name = format!("sink-{state}");
            let path = account(&client, &name, &json!({"from": "ada@example.test", "smtp": sink.smtp()})).await;
            let answer = client
                .post(format!("{path}/messages"), &json!({"to": "bob@example.org", "subject": state, "text": "once"}))
                .await;
            let value = answer.value(status);
            let message = if status == 422 { &value["resource"] } else { &value };
            assert_eq!(message["state"], state, "{options:?}: {value}");
            let copies = sink.messages();
            let taken = usize::from(["sent", "unknown"].contains(&state));
            assert_eq!(copies.len(), taken, "{options:?}: {copies:?}");
        }
    });
}

#[test]
fn postfix_reports_a_delivery_that_was_asked_about_and_takes_international_addresses() {
    run(async {
        let user = "reported@example.test";
        let (_, client) = service().await.tenant();
        let path = account(&client, "mail", &settings(user, Receive::Imap, Way::Tls).await).await;
        let mail = json!({
            "to": "dsn+x@example.test", "subject": "Report", "text": "x",
            "dsn": {"notify": ["success"], "return": "headers", "envelopeId": "order 4711+a=b", "required": true},
        });
        assert_eq!(client.post(format!("{path}/messages"), &mail).await.value(200)["state"], "sent");
        let (dovecot, _) = servers().await;
        let report = until("the report has come", async || dovecot.messages(user).pop()).await;
        let report = String::from_utf8_lossy(&report).into_owned();
        for line in
            ["Original-Envelope-Id: order 4711+a=b", "Original-Recipient: rfc822;dsn+x@example.test", "Action: relayed"]
        {
            assert!(report.contains(line), "{line}: {report}");
        }
        let international = json!({"to": ["jörg@example.test", "bob@bücher.example"], "subject": "Grüße", "text": "x"});
        let sent = client.post(format!("{path}/messages"), &international).await.value(200);
        assert_eq!(sent["recipients"][0]["state"], "sent", "{sent}");
        // Nothing leaves this machine; its words show the address as it was told.
        let words = sent["recipients"][1]["smtp"]["text"].as_str().unwrap();
        assert!(words.contains("<bob@xn--bcher-kva.example>"), "{sent}");
    });
}
