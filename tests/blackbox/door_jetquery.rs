//! jetQuery's door to accounts: A1.5, A1.6 and A1.7.

use http::Method;
use sandbox::Service as Port;
use serde_json::{Value, json};
use tests::peer::Peer;

use crate::{run, service};

const PATH: &str = "/api/core/mail/account/e-invoice";

/// A team's account at the sandbox.
fn team(peer: &Peer) -> Value {
    json!({"account": "e-invoice", "mail_pop3_server": "localhost", "mail_pop3_port": peer.sandbox.port(Port::Pop3s),
           "mail_smtp_server": "localhost", "mail_smtp_port": peer.sandbox.port(Port::Smtps), "mail_usessl": true,
           "mail_starttls": false, "mail_username": peer.user, "mail_password": peer.password,
           "mail_from": "invoices@example.test", "mail_from_name": "Invoices"})
}

/// A1.5/33 to A1.5/46.
#[test]
fn a_1_5_a_teams_account_is_written_read_and_removed() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let made = client.put(PATH, &team(&peer)).await;
        let mut wanted = team(&peer);
        wanted.as_object_mut().unwrap().remove("mail_password");
        wanted["mail_smtp_valid_cert"] = json!(true);
        assert_eq!(made.value(201), wanted, "A1.5/42: the password is never read");
        assert_eq!(made.header("location"), PATH);
        assert_eq!(client.get(PATH).await.value(200), wanted);

        // The password stays where nothing that it belongs to changes.
        let mut named = wanted.clone();
        named["mail_from_name"] = json!("Billing");
        named["mail_password"] = json!("");
        assert_eq!(client.put(PATH, &named).await.value(200)["mail_from_name"], "Billing");
        let probe = client.post_empty("/v1/accounts/e-invoice/verify").await.value(200);
        assert_eq!(probe["success"], true, "A1.5/46: it is an account like any other: {probe}");

        assert_eq!(client.delete(PATH).await.is(204).text(), "");
        let gone = client.get(PATH).await.value(404);
        assert_eq!(gone["code"], "account_not_found", "decision 26: {gone}");
        assert!(gone["message"].is_string() && gone.as_object().unwrap().len() == 2, "{gone}");
    });
}

/// A1.6/48: From differs from the login. A1.2/9: the scheme is `Token`.
#[test]
fn a_1_6_48_a_shared_mailbox_sends_and_token_is_a_scheme() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let peer = Peer::start().await;
        let token = format!("Token {}", tests::service::TOKEN);
        let anybody = client.with_token(None);
        let ask = anybody.ask(Method::PUT, PATH).header("authorization", &token).header("tenant", &tenant);
        let _ = ask.json(&team(&peer)).send().await.is(201);
        let message = json!({"to": "ada@example.test", "subject": "Invoice", "text": "x\n"});
        let _ = client.post("/v1/accounts/e-invoice/messages", &message).await.is(200);
        let received = peer.sandbox.received();
        let text = String::from_utf8_lossy(&received[0].bytes).into_owned();
        assert!(text.contains("<invoices@example.test>"), "{text}");
    });
}

/// A1.6/52, A1.6/53: the server of each protocol sees the login that it knows.
#[test]
fn a_1_6_53_recent_is_said_to_pop3_only() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let recent = format!("recent:{}", peer.user);
        peer.sandbox.add_user(&recent, &peer.password).unwrap();
        let mut body = team(&peer);
        body["mail_username"] = json!(recent);
        body.as_object_mut().unwrap().remove("mail_from");
        assert_eq!(client.put(PATH, &body).await.value(201)["mail_username"], json!(recent));
        let native = client.get("/v1/accounts/e-invoice").await.value(200);
        assert_eq!(native["smtp"]["auth"]["username"], json!(peer.user));
        assert_eq!(native["receive"]["auth"]["username"], json!(recent));
        assert_eq!(native["from"]["address"], json!(peer.user), "From defaulting");
        let probe = client.post_empty("/v1/accounts/e-invoice/verify").await.value(200);
        assert_eq!(probe["success"], true, "{probe}");
    });
}

/// A1.6/49, A1.6/51, A1.5/45; decision 21.
#[test]
fn a_1_6_49_and_51_the_flags_and_the_port_decide_about_tls() {
    run(async {
        let (_, client) = service().await.tenant();
        let cases = [
            (json!({"mail_smtp_port": 587, "mail_usessl": false}), "starttls", "tls"),
            (json!({"mail_smtp_port": 587, "mail_starttls": true}), "starttls", "tls"),
            (json!({"mail_smtp_port": 465, "mail_usessl": true}), "tls", "tls"),
            (
                json!({"mail_smtp_port": 25, "mail_pop3_port": 110, "mail_usessl": false, "mail_starttls": false}),
                "none",
                "none",
            ),
        ];
        for (flags, smtp, pop3) in cases {
            let mut body = json!({"mail_smtp_server": "mail.example.com", "mail_pop3_server": "mail.example.com",
                "mail_pop3_port": 995, "mail_username": "ada@example.com", "mail_password": "p"});
            body.as_object_mut().unwrap().extend(flags.as_object().unwrap().clone());
            let shown = client.put(PATH, &body).await;
            assert!([200, 201].contains(&shown.status), "{}", shown.text());
            let native = client.get("/v1/accounts/e-invoice").await.value(200);
            assert_eq!(
                (&native["smtp"]["security"], &native["receive"]["security"]),
                (&json!(smtp), &json!(pop3)),
                "{flags}"
            );
            assert_eq!(native.get("warnings").is_some(), smtp == "none", "what is plain is flagged: {native}");
        }
    });
}

