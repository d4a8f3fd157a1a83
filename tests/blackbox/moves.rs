//! A message that others move at its server stays the one that it was, whichever half of the move is seen first.

use std::collections::BTreeMap;

use sandbox::{At, Folder, Protocol, Rule};
use serde_json::{Value, json};
use tests::checker::{Verdict, end_state, listed};
use tests::peer::{Peer, Receive, Way};
use tests::{corpus, until};

use crate::imap::{id_of, pulling, shown};
use crate::pull::pull_all;
use crate::{account, run, service};

const ORDERS: [[&str; 2]; 2] = [["INBOX", "Junk"], ["Junk", "INBOX"]];

/// A server, with names for its messages (RFC 8474) or without.
async fn server(named: bool) -> Peer {
    let peer = Peer::start().await;
    if named {
        peer.sandbox.script(Rule::on(Protocol::Imap).offer_capability("OBJECTID"));
    }
    peer
}

fn deliver(peer: &Peer, messages: &[Vec<u8>]) {
    for message in messages {
        peer.sandbox.deliver(&peer.user, message.clone()).unwrap();
    }
}

/// What was said since a moment, decrypted.
fn said(peer: &Peer, since: usize) -> Vec<String> {
    let lines = peer.sandbox.transcript().split_off(since);
    lines.iter().map(|line| String::from_utf8_lossy(&line.bytes).into_owned()).collect()
}

/// Has STATUS say once more what it said last of a folder: what comes to it now comes right behind the look at it.
fn as_before(peer: &Peer, folder: Folder, times: usize) {
    let begin = format!("* STATUS {} ", folder.name());
    let last = said(peer, 0).into_iter().rev().find(|line| line.starts_with(&begin)).unwrap();
    let line = last.lines().next().unwrap();
    let rule = Rule::on(Protocol::Imap).at(At::Command("STATUS")).matching(folder.name()).times(times);
    peer.sandbox.script(rule.reply(format!("{line}\r\n{{tag}} OK Done\r\n")));
}

fn move_to_junk(peer: &Peer, message: usize) {
    let subject = format!("Subject: Message {message}\r\n");
    let inbox = peer.sandbox.messages(&peer.user);
    let found = inbox.iter().find(|stored| String::from_utf8_lossy(&stored.bytes).contains(&subject)).unwrap();
    peer.sandbox.move_to(&peer.user, Folder::Inbox, found.uid, Folder::Junk).unwrap();
}

/// Kinds of the events about each message, by its id, and what they say has changed, once so many are there.
async fn told(tenant: &str, count: usize) -> BTreeMap<String, Vec<(String, Value)>> {
    let service = service().await;
    let events = until("the events arrive", async || {
        let events = service.aws().await.events(tenant).await;
        (events.len() >= count).then_some(events)
    })
    .await;
    let mut told: BTreeMap<String, Vec<(String, Value)>> = BTreeMap::new();
    for event in events {
        let data = &event["detail"]["data"];
        let kind = event["detail-type"].as_str().unwrap().to_owned();
        told.entry(data["message"]["id"].as_str().unwrap().to_owned())
            .or_default()
            .push((kind, data["changes"].clone()));
    }
    told
}

