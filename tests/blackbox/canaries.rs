//! Passwords and bodies stay where they belong: in Secrets Manager, and in message objects. Everything else is
//! searched, at TRACE, in every form in which they could be written.

use http::Method;
use serde_json::{Value, json};
use tests::canary::leaks;
use tests::client::{Answer, Client};
use tests::oauth::{CLIENT_SECRET, Issuer};
use tests::peer::{Peer, Receive, Way};
use tests::service::{Options, Service};
use tests::until;

use crate::account;
use crate::routes::{DOORS, ROUTES};
use crate::run;

const QLIK: &str = "/api/v1/transports/email-config";

const PASSWORD: &str = "CANARY-pw-9f%3Kx\"q";
const WRONG: &str = "CANARY-wrong-4t+Zz";
const BODY: &str = "CANARY-body-text-77Qw";
const SUBJECT: &str = "CANARY-subject-5v2P";
const QUERY: &str = "CANARY-query-8wR7";
const HANDED: &str = "CANARY-handed-3kd9";

/// The answers of every route that changes an account, by us and by Qlik.
async fn changed(client: &Client, path: &str, peer: &Peer, wrong: &Value) -> Vec<Answer> {
    let tested = json!([{"op": "test", "path": "/smtp/auth/password", "value": PASSWORD}]);
    let imported = json!({"account": "imported", "mail_smtp_server": "localhost", "mail_smtp_port": 25, "mail_from": "a@example.com", "mail_username": "ada@example.test", "mail_password": PASSWORD});
    let qlik = json!({"serviceProvider": "BasicAuth", "providerConfig": {"serverAddress": "localhost", "serverPort": peer.smtp(Way::Tls)["port"], "securityType": "SSL/TLS", "username": peer.user, "emailAddress": peer.user, "emailPassword": PASSWORD}});
    vec![
        client.ask(Method::PATCH, path).json(&json!({"smtp": {"auth": {"password": PASSWORD}}})).send().await,
        client.ask(Method::PATCH, path).json(&json!({"smtp": {"auth": PASSWORD}})).send().await,
        client.ask(Method::PATCH, path).body("application/json-patch+json", tested.to_string()).send().await,
        client.ask(Method::PATCH, format!("{path}?verify=true")).json(wrong).send().await,
        client.get(format!("{path}/history")).await,
        client.post(format!("{path}/history/0123456789abcdef/restore"), &json!({"smtp": {"auth": {"password": PASSWORD}}})).await,
        client.post("/v1/accounts", &json!({"account": "x", "from": "x@example.com", "smtp": {"auth": {"password": PASSWORD}}})).await,
        client.post("/v1/accounts/import", &imported).await,
        client.ask(Method::PATCH, QLIK).json(&json!([{"op": "add", "path": "/emailPassword", "value": PASSWORD}])).send().await,
        client.ask(Method::PATCH, QLIK).json(&json!([{"op": "add", "path": "/serverPort", "value": PASSWORD}])).send().await,
        client.put(QLIK, &json!({"serviceProvider": "BasicAuth", "providerConfig": {"serverPort": PASSWORD, "emailPassword": PASSWORD}})).await,
        client.put(QLIK, &qlik).await,
        client.get(QLIK).await,
        client.post_empty(format!("{QLIK}/actions/verify-connection")).await,
        client.post(format!("{QLIK}/actions/send-test-email"), &json!({"recipient": "bob@example.org", "subject": SUBJECT, "body": BODY})).await,
        client.delete(QLIK).await,
    ]
}

