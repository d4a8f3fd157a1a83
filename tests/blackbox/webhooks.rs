//! What happened, told: through the table's stream, the event bus and webhooks.

use std::collections::BTreeSet;

use http::Method;
use sandbox::{At, Folder, Protocol, Rule};
use serde_json::{Value, json};
use tests::client::Client;
use tests::corpus;
use tests::peer::{Peer, Receive, Way};
use tests::receiver::{Mood, Receiver, Told};
use tests::service::{Options, Service};
use tests::{guard, until};

use crate::pull::pull_all;
use crate::{account, run, service};

/// Makes a webhook; returns its path and its secret.
pub(crate) async fn hook(client: &Client, settings: Value) -> (String, String) {
    let made = client.post("/v1/webhooks", &settings).await.value(201);
    (format!("/v1/webhooks/{}", made["id"].as_str().unwrap()), made["secret"].as_str().unwrap().to_owned())
}

/// Waits until a receiver has taken so many different events; returns all that it was told.
pub(crate) async fn taken(receiver: &Receiver, count: usize) -> Vec<Told> {
    until("the events arrive", async || {
        let told = receiver.taken();
        let ids: BTreeSet<_> = told.iter().map(|told| told.id.clone()).collect();
        (ids.len() >= count).then_some(told)
    })
    .await
}

pub(crate) fn deliver(peer: &Peer, messages: impl IntoIterator<Item = Vec<u8>>) {
    for message in messages {
        peer.sandbox.deliver(&peer.user, message).unwrap();
    }
}

/// Row 28: a receiver that fails half the time gets every event, with stable ids and signatures that can be checked.
#[test]
fn a_receiver_that_fails_half_the_time_gets_every_event() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        let receiver = Receiver::start(Mood::Half).await;
        let (path, secret) = hook(&client, json!({"url": receiver.url, "events": ["message.received"]})).await;
        let peer = Peer::start().await;
        deliver(&peer, (0..20).map(corpus::plain));
        let mailbox = account(&client, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        assert_eq!(pull_all(&client, &mailbox).await, 20);
        let told = taken(&receiver, 20).await;
        let ids: BTreeSet<_> = told.iter().map(|told| &told.id).collect();
        assert_eq!(ids.len(), 20, "as many events as messages, however often each is told");
        let all = receiver.told();
        assert!(all.iter().any(|told| told.status == 500));
        assert!(all.iter().all(|told| told.is_signed_with(&secret) && ids.contains(&told.id)));
        let stored = client.get(format!("{mailbox}/messages?limit=100")).await.value(200);
        let stored: BTreeSet<_> =
            stored["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
        for told in &told {
            let body = told.json();
            assert_eq!((&body["type"], &body["data"]["tenant"]), (&json!("message.received"), &json!(tenant)));
            assert_eq!(body["data"]["message"]["preview"], "", "no text of the mail");
            assert!(stored.contains(body["data"]["message"]["id"].as_str().unwrap()));
        }
        // The bus has them, too, with the same ids.
        let on_bus = service.aws().await.events(&tenant).await;
        let received = on_bus.iter().filter(|event| event["detail-type"] == "message.received");
        let bus_ids: BTreeSet<_> = received.map(|event| event["detail"]["id"].as_str().unwrap()).collect();
        assert_eq!(bus_ids, ids.iter().map(|id| id.as_str()).collect());
        // And the log tells how it went.
        let log = until("all are noted", async || {
            let log = client.get(format!("{path}/deliveries?limit=100&state=delivered")).await.value(200);
            (log["items"].as_array().unwrap().len() == 20).then_some(log)
        })
        .await;
        let items = log["items"].as_array().unwrap();
        assert!(items.iter().any(|item| item["attempts"].as_u64() > Some(1)), "{log}");
        assert!(items.iter().all(|item| item["status"] == 204 && item.get("error").is_none()), "{log}");
        let times: Vec<_> = items.iter().map(|item| item["at"].as_str().unwrap()).collect();
        assert!(times.is_sorted_by(|one, other| one >= other), "newest first");
    });
}

