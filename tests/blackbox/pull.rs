//! Pulling on demand: every message byte-exact, once; nothing deleted but what an earlier run stored.

use sandbox::{At, Protocol, Rule};
use serde_json::{Value, json};
use tests::checker::{Verdict, end_state};
use tests::client::Client;
use tests::corpus;
use tests::peer::{Peer, Receive, Way};
use tests::random::Random;
use tests::service::Service;
use tests::{sha256, until};

use crate::{account, masked, run, service};

/// Pulls until there is no more; returns how many were new.
pub(crate) async fn pull_all(client: &Client, path: &str) -> u64 {
    let mut new = 0;
    loop {
        let pulled = until("the mailbox is free", async || {
            let answer = client.post_empty(format!("{path}/pull")).await;
            (answer.status != 409).then_some(answer)
        })
        .await;
        let pulled = pulled.value(200);
        new += pulled["new"].as_u64().unwrap();
        assert_eq!(pulled["new"].as_u64().unwrap() as usize, pulled["stored"].as_array().unwrap().len());
        if pulled["more"] == false {
            return new;
        }
    }
}

fn held(peer: &Peer) -> Vec<Vec<u8>> {
    peer.sandbox.messages(&peer.user).iter().map(|message| message.bytes.to_vec()).collect()
}

async fn fill(peer: &Peer, messages: &[Vec<u8>]) {
    for message in messages {
        peer.sandbox.deliver(&peer.user, message.clone()).unwrap();
    }
}

#[test]
fn every_message_is_stored_byte_for_byte_over_both_protocols_and_ways() {
    run(async {
        let mut random = Random::announced("pull");
        let mut messages = corpus::odd();
        messages.extend(corpus::charsets().into_iter().map(|foreign| foreign.source));
        messages.extend(corpus::mixed(40, &mut random));
        for receive in Receive::BOTH {
            for way in Way::BOTH {
                let service = service().await;
                let (tenant, client) = service.tenant();
                let peer = Peer::start().await;
                fill(&peer, &messages).await;
                let path = account(&client, "mail", &peer.account(receive, way)).await;
                let first = client.post_empty(format!("{path}/pull")).await.value(200);
                assert_eq!(
                    (&first["new"], &first["more"], &first["account"]),
                    (&json!(messages.len()), &json!(false), &json!("mail"))
                );
                assert_eq!(
                    first["folders"],
                    json!([{"folder": "INBOX", "new": messages.len(), "total": messages.len(), "reset": false}])
                );
                let state = end_state(&service.aws().await, &client, &tenant, "mail", &messages, &held(&peer)).await;
                assert_eq!(state.verdict(), Verdict::default(), "{receive:?} {way:?}");
                assert_eq!(state.rows.len(), messages.len());
                let second = masked(client.post_empty(format!("{path}/pull")).await.value(200), &["/durationMs"]);
                assert_eq!(
                    second,
                    json!({"account": "mail", "new": 0, "stored": [], "folders": [{"folder": "INBOX", "new": 0, "total": messages.len(), "reset": false}], "more": false, "durationMs": "*"})
                );
                assert_eq!(held(&peer), messages, "nothing is deleted, nothing is marked");
                assert!(
                    peer.sandbox.messages(&peer.user).iter().all(|message| message.flags.is_empty()),
                    "BODY.PEEK leaves no \\Seen"
                );
                assert!(!peer.saw_credential_in_clear());
            }
        }
    });
}

/// A1.6/53: whatever the server thinks is new, our own ledger tells.
#[test]
fn new_mail_alone_is_stored_by_the_next_pull() {
    run(async {
        for receive in Receive::BOTH {
            let (_, client) = service().await.tenant();
            let peer = Peer::start().await;
            let path = account(&client, "mail", &peer.account(receive, Way::Tls)).await;
            assert_eq!(pull_all(&client, &path).await, 0);
            for number in 0..3 {
                fill(&peer, &[corpus::plain(number), corpus::plain(100 + number)]).await;
                assert_eq!(pull_all(&client, &path).await, 2);
            }
            let lines = peer.sandbox.transcript();
            let fetched = lines
                .iter()
                .filter(|line| {
                    line.from_client
                        && (line.bytes.starts_with(b"RETR")
                            || String::from_utf8_lossy(&line.bytes).contains("BODY.PEEK[]"))
                })
                .count();
            assert!((3..=6).contains(&fetched), "no message is fetched twice: {fetched}");
        }
    });
}

