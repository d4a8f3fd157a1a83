//! Configuration: what is accepted, what is shown, and what is refused by name.

use http::Method;
use serde_json::{Value, json};
use tests::peer::{Peer, Receive, Way};

use crate::{account, masked, run, service};

/// An account that names servers nobody asks.
fn settings() -> Value {
    json!({
        "name": "Support",
        "from": {"name": "Example Support", "address": "support@example.com"},
        "identities": ["sales@example.com"],
        "smtp": {"host": "smtp.example.com", "port": 587, "security": "starttls",
                 "auth": {"type": "password", "username": "support@example.com", "password": "first secret"}},
        "receive": {"protocol": "imap", "host": "imap.example.com", "port": 993, "security": "tls"},
    })
}

/// The same as it is shown.
fn shown() -> Value {
    json!({
        "account": "support",
        "name": "Support",
        "from": {"name": "Example Support", "address": "support@example.com"},
        "identities": [{"address": "sales@example.com"}],
        "smtp": {"host": "smtp.example.com", "port": 587, "security": "starttls", "verifyCertificate": true,
                 "auth": {"type": "password", "username": "support@example.com", "hasPassword": true}},
        "receive": {"protocol": "imap", "host": "imap.example.com", "port": 993, "security": "tls", "verifyCertificate": true,
                    "auth": {"type": "password", "username": "support@example.com", "hasPassword": true},
                    "folders": ["INBOX"], "keepOnServer": true, "deleteAfterDays": null, "deleteWhenAcknowledged": false,
                    "maxMessageBytes": 67_108_864},
        "poll": {"enabled": false, "minSeconds": 60, "maxSeconds": 900},
        "sentCopy": "auto",
        "createdAt": "*",
        "updatedAt": "*",
        "status": {"state": "unverified", "errorCode": "OK", "authFailures": 0, "lastPullAt": null, "lastSendAt": null, "lastError": null, "nextPollAt": null},
    })
}

const TIMES: [&str; 2] = ["/createdAt", "/updatedAt"];

#[test]
fn an_account_is_created_read_replaced_and_deleted() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        let created = client.put("/v1/accounts/support", &settings()).await;
        assert_eq!(masked(created.value(201), &TIMES), shown());
        assert_eq!(created.header("location"), "/v1/accounts/support");
        assert!(created.header("etag").starts_with('"'), "{}", created.header("etag"));

        let read = client.get("/v1/accounts/support").await;
        assert_eq!((read.value(200), read.header("etag")), (created.json(), created.header("etag")));

        let mut changed = settings();
        changed["name"] = json!("Renamed");
        let replaced = client.put("/v1/accounts/support", &changed).await;
        let mut wanted = shown();
        wanted["name"] = json!("Renamed");
        assert_eq!(masked(replaced.value(200), &TIMES), wanted);
        assert_eq!(replaced.json()["createdAt"], created.json()["createdAt"]);
        assert_ne!(replaced.header("etag"), created.header("etag"));

        let deleted = client.delete("/v1/accounts/support").await;
        assert_eq!((deleted.is(204).body.len(), deleted.header("etag")), (0, ""));
        let _ = client.get("/v1/accounts/support").await.problem(404, "account_not_found");
        let _ = client.delete("/v1/accounts/support").await.problem(404, "account_not_found");
        let aws = service.aws().await;
        assert!(aws.items_of(&format!("T#{tenant}#")).await.is_empty());
        let secrets = aws.secrets().await;
        assert!(
            !secrets.iter().any(
                |(name, value)| name.starts_with(&format!("halfpenny/{tenant}/")) && value.contains("first secret")
            )
        );
    });
}

#[test]
fn a_change_can_be_tied_to_a_version() {
    run(async {
        let (_, client) = service().await.tenant();
        let path = "/v1/accounts/support";
        let put = |version: String| {
            let client = client.clone();
            async move { client.ask(Method::PUT, path).header("if-match", &version).json(&settings()).send().await }
        };
        let _ = put("\"1\"".to_owned()).await.problem(412, "precondition_failed");
        let first = client.put(path, &settings()).await.is(201).header("etag").to_owned();
        let second = put(first.clone()).await.is(200).header("etag").to_owned();
        let _ = put(first.clone()).await.problem(412, "precondition_failed");
        let stale = client.ask(Method::DELETE, path).header("if-match", &first).send().await;
        let _ = stale.problem(412, "precondition_failed");
        let read = client.get(path).await;
        assert_eq!(read.is(200).header("etag"), second, "refused changes leave no trace");
        let _ = put("*".to_owned()).await.is(200);
    });
}

