//! What becomes of a message when the server does not simply say 250: states per recipient, retries without a call,
//! never two copies, never a "sent" without the server's word.

use std::time::Duration;

use http::Method;
use sandbox::{At, Protocol, Rule};
use serde_json::{Value, json};
use tests::client::Client;
use tests::until;

use crate::send::sender;
use crate::{run, service};

/// Waits until the message has one of these states.
pub(crate) async fn settled(client: &Client, id: &Value, states: &[&str]) -> Value {
    let path = format!("/v1/outbox/{}", id.as_str().unwrap());
    until(&format!("state {states:?}"), async || {
        let message = client.get(path.clone()).await.value(200);
        states.contains(&message["state"].as_str().unwrap()).then_some(message)
    })
    .await
}

pub(crate) fn mail(to: &[&str]) -> Value {
    json!({"to": to, "subject": "Delivery", "text": "once"})
}

#[test]
fn a_busy_server_gets_the_mail_later_without_a_call_and_once() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let fired = peer.sandbox.script(
            Rule::on(Protocol::Smtp).at(At::Command("MAIL")).times(2).reply("421 4.3.2 Shutting down\r\n").then_close(),
        );
        let answer = client.post(format!("{path}/messages"), &mail(&["ada@example.test"])).await;
        let first = answer.value(202);
        assert_eq!(first["state"], "deferred", "{first}");
        assert_eq!(answer.header("location"), format!("/v1/outbox/{}", first["id"].as_str().unwrap()));
        let recipient = &first["recipients"][0];
        assert_eq!(
            (&recipient["state"], &recipient["smtp"]["code"], &recipient["attempts"]),
            (&json!("deferred"), &json!(421), &json!(1)),
            "{first}"
        );
        assert!(first["nextAttemptAt"].is_string());

        let sent = settled(&client, &first["id"], &["sent"]).await;
        assert_eq!(fired.count(), 2);
        assert_eq!((&sent["recipients"][0]["attempts"], &sent["messageId"]), (&json!(3), &first["messageId"]));
        let copies = peer.sandbox.received();
        assert_eq!(copies.len(), 1);
        assert!(String::from_utf8_lossy(&copies[0].bytes).contains(first["messageId"].as_str().unwrap()));
    });
}

#[test]
fn an_unreachable_server_defers_and_says_why() {
    run(async {
        let (_, client, peer, path) = sender().await;
        peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Connect).times(1).drop_connection());
        let first = client.post(format!("{path}/messages"), &mail(&["ada@example.test"])).await.value(202);
        assert_eq!(
            (&first["state"], &first["recipients"][0]["state"]),
            (&json!("deferred"), &json!("deferred")),
            "{first}"
        );
        assert!(first["recipients"][0]["error"].as_str().is_some_and(|words| !words.is_empty()), "{first}");
        settled(&client, &first["id"], &["sent"]).await;
        assert_eq!(peer.sandbox.received().len(), 1);
    });
}

#[test]
fn one_greylisted_recipient_is_tried_again_alone() {
    run(async {
        let (_, client, peer, path) = sender().await;
        peer.sandbox.script(
            Rule::on(Protocol::Smtp)
                .at(At::Command("RCPT"))
                .matching("bob@")
                .times(1)
                .reply("451 4.7.1 Try again later\r\n"),
        );
        let first =
            client.post(format!("{path}/messages"), &mail(&["ada@example.test", "bob@example.org"])).await.value(202);
        assert_eq!(first["state"], "deferred", "{first}");
        assert_eq!(
            (&first["recipients"][0]["state"], &first["recipients"][1]["state"]),
            (&json!("sent"), &json!("deferred")),
            "{first}"
        );
        assert_eq!(
            first["recipients"][1]["smtp"],
            json!({"code": 451, "enhanced": "4.7.1", "text": "Try again later"})
        );
        let sent = settled(&client, &first["id"], &["sent"]).await;
        assert_eq!((&sent["recipients"][0]["attempts"], &sent["recipients"][1]["attempts"]), (&json!(1), &json!(2)));
        let copies: Vec<_> = peer.sandbox.received().iter().map(|received| received.recipients.clone()).collect();
        assert_eq!(copies, [["ada@example.test".to_owned()], ["bob@example.org".to_owned()]]);
    });
}

