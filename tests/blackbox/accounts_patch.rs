//! Changing accounts in parts, what they were before, and the way back.

use http::Method;
use serde_json::{Value, json};
use tests::client::{Answer, Client};
use tests::peer::{Peer, Receive, Way};

use crate::{account, run, service};

const PATH: &str = "/v1/accounts/support";

fn settings() -> Value {
    json!({
        "name": "Support",
        "from": "support@example.com",
        "smtp": {"host": "smtp.example.com", "port": 587, "security": "starttls",
                 "auth": {"type": "password", "username": "support@example.com", "password": "first secret"}},
        "receive": {"protocol": "imap", "host": "imap.example.com", "port": 993, "security": "tls"},
    })
}

async fn patch(client: &Client, kind: &str, changes: &Value) -> Answer {
    client.ask(Method::PATCH, PATH).body(kind, changes.to_string()).send().await
}

async fn operations(client: &Client, changes: Value) -> Answer {
    patch(client, "application/json-patch+json", &changes).await
}

async fn merge(client: &Client, changes: Value) -> Answer {
    patch(client, "application/merge-patch+json; charset=utf-8", &changes).await
}

#[test]
fn an_account_is_created_with_its_name_in_the_body() {
    run(async {
        let (_, client) = service().await.tenant();
        let mut body = settings();
        client.post("/v1/accounts", &body).await.names(&[("/account", "missing")]);
        body["account"] = json!("a b");
        client.post("/v1/accounts", &body).await.names(&[("/account", "invalid_name")]);
        body["account"] = json!("support");
        body["smpt"] = json!({});
        client.post("/v1/accounts", &body).await.names(&[("/smpt", "unknown_field")]);
        body.as_object_mut().unwrap().remove("smpt");
        let created = client.post("/v1/accounts", &body).await;
        assert_eq!(created.value(201)["account"], "support");
        assert_eq!(created.header("location"), PATH);
        let read = client.get(PATH).await;
        assert_eq!((read.value(200), read.header("etag")), (created.json(), created.header("etag")));
        let _ = client.post("/v1/accounts", &body).await.problem(409, "conflict");
        body["account"] = json!("import");
        client.post("/v1/accounts", &body).await.names(&[("{account}", "invalid_name")]);
        let _ = client.put("/v1/accounts/import", &settings()).await.problem(405, "method_not_allowed");
    });
}

#[test]
fn both_languages_change_what_they_name_and_nothing_else() {
    run(async {
        let (_, client) = service().await.tenant();
        account(&client, "support", &settings()).await;
        let before = client.get(PATH).await.value(200);
        let changed = operations(
            &client,
            json!([
                {"op": "test", "path": "/name", "value": "Support"},
                {"op": "replace", "path": "/name", "value": "Renamed"},
                {"op": "add", "path": "/identities/-", "value": "sales@example.com"},
                {"op": "replace", "path": "/receive/folders", "value": ["INBOX", "Sales"]},
            ]),
        )
        .await;
        let mut wanted = before.clone();
        wanted["name"] = json!("Renamed");
        wanted["identities"] = json!([{"address": "sales@example.com"}]);
        wanted["receive"]["folders"] = json!(["INBOX", "Sales"]);
        wanted["updatedAt"] = changed.json()["updatedAt"].clone();
        assert_eq!(changed.value(200), wanted);
        assert_ne!(changed.json()["updatedAt"], before["updatedAt"]);
        for kind in ["application/merge-patch+json", "application/json"] {
            let changed = patch(
                &client,
                kind,
                &json!({"name": null, "receive": {"folders": ["INBOX"]}, "poll": {"maxSeconds": 600}}),
            )
            .await
            .value(200);
            assert_eq!((&changed["name"], &changed["receive"]["folders"]), (&Value::Null, &json!(["INBOX"])));
            assert_eq!(changed["poll"], json!({"enabled": false, "minSeconds": 60, "maxSeconds": 600}));
            assert_eq!(changed["smtp"], before["smtp"], "the password is still there");
        }
    });
}

