//! Email Service 1.0: the test email and the validation of credentials, A4.1, A4.3 and A4.4.

use http::Method;
use sandbox::{At, Protocol, Rule, Service as Port};
use serde_json::{Value, json};
use tests::client::{Answer, Client};
use tests::peer::{Peer, Receive, Way};

use crate::{account, run, service};

/// Holds an answer to the door's one shape, and returns its words.
#[track_caller]
fn words(answer: &Answer, status: u16) -> String {
    let body = answer.value(status);
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["message"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

async fn test_email(client: &Client, body: &Value) -> Answer {
    client.post("/send-test-email", body).await
}

async fn validate(client: &Client, body: &Value) -> Answer {
    client.post("/validate-credentials", body).await
}

/// The credentials of a mailbox, given.
fn given(peer: &Peer) -> Value {
    json!({"smtp_host": "localhost", "smtp_port": peer.sandbox.port(Port::Submission).to_string(),
           "smtp_user": peer.user, "smtp_pass": peer.password})
}

fn with(mut body: Value, changes: &Value) -> Value {
    body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    body
}

/// A4.1/3, A4.1/4, A4.1/5.
#[test]
fn a_4_1_the_tenant_is_required_and_the_request_id_comes_back() {
    run(async {
        let anybody = service().await.client();
        let (tenant, client) = service().await.tenant();
        for path in ["/send-test-email", "/validate-credentials"] {
            assert!(words(&anybody.post(path, &json!({})).await, 400).contains("Tenant"), "{path}");
            words(&client.with_token(Some("hp_no.body")).post(path, &json!({})).await, 401);
            words(&client.ask(Method::GET, path).send().await, 405);
            words(&client.ask(Method::POST, path).body("application/json", "{").send().await, 400);
            for name in ["request-id", "x-request-id", "request_id"] {
                let id = format!("{tenant}-{name}-{}", &path[1..5]);
                let answer = client.ask(Method::POST, path).header(name, &id).json(&json!({})).send().await;
                assert_eq!((answer.header(name), answer.header("x-request-id")), (id.as_str(), id.as_str()));
                tests::until("the id is in the log", async || service().await.logs().contains(&id).then_some(())).await;
            }
        }
        let token = client.post("/v1/tokens", &json!({"name": "r", "scopes": ["send"]})).await.value(201);
        let other = service().await.client().with_token(token["token"].as_str()).for_tenant("another-tenant");
        words(&other.post("/validate-credentials", &json!({})).await, 403);
    });
}

/// A4.3/16: the stored configuration as it is.
#[test]
fn a_4_3_16_the_stored_configuration_sends() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        assert!(
            words(&test_email(&client, &json!({"email": "ada@example.test"})).await, 404)
                .contains("no stored configuration")
        );
        account(&client, "default", &peer.account(Receive::Imap, Way::Starttls)).await;
        let sent = words(&test_email(&client, &json!({"email": "ada@example.test"})).await, 200);
        assert!(sent.contains("ada@example.test"), "{sent}");
        let received = peer.sandbox.received();
        assert_eq!(received[0].recipients, ["ada@example.test"]);
        let text = String::from_utf8_lossy(&received[0].bytes).into_owned();
        assert!(
            text.contains("From: Ada <ada@example.test>") || text.contains("From: \"Ada\" <ada@example.test>"),
            "{text}"
        );
    });
}

/// A4.3/17 to A4.3/23: each field by itself, the port as text or number.
#[test]
fn a_4_3_18_to_23_each_field_falls_back_by_itself() {
    run(async {
        let (_, client) = service().await.tenant();
        let (peer, other) = (Peer::start().await, Peer::start().await);
        account(&client, "default", &peer.account(Receive::Imap, Way::Starttls)).await;
        let to = json!({"email": "ada@example.test"});
        let named =
            json!({"from_name": "Shop", "from_address": "shop@example.test", "smtp_host": "", "microsoft_auth": null});
        words(&test_email(&client, &with(to.clone(), &named)).await, 200);
        let text = String::from_utf8_lossy(&peer.sandbox.received()[0].bytes).into_owned();
        assert!(text.contains("<shop@example.test>") && text.contains("Shop"), "{text}");

        words(&test_email(&client, &with(to.clone(), &given(&other))).await, 200);
        let number = json!({"smtp_port": other.sandbox.port(Port::Submission), "smtp_pass": other.password});
        words(&test_email(&client, &with(to.clone(), &number)).await, 200);
        assert_eq!((other.sandbox.received().len(), peer.sandbox.received().len()), (2, 1));

        let wrong = words(&test_email(&client, &with(to.clone(), &json!({"smtp_pass": "wrong"}))).await, 422);
        assert!(wrong.contains("535"), "the server's own words: {wrong}");
        for (changes, word) in [
            (json!({"email": null}), "email"),
            (json!({"email": "nobody"}), "email"),
            (json!({"smtp_port": "25a"}), "smtp_port"),
            (json!({"smtp_port": 65_536}), "smtp_port"),
            (json!({"from_address": "nobody"}), "from_address"),
        ] {
            let refused = words(&test_email(&client, &with(to.clone(), &changes)).await, 400);
            assert!(refused.contains(word), "{changes}: {refused}");
        }
    });
}