#[test]
fn refused_for_good_by_some_is_partial_and_by_all_is_the_callers_problem() {
    run(async {
        let (_, client, peer, path) = sender().await;
        peer.sandbox.script(
            Rule::on(Protocol::Smtp).at(At::Command("RCPT")).matching("bob@").reply("550 5.1.1 No such user\r\n"),
        );
        let some =
            client.post(format!("{path}/messages"), &mail(&["ada@example.test", "bob@example.org"])).await.value(200);
        assert_eq!(
            (&some["state"], &some["recipients"][1]["state"], &some["recipients"][1]["smtp"]["code"]),
            (&json!("partial"), &json!("failed"), &json!(550)),
            "{some}"
        );

        let ask = client
            .ask(Method::POST, format!("{path}/messages"))
            .header("idempotency-key", "refused")
            .json(&mail(&["bob@example.org", "bob@example.net"]));
        let all = ask.send().await.problem(422, "recipient_rejected");
        assert_eq!(all["resource"]["state"], "failed", "{all}");
        for recipient in all["resource"]["recipients"].as_array().unwrap() {
            assert_eq!(
                (&recipient["state"], &recipient["smtp"]),
                (&json!("failed"), &json!({"code": 550, "enhanced": "5.1.1", "text": "No such user"}))
            );
        }
        let again = client
            .ask(Method::POST, format!("{path}/messages"))
            .header("idempotency-key", "refused")
            .json(&mail(&["bob@example.org", "bob@example.net"]));
        let again = again.send().await;
        assert_eq!(again.problem(422, "recipient_rejected")["resource"], all["resource"]);
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert_eq!(peer.sandbox.received().len(), 1);
    });
}

#[test]
fn a_message_refused_after_the_dot_is_failed_for_all() {
    run(async {
        let (_, client, peer, path) = sender().await;
        peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Data).reply("554 5.6.0 Not this one\r\n"));
        let problem = client.post(format!("{path}/messages"), &mail(&["ada@example.test"])).await;
        let problem = problem.problem(422, "message_rejected");
        assert_eq!(
            problem["resource"]["recipients"][0]["smtp"],
            json!({"code": 554, "enhanced": "5.6.0", "text": "Not this one"}),
            "{problem}"
        );
        assert!(peer.sandbox.received().is_empty());
    });
}

#[test]
fn a_lost_reply_is_unknown_and_never_sent_again() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let fired = peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Data).times(1).swallow_then_drop());
        let answer = client.post(format!("{path}/messages"), &mail(&["ada@example.test"])).await;
        let unknown = answer.value(202);
        assert_eq!(
            (&unknown["state"], &unknown["recipients"][0]["state"], fired.count()),
            (&json!("unknown"), &json!("unknown"), 1),
            "{unknown}"
        );
        assert!(answer.header("location").starts_with("/v1/outbox/"));
        // Another message goes out on schedule meanwhile: time enough for a second copy to be seen.
        let later = client.post(format!("{path}/messages?wait=0"), &mail(&["bob@example.org"])).await.value(202);
        settled(&client, &later["id"], &["sent"]).await;
        tokio::time::sleep(Duration::from_secs(4)).await; // two leases: nothing may happen, and there is no event to wait for
        let copies = peer.sandbox.received();
        assert_eq!(copies.iter().filter(|received| received.recipients == ["ada@example.test"]).count(), 1);
        let still = client.get(answer.header("location")).await.value(200);
        assert_eq!((&still["state"], &still["recipients"]), (&unknown["state"], &unknown["recipients"]), "{still}");
    });
}

#[test]
fn a_server_that_is_silent_behind_the_dot_leaves_the_message_unknown() {
    run(async {
        let (_, client, peer, path) = sender().await;
        peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Data).times(1).stall_forever());
        // DotSeconds is 5 here.
        let unknown = client.post(format!("{path}/messages"), &mail(&["ada@example.test"])).await.value(202);
        assert_eq!(unknown["state"], "unknown", "{unknown}");
        assert_eq!(peer.sandbox.received().len(), 1);
    });
}

#[test]
fn on_unknown_says_what_a_lost_reply_means() {
    run(async {
        let (_, client, peer, path) = sender().await;
        peer.sandbox
            .script(Rule::on(Protocol::Smtp).at(At::Data).matching("Subject: retry").times(1).swallow_then_drop());
        peer.sandbox
            .script(Rule::on(Protocol::Smtp).at(At::Data).matching("Subject: fail").times(1).swallow_then_drop());
        let send = async |policy: &str| {
            client
                .post(
                    format!("{path}/messages"),
                    &json!({"to": "ada@example.test", "subject": policy, "onUnknown": policy}),
                )
                .await
        };
        let retried = send("retry").await.value(202);
        let sent = settled(&client, &retried["id"], &["sent"]).await;
        assert_eq!(sent["recipients"][0]["attempts"], 2);
        let failed = send("fail").await.value(202);
        settled(&client, &failed["id"], &["failed"]).await;
        let copies: Vec<_> = peer.sandbox.received().iter().map(|received| received.bytes.clone()).collect();
        assert_eq!(copies.len(), 3);
        assert_eq!(copies[0], copies[1], "the second copy is the first, Message-ID and all");
    });
}

