//! kill -9 of everything: what was answered 2xx is there afterwards, and what was accepted is sent, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tests::client::Client;
use tests::peer::{Peer, Receive, Way};
use tests::random::Random;
use tests::service::{Options, Service};
use tests::until;

use crate::{account, run};

/// Creates accounts and queues mail until the service is gone; returns what it has acknowledged, and counts it.
async fn work(client: Client, path: String, round: usize, count: Arc<AtomicUsize>) -> (Vec<String>, Vec<Value>) {
    let (mut accounts, mut messages) = (Vec::new(), Vec::new());
    for number in 0.. {
        let name = format!("r{round}-{number}");
        let calls = tokio::spawn({
            let (client, path, name) = (client.clone(), path.clone(), name.clone());
            async move {
                let settings = json!({"from": "a@example.com", "smtp": {"host": "smtp.example.com", "port": 25, "security": "none", "auth": {"type": "password", "username": "u", "password": name}}});
                let put = client.put(format!("/v1/accounts/{name}"), &settings).await;
                let sent = client
                    .post(format!("{path}/messages?wait=0"), &json!({"to": "ada@example.test", "subject": name}))
                    .await;
                (put, sent)
            }
        });
        // A call that is cut off panics in its task: nothing was promised.
        let Ok((put, sent)) = calls.await else { break };
        if put.status == 201 {
            accounts.push(name);
        }
        if sent.status == 202 {
            messages.push(sent.json());
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    (accounts, messages)
}

#[test]
fn what_was_acknowledged_survives_kill_9_of_everything() {
    run(async {
        let mut random = Random::announced("crash");
        let peer = Peer::start().await;
        let mut service = Service::start(Options::default()).await;
        let path = account(&service.client(), "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        let (mut accounts, mut messages) = (Vec::new(), Vec::new());
        for round in 0..3 {
            let count = Arc::new(AtomicUsize::new(0));
            let working = tokio::spawn(work(service.client(), path.clone(), round, Arc::clone(&count)));
            until("something is acknowledged", async || (count.load(Ordering::Relaxed) > 1).then_some(())).await;
            // At any point of whatever is under way.
            tokio::time::sleep(Duration::from_millis(random.below(300))).await;
            service = service.crash_and_restart().await;
            let (made, queued) = working.await.unwrap();
            accounts.extend(made);
            messages.extend(queued);
        }
        assert!(accounts.len() >= 3 && messages.len() >= 3, "{} accounts, {} messages", accounts.len(), messages.len());
        let client = service.client();
        for name in &accounts {
            let shown = client.get(format!("/v1/accounts/{name}")).await.value(200);
            assert_eq!(shown["smtp"]["auth"]["hasPassword"], true);
        }
        let secrets = service.aws().await.secrets().await.into_values().collect::<String>();
        assert!(accounts.iter().all(|name| secrets.contains(name.as_str())), "every password is there");
        let mut unknown = 0;
        for message in &messages {
            let state = until("it is decided", async || {
                let message = client.get(format!("/v1/outbox/{}", message["id"].as_str().unwrap())).await.value(200);
                let state = message["state"].as_str().unwrap().to_owned();
                ["sent", "unknown"].contains(&state.as_str()).then_some(state)
            })
            .await;
            unknown += usize::from(state == "unknown");
        }
        let mut copies: BTreeMap<String, usize> = BTreeMap::new();
        for received in peer.sandbox.received() {
            let text = String::from_utf8_lossy(&received.bytes).into_owned();
            let id = text.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap().to_owned();
            *copies.entry(id).or_default() += 1;
        }
        assert!(copies.values().all(|copies| *copies == 1), "I7: {copies:?}");
        let at_sink =
            messages.iter().filter(|message| copies.contains_key(message["messageId"].as_str().unwrap())).count();
        assert!(
            at_sink + unknown >= messages.len(),
            "I6: {at_sink} at the sink, {unknown} unknown, of {}",
            messages.len()
        );
        // One delivery at a time can be in flight per worker when everything dies.
        assert!(unknown <= 3 * 4, "{unknown}");
    });
}

#[test]
fn sigterm_is_a_clean_end() {
    run(async {
        let mut service = Service::start(Options::default()).await;
        let pids = service.pids(None);
        assert!(!pids.is_empty());
        assert_eq!(service.stop().await, Some(0));
        for pid in pids {
            until("its functions end with it", async || {
                (!std::path::Path::new(&format!("/proc/{pid}/exe")).exists()).then_some(())
            })
            .await;
        }
    });
}

#[test]
fn an_answer_that_never_comes_is_given_to_whoever_repeats_with_the_key() {
    run(async {
        let peer = Peer::start().await;
        let service = Service::start(Options::default()).await;
        let client = service.client();
        let path = account(&client, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        let stalled = peer.sandbox.script(
            sandbox::Rule::on(sandbox::Protocol::Smtp).at(sandbox::At::Data).times(1).stall(Duration::from_secs(2)),
        );
        let ask = || {
            client
                .ask(http::Method::POST, format!("{path}/messages"))
                .header("idempotency-key", "once")
                .json(&json!({"to": "ada@example.test", "subject": "x"}))
        };
        let kill = async {
            until("the message is at the server", async || (stalled.count() == 1).then_some(())).await;
            service
                .pids(Some("send"))
                .into_iter()
                .for_each(|pid| tests::guard::kill(pid, rustix::process::Signal::KILL));
        };
        let (cut, ()) = tokio::join!(ask().send(), kill);
        assert!(cut.status >= 500, "{}", cut.status);
        let state = until("the claim has run over and the outcome is known", async || {
            let answer = ask().send().await;
            (answer.status != 409 && answer.json()["state"] != "sending").then_some(answer)
        })
        .await;
        assert_eq!(
            (state.value(202)["state"].clone(), state.header("idempotency-replayed")),
            (json!("unknown"), "true")
        );
        assert!(peer.sandbox.received().len() <= 1);
    });
}