#[test]
fn lists_are_paged_and_complete() {
    run(async {
        let (_, client) = service().await.tenant();
        let names = ["a", "b@example.com", "c-1", "d.e", "f_g", "h+i", "Z"];
        for name in names {
            let _ = client.put(format!("/v1/accounts/{}", name.replace('+', "%2B")), &settings()).await.is(201);
        }
        let (mut found, mut path, mut pages) = (Vec::new(), "/v1/accounts?limit=3".to_owned(), 0);
        loop {
            let page = client.get(path).await.value(200);
            pages += 1;
            found.extend(
                page["items"].as_array().unwrap().iter().map(|item| item["account"].as_str().unwrap().to_owned()),
            );
            let Some(cursor) = page["nextCursor"].as_str() else { break };
            path = format!(
                "/v1/accounts?limit=3&cursor={}",
                percent_encoding::utf8_percent_encode(cursor, percent_encoding::NON_ALPHANUMERIC)
            );
        }
        found.sort();
        let mut wanted = names.map(str::to_owned);
        wanted.sort();
        assert_eq!(found, wanted);
        assert!(pages >= 3);
        client.get("/v1/accounts?limit=0").await.names(&[("?limit", "invalid_value")]);
        client.get("/v1/accounts?limit=101").await.names(&[("?limit", "invalid_value")]);
        client.get("/v1/accounts?page=2").await.names(&[("?page", "unknown_parameter")]);
        let forged = client.get("/v1/accounts?cursor=AAAA").await;
        assert_eq!(forged.status, 422, "{}", forged.text());
    });
}

/// Where in [`settings`], what stands there instead (absent: removed), and the field that has to be named.
fn bad_fields() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let absent = json!("absent");
    vec![
        ("/colour", json!("red"), "/colour", "unknown_field"),
        ("/smtp/tls", json!(true), "/smtp/tls", "unknown_field"),
        ("/receive/folder", json!("INBOX"), "/receive/folder", "unknown_field"),
        ("/smtp/auth/passwort", json!("x"), "/smtp/auth/passwort", "unknown_field"),
        ("/from", absent.clone(), "/from", "missing"),
        ("/from", json!("not an address"), "/from", "invalid_value"),
        ("/from", json!("a@example.com\r\nBcc: b@example.com"), "/from", "invalid_value"),
        ("/smtp/host", absent.clone(), "/smtp/host", "missing"),
        ("/smtp/host", json!(""), "/smtp/host", "invalid_value"),
        ("/smtp/host", json!("smtp://example.com"), "/smtp/host", "invalid_value"),
        ("/smtp/host", json!("a b"), "/smtp/host", "invalid_value"),
        ("/smtp/port", json!(0), "/smtp/port", "out_of_range"),
        ("/smtp/port", json!(65_536), "/smtp/port", "invalid_value"),
        ("/smtp/port", json!("587"), "/smtp/port", "invalid_value"),
        ("/smtp/security", json!("ssl"), "/smtp/security", "invalid_value"),
        ("/smtp/security", absent.clone(), "/smtp/security", "missing"),
        ("/smtp/auth", absent.clone(), "/smtp/auth", "missing"),
        ("/smtp/auth/username", json!(""), "/smtp/auth/username", "invalid_value"),
        ("/smtp/auth/username", json!("a\r\nb"), "/smtp/auth/username", "invalid_value"),
        ("/smtp/auth/password", json!("a\nb"), "/smtp/auth/password", "invalid_value"),
        ("/smtp/auth/password", absent, "/smtp/auth/password", "missing"),
        ("/receive/protocol", json!("smtp"), "/receive/protocol", "invalid_value"),
        ("/receive/protocol", json!("exchange"), "/receive/protocol", "invalid_value"),
        ("/receive/folders", json!([]), "/receive/folders", "invalid_value"),
        ("/receive/folders", json!(["IN\r\nBOX"]), "/receive/folders", "invalid_value"),
        ("/receive/maxMessageBytes", json!(0), "/receive/maxMessageBytes", "out_of_range"),
        ("/receive/maxMessageBytes", json!(157_286_401), "/receive/maxMessageBytes", "out_of_range"),
        ("/poll", json!({"enabled": true, "minSeconds": 0}), "/poll/minSeconds", "out_of_range"),
        ("/poll", json!({"enabled": true, "minSeconds": 60, "maxSeconds": 30}), "/poll/maxSeconds", "out_of_range"),
        ("/poll", json!({"enabled": true, "maxSeconds": 86_401}), "/poll/maxSeconds", "out_of_range"),
        ("/sentCopy", json!("sometimes"), "/sentCopy", "invalid_value"),
    ]
}