/// Row 30: whatever dies between the write of a row and its announcement, every event is told, with the same id.
#[test]
fn kills_of_notify_and_of_the_host_lose_no_event() {
    run(async {
        let mut service = Service::start(Options::default()).await;
        let receiver = Receiver::start(Mood::Status(200)).await;
        let tenant_client = |service: &Service| service.client().for_tenant("lossless");
        let (_, secret) = hook(&tenant_client(&service), json!({"url": receiver.url})).await;
        let peer = Peer::start().await;
        let client = tenant_client(&service);
        let mailbox = account(&client, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        for round in 0..3 {
            deliver(&peer, (0..15).map(|number| corpus::plain(round * 15 + number)));
            let client = tenant_client(&service);
            assert_eq!(pull_all(&client, &mailbox).await, 15);
            for pid in service.pids(Some("notify")) {
                guard::kill(pid, rustix::process::Signal::KILL);
            }
            if round == 1 {
                service = service.crash_and_restart().await;
            }
        }
        let told = taken(&receiver, 45).await;
        let ids: BTreeSet<_> = told.iter().map(|told| told.id.clone()).collect();
        let messages: BTreeSet<_> =
            told.iter().map(|told| told.json()["data"]["message"]["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!((ids.len(), messages.len()), (45, 45), "told twice is told with the same id");
        assert!(told.iter().all(|told| told.is_signed_with(&secret)));
    });
}

/// Row 28: 410 switches a webhook off, a redirect is followed by nobody, what failed is seen and can be replayed.
#[test]
fn what_is_gone_is_switched_off_and_what_failed_can_be_replayed() {
    run(async {
        let options = Options { parameters: vec![("WebhookExpireSeconds", "2".to_owned())], ..Options::default() };
        let service = Service::start(options).await;
        let (_, client) = service.tenant();
        let gone = Receiver::start(Mood::Status(410)).await;
        let elsewhere = Receiver::start(Mood::Redirect).await;
        let (gone_path, _) = hook(&client, json!({"url": gone.url})).await;
        let (path, secret) = hook(&client, json!({"url": elsewhere.url, "events": ["message.received"]})).await;
        let peer = Peer::start().await;
        deliver(&peer, [corpus::plain(1), corpus::plain(2)]);
        let mailbox = account(&client, "mail", &peer.account(Receive::Pop3, Way::Tls)).await;
        pull_all(&client, &mailbox).await;
        let off = until("it is switched off", async || {
            let view = client.get(gone_path.clone()).await.value(200);
            (view["enabled"] == false).then_some(view)
        })
        .await;
        assert_eq!(off["disabledReason"], "gone");
        let failed = until("the others are given up", async || {
            let log = client.get(format!("{path}/deliveries?state=failed")).await.value(200);
            (log["items"].as_array().unwrap().len() == 2).then_some(log)
        })
        .await;
        let first = &failed["items"][0];
        assert_eq!(first["status"], 307);
        assert!(first["error"].as_str().unwrap().contains("redirect"), "{first}");
        assert!(!failed.to_string().contains("CANARY"), "nothing of what the receiver says");
        assert!(elsewhere.told().iter().all(|told| told.path == "/hook"));
        assert!(client.get(path.clone()).await.value(200)["failingSince"].is_string());

        elsewhere.turn(Mood::Status(200));
        let replay = format!("{path}/deliveries/{}/replay", first["id"].as_str().unwrap());
        let again = client.post_empty(replay).await.value(202);
        assert_eq!(again["state"], "pending");
        taken(&elsewhere, 1).await;
        let all = client.post(format!("{path}/replay"), &json!({"since": "2020-01-01T00:00:00Z"})).await.value(200);
        assert_eq!((&all["replayed"], &all["more"]), (&json!(1), &json!(false)), "the other one");
        let told = taken(&elsewhere, 2).await;
        let before: BTreeSet<_> = elsewhere.told().iter().map(|told| told.id.clone()).collect();
        assert_eq!(before.len(), 2, "the ids stay");
        assert!(told.iter().all(|told| told.is_signed_with(&secret)));
        until("it works again", async || {
            let log = client.get(format!("{path}/deliveries?state=delivered")).await.value(200);
            let healthy = client.get(path.clone()).await.value(200).get("failingSince").is_none();
            (log["items"].as_array().unwrap().len() == 2 && healthy).then_some(())
        })
        .await;
        // Switched on again it is forgiven.
        let on = client.ask(Method::PATCH, gone_path.clone()).json(&json!({"enabled": true})).send().await.value(200);
        assert_eq!((&on["enabled"], on.get("disabledReason")), (&json!(true), None));
    });
}

/// A3.5/23: one URL, selectable events; the example is in EmailEngine's words.
#[test]
fn webhooks_are_made_read_changed_rotated_tested_and_removed() {
    run(async {
        let (_, client) = service().await.tenant();
        let receiver = Receiver::start(Mood::Status(200)).await;
        let (path, secret) = hook(&client, json!({"url": receiver.url, "name": "CRM"})).await;
        assert!(secret.starts_with("whsec_"));
        let view = client.get(path.clone()).await.value(200);
        assert_eq!(
            (&view["name"], &view["format"], &view["enabled"]),
            (&json!("CRM"), &json!("standard"), &json!(true))
        );
        assert!(!view.to_string().contains(&secret), "shown once");
        let patch = json!({"events": ["message.sent"], "name": null});
        let changed = client.ask(Method::PATCH, path.clone()).json(&patch).send().await.value(200);
        assert_eq!((&changed["events"], changed.get("name")), (&json!(["message.sent"]), None));
        let put = client.put(path.clone(), &json!({"url": receiver.url, "format": "emailengine"})).await.value(200);
        assert_eq!((&put["format"], put.get("events")), (&json!("emailengine"), None));
        let listed = client.get("/v1/webhooks").await.value(200);
        assert_eq!(listed["items"], json!([put]));

        let rotated = client.post(format!("{path}/rotate"), &json!({})).await.value(200);
        let second = rotated["secret"].as_str().unwrap();
        assert!(second != secret && rotated["previousSecretUntil"].is_string());
        let tested = client.post(format!("{path}/test"), &json!({"type": "message.updated"})).await.value(200);
        assert_eq!(
            (&tested["success"], &tested["status"], &tested["error"]),
            (&json!(true), &json!(200), &Value::Null)
        );
        let told = receiver.told().pop().unwrap();
        assert!(told.is_signed_with(&secret) && told.is_signed_with(second), "both sign for a while");
        assert_eq!(told.json()["event"], "messageUpdated");
        let third = client.post(format!("{path}/rotate"), &json!({"keepSeconds": 0})).await.value(200);
        receiver.turn(Mood::Status(503));
        let tested = client.post_empty(format!("{path}/test")).await.value(200);
        assert_eq!((&tested["success"], &tested["status"]), (&json!(false), &json!(503)));
        let told = receiver.told().pop().unwrap();
        assert!(told.is_signed_with(third["secret"].as_str().unwrap()));
        assert!(!told.is_signed_with(second) && !told.is_signed_with(&secret));

        let _ = client.delete(path.clone()).await.is(204);
        let _ = client.get(path.clone()).await.problem(404, "not_found");
        let _ = client.delete(path).await.problem(404, "not_found");
    });
}

/// Part 3, row 1: what leads where it may not is refused, when it is made and when it is told.
#[test]
fn forbidden_and_malformed_settings_are_refused() {
    run(async {
        let (_, client) = service().await.tenant();
        for (settings, pointer, code) in [
            (json!({"url": "https://169.254.169.254/latest"}), "/url", "host_not_allowed"),
            (json!({"url": "http://10.0.0.1/"}), "/url", "host_not_allowed"),
            (json!({"url": "https://user@example.com/"}), "/url", "invalid_value"),
            (json!({"url": "ftp://example.com/"}), "/url", "invalid_value"),
            (json!({"url": "https://example.com/", "events": []}), "/events", "missing"),
            (json!({"url": "https://example.com/", "accounts": []}), "/accounts", "missing"),
        ] {
            client.post("/v1/webhooks", &settings).await.names(&[(pointer, code)]);
        }
        for settings in [
            json!({"url": "https://example.com/", "events": ["message.read"]}),
            json!({"url": "https://example.com/", "secret": "mine"}),
            json!({"url": "https://example.com/", "format": "xml"}),
            json!({}),
        ] {
            let _ = client.post("/v1/webhooks", &settings).await.problem(422, "invalid_request");
        }
        let receiver = Receiver::start(Mood::Status(200)).await;
        let (path, _) = hook(&client, json!({"url": receiver.url})).await;
        let _ = client
            .post(format!("{path}/rotate"), &json!({"keepSeconds": 604_801}))
            .await
            .problem(422, "invalid_request");
        let _ = client.get(format!("{path}/deliveries?state=lost")).await.problem(422, "invalid_request");
        let _ = client.post_empty(format!("{path}/deliveries/none/replay")).await.problem(404, "not_found");
        let _ = service().await.tenant().1.get(path).await.problem(404, "not_found");
    });
}

/// A3.1/4, A3.5/23 and A1.4/30: an example of every format that has words for a kind.
#[test]
fn a_3_5_23_and_a_1_4_30_examples_of_payloads() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let standard = client.get("/v1/webhooks/mock").await.value(200);
        assert_eq!(
            (&standard["body"]["type"], &standard["body"]["data"]["tenant"]),
            (&json!("message.received"), &json!(tenant))
        );
        assert!(standard["headers"]["webhook-signature"].as_str().unwrap().starts_with("v1,"));
        let engine = client.get("/v1/webhooks/mock?type=message.updated&format=emailengine").await.value(200);
        let body = &engine["body"];
        assert_eq!((&body["event"], &body["path"]), (&json!("messageUpdated"), &json!("INBOX")));
        assert_eq!(body["data"]["changes"]["flags"]["added"], json!(["\\Seen"]));
        let jet = client.get("/v1/webhooks/mock?type=message.sent&format=jetquery").await.value(200);
        assert_eq!(jet["body"]["event"], "mail_onComplete");
        for wrong in ["type=x", "format=x", "type=risk.raised&format=emailengine", "kind=x"] {
            let _ = client.get(format!("/v1/webhooks/mock?{wrong}")).await.problem(422, "invalid_request");
        }
    });
}

