//! Qlik's door, item by item of its contract (A5): each test names the items that it holds the service to.

use http::Method;
use sandbox::{At, Protocol, Rule};
use serde_json::{Value, json};
use tests::client::{Answer, Client};
use tests::oauth::{CLIENT_ID, CLIENT_SECRET, Issuer};
use tests::peer::{Peer, Receive, Way};

use crate::{account, masked, run, service};

const CONFIG: &str = "/api/v1/transports/email-config";

fn action(name: &str) -> String {
    format!("{CONFIG}/actions/{name}")
}

async fn patch(client: &Client, operations: &Value) -> Answer {
    client.ask(Method::PATCH, CONFIG).json(operations).send().await
}

fn set(path: &str, value: impl Into<Value>) -> Value {
    json!({"op": "replace", "path": path, "value": value.into()})
}

/// All six fields, pointing at a server.
fn six(peer: &Peer, way: Way) -> Value {
    let kind = if way == Way::Tls { "SSL/TLS" } else { "StartTLS" };
    json!([
        set("/username", peer.user.as_str()),
        set("/serverAddress", "localhost"),
        set("/serverPort", peer.smtp(way)["port"].to_string()),
        set("/securityType", kind),
        set("/emailAddress", peer.user.as_str()),
        set("/emailPassword", peer.password.as_str()),
    ])
}

fn basic(peer: &Peer) -> Value {
    json!({"serviceProvider": "BasicAuth", "providerConfig": {
        "serverAddress": "localhost", "serverPort": peer.smtp(Way::Tls)["port"], "securityType": "SSL/TLS",
        "username": peer.user, "emailAddress": peer.user, "emailPassword": peer.password, "senderName": "Ada of Sales"}})
}

/// A5.1/2: the envelope, of every refusal.
#[track_caller]
fn errors(answer: &Answer, status: u16) -> Vec<(String, String)> {
    let body = answer.value(status);
    assert_eq!(answer.header("content-type"), "application/json", "{body}");
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    let errors = body["errors"].as_array().unwrap();
    assert!(!errors.is_empty(), "{body}");
    let text = |error: &Value, name: &str| error[name].as_str().unwrap().to_owned();
    errors.iter().map(|error| (text(error, "code"), text(error, "title"))).collect()
}

/// A5.2/6, A5.6/35, A5.4/28, A5.5/34, A5.7/36: without a configuration.
#[test]
fn nothing_is_configured_at_first() {
    run(async {
        let (_, client) = service().await.tenant();
        assert_eq!(client.get(CONFIG).await.value(200), json!({"isValid": false, "passwordExists": false}));
        let valid = client.post_empty(action("validate")).await.value(200);
        assert_eq!(valid, json!({"isValid": false, "errorCode": "CONFIG_NOT_SET"}));
        let _ = errors(&client.delete(CONFIG).await, 404);
        let test = json!({"body": "b", "subject": "s", "recipient": "bob@example.org"});
        let _ = errors(&client.post(action("send-test-email"), &test).await, 404);
        let _ = errors(&client.post_empty(action("verify-connection")).await, 404);
        // A mailbox that only receives is no email configuration.
        let peer = Peer::start().await;
        let mut settings = peer.account(Receive::Imap, Way::Tls);
        settings.as_object_mut().unwrap().remove("smtp");
        account(&client, "default", &settings).await;
        assert_eq!(client.get(CONFIG).await.value(200), json!({"isValid": false, "passwordExists": false}));
        let _ = patch(&client, &six(&peer, Way::Tls)).await.is(204);
        let view = client.get("/v1/accounts/default").await.value(200);
        assert_eq!((&view["receive"]["protocol"], &view["smtp"]["host"]), (&json!("imap"), &json!("localhost")));
    });
}

