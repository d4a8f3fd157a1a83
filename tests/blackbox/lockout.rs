//! Lock-out care: a wrong password must not have the mailbox locked by its own server.

use http::Method;
use serde_json::{Value, json};
use tests::client::Client;
use tests::peer::{Peer, Receive, Way};
use tests::service::{Options, Service};
use tests::until;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{account, run};

/// A service whose own clock does not tick while a test lasts.
async fn still(parameters: &[(&'static str, &str)]) -> Service {
    let usual = [("TickRate", "rate(1 hour)"), ("TickSeconds", "60")];
    let parameters = usual.iter().chain(parameters).map(|(name, value)| (*name, (*value).to_owned())).collect();
    Service::start(Options { parameters, ..Options::default() }).await
}

fn wrong(peer: &Peer) -> Value {
    let mut settings = peer.account(Receive::Imap, Way::Tls);
    settings["smtp"]["auth"]["password"] = json!("wrong");
    settings["receive"]["auth"]["password"] = json!("wrong");
    settings
}

async fn status(client: &Client, path: &str) -> Value {
    client.get(path).await.value(200)["status"].clone()
}

/// What the schedule would have sent, minute by minute, handed straight to the worker.
async fn ticks(client: &Client, tenant: &str, first: OffsetDateTime, minutes: std::ops::Range<i64>) {
    let records: Vec<Value> = minutes
        .map(|minute| {
            let tick = (first + time::Duration::minutes(minute)).format(&Rfc3339).unwrap();
            let job = json!({"tick": tick, "mailboxes": [{"tenant": tenant, "account": "mail"}]});
            json!({"messageId": format!("m{minute}"), "body": job.to_string(), "eventSource": "aws:sqs"})
        })
        .collect();
    let invocation = client.ask(Method::POST, "/2015-03-31/functions/pull-worker/invocations");
    let answer = invocation.json(&json!({"Records": records})).send().await;
    assert_eq!((answer.status, answer.json()), (200, json!({"batchItemFailures": []})), "{}", answer.text());
}

#[test]
fn a_thousand_scheduled_pulls_with_a_wrong_password_are_at_most_ten_logins() {
    run(async {
        let service = still(&[]).await;
        let (tenant, client) = service.tenant();
        let peer = Peer::start().await;
        let mut settings = wrong(&peer);
        settings["poll"] = json!({"enabled": true, "minSeconds": 60, "maxSeconds": 60});
        let path = account(&client, "mail", &settings).await;
        let first = OffsetDateTime::now_utc();
        for hundred in 0..10 {
            ticks(&client, &tenant, first, hundred * 100..(hundred + 1) * 100).await;
        }
        assert_eq!(peer.logins(), 9);
        let resting = status(&client, &path).await;
        assert_eq!((&resting["state"], &resting["authFailures"]), (&json!("authFailed"), &json!(9)), "{resting}");
        assert!(resting["nextLoginAt"].is_string(), "{resting}");
        assert!(service.logs().contains("account.authFailed"), "the event is marked");

        // New settings end it at once.
        let right = json!({"receive": {"auth": {"password": peer.password}}});
        let _ = client.ask(Method::PATCH, path.clone()).json(&right).send().await.is(200);
        assert_eq!(status(&client, &path).await["authFailures"], 0);
        ticks(&client, &tenant, first, 1_000..1_001).await;
        assert_eq!((peer.logins(), &status(&client, &path).await["state"]), (10, &json!("ok")));
    });
}

#[test]
fn sending_rests_too_and_what_waited_goes_out_with_new_settings() {
    run(async {
        let service = still(&[]).await;
        let (tenant, client) = service.tenant();
        let peer = Peer::start().await;
        let path = account(&client, "mail", &wrong(&peer)).await;
        let mail = json!({"to": "bob@example.org", "subject": "Hello", "text": "Hello"});
        let refused = client.post(format!("{path}/messages"), &mail).await.value(202);
        assert_eq!((&refused["state"], &refused["recipients"][0]["smtp"]["code"]), (&json!("deferred"), &json!(535)));
        for _ in 0..5 {
            let waiting = client.post(format!("{path}/messages"), &mail).await.value(202);
            let recipient = &waiting["recipients"][0];
            assert_eq!((&waiting["state"], &recipient["attempts"]), (&json!("deferred"), &json!(0)), "{waiting}");
            assert!(recipient["error"].as_str().unwrap().contains("refused this login once"), "{waiting}");
        }
        assert_eq!(peer.logins(), 1, "nobody insists");
        let resting = client.post_empty(format!("{path}/pull")).await;
        let _ = resting.problem(502, "mail_auth_failed");
        assert_eq!(peer.logins(), 2, "the other side has a password of its own");
        let resting = client.post_empty(format!("{path}/pull")).await;
        let _ = resting.problem(502, "mail_auth_failed");
        assert!(resting.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds <= 60), "{resting:?}");
        assert_eq!(peer.logins(), 2);

        // A change elsewhere is no reason to try again.
        let _ = client.ask(Method::PATCH, path.clone()).json(&json!({"name": "New"})).send().await.is(200);
        assert_eq!(status(&client, &path).await["authFailures"], 2);
        let _ = client.put(path.clone(), &peer.account(Receive::Imap, Way::Tls)).await.is(200);
        let due = service.aws().await.items_of(&format!("T#{tenant}#M#")).await;
        let now = OffsetDateTime::now_utc().unix_timestamp() * 1000 + 1000;
        let waits = |item: &Value| item["due"].as_i64().is_some_and(|due| due <= now);
        assert_eq!(due.values().filter(|item| waits(item)).count(), 6, "{due:?}");
        let time = (OffsetDateTime::now_utc() + time::Duration::seconds(1)).format(&Rfc3339).unwrap();
        let tick = client.ask(Method::POST, "/2015-03-31/functions/schedule/invocations").json(&json!({"time": time}));
        assert_eq!(tick.send().await.status, 200);
        until("all six are sent", async || (peer.sandbox.received().len() == 6).then_some(())).await;
    });
}

#[test]
fn at_the_end_of_a_pause_one_of_all_who_wait_tries() {
    run(async {
        let service = still(&[("LoginPauseSeconds", "2")]).await;
        let (_, client) = service.tenant();
        let peer = Peer::start().await;
        let path = account(&client, "mail", &wrong(&peer)).await;
        let mail = json!({"to": "bob@example.org", "subject": "Hello", "text": "Hello"});
        let _ = client.post(format!("{path}/messages"), &mail).await.is(202);
        until("the pause is over", async || status(&client, &path).await["nextLoginAt"].is_null().then_some(())).await;
        let sends = (0..8).map(|_| client.post(format!("{path}/messages"), &mail));
        for answer in futures_util::future::join_all(sends).await {
            assert_eq!(answer.value(202)["state"], "deferred");
        }
        assert_eq!(peer.logins(), 2);
    });
}
