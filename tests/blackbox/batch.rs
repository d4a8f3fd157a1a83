//! Many mails in one call, and what waits sent on demand.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use http::Method;
use sandbox::{At, Protocol, Rule};
use serde_json::{Value, json};
use tests::client::{Answer, Client};
use tests::peer::{Peer, Receive, Way};
use tests::service::{Options, Service};

use crate::delivery::{mail, settled};
use crate::send::sender;
use crate::{account, run, service};

fn item(number: usize) -> Value {
    json!({"account": "mail", "to": "ada@example.test", "subject": format!("Item {number}"), "text": "x"})
}

async fn batch(client: &Client, items: &[Value], key: Option<&str>) -> Answer {
    let mut ask = client.ask(Method::POST, "/v1/messages/batch").json(&json!({"messages": items}));
    if let Some(key) = key {
        ask = ask.header("idempotency-key", key);
    }
    ask.send().await
}

fn statuses(results: &Value) -> Vec<u64> {
    results["results"].as_array().unwrap().iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

#[test]
fn each_item_has_the_answer_that_it_would_have_alone() {
    run(async {
        let (_, client, peer, _) = sender().await;
        peer.sandbox.script(
            Rule::on(Protocol::Smtp).at(At::Command("RCPT")).matching("bob@").reply("550 5.1.1 No such user\r\n"),
        );
        let items = [
            item(0),
            json!({"account": "mail", "to": [], "subject": "x"}),
            json!({"account": "nobody", "to": "ada@example.test", "subject": "x"}),
            json!({"account": "mail", "to": "bob@example.org", "subject": "x"}),
            json!({"account": "mail", "to": "ada@example.test", "subject": "x", "colour": "red"}),
            json!({"to": "ada@example.test", "subject": "x"}),
            item(6),
            json!("x"),
        ];
        let answer = batch(&client, &items, None).await.value(200);
        assert_eq!(statuses(&answer), [200, 422, 404, 422, 422, 422, 200, 422], "{answer}");
        let results = &answer["results"];
        assert_eq!(results[0]["message"]["state"], "sent", "{answer}");
        assert_eq!(results[3]["problem"]["code"], "recipient_rejected", "{answer}");
        assert_eq!(results[3]["problem"]["resource"]["state"], "failed", "{answer}");
        let field = |index: usize| results[index]["problem"]["errors"][0]["pointer"].clone();
        let fields = [1, 4, 5, 7].map(field);
        assert_eq!(fields, ["/messages/1/to", "/messages/4/colour", "/messages/5/account", "/messages/7"]);
        assert_eq!(peer.sandbox.received().len(), 2);
        assert_eq!(peer.logins(), 1, "one connection for all");
    });
}

#[test]
fn a_batch_is_repeated_by_its_key_item_by_item() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let items: Vec<Value> = (0..5).map(item).collect();
        let first = batch(&client, &items, Some("many")).await.value(200);
        assert_eq!(statuses(&first), [200; 5]);
        let mut more = items.clone();
        more[4]["subject"] = json!("other");
        more.push(item(5));
        let second = batch(&client, &more, Some("many")).await.value(200);
        assert_eq!(statuses(&second), [200, 200, 200, 200, 422, 200], "{second}");
        for index in 0..4 {
            let (one, two) = (&first["results"][index], &second["results"][index]);
            assert_eq!((&one["message"], &two["replayed"]), (&two["message"], &json!(true)));
        }
        assert_eq!(second["results"][4]["problem"]["code"], "idempotency_mismatch");
        // The same key at another route is another thing.
        let ask = client.ask(Method::POST, format!("{path}/messages")).header("idempotency-key", "many#0");
        let _ = ask
            .json(&json!({"to": "ada@example.test", "subject": "Item 0", "text": "x", "lane": "bulk"}))
            .send()
            .await
            .problem(422, "idempotency_mismatch");
        assert_eq!(peer.sandbox.received().len(), 6);
    });
}