/// A5.2/7 to A5.2/23, A5.3/24, A5.3/25, A5.3/26.
#[test]
fn a_patch_creates_it_and_it_is_shown() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        let peer = Peer::start().await;
        let created = patch(&client, &six(&peer, Way::Starttls)).await;
        assert_eq!(created.is(204).body.len(), 0);
        let answer = client.get(CONFIG).await;
        assert!(!answer.text().contains(&peer.password), "A5.2/18");
        let port = peer.smtp(Way::Starttls)["port"].clone();
        let provider = json!({"username": peer.user, "serverAddress": "localhost", "serverPort": port,
                              "securityType": "StartTLS", "emailAddress": peer.user});
        let mut wanted = json!({
            "status": {"statusCode": 0, "statusReason": "OK"}, "isValid": true, "errorCode": "OK", "tenantId": tenant,
            "authFailures": 0, "passwordExists": true, "serviceProvider": "BasicAuth", "providerConfig": provider,
            "lastUpdated": "*", "modificationTime": "*",
        });
        wanted.as_object_mut().unwrap().extend(provider.as_object().unwrap().clone());
        assert_eq!(masked(answer.value(200), &["/lastUpdated", "/modificationTime"]), wanted);
        let time = answer.json()["modificationTime"].as_str().unwrap().to_owned();
        assert!(time::OffsetDateTime::parse(&time, &time::format_description::well_known::Rfc3339).is_ok(), "{time}");
        // It is a view of the account "default".
        let native = client.get("/v1/accounts/default").await.value(200);
        assert_eq!(native["smtp"]["auth"], json!({"type": "password", "username": peer.user, "hasPassword": true}));
        // A5.3/25: JSON Patch's own media type, too.
        let typed = client.ask(Method::PATCH, CONFIG).body("application/json-patch+json", "[]".to_owned()).send().await;
        assert_eq!(typed.is(204).body.len(), 0);
    });
}

/// A5.2/11, A5.3/26, A5.6/35, decision 17: field after field, in any order; incomplete until the last one.
#[test]
fn it_can_be_set_field_by_field() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        let peer = Peer::start().await;
        let all = six(&peer, Way::Tls);
        // The password comes before the sender's address, and after its server.
        for place in [0, 1, 2, 3, 5] {
            let _ = patch(&client, &json!([all[place]])).await.is(204);
            let view = client.get(CONFIG).await.value(200);
            assert_eq!((&view["isValid"], &view["errorCode"]), (&json!(false), &json!("INCOMPLETE_CONFIG")), "{view}");
            assert_eq!(view["passwordExists"], place == 5, "{view}");
            let valid = client.post_empty(action("validate")).await.value(200);
            assert_eq!(valid, json!({"isValid": false, "errorCode": "INCOMPLETE_CONFIG"}));
        }
        let _ = client.get("/v1/accounts/default").await.problem(404, "account_not_found");
        let tried = client.post_empty(action("verify-connection")).await.value(200);
        assert_eq!((&tried["success"], &tried["connectionFailed"]), (&json!(false), &json!(false)), "{tried}");
        assert!(tried["message"].as_str().unwrap().contains("emailAddress"), "{tried}");
        let _ = patch(&client, &json!([all[4]])).await.is(204);
        assert_eq!(client.get(CONFIG).await.value(200)["errorCode"], "OK");
        assert_eq!(client.post_empty(action("verify-connection")).await.value(200)["success"], true);

        // Taking a field away makes it incomplete again, and nothing leaves through what is left.
        let _ = patch(&client, &json!([{"op": "remove", "path": "/serverAddress", "value": ""}])).await.is(204);
        let view = client.get(CONFIG).await.value(200);
        assert_eq!(
            (&view["errorCode"], &view["passwordExists"]),
            (&json!("INCOMPLETE_CONFIG"), &json!(false)),
            "{view}"
        );
        assert!(view.get("serverAddress").is_none() && view["username"] == peer.user.as_str(), "{view}");
        let _ = client.get("/v1/accounts/default").await.problem(404, "account_not_found");
        let _ = client.delete(CONFIG).await.is(204);
        let left = service.aws().await.items_of(&format!("T#{tenant}#A")).await;
        assert!(left.is_empty(), "{left:?}");
        let _ = errors(&client.delete(CONFIG).await, 404);
    });
}

