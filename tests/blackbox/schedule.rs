//! What happens without a call: mailboxes with `poll.enabled` are pulled, and an idle one costs no write.

use std::time::Duration;

use sandbox::{At, Protocol, Rule};
use serde_json::{Value, json};
use tests::client::Client;
use tests::corpus;
use tests::peer::{Peer, Receive, Way};
use tests::service::{Options, Service};
use tests::until;

use crate::{account, run, service};

fn polled(peer: &Peer, receive: Receive) -> Value {
    let mut settings = peer.account(receive, Way::Tls);
    settings["poll"] = json!({"enabled": true, "minSeconds": 1, "maxSeconds": 1});
    settings
}

async fn arrives(client: &Client, path: &str, count: usize) {
    until(&format!("{count} messages without a call"), async || {
        let items = client.get(format!("{path}/messages")).await.value(200)["items"].clone();
        (items.as_array().unwrap().len() == count).then_some(())
    })
    .await;
}

#[test]
fn a_polled_mailbox_is_pulled_without_a_call() {
    run(async {
        for receive in Receive::BOTH {
            let (_, client) = service().await.tenant();
            let peer = Peer::start().await;
            let path = account(&client, "mail", &polled(&peer, receive)).await;
            for number in 1..4 {
                peer.sandbox.deliver(&peer.user, corpus::plain(number)).unwrap();
                arrives(&client, &path, number).await;
            }
            // At a tick a second, two polls of one POP3 mailbox may meet: [IN-USE] is over with the next one.
            let status = until("it is well", async || {
                let status = client.get(path.clone()).await.value(200)["status"].clone();
                (status["state"] == "ok").then_some(status)
            })
            .await;
            assert!(status["lastPullAt"].is_string() && status["nextPollAt"].is_string(), "{status}");
            let _ = client.delete(path).await.is(204);
        }
    });
}

#[test]
fn polling_ends_with_the_account_or_its_wish() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let path = account(&client, "mail", &polled(&peer, Receive::Imap)).await;
        until("a first poll", async || (peer.logins() > 0).then_some(())).await;
        let _ = client.put(path.clone(), &peer.account(Receive::Imap, Way::Tls)).await.is(200);
        assert_eq!(client.get(path).await.value(200)["status"]["nextPollAt"], Value::Null);
        // What was queued by then may still be carried out.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let logins = peer.logins();
        tokio::time::sleep(Duration::from_secs(3)).await; // three ticks: nothing may happen, and there is no event to wait for
        assert_eq!(peer.logins(), logins);
    });
}

#[test]
fn an_idle_poll_writes_nothing() {
    run(async {
        // Of its own: every item of the table is compared.
        let service = Service::start(Options::default()).await;
        let client = service.client();
        let mut peers = Vec::new();
        for receive in Receive::BOTH {
            let peer = Peer::start().await;
            peer.sandbox.deliver(&peer.user, corpus::plain(1)).unwrap();
            let path = account(&client, receive.name(), &polled(&peer, receive)).await;
            arrives(&client, &path, 1).await;
            peers.push(peer);
        }
        let aws = service.aws().await;
        let polls = async |count: usize| {
            let before: Vec<_> = peers.iter().map(Peer::logins).collect();
            until("some polls", async || {
                peers.iter().zip(&before).all(|(peer, before)| peer.logins() >= before + count).then_some(())
            })
            .await;
        };
        until("both are noted as quiet, which is the last there is to write", async || {
            let entries = aws.items_of("POLL#").await;
            entries.values().all(|entry| entry["quiet"].is_string()).then_some(())
        })
        .await;
        polls(2).await; // what knew nothing of the note is over
        let before = aws.everything().await;
        polls(4).await;
        assert_eq!(aws.everything().await, before);
        let transcript = peers[0].sandbox.transcript();
        let last = transcript.iter().map(|line| line.session).max().unwrap() - 1;
        let commands: Vec<_> = transcript
            .iter()
            .filter(|line| line.session == last && line.from_client)
            .map(|line| String::from_utf8_lossy(&line.bytes).to_uppercase())
            .collect();
        assert!(
            commands.iter().any(|command| command.contains(" STATUS "))
                && !commands.iter().any(|command| command.contains(" SELECT ") || command.contains(" FETCH ")),
            "{commands:?}"
        );
    });
}

#[test]
fn a_refused_login_pauses_the_mailbox_and_new_settings_end_the_pause() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let mut settings = polled(&peer, Receive::Imap);
        settings["receive"]["auth"]["password"] = json!("wrong");
        let path = account(&client, "mail", &settings).await;
        let status = until("the refusal is known", async || {
            let status = client.get(path.clone()).await.value(200)["status"].clone();
            (status["state"] == "authFailed").then_some(status)
        })
        .await;
        assert_eq!((&status["authFailures"], &status["errorCode"]), (&json!(1), &json!("INVALID_CREDENTIALS")));
        tokio::time::sleep(Duration::from_secs(4)).await; // four ticks: nothing may happen, and there is no event to wait for
        assert!(peer.logins() <= 2, "{} logins: the server would lock us out", peer.logins());
        peer.sandbox.deliver(&peer.user, corpus::plain(1)).unwrap();
        let _ = client.put(path.clone(), &polled(&peer, Receive::Imap)).await.is(200);
        arrives(&client, &path, 1).await;
        let _ = client.delete(path).await.is(204);
    });
}

#[test]
fn a_server_in_trouble_is_no_failed_login_and_is_tried_again() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        peer.sandbox.script(
            Rule::on(Protocol::Imap).at(At::Connect).times(2).reply("* BYE [UNAVAILABLE] later\r\n").then_close(),
        );
        peer.sandbox.deliver(&peer.user, corpus::plain(1)).unwrap();
        let path = account(&client, "mail", &polled(&peer, Receive::Imap)).await;
        arrives(&client, &path, 1).await;
        assert_eq!(client.get(path.clone()).await.value(200)["status"]["authFailures"], 0);
        let _ = client.delete(path).await.is(204);
    });
}