#[test]
fn a_wrong_field_is_named_and_nothing_is_stored() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        for (place, value, pointer, code) in bad_fields() {
            let mut body = settings();
            let (parent, name) = place.rsplit_once('/').unwrap();
            let object = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            if value == "absent" {
                object.remove(name);
            } else {
                object.insert(name.to_owned(), value.clone());
            }
            let answer = client.put("/v1/accounts/support", &body).await;
            let problem = answer.problem(422, "invalid_request");
            let named = problem["errors"]
                .as_array()
                .unwrap()
                .iter()
                .any(|error| error["pointer"] == pointer && error["code"] == code);
            assert!(named, "{place} = {value}: {problem}");
            assert!(problem["detail"].as_str().unwrap().len() > pointer.len(), "{problem}");
        }
        let aws = service.aws().await;
        assert!(aws.items_of(&format!("T#{tenant}#")).await.is_empty());
        assert!(!aws.secrets().await.keys().any(|name| name.starts_with(&format!("halfpenny/{tenant}/"))));
    });
}

#[test]
fn all_wrong_fields_are_named_at_once() {
    run(async {
        let (_, client) = service().await.tenant();
        let mut body = settings();
        body["smtp"]["port"] = json!(0);
        body["receive"]["port"] = json!(0);
        body["receive"]["folders"] = json!([]);
        client.put("/v1/accounts/support", &body).await.names(&[
            ("/smtp/port", "out_of_range"),
            ("/receive/port", "out_of_range"),
            ("/receive/folders", "invalid_value"),
        ]);
    });
}

#[test]
fn a_body_that_is_no_json_and_a_name_that_is_none_are_told_apart() {
    run(async {
        let (_, client) = service().await.tenant();
        let put = |path: &str, kind: &str, body: &str| {
            let ask = client.ask(Method::PUT, path.to_owned()).body(kind, body.to_owned());
            async move { ask.send().await }
        };
        for body in ["", "{", "{\"from\": }", "no"] {
            let _ = put("/v1/accounts/support", "application/json", body).await.problem(400, "malformed_json");
        }
        for body in ["[]", "\"x\"", "7", "null"] {
            let _ = put("/v1/accounts/support", "application/json", body).await.problem(422, "invalid_request");
        }
        let _ = put("/v1/accounts/support", "application/xml", "<a/>").await.problem(415, "unsupported_media_type");
        let long = format!("/v1/accounts/{}", "x".repeat(101));
        for path in ["/v1/accounts/a%20b", "/v1/accounts/a%23b", "/v1/accounts/%C3%A4", long.as_str()] {
            put(path, "application/json", &settings().to_string()).await.names(&[("{account}", "invalid_name")]);
        }
        let _ = client.put(format!("/v1/accounts/{}", "x".repeat(100)), &settings()).await.is(201);
    });
}

