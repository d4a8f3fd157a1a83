//! What IMAP alone has: folders, UIDs that change their meaning, and messages that others change.

use std::collections::BTreeMap;

use sandbox::{At, Folder, Protocol, Rule};
use serde_json::{Value, json};
use tests::checker::{Verdict, end_state, listed};
use tests::client::Client;
use tests::corpus;
use tests::dovecot::Dovecot;
use tests::peer::{Peer, Receive, Way};

use crate::pull::pull_all;
use crate::{account, run, service};

/// An account at a sandbox that pulls these folders.
async fn pulling(client: &Client, peer: &Peer, folders: &[&str]) -> String {
    let mut settings = peer.account(Receive::Imap, Way::Tls);
    settings["receive"]["folders"] = json!(folders);
    account(client, "mail", &settings).await
}

/// Messages of which some are the same, byte for byte.
fn with_twins(from: usize, singles: usize, pairs: usize) -> Vec<Vec<u8>> {
    let twins = (0..pairs).flat_map(|number| [corpus::plain(from + number), corpus::plain(from + number)]);
    twins.chain((pairs..pairs + singles).map(|number| corpus::plain(from + number))).collect()
}

/// Subject, folder and flags of everything that is listed.
async fn shown(client: &Client) -> BTreeMap<String, (String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = listed(client, "mail").await;
    let flags = |item: &Value| item["flags"].as_array().unwrap().iter().map(text).collect();
    items.iter().map(|item| (text(&item["subject"]), (text(&item["folder"]), flags(item)))).collect()
}

/// Everything of a tenant's messages and ledgers: what an idle poll must not change.
async fn everything(tenant: &str) -> BTreeMap<String, Value> {
    service().await.aws().await.items_of(&format!("T#{tenant}#")).await
}

async fn id_of(client: &Client, subject: &str) -> String {
    let items = listed(client, "mail").await;
    let found = items.iter().find(|item| item["subject"] == subject);
    found.unwrap_or_else(|| panic!("{subject} in {items:?}"))["id"].as_str().unwrap().to_owned()
}

/// Fault row 4, P4 in short: UIDVALIDITY changes five times, and nothing is stored twice.
#[test]
fn a_renumbered_folder_is_found_again_by_its_content() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        let peer = Peer::start().await;
        let mut truth = with_twins(0, 60, 10);
        for message in &truth {
            peer.sandbox.deliver(&peer.user, message.clone()).unwrap();
        }
        let path = pulling(&client, &peer, &["INBOX"]).await;
        assert_eq!(pull_all(&client, &path).await, 80);
        for change in 0..5 {
            peer.sandbox.renumber(&peer.user, Folder::Inbox).unwrap();
            truth.push(corpus::plain(1000 + change));
            peer.sandbox.deliver(&peer.user, corpus::plain(1000 + change)).unwrap();
            if change == 1 {
                // The connection is lost in the middle: the next run goes on.
                let cut = Rule::on(Protocol::Imap).at(At::Command("UID FETCH")).matching("BODY.PEEK").times(1);
                let cut = peer.sandbox.script(cut.drop_after(20_000));
                let _ = client.post_empty(format!("{path}/pull")).await;
                assert_eq!(cut.count(), 1);
                assert_eq!(pull_all(&client, &path).await, 1);
            } else {
                let pulled = client.post_empty(format!("{path}/pull")).await.value(200);
                assert_eq!((&pulled["new"], &pulled["folders"][0]["reset"]), (&json!(1), &json!(true)), "{pulled}");
            }
            let idle = everything(&tenant).await;
            let pulled = client.post_empty(format!("{path}/pull")).await.value(200);
            assert_eq!((&pulled["new"], &pulled["folders"][0]["reset"]), (&json!(0), &json!(false)), "{pulled}");
            assert_eq!(everything(&tenant).await, idle, "an idle poll writes nothing");
        }
        let state = end_state(&service.aws().await, &client, &tenant, "mail", &truth, &truth).await;
        assert_eq!((state.verdict(), state.rows.len()), (Verdict::default(), 85));
        let items = everything(&tenant).await;
        let aliases = items.values().filter(|item| !item["alias"].is_null()).count();
        // Those that came before the last change: one for each, and none of the changes before.
        assert_eq!(aliases, 84, "what an alias led to before is gone");
        let ledger = items.iter().find(|(key, _)| key.contains(" / L#")).unwrap().1;
        assert_eq!((&ledger["folder"], &ledger["epoch"]), (&json!("INBOX"), &Value::Null), "{ledger}");
    });
}

