//! Waiting for a message: at once where it is there, as soon as it comes, or until the time is up; and how often the
//! mail server is asked meanwhile.

use serde_json::{Value, json};
use tests::client::Client;
use tests::peer::{Peer, Receive, Way};
use tests::until;

use crate::{account, run, service};

async fn mailbox(receive: Receive) -> (Client, Peer, String) {
    let (_, client) = service().await.tenant();
    let peer = Peer::start().await;
    let path = account(&client, "mail", &peer.account(receive, Way::Tls)).await;
    (client, peer, path)
}

fn mail(from: &str, subject: &str, text: &str) -> Vec<u8> {
    format!("From: {from}\r\nTo: ada@example.test\r\nSubject: {subject}\r\n\r\n{text}\r\n").into_bytes()
}

#[test]
fn what_is_there_is_answered_at_once_and_its_code_with_it() {
    run(async {
        for receive in Receive::BOTH {
            let (client, peer, path) = mailbox(receive).await;
            for message in [
                mail("noreply@shop.example", "Your order 12345678", "Total: 1.234,00 EUR"),
                mail("noreply@bank.example", "Your code", "Your verification code is 482 913."),
                mail(
                    "noreply@shop.example",
                    "Confirm",
                    "Confirm your address:\r\nhttps://shop.example/confirm/0123456789abcdef",
                ),
            ] {
                peer.sandbox.deliver(&peer.user, message).unwrap();
            }
            let wait = async |body: Value| client.post(format!("{path}/await"), &body).await.value(200);
            let found = wait(json!({"from": "@BANK.example", "extract": "code"})).await;
            assert_eq!((&found["extracted"], &found["timedOut"]), (&json!("482913"), &json!(false)));
            assert_eq!(found["message"]["subject"], "Your code");
            let found = wait(json!({"extract": "link", "timeoutSeconds": 0})).await;
            assert_eq!(found["extracted"], "https://shop.example/confirm/0123456789abcdef");
            let found = wait(json!({"extract": {"pattern": "order (\\d+)"}, "to": "ada"})).await;
            assert_eq!(found["extracted"], "12345678");
            let found = wait(json!({"contains": "1.234,00"})).await;
            assert_eq!(
                (&found["message"]["subject"], &found["extracted"]),
                (&json!("Your order 12345678"), &Value::Null)
            );
            // Fits, and has no code: said so when the time is up.
            let found = wait(json!({"subject": "order", "extract": "code", "timeoutSeconds": 0})).await;
            assert_eq!(found["message"]["subject"], "Your order 12345678");
            assert_eq!((&found["extracted"], &found["timedOut"]), (&Value::Null, &json!(true)));
            let logins = peer.logins();
            let none = wait(json!({"from": "nobody", "timeoutSeconds": 0})).await;
            assert_eq!(none, json!({"message": null, "extracted": null, "timedOut": true}));
            assert_eq!(peer.logins(), logins, "no time, no login");
        }
    });
}

#[test]
fn a_mail_that_comes_meanwhile_is_found_and_its_server_is_spared() {
    run(async {
        let (client, peer, path) = mailbox(Receive::Imap).await;
        let wait = || {
            let (client, path) = (client.clone(), path.clone());
            tokio::spawn(async move { client.post(format!("{path}/await"), &json!({"extract": "code"})).await })
        };
        let started = std::time::Instant::now();
        let waiters = [wait(), wait(), wait()];
        until("the mailbox is asked", async || (peer.logins() > 0).then_some(())).await;
        peer.sandbox.deliver(&peer.user, mail("noreply@bank.example", "Code", "Your PIN: 0042")).unwrap();
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap().value(200)["extracted"], "0042");
        }
        // One login in three seconds, however many wait.
        let most = usize::try_from(started.elapsed().as_secs() / 3 + 2).unwrap();
        assert!(peer.logins() <= most, "{} logins, at most {most}", peer.logins());
    });
}

#[test]
fn older_mail_is_not_the_one_that_is_waited_for() {
    run(async {
        let (client, peer, path) = mailbox(Receive::Imap).await;
        peer.sandbox.deliver(&peer.user, mail("a@example.org", "Code", "Your code: 111222")).unwrap();
        let _ = client.post_empty(format!("{path}/pull")).await.value(200);
        let later = json!({"since": "2036-01-01T00:00:00Z", "timeoutSeconds": 1});
        let none = client.post(format!("{path}/await"), &later).await.value(200);
        assert_eq!(none["timedOut"], true);
        let since = json!({"since": "2020-01-01T00:00:00Z", "timeoutSeconds": 0, "extract": "code"});
        assert_eq!(client.post(format!("{path}/await"), &since).await.value(200)["extracted"], "111222");
    });
}

#[test]
fn what_cannot_be_waited_for_is_said_at_once() {
    run(async {
        let (client, peer, path) = mailbox(Receive::Imap).await;
        let wait = async |body: Value| client.post(format!("{path}/await"), &body).await;
        wait(json!({"timeoutSeconds": 26})).await.names(&[("/timeoutSeconds", "invalid_value")]);
        wait(json!({"extract": {"pattern": "("}})).await.names(&[("/extract/pattern", "invalid_value")]);
        let _ = wait(json!({"extract": "everything"})).await.problem(422, "invalid_request");
        let _ = wait(json!({"form": "x"})).await.problem(422, "invalid_request");
        let _ = client.post("/v1/accounts/nobody/await", &json!({})).await.problem(404, "account_not_found");
        // A server that refuses the login is not asked again and again.
        let mut settings = peer.account(Receive::Imap, Way::Tls);
        settings["receive"]["auth"]["password"] = json!("wrong");
        let refused = account(&client, "refused", &settings).await;
        let _ = client.post(format!("{refused}/await"), &json!({})).await.problem(502, "mail_auth_failed");
        let logins = peer.logins();
        let again = client.post(format!("{refused}/await"), &json!({})).await;
        assert!([502, 503].contains(&again.status), "{}", again.text());
        assert_eq!(peer.logins(), logins);
        let sender = json!({"from": "ada@example.test", "smtp": peer.smtp(Way::Tls)});
        let sender = account(&client, "sender", &sender).await;
        let _ = client.post(format!("{sender}/await"), &json!({})).await.problem(422, "invalid_request");
    });
}
