//! Deliveries to receivers that lie, dawdle, are somebody else, or are gone: what is sent where, and what is seen of it.

use http::Method;
use sandbox::Certificate;
use serde_json::{Value, json};
use tests::client::Client;
use tests::corpus;
use tests::peer::{Peer, Receive, Way};
use tests::receiver::{Mood, Receiver};
use tests::service::{Options, Service};
use tests::until;
use tests::web::{Page, Web};

use crate::pull::pull_all;
use crate::webhooks::{deliver, hook, taken};
use crate::{account, run, service};

/// What an example meets at this URL.
async fn tested(client: &Client, url: &str) -> Value {
    let (path, _) = hook(client, json!({"url": url})).await;
    client.post_empty(format!("{path}/test")).await.value(200)
}

/// Deliveries in a state, once there are so many.
async fn listed(client: &Client, path: &str, state: &str, count: usize) -> Vec<Value> {
    until("the deliveries are noted", async || {
        let log = client.get(format!("{path}/deliveries?state={state}")).await.value(200);
        let items = log["items"].as_array().unwrap().clone();
        (items.len() >= count).then_some(items)
    })
    .await
}

/// Part 3, rows 1 and 7: https is checked whatever accounts say of their servers.
#[test]
fn a_receiver_has_to_show_a_certificate_of_its_own() {
    run(async {
        let (_, client) = service().await.tenant();
        let good = Receiver::start_tls(Mood::Status(204), Certificate::Valid).await;
        let answer = tested(&client, &good.url).await;
        assert_eq!((&answer["success"], &answer["status"]), (&json!(true), &json!(204)), "{answer}");
        assert_eq!(good.told().len(), 1);
        for certificate in
            [Certificate::SelfSigned, Certificate::Expired, Certificate::WrongName, Certificate::Untrusted]
        {
            let bad = Receiver::start_tls(Mood::Status(204), certificate).await;
            let answer = tested(&client, &bad.url).await;
            assert_eq!((&answer["success"], &answer["status"]), (&json!(false), &Value::Null), "{certificate:?}");
            assert!(answer["error"].as_str().unwrap().contains("certificate"), "{certificate:?}: {answer}");
            assert!(bad.told().is_empty(), "{certificate:?}: nothing of the event has left");
        }
    });
}

/// Part 3, row 1: the body of an answer is nobody's business, and its head has a cap.
#[test]
fn an_answer_without_end_costs_nothing() {
    run(async {
        let (_, client) = service().await.tenant();
        let web = Web::start().await;
        let endless = tested(&client, &web.put("/endless", Page::Endless)).await;
        assert_eq!((&endless["success"], &endless["status"]), (&json!(true), &json!(200)), "it said 200: {endless}");
        let head = tested(&client, &web.put("/head", Page::EndlessHead)).await;
        assert_eq!((&head["success"], &head["error"]), (&json!(false), &json!("it broke off")), "{head}");
        let mail = tested(&client, &web.put("/smtp", Page::Raw(b"220 smtp\r\n".to_vec()))).await;
        assert_eq!(mail["error"], "it broke off");
        let moved = web.answer("/moved", "308 Permanent Redirect", &["Location: /endless"], b"CANARY");
        let moved = tested(&client, &moved).await;
        assert_eq!((&moved["success"], &moved["status"]), (&json!(false), &json!(308)));
        assert!(!moved.to_string().contains("CANARY"), "{moved}");
        assert_eq!(web.asked().len(), 4, "nobody has followed it");
    });
}

/// The usual parameters with these in their place.
fn with(parameters: &[(&'static str, &str)]) -> Options {
    let parameters = parameters.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Options { parameters, ..Options::default() }
}

/// Row 28: nothing but failures switches a webhook off and says why; what it was not told is seen, and told when it is
/// back. An address that was allowed once is refused where it is no more.
#[test]
fn what_is_never_told_is_seen_and_what_fails_for_days_is_switched_off() {
    run(async {
        let durations = [("WebhookFailingSeconds", "1"), ("WebhookReplySeconds", "2")];
        let service = Service::start(with(&durations)).await;
        let client = |service: &Service| service.client().for_tenant("patient");
        let (failing, web) = (Receiver::start(Mood::Status(500)).await, Web::start().await);
        let silent = web.put("/silent", Page::Silent);
        let mine = client(&service);
        let (path, _) = hook(&mine, json!({"url": failing.url})).await;
        assert_eq!(tested(&mine, &silent).await["error"], "it gave no answer in time");
        // Nobody listens there; it is refused before anybody finds out.
        let (private, _) = hook(&mine, json!({"url": "http://127.0.0.2:9/hook", "enabled": false})).await;
        let peer = Peer::start().await;
        let mailbox = account(&mine, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        deliver(&peer, [corpus::plain(1)]);
        pull_all(&mine, &mailbox).await;

        let off = until("it is switched off", async || {
            let view = mine.get(path.clone()).await.value(200);
            (view["enabled"] == false).then_some(view)
        })
        .await;
        assert_eq!(off["disabledReason"], "failing");
        assert!(off["disabledAt"].is_string() && off["failingSince"].is_string(), "{off}");
        let failed = listed(&mine, &path, "failed", 1).await;
        assert!(failed[0]["attempts"].as_u64() > Some(1), "{failed:?}");

        failing.turn(Mood::Status(200));
        let on = mine.ask(Method::PATCH, path.clone()).json(&json!({"enabled": true})).send().await.value(200);
        assert_eq!((on.get("disabledReason"), on.get("failingSince")), (None, None), "{on}");
        let all = mine.post(format!("{path}/replay"), &json!({"since": "2020-01-01T00:00:00Z"})).await.value(200);
        assert_eq!(all["replayed"], 1);
        let told = taken(&failing, 1).await;
        assert!(failing.told().iter().all(|tried| tried.id == told[0].id), "the same id at every try");

        let _ = mine.ask(Method::PATCH, private.clone()).json(&json!({"enabled": true})).send().await.value(200);
        let fewer = [("WebhookExpireSeconds", "1"), ("AllowNets", "127.0.0.1/32,::1/128")];
        let service = service.crash_and_restart_as(with(&fewer)).await;
        let mine = client(&service);
        deliver(&peer, [corpus::plain(2)]);
        pull_all(&mine, &mailbox).await;
        let refused = listed(&mine, &private, "failed", 1).await;
        assert_eq!(
            (&refused[0]["error"], refused[0].get("status")),
            (&json!("this host or port is not allowed"), None)
        );
        assert_eq!(taken(&failing, 2).await.len(), 2, "the others are told as ever");
    });
}