/// Decision 12 through aliases: what was found again may be deleted by the run behind the one that found it.
#[test]
fn a_renumbered_folder_is_emptied_without_loss() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        let peer = Peer::start().await;
        let first = with_twins(0, 5, 2);
        for message in &first {
            peer.sandbox.deliver(&peer.user, message.clone()).unwrap();
        }
        let mut settings = peer.account(Receive::Imap, Way::Tls);
        settings["receive"]["keepOnServer"] = json!(false);
        let path = account(&client, "mail", &settings).await;
        assert_eq!(pull_all(&client, &path).await, 9);
        peer.sandbox.renumber(&peer.user, Folder::Inbox).unwrap();
        peer.sandbox.deliver(&peer.user, corpus::plain(50)).unwrap();
        assert_eq!(pull_all(&client, &path).await, 1);
        assert_eq!(peer.sandbox.messages(&peer.user).len(), 10, "found again in this run: not deleted by it");
        assert_eq!(pull_all(&client, &path).await, 0);
        assert!(peer.sandbox.messages(&peer.user).is_empty());
        assert_eq!(pull_all(&client, &path).await, 0);
        let truth = [first, vec![corpus::plain(50)]].concat();
        let state = end_state(&service.aws().await, &client, &tenant, "mail", &truth, &[]).await;
        assert_eq!((state.verdict(), state.rows.len()), (Verdict::default(), 10), "and nothing counts as deleted");
    });
}

/// Flags, moves and deletions by others are followed, with all that RFC 7162 has, with a part of it, and without.
#[test]
fn what_others_do_with_stored_messages_is_followed() {
    run(async {
        for hidden in [&[][..], &["QRESYNC"], &["QRESYNC", "CONDSTORE"]] {
            let service = service().await;
            let (tenant, client) = service.tenant();
            let peer = Peer::start().await;
            for name in hidden {
                peer.sandbox.script(Rule::on(Protocol::Imap).hide_capability(*name));
            }
            let uids: Vec<u32> =
                (0..6).map(|number| peer.sandbox.deliver(&peer.user, corpus::plain(number)).unwrap()).collect();
            let path = pulling(&client, &peer, &["INBOX", "\\Junk"]).await;
            assert_eq!(pull_all(&client, &path).await, 6);
            let (moved, gone) = (id_of(&client, "Message 2").await, id_of(&client, "Message 3").await);

            peer.sandbox.set_flags(&peer.user, Folder::Inbox, uids[1], &["\\Seen", "$Label"]).unwrap();
            peer.sandbox.move_to(&peer.user, Folder::Inbox, uids[2], Folder::Junk).unwrap();
            peer.sandbox.remove(&peer.user, Folder::Inbox, &[uids[3]]).unwrap();
            peer.sandbox.deliver(&peer.user, corpus::plain(6)).unwrap();
            assert_eq!(pull_all(&client, &path).await, 1, "{hidden:?}: what was moved is not new");
            let now = shown(&client).await;
            let of = |number: usize| now.get(&format!("Message {number}")).cloned();
            let flags = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>();
            assert_eq!(of(1), Some(("INBOX".to_owned(), flags(&["$Label", "\\Seen"]))), "{hidden:?}");
            assert_eq!(of(2), Some(("Junk".to_owned(), flags(&[]))), "{hidden:?}");
            assert_eq!(of(3), None, "{hidden:?}: deleted");
            assert_eq!(now.len(), 6, "{hidden:?}: {now:?}");
            assert_eq!(id_of(&client, "Message 2").await, moved, "the same message");
            let deleted = client.get(format!("{path}/messages/{gone}")).await.value(200);
            assert!(deleted["deletedAt"].is_string() && deleted["text"].is_string(), "readable still: {deleted}");

            // Back again, and read: followed under its alias.
            let uid = peer.sandbox.folder(&peer.user, Folder::Junk)[0].uid;
            let uid = peer.sandbox.move_to(&peer.user, Folder::Junk, uid, Folder::Inbox).unwrap();
            assert_eq!(pull_all(&client, &path).await, 0);
            peer.sandbox.set_flags(&peer.user, Folder::Inbox, uid, &["\\Seen"]).unwrap();
            assert_eq!(pull_all(&client, &path).await, 0);
            assert_eq!(shown(&client).await["Message 2"], ("INBOX".to_owned(), flags(&["\\Seen"])), "{hidden:?}");

            let (idle, lines) = (everything(&tenant).await, peer.sandbox.transcript().len());
            assert_eq!(pull_all(&client, &path).await, 0);
            assert_eq!(everything(&tenant).await, idle, "{hidden:?}: an idle poll writes nothing");
            let lines = peer.sandbox.transcript().split_off(lines);
            assert!(lines.iter().all(|line| !String::from_utf8_lossy(&line.bytes).contains("EXAMINE")));
        }
    });
}

