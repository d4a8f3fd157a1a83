//! POP3 servers whose lists do not tell messages apart, or not truly: nothing is lost, nothing is stored twice, and
//! only what is stored is deleted.

use std::time::Duration;

use sandbox::{At, Folder, Protocol, Rule};
use serde_json::{Value, json};
use tests::checker::{Verdict, end_state};
use tests::client::Client;
use tests::corpus;
use tests::peer::{Peer, Receive, Way};
use tests::until;

use crate::pull::pull_all;
use crate::{account, run, service};

struct Mailbox {
    tenant: String,
    client: Client,
    peer: Peer,
    path: String,
}

impl Mailbox {
    async fn new(keep: bool) -> Self {
        let (tenant, client) = service().await.tenant();
        let peer = Peer::start().await;
        let mut settings = peer.account(Receive::Pop3, Way::Tls);
        settings["receive"]["keepOnServer"] = json!(keep);
        let path = account(&client, "mail", &settings).await;
        Self { tenant, client, peer, path }
    }

    fn deliver(&self, messages: &[Vec<u8>]) {
        for message in messages {
            self.peer.sandbox.deliver(&self.peer.user, message.clone()).unwrap();
        }
    }

    fn script(&self, rule: Rule) {
        self.peer.sandbox.clear_script();
        self.peer.sandbox.script(rule);
    }

    async fn pull(&self) -> u64 {
        pull_all(&self.client, &self.path).await
    }

    fn held(&self) -> Vec<Vec<u8>> {
        self.peer.sandbox.messages(&self.peer.user).iter().map(|message| message.bytes.to_vec()).collect()
    }

    /// Another client deletes a message.
    fn lose(&self, message: &[u8]) {
        let found = self.peer.sandbox.messages(&self.peer.user);
        let uid = found.iter().find(|stored| stored.bytes == message).unwrap().uid;
        self.peer.sandbox.remove(&self.peer.user, Folder::Inbox, &[uid]).unwrap();
    }

    /// Every one of these messages is stored, once.
    async fn has(&self, truth: &[Vec<u8>]) {
        let aws = service().await.aws().await;
        let state = end_state(&aws, &self.client, &self.tenant, "mail", truth, &self.held()).await;
        assert_eq!((state.verdict(), state.rows.len()), (Verdict::default(), truth.len()));
    }
}

fn pop3() -> Rule {
    Rule::on(Protocol::Pop3)
}

fn plain(numbers: &[usize]) -> Vec<Vec<u8>> {
    numbers.iter().map(|number| corpus::plain(*number)).collect()
}

/// Fault 5: hash and ordinal, and equal messages are several.
#[test]
fn without_uidl_the_content_tells_messages_apart() {
    run(async {
        let kept = Mailbox::new(true).await;
        kept.script(pop3().hide_capability("UIDL"));
        kept.deliver(&plain(&[10, 11, 10]));
        assert_eq!(kept.pull().await, 3);
        kept.deliver(&plain(&[12, 10]));
        assert_eq!(kept.pull().await, 2);
        kept.lose(&corpus::plain(11));
        assert_eq!(kept.pull().await, 0);
        kept.has(&plain(&[10, 11, 10, 12, 10])).await;

        let emptied = Mailbox::new(false).await;
        emptied.script(pop3().hide_capability("UIDL"));
        emptied.deliver(&plain(&[10, 10]));
        assert_eq!(emptied.pull().await, 2);
        emptied.deliver(&plain(&[11]));
        assert_eq!(emptied.pull().await, 1);
        assert_eq!(emptied.held(), plain(&[11]), "what an earlier run stored is deleted");
        emptied.deliver(&plain(&[10]));
        assert_eq!(emptied.pull().await, 1, "an equal one that arrives later is another message");
        assert_eq!(emptied.pull().await, 0);
        assert!(emptied.held().is_empty());
        emptied.has(&plain(&[10, 10, 11, 10])).await;
    });
}

/// Fault 6: a UIDL that was unique is repeated, and unique again.
#[test]
fn a_repeated_uidl_makes_no_duplicate() {
    run(async {
        for keep in [true, false] {
            let mailbox = Mailbox::new(keep).await;
            mailbox.script(pop3().uidls(|_, _| Some("same".to_owned())));
            mailbox.deliver(&plain(&[10]));
            assert_eq!(mailbox.pull().await, 1);
            mailbox.deliver(&plain(&[11, 12, 11]));
            assert_eq!(mailbox.pull().await, 3, "{keep}");
            if keep {
                assert_eq!(mailbox.pull().await, 0);
                for gone in [10, 11, 12] {
                    mailbox.lose(&corpus::plain(gone));
                    assert_eq!(mailbox.pull().await, 0, "unique again");
                }
                assert_eq!(mailbox.held(), plain(&[11]));
            } else {
                assert_eq!(mailbox.pull().await, 0);
                assert!(mailbox.held().is_empty());
            }
            mailbox.has(&plain(&[10, 11, 12, 11])).await;
        }
    });
}