#[test]
fn no_password_and_no_body_is_ever_logged_answered_or_written_elsewhere() {
    run(async {
        let service = Service::start(Options { log: Some("trace"), trace: true, ..Options::default() }).await;
        let client = service.client();
        let mut answers = String::new();
        let mut users = Vec::new();
        for receive in Receive::BOTH {
            let peer = Peer::with_password(PASSWORD).await;
            let mut settings = peer.account(receive, Way::Starttls);
            settings["poll"] = json!({"enabled": true, "minSeconds": 1, "maxSeconds": 1});
            let path = account(&client, receive.name(), &settings).await;
            peer.sandbox.deliver(&peer.user, format!("Subject: pulled\r\n\r\n{BODY}\r\n")).unwrap();
            let mail =
                json!({"to": "bob@example.org", "subject": SUBJECT, "text": BODY, "html": format!("<p>{BODY}</p>")});
            let mut wrong = settings.clone();
            wrong["smtp"]["auth"]["password"] = json!(WRONG);
            wrong["receive"]["auth"]["password"] = json!(WRONG);
            for answer in [
                client.get(path.clone()).await,
                client.get("/v1/accounts").await,
                client.post_empty(format!("{path}/verify")).await,
                client.post("/v1/validate-credentials", &json!({"smtp": wrong["smtp"], "receive": wrong["receive"]})).await,
                client.put(format!("{path}-2?verify=true"), &wrong).await,
                client.put(format!("{path}-3"), &json!({"from": PASSWORD, "smtp": {"auth": {"type": "password", "password": PASSWORD, "extra": PASSWORD}}})).await,
                client.post(format!("{path}/test-email"), &json!({"to": "bob@example.org", "subject": SUBJECT, "text": BODY})).await,
                client.post(format!("{path}/messages"), &mail).await,
                client.post(format!("{path}/messages?wait=0"), &mail).await,
            ] {
                answers.push_str(&answer.text());
            }
            for answer in changed(&client, &path, &peer, &wrong).await {
                answers.push_str(&answer.text());
            }
            until("the poll brings the message", async || {
                let items = client.get(format!("{path}/messages?direction=incoming")).await.value(200)["items"].clone();
                (items.as_array().unwrap().len() == 1).then_some(())
            })
            .await;
            until("both messages are sent", async || (peer.sandbox.received().len() >= 3).then_some(())).await;
            users.push(peer);
        }
        // However it may be escaped.
        for head in ["CANARY-pw", "CANARY-wrong"] {
            assert!(!answers.contains(head), "{}", &answers[answers.find(head).unwrap().saturating_sub(300)..]);
        }
        let logs = service.logs();
        assert!(logs.lines().count() > 50, "the logs are there: {}", logs.lines().count());
        assert!(logs.contains("DEBUG") || logs.contains("TRACE"), "and at a level worth searching");
        let aws = service.aws().await;
        let table = serde_json::to_string(&aws.items().await).unwrap();
        let user = "ada@example.test";
        for (place, text) in [("logs", &logs), ("answers", &answers), ("table", &table)] {
            for secret in [PASSWORD, WRONG] {
                assert_eq!(leaks(text, user, secret), Vec::<String>::new(), "{secret} in {place}");
            }
        }
        for secret in [BODY, SUBJECT] {
            assert_eq!(leaks(&logs, user, secret), Vec::<String>::new(), "{secret} in the logs");
        }
        let secrets = aws.secrets().await;
        assert!(secrets.values().any(|value| value.contains("CANARY-pw")), "Secrets Manager is where it is");
        assert!(!secrets.values().any(|value| value.contains(WRONG)), "what was only tried is not kept");
        for key in aws.objects("").await.into_keys() {
            let bytes = aws.object(&key).await.unwrap();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            for secret in [PASSWORD, WRONG] {
                assert_eq!(leaks(&text, user, secret), Vec::<String>::new(), "{secret} in {key}");
            }
        }
    });
}