#[test]
fn a_patch_is_done_whole_or_not_at_all() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        account(&client, "support", &settings()).await;
        let before = crate::settings_of(&tenant).await;
        let rename = json!({"op": "replace", "path": "/name", "value": "New"});
        let failing = |operation: Value| json!([rename, operation]);
        let _ = operations(&client, failing(json!({"op": "test", "path": "/sentCopy", "value": "never"})))
            .await
            .problem(409, "conflict");
        for (operation, pointer, code) in [
            (json!({"op": "remove", "path": "/smtp/nothing"}), "/1/path", "invalid_value"),
            (json!({"op": "add", "path": "/tenantId", "value": "other"}), "/1/path", "invalid_value"),
            (json!({"op": "add", "path": "/secret", "value": {}}), "/1/path", "invalid_value"),
            (json!({"op": "copy", "from": "/smtp/auth/password", "path": "/name"}), "/1/from", "invalid_value"),
            (json!({"op": "test", "path": "/smtp/auth/password", "value": "x"}), "/1/path", "invalid_value"),
            (json!({"op": "replace", "path": "/smtp/port", "value": 0}), "/smtp/port", "out_of_range"),
            (json!({"op": "replace", "path": "/smtp/port", "value": "587"}), "/smtp/port", "invalid_value"),
            (json!({"op": "add", "path": "/smtp/tls", "value": true}), "/smtp/tls", "unknown_field"),
            (json!({"op": "remove", "path": "/from"}), "/from", "missing"),
        ] {
            operations(&client, failing(operation)).await.names(&[(pointer, code)]);
        }
        operations(&client, Value::from(vec![rename.clone(); 51])).await.names(&[("", "out_of_range")]);
        merge(&client, json!({"name": "New", "account": "other"})).await.names(&[("/account", "unknown_field")]);
        merge(&client, json!({"smtp": null, "receive": null})).await.names(&[("/smtp", "missing")]);
        merge(&client, json!([rename])).await.names(&[("", "invalid_value")]);
        let _ =
            patch(&client, "application/json-patch+json", &json!({"op": "add"})).await.problem(422, "invalid_request");
        let _ = patch(&client, "application/xml", &json!({})).await.problem(415, "unsupported_media_type");
        assert_eq!(crate::settings_of(&tenant).await, before);
        let _ = client
            .ask(Method::PATCH, "/v1/accounts/nobody")
            .json(&json!({}))
            .send()
            .await
            .problem(404, "account_not_found");
    });
}

/// Reliability, part 3, item 13: the threat that is missed most often.
#[test]
fn a_patched_server_needs_the_password_again_and_the_old_one_never_goes_there() {
    run(async {
        let (_, client) = service().await.tenant();
        let (home, elsewhere) = (Peer::start().await, Peer::with_password("another one").await);
        account(&client, "support", &home.account(Receive::Imap, Way::Tls)).await;
        let port = elsewhere.smtp(Way::Tls)["port"].clone();
        for (field, value) in [
            ("port", port.clone()),
            ("host", json!("127.0.0.1")),
            ("security", json!("none")),
            ("verifyCertificate", json!(false)),
            ("auth", json!({"type": "password", "username": "other"})),
        ] {
            let replaced = json!([{"op": "replace", "path": format!("/smtp/{field}"), "value": value}]);
            operations(&client, replaced).await.names(&[("/smtp/auth/password", "missing")]);
            merge(&client, json!({"smtp": {field: value}})).await.names(&[("/smtp/auth/password", "missing")]);
        }
        let borrowed = json!([
            {"op": "replace", "path": "/smtp/port", "value": port},
            {"op": "copy", "from": "/receive/auth", "path": "/smtp/auth"},
        ]);
        operations(&client, borrowed).await.names(&[("/smtp/auth/password", "missing")]);
        assert_eq!(elsewhere.logins(), 0);
        let _ = merge(&client, json!({"smtp": {"port": port, "auth": {"password": elsewhere.password}}})).await.is(200);
        assert_eq!(client.post_empty(format!("{PATH}/verify")).await.value(200)["success"], true);
        assert!(elsewhere.logins() == 1 && home.logins() == 1, "each its own");
    });
}

#[test]
fn a_patch_can_be_tied_to_a_version_and_to_success() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        let peer = Peer::start().await;
        account(&client, "support", &peer.account(Receive::Imap, Way::Tls)).await;
        let etag = client.get(PATH).await.header("etag").to_owned();
        let tied =
            |etag: String| client.ask(Method::PATCH, PATH).header("if-match", &etag).json(&json!({"name": "New"}));
        let _ = tied("\"1\"".to_owned()).send().await.problem(412, "precondition_failed");
        let changed = tied(etag.clone()).send().await;
        assert_ne!(changed.is(200).header("etag"), etag);
        let _ = tied(etag).send().await.problem(412, "precondition_failed");

        let before = crate::settings_of(&tenant).await;
        let wrong = json!({"smtp": {"auth": {"password": "wrong"}}});
        let problem = client.ask(Method::PATCH, format!("{PATH}?verify=true")).json(&wrong).send().await;
        assert_eq!(problem.problem(422, "verification_failed")["smtp"]["code"], "auth_failed");
        assert_eq!(crate::settings_of(&tenant).await, before);
        let right =
            client.ask(Method::PATCH, format!("{PATH}?verify=true")).json(&json!({"name": "Newer"})).send().await;
        assert_eq!(right.value(200)["status"]["state"], "ok", "{}", right.text());
    });
}