/// A5.3/26, decision 17: 204 all the same, and the password is gone; it never reaches the new place.
#[test]
fn a_changed_server_drops_the_password() {
    run(async {
        let (_, client) = service().await.tenant();
        let (home, elsewhere) = (Peer::start().await, Peer::start().await);
        for change in [
            set("/serverPort", elsewhere.smtp(Way::Tls)["port"].to_string()),
            set("/serverAddress", "127.0.0.1"),
            set("/securityType", "StartTLS"),
            set("/username", "other"),
            json!({"op": "remove", "path": "/emailPassword", "value": ""}),
        ] {
            let _ = patch(&client, &six(&home, Way::Tls)).await.is(204);
            assert_eq!(client.get(CONFIG).await.value(200)["passwordExists"], true);
            let _ = patch(&client, &json!([change])).await.is(204);
            let view = client.get(CONFIG).await.value(200);
            let state = (&view["passwordExists"], &view["isValid"], &view["errorCode"]);
            assert_eq!(state, (&json!(false), &json!(false), &json!("INCOMPLETE_CONFIG")), "{change}: {view}");
            assert_eq!(client.post_empty(action("verify-connection")).await.value(200)["success"], false);
        }
        assert_eq!((home.logins(), elsewhere.logins()), (0, 0));
        // What does not touch the server keeps it.
        let _ = patch(&client, &six(&home, Way::Tls)).await.is(204);
        let _ = patch(&client, &json!([set("/emailAddress", "sales@example.test")])).await.is(204);
        let view = client.get(CONFIG).await.value(200);
        assert_eq!((&view["passwordExists"], &view["emailAddress"]), (&json!(true), &json!("sales@example.test")));
    });
}

/// A5.3/24, A5.3/25: what is no such patch is a bad request, and changes nothing (A5.3/26: atomic).
#[test]
fn a_bad_patch_is_refused_whole() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let _ = patch(&client, &six(&peer, Way::Tls)).await.is(204);
        let before = client.get(CONFIG).await.value(200);
        for operation in [
            json!({"op": "test", "path": "/username", "value": "x"}),
            json!({"op": "copy", "from": "/emailPassword", "path": "/username", "value": ""}),
            json!({"op": "add", "path": "/tenantId", "value": "x"}),
            json!({"op": "add", "path": "/username"}),
            set("/serverPort", "70000"),
            set("/serverPort", "smtp"),
            set("/securityType", "ssl"),
            set("/emailAddress", "nobody"),
            set("/serverAddress", "smtp://example.com"),
            set("/username", "a\r\nb"),
        ] {
            let _ = errors(&patch(&client, &json!([set("/username", "changed"), operation])).await, 400);
        }
        for body in [json!({}), json!("x"), Value::from(vec![set("/username", "x"); 51])] {
            let _ = errors(&patch(&client, &body).await, 400);
        }
        let broken = client.ask(Method::PATCH, CONFIG).body("application/json", "[{".to_owned()).send().await;
        let _ = errors(&broken, 400);
        assert_eq!(client.get(CONFIG).await.value(200), before);
    });
}

/// A5.3/27: PUT validates within the request.
#[test]
fn put_replaces_it_if_it_works() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let mut wrong = basic(&peer);
        wrong["providerConfig"]["emailPassword"] = json!("wrong");
        let refused = errors(&client.put(CONFIG, &wrong).await, 400);
        assert_eq!(refused[0].0, "auth_failed", "{refused:?}");
        assert_eq!(client.get(CONFIG).await.value(200), json!({"isValid": false, "passwordExists": false}));
        assert_eq!(client.put(CONFIG, &basic(&peer)).await.is(204).body.len(), 0);
        let view = client.get(CONFIG).await.value(200);
        assert_eq!((&view["isValid"], &view["providerConfig"]["senderName"]), (&json!(true), &json!("Ada of Sales")));
        // The password may stay away as long as it goes to the same server.
        let mut kept = basic(&peer);
        kept["providerConfig"].as_object_mut().unwrap().remove("emailPassword");
        kept["providerConfig"]["serverPort"] = json!(kept["providerConfig"]["serverPort"].to_string());
        let _ = client.put(CONFIG, &kept).await.is(204);
        kept["providerConfig"]["username"] = json!("other");
        let _ = errors(&client.put(CONFIG, &kept).await, 400);
        for (pointer, value) in [
            ("/serviceProvider", json!("SendGrid")),
            ("/providerConfig", json!(null)),
            ("/providerConfig/serverPort", json!(0)),
            ("/providerConfig/serverAddress", json!(null)),
            ("/providerConfig/securityType", json!("TLS")),
            ("/providerConfig/emailAddress", json!("nobody")),
        ] {
            let mut body = basic(&peer);
            *body.pointer_mut(pointer).unwrap() = value;
            let _ = errors(&client.put(CONFIG, &body).await, 400);
        }
        assert_eq!(client.get(CONFIG).await.value(200)["username"], peer.user.as_str());
    });
}