/// Fields of every route that takes a secret, each with a good one. What a door does not know it ignores.
fn right(peer: &Peer, server: &str) -> Value {
    let mut side = peer.smtp(Way::Tls);
    side["secure"] = json!(true);
    side["auth"] =
        json!({"type": "password", "username": peer.user, "user": peer.user, "password": PASSWORD, "pass": PASSWORD});
    let provider = json!({"serverAddress": "localhost", "serverPort": side["port"], "securityType": "SSL/TLS",
                          "username": peer.user, "emailAddress": peer.user, "emailPassword": PASSWORD});
    json!({"account": "spare", "smtp": side, "authServer": server, "serviceProvider": "BasicAuth", "providerConfig": provider,
           "mail_smtp_server": "localhost", "mail_smtp_port": side["port"], "mail_usessl": true, "mail_username": peer.user,
           "mail_password": PASSWORD, "mail_from": peer.user, "smtp_host": "localhost", "smtp_port": side["port"],
           "smtp_user": peer.user, "smtp_pass": PASSWORD, "email": peer.user, "recipient": peer.user, "subject": SUBJECT, "body": BODY})
}

/// The same secrets where none belongs.
fn misplaced() -> Value {
    json!({"smtp": PASSWORD, "imap": PASSWORD, "receive": {"auth": QUERY}, "mail_smtp_port": PASSWORD, "smtp_port": PASSWORD,
           "serviceProvider": "BasicAuth", "providerConfig": {"serverPort": PASSWORD, "securityType": PASSWORD}, "oauth2": CLIENT_SECRET,
           "authServer": format!("ftp://x/?{QUERY}"), "scopes": [PASSWORD], "to": PASSWORD, "from": PASSWORD, "email": PASSWORD})
}

/// Accounts that sign in by each kind of secret, as paths are filled for them.
async fn accounts(client: &Client, peer: &Peer, issuer: &Issuer, server: &str) -> Vec<[(&'static str, String); 4]> {
    let mut found = Vec::new();
    let password = peer.auth();
    let handed = json!({"type": "tokenServer", "url": server});
    for (name, auth) in [("mail", password), ("oauth", issuer.auth(&peer.user, &issuer.consent())), ("server", handed)]
    {
        let mut settings = peer.account(Receive::Imap, Way::Tls);
        settings["smtp"]["auth"] = auth;
        settings["receive"].as_object_mut().unwrap().remove("auth");
        let path = account(client, name, &settings).await;
        let pulled = client.post_empty(format!("{path}/pull")).await.value(200);
        let id = pulled["stored"][0].as_str().unwrap().to_owned();
        let version = client.get(format!("{path}/history")).await.value(200)["items"][0]["version"].clone();
        let version = version.as_str().unwrap().to_owned();
        found.push([("{account}", name.to_owned()), ("{id}", id), ("{version}", version), ("{part}", "1".to_owned())]);
    }
    found
}

/// Every route there is, with accounts that keep every kind of secret, and with secrets in the call: right, in the wrong
/// place, and none.
/// A1.5/42, A5.2/18.
#[test]
fn no_route_shows_or_logs_what_an_account_keeps() {
    run(async {
        let service = Service::start(Options { log: Some("trace"), trace: true, ..Options::default() }).await;
        let client = service.client().for_tenant("canary");
        let peer = std::sync::Arc::new(Peer::with_password(PASSWORD).await);
        let mailbox = std::sync::Arc::clone(&peer);
        let issuer = Issuer::start(3600, move |token| mailbox.sandbox.add_token(&mailbox.user, token)).await;
        peer.sandbox.add_token(&peer.user, HANDED);
        issuer.hand(json!({"user": peer.user, "accessToken": HANDED}));
        peer.sandbox.deliver(&peer.user, "Subject: x\r\n\r\nx\r\n").unwrap();
        let server = format!("{}/server?key={QUERY}", issuer.url);
        let accounts = accounts(&client, &peer, &issuer, &server).await;
        let _ = client.put("/v1/accounts/default?verify=false", &peer.account(Receive::Imap, Way::Tls)).await.is(201);
        let _ = client.post("/v1/settings", &json!({"authServer": server})).await.is(200);
        let (right, misplaced) = (right(&peer, &server), misplaced());
        let (removing, others): (Vec<_>, Vec<_>) =
            ROUTES.iter().chain(&DOORS).partition(|(method, _)| *method == "delete");
        let aws = service.aws().await;
        let (mut answers, mut table, mut kept) = (String::new(), String::new(), String::new());
        for routes in [others, removing] {
            for (method, path) in routes {
                let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
                let spare = path.replace("{account}", "spare");
                let mut asked = vec![client.ask(method.clone(), spare).json(&right)];
                for account in &accounts {
                    let path = account.iter().fold((*path).to_owned(), |path, (name, value)| path.replace(name, value));
                    asked.push(client.ask(method.clone(), path.clone()).json(&misplaced));
                    asked.push(client.ask(method.clone(), path));
                }
                for ask in asked {
                    let answer = ask.send().await;
                    assert!(answer.status < 500, "{}: {}", answer.asked, answer.text());
                    assert!(!answer.text().contains("there is nothing at"), "{}", answer.asked);
                    answers.push_str(&answer.text());
                }
            }
            table.push_str(&serde_json::to_string(&aws.items().await).unwrap());
            kept.push_str(&serde_json::to_string(&aws.secrets().await).unwrap());
        }
        assert!(issuer.server_asked().len() > 3 && !issuer.asked().is_empty(), "they were used");
        for secret in [CLIENT_SECRET, QUERY, "CANARY-pw", "CANARY-refresh-"] {
            assert!(kept.contains(secret), "{secret} is in Secrets Manager");
        }
        let mut objects = String::new();
        for key in aws.objects("").await.into_keys() {
            objects.push_str(&String::from_utf8_lossy(&aws.object(&key).await.unwrap()));
        }
        let secrets = [PASSWORD, CLIENT_SECRET, QUERY, HANDED, "CANARY-refresh-", "CANARY-access-"];
        for (place, text) in [("answers", &answers), ("logs", &service.logs()), ("table", &table), ("bucket", &objects)]
        {
            for secret in secrets {
                let found = leaks(text, &peer.user, secret);
                let at = found.first().and_then(|form| text.find(form.as_str())).unwrap_or_default();
                let around =
                    String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(200)..(at + 100).min(text.len())]);
                assert!(found.is_empty(), "{secret} in the {place}: {around}");
            }
        }
    });
}

