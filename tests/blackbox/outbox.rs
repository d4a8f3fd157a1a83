//! What waits: scheduled, listed, edited, moved, taken back, tried again.

use std::time::Duration;

use http::Method;
use sandbox::{At, Protocol, Rule};
use serde_json::{Value, json};
use tests::client::{Answer, Client};
use tests::peer::{Receive, Way};
use tests::until;

use crate::delivery::{mail, settled};
use crate::send::sender;
use crate::{account, run, service};

/// So many seconds from now, as RFC 3339.
pub(crate) fn ahead(seconds: i64) -> String {
    let at = time::OffsetDateTime::now_utc() + time::Duration::seconds(seconds);
    at.replace_nanosecond(0).unwrap().format(&time::format_description::well_known::Rfc3339).unwrap()
}

fn at(seconds: i64) -> Value {
    json!({"to": ["ada@example.test"], "subject": "Later", "text": "x", "sendAt": ahead(seconds)})
}

fn outbox(message: &Value) -> String {
    format!("/v1/outbox/{}", message["id"].as_str().unwrap())
}

async fn patch(client: &Client, message: &Value, changes: &Value) -> Answer {
    client.ask(Method::PATCH, outbox(message)).json(changes).send().await
}

async fn listed(client: &Client, query: &str) -> Vec<Value> {
    client.get(format!("/v1/outbox{query}")).await.value(200)["items"].as_array().unwrap().clone()
}

#[test]
fn a_message_waits_for_its_time_and_is_dated_by_it() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let wanted = at(6);
        let answer = client.post(format!("{path}/messages"), &wanted).await;
        let queued = answer.value(202);
        assert_eq!((&queued["state"], answer.header("location")), (&json!("queued"), outbox(&queued).as_str()));
        let time = wanted["sendAt"].as_str().unwrap();
        assert_eq!(queued["nextAttemptAt"].as_str().unwrap()[..19], time[..19], "{queued}");
        let items = listed(&client, "").await;
        assert_eq!((&items[0]["id"], &items[0]["subject"]), (&queued["id"], &json!("Later")));
        assert!(peer.sandbox.received().is_empty());
        let sent = settled(&client, &queued["id"], &["sent"]).await;
        assert!(sent["sentAt"].as_str().unwrap() >= &time[..19], "{sent}: not before {time}");
        let source = String::from_utf8(peer.sandbox.received()[0].bytes.to_vec()).unwrap();
        let clock = time[11..19].to_owned();
        assert!(source.lines().any(|line| line.starts_with("Date: ") && line.contains(&clock)), "{clock}: {source}");
        assert!(listed(&client, "").await.is_empty());
    });
}

#[test]
fn a_time_that_has_passed_or_is_over_a_year_ahead_is_refused() {
    run(async {
        let (_, client, peer, path) = sender().await;
        for wrong in [at(-600), at(400 * 86_400)] {
            client.post(format!("{path}/messages"), &wrong).await.names(&[("/sendAt", "out_of_range")]);
        }
        let soon = client.post(format!("{path}/messages"), &at(-60)).await.value(200);
        assert_eq!(soon["state"], "sent", "a clock may be a little late");
        let next_year = client.post(format!("{path}/messages"), &at(365 * 86_400)).await.value(202);
        let _ = client.delete(outbox(&next_year)).await.is(200);
        assert_eq!(peer.sandbox.received().len(), 1);
    });
}

#[test]
fn what_waits_can_be_edited_and_moved_and_keeps_its_message_id() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let queued = client.post(format!("{path}/messages"), &at(86_400)).await.value(202);
        let changes = json!({"subject": "Sooner", "to": "bob@example.org", "html": "<p>y</p>", "text": null, "sendAt": ahead(7_200)});
        let moved = patch(&client, &queued, &changes).await.value(200);
        assert_eq!(
            (&moved["id"], &moved["messageId"], &moved["recipients"][0]["address"]),
            (&queued["id"], &queued["messageId"], &json!("bob@example.org"))
        );
        assert_eq!(moved["nextAttemptAt"].as_str().unwrap()[..19], changes["sendAt"].as_str().unwrap()[..19]);
        for (wrong, pointer, code) in [
            (json!({"colour": "red"}), "/colour", "unknown_field"),
            (json!({"to": null}), "/to", "missing"),
            (json!({"from": "boss@example.test"}), "/from", "not_an_identity"),
            (json!({"sendAt": ahead(-7_200)}), "/sendAt", "out_of_range"),
            (json!([]), "", "invalid_value"),
        ] {
            patch(&client, &queued, &wrong).await.names(&[(pointer, code)]);
        }
        assert!(peer.sandbox.received().is_empty());
        let _ = patch(&client, &queued, &json!({"sendAt": null})).await.is(200);
        settled(&client, &queued["id"], &["sent"]).await;
        let received = &peer.sandbox.received()[0];
        assert_eq!(received.recipients, ["bob@example.org"]);
        let source = String::from_utf8(received.bytes.to_vec()).unwrap();
        for part in ["Subject: Sooner\r\n", "<p>y</p>", queued["messageId"].as_str().unwrap()] {
            assert!(source.contains(part), "{part}: {source}");
        }
        assert!(!source.contains("text/plain"), "{source}");
        let late = patch(&client, &queued, &json!({"subject": "Late"})).await;
        assert_eq!(late.problem(409, "conflict")["resource"]["state"], "sent");
    });
}

