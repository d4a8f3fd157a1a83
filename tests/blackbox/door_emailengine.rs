//! EmailEngine's door to accounts and probes: A3.2, A3.6 and the configuration part of its published API.

use http::Method;
use sandbox::{At, Protocol, Rule, Service as Port};
use serde_json::{Value, json};
use tests::client::{Answer, Client};
use tests::peer::{Peer, Receive, Way};
use tests::receiver::{Mood, Receiver};

use crate::{account, run, service};

/// One side of an account as EmailEngine writes it.
fn side(peer: &Peer, port: Port, secure: bool) -> Value {
    json!({"host": "localhost", "port": peer.sandbox.port(port), "secure": secure,
           "auth": {"user": peer.user, "pass": peer.password}})
}

/// A whole account.
fn example(peer: &Peer) -> Value {
    json!({"account": "example", "name": "My Example Account",
           "imap": side(peer, Port::Imaps, true), "smtp": side(peer, Port::Smtps, true)})
}

/// Holds an answer to the door's error envelope, and returns it.
#[track_caller]
fn refused(answer: &Answer, status: u16) -> Value {
    let body = answer.value(status);
    assert_eq!(answer.header("content-type"), "application/json", "{body}");
    assert_eq!(body["statusCode"], status, "{body}");
    assert!(body["error"].is_string() && body["message"].is_string(), "{body}");
    body
}

async fn register(client: &Client, base: &str, body: &Value) -> Value {
    client.post(format!("{base}/v1/account"), body).await.value(200)
}

/// A3.2/10, A3.2/11, A3.2/12 at the root and under the prefix.
#[test]
fn a_3_2_an_account_is_registered_updated_read_and_removed() {
    run(async {
        for base in ["", "/emailengine"] {
            let (_, client) = service().await.tenant();
            let peer = Peer::start().await;
            let path = format!("{base}/v1/account/example");
            assert_eq!(register(&client, base, &example(&peer)).await, json!({"account": "example", "state": "new"}));
            let shown = client.get(path.clone()).await;
            assert!(!shown.text().contains(&peer.password), "{}", shown.text());
            let imap = json!({"host": "localhost", "port": peer.sandbox.port(Port::Imaps), "secure": true,
                              "auth": {"user": peer.user, "pass": "******"}, "disabled": false});
            let smtp = json!({"host": "localhost", "port": peer.sandbox.port(Port::Smtps), "secure": true,
                              "auth": {"user": peer.user, "pass": "******"}});
            let wanted = json!({"account": "example", "name": "My Example Account", "email": peer.user, "type": "imap",
                "state": "init", "imap": imap, "smtp": smtp, "path": ["INBOX"], "logs": false, "notifyFrom": null,
                "syncFrom": null, "smtpStatus": null, "lastError": null});
            let mut found = shown.value(200);
            // The account is followed from now on: it may have been connected to already.
            if found["state"] == "connected" {
                found["state"] = json!("init");
            }
            found.as_object_mut().unwrap().remove("syncTime");
            assert_eq!(found, wanted);

            // A3.2/11: the same id again updates; what is not named stays, the password too.
            let again = json!({"account": "example", "name": "Renamed", "copy": false});
            assert_eq!(register(&client, base, &again).await["state"], "existing");
            let changed = client.get(path.clone()).await.value(200);
            assert_eq!(
                (&changed["name"], &changed["copy"], &changed["smtp"]),
                (&json!("Renamed"), &json!(false), &smtp)
            );
            let put = json!({"smtp": false, "imap": {"partial": true, "disabled": true, "auth": {"pass": "******"}}});
            assert_eq!(client.put(path.clone(), &put).await.value(200), json!({"account": "example"}));
            let changed = client.get(path.clone()).await.value(200);
            assert_eq!((changed.get("smtp"), &changed["imap"]["disabled"]), (None, &json!(true)));

            let native = client.get("/v1/accounts/example").await.value(200);
            assert_eq!(
                native["receive"]["auth"],
                json!({"type": "password", "username": peer.user, "hasPassword": true})
            );
            assert_eq!((&native["sentCopy"], &native["poll"]["enabled"]), (&json!("never"), &json!(false)));

            assert_eq!(client.delete(path.clone()).await.value(200), json!({"account": "example", "deleted": true}));
            assert_eq!(refused(&client.get(path).await, 404)["code"], "AccountNotFound");
        }
    });
}