/// A1.7/56 to A1.7/58: app.settings.json as it is written, comments and trailing comma and all.
#[test]
fn a_1_7_the_system_account() {
    run(async {
        let (_, client) = service().await.tenant();
        let path = "/api/core/mail/account/system";
        let file = r#"{
            "system": {
                "mail_from": "system@example.com",     // or shared mailbox email
                "mail_username": "system@example.com", /* your account name */
                "mail_smtp_server": "mail.example.com",
                "mail_smtp_port": 465,
                "mail_password": "it's // no comment",
                "mail_usessl": true,
                "mail_smtp_valid_cert": false,   //IF invalid cert
            },
        }"#;
        let put = |body: &str| client.ask(Method::PUT, path).body("application/json", body.to_owned()).send();
        let shown = put(file).await.value(201);
        assert_eq!((&shown["account"], &shown["mail_smtp_valid_cert"]), (&json!("system"), &json!(false)));
        let native = client.get("/v1/accounts/system").await.value(200);
        assert_eq!((&native["smtp"]["security"], native["receive"].is_null()), (&json!("tls"), true), "{native}");
        assert_eq!(native["smtp"]["verifyCertificate"], false);
        assert_eq!(native["smtp"]["auth"]["hasPassword"], true);
        let receiving = put(r#"{"mail_from": "a@example.com", "mail_pop3_server": "p", "mail_pop3_port": 995}"#).await;
        assert_eq!(receiving.value(422)["code"], "invalid_request");
        let malformed = put("{ // nothing").await.value(400);
        assert_eq!(malformed["code"], "malformed_json");
    });
}

/// A1.7/57: a change takes effect with the next message; nothing is restarted, and no process goes on with what it
/// remembers. A1.1/2: the service's own messages go through it.
#[test]
fn a_1_7_57_a_changed_system_account_takes_effect_at_once() {
    run(async {
        let (_, client) = service().await.tenant();
        let (before, after) = (Peer::start().await, Peer::with_password("another one").await);
        let path = "/api/core/mail/account/system";
        let system = |peer: &Peer| {
            json!({"system": {"mail_from": "noreply@example.test", "mail_username": peer.user, "mail_password": peer.password,
                "mail_smtp_server": "localhost", "mail_smtp_port": peer.sandbox.port(Port::Smtps), "mail_usessl": true}})
        };
        let message = json!({"to": "bob@example.org", "subject": "Password recovery", "text": "x"});
        let send = async || client.post("/v1/accounts/system/messages", &message).await.value(200);
        let _ = client.put(path, &system(&before)).await.is(201);
        assert_eq!(send().await["state"], "sent");
        // Another password at the same server, and then another server.
        before.sandbox.add_user(&before.user, "changed").unwrap();
        let mut changed = system(&before);
        changed["system"]["mail_password"] = json!("changed");
        let _ = client.put(path, &changed).await.is(200);
        assert_eq!(send().await["state"], "sent");
        assert_eq!((before.sandbox.received().len(), before.logins()), (2, 2), "no login with the old password");
        let _ = client.put(path, &system(&after)).await.is(200);
        assert_eq!(send().await["state"], "sent");
        assert_eq!((before.sandbox.received().len(), after.sandbox.received().len()), (2, 1));
    });
}

#[test]
fn what_is_wrong_is_named_in_their_words() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let put = |changes: Value| {
            let mut body = team(&peer);
            body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            let client = client.clone();
            async move { client.put(PATH, &body).await }
        };
        for (changes, status, word) in [
            (json!({"account": "another"}), 400, "account"),
            (json!({"mail_from": "nobody"}), 422, "mail_from"),
            (json!({"mail_smtp_port": 70_000}), 422, "mail_smtp_port"),
            (json!({"mail_smtp_port": "x"}), 422, "mail_smtp_port"),
            (json!({"mail_pop3_port": null}), 422, "mail_pop3_port"),
            (json!({"mail_smtp_server": "http://x"}), 422, "mail_smtp_server"),
            (json!({"mail_password": ""}), 422, "mail_password: "),
            (json!({"mail_username": "a\r\nb"}), 422, "mail_username"),
        ] {
            let body = put(changes.clone()).await.value(status);
            assert!(body["message"].as_str().unwrap().contains(word), "{changes}: {body}");
        }
        let lost = client.get("/api/core/mail/account").await.value(404);
        assert_eq!(lost["code"], "not_found", "also where there is no route: {lost}");
        let _ = put(json!({})).await.is(201);
        let evil = Peer::start().await;
        let moved =
            put(json!({"mail_password": "", "mail_smtp_port": evil.sandbox.port(Port::Smtps)})).await.value(422);
        assert!(moved["message"].as_str().unwrap().contains("mail_password"), "{moved}");
        assert!(evil.sandbox.transcript().is_empty(), "a stored password goes to its own server only");
    });
}
