//! What a caller does with a stored message is done at its server, and said clearly where that will not have it.

use sandbox::{At, Folder, Protocol, Rule};
use serde_json::{Value, json};
use tests::checker::listed;
use tests::client::{Answer, Client};
use tests::corpus;
use tests::peer::{Peer, Receive, Way};

use crate::imap::{everything, id_of, pulling, shown};
use crate::pull::pull_all;
use crate::{account, run, service};

async fn patch(client: &Client, path: &str, id: &str, change: Value) -> Answer {
    client.ask(http::Method::PATCH, format!("{path}/messages/{id}")).json(&change).send().await
}

/// A server with these messages, all of them pulled, and the path of the account.
async fn pulled(client: &Client, messages: usize) -> (Peer, String) {
    let peer = Peer::start().await;
    for number in 0..messages {
        peer.sandbox.deliver(&peer.user, corpus::plain(number)).unwrap();
    }
    let path = pulling(client, &peer, &["INBOX"]).await;
    assert_eq!(pull_all(client, &path).await as usize, messages);
    (peer, path)
}

/// What is said of a wish that the server does not fulfil: of this it is no fault.
async fn said(answer: Answer) -> String {
    answer.problem(409, "conflict")["detail"].as_str().unwrap().to_owned()
}

#[test]
fn what_a_server_will_not_do_is_said() {
    run(async {
        let (_, client) = service().await.tenant();
        let (peer, path) = pulled(&client, 3).await;
        let id = id_of(&client, "Message 0").await;
        let message = format!("{path}/messages/{id}");
        let (flag, file) = (json!({"flags": {"add": ["\\Flagged"]}}), json!({"folder": "Junk"}));
        let on = |verb: &'static str| Rule::on(Protocol::Imap).at(At::Command(verb));

        peer.sandbox.script(on("SELECT").completion("{tag} OK [READ-ONLY] Selected\r\n").times(3));
        assert!(said(patch(&client, &path, &id, flag.clone()).await).await.contains("reading only"));
        assert!(said(patch(&client, &path, &id, file.clone()).await).await.contains("reading only"));
        assert!(said(client.delete(message.clone()).await).await.contains("reading only"));

        peer.sandbox.script(on("UID STORE").reply("{tag} NO [NOPERM] You may not write here\r\n").times(1));
        assert!(said(patch(&client, &path, &id, flag.clone()).await).await.contains("You may not write here"));
        peer.sandbox.script(on("UID MOVE").reply("{tag} NO [CANNOT] Not into this one\r\n").times(1));
        assert!(said(patch(&client, &path, &id, file.clone()).await).await.contains("Not into this one"));

        // A folder that is not there: nothing is done by halves.
        let both = json!({"flags": {"add": ["\\Flagged"]}, "folder": "\\Archive"});
        patch(&client, &path, &id, both).await.names(&[("/folder", "not_found")]);
        // Renamed by somebody else.
        peer.sandbox.script(on("SELECT").reply("{tag} NO [NONEXISTENT] No such folder\r\n").times(1));
        assert!(said(patch(&client, &path, &id, flag).await).await.contains("no longer there"));
        assert!(peer.sandbox.messages(&peer.user).iter().all(|stored| stored.flags.is_empty()), "nothing has changed");

        // Neither MOVE nor UIDPLUS: no single message can be moved.
        peer.sandbox.script(Rule::on(Protocol::Imap).hide_capability("MOVE"));
        peer.sandbox.script(Rule::on(Protocol::Imap).hide_capability("UIDPLUS"));
        assert!(said(patch(&client, &path, &id, file).await).await.contains("neither MOVE nor UIDPLUS"));
        assert!(said(client.delete(message.clone()).await).await.contains("neither MOVE nor UIDPLUS"));
        assert!(said(client.delete(format!("{message}?permanent=true")).await).await.contains("UIDPLUS"));
        assert_eq!(peer.sandbox.messages(&peer.user).len(), 3);

        // Gone at the server already: deleted is deleted.
        let uid = peer.sandbox.messages(&peer.user)[0].uid;
        peer.sandbox.remove(&peer.user, Folder::Inbox, &[uid]).unwrap();
        assert_eq!(client.delete(message).await.value(200)["deleted"], true);
        assert_eq!(shown(&client).await.len(), 2);
    });
}

/// RFC 4315 §2.1: what others have marked as deleted stays theirs.
#[test]
fn without_move_a_message_is_copied_and_no_other_is_expunged() {
    run(async {
        let (_, client) = service().await.tenant();
        let (peer, path) = pulled(&client, 3).await;
        peer.sandbox.script(Rule::on(Protocol::Imap).hide_capability("MOVE"));
        let uids: Vec<u32> = peer.sandbox.messages(&peer.user).iter().map(|stored| stored.uid).collect();
        peer.sandbox.set_flags(&peer.user, Folder::Inbox, uids[2], &["\\Deleted"]).unwrap();
        let id = id_of(&client, "Message 0").await;
        assert_eq!(patch(&client, &path, &id, json!({"folder": "Junk"})).await.value(200)["folder"], "Junk");
        let id = id_of(&client, "Message 1").await;
        assert_eq!(client.delete(format!("{path}/messages/{id}?permanent=true")).await.value(200)["deleted"], true);
        let left: Vec<u32> = peer.sandbox.messages(&peer.user).iter().map(|stored| stored.uid).collect();
        assert_eq!((left, peer.sandbox.folder(&peer.user, Folder::Junk).len()), (vec![uids[2]], 1));
        let lines = peer.sandbox.transcript();
        let plain = lines.iter().filter(|line| String::from_utf8_lossy(&line.bytes).ends_with(" EXPUNGE\r\n"));
        assert!(plain.into_iter().all(|line| line.bytes.starts_with(b"* ")), "the server says it, and nobody else");
    });
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
        let patch = async |id: &str, change: Value| patch(&client, &path, id, change).await;
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