/// A3.2/10: what was registered sends and receives.
#[test]
fn a_3_2_10_what_was_registered_works() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        register(&client, "", &example(&peer)).await;
        let probe = client.post_empty("/v1/accounts/example/verify").await.value(200);
        assert_eq!(probe["success"], true, "{probe}");
        let state = client.get("/v1/account/example").await.value(200);
        assert_eq!((&state["state"], &state["lastError"]), (&json!("connected"), &Value::Null));
        peer.sandbox.add_user(&peer.user, "changed meanwhile").unwrap();
        let _ = client.post_empty("/v1/accounts/example/verify").await.value(200);
        let state = client.get("/v1/account/example").await.value(200);
        assert_eq!(state["state"], "authenticationError", "{state}");
        assert_eq!(state["lastError"]["serverResponseCode"], "AUTHENTICATIONFAILED", "{state}");
    });
}

#[test]
fn a_password_is_never_sent_to_another_server() {
    run(async {
        let (_, client) = service().await.tenant();
        let (peer, evil) = (Peer::start().await, Peer::start().await);
        register(&client, "", &example(&peer)).await;
        let moved = json!({"imap": {"partial": true, "port": evil.sandbox.port(Port::Imaps)}});
        let body = refused(&client.put("/v1/account/example", &moved).await, 400);
        assert_eq!((&body["message"], &body["fields"][0]["key"]), (&json!("Invalid input"), &json!("pass")), "{body}");
        assert!(body["fields"][0]["message"].as_str().unwrap().contains("imap.auth.pass"), "{body}");
        assert!(evil.sandbox.transcript().is_empty());
    });
}