/// Both halves in one run; the first half in an earlier look of it than the second; the second half first; and the second
/// half in a later run.
#[test]
fn a_move_is_followed_whichever_half_is_seen_first() {
    run(async {
        for (named, order) in [(false, ORDERS[0]), (false, ORDERS[1]), (true, ORDERS[0]), (true, ORDERS[1])] {
            let (tenant, client) = service().await.tenant();
            let peer = server(named).await;
            let truth: Vec<_> = (0..6).map(corpus::plain).collect();
            deliver(&peer, &truth);
            let path = pulling(&client, &peer, &order).await;
            assert_eq!(pull_all(&client, &path).await, 6);
            let mut ids = Vec::new();
            for number in 0..6 {
                ids.push(id_of(&client, &format!("Message {number}")).await);
            }
            let since = peer.sandbox.transcript().len();

            move_to_junk(&peer, 0);
            assert_eq!(pull_all(&client, &path).await, 0, "{named} {order:?}: both halves at once");
            assert_eq!(shown(&client).await["Message 0"].0, "Junk");

            as_before(&peer, Folder::Junk, 1);
            move_to_junk(&peer, 1);
            assert_eq!(pull_all(&client, &path).await, 0, "{named} {order:?}: first what is gone");
            assert_eq!(shown(&client).await["Message 1"].0, "Junk");

            as_before(&peer, Folder::Inbox, 1);
            move_to_junk(&peer, 2);
            assert_eq!(pull_all(&client, &path).await, 0, "{named} {order:?}: first what has come");
            assert_eq!(shown(&client).await["Message 2"].0, "Junk");
            assert_eq!(pull_all(&client, &path).await, 0, "{named} {order:?}: and then what is gone");
            assert_eq!(shown(&client).await["Message 2"].0, "Junk");

            as_before(&peer, Folder::Junk, 2);
            move_to_junk(&peer, 3);
            assert_eq!(pull_all(&client, &path).await, 0, "{named} {order:?}: in a later run");
            assert!(!shown(&client).await.contains_key("Message 3"));
            assert_eq!(pull_all(&client, &path).await, 0, "{named} {order:?}: in this run");
            assert_eq!(shown(&client).await["Message 3"].0, "Junk");
            if named {
                let bodies = said(&peer, since).into_iter().filter(|line| line.contains("BODY.PEEK")).count();
                assert_eq!(bodies, 0, "the server's names are enough");
            }

            let state = end_state(&service().await.aws().await, &client, &tenant, "mail", &truth, &truth).await;
            assert_eq!((state.verdict(), state.rows.len()), (Verdict::default(), 6), "{named} {order:?}");
            let told = told(&tenant, 6 + 5).await;
            let kinds = |number: usize| told[&ids[number]].iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>();
            let changes = json!({"folder": "Junk", "previousFolder": "INBOX"});
            for number in 0..3 {
                assert_eq!(kinds(number), ["message.received", "message.updated"], "{named} {order:?} {number}");
                assert_eq!(told[&ids[number]][1].1, changes);
            }
            assert_eq!(kinds(3), ["message.received", "message.deleted", "message.updated"], "{named} {order:?}");
            assert_eq!(told[&ids[3]][2].1["restored"], true);
            assert_eq!((kinds(4), told.len()), (vec!["message.received"], 6));
        }
    });
}

/// What this account deletes after storing it is not missed; moved before it was deleted, it is not stored again.
#[test]
fn what_is_to_be_deleted_and_is_moved_before_is_stored_once() {
    run(async {
        for (named, order) in [(false, ORDERS[0]), (false, ORDERS[1]), (true, ORDERS[1])] {
            let (tenant, client) = service().await.tenant();
            let peer = server(named).await;
            let mut truth: Vec<_> = (0..3).map(corpus::plain).collect();
            deliver(&peer, &truth);
            let mut settings = peer.account(Receive::Imap, Way::Tls);
            (settings["receive"]["folders"], settings["receive"]["keepOnServer"]) = (json!(order), json!(false));
            let path = account(&client, "mail", &settings).await;
            assert_eq!(pull_all(&client, &path).await, 3);
            let id = id_of(&client, "Message 1").await;
            move_to_junk(&peer, 1);
            truth.push(corpus::plain(7));
            peer.sandbox.deliver(&peer.user, truth[3].clone()).unwrap();
            assert_eq!(pull_all(&client, &path).await, 1, "{named} {order:?}: what was moved is not new");
            assert_eq!((id_of(&client, "Message 1").await, shown(&client).await["Message 1"].0.as_str()), (id, "Junk"));
            until("all is deleted at the server", async || {
                assert_eq!(pull_all(&client, &path).await, 0);
                let left = [Folder::Inbox, Folder::Junk].map(|folder| peer.sandbox.folder(&peer.user, folder).len());
                (left == [0, 0]).then_some(())
            })
            .await;
            let state = end_state(&service().await.aws().await, &client, &tenant, "mail", &truth, &[]).await;
            assert_eq!((state.verdict(), state.rows.len()), (Verdict::default(), 4), "{named} {order:?}");
        }
    });
}

