//! Two tenants: with A's token, whatever is B's does not exist, on every route, and nothing is written.

use http::Method;
use serde_json::{Value, json};
use tests::peer::{Peer, Receive, Way};

use crate::{account, run, service};

#[test]
fn what_is_bs_does_not_exist_for_a() {
    run(async {
        // Of its own, so that the whole state can be compared.
        let service = tests::service::Service::start(tests::service::Options::default()).await;
        let (a, b) = (service.client().for_tenant("tenant-a"), service.client().for_tenant("tenant-b"));
        let peer = Peer::start().await;
        peer.sandbox.deliver(&peer.user, tests::corpus::with_attachment(1, "b.pdf", &[7; 9_000])).unwrap();
        let path = account(&b, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        let pulled = b.post_empty(format!("{path}/pull")).await.value(200);
        let incoming = pulled["stored"][0].as_str().unwrap().to_owned();
        let sent = b.post(format!("{path}/messages"), &json!({"to": peer.user, "subject": "of B"})).await.value(200);
        let outgoing = sent["id"].as_str().unwrap().to_owned();
        let token = b.post("/v1/tokens", &json!({"name": "b", "scopes": ["read"]})).await.value(201);
        let made = a.post("/v1/tokens", &json!({"name": "a", "scopes": ["read", "send", "admin"]})).await.value(201);
        let intruder = service.client().with_token(made["token"].as_str());

        let aws = service.aws().await;
        let (before, logins) = (aws.everything().await, peer.logins());
        let token_path = format!("/v1/tokens/{}", token["id"].as_str().unwrap());
        let message = |id: &str, rest: &str| format!("{path}/messages/{id}{rest}");
        let calls: Vec<(Method, String, Value, &str)> = vec![
            (Method::GET, path.clone(), Value::Null, "account_not_found"),
            (Method::DELETE, path.clone(), Value::Null, "account_not_found"),
            (Method::POST, format!("{path}/verify"), Value::Null, "account_not_found"),
            (Method::POST, format!("{path}/test-email"), json!({"to": "a@example.com"}), "account_not_found"),
            (
                Method::POST,
                format!("{path}/messages"),
                json!({"to": "a@example.com", "subject": "x"}),
                "account_not_found",
            ),
            (Method::POST, format!("{path}/pull"), Value::Null, "account_not_found"),
            (Method::GET, format!("{path}/messages"), Value::Null, "account_not_found"),
            (Method::GET, message(&incoming, ""), Value::Null, "message_not_found"),
            (Method::GET, message(&incoming, "/source"), Value::Null, "message_not_found"),
            (Method::GET, message(&incoming, "/source?inline=true"), Value::Null, "message_not_found"),
            (Method::GET, message(&incoming, "/attachments/2"), Value::Null, "message_not_found"),
            (Method::GET, message(&outgoing, ""), Value::Null, "message_not_found"),
            (Method::GET, message(&outgoing, "/source"), Value::Null, "message_not_found"),
            (Method::GET, format!("/v1/outbox/{outgoing}"), Value::Null, "message_not_found"),
            (Method::DELETE, token_path, Value::Null, "not_found"),
        ];
        for (method, path, body, code) in calls {
            let ask = intruder.ask(method, path);
            let ask = if body.is_null() { ask } else { ask.json(&body) };
            let _ = ask.send().await.problem(404, code);
        }
        assert_eq!(intruder.get("/v1/accounts").await.value(200)["items"], json!([]));
        assert_eq!(intruder.get("/v1/tokens").await.value(200)["items"].as_array().unwrap().len(), 1);
        assert_eq!(intruder.post_empty("/v1/pull").await.value(200), json!({"accounts": []}));
        let _ = intruder.for_tenant("tenant-b").get(path.clone()).await.problem(403, "forbidden");
        assert_eq!(aws.everything().await, before, "nothing was written");
        assert_eq!((peer.logins(), peer.sandbox.received().len()), (logins, 1), "nobody was asked");
    });
}

#[test]
fn the_same_name_is_another_account_for_another_tenant() {
    run(async {
        let service = service().await;
        let ((_, a), (_, b)) = (service.tenant(), service.tenant());
        let (for_a, for_b) = (Peer::start().await, Peer::start().await);
        for (client, peer, text) in [(&a, &for_a, "for A"), (&b, &for_b, "for B")] {
            let path = account(client, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
            peer.sandbox.deliver(&peer.user, format!("Subject: {text}\r\n\r\n{text}\r\n")).unwrap();
            assert_eq!(client.post_empty(format!("{path}/pull")).await.value(200)["new"], 1);
        }
        for (client, text) in [(&a, "for A"), (&b, "for B")] {
            let items = client.get("/v1/accounts/mail/messages").await.value(200)["items"].clone();
            assert_eq!(items.as_array().unwrap().len(), 1);
            assert_eq!(items[0]["subject"], text);
        }
        // The same Idempotency-Key belongs to each of them alone.
        for (client, peer) in [(&a, &for_a), (&b, &for_b)] {
            let ask = client.ask(Method::POST, "/v1/accounts/mail/messages").header("idempotency-key", "one for both");
            let answer = ask.json(&json!({"to": peer.user, "subject": "x"})).send().await;
            let _ = answer.is(200);
            assert_eq!(answer.header("idempotency-replayed"), "");
            assert_eq!(peer.sandbox.received().len(), 1);
        }
    });
}