#[test]
fn the_key_of_an_edited_message_still_answers_for_it() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let body = at(86_400);
        let ask = || {
            let ask = client.ask(Method::POST, format!("{path}/messages")).header("idempotency-key", "edited");
            ask.json(&body).send()
        };
        let queued = ask().await.value(202);
        let _ = patch(&client, &queued, &json!({"subject": "Other", "sendAt": null})).await.is(200);
        settled(&client, &queued["id"], &["sent"]).await;
        let again = ask().await;
        assert_eq!((&again.value(200)["id"], again.header("idempotency-replayed")), (&queued["id"], "true"));
        assert_eq!(peer.sandbox.received().len(), 1);
        let source = String::from_utf8(peer.sandbox.received()[0].bytes.to_vec()).unwrap();
        assert!(source.contains("Subject: Other\r\n"), "{source}");
    });
}

#[test]
fn what_waits_can_be_taken_back_and_nothing_else() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let queued = client.post(format!("{path}/messages"), &at(5)).await.value(202);
        let canceled = client.delete(outbox(&queued)).await.value(200);
        assert_eq!(
            (&canceled["state"], &canceled["recipients"][0]["state"]),
            (&json!("canceled"), &json!("canceled")),
            "{canceled}"
        );
        assert_eq!(client.get(outbox(&queued)).await.value(200), canceled);
        assert!(listed(&client, "").await.is_empty());
        let _ = client.delete(outbox(&queued)).await.problem(409, "conflict");
        let _ = patch(&client, &queued, &json!({"subject": "x"})).await.problem(409, "conflict");
        let _ = client.post_empty(format!("{}/retry", outbox(&queued))).await.problem(409, "conflict");
        // Another message is sent on schedule meanwhile: the time of the first has passed.
        let other = client.post(format!("{path}/messages"), &at(5)).await.value(202);
        settled(&client, &other["id"], &["sent"]).await;
        assert_eq!(peer.sandbox.received().len(), 1);
        let (_, stranger) = service().await.tenant();
        for id in [outbox(&other), "/v1/outbox/00000000000000000000000000000000".to_owned()] {
            let _ = stranger.delete(id.clone()).await.problem(404, "message_not_found");
            let _ = stranger.post_empty(format!("{id}/retry")).await.problem(404, "message_not_found");
            let _ = stranger.ask(Method::PATCH, id).json(&json!({})).send().await.problem(404, "message_not_found");
        }
    });
}

#[test]
fn what_is_being_sent_cannot_be_changed() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let stalled = peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Data).times(1).stall(Duration::from_secs(4)));
        let queued = client.post(format!("{path}/messages?wait=0"), &mail(&["ada@example.test"])).await.value(202);
        until("it is on its way", async || (stalled.count() == 1).then_some(())).await;
        let changes = json!({"subject": "x"});
        let (patched, deleted, retried) = tokio::join!(
            patch(&client, &queued, &changes),
            client.delete(outbox(&queued)),
            client.post_empty(format!("{}/retry", outbox(&queued))),
        );
        for answer in [patched, deleted, retried] {
            let _ = answer.problem(409, "conflict");
            assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
        }
        settled(&client, &queued["id"], &["sent"]).await;
        assert_eq!(peer.sandbox.received().len(), 1);
    });
}

