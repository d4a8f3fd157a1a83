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
pub(crate) async fn pulling(client: &Client, peer: &Peer, folders: &[&str]) -> String {
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
pub(crate) async fn shown(client: &Client) -> BTreeMap<String, (String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = listed(client, "mail").await;
    let flags = |item: &Value| item["flags"].as_array().unwrap().iter().map(text).collect();
    items.iter().map(|item| (text(&item["subject"]), (text(&item["folder"]), flags(item)))).collect()
}

/// Everything of a tenant's messages and ledgers: what an idle poll must not change.
pub(crate) async fn everything(tenant: &str) -> BTreeMap<String, Value> {
    service().await.aws().await.items_of(&format!("T#{tenant}#")).await
}

pub(crate) async fn id_of(client: &Client, subject: &str) -> String {
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

/// A server that does not offer some capabilities, with plain messages and their UIDs.
async fn peer_without(hidden: &[&str], messages: usize) -> (Peer, Vec<u32>) {
    let peer = Peer::start().await;
    for name in hidden {
        peer.sandbox.script(Rule::on(Protocol::Imap).hide_capability(*name));
    }
    let uids = (0..messages).map(|number| peer.sandbox.deliver(&peer.user, corpus::plain(number)).unwrap()).collect();
    (peer, uids)
}

/// Flags, moves and deletions by others are followed, with all that RFC 7162 has, with a part of it, and without.
#[test]
fn what_others_do_with_stored_messages_is_followed() {
    run(async {
        for hidden in [&[][..], &["QRESYNC"], &["QRESYNC", "CONDSTORE"]] {
            let service = service().await;
            let (tenant, client) = service.tenant();
            let (peer, uids) = peer_without(hidden, 6).await;
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

/// The last answer of a kind, as one line.
fn last_said(peer: &Peer, begin: &str) -> String {
    let lines = peer.sandbox.transcript();
    let said = lines.iter().rev().map(|line| String::from_utf8_lossy(&line.bytes).into_owned());
    let answer = said.into_iter().find(|text| text.lines().any(|line| line.starts_with(begin))).unwrap();
    answer.lines().find(|line| line.starts_with(begin)).unwrap().to_owned()
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
        let reversed = peer.sandbox.script(Rule::on(Protocol::Imap).at(At::Command("UID FETCH")).reversed());
        let path = pulling(&client, &peer, &["INBOX"]).await;
        assert_eq!(pull_all(&client, &path).await, 6);
        assert!(reversed.count() >= 2, "listing and bodies");
        assert_eq!(cursor(&tenant).await, 12);
        truth.drain(3..9);
        truth.push(corpus::plain(20));
        peer.sandbox.deliver(&peer.user, corpus::plain(20)).unwrap();
        // UIDNEXT goes back to 3 in both answers that tell it.
        let validity = last_said(&peer, "* OK [UIDVALIDITY ");
        let opened =
            format!("* 7 EXISTS\r\n{validity}\r\n* OK [UIDNEXT 3] Next UID\r\n{{tag}} OK [READ-ONLY] Examined\r\n");
        peer.sandbox.script(Rule::on(Protocol::Imap).at(At::Command("EXAMINE")).reply(opened).and_continue());
        let status = last_said(&peer, "* STATUS INBOX (").replace("UIDNEXT 13", "UIDNEXT 3");
        let status = format!("{status}\r\n{{tag}} OK Done\r\n");
        let status = peer.sandbox.script(Rule::on(Protocol::Imap).at(At::Command("STATUS")).reply(status));
        assert_eq!(pull_all(&client, &path).await, 1);
        assert_eq!((status.count(), cursor(&tenant).await), (1, 13), "I10: the cursor has not gone back");
        let state = end_state(&service.aws().await, &client, &tenant, "mail", &truth, &truth).await;
        assert_eq!((state.verdict(), state.rows.len()), (Verdict::default(), 7));
    });
}

/// The highest UID up to which the only folder is stored, as its ledger says.
async fn cursor(tenant: &str) -> u64 {
    let items = everything(tenant).await;
    let ledger = items.iter().find(|(key, _)| key.contains(" / L#")).unwrap().1;
    ledger["position"]["last"].as_u64().unwrap()
}

/// Fault row 4b: what is expunged between its listing and its FETCH is no loss and holds nothing up, and untagged
/// answers about others (EXPUNGE, VANISHED, FETCH of flags) are not taken for messages.
#[test]
fn what_is_expunged_while_it_is_fetched_holds_nothing_up() {
    run(async {
        for hidden in [&[][..], &["QRESYNC", "CONDSTORE"]] {
            let service = service().await;
            let (tenant, client) = service.tenant();
            let (peer, uids) = peer_without(hidden, 5).await;
            let listing = |uids: &[u32]| -> String {
                let line = |uid: &u32| {
                    format!(
                        "* {uid} FETCH (UID {uid} RFC822.SIZE 200 FLAGS () INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")"
                    )
                };
                uids.iter().map(|uid| line(uid) + "\r\n").collect::<String>() + "{tag} OK Done\r\n"
            };
            // Listed, and gone a moment later: in the middle, and the last one.
            let fetch = || Rule::on(Protocol::Imap).at(At::Command("UID FETCH"));
            let listed = peer.sandbox.script(fetch().matching("RFC822.SIZE FLAGS").times(1).reply(listing(&uids)));
            let others = "* 3 EXPUNGE\r\n* 1 FETCH (FLAGS (\\Seen))\r\n* VANISHED 3\r\n* 2 FETCH (UID 2 FLAGS ())\r\n";
            let bodies = peer.sandbox.script(fetch().matching("BODY.PEEK").times(1).prepend(others).reversed());
            peer.sandbox.remove(&peer.user, Folder::Inbox, &[uids[2], uids[4]]).unwrap();
            let path = pulling(&client, &peer, &["INBOX"]).await;
            assert_eq!(pull_all(&client, &path).await, 3, "{hidden:?}");
            assert_eq!((listed.count(), bodies.count(), cursor(&tenant).await), (1, 1, 5), "{hidden:?}");
            peer.sandbox.deliver(&peer.user, corpus::plain(5)).unwrap();
            assert_eq!(pull_all(&client, &path).await, 1, "{hidden:?}");
            let truth: Vec<_> = [0, 1, 3, 5].map(corpus::plain).into();
            let state = end_state(&service.aws().await, &client, &tenant, "mail", &truth, &truth).await;
            assert_eq!((state.verdict(), state.rows.len()), (Verdict::default(), 4), "{hidden:?}");
            let idle = everything(&tenant).await;
            assert_eq!(pull_all(&client, &path).await, 0);
            assert_eq!(everything(&tenant).await, idle, "{hidden:?}: an idle poll writes nothing");
        }
    });
}

/// What a run has stored that was cut off is missed by the next one, though the server does not tell what is gone.
#[test]
fn what_is_gone_after_a_run_that_was_cut_off_is_missed() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        peer.sandbox.script(Rule::on(Protocol::Imap).hide_capability("QRESYNC"));
        let uids: Vec<u32> =
            (0..9).map(|number| peer.sandbox.deliver(&peer.user, corpus::plain(number)).unwrap()).collect();
        let path = pulling(&client, &peer, &["INBOX"]).await;
        let bodies = Rule::on(Protocol::Imap).at(At::Command("UID FETCH")).matching("BODY.PEEK");
        let cut = peer.sandbox.script(bodies.times(1).drop_after(1_000));
        assert_ne!(client.post_empty(format!("{path}/pull")).await.status, 200);
        let stored = shown(&client).await.len();
        assert!(cut.count() == 1 && (1..9).contains(&stored), "{stored}");
        peer.sandbox.remove(&peer.user, Folder::Inbox, &uids[..1]).unwrap();
        assert_eq!(pull_all(&client, &path).await as usize, 9 - stored);
        let left = shown(&client).await;
        assert!(left.len() == 8 && !left.contains_key("Message 0"), "{left:?}");
    });
}