#[test]
fn refusals_are_in_their_envelope() {
    run(async {
        let (_, client) = service().await.tenant();
        let key = |body: &Value| {
            body["fields"]
                .as_array()
                .unwrap()
                .iter()
                .map(|field| field["key"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let post = |body: Value| {
            let client = &client;
            async move { client.post("/v1/account", &body).await }
        };
        assert_eq!(key(&refused(&post(json!({"name": "x"})).await, 400)), ["account"]);
        assert_eq!(key(&refused(&post(json!({"account": "a#b"})).await, 400)), ["account"]);
        assert_eq!(key(&refused(&post(json!({"account": "x", "imap": {}})).await, 400)), ["host", "port", "auth"]);
        assert_eq!(key(&refused(&post(json!({"account": "x", "imap": true})).await, 400)), ["imap"]);
        assert_eq!(key(&refused(&post(json!({"account": "x"})).await, 400)), ["smtp"]);
        let _ = refused(&client.ask(Method::POST, "/v1/account").body("application/json", "{").send().await, 400);
        let _ = refused(&client.ask(Method::PATCH, "/v1/account").send().await, 405);
        let _ = refused(&client.with_token(Some("hp_nobody.nothing")).get("/v1/account/x").await, 401);
        let token = client.post("/v1/tokens", &json!({"name": "r", "scopes": ["read"]})).await.value(201);
        let reader = service().await.client().with_token(token["token"].as_str());
        let _ = refused(&reader.post("/v1/account", &json!({"account": "x"})).await, 403);
        let missing = refused(&reader.get("/emailengine/v1/account/x").await, 404);
        assert_eq!(missing["code"], "AccountNotFound");
        // Decision 26: what the door does not know is ignored.
        let body =
            json!({"account": "x", "colour": 1, "proxy": "socks5://x", "smtp": {"host": "localhost", "port": 25}});
        assert_eq!(post(body).await.value(200)["state"], "new");
    });
}

#[test]
fn without_an_id_one_is_made_up() {
    run(async {
        let (_, client) = service().await.tenant();
        let body = json!({"account": null, "name": "x", "smtp": {"host": "localhost", "port": 25}});
        let made = register(&client, "", &body).await;
        let id = made["account"].as_str().unwrap().to_owned();
        assert_eq!((id.len(), &made["state"]), (32, &json!("new")));
        let shown = client.get(format!("/v1/account/{id}")).await.value(200);
        assert_eq!((&shown["type"], &shown["sendOnly"], shown.get("email")), (&json!("sending"), &json!(true), None));
    });
}

#[test]
fn accounts_are_listed_by_page_state_and_text_under_the_prefix_only() {
    run(async {
        let (_, client) = service().await.tenant();
        for number in 0..3 {
            let body = json!({"account": format!("box-{number}"), "name": format!("Box {number}"),
                              "email": format!("box{number}@example.com"), "smtp": {"host": "localhost", "port": 25}});
            register(&client, "", &body).await;
        }
        let page = client.get("/emailengine/v1/accounts?page=1&pageSize=2").await.value(200);
        assert_eq!(
            page,
            json!({"total": 3, "page": 1, "pages": 2, "query": false, "state": "*", "accounts": [
                {"account": "box-2", "name": "Box 2", "email": "box2@example.com", "type": "sending", "state": "init", "lastError": null}
            ]})
        );
        let found = client.get("/emailengine/v1/accounts?query=BOX1&state=init").await.value(200);
        assert_eq!((&found["total"], &found["accounts"][0]["account"]), (&json!(1), &json!("box-1")));
        assert_eq!(client.get("/emailengine/v1/accounts?state=paused").await.value(200)["total"], 0);
        for wrong in ["pageSize=0", "pageSize=1001", "page=-1", "state=lost"] {
            let _ = refused(&client.get(format!("/emailengine/v1/accounts?{wrong}")).await, 400);
        }
        // Decision 25: the native list wins at the root.
        assert!(client.get("/v1/accounts").await.value(200)["items"].is_array());
    });
}

#[test]
fn settings_are_verified_without_being_stored() {
    run(async {
        for base in ["", "/emailengine"] {
            let (tenant, client) = service().await.tenant();
            let peer = Peer::start().await;
            let path = format!("{base}/v1/verifyAccount");
            let body = json!({"imap": side(&peer, Port::Imap, false), "smtp": side(&peer, Port::Submission, false)});
            let both = client.post(path.clone(), &body).await.value(200);
            assert_eq!(both, json!({"imap": {"success": true}, "smtp": {"success": true}}));

            let mut wrong = side(&peer, Port::Smtps, true);
            wrong["auth"]["pass"] = json!("wrong");
            let answer = client.post(path.clone(), &json!({"imap": false, "smtp": wrong})).await.value(200);
            assert!(answer.get("imap").is_none(), "{answer}");
            let smtp = &answer["smtp"];
            assert_eq!(
                (&smtp["success"], &smtp["code"], &smtp["statusCode"]),
                (&json!(false), &json!("EAUTH"), &json!(502))
            );
            assert!(smtp["responseText"].as_str().unwrap().contains("535"), "{smtp}");

            peer.sandbox.script(Rule::on(Protocol::Imap).at(At::Connect).hide_capability("STARTTLS"));
            let answer = client.post(path.clone(), &json!({"imap": side(&peer, Port::Imap, false)})).await.value(200);
            assert_eq!(
                (&answer["imap"]["success"], &answer["imap"]["code"]),
                (&json!(false), &json!("ETLS")),
                "{answer}"
            );
            assert_eq!(client.post(path.clone(), &json!({})).await.value(200), json!({}));
            assert_eq!(
                refused(&client.post(path, &json!({"smtp": {"host": "h"}})).await, 400)["fields"][0]["key"],
                "port"
            );
            assert!(!peer.saw_credential_in_clear());
            assert!(client.get("/v1/accounts").await.value(200)["items"].as_array().unwrap().is_empty(), "{tenant}");
        }
    });
}

/// A3.6/24: the seed's request, and where the authentication server is.
#[test]
fn a_3_6_24_accounts_of_an_authentication_server() {
    run(async {
        let (_, client) = service().await.tenant();
        let side = |port: u16| json!({"host": "imap.example.com", "port": port, "secure": true, "useAuthServer": true});
        let body = json!({"account": "ouath-user", "name": "Example", "imap": side(993), "smtp": side(465)});
        let nowhere = refused(&client.post("/v1/account", &body).await, 400);
        assert_eq!(nowhere["fields"][0]["key"], "authServer", "{nowhere}");

        assert_eq!(client.post("/v1/settings", &json!({"authServer": "ftp://x", "webhooks": ""})).await.status, 400);
        let url = "https://auth.example.com/tokens?key=1";
        let settled =
            client.post("/v1/settings", &json!({"authServer": url, "serviceUrl": "ignored"})).await.value(200);
        assert_eq!(settled, json!({"updated": ["authServer"]}));
        // Its query is what it knows us by: a secret like any other.
        let masked = json!({"authServer": "https://auth.example.com/tokens?******"});
        assert_eq!(client.get("/emailengine/v1/settings?authServer=true").await.value(200), masked);
        assert_eq!(client.post("/v1/settings", &masked).await.value(200), settled, "shown and sent back, it stays");
        assert_eq!(client.get("/v1/settings").await.value(200), json!({}));

        assert_eq!(register(&client, "", &body).await["state"], "new");
        let native = client.get("/v1/accounts/ouath-user").await.value(200);
        for side in ["smtp", "receive"] {
            let wanted = json!({"type": "tokenServer", "url": "https://auth.example.com/tokens", "hasQuery": true});
            assert_eq!(native[side]["auth"], wanted);
        }
        let shown = client.get("/v1/account/ouath-user").await.value(200);
        assert_eq!((&shown["imap"]["useAuthServer"], shown.get("email")), (&json!(true), None));
        assert_eq!(shown["imap"]["authServer"], masked["authServer"]);
    });
}

/// A3.5/23: one URL, selectable events. It is a webhook like any other.
#[test]
fn a_3_5_23_webhooks_are_a_setting() {
    run(async {
        for base in ["", "/emailengine"] {
            let (_, client) = service().await.tenant();
            let path = format!("{base}/v1/settings");
            let shown = async || {
                let asked = format!("{path}?webhooks=true&webhooksEnabled=true&webhookEvents=true");
                client.get(asked).await.value(200)
            };
            assert_eq!(shown().await, json!({"webhooks": null, "webhooksEnabled": false, "webhookEvents": []}));
            for (wrong, key) in [
                (json!({"webhooksEnabled": true}), "webhooks"),
                (json!({"webhooks": "ftp://example.com/"}), "webhooks"),
                (json!({"webhooks": "https://169.254.169.254/latest"}), "webhooks"),
                (json!({"webhooks": "https://example.com/", "webhookEvents": ["trackOpen"]}), "webhookEvents"),
            ] {
                let refused = refused(&client.post(path.clone(), &wrong).await, 400);
                assert_eq!(refused["fields"][0]["key"], key, "{refused}");
            }
            let receiver = Receiver::start(Mood::Status(200)).await;
            let url = format!("{}?key=1", receiver.url);
            let chosen = ["messageNew", "messageDeliveryError"];
            let body = json!({"webhooks": url, "webhooksEnabled": true, "webhookEvents": chosen, "notifyText": true});
            let updated = json!({"updated": ["webhooks", "webhooksEnabled", "webhookEvents"]});
            assert_eq!(client.post(path.clone(), &body).await.value(200), updated);
            let masked = format!("{}?******", receiver.url);
            let settings = json!({"webhooks": masked, "webhooksEnabled": true, "webhookEvents": chosen});
            assert_eq!(shown().await, settings);
            assert_eq!(client.post(path.clone(), &settings).await.value(200), updated, "shown and sent back, it stays");
            let native = client.get("/v1/webhooks").await.value(200)["items"].clone();
            assert_eq!(
                (&native[0]["url"], &native[0]["format"], &native[1]),
                (&json!(url), &json!("emailengine"), &Value::Null)
            );
            assert_eq!(native[0]["events"], json!(["message.received", "message.delayed", "message.unknown"]));

            let peer = Peer::start().await;
            let mailbox = account(&client, "example", &peer.account(Receive::Imap, Way::Tls)).await;
            peer.sandbox.deliver(&peer.user, tests::corpus::plain(1)).unwrap();
            let stored = client.post_empty(format!("{mailbox}/pull")).await.value(200)["stored"].clone();
            let told = tests::until("it is told", async || receiver.taken().pop()).await.json();
            assert_eq!((&told["account"], &told["event"]), (&json!("example"), &json!("messageNew")));
            assert_eq!((&told["data"]["id"], &told["data"]["uid"]), (&stored[0], &json!(1)));
            let text = told["data"]["text"]["id"].as_str().unwrap();
            let _ = client.get(format!("{base}/v1/account/example/text/{text}")).await.is(200);

            let off = json!({"webhooksEnabled": false, "webhookEvents": ["*"]});
            let _ = client.post(path.clone(), &off).await.is(200);
            assert_eq!(shown().await, json!({"webhooks": masked, "webhooksEnabled": false, "webhookEvents": ["*"]}));
            assert_eq!(
                client.post(path.clone(), &json!({"webhooks": ""})).await.value(200),
                json!({"updated": ["webhooks"]})
            );
            assert_eq!(client.get("/v1/webhooks").await.value(200)["items"], json!([]));
        }
    });
}

/// A3.6/25, with the application in the account.
#[test]
fn a_3_6_25_oauth2_by_a_known_provider() {
    run(async {
        let (_, client) = service().await.tenant();
        let oauth2 = json!({"provider": "gmail", "auth": {"user": "ada@gmail.com"}, "clientId": "id",
                            "clientSecret": "canary-client", "refreshToken": "canary-refresh"});
        register(&client, "", &json!({"account": "g", "name": "G", "oauth2": oauth2})).await;
        let native = client.get("/v1/accounts/g").await.value(200);
        assert_eq!(
            (&native["smtp"]["host"], &native["receive"]["host"]),
            (&json!("smtp.gmail.com"), &json!("imap.gmail.com"))
        );
        assert_eq!(
            (&native["smtp"]["auth"]["type"], &native["smtp"]["auth"]["provider"]),
            (&json!("oauth2"), &json!("google"))
        );
        let answer = client.get("/v1/account/g").await;
        assert!(!answer.text().contains("canary"), "{}", answer.text());
        let shown = answer.value(200);
        assert_eq!((&shown["type"], &shown["oauth2"]["refreshToken"]), (&json!("gmail"), &json!("******")));
        let unknown = json!({"account": "h", "oauth2": {"provider": "AAABhaBPHscAAAAH"}});
        assert_eq!(refused(&client.post("/v1/account", &unknown).await, 400)["fields"][0]["key"], "provider");
    });
}

#[test]
fn what_the_door_has_no_words_for_survives_a_change() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let mut settings = peer.account(Receive::Pop3, Way::Tls);
        settings["identities"] = json!(["sales@example.test"]);
        let path = account(&client, "pop", &settings).await;
        let before = client.get(path.clone()).await.value(200);
        let _ = client.put("/v1/account/pop", &json!({"name": "Renamed"})).await.is(200);
        let after = client.get(path).await.value(200);
        for field in ["smtp", "receive", "identities", "poll"] {
            assert_eq!(after[field], before[field], "{field}");
        }
        assert_eq!((&after["name"], &after["from"]["name"]), (&json!("Renamed"), &json!("Renamed")));
    });
}

/// Decision 25: the native route wins at the root, the door stands under its prefix.
#[test]
fn the_settings_of_an_address_are_found() {
    run(async {
        let (_, client) = service().await.tenant();
        let found = client.get("/emailengine/v1/autoconfig?email=ada%40gmail.com").await.value(200);
        let user = json!({"user": "ada@gmail.com"});
        assert_eq!(
            (&found["imap"]["host"], &found["imap"]["port"], &found["imap"]["secure"], &found["imap"]["auth"]),
            (&json!("imap.gmail.com"), &json!(993), &json!(true), &user),
            "{found}"
        );
        assert_eq!(
            (&found["smtp"]["host"], &found["_source"]),
            (&json!("smtp.gmail.com"), &json!("provider")),
            "{found}"
        );
        assert_eq!(found["appPassword"]["required"], true, "{found}");
        assert_eq!(refused(&client.get("/emailengine/v1/autoconfig").await, 400)["fields"][0]["key"], "email");
        assert!(client.get("/v1/autoconfig?email=ada%40gmail.com").await.value(200)["receive"].is_object());
    });
}