#[test]
fn a_server_that_echoes_the_password_does_not_get_it_shown() {
    run(async {
        let (_, client) = crate::service().await.tenant();
        let peer = Peer::with_password(PASSWORD).await;
        let plain =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("\0{}\0{PASSWORD}", peer.user));
        peer.sandbox.script(
            sandbox::Rule::on(sandbox::Protocol::Smtp)
                .at(sandbox::At::Command("AUTH"))
                .reply(format!("535 5.7.8 bad {PASSWORD} {plain}\r\n")),
        );
        peer.sandbox.script(
            sandbox::Rule::on(sandbox::Protocol::Pop3)
                .at(sandbox::At::Command("PASS"))
                .reply(format!("-ERR [AUTH] bad {PASSWORD} {plain}\r\n")),
        );
        peer.sandbox.script(
            sandbox::Rule::on(sandbox::Protocol::Pop3)
                .at(sandbox::At::Command("AUTH"))
                .reply(format!("-ERR [AUTH] bad {PASSWORD} {plain}\r\n")),
        );
        peer.sandbox.script(
            sandbox::Rule::on(sandbox::Protocol::Pop3)
                .at(sandbox::At::Sasl)
                .reply(format!("-ERR [AUTH] bad {PASSWORD} {plain}\r\n")),
        );
        let body = json!({"smtp": peer.smtp(Way::Tls), "receive": peer.receive(Receive::Pop3, Way::Tls)});
        let answer = client.post("/v1/validate-credentials", &body).await;
        let probe = answer.value(200);
        assert_eq!(
            (&probe["smtp"]["code"], &probe["receive"]["code"]),
            (&json!("auth_failed"), &json!("auth_failed")),
            "{probe}"
        );
        assert!(probe["smtp"]["message"].as_str().unwrap().contains("bad"), "its other words are shown: {probe}");
        assert_eq!(leaks(&answer.text(), &peer.user, PASSWORD), Vec::<String>::new(), "{probe}");
    });
}