/// performance.md: an idle poll of one folder is one connection and at most 1 KB inside TLS.
#[test]
fn an_idle_poll_takes_a_kilobyte() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        peer.sandbox.deliver(&peer.user, corpus::plain(1)).unwrap();
        let path = pulling(&client, &peer, &["INBOX"]).await;
        assert_eq!(pull_all(&client, &path).await, 1);
        let (before, logins) = (peer.sandbox.transcript().len(), peer.logins());
        assert_eq!(pull_all(&client, &path).await, 0);
        let bytes: usize = peer.sandbox.transcript()[before..].iter().map(|line| line.bytes.len()).sum();
        assert!(bytes <= 1024, "{bytes} bytes");
        assert_eq!(peer.logins(), logins + 1);
    });
}

#[test]
fn a_folder_that_is_missing_hides_no_other() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        peer.sandbox.append(&peer.user, Folder::Junk, corpus::plain(1), &["\\Seen"]).unwrap();
        peer.sandbox.append(&peer.user, Folder::Sent, corpus::plain(2), &[]).unwrap();
        let path = pulling(&client, &peer, &["Nowhere", "\\junk"]).await;
        let pulled = client.post_empty(format!("{path}/pull")).await.value(200);
        assert_eq!(pulled["new"], 1);
        assert_eq!(pulled["folders"][1]["folder"], "Junk", "{pulled}");
        assert!(pulled["folders"][0]["error"].as_str().unwrap().contains("No such folder"), "{pulled}");
        assert_eq!(shown(&client).await["Message 1"].1, ["\\Seen"]);

        let mut settings = peer.account(Receive::Imap, Way::Tls);
        settings["receive"]["folders"] = json!(["*"]);
        let _ = client.put(path.clone(), &settings).await.is(200);
        assert_eq!(pull_all(&client, &path).await, 1, "all of them, and nothing again");
        assert_eq!(shown(&client).await["Message 2"].0, "Sent");

        settings["receive"]["folders"] = json!(["Nowhere", "Nor here"]);
        let _ = client.put(path.clone(), &settings).await.is(200);
        let problem = client.post_empty(format!("{path}/pull")).await.problem(502, "mail_protocol_error");
        assert!(problem["detail"].as_str().unwrap().contains("No such folder"), "{problem}");
    });
}