/// A5.2/19, A5.2/20: Microsoft 365.
#[test]
fn microsoft_365_is_shown_as_such() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let auth = json!({"type": "oauth2", "provider": "microsoft", "grant": "client_credentials", "username": "ada@example.test",
                          "clientId": "12345678-1234-1234-1234-123456789012", "tenantId": "contoso.example", "clientSecret": "CANARY-client"});
        let settings = json!({"from": "ada@example.test", "smtp": {"host": "smtp.office365.com", "port": 587, "security": "starttls", "auth": auth}});
        let _ = client.put("/v1/accounts/default?verify=false", &settings).await.is(201);
        let answer = client.get(CONFIG).await;
        let view = answer.value(200);
        assert!(!answer.text().contains("CANARY"));
        assert_eq!(view["serviceProvider"], "Microsoft365");
        let provider = json!({"clientId": "12345678-1234-1234-1234-123456789012", "emailAddress": "ada@example.test", "providerTenantId": "contoso.example"});
        assert_eq!((&view["providerConfig"], &view["tenantId"]), (&provider, &json!(tenant)));
        assert_eq!((&view["passwordExists"], &view["isValid"]), (&json!(true), &json!(true)));
        // Another sender is no other login.
        let _ = patch(&client, &json!([set("/emailAddress", "sales@example.test")])).await.is(204);
        let view = client.get(CONFIG).await.value(200);
        assert_eq!(
            (&view["serviceProvider"], &view["passwordExists"]),
            (&json!("Microsoft365"), &json!(true)),
            "{view}"
        );
        // PUT without what it needs.
        let body = json!({"serviceProvider": "Microsoft365", "providerConfig": {"clientId": "x", "providerTenantId": "contoso.example", "emailAddress": "new@example.test"}});
        let refused = errors(&client.put(CONFIG, &body).await, 400);
        assert!(refused.iter().any(|(_, title)| title.contains("clientSecret")), "{refused:?}");
    });
}

/// A5.5/29 to A5.5/33, A5.7/36.
#[test]
fn attempts_are_200_and_say_how_they_went() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let _ = patch(&client, &six(&peer, Way::Tls)).await.is(204);
        let test = json!({"body": "the body", "subject": "the subject", "recipient": "bob@example.org"});
        let sent = client.post(action("send-test-email"), &test).await.value(200);
        assert_eq!(
            (&sent["success"], &sent["connectionFailed"], &sent["smtpResponseCode"]),
            (&json!(true), &json!(false), &json!(250))
        );
        assert!(
            sent["enhancedStatusCode"].is_string() && sent["message"].as_str().unwrap().starts_with("250"),
            "{sent}"
        );
        let received = peer.sandbox.received();
        let text = String::from_utf8_lossy(&received[0].bytes).into_owned();
        assert!(received.len() == 1 && text.contains("the subject") && text.contains("the body"), "{text}");

        let connected = client.post_empty(action("verify-connection")).await.value(200);
        assert_eq!((&connected["success"], &connected["smtpResponseCode"]), (&json!(true), &json!(235)), "{connected}");

        peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Command("RCPT")).reply("550 5.1.1 no such user\r\n"));
        let refused = client.post(action("send-test-email"), &test).await.value(200);
        assert_eq!(
            refused,
            json!({"success": false, "message": "550 5.1.1 no such user", "connectionFailed": false, "smtpResponseCode": 550, "enhancedStatusCode": "5.1.1"})
        );
        for bad in [json!({"subject": "s", "body": "b"}), json!({"recipient": "nobody", "subject": "s", "body": "b"})] {
            let _ = errors(&client.post(action("send-test-email"), &bad).await, 400);
        }
        let _ = errors(&client.post_empty(action("send-test-email")).await, 400);
    });
}

/// A5.2/11, A5.5/31, A5.7/36: could not resolve, refused, timed out, and TLS that one side does not speak.
#[test]
fn a_failed_connection_is_told_apart() {
    run(async {
        let peer = Peer::start().await;
        let unused = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        // Its queue takes connections, and nobody ever says a word.
        let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let silent_port = silent.local_addr().unwrap().port();
        let plain = peer.smtp(Way::Starttls)["port"].to_string();
        let changes = [
            set("/serverAddress", "nowhere.invalid"),
            set("/serverPort", unused.to_string()),
            set("/serverPort", silent_port.to_string()),
            set("/serverPort", plain.clone()),
            set("/securityType", "StartTLS"),
        ];
        let tests = changes.iter().map(async |change| {
            let (_, client) = service().await.tenant();
            let _ = patch(&client, &six(&peer, Way::Tls)).await.is(204);
            let _ = patch(&client, &json!([change, set("/emailPassword", peer.password.as_str())])).await.is(204);
            let test = json!({"body": "b", "subject": "s", "recipient": "bob@example.org"});
            for tried in [
                client.post_empty(action("verify-connection")).await.value(200),
                client.post(action("send-test-email"), &test).await.value(200),
            ] {
                let said = (&tried["success"], &tried["connectionFailed"], tried.get("smtpResponseCode"));
                assert_eq!(said, (&json!(false), &json!(true), None), "{change}: {tried}");
                assert!(tried["message"].as_str().is_some_and(|words| words.len() > 10), "A5.5/33: {tried}");
            }
            let view = client.get(CONFIG).await.value(200);
            assert_eq!((&view["errorCode"], &view["authFailures"]), (&json!("PROVIDER_ERROR"), &json!(0)), "{view}");
        });
        futures_util::future::join_all(tests).await;
        assert!(peer.sandbox.received().is_empty() && peer.logins() == 0);
    });
}

