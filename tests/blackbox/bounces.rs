//! What comes back about sent mail: found in the pull, noted in the message, and the address suppressed.

use serde_json::{Value, json};
use tests::client::Client;
use tests::peer::Peer;

use crate::run;
use crate::send::sender;

pub(crate) const GONE: &str = "gone@example.org";
pub(crate) const FULL: &str = "full@example.org";

/// A delivery report (RFC 3464) as Postfix writes it.
pub(crate) fn report(message_id: &str, recipients: &[(&str, &str, &str)]) -> Vec<u8> {
    let groups: String = recipients
        .iter()
        .map(|(address, action, status)| {
            format!(
                "\r\nFinal-Recipient: rfc822; {address}\r\nAction: {action}\r\nStatus: {status}\r\n\
                 Diagnostic-Code: smtp; 550 {status} as it is\r\n"
            )
        })
        .collect();
    format!(
        "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example.org\r\nTo: ada@example.test\r\nSubject: Undelivered Mail\r\n\
         Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nI could not deliver your message.\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n{groups}\r\n\
         --b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {message_id}\r\nSubject: News\r\n\r\n--b--\r\n"
    )
    .into_bytes()
}

/// A complaint (RFC 5965).
pub(crate) fn complaint(message_id: &str, address: &str) -> Vec<u8> {
    format!(
        "From: abuse@provider.example\r\nTo: ada@example.test\r\nSubject: complaint\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nThis is an email abuse report.\r\n\
         --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\nOriginal-Rcpt-To: <{address}>\r\n\r\n\
         --b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: {message_id}\r\nSubject: News\r\n\r\nHello\r\n--b--\r\n"
    )
    .into_bytes()
}

pub(crate) async fn arrives(peer: &Peer, client: &Client, path: &str, message: Vec<u8>) -> Value {
    peer.sandbox.deliver(&peer.user, message).unwrap();
    let pulled = client.post_empty(format!("{path}/pull")).await.value(200);
    let [id] = &pulled["stored"].as_array().unwrap()[..] else { panic!("{pulled}") };
    client.get(format!("{path}/messages/{}", id.as_str().unwrap())).await.value(200)
}

fn bounces(message: &Value, list: &str) -> Vec<Value> {
    message[list].as_array().unwrap().iter().map(|one| one["bounce"].clone()).collect()
}

#[test]
fn a_bounce_is_noted_and_what_is_dead_is_suppressed() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let mail = json!({"to": [GONE, FULL, "fine@example.org"], "subject": "News", "text": "x"});
        let sent = client.post(format!("{path}/messages"), &mail).await.value(200);
        let message_id = sent["messageId"].as_str().unwrap();
        let outbox = format!("/v1/outbox/{}", sent["id"].as_str().unwrap());

        let dsn = report(message_id, &[(GONE, "failed", "5.1.1"), (FULL, "failed", "5.2.2")]);
        let row = arrives(&peer, &client, &path, dsn.clone()).await;
        assert_eq!(row["autoReply"], "replied", "{row}");
        let one = |address: &str, kind: &str, code: &str| json!({"address": address, "action": "failed", "kind": kind, "code": code, "text": format!("550 {code} as it is")});
        assert_eq!(
            row["report"],
            json!({"kind": "bounce", "messageId": message_id, "message": sent["id"],
                   "recipients": [one(GONE, "hard", "5.1.1"), one(FULL, "soft", "5.2.2")]})
        );
        let noted = client.get(outbox.clone()).await.value(200);
        let bounce = |kind: &str, code: &str| json!({"kind": kind, "code": code, "text": format!("550 {code} as it is"), "at": row["receivedAt"], "report": row["id"]});
        assert_eq!(
            bounces(&noted, "recipients"),
            [bounce("hard", "5.1.1"), bounce("soft", "5.2.2"), Value::Null],
            "{noted}"
        );
        assert_eq!(noted["state"], "sent", "its server had taken it");
        let read = client.get(format!("{path}/messages/{}", sent["id"].as_str().unwrap())).await.value(200);
        assert_eq!(bounces(&read, "delivery"), bounces(&noted, "recipients"));

        let listed = client.get("/v1/suppressions").await.value(200);
        let [suppressed] = &listed["items"].as_array().unwrap()[..] else { panic!("soft ones are not: {listed}") };
        assert_eq!(
            (&suppressed["address"], &suppressed["reason"], &suppressed["message"]),
            (&json!(GONE), &json!("hardBounce"), &sent["id"])
        );
        let next = json!({"to": [GONE], "subject": "More", "text": "x"});
        let refused = client.post(format!("{path}/messages"), &next).await.problem(422, "recipient_rejected");
        assert_eq!(refused["errors"][0]["detail"], "suppressed: hardBounce");

        // Whoever was taken off the list stays off it, whatever repeats what is known.
        let _ = client.delete(format!("/v1/suppressions/{GONE}")).await.is(204);
        let again = arrives(&peer, &client, &path, dsn).await;
        assert_eq!(again["report"]["message"], sent["id"]);
        assert_eq!(client.get(outbox.clone()).await.value(200), noted);
        assert_eq!(client.get("/v1/suppressions").await.value(200)["items"], json!([]));

        // A complaint is worse than a full mailbox.
        let row = arrives(&peer, &client, &path, complaint(message_id, "Full@Example.ORG")).await;
        assert_eq!((&row["report"]["kind"], &row["report"]["message"]), (&json!("complaint"), &sent["id"]));
        let noted = client.get(outbox).await.value(200);
        assert_eq!(
            (&noted["recipients"][1]["bounce"]["kind"], &noted["recipients"][1]["bounce"]["code"]),
            (&json!("complaint"), &json!("abuse"))
        );
        assert_eq!(client.get(format!("/v1/suppressions/{FULL}")).await.value(200)["reason"], "complaint");
    });
}