pub(crate) fn of_kind(told: &[Told], kind: &str) -> Vec<Value> {
    told.iter().filter(|told| told.kind() == kind).map(Told::json).collect()
}

/// Every way that a message takes, and what becomes of an account, by kind and by account. A3.1/4: new and deleted
/// messages and changed flags are told.
#[test]
fn outcomes_and_credentials_are_told_to_whoever_asked_for_them() {
    run(async {
        let parameters = vec![("LoginPauseSeconds", "1".to_owned())];
        let service = Service::start(Options { parameters, ..Options::default() }).await;
        let (tenant, client) = service.tenant();
        let (all, some) = (Receiver::start(Mood::Status(200)).await, Receiver::start(Mood::Status(200)).await);
        hook(&client, json!({"url": all.url})).await;
        hook(&client, json!({"url": some.url, "accounts": ["other"], "events": ["message.sent"]})).await;
        let peer = Peer::start().await;
        let settings = peer.account(Receive::Imap, Way::Tls);
        let (mail, other) = (account(&client, "mail", &settings).await, account(&client, "other", &settings).await);
        let rule = || Rule::on(Protocol::Smtp);
        peer.sandbox.script(rule().at(At::Command("RCPT")).matching("nobody@").reply("550 5.1.1 No such user\r\n"));
        peer.sandbox.script(rule().at(At::Command("RCPT")).matching("busy@").times(1).reply("450 4.2.1 Busy\r\n"));
        peer.sandbox.script(rule().at(At::Data).matching("Subject: lost").times(1).swallow_then_drop());
        for (path, to, subject) in [
            (&other, "bob@example.org", "sent"),
            (&mail, "bob@example.org", "sent"),
            (&mail, "nobody@example.org", "failed"),
            (&mail, "busy@example.org", "delayed"),
            (&mail, "ada@example.org", "lost"),
        ] {
            let message = json!({"to": to, "subject": subject, "text": "Hello"});
            let _ = client.post(format!("{path}/messages"), &message).await;
        }
        let told = taken(&all, 6).await;
        let sent = of_kind(&told, "message.sent");
        assert_eq!(sent.len(), 3, "two at once and one later: {sent:?}");
        assert!(sent.iter().all(|body| body["data"]["message"]["delivery"][0]["smtp"]["code"] == 250));
        let failed = of_kind(&told, "message.failed");
        assert_eq!(failed[0]["data"]["message"]["delivery"][0]["smtp"]["code"], 550);
        let delayed = of_kind(&told, "message.delayed");
        assert_eq!(delayed[0]["data"]["message"]["subject"], "delayed");
        assert_eq!(of_kind(&told, "message.unknown")[0]["data"]["message"]["subject"], "lost");
        let body = taken(&some, 1).await.pop().unwrap().json();
        assert_eq!((&body["type"], &body["data"]["account"]), (&json!("message.sent"), &json!("other")));
        stored_mail_changes(&client, &peer, &mail, &all).await;
        credentials_fail_and_recover(&client, &mail, &settings, &all).await;
        assert_eq!(some.told().len(), 1);
        bus_carries_them_all(&service, &tenant).await;
        let received: BTreeSet<_> =
            all.taken().iter().filter(|told| told.kind() == "message.received").map(|told| told.id.clone()).collect();
        assert_eq!(received.len(), 2);
    });
}