#[test]
fn a_changed_server_needs_the_password_again() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        account(&client, "support", &settings()).await;
        let without = |place: &str, value: Value| {
            let mut body = settings();
            body["smtp"]["auth"].as_object_mut().unwrap().remove("password");
            body["receive"]["auth"] = json!({"type": "password", "username": "support@example.com"});
            if let Some(target) = body.pointer_mut(place) {
                *target = value;
            } else {
                let (parent, name) = place.rsplit_once('/').unwrap();
                body.pointer_mut(parent).unwrap()[name] = value;
            }
            body
        };
        let before = service.aws().await.items_of(&format!("T#{tenant}#")).await;
        for (place, value) in [
            ("/smtp/host", json!("evil.example.com")),
            ("/smtp/port", json!(465)),
            ("/smtp/security", json!("none")),
            ("/smtp/verifyCertificate", json!(false)),
            ("/smtp/auth/username", json!("other@example.com")),
        ] {
            client
                .put("/v1/accounts/support", &without(place, value))
                .await
                .names(&[("/smtp/auth/password", "missing")]);
        }
        client
            .put("/v1/accounts/support", &without("/receive/host", json!("evil.example.com")))
            .await
            .names(&[("/receive/auth/password", "missing")]);
        assert_eq!(service.aws().await.items_of(&format!("T#{tenant}#")).await, before);
        // A change elsewhere keeps it, and letter case of a host is no change.
        let _ = client.put("/v1/accounts/support", &without("/name", json!("New"))).await.is(200);
        let kept =
            client.put("/v1/accounts/support", &without("/smtp/host", json!("SMTP.example.com"))).await.value(200);
        assert_eq!(
            kept["smtp"]["auth"],
            json!({"type": "password", "username": "support@example.com", "hasPassword": true})
        );
    });
}

#[test]
fn danger_is_flagged_wherever_the_account_is_shown() {
    run(async {
        let (_, client) = service().await.tenant();
        let mut body = settings();
        body["smtp"]["security"] = json!("none");
        body["receive"]["verifyCertificate"] = json!(false);
        let warnings = json!([
            "smtp.security is none: password and mail travel in clear",
            "receive.verifyCertificate is false: anybody on the way can pose as the server",
        ]);
        // Sharing the password of a side with another fingerprint is a login of its own.
        body["receive"]["auth"] = body["smtp"]["auth"].clone();
        let created = client.put("/v1/accounts/support", &body).await.value(201);
        assert_eq!(created["warnings"], warnings);
        assert_eq!(client.get("/v1/accounts/support").await.value(200)["warnings"], warnings);
        assert_eq!(client.get("/v1/accounts").await.value(200)["items"][0]["warnings"], warnings);
    });
}

#[test]
fn verify_true_probes_first_and_changes_nothing_if_that_fails() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let peer = Peer::start().await;
        let good = peer.account(Receive::Imap, Way::Tls);
        let mut bad = good.clone();
        bad["smtp"]["auth"]["password"] = json!("wrong");
        for path in ["/v1/accounts/support?verify=true", "/v1/accounts/default"] {
            let problem = client.put(path, &bad).await.problem(422, "verification_failed");
            assert_eq!((&problem["smtp"]["code"], &problem["smtp"]["success"]), (&json!("auth_failed"), &json!(false)));
            assert_eq!((&problem["receive"]["code"], &problem["receive"]["success"]), (&json!("ok"), &json!(true)));
            assert_eq!(problem["success"], false);
        }
        assert!(crate::settings_of(&tenant).await.is_empty());
        for path in ["/v1/accounts/support?verify=true", "/v1/accounts/default"] {
            assert_eq!(client.put(path, &good).await.value(201)["status"]["state"], "ok");
        }
        // Unless told otherwise: then it is stored as it is.
        assert_eq!(
            client.put("/v1/accounts/default?verify=false", &bad).await.value(200)["status"]["state"],
            "unverified"
        );
    });
}

/// Who loses against another writer has put a password into the tenant's secret before: the winner's stays beside it.
#[test]
fn of_writers_at_the_same_time_one_wins_and_its_password_is_there() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let settings = |way| json!({"from": peer.user, "smtp": peer.smtp(way)});
        let path = account(&client, "contested", &settings(Way::Tls)).await;
        for round in 0..5 {
            let (tls, starttls) = (settings(Way::Tls), settings(Way::Starttls));
            let puts = [&tls, &starttls, &tls, &starttls].map(|settings| client.put(path.clone(), settings));
            let answers = futures_util::future::join_all(puts).await;
            let won = answers.iter().filter(|answer| answer.status == 200).count();
            assert!(won >= 1, "round {round}");
            assert!(answers.iter().all(|answer| [200, 409].contains(&answer.status)), "round {round}");
            let verified = client.post_empty(format!("{path}/verify")).await.value(200);
            assert_eq!(verified["smtp"]["code"], "ok", "round {round}: {verified}");
        }
    });
}