#[test]
fn a_report_that_is_not_about_our_mail_changes_nothing() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let mail = json!({"to": ["fine@example.org"], "subject": "News", "text": "x"});
        let sent = client.post(format!("{path}/messages"), &mail).await.value(200);
        let (id, message_id) = (sent["id"].as_str().unwrap(), sent["messageId"].as_str().unwrap());
        let (_, stranger, _theirs, other) = sender().await;
        let foreign = stranger.post(format!("{other}/messages"), &mail).await.value(200);
        for (why, message) in [
            (
                "never sent",
                report("<00112233445566778899aabbccddeeff@example.test>", &[("fine@example.org", "failed", "5.1.1")]),
            ),
            (
                "somebody else's",
                report(foreign["messageId"].as_str().unwrap(), &[("fine@example.org", "failed", "5.1.1")]),
            ),
            ("not to him", report(message_id, &[(GONE, "failed", "5.1.1")])),
            ("nor to him", complaint(message_id, GONE)),
            ("another domain", report(&format!("<{id}@example.org>"), &[("fine@example.org", "failed", "5.1.1")])),
        ] {
            let row = arrives(&peer, &client, &path, message).await;
            assert!(row["report"].is_object() && row["report"].get("message").is_none(), "{why}: {row}");
        }
        // These are about it, and nothing is wrong.
        for (action, status, kind) in [("delayed", "4.4.1", "delayed"), ("relayed", "2.1.5", "delivered")] {
            let row = arrives(&peer, &client, &path, report(message_id, &[("fine@example.org", action, status)])).await;
            assert_eq!((&row["report"]["kind"], &row["report"]["message"]), (&json!(kind), &json!(id)), "{row}");
        }
        let outbox = client.get(format!("/v1/outbox/{id}")).await.value(200);
        assert_eq!(outbox["recipients"], sent["recipients"]);
        assert_eq!(client.get("/v1/suppressions").await.value(200)["items"], json!([]));
        assert_eq!(stranger.get("/v1/suppressions").await.value(200)["items"], json!([]));
    });
}

#[test]
fn a_message_with_its_callers_own_message_id_is_found_too() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let raw = "From: ada@example.test\r\nTo: gone@example.org\r\nSubject: News\r\nMessage-ID: <order.4711@shop.example>\r\n\r\nHello\r\n";
        let sent = client.post(format!("{path}/messages"), &json!({"raw": raw})).await.value(200);
        let row =
            arrives(&peer, &client, &path, report("<order.4711@shop.example>", &[(GONE, "failed", "5.1.1")])).await;
        assert_eq!(row["report"]["message"], sent["id"], "{row}");
        let suppressed = client.get(format!("/v1/suppressions/{GONE}")).await.value(200);
        assert_eq!(suppressed["message"], sent["id"]);
    });
}
