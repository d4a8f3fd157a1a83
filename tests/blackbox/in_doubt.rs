//! A reply that is lost behind the dot: the account's own folders are asked, then `onUnknown` decides. Never two copies
//! unless somebody asked for them.

use sandbox::{At, Protocol, Rule};
use serde_json::{Value, json};
use tests::client::Client;
use tests::peer::{Peer, Receive, Way};
use tests::service::{Options, Service};
use tests::until;

use crate::send::sender;
use crate::sent_copy::done;
use crate::{account, run, service};

/// Sends a message whose reply is lost; the server takes it, or not.
async fn doubtful(client: &Client, peer: &Peer, path: &str, policy: &str, taken: bool) -> Value {
    let rule = Rule::on(Protocol::Smtp).at(At::Data).times(1);
    let fired = peer.sandbox.script(if taken { rule.swallow_then_drop() } else { rule.drop_connection() });
    let mail = json!({"to": "bob@example.org", "subject": policy, "text": "once", "onUnknown": policy});
    let answer = client.post(format!("{path}/messages"), &mail).await.value(202);
    assert_eq!((&answer["state"], fired.count()), (&json!("unknown"), 1), "{answer}");
    let resolution = &answer["resolution"];
    assert_eq!((&resolution["state"], &resolution["lookups"]), (&json!("searching"), &json!(0)), "{answer}");
    answer
}

fn at_sink(peer: &Peer) -> usize {
    peer.sandbox.received().len()
}

#[test]
fn what_the_server_has_filed_was_sent_whatever_the_policy() {
    run(async {
        for policy in ["hold", "retry", "fail"] {
            let (_, client, peer, path) = sender().await;
            peer.sandbox.files_sent(true);
            let first = doubtful(&client, &peer, &path, policy, true).await;
            let message = done(&client, &first["id"], "resolution").await;
            let (resolution, recipient) = (&message["resolution"], &message["recipients"][0]);
            assert_eq!(
                (&resolution["state"], &resolution["folder"], &resolution["lookups"]),
                (&json!("found"), &json!("Sent"), &json!(1)),
                "{message}"
            );
            assert_eq!((&message["state"], &recipient["state"]), (&json!("sent"), &json!("sent")), "{message}");
            assert!(message["sentAt"].is_string() && recipient.get("error").is_none(), "{message}");
            assert_eq!(at_sink(&peer), 1, "{policy}: never two");
        }
    });
}

#[test]
fn a_server_that_files_late_is_asked_again() {
    run(async {
        let (_, client, peer, path) = sender().await;
        peer.sandbox.files_sent(true);
        // Twice it finds nothing, once it does not let anybody in.
        let search = Rule::on(Protocol::Imap).at(At::Command("UID SEARCH")).times(1);
        peer.sandbox.script(search.reply("* SEARCH\r\n{tag} OK Searched\r\n"));
        let refused = Rule::on(Protocol::Imap).at(At::Connect).session(2).reply("* BYE Not now\r\n").then_close();
        peer.sandbox.script(refused);
        let first = doubtful(&client, &peer, &path, "retry", true).await;
        let message = done(&client, &first["id"], "resolution").await;
        assert_eq!((&message["state"], &message["resolution"]["lookups"]), (&json!("sent"), &json!(3)), "{message}");
        assert_eq!(at_sink(&peer), 1, "nothing is sent again before the last lookup");
    });
}

#[test]
fn what_is_found_nowhere_is_decided_by_the_policy() {
    run(async {
        for (policy, taken, state, at_the_end) in [
            ("hold", true, "unknown", 1),
            ("fail", true, "failed", 1),
            ("retry", false, "sent", 1),
            ("retry", true, "sent", 2),
        ] {
            let (_, client, peer, path) = sender().await;
            let first = doubtful(&client, &peer, &path, policy, taken).await;
            let message = done(&client, &first["id"], "resolution").await;
            assert_eq!(
                (&message["resolution"]["state"], &message["resolution"]["lookups"]),
                (&json!("notFound"), &json!(3)),
                "{policy}: {message}"
            );
            let outbox = format!("/v1/outbox/{}", first["id"].as_str().unwrap());
            let message = until("the policy has decided", async || {
                let message = client.get(outbox.clone()).await.value(200);
                (message["state"] == state).then_some(message)
            })
            .await;
            assert_eq!(at_sink(&peer), at_the_end, "{policy} {taken}: {message}");
            let ids: std::collections::BTreeSet<_> =
                peer.sandbox.received().iter().map(|received| received.bytes.clone()).collect();
            assert!(ids.len() <= 1, "a second copy is the first, Message-ID and all");
        }
    });
}

#[test]
fn without_an_imap_mailbox_the_policy_decides_at_once() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let path = account(&client, "mail", &peer.account(Receive::Pop3, Way::Tls)).await;
        for (policy, status, state) in [("hold", 202, "unknown"), ("fail", 422, "failed"), ("retry", 202, "deferred")] {
            peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Data).times(1).swallow_then_drop());
            let mail = json!({"to": "bob@example.org", "subject": policy, "onUnknown": policy});
            let answer = client.post(format!("{path}/messages"), &mail).await.value(status);
            let message = if status == 422 { &answer["resource"] } else { &answer };
            assert_eq!(
                (&message["state"], &message["resolution"]["state"]),
                (&json!(state), &json!("impossible")),
                "{policy}: {answer}"
            );
        }
    });
}

#[test]
fn a_doubt_survives_kill_9() {
    run(async {
        let service = Service::start(Options::default()).await;
        let peer = Peer::start().await;
        peer.sandbox.files_sent(true);
        let path = account(&service.client(), "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        let first = doubtful(&service.client(), &peer, &path, "retry", true).await;
        let service = service.crash_and_restart().await;
        let message = done(&service.client(), &first["id"], "resolution").await;
        assert_eq!((&message["state"], at_sink(&peer)), (&json!("sent"), 1), "{message}");
    });
}