#[test]
fn without_waiting_it_is_queued_and_sent_soon() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let answer = client.post(format!("{path}/messages?wait=0"), &mail(&["ada@example.test"])).await;
        let queued = answer.value(202);
        assert_eq!((&queued["state"], &queued["recipients"][0]["attempts"]), (&json!("queued"), &json!(0)), "{queued}");
        let sent = settled(&client, &queued["id"], &["sent"]).await;
        assert_eq!(
            (&sent["recipients"][0]["attempts"], &sent["messageId"], &sent["size"]),
            (&json!(1), &queued["messageId"], &queued["size"])
        );
        assert_eq!(peer.sandbox.received().len(), 1);
    });
}

#[test]
fn a_refused_login_stops_the_account_and_keeps_the_message() {
    run(async {
        let (_, client, peer, path) = sender().await;
        peer.sandbox.add_user(&peer.user, "another").unwrap();
        let first = client.post(format!("{path}/messages"), &mail(&["ada@example.test"])).await.value(202);
        assert_eq!(first["state"], "deferred", "{first}");
        assert_eq!(client.get(path.clone()).await.value(200)["status"]["state"], "authFailed");
        // Two more attempts would be due by now; the account's pause forbids them.
        tokio::time::sleep(Duration::from_secs(4)).await; // nothing may happen, and there is no event to wait for
        let now = client.get(format!("/v1/outbox/{}", first["id"].as_str().unwrap())).await.text();
        assert!(peer.logins() <= 2, "{} logins: {now}", peer.logins());
        assert!(peer.sandbox.received().is_empty());
    });
}

#[test]
fn a_message_expires_with_the_last_reply() {
    run(async {
        let service = tests::service::Service::start(tests::service::Options {
            parameters: vec![("ExpireSeconds", "2".to_owned())],
            ..Default::default()
        })
        .await;
        let client = service.client();
        let peer = tests::peer::Peer::start().await;
        let path =
            crate::account(&client, "mail", &peer.account(tests::peer::Receive::Imap, tests::peer::Way::Tls)).await;
        peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Command("RCPT")).reply("452 4.2.2 Mailbox full\r\n"));
        let first = client.post(format!("{path}/messages"), &mail(&["ada@example.test"])).await.value(202);
        let failed = settled(&client, &first["id"], &["failed"]).await;
        let recipient = &failed["recipients"][0];
        assert_eq!((&recipient["state"], &recipient["smtp"]["code"]), (&json!("failed"), &json!(452)), "{failed}");
        assert!(recipient["error"].as_str().unwrap().starts_with("expired after 2 s"), "{failed}");
        assert!(peer.sandbox.received().is_empty());
    });
}

#[test]
fn an_outgoing_message_is_listed_and_read_like_any_other() {
    run(async {
        let (tenant, client, _peer, path) = sender().await;
        let sent = client.post(format!("{path}/messages"), &json!({"to": "ada@example.test", "subject": "Listed", "text": "Look", "correlation": {"source": "invoice", "id": "4711"}})).await.value(200);
        let list = client.get(format!("{path}/messages?direction=outgoing")).await.value(200);
        assert_eq!(list["items"].as_array().unwrap().len(), 1);
        let item = &list["items"][0];
        assert_eq!(
            (&item["id"], &item["direction"], &item["state"], &item["subject"]),
            (&sent["id"], &json!("outgoing"), &json!("sent"), &json!("Listed"))
        );
        assert_eq!(item["correlation"], json!({"source": "invoice", "id": "4711"}));
        let detail = client.get(format!("{path}/messages/{}", sent["id"].as_str().unwrap())).await.value(200);
        assert_eq!(detail["text"].as_str().unwrap().trim_end(), "Look");
        assert_eq!(detail["delivery"], sent["recipients"]);
        let source = client.get(format!("{path}/messages/{}/source?inline=true", sent["id"].as_str().unwrap())).await;
        assert_eq!(source.is(200).header("content-type"), "message/rfc822");
        assert_eq!(source.body.len() as u64, sent["size"].as_u64().unwrap());
        assert!(!service().await.aws().await.items_of(&format!("T#{tenant}#M#")).await.is_empty());
    });
}
