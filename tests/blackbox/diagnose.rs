//! Diagnose, autoconfig, risks, and the limit on guessing: through the front door. Every cause has its own test in
//! shared/tests/diagnose.rs.

use serde_json::{Value, json};
use tests::peer::{Peer, Receive, Way};

use crate::{account, run, service};

/// A given password, tried: by route.
fn tries(peer: &Peer, password: &str) -> [(&'static str, Value); 2] {
    let mut smtp = peer.smtp(Way::Tls);
    smtp["auth"]["password"] = json!(password);
    let body = json!({ "smtp": smtp });
    [("/v1/validate-credentials", body.clone()), ("/v1/diagnose", body)]
}

#[test]
fn a_stored_account_that_works_passes_every_stage() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let path = account(&client, "mail", &peer.account(Receive::Imap, Way::Starttls)).await;
        let found = client.post_empty(format!("{path}/diagnose")).await.value(200);
        assert_eq!((&found["success"], &found["cause"], &found["fix"]), (&json!(true), &Value::Null, &Value::Null));
        let stages: Vec<_> =
            found["stages"].as_array().unwrap().iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
        let wanted = ["dns", "connect", "greeting", "tls", "capabilities", "mechanisms", "auth"];
        assert_eq!(stages, [&wanted[..], &["mail", "rcpt"], &wanted, &["select"]].concat());
        assert!(
            found["stages"]
                .as_array()
                .unwrap()
                .iter()
                .all(|stage| stage["success"] == true && stage["durationMs"].is_u64())
        );
        assert!(found["transcript"].as_array().unwrap().len() > 10);
        assert!(!found.to_string().contains(&peer.password), "{found}");
        assert!(peer.sandbox.received().is_empty(), "no message is begun");
        let status = client.get(path).await.value(200)["status"].clone();
        assert_eq!(status["state"], "ok", "{status}");
    });
}

/// A1.8/59 and A1.8/60: the two self-tests of the seed's FAQ. What they do beyond signing in, ours leaves to others:
/// `pull` reads messages, `test-email` sends one with a subject.
#[test]
fn a_1_8_both_self_tests() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        for subject in ["older", "newer"] {
            peer.sandbox.deliver(&peer.user, format!("Subject: {subject}\r\n\r\nx\r\n")).unwrap();
        }
        let path = account(&client, "mail", &peer.account(Receive::Pop3, Way::Tls)).await;
        let found = client.post_empty(format!("{path}/diagnose")).await.value(200);
        let text = found.to_string();
        assert_eq!(found["success"], true, "{found}");
        assert!(text.contains("signed in; 2 messages"), "{found}");
        for command in ["EHLO", "AUTH", "STAT", "QUIT"] {
            assert!(found["transcript"].to_string().contains(command), "{command}: {found}");
        }
        assert!(!text.contains(&peer.password) && !text.contains("newer"), "{found}");

        let to = json!({"to": peer.user, "subject": "Test", "text": "hello"});
        assert_eq!(client.post(format!("{path}/test-email"), &to).await.value(200)["success"], true);
        let sent = String::from_utf8_lossy(&peer.sandbox.received()[0].bytes).into_owned();
        assert!(sent.contains("Subject: Test\r\n") && sent.contains("text/plain"), "{sent}");
        let pulled = client.post_empty(format!("{path}/pull")).await.value(200);
        assert!(pulled["new"].as_u64() >= Some(2), "{pulled}");
        let items = client.get(format!("{path}/messages")).await.value(200)["items"].clone();
        assert!(
            items.as_array().unwrap().iter().all(|item| item["size"].is_u64() && item.get("date").is_some()),
            "{items}"
        );
    });
}

#[test]
fn a_stored_account_is_mended_by_the_patch_and_its_password_goes_nowhere_else() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let mut settings = json!({"from": peer.user, "smtp": peer.smtp(Way::Tls)});
        settings["smtp"]["security"] = json!("starttls");
        let path = account(&client, "mail", &settings).await;
        let found = client.post_empty(format!("{path}/diagnose")).await.value(200);
        assert_eq!((&found["success"], &found["cause"]), (&json!(false), &json!("tls_expected")), "{found}");
        let fix = &found["fix"];
        assert_eq!((&fix["patch"], &fix["verified"]), (&json!({"smtp": {"security": "tls"}}), &json!(true)), "{found}");
        assert_eq!(found["smtp"]["fix"]["tried"]["phase"], "capabilities", "{found}");
        assert_eq!(peer.logins(), 0, "a stored password is for the stored settings");
        settings["smtp"]["security"] = json!("tls");
        let _ = client.put(path.clone(), &settings).await.is(200);
        assert_eq!(client.post_empty(format!("{path}/diagnose")).await.value(200)["success"], true);
    });
}