#[test]
fn the_last_twenty_versions_are_there_with_who_and_when() {
    run(async {
        let service = service().await;
        let (_, client) = service.tenant();
        account(&client, "support", &settings()).await;
        let made = client.post("/v1/tokens", &json!({"name": "ops", "scopes": ["read", "admin"]})).await.value(201);
        let other = client.with_token(made["token"].as_str());
        for number in 1..25 {
            let _ = merge(&other, json!({"name": format!("Name {number}")})).await.is(200);
        }
        let etag = client.get(PATH).await.header("etag").trim_matches('"').to_owned();
        let history = client.get(format!("{PATH}/history")).await;
        let items = history.value(200)["items"].as_array().unwrap().clone();
        assert_eq!(items.len(), 20);
        assert_eq!((&items[0]["version"], &items[0]["current"]), (&json!(etag), &json!(true)));
        for (place, item) in items.iter().enumerate() {
            assert_eq!(item["settings"]["name"], format!("Name {}", 24 - place));
            assert_eq!(item["changedBy"], made["id"].as_str().unwrap()[..12], "{item}");
            assert_eq!((&item["current"], &item["changedAt"]), (&json!(place == 0), &item["settings"]["updatedAt"]));
            assert_eq!(item["settings"]["smtp"]["auth"]["hasPassword"], true);
        }
        assert!(!history.text().contains("first secret"));
        let _ = client.get("/v1/accounts/nobody/history").await.problem(404, "account_not_found");
    });
}

#[test]
fn one_call_goes_back_and_asks_for_the_password_of_another_server() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        account(&client, "support", &settings()).await;
        let first = client.get(PATH).await.header("etag").trim_matches('"').to_owned();
        let _ = merge(&client, json!({"name": "Other"})).await.is(200);
        let restore = format!("{PATH}/history/{first}/restore");
        let restored = client.post_empty(restore.clone()).await;
        assert_eq!(restored.value(200)["name"], "Support");
        assert_eq!(restored.json()["smtp"]["auth"]["hasPassword"], true, "the stored one still belongs to it");
        assert_ne!(restored.header("etag").trim_matches('"'), first, "a new version");

        let moved = json!({"smtp": {"host": "new.example.com", "auth": {"password": "second secret"}}});
        let _ = merge(&client, moved).await.is(200);
        client.post_empty(restore.clone()).await.names(&[("/smtp/auth/password", "missing")]);
        let again = json!({"smtp": {"auth": {"password": "first secret"}}});
        let stale = client.ask(Method::POST, restore.clone()).header("if-match", &format!("\"{first}\"")).json(&again);
        let _ = stale.send().await.problem(412, "precondition_failed");
        let restored = client.post(restore.clone(), &again).await.value(200);
        assert_eq!(
            (&restored["smtp"]["host"], &restored["smtp"]["auth"]["hasPassword"]),
            (&json!("smtp.example.com"), &json!(true))
        );

        let _ = client.post_empty(format!("{PATH}/history/0123456789abcdef/restore")).await.problem(404, "not_found");
        let _ = client.delete(PATH).await.is(204);
        assert!(service.aws().await.items_of(&format!("T#{tenant}#")).await.is_empty(), "the history goes with it");
    });
}

#[test]
fn changing_and_restoring_need_the_admin_scope() {
    run(async {
        let (_, client) = service().await.tenant();
        account(&client, "support", &settings()).await;
        let made = client.post("/v1/tokens", &json!({"name": "x", "scopes": ["read", "send"]})).await.value(201);
        let other = client.with_token(made["token"].as_str());
        let _ = merge(&other, json!({"name": "x"})).await.problem(403, "forbidden");
        let _ = other.post("/v1/accounts", &settings()).await.problem(403, "forbidden");
        let _ = other.post_empty(format!("{PATH}/history/x/restore")).await.problem(403, "forbidden");
        let _ = other.get(format!("{PATH}/history")).await.is(200);
    });
}