/// Fault 6b: UIDLs that are message numbers, or places that are used again; messages of one size, and we delete.
#[test]
fn a_uidl_that_is_given_again_hides_no_message() {
    run(async {
        let by_number: fn(usize, &[u8]) -> Option<String> = |number, _| Some(number.to_string());
        // The last digit of `Subject: Message 12`.
        let by_digit: fn(usize, &[u8]) -> Option<String> = |_, bytes| {
            let text = String::from_utf8_lossy(bytes);
            Some(text.split("\r\nDate").next()?.chars().last()?.to_string())
        };
        for uidls in [by_number, by_digit] {
            used_again(uidls).await;
        }
    });
}

async fn used_again(uidls: fn(usize, &[u8]) -> Option<String>) {
    let mailbox = Mailbox::new(false).await;
    mailbox.script(pop3().uidls(uidls));
    let mut truth = Vec::new();
    for round in 1..5 {
        let first = round * 10 + round % 2 * 2;
        let messages = plain(&[first, first + 1]);
        mailbox.deliver(&messages);
        assert_eq!(mailbox.pull().await, 2, "round {round}");
        truth.extend(messages);
    }
    mailbox.pull().await;
    assert_eq!(mailbox.pull().await, 0);
    assert!(mailbox.held().is_empty());
    mailbox.has(&truth).await;
}

#[test]
fn sizes_that_are_wrong_make_no_duplicate() {
    run(async {
        for keep in [true, false] {
            let mailbox = Mailbox::new(keep).await;
            mailbox.deliver(&plain(&[10]));
            assert_eq!(mailbox.pull().await, 1);
            let lies: [fn(usize, &[u8]) -> usize; 3] =
                [|_, bytes| bytes.len() + 7, |number, bytes| bytes.len() / 2 + number, |_, bytes| bytes.len()];
            for (round, sizes) in lies.into_iter().enumerate() {
                mailbox.script(pop3().sizes(sizes));
                mailbox.deliver(&plain(&[20 + round]));
                assert_eq!(mailbox.pull().await, 1, "{keep}, round {round}");
            }
            assert_eq!(mailbox.pull().await, 0);
            assert_eq!(mailbox.held().len(), if keep { 4 } else { 0 });
            mailbox.has(&plain(&[10, 20, 21, 22])).await;
        }
    });
}

/// Fault 3b: a server that has deleted, and one that has not.
#[test]
fn a_lost_answer_to_quit_loses_and_doubles_nothing() {
    run(async {
        for nameless in [false, true] {
            for quit in
                [pop3().at(At::Command("QUIT")).swallow_then_drop(), pop3().at(At::Command("QUIT")).drop_connection()]
            {
                let mailbox = Mailbox::new(false).await;
                if nameless {
                    mailbox.script(pop3().hide_capability("UIDL"));
                }
                mailbox.deliver(&plain(&[10, 11]));
                assert_eq!(mailbox.pull().await, 2);
                mailbox.peer.sandbox.script(quit.times(1));
                let _ = mailbox
                    .client
                    .post_empty(format!("{}/pull", mailbox.path))
                    .await
                    .problem(502, "mail_protocol_error");
                mailbox.deliver(&plain(&[12]));
                assert_eq!(mailbox.pull().await, 1);
                mailbox.deliver(&plain(&[10]));
                assert_eq!(mailbox.pull().await, 1, "an equal one, later");
                mailbox.pull().await;
                assert!(mailbox.held().is_empty());
                mailbox.has(&plain(&[10, 11, 12, 10])).await;
            }
        }
    });
}

/// RFC 1939 §4: one session at a time. That the other one is ours says nothing about the server.
#[test]
fn a_mailbox_that_is_being_pulled_is_busy_and_not_in_trouble() {
    run(async {
        let mailbox = Mailbox::new(true).await;
        mailbox.deliver(&plain(&[10, 11]));
        mailbox.peer.sandbox.script(pop3().at(At::Command("RETR")).drip(200));
        let second = async {
            until("the first one fetches", async || {
                let transcript = mailbox.peer.sandbox.transcript();
                transcript.iter().any(|line| line.from_client && line.bytes.starts_with(b"RETR")).then_some(())
            })
            .await;
            let again = mailbox.client.post_empty(format!("{}/pull", mailbox.path)).await;
            let _ = again.problem(409, "conflict");
        };
        let (new, ()) = tokio::join!(mailbox.pull(), second);
        assert_eq!(new, 2);
        let status = mailbox.client.get(mailbox.path.clone()).await.value(200)["status"].clone();
        assert_eq!((&status["state"], &status["lastError"]), (&json!("ok"), &Value::Null), "{status}");
    });
}

/// Fault 26: a list that does not end.
#[test]
fn a_hostile_list_ends_with_an_error_that_says_why() {
    run(async {
        let mailbox = Mailbox::new(true).await;
        mailbox.deliver(&plain(&[10]));
        let line = format!("1 {}\r\n", "x".repeat(60_000));
        mailbox.script(pop3().at(At::Command("UIDL")).reply("+OK\r\n").endless(line));
        let started = std::time::Instant::now();
        let problem = mailbox.client.post_empty(format!("{}/pull", mailbox.path)).await;
        let problem: Value = problem.problem(502, "mail_protocol_error");
        let detail = problem["receive"]["detail"].as_str().or(problem["detail"].as_str()).unwrap();
        assert!(detail.contains("the answer to UIDL has over"), "{problem}");
        assert!(started.elapsed() < Duration::from_secs(25));
    });
}