/// A4.3/25, decision 17.
#[test]
fn a_4_3_25_the_stored_password_is_never_sent_to_another_server() {
    run(async {
        let (_, client) = service().await.tenant();
        let (peer, evil) = (Peer::start().await, Peer::start().await);
        account(&client, "default", &peer.account(Receive::Imap, Way::Starttls)).await;
        let logins = peer.logins();
        let port = |port| json!(evil.sandbox.port(port));
        for changes in [
            json!({"smtp_host": "127.0.0.1", "smtp_port": port(Port::Submission)}),
            json!({"smtp_port": port(Port::Submission)}),
            json!({"smtp_host": "localhost", "smtp_port": port(Port::Smtps)}),
            json!({"smtp_host": "127.0.0.1"}),
            json!({"smtp_user": "somebody@example.test"}),
        ] {
            let refused = test_email(&client, &with(json!({"email": "ada@example.test"}), &changes)).await;
            let refused = words(&refused, 422);
            assert!(refused.contains("smtp_pass"), "{changes}: {refused}");
        }
        assert!(evil.sandbox.transcript().is_empty());
        assert_eq!(peer.logins(), logins);
    });
}

/// Decision 5: a door that cannot say "later" reports what was not sent as failed.
#[test]
fn what_the_server_refuses_is_told_in_its_words() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let body = with(json!({"email": "ada@example.test"}), &given(&peer));
        peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Command("RCPT")).reply("451 4.7.1 Greylisted\r\n"));
        assert!(words(&test_email(&client, &body).await, 422).contains("Greylisted"));
        assert!(peer.sandbox.received().is_empty());
        let denied = with(body, &json!({"smtp_host": "10.0.0.1"}));
        words(&test_email(&client, &denied).await, 422);
    });
}

/// A4.4/27 to A4.4/30.
#[test]
fn a_4_4_credentials_are_validated_and_not_stored() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let peer = Peer::start().await;
        let good = validate(&client, &given(&peer)).await.value(200);
        assert_eq!((good.as_object().unwrap().len(), &good["success"]), (2, &json!(true)), "{good}");
        assert!(good["message"].is_string());
        let port = json!({"smtp_port": peer.sandbox.port(Port::Submission)});
        assert_eq!(validate(&client, &with(given(&peer), &port)).await.value(200)["success"], true, "A4.4/30");

        let bad = validate(&client, &with(given(&peer), &json!({"smtp_pass": "wrong"}))).await.value(200);
        assert_eq!(bad["success"], false);
        assert!(bad["message"].as_str().unwrap().contains("535"), "{bad}");
        let relay = json!({"smtp_host": "localhost", "smtp_port": peer.sandbox.port(Port::Submission).to_string()});
        assert_eq!(validate(&client, &relay).await.value(200)["success"], true, "A4.4/28: an anonymous relay check");

        for (changes, word) in [
            (json!({"smtp_host": null}), "smtp_host"),
            (json!({"smtp_port": ""}), "smtp_port"),
            (json!({"smtp_port": "0"}), "smtp_port"),
            (json!({"smtp_port": "65536"}), "smtp_port"),
            (json!({"smtp_port": "+25"}), "smtp_port"),
            (json!({"smtp_user": ""}), "smtp_user"),
            (json!({"smtp_pass": ""}), "smtp_pass"),
        ] {
            let refused = words(&validate(&client, &with(given(&peer), &changes)).await, 400);
            assert!(refused.contains(word), "{changes}: {refused}");
        }
        let stored = service().await.aws().await.items_of(&format!("T#{tenant}#A")).await;
        assert!(stored.is_empty(), "{stored:?}");
    });
}