#[test]
fn without_keep_on_server_only_the_next_run_deletes_and_only_what_was_stored() {
    run(async {
        for receive in Receive::BOTH {
            let service = service().await;
            let (tenant, client) = service.tenant();
            let peer = Peer::start().await;
            let first: Vec<_> = (0..5).map(corpus::plain).collect();
            fill(&peer, &first).await;
            let mut settings = peer.account(receive, Way::Tls);
            settings["receive"]["keepOnServer"] = json!(false);
            let path = account(&client, "mail", &settings).await;
            assert_eq!(pull_all(&client, &path).await, 5);
            assert_eq!(held(&peer), first, "{receive:?}: nothing is deleted by the run that stored it");
            let second: Vec<_> = (5..8).map(corpus::plain).collect();
            fill(&peer, &second).await;
            assert_eq!(pull_all(&client, &path).await, 3);
            assert_eq!(held(&peer), second, "{receive:?}: what the first run stored is gone, what came since is not");
            assert_eq!(pull_all(&client, &path).await, 0);
            assert!(held(&peer).is_empty(), "{receive:?}");
            let truth = [first, second].concat();
            let state = end_state(&service.aws().await, &client, &tenant, "mail", &truth, &[]).await;
            assert_eq!((state.verdict(), state.rows.len()), (Verdict::default(), 8));
        }
    });
}

#[test]
fn what_others_marked_deleted_is_not_expunged() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        fill(&peer, &[corpus::plain(1)]).await;
        let mut settings = peer.account(Receive::Imap, Way::Tls);
        settings["receive"]["keepOnServer"] = json!(false);
        let path = account(&client, "mail", &settings).await;
        assert_eq!(pull_all(&client, &path).await, 1);
        assert_eq!(pull_all(&client, &path).await, 0);
        let lines: Vec<_> = peer
            .sandbox
            .transcript()
            .iter()
            .filter(|line| line.from_client)
            .map(|line| String::from_utf8_lossy(&line.bytes).to_uppercase())
            .collect();
        assert!(lines.iter().any(|line| line.contains("UID EXPUNGE 1")), "RFC 4315 §2.1");
        assert!(!lines.iter().any(|line| line.contains(" EXPUNGE\r\n") || line.contains(" CLOSE\r\n")));
    });
}

#[test]
fn a_big_message_is_stored_whole_and_a_too_big_one_stays() {
    run(async {
        let service = service().await;
        for receive in Receive::BOTH {
            let (tenant, client) = service.tenant();
            let peer = Peer::start().await;
            let big = corpus::with_attachment(1, "big.pdf", &Random::new(9).bytes(9_000_000));
            let huge = corpus::with_attachment(2, "huge.pdf", &Random::new(10).bytes(11_000_000));
            fill(&peer, &[big.clone(), huge.clone(), corpus::plain(3)]).await;
            let mut settings = peer.account(receive, Way::Tls);
            settings["receive"]["maxMessageBytes"] = json!(13_000_000);
            settings["receive"]["keepOnServer"] = json!(false);
            let path = account(&client, "mail", &settings).await;
            assert_eq!(pull_all(&client, &path).await, 3, "{receive:?}");
            assert_eq!(pull_all(&client, &path).await, 0, "{receive:?}");
            let items = client.get(format!("{path}/messages")).await.value(200)["items"].clone();
            let of = |subject: &str| {
                items
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|item| item["subject"] == subject)
                    .cloned()
                    .unwrap_or_else(|| panic!("{receive:?}: no {subject} in {items}"))
            };
            assert_eq!(
                (&of("File 1")["sha256"], &of("File 1")["size"]),
                (&json!(sha256(&big)), &json!(big.len())),
                "{receive:?}"
            );
            // Over POP3 nothing of it was read: its subject is unknown.
            let huge_row = items.as_array().unwrap().iter().find(|item| item["state"] == "tooLarge").cloned().unwrap();
            assert_eq!(
                (&huge_row["state"], &huge_row["sha256"]),
                (&json!("tooLarge"), &Value::Null),
                "{receive:?}: {huge_row}"
            );
            assert_eq!(held(&peer), [huge], "{receive:?}: only the one that is not stored stays");
            let id = of("File 1")["id"].as_str().unwrap().to_owned();
            client.get(format!("{path}/messages/{id}/source?inline=true")).await.names(&[("?inline", "too_large")]);
            let redirect = client.get(format!("{path}/messages/{id}/source")).await;
            let source = client.get(redirect.is(302).header("location")).await;
            assert_eq!((source.status, sha256(&source.body)), (200, sha256(&big)));
            assert_eq!(service.aws().await.objects(&format!("t/{tenant}/raw/")).await.len(), 2);
        }
    });
}