/// Fault row 4b: UIDNEXT below the cursor, gaps, and FETCH in any order.
#[test]
fn a_server_that_counts_wrongly_loses_nothing() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        let peer = Peer::start().await;
        let mut truth: Vec<_> = (0..12).map(corpus::plain).collect();
        let uids: Vec<u32> =
            truth.iter().map(|message| peer.sandbox.deliver(&peer.user, message.clone()).unwrap()).collect();
        peer.sandbox.remove(&peer.user, Folder::Inbox, &uids[3..9]).unwrap();
        peer.sandbox.script(Rule::on(Protocol::Imap).at(At::Command("UID FETCH")).reversed());
        let path = pulling(&client, &peer, &["INBOX"]).await;
        assert_eq!(pull_all(&client, &path).await, 6);
        truth.drain(3..9);
        truth.push(corpus::plain(20));
        peer.sandbox.deliver(&peer.user, corpus::plain(20)).unwrap();
        // UIDNEXT goes back to 3 in both answers that tell it.
        let validity = "* OK [UIDVALIDITY 0] UIDs valid\r\n";
        let real = peer.sandbox.transcript().iter().rev().find_map(|line| {
            let text = String::from_utf8_lossy(&line.bytes).into_owned();
            Some(text.split_once("UIDVALIDITY ")?.1.split([']', ' ', ')']).next()?.to_owned())
        });
        let validity = validity.replace(" 0]", &format!(" {}]", real.unwrap()));
        let opened =
            format!("* 7 EXISTS\r\n{validity}* OK [UIDNEXT 3] Next UID\r\n{{tag}} OK [READ-ONLY] Examined\r\n");
        peer.sandbox.script(Rule::on(Protocol::Imap).at(At::Command("EXAMINE")).reply(opened).and_continue());
        assert_eq!(pull_all(&client, &path).await, 1);
        let state = end_state(&service.aws().await, &client, &tenant, "mail", &truth, &truth).await;
        assert_eq!((state.verdict(), state.rows.len()), (Verdict::default(), 7));
    });
}

/// The same against a server that nobody here wrote: renumbering, flags, moves and deletions.
#[test]
fn dovecot_is_followed_as_well() {
    run(async {
        let (dovecot, _) = crate::real::servers().await;
        let service = service().await;
        let (tenant, client) = service.tenant();
        let user = "followed@example.test";
        dovecot.deliver(user, &with_twins(0, 8, 1));
        let mut settings = crate::real::settings(user, Receive::Imap, Way::Tls).await;
        settings["receive"]["folders"] = json!(["INBOX", "\\Sent"]);
        let path = account(&client, "mail", &settings).await;
        assert_eq!(pull_all(&client, &path).await, 10);
        dovecot.change_epoch(user, 4_000_000_000);
        let pulled = client.post_empty(format!("{path}/pull")).await.value(200);
        assert_eq!((&pulled["new"], &pulled["folders"][0]["reset"]), (&json!(0), &json!(true)), "{pulled}");
        assert_eq!(pull_all(&client, &path).await, 0);

        act(dovecot, user);
        assert_eq!(pull_all(&client, &path).await, 0);
        let now = shown(&client).await;
        assert_eq!(now["Message 2"], ("INBOX".to_owned(), vec!["\\Seen".to_owned()]), "{now:?}");
        assert_eq!(now["Message 3"].0, "Gesendet", "{now:?}");
        assert!(!now.contains_key("Message 4"), "{now:?}");
        let idle = everything(&tenant).await;
        assert_eq!(pull_all(&client, &path).await, 0);
        assert_eq!(everything(&tenant).await, idle, "an idle poll writes nothing");
    });
}

