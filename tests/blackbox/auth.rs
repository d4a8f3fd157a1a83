//! Who may do what: tokens, scopes, accounts of a token, tenants.

use http::Method;
use serde_json::{Value, json};
use tests::client::Client;
use tests::peer::{Peer, Receive, Way};
use tests::sha256;

use crate::{account, masked, run, service};

async fn token(client: &Client, body: &Value) -> Value {
    client.post("/v1/tokens", body).await.value(201)
}

#[test]
fn without_a_token_the_gateway_itself_says_401() {
    run(async {
        let client = service().await.client().with_token(None);
        let answer = client.get("/v1/accounts").await;
        assert_eq!((answer.status, answer.json()), (401, json!({"message": "Unauthorized"})));
    });
}

#[test]
fn a_wrong_token_is_a_problem_in_every_shape() {
    run(async {
        let service = service().await;
        let before = service.aws().await.items().await;
        let client = service.client();
        for header in [
            "Bearer nobody",
            "Bearer ",
            "Bearer hp_black-box.operator2",
            "Basic aHA6aHA=",
            "hp_black-box.operato",
            "Bearer a b",
        ] {
            let answer = client
                .ask(Method::PUT, "/v1/accounts/intruder")
                .header("authorization", header)
                .json(&json!({}))
                .send()
                .await;
            let _ = answer.problem(401, "unauthorized");
        }
        let after = service.aws().await.items().await;
        assert!(!after.keys().any(|key| key.contains("intruder")));
        assert!(after.len() >= before.len());
    });
}

#[test]
fn a_token_is_shown_once_and_is_stored_as_a_hash() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        let answer =
            client.post("/v1/tokens", &json!({"name": "CI", "scopes": ["read"], "accounts": ["a", "b"]})).await;
        let made = answer.value(201);
        let secret = made["token"].as_str().unwrap().to_owned();
        let id = sha256(secret.as_bytes());
        assert_eq!(answer.header("location"), format!("/v1/tokens/{id}"));
        let view = json!({"id": id, "name": "CI", "scopes": ["read"], "accounts": ["a", "b"], "createdAt": "*", "expiresAt": null});
        let mut shown = masked(made, &["/createdAt", "/token"]);
        shown.as_object_mut().unwrap().remove("token");
        assert_eq!(shown, view);
        let list = client.get("/v1/tokens").await;
        assert_eq!(masked(list.value(200), &["/items/0/createdAt"]), json!({"items": [view], "nextCursor": null}));
        let stored = serde_json::to_string(&service.aws().await.items_of(&format!("T#{tenant}#")).await).unwrap();
        assert!(stored.contains(&id) && !stored.contains(&secret) && !list.text().contains(&secret));
    });
}