#[test]
fn a_pull_asked_for_while_one_runs_is_a_conflict() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        fill(&peer, &[corpus::plain(1)]).await;
        let path = account(&client, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        let stalled = peer.sandbox.script(
            Rule::on(Protocol::Imap).at(At::Command("UID FETCH")).times(1).stall(std::time::Duration::from_secs(3)),
        );
        let pulls = (0..2).map(|number| {
            let (client, path, stalled) = (&client, &path, &stalled);
            async move {
                if number == 1 {
                    until("the first is under way", async || (stalled.count() == 1).then_some(())).await;
                }
                client.post_empty(format!("{path}/pull")).await
            }
        });
        let answers = futures_util::future::join_all(pulls).await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        // Where the listing itself is asked by UID FETCH, the second one can be the only one that gets through.
        assert!(statuses.contains(&200) && statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
        if let Some(refused) = answers.iter().find(|answer| answer.status == 409) {
            let _ = refused.problem(409, "conflict");
            assert_eq!(refused.header("retry-after"), "5");
        }
        pull_all(&client, &path).await;
        assert_eq!(client.get(format!("{path}/messages")).await.value(200)["items"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn a_mailbox_that_cannot_be_used_is_a_problem_with_the_probes_fields() {
    run(async {
        let (_, client) = service().await.tenant();
        for receive in Receive::BOTH {
            let protocol = if receive == Receive::Imap { Protocol::Imap } else { Protocol::Pop3 };
            let name = |what: &str| format!("{}-{what}", receive.name());
            let peer = Peer::start().await;
            let path = account(&client, &name("login"), &peer.account(receive, Way::Tls)).await;
            peer.sandbox.add_user(&peer.user, "another").unwrap();
            let problem = client.post_empty(format!("{path}/pull")).await.problem(502, "mail_auth_failed");
            assert_eq!(
                (&problem["receive"]["code"], &problem["receive"]["phase"], &problem["success"]),
                (&json!("auth_failed"), &json!("auth"), &json!(false)),
                "{problem}"
            );

            let peer = Peer::start().await;
            let path = account(&client, &name("gone"), &peer.account(receive, Way::Tls)).await;
            peer.sandbox.shutdown().await;
            let problem = client.post_empty(format!("{path}/pull")).await.problem(502, "mail_connect_failed");
            assert_eq!(
                (&problem["receive"]["code"], &problem["receive"]["connectionFailed"]),
                (&json!("connect_failed"), &json!(true)),
                "{problem}"
            );

            let peer = Peer::start().await;
            peer.sandbox.script(Rule::on(protocol).certificate(sandbox::Certificate::Expired));
            let path = account(&client, &name("tls"), &peer.account(receive, Way::Tls)).await;
            let problem = client.post_empty(format!("{path}/pull")).await.problem(502, "mail_tls_failed");
            assert_eq!(problem["receive"]["code"], "certificate_invalid");

            let peer = Peer::start().await;
            peer.sandbox.script(Rule::on(protocol).at(At::Connect).stall_forever());
            let path = account(&client, &name("silent"), &peer.account(receive, Way::Tls)).await;
            let problem = client.post_empty(format!("{path}/pull")).await.problem(504, "mail_server_timeout");
            assert_eq!(
                (&problem["receive"]["code"], &problem["receive"]["phase"]),
                (&json!("timeout"), &json!("greeting"))
            );
        }
        let peer = Peer::start().await;
        let mut settings = peer.account(Receive::Imap, Way::Tls);
        settings.as_object_mut().unwrap().remove("receive");
        let path = account(&client, "sending", &settings).await;
        let _ = client.post_empty(format!("{path}/pull")).await.problem(422, "invalid_request");
        let _ = client.post_empty("/v1/accounts/nobody/pull").await.problem(404, "account_not_found");
    });
}

#[test]
fn a_server_that_falls_silent_in_the_middle_of_a_message_is_a_timeout() {
    run(async {
        for (receive, protocol, command) in
            [(Receive::Pop3, Protocol::Pop3, "RETR"), (Receive::Imap, Protocol::Imap, "UID FETCH")]
        {
            let (_, client) = service().await.tenant();
            let peer = Peer::start().await;
            fill(&peer, &[corpus::plain(1)]).await;
            let path = account(&client, "mail", &peer.account(receive, Way::Tls)).await;
            peer.sandbox.script(Rule::on(protocol).at(At::Command(command)).times(1).stall_forever());
            let problem = client.post_empty(format!("{path}/pull")).await.problem(504, "mail_server_timeout");
            assert_eq!(
                (&problem["receive"]["code"], &problem["receive"]["phase"]),
                (&json!("timeout"), &json!("list")),
                "{receive:?}: {problem}"
            );
            assert_eq!(pull_all(&client, &path).await, 1, "{receive:?}");
        }
    });
}

#[test]
fn a_cut_in_the_middle_of_a_message_stores_no_half_and_the_next_pull_the_whole() {
    run(async {
        for (receive, protocol, command) in
            [(Receive::Pop3, Protocol::Pop3, "RETR"), (Receive::Imap, Protocol::Imap, "UID FETCH")]
        {
            let service = service().await;
            let (tenant, client) = service.tenant();
            let peer = Peer::start().await;
            let messages = vec![
                corpus::plain(1),
                corpus::with_attachment(2, "a.pdf", &Random::new(5).bytes(40_000)),
                corpus::plain(3),
            ];
            fill(&peer, &messages).await;
            let path = account(&client, "mail", &peer.account(receive, Way::Tls)).await;
            for bytes in [1, 300, 1_000, 20_000, 50_000] {
                peer.sandbox.clear_script();
                peer.sandbox.script(Rule::on(protocol).at(At::Command(command)).skip(1).times(1).drop_after(bytes));
                let answer = client.post_empty(format!("{path}/pull")).await;
                assert!([200, 502, 504].contains(&answer.status), "{}", answer.text());
                let state = end_state(&service.aws().await, &client, &tenant, "mail", &messages, &held(&peer)).await;
                let verdict = Verdict { orphans: 0, ..state.verdict() };
                assert_eq!(verdict, Verdict::default(), "{receive:?} cut after {bytes}");
            }
            peer.sandbox.clear_script();
            pull_all(&client, &path).await;
            let state = end_state(&service.aws().await, &client, &tenant, "mail", &messages, &[]).await;
            assert_eq!((state.verdict(), state.rows.len()), (Verdict::default(), 3), "{receive:?}");
        }
    });
}

#[test]
fn another_mailbox_under_the_same_account_is_pulled_afresh() {
    run(async {
        for receive in Receive::BOTH {
            let (_, client) = service().await.tenant();
            // Equal UIDs and UIDLs, other messages.
            let (old, new) = (Peer::start().await, Peer::start().await);
            fill(&old, &[corpus::plain(1)]).await;
            fill(&new, &[corpus::plain(2)]).await;
            let path = account(&client, "mail", &old.account(receive, Way::Tls)).await;
            assert_eq!(pull_all(&client, &path).await, 1);
            let _ = client.put(path.clone(), &new.account(receive, Way::Tls)).await.is(200);
            assert_eq!(pull_all(&client, &path).await, 1, "{receive:?}");
            let items = client.get(format!("{path}/messages")).await.value(200)["items"].clone();
            let mut subjects: Vec<_> =
                items.as_array().unwrap().iter().map(|item| item["subject"].as_str().unwrap()).collect();
            subjects.sort_unstable();
            assert_eq!(subjects, ["Message 1", "Message 2"]);
        }
    });
}

#[test]
fn a_pull_of_all_accounts_is_queued_and_done() {
    run(async {
        let service: &Service = service().await;
        let (_, client) = service.tenant();
        let mut peers = Vec::new();
        for name in ["one", "two"] {
            let peer = Peer::start().await;
            fill(&peer, &[corpus::plain(1)]).await;
            account(&client, name, &peer.account(Receive::Pop3, Way::Starttls)).await;
            peers.push(peer);
        }
        let mut sending = peers[0].account(Receive::Imap, Way::Tls);
        sending.as_object_mut().unwrap().remove("receive");
        account(&client, "sending", &sending).await;
        let answer = client.post_empty("/v1/pull").await.value(200);
        assert_eq!(
            answer,
            json!({"accounts": [{"account": "one", "queued": true}, {"account": "two", "queued": true}]})
        );
        for name in ["one", "two"] {
            until("a worker pulls it", async || {
                let items = client.get(format!("/v1/accounts/{name}/messages")).await.value(200)["items"].clone();
                (items.as_array().unwrap().len() == 1).then_some(())
            })
            .await;
        }
    });
}