/// Without CONDSTORE no count tells that a message was flagged: it is seen with the next news, and however many
/// messages there are, only what has changed is read.
#[test]
fn flags_are_followed_where_the_server_does_not_tell() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        for name in ["QRESYNC", "CONDSTORE"] {
            peer.sandbox.script(Rule::on(Protocol::Imap).hide_capability(name));
        }
        let uids: Vec<u32> =
            (0..8).map(|number| peer.sandbox.deliver(&peer.user, corpus::plain(number)).unwrap()).collect();
        let path = pulling(&client, &peer, &["INBOX"]).await;
        assert_eq!(pull_all(&client, &path).await, 8);
        let flag = |at: usize, flags: &[&str]| {
            peer.sandbox.set_flags(&peer.user, Folder::Inbox, uids[at], flags).unwrap();
        };
        flag(0, &["\\Flagged", "$Label"]);
        flag(3, &["\\Seen"]);
        let since = peer.sandbox.transcript().len();
        assert_eq!(pull_all(&client, &path).await, 0);
        let now = shown(&client).await;
        assert_eq!(
            (now["Message 0"].1.join(" "), now["Message 3"].1.join(" ")),
            ("$Label \\Flagged".into(), "\\Seen".into())
        );
        let asked: Vec<String> = peer.sandbox.transcript()[since..]
            .iter()
            .map(|line| String::from_utf8_lossy(&line.bytes).into_owned())
            .filter(|line| line.contains(" UID FETCH ") && line.contains("(UID FLAGS)"))
            .collect();
        assert!(asked.len() == 1 && asked[0].contains(&format!("UID FETCH {},{} ", uids[0], uids[3])), "{asked:?}");

        // One was read and another one unread: the counts are the same. Something else has to happen first.
        flag(3, &[]);
        flag(4, &["\\Seen"]);
        flag(0, &["\\Answered"]);
        assert_eq!(pull_all(&client, &path).await, 0);
        peer.sandbox.deliver(&peer.user, corpus::plain(8)).unwrap();
        assert_eq!(pull_all(&client, &path).await, 1);
        let now = shown(&client).await;
        let flags = |number: usize| now[&format!("Message {number}")].1.join(" ");
        assert_eq!([flags(0), flags(3), flags(4), flags(5)], ["\\Answered", "", "\\Seen", ""]);
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