/// A copy is a message of its own, whatever the server calls it (RFC 8474 §5.1: it has the name of what it is copied from).
#[test]
fn a_copy_is_no_move() {
    run(async {
        for named in [false, true] {
            let (tenant, client) = service().await.tenant();
            let peer = server(named).await;
            peer.sandbox.deliver(&peer.user, corpus::plain(0)).unwrap();
            let path = pulling(&client, &peer, &ORDERS[0]).await;
            assert_eq!(pull_all(&client, &path).await, 1);
            let uid = peer.sandbox.messages(&peer.user)[0].uid;
            peer.sandbox.copy_to(&peer.user, Folder::Inbox, uid, Folder::Junk).unwrap();
            assert_eq!(pull_all(&client, &path).await, 1, "{named}");
            let folders: Vec<_> = listed(&client, "mail").await.iter().map(|item| item["folder"].clone()).collect();
            assert!(folders.len() == 2 && folders[0] != folders[1], "{folders:?}");
            // Only marked as deleted, as clients do that know no MOVE: it counts as moved from there on.
            peer.sandbox.deliver(&peer.user, corpus::plain(1)).unwrap();
            assert_eq!(pull_all(&client, &path).await, 1);
            let uid = peer.sandbox.messages(&peer.user)[1].uid;
            peer.sandbox.copy_to(&peer.user, Folder::Inbox, uid, Folder::Junk).unwrap();
            peer.sandbox.set_flags(&peer.user, Folder::Inbox, uid, &["\\Deleted"]).unwrap();
            assert_eq!(pull_all(&client, &path).await, 0, "{named}");
            assert_eq!(shown(&client).await["Message 1"].0, "Junk");
            peer.sandbox.remove(&peer.user, Folder::Inbox, &[uid]).unwrap();
            assert_eq!(pull_all(&client, &path).await, 0, "{named}");
            let truth = [corpus::plain(0), corpus::plain(0), corpus::plain(1)];
            let state = end_state(&service().await.aws().await, &client, &tenant, "mail", &truth, &truth).await;
            assert_eq!((state.verdict(), state.rows.len()), (Verdict::default(), 3), "{named}");
        }
    });
}

/// Fault row 4 where the server names its messages (RFC 8474): no body comes twice.
#[test]
fn a_renumbered_folder_is_found_again_by_the_servers_names() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        let peer = server(true).await;
        let mut truth: Vec<_> = (0..20).map(|number| corpus::plain(number / 2)).collect();
        deliver(&peer, &truth);
        let path = pulling(&client, &peer, &["INBOX"]).await;
        assert_eq!(pull_all(&client, &path).await, 20);
        let before: BTreeMap<_, _> = listed(&client, "mail")
            .await
            .into_iter()
            .map(|item| (item["emailId"].as_str().unwrap().to_owned(), item["id"].clone()))
            .collect();
        assert_eq!(before.len(), 20, "twins have names of their own");
        let since = peer.sandbox.transcript().len();
        peer.sandbox.renumber(&peer.user, Folder::Inbox).unwrap();
        truth.push(corpus::plain(50));
        peer.sandbox.deliver(&peer.user, truth[20].clone()).unwrap();
        let pulled = client.post_empty(format!("{path}/pull")).await.value(200);
        assert_eq!((&pulled["new"], &pulled["folders"][0]["reset"]), (&json!(1), &json!(true)), "{pulled}");
        let bodies: Vec<_> = said(&peer, since).into_iter().filter(|line| line.contains("BODY.PEEK")).collect();
        assert!(bodies.len() == 1 && bodies[0].contains("UID FETCH 21 "), "{bodies:?}");
        let after = listed(&client, "mail").await;
        let same = |item: &&Value| before.get(item["emailId"].as_str().unwrap()) == Some(&item["id"]);
        assert_eq!((after.len(), after.iter().filter(same).count()), (21, 20));
        let state = end_state(&service.aws().await, &client, &tenant, "mail", &truth, &truth).await;
        assert_eq!(state.verdict(), Verdict::default());
    });
}