#[test]
fn given_settings_are_tried_corrected_and_nothing_is_stored() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let peer = Peer::start().await;
        let mut receive = peer.receive(Receive::Pop3, Way::Starttls);
        receive["security"] = json!("tls");
        let found = client.post("/v1/diagnose", &json!({"receive": receive})).await.value(200);
        assert_eq!((&found["cause"], &found["receive"]["cause"]), (&json!("tls_not_spoken"), &json!("tls_not_spoken")));
        assert_eq!(found["fix"]["patch"], json!({"receive": {"security": "starttls"}}), "{found}");
        assert_eq!((&found["fix"]["verified"], peer.logins()), (&json!(true), 1), "{found}");
        assert!(service().await.aws().await.items_of(&format!("T#{tenant}#")).await.is_empty());
        for (body, status) in [(json!({}), 422), (json!({"smpt": {}}), 422)] {
            let _ = client.post("/v1/diagnose", &body).await.problem(status, "invalid_request");
        }
    });
}

#[test]
fn nobody_guesses_a_password_through_us() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let works = account(&client, "works", &peer.account(Receive::Imap, Way::Tls)).await;
        assert_eq!(client.post_empty(format!("{works}/verify")).await.value(200)["success"], true);
        for [validate, diagnose] in (0..5).map(|number| tries(&peer, &format!("guess {number}"))) {
            for (path, body) in [validate, diagnose] {
                let answer = client.post(path, &body).await.value(200);
                assert_eq!(answer["smtp"]["code"], "auth_failed", "{answer}");
            }
        }
        let logins = peer.logins();
        let mailbox = account(&client, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        let test_email = json!({"to": peer.user, "smtp": tries(&peer, "guess 6")[0].1["smtp"]});
        let calls = tries(&peer, &peer.password).into_iter().map(|(path, body)| (path.to_owned(), body));
        for (path, body) in calls.chain([(format!("{mailbox}/test-email"), test_email)]) {
            let answer = client.post(path, &body).await;
            let _ = answer.problem(429, "rate_limited");
            let wait: u64 = answer.header("retry-after").parse().unwrap();
            assert!((1..=3_601).contains(&wait), "{wait}");
        }
        assert_eq!(peer.logins(), logins, "no further try, be it the right one");
        let other = service().await.tenant().1;
        for (path, body) in tries(&peer, &peer.password) {
            assert_eq!(other.post(path, &body).await.value(200)["success"], true, "another tenant has its own count");
        }
        let _ = client.post_empty(format!("{mailbox}/verify")).await.problem(429, "rate_limited");
        let again = client.post_empty(format!("{works}/verify")).await.value(200);
        assert_eq!(again["success"], true, "what worked is no guess");
    });
}

#[test]
fn risks_follow_the_settings_and_what_was_found() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let peer = Peer::start().await;
        assert_eq!(client.get("/v1/risks").await.value(200), json!({"items": [], "nextCursor": null}));
        let mut careless = json!({"from": peer.user, "smtp": peer.smtp(Way::Tls)});
        careless["smtp"]["verifyCertificate"] = json!(false);
        let _ = account(&client, "careless", &careless).await;
        let mut refused = json!({"from": peer.user, "receive": peer.receive(Receive::Imap, Way::Tls)});
        refused["receive"]["auth"]["password"] = json!("not hers");
        let path = account(&client, "refused", &refused).await;
        let _ = client.post_empty(format!("{path}/verify")).await.is(200);
        let risks = client.get("/v1/risks").await.value(200);
        let shown: Vec<_> = risks["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|risk| (risk["account"].as_str().unwrap(), risk["code"].as_str().unwrap()))
            .collect();
        assert_eq!(shown, [("careless", "certificate_unchecked"), ("refused", "sign_in_failing")], "{risks}");
        assert_eq!((&risks["items"][0]["severity"], &risks["items"][0]["side"]), (&json!("high"), &json!("smtp")));
        // How the server is secured is known from using it too, not from probes alone.
        let sent = json!({"to": peer.user, "text": "hello"});
        let _ = client.post("/v1/accounts/careless/messages", &sent).await.is(200);
        let version = |item: &Value| item["smtpTls"]["version"].clone();
        let items = service().await.aws().await.items_of(&format!("T#{tenant}#")).await;
        assert!(items.values().map(version).any(|version| version == "TLSv1.3"), "{items:?}");
        let _ = client.get("/v1/risks?limit=0").await.problem(422, "invalid_request");
    });
}

/// A1.6/54: what signs in by a password there needs an app password.
#[test]
fn an_address_of_a_known_provider_has_its_settings() {
    run(async {
        let (_, client) = service().await.tenant();
        let found = client.get("/v1/autoconfig?email=ada%40gmail.com").await.value(200);
        assert_eq!((&found["source"], &found["smtp"]["host"]), (&json!("provider"), &json!("smtp.gmail.com")));
        // With a password, what is suggested is an account.
        let mut settings = json!({"from": "ada@gmail.com", "smtp": found["smtp"], "receive": found["receive"]});
        for side in ["smtp", "receive"] {
            settings[side]["auth"]["password"] = json!("app password");
        }
        let path = account(&client, "gmail", &settings).await;
        let risks = client.get("/v1/risks").await.value(200);
        assert_eq!(risks["items"][0]["code"], "app_password", "{risks}");
        let _ = client.delete(path).await.is(204);
        for query in ["", "?email=", "?email=nobody", "?email=a%40b&other=1"] {
            let _ = client.get(format!("/v1/autoconfig{query}")).await.problem(422, "invalid_request");
        }
    });
}