/// What others do with stored mail, and a folder that is numbered anew: known again, it is not received again.
async fn stored_mail_changes(client: &Client, peer: &Peer, mail: &str, all: &Receiver) {
    deliver(peer, [corpus::plain(1), corpus::plain(2)]);
    pull_all(client, mail).await;
    let uids: Vec<u32> = peer.sandbox.messages(&peer.user).iter().map(|message| message.uid).collect();
    peer.sandbox.set_flags(&peer.user, Folder::Inbox, uids[0], &["\\Seen"]).unwrap();
    peer.sandbox.remove(&peer.user, Folder::Inbox, &uids[1..]).unwrap();
    let updated = until("it is followed", async || {
        let _ = client.post_empty(format!("{mail}/pull")).await;
        let told = all.taken();
        let deleted = of_kind(&told, "message.deleted").pop();
        of_kind(&told, "message.updated").pop().filter(|_| deleted.is_some())
    })
    .await;
    assert_eq!(updated["data"]["changes"]["flags"], json!({"added": ["\\Seen"], "removed": []}));
    peer.sandbox.renumber(&peer.user, Folder::Inbox).unwrap();
    let reset = until("the folder is numbered anew", async || {
        let _ = client.post_empty(format!("{mail}/pull")).await;
        of_kind(&all.taken(), "folder.reset").pop()
    })
    .await;
    assert_eq!(reset["data"]["folder"]["name"], "INBOX");
    assert_ne!(reset["data"]["folder"]["uidValidity"], reset["data"]["folder"]["previousUidValidity"]);
}