#[test]
fn a_retry_is_now_and_for_what_has_ended_the_callers_decision() {
    run(async {
        let (_, client, peer, path) = sender().await;
        peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Data).times(1).swallow_then_drop());
        let unknown = client.post(format!("{path}/messages"), &mail(&["ada@example.test"])).await.value(202);
        assert_eq!(listed(&client, "?state=unknown").await.len(), 1);
        let retry = async |message: &Value| client.post_empty(format!("{}/retry", outbox(message))).await;
        let answer = retry(&unknown).await;
        assert_eq!(
            (&answer.value(202)["state"], answer.header("location")),
            (&json!("queued"), outbox(&unknown).as_str())
        );
        settled(&client, &unknown["id"], &["sent"]).await;
        let copies: Vec<_> = peer.sandbox.received().iter().map(|received| received.bytes.clone()).collect();
        assert_eq!((copies.len(), copies[0] == copies[1]), (2, true), "twice the same, by the caller's wish");
        let _ = retry(&unknown).await.problem(409, "conflict");

        peer.sandbox.script(
            Rule::on(Protocol::Smtp).at(At::Command("RCPT")).matching("bob@").times(1).reply("550 5.1.1 No\r\n"),
        );
        let partial =
            client.post(format!("{path}/messages"), &mail(&["ada@example.test", "bob@example.org"])).await.value(200);
        assert_eq!(partial["state"], "partial");
        let _ = retry(&partial).await.is(202);
        settled(&client, &partial["id"], &["sent"]).await;
        let last = peer.sandbox.received().pop().unwrap();
        assert_eq!(last.recipients, ["bob@example.org"], "who has it gets no second one");

        let later = client.post(format!("{path}/messages"), &at(86_400)).await.value(202);
        let _ = retry(&later).await.is(202);
        settled(&client, &later["id"], &["sent"]).await;
    });
}

#[test]
fn who_has_it_already_cannot_be_given_another_content() {
    run(async {
        let (_, client, peer, path) = sender().await;
        peer.sandbox
            .script(Rule::on(Protocol::Smtp).at(At::Command("RCPT")).matching("bob@").reply("450 4.2.1 Later\r\n"));
        let some =
            client.post(format!("{path}/messages"), &mail(&["ada@example.test", "bob@example.org"])).await.value(202);
        let moved = until("it waits", async || {
            let answer = patch(&client, &some, &json!({"sendAt": ahead(86_400)})).await;
            (answer.status == 200).then(|| answer.json())
        })
        .await;
        assert_eq!(
            (&moved["recipients"][0]["state"], &moved["recipients"][1]["state"]),
            (&json!("sent"), &json!("deferred"))
        );
        let _ = patch(&client, &some, &json!({"subject": "Other"})).await.problem(409, "conflict");
        let taken = client.delete(outbox(&some)).await.value(200);
        assert_eq!((&taken["state"], &taken["recipients"][1]["state"]), (&json!("partial"), &json!("canceled")));
        assert_eq!(peer.sandbox.received().len(), 1);
    });
}

#[test]
fn the_list_is_filtered_and_paged() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let second = account(&client, "second", &peer.account(Receive::Imap, Way::Tls)).await;
        for _ in 0..3 {
            let _ = client.post(format!("{path}/messages"), &at(86_400)).await.is(202);
        }
        let _ = client.post(format!("{second}/messages"), &at(86_400)).await.is(202);
        assert_eq!(listed(&client, "").await.len(), 4);
        assert_eq!(listed(&client, "?account=second&state=queued").await.len(), 1);
        assert!(listed(&client, "?state=deferred").await.is_empty());
        let first = client.get("/v1/outbox?account=mail&limit=2").await.value(200);
        let cursor = first["nextCursor"].as_str().unwrap();
        assert_eq!(first["items"].as_array().unwrap().len(), 2);
        assert_eq!(listed(&client, &format!("?account=mail&limit=2&cursor={cursor}")).await.len(), 1);
        client.get(format!("/v1/outbox?cursor={cursor}")).await.names(&[("cursor", "invalid_value")]);
        client.get("/v1/outbox?state=sent").await.names(&[("?state", "invalid_value")]);
        client.get("/v1/outbox?status=queued").await.names(&[("?status", "unknown_parameter")]);
    });
}

#[test]
fn a_key_answers_even_where_the_account_has_changed_since() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let mut settings = peer.account(Receive::Imap, Way::Starttls);
        settings["identities"] = json!(["sales@example.test"]);
        let _ = client.put(path.clone(), &settings).await.is(200);
        let body = json!({"to": "ada@example.test", "subject": "x", "from": "sales@example.test"});
        let ask = || {
            let ask = client.ask(Method::POST, format!("{path}/messages")).header("idempotency-key", "sales");
            ask.json(&body).send()
        };
        let sent = ask().await.value(200);
        let _ = client.put(path.clone(), &peer.account(Receive::Imap, Way::Starttls)).await.is(200);
        let again = ask().await;
        assert_eq!((again.value(200), again.header("idempotency-replayed")), (sent, "true"));
        assert_eq!(peer.sandbox.received().len(), 1);
    });
}