#[test]
fn scopes_limit_what_a_token_does() {
    run(async {
        let service = service().await;
        let (tenant, operator) = service.tenant();
        let peer = Peer::start().await;
        let path = account(&operator, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        let mut callers = Vec::new();
        for scope in ["read", "send", "admin"] {
            let made = token(&operator, &json!({"name": scope, "scopes": [scope]})).await;
            callers.push((scope, service.client().with_token(made["token"].as_str())));
        }
        let before = service.aws().await.items_of(&format!("T#{tenant}#")).await;
        let calls = [
            ("read", Method::GET, path.clone(), Value::Null),
            ("read", Method::GET, format!("{path}/messages"), Value::Null),
            ("send", Method::POST, format!("{path}/messages"), json!({})),
            ("send", Method::POST, "/v1/validate-credentials".to_owned(), json!({})),
            ("admin", Method::PUT, "/v1/accounts/new".to_owned(), json!({})),
            ("admin", Method::DELETE, "/v1/tokens/none".to_owned(), Value::Null),
        ];
        for (needed, method, path, body) in calls {
            for (scope, client) in &callers {
                let answer = client.ask(method.clone(), path.clone()).json(&body).send().await;
                if *scope == needed {
                    assert!(![401, 403].contains(&answer.status), "{scope} {}: {}", answer.asked, answer.text());
                } else {
                    let problem = answer.problem(403, "forbidden");
                    assert_eq!(
                        problem["detail"],
                        format!("this call needs a token with the scope {needed:?}"),
                        "{scope} {path}"
                    );
                }
            }
        }
        assert_eq!(service.aws().await.items_of(&format!("T#{tenant}#")).await, before);
        assert_eq!(peer.logins(), 0);
    });
}

#[test]
fn a_token_gives_away_no_more_than_it_has() {
    run(async {
        let service = service().await;
        let (_, operator) = service.tenant();
        let made = token(&operator, &json!({"name": "limited", "scopes": ["read", "admin"], "accounts": ["a"]})).await;
        let limited = service.client().with_token(made["token"].as_str());
        for body in [
            json!({"name": "x", "scopes": ["send"], "accounts": ["a"]}),
            json!({"name": "x", "scopes": ["tenants"], "accounts": ["a"]}),
            json!({"name": "x", "scopes": ["read"]}),
            json!({"name": "x", "scopes": ["read"], "accounts": ["a", "b"]}),
        ] {
            let _ = limited.post("/v1/tokens", &body).await.problem(403, "forbidden");
        }
        let _ = limited.post("/v1/tokens", &json!({"name": "x", "scopes": ["read"], "accounts": ["a"]})).await.is(201);
        let _ = limited.for_tenant("another").get("/v1/accounts").await.problem(403, "forbidden");
    });
}

/// A1.5/32: whoever is no member of a mail team neither sends nor receives by its account.
#[test]
fn accounts_beyond_a_tokens_own_do_not_exist_for_it() {
    run(async {
        let service = service().await;
        let (_, operator) = service.tenant();
        let peer = Peer::start().await;
        for name in ["mine", "other"] {
            account(&operator, name, &peer.account(Receive::Imap, Way::Tls)).await;
        }
        let made =
            token(&operator, &json!({"name": "one", "scopes": ["read", "send", "admin"], "accounts": ["mine"]})).await;
        let client = service.client().with_token(made["token"].as_str());
        let _ = client.get("/v1/accounts/mine").await.is(200);
        let _ = client.get("/v1/accounts/other").await.problem(404, "account_not_found");
        let _ = client.delete("/v1/accounts/other").await.problem(404, "account_not_found");
        let _ = client
            .put("/v1/accounts/other", &peer.account(Receive::Imap, Way::Tls))
            .await
            .problem(404, "account_not_found");
        let listed = client.get("/v1/accounts").await.value(200);
        let names: Vec<_> =
            listed["items"].as_array().unwrap().iter().map(|item| item["account"].as_str().unwrap()).collect();
        assert_eq!(names, ["mine"]);
    });
}

#[test]
fn a_token_that_is_wrong_in_itself_is_named() {
    run(async {
        let (tenant, client) = service().await.tenant();
        for (body, pointer, code) in [
            (json!({"scopes": ["read"]}), "/name", "missing"),
            (json!({"name": "", "scopes": ["read"]}), "/name", "invalid_value"),
            (json!({"name": "x", "scopes": []}), "/scopes", "missing"),
            (json!({"name": "x", "scopes": ["root"]}), "/scopes/0", "invalid_value"),
            (
                json!({"name": "x", "scopes": ["read"], "expiresAt": "2020-01-01T00:00:00Z"}),
                "/expiresAt",
                "invalid_value",
            ),
            (json!({"name": "x", "scopes": ["read"], "colour": "red"}), "/colour", "unknown_field"),
        ] {
            client.post("/v1/tokens", &body).await.names(&[(pointer, code)]);
        }
        assert!(service().await.aws().await.items_of(&format!("T#{tenant}#")).await.is_empty());
    });
}

#[test]
fn a_revoked_token_is_gone() {
    run(async {
        let (_, client) = service().await.tenant();
        let made = token(&client, &json!({"name": "x", "scopes": ["read"]})).await;
        let path = format!("/v1/tokens/{}", made["id"].as_str().unwrap());
        let _ = client.delete(path.clone()).await.is(204);
        let _ = client.delete(path).await.problem(404, "not_found");
        // Never used before it was revoked, so that no gateway remembers it.
        let late = service().await.client().with_token(made["token"].as_str());
        let _ = late.get("/v1/accounts").await.problem(401, "unauthorized");
    });
}