/// Refused five times in a row, the credentials count as wrong.
async fn credentials_fail_and_recover(client: &Client, mail: &str, settings: &Value, all: &Receiver) {
    let mut wrong = settings.clone();
    wrong["receive"]["auth"]["password"] = json!("CANARY-wrong");
    let _ = client.put(mail, &wrong).await.value(200);
    let failed = until("they count as wrong", async || {
        let _ = client.post_empty(format!("{mail}/pull")).await;
        of_kind(&all.taken(), "account.authFailed").pop()
    })
    .await;
    assert_eq!(failed["data"]["status"]["errorCode"], "INVALID_CREDENTIALS");
    assert_eq!(failed["data"]["account"], "mail");
    let _ = client.put(mail, settings).await.value(200);
    until("they do no more", async || of_kind(&all.taken(), "account.recovered").pop()).await;
}

async fn bus_carries_them_all(service: &Service, tenant: &str) {
    let kinds: BTreeSet<_> = service
        .aws()
        .await
        .events(tenant)
        .await
        .iter()
        .map(|event| event["detail-type"].as_str().unwrap().to_owned())
        .collect();
    for kind in [
        "message.received",
        "message.updated",
        "message.deleted",
        "message.sent",
        "message.failed",
        "message.delayed",
        "message.unknown",
        "account.authFailed",
        "account.recovered",
        "folder.reset",
    ] {
        assert!(kinds.contains(kind), "{kind}: {kinds:?}");
    }
}