/// Reads, moves and deletes a message with Dovecot's own tools.
fn act(dovecot: &Dovecot, user: &str) {
    let subject = |number: &str| ["mailbox", "INBOX", "subject", number].map(str::to_owned).to_vec();
    dovecot.doveadm(user, &["flags", "add", "\\Seen"], &subject("Message 2"));
    dovecot.doveadm(user, &["move", "Gesendet"], &subject("Message 3"));
    dovecot.doveadm(user, &["expunge"], &subject("Message 4"));
}

/// A change of a message by the API: at the server, in the row, and no news to the next pull.
#[test]
fn a_message_is_changed_at_its_server() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let peer = Peer::start().await;
        for number in 0..4 {
            peer.sandbox.deliver(&peer.user, corpus::plain(number)).unwrap();
        }
        let path = pulling(&client, &peer, &["INBOX", "Junk"]).await;
        assert_eq!(pull_all(&client, &path).await, 4);
        let (first, second) = (id_of(&client, "Message 0").await, id_of(&client, "Message 1").await);
        let patch = async |id: &str, change: Value| {
            client.ask(http::Method::PATCH, format!("{path}/messages/{id}")).json(&change).send().await
        };
        let flagged = patch(&first, json!({"flags": {"add": ["\\Seen", "$Label"]}})).await.value(200);
        assert_eq!((&flagged["flags"], &flagged["folder"]), (&json!(["$Label", "\\Seen"]), &json!("INBOX")));
        let moved = patch(&first, json!({"flags": {"remove": ["$Label"]}, "folder": "\\junk"})).await.value(200);
        assert_eq!((&moved["flags"], &moved["folder"]), (&json!(["\\Seen"]), &json!("Junk")));
        let junk = peer.sandbox.folder(&peer.user, Folder::Junk);
        assert_eq!((junk.len(), junk[0].flags.len()), (1, 1));
        let set = patch(&first, json!({"flags": {"set": []}})).await.value(200);
        assert_eq!((&set["flags"], &set["id"]), (&json!([]), &json!(first)), "under its new number");

        // To a folder that is not pulled, and on from there.
        assert_eq!(patch(&second, json!({"folder": "Drafts"})).await.value(200)["folder"], "Drafts");
        assert_eq!(
            patch(&second, json!({"flags": {"add": ["\\Draft"]}})).await.value(200)["flags"],
            json!(["\\Draft"])
        );
        assert_eq!(pull_all(&client, &path).await, 0, "nothing of this is news");
        let now = shown(&client).await;
        assert_eq!((now.len(), now["Message 0"].0.as_str(), now["Message 1"].0.as_str()), (4, "Junk", "Drafts"));

        patch(&first, json!({"folder": "Nowhere"})).await.names(&[("/folder", "not_found")]);
        patch(&first, json!({})).await.names(&[("/flags", "missing")]);
        patch(&first, json!({"flags": {"add": ["a b"]}, "folder": ""}))
            .await
            .names(&[("/flags/add/0", "invalid_value"), ("/folder", "invalid_value")]);
        let uid = peer.sandbox.folder(&peer.user, Folder::Junk)[0].uid;
        peer.sandbox.remove(&peer.user, Folder::Junk, &[uid]).unwrap();
        let gone = patch(&first, json!({"flags": {"add": ["\\Seen"]}})).await.problem(409, "conflict");
        assert!(gone["detail"].as_str().unwrap().contains("no longer there"), "{gone}");
        assert_eq!(peer.sandbox.messages(&peer.user).len(), 2);
        assert!(!everything(&tenant).await.is_empty());
    });
}