#[test]
fn a_batch_that_nobody_waits_for_is_queued_and_sent_over_few_connections() {
    run(async {
        let (_, client, peer, _) = sender().await;
        let items: Vec<Value> = (0..60).map(item).collect();
        let ask = client.ask(Method::POST, "/v1/messages/batch?wait=0").json(&json!({"messages": items}));
        let answer = ask.send().await.value(200);
        assert_eq!(statuses(&answer), vec![202; 60]);
        for result in answer["results"].as_array().unwrap() {
            settled(&client, &result["message"]["id"], &["sent"]).await;
        }
        assert_eq!(peer.sandbox.received().len(), 60);
        assert!(peer.logins() <= 15, "{} connections", peer.logins()); // a busy machine hands on more than once
    });
}

#[test]
fn a_batch_has_its_limits() {
    run(async {
        let (_, client, peer, _) = sender().await;
        for count in [0, 501] {
            let items: Vec<Value> = vec![item(0); count];
            batch(&client, &items, None).await.names(&[("/messages", "out_of_range")]);
        }
        let unknown = client.post("/v1/messages/batch", &json!({"messages": [], "mails": []})).await;
        unknown.names(&[("/mails", "unknown_field")]);
        assert!(peer.sandbox.received().is_empty());
    });
}

#[test]
fn a_server_that_takes_so_many_per_connection_gets_another_one() {
    run(async {
        let (_, client, peer, _) = sender().await;
        let many = "421 4.3.2 Too many messages in this session\r\n";
        peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Command("MAIL")).skip(3).times(1).reply(many).then_close());
        let items: Vec<Value> = (0..6).map(item).collect();
        let answer = batch(&client, &items, None).await.value(200);
        assert_eq!(statuses(&answer), [200; 6], "{answer}");
        let attempts =
            answer["results"].as_array().unwrap().iter().map(|result| &result["message"]["recipients"][0]["attempts"]);
        assert!(attempts.into_iter().all(|attempts| *attempts == 1), "{answer}");
        assert_eq!((peer.sandbox.received().len(), peer.logins()), (6, 2));
    });
}

#[test]
fn a_server_that_says_too_much_is_left_alone_for_a_while() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let many = "421 4.7.0 Too much mail from you\r\n";
        let fired = peer
            .sandbox
            .script(Rule::on(Protocol::Smtp).at(At::Command("MAIL")).skip(3).times(2).reply(many).then_close());
        let items: Vec<Value> = (0..10).map(item).collect();
        let answer = batch(&client, &items, None).await.value(200);
        assert_eq!(statuses(&answer), [200, 200, 200, 202, 202, 202, 202, 202, 202, 202], "{answer}");
        let results = answer["results"].as_array().unwrap();
        assert_eq!(results[3]["message"]["state"], "deferred", "{answer}");
        assert!(results[4..].iter().all(|result| result["message"]["recipients"][0]["attempts"] == 0), "{answer}");
        // Somebody who waits is not what floods a server.
        let _ = client.post(format!("{path}/messages"), &mail(&["ada@example.test"])).await.is(200);
        for result in results {
            settled(&client, &result["message"]["id"], &["sent"]).await;
        }
        assert_eq!((peer.sandbox.received().len(), fired.count()), (11, 2));
    });
}