/// A5.3/27: Microsoft 365 by PUT, against a token endpoint of our own: where the stored configuration already names
/// another of Microsoft's clouds, this door, which has no words for that, leaves it so.
#[test]
fn put_signs_in_at_microsoft_as_the_tenants_own_application() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = std::sync::Arc::new(Peer::start().await);
        let mailbox = std::sync::Arc::clone(&peer);
        let issuer = Issuer::start(3600, move |token| mailbox.sandbox.add_token(&mailbox.user, token)).await;
        peer.sandbox.add_token(&peer.user, "never given out");
        let mut smtp = peer.smtp(Way::Tls);
        smtp["auth"] = json!({"type": "oauth2", "provider": "microsoft", "grant": "client_credentials", "username": peer.user,
            "clientId": "not yet", "clientSecret": "CANARY-old", "tenantId": "old.example", "tokenUrl": format!("{}/token", issuer.url)});
        let _ =
            client.put("/v1/accounts/default?verify=false", &json!({"from": peer.user, "smtp": smtp})).await.is(201);
        let given = |secret: &str| {
            json!({"serviceProvider": "Microsoft365", "providerConfig": {"clientId": CLIENT_ID, "clientSecret": secret,
                "providerTenantId": "contoso.example", "emailAddress": peer.user}})
        };
        let refused = errors(&client.put(CONFIG, &given("CANARY-wrong")).await, 400);
        assert!(refused[0].1.contains("invalid_client"), "{refused:?}");
        let view = client.get(CONFIG).await.value(200);
        assert_eq!(view["providerConfig"]["clientId"], "not yet", "nothing was changed: {view}");

        assert_eq!(client.put(CONFIG, &given(CLIENT_SECRET)).await.is(204).body.len(), 0);
        let answer = client.get(CONFIG).await;
        assert!(!answer.text().contains("CANARY"), "{}", answer.text());
        let view = answer.value(200);
        let provider = json!({"clientId": CLIENT_ID, "providerTenantId": "contoso.example", "emailAddress": peer.user});
        assert_eq!((&view["providerConfig"], &view["serviceProvider"]), (&provider, &json!("Microsoft365")), "{view}");
        assert_eq!((&view["isValid"], &view["errorCode"]), (&json!(true), &json!("OK")), "{view}");
        let asked = issuer.asked().pop().unwrap();
        assert_eq!((asked["grant_type"].as_str(), asked["client_id"].as_str()), ("client_credentials", CLIENT_ID));
        let test = json!({"body": "b", "subject": "s", "recipient": "bob@example.org"});
        assert_eq!(client.post(action("send-test-email"), &test).await.value(200)["success"], true);

        // A4.3/24: what Email Service 1.0 gives beside it falls back to the same, field by field.
        let beside = json!({"email": "bob@example.org", "microsoft_auth": {"client_secret": CLIENT_SECRET}});
        let _ = client.post("/send-test-email", &beside).await.is(200);
        assert_eq!(peer.sandbox.received().len(), 2);
        // The secret may stay away as long as it goes to the same application.
        let mut kept = given("");
        kept["providerConfig"].as_object_mut().unwrap().remove("clientSecret");
        let _ = client.put(CONFIG, &kept).await.is(204);
    });
}