#[test]
fn a_message_is_deleted_at_its_server() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        for number in 0..4 {
            peer.sandbox.deliver(&peer.user, corpus::plain(number)).unwrap();
        }
        let path = pulling(&client, &peer, &["INBOX"]).await;
        assert_eq!(pull_all(&client, &path).await, 4);
        let delete = async |subject: &str, query: &str| {
            let id = id_of(&client, subject).await;
            let removed = client.delete(format!("{path}/messages/{id}{query}")).await.value(200);
            assert_eq!(removed["id"], id.as_str());
            (id, removed["deleted"].clone(), removed["folder"].clone())
        };
        let (id, deleted, folder) = delete("Message 0", "").await;
        assert_eq!((deleted, folder), (json!(false), json!("Trash")));
        assert_eq!(peer.sandbox.folder(&peer.user, Folder::Trash).len(), 1);
        let (other, deleted, folder) = delete("Message 1", "?permanent=true").await;
        assert_eq!((deleted, folder), (json!(true), Value::Null));
        assert_eq!(peer.sandbox.messages(&peer.user).len(), 2, "and no other");
        for id in [&id, &other] {
            assert!(client.get(format!("{path}/messages/{id}")).await.value(200)["deletedAt"].is_string());
            assert_eq!(
                client.delete(format!("{path}/messages/{id}")).await.value(200)["deleted"],
                true,
                "twice is once"
            );
        }
        assert_eq!(pull_all(&client, &path).await, 0);
        assert_eq!(shown(&client).await.len(), 2);
        peer.sandbox.script(Rule::on(Protocol::Imap).hide_capability("UIDPLUS"));
        let id = id_of(&client, "Message 2").await;
        let refused = client.delete(format!("{path}/messages/{id}?permanent=true")).await.problem(409, "conflict");
        assert!(refused["detail"].as_str().unwrap().contains("UIDPLUS"), "{refused}");
        assert_eq!(delete("Message 2", "").await.2, "Trash");

        // POP3: by its UIDL, at QUIT.
        let peer = Peer::start().await;
        for number in 0..2 {
            peer.sandbox.deliver(&peer.user, corpus::plain(number)).unwrap();
        }
        let path = account(&client, "drop", &peer.account(Receive::Pop3, Way::Tls)).await;
        assert_eq!(pull_all(&client, &path).await, 2);
        let items = listed(&client, "drop").await;
        let id = items.iter().find(|item| item["subject"] == "Message 0").unwrap()["id"].as_str().unwrap().to_owned();
        client.delete(format!("{path}/messages/{id}")).await.names(&[("?permanent", "missing")]);
        assert_eq!(client.delete(format!("{path}/messages/{id}?permanent=true")).await.value(200)["deleted"], true);
        assert_eq!(peer.sandbox.messages(&peer.user).len(), 1);
        assert_eq!(pull_all(&client, &path).await, 0);
        assert_eq!(listed(&client, "drop").await.len(), 1);
    });
}

#[test]
fn the_folders_of_a_mailbox_are_listed() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        peer.sandbox.append(&peer.user, Folder::Junk, corpus::plain(1), &[]).unwrap();
        let path = pulling(&client, &peer, &["INBOX", "\\Junk"]).await;
        let listed = client.get(format!("{path}/folders")).await.value(200);
        let items = listed["items"].as_array().unwrap();
        let of = |name: &str| items.iter().find(|item| item["name"] == name).unwrap_or_else(|| panic!("{listed}"));
        assert_eq!(items.len(), 5);
        let junk = of("Junk");
        assert_eq!(
            (&junk["specialUse"], &junk["messages"], &junk["unseen"], &junk["uidNext"], &junk["pulled"]),
            (&json!("\\Junk"), &json!(1), &json!(1), &json!(2), &json!(true))
        );
        assert!(junk["uidValidity"].is_number() && junk["delimiter"] == "/", "{junk}");
        assert_eq!((&of("INBOX")["pulled"], &of("Sent")["pulled"]), (&json!(true), &json!(false)));
        let path = account(&client, "drop", &peer.account(Receive::Pop3, Way::Tls)).await;
        let inbox = client.get(format!("{path}/folders")).await.value(200)["items"][0].clone();
        assert_eq!((&inbox["name"], &inbox["messages"], &inbox["pulled"]), (&json!("INBOX"), &json!(0), &json!(true)));
    });
}