#[test]
fn a_push_sends_what_waits_and_tells_what_came_of_it() {
    run(async {
        // Of its own: nothing may be sent but by a push.
        let parameters = vec![("BackoffSeconds", "3600".to_owned()), ("TickRate", "rate(1 hour)".to_owned())];
        let service = Service::start(Options { parameters, ..Options::default() }).await;
        let client = service.client();
        let peer = Peer::start().await;
        let path = account(&client, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        let other = account(&client, "other", &peer.account(Receive::Imap, Way::Tls)).await;
        let busy = || Rule::on(Protocol::Smtp).at(At::Command("RCPT")).reply("450 4.2.1 Mailbox busy\r\n");
        peer.sandbox.script(busy().times(4));
        for path in [&path, &path, &path, &other] {
            let deferred = client.post(format!("{path}/messages"), &mail(&["ada@example.test"])).await.value(202);
            assert_eq!(deferred["state"], "deferred");
        }
        let tomorrow = time::OffsetDateTime::now_utc() + time::Duration::days(1);
        let tomorrow = tomorrow.format(&time::format_description::well_known::Rfc3339).unwrap();
        let later = json!({"to": "ada@example.test", "subject": "Tomorrow", "sendAt": tomorrow});
        let _ = client.post(format!("{path}/messages"), &later).await.is(202);

        peer.sandbox.script(busy().times(1));
        peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Data).times(1).swallow_then_drop());
        let pushed = client.post_empty(format!("{path}/push")).await.value(200);
        assert_eq!(pushed, json!({"delivered": 1, "deferred": 1, "failed": 0, "unknown": 1, "queued": 0}));
        peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Command("RCPT")).times(1).reply("550 5.1.1 No\r\n"));
        let synced = client.post_empty(format!("{path}/sync")).await.value(200);
        assert_eq!((&synced["failed"], &synced["delivered"], &synced["new"]), (&json!(1), &json!(0), &json!(2)));
        let all = client.post_empty("/v1/sync").await.value(200);
        assert_eq!((&all["delivered"], all["accounts"].as_array().unwrap().len()), (&json!(1), 2), "{all}");
        let nothing = client.post_empty("/v1/push").await.value(200);
        assert_eq!(nothing, json!({"delivered": 0, "deferred": 0, "failed": 0, "unknown": 0, "queued": 0}));
        let left = client.get("/v1/outbox").await.value(200);
        let states: Vec<_> = left["items"].as_array().unwrap().iter().map(|item| item["state"].clone()).collect();
        assert_eq!(states.len(), 2, "{left}");
        assert!(states.contains(&json!("unknown")) && states.contains(&json!("queued")), "{left}");
        let _ = client.post_empty("/v1/accounts/nobody/push").await.problem(404, "account_not_found");
    });
}

#[test]
fn fifty_clients_with_the_same_keys_send_each_mail_once() {
    run(async {
        let (_, client, peer) = {
            let (tenant, client) = service().await.tenant();
            (tenant, client, Peer::start().await)
        };
        let path = account(&client, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        let (clients, keys) = (50, 100);
        let answers: Vec<(usize, u16, String)> = join_all((0..clients).map(|first| {
            let (client, path) = (client.clone(), path.clone());
            async move {
                let mut answers = Vec::new();
                // Each begins at another key: now they meet, now they come late.
                for key in (0..keys).map(|index| (first * 2 + index) % keys) {
                    let ask = client
                        .ask(Method::POST, format!("{path}/messages"))
                        .header("idempotency-key", &format!("S3 {key}"));
                    let body = json!({"to": "ada@example.test", "subject": format!("Key {key}")});
                    let answer = ask.json(&body).send().await;
                    answers.push((key, answer.status, answer.header("idempotency-replayed").to_owned()));
                }
                answers
            }
        }))
        .await
        .concat();
        let mut by_key: BTreeMap<usize, Vec<(u16, String)>> = BTreeMap::new();
        for (key, status, replayed) in answers {
            by_key.entry(key).or_default().push((status, replayed));
        }
        for (key, answers) in &by_key {
            assert_eq!(answers.len(), clients);
            let fresh = answers.iter().filter(|(status, replayed)| *status == 200 && replayed.is_empty()).count();
            assert_eq!(fresh, 1, "{key}: {answers:?}");
            assert!(
                answers.iter().all(|(status, replayed)| *status == 409 || replayed == "true" || *status == 200),
                "{answers:?}"
            );
        }
        assert_eq!((by_key.len(), peer.sandbox.received().len()), (keys, keys));
    });
}