/// A5.2/11, A5.2/14, A5.2/22, A5.6/35.
#[test]
fn refused_logins_are_counted_and_make_it_invalid() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let _ = patch(&client, &six(&peer, Way::Tls)).await.is(204);
        let _ = patch(&client, &json!([set("/emailPassword", "wrong")])).await.is(204);
        let tried = client.post_empty(action("verify-connection")).await.value(200);
        assert_eq!((&tried["success"], &tried["smtpResponseCode"]), (&json!(false), &json!(535)), "{tried}");
        let test = json!({"body": "b", "subject": "s", "recipient": "bob@example.org"});
        assert_eq!(client.post(action("send-test-email"), &test).await.value(200)["smtpResponseCode"], 535);
        let view = client.get(CONFIG).await.value(200);
        let state = (&view["authFailures"], &view["errorCode"], &view["isValid"]);
        assert_eq!(state, (&json!(2), &json!("INVALID_CREDENTIALS"), &json!(false)), "{view}");
        let valid = client.post_empty(action("validate")).await.value(200);
        assert_eq!(valid, json!({"isValid": false, "errorCode": "INVALID_CREDENTIALS"}));
        let _ = patch(&client, &json!([set("/emailPassword", peer.password.as_str())])).await.is(204);
        let view = client.get(CONFIG).await.value(200);
        assert_eq!((&view["authFailures"], &view["errorCode"]), (&json!(0), &json!("OK")), "{view}");
    });
}

/// A5.4/28: with the secret.
#[test]
fn delete_takes_everything() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        let peer = Peer::with_password("CANARY-qlik-pw").await;
        let _ = client.put(CONFIG, &basic(&peer)).await.is(204);
        let _ = client.delete(CONFIG).await.is(204);
        assert_eq!(client.get(CONFIG).await.value(200), json!({"isValid": false, "passwordExists": false}));
        assert!(service.aws().await.items_of(&format!("T#{tenant}#A")).await.is_empty());
        let secrets = service.aws().await.secrets().await;
        assert!(!secrets.iter().any(|(name, value)| name.contains(&tenant) && value.contains("CANARY-qlik-pw")));
    });
}

/// A5.1/1 to A5.1/4, A5.5/34.
#[test]
fn whoever_may_not_is_told_in_the_same_envelope() {
    run(async {
        let (_, client) = service().await.tenant();
        let made = client.post("/v1/tokens", &json!({"name": "x", "scopes": ["read", "send"]})).await.value(201);
        let other = client.with_token(made["token"].as_str());
        let test = json!({"body": "b", "subject": "s", "recipient": "bob@example.org"});
        for answer in [
            other.get(CONFIG).await,
            patch(&other, &json!([])).await,
            other.put(CONFIG, &json!({})).await,
            other.delete(CONFIG).await,
            other.post(action("send-test-email"), &test).await,
        ] {
            assert_eq!(errors(&answer, 403)[0].0, "forbidden");
        }
        assert_eq!(other.post_empty(action("validate")).await.value(200)["isValid"], false, "A5.1/3: no 403 there");
        let _ = errors(&other.post_empty(action("verify-connection")).await, 404);
        let stranger = client.with_token(Some("hp_nobody_x"));
        assert_eq!(errors(&stranger.get(CONFIG).await, 401)[0].0, "unauthorized");
        let _ = errors(&client.ask(Method::POST, CONFIG).json(&json!({})).send().await, 405);
        let _ = errors(&client.get(action("validate")).await, 405);
    });
}

/// A5.1/5: two tiers, by tenant, the same for every instance.
#[test]
fn two_tiers_limit_the_calls_of_a_minute() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        let minute = time::OffsetDateTime::now_utc();
        // Not around the end of a minute, where a new window begins.
        if minute.second() > 40 {
            tokio::time::sleep(std::time::Duration::from_secs(u64::from(61 - minute.second()))).await;
        }
        let calls = (0..101).map(|_| client.post_empty(action("validate")));
        let answers = futures_util::future::join_all(calls).await;
        let limited: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
        assert_eq!((limited.len(), answers.iter().filter(|answer| answer.status == 200).count()), (1, 100));
        assert_eq!(errors(limited[0], 429)[0].0, "rate_limited");
        assert!(limited[0].header("retry-after").parse::<u64>().is_ok_and(|seconds| (1..=60).contains(&seconds)));
        let _ = errors(&patch(&client, &json!([])).await, 429);
        let _ = client.get(CONFIG).await.is(200);
        let counters = service.aws().await.items_of(&format!("T#{tenant}#N")).await;
        assert_eq!(counters.len(), 2, "one of each tier: {counters:?}");
        let (_, other) = service.tenant();
        let _ = other.post_empty(action("validate")).await.is(200);
    });
}
