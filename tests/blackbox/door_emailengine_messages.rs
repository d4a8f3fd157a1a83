//! EmailEngine's door to messages: A3.3 and what A3.1 says about reading.

use sandbox::Folder;
use serde_json::{Value, json};
use tests::client::Client;
use tests::peer::{Peer, Receive, Way};
use tests::sha256;

use crate::pull::pull_all;
use crate::{account, masked, run, service};

/// The message of the seed, in another charset than UTF-8 and with a file.
fn seed() -> Vec<u8> {
    b"From: =?iso-8859-1?Q?Peter_P=F5der?= <Peter.Poder@example.com>\r\nTo: andris@emailengine.app\r\nSubject: Test message\r\n\
Date: Mon, 7 Oct 2019 06:05:23 +0000\r\nMessage-ID: <0ebdd7b084794911b03986c827128f1b@example.com>\r\nX-Twice: a\r\nX-Twice: b\r\nMIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\n\
Content-Type: text/plain; charset=iso-8859-1\r\n\r\nH\xe4llo from P\xf5der\r\n--a\r\nContent-Type: text/html; charset=us-ascii\r\n\r\n\
<p onclick=\"x()\">Hello</p>\r\n--a--\r\n--m\r\nContent-Type: image/png; name=checkmark.png\r\nContent-Transfer-Encoding: base64\r\n\
Content-Disposition: attachment; filename=checkmark.png\r\n\r\niVBORw0KGgo=\r\n--m--\r\n"
        .to_vec()
}

fn plain(number: usize) -> Vec<u8> {
    let to = "To: grace@example.test\r\nSubject: Number";
    format!("From: Ada <ada@example.test>\r\n{to} {number}\r\n\r\ncommon word{number}\r\n").into_bytes()
}

async fn mailbox(messages: Vec<Vec<u8>>) -> (Client, Peer) {
    let (_, client) = service().await.tenant();
    let peer = Peer::start().await;
    let count = messages.len() as u64;
    for message in messages {
        peer.sandbox.deliver(&peer.user, message).unwrap();
    }
    let path = account(&client, "example", &peer.account(Receive::Imap, Way::Tls)).await;
    assert_eq!(pull_all(&client, &path).await, count);
    (client, peer)
}

fn subjects(page: &Value) -> Vec<&str> {
    page["messages"].as_array().unwrap().iter().map(|message| message["subject"].as_str().unwrap()).collect()
}

/// A3.3/14, A3.3/16, A3.1/3.
#[test]
fn a_3_3_14_and_16_a_message_is_listed_and_read_as_the_seed_shows_it() {
    run(async {
        let (client, _peer) = mailbox(vec![seed()]).await;
        for base in ["", "/emailengine"] {
            let account = format!("{base}/v1/account/example");
            let page = client.get(format!("{account}/messages?path=INBOX")).await.value(200);
            let message = &page["messages"][0];
            let (id, part) = (message["id"].as_str().unwrap(), message["attachments"][0]["id"].as_str().unwrap());
            let wanted = json!({
                "id": id, "uid": 1, "path": "INBOX", "threadId": "*", "date": "*", "flags": [], "unseen": true, "size": seed().len(),
                "subject": "Test message", "from": {"name": "Peter P\u{f5}der", "address": "Peter.Poder@example.com"},
                "to": [{"name": "", "address": "andris@emailengine.app"}],
                "messageId": "<0ebdd7b084794911b03986c827128f1b@example.com>",
                "attachments": [{"id": part, "contentType": "image/png", "encodedSize": 8, "embedded": false, "inline": false, "filename": "checkmark.png"}],
                "text": {"id": id, "encodedSize": {"plain": 16, "html": 26}}, "preview": "H\u{e4}llo from P\u{f5}der",
            });
            assert_eq!(masked(message.clone(), &["/threadId", "/date"]), wanted);
            assert_eq!((&page["page"], &page["pages"], &page["total"]), (&json!(0), &json!(1), &json!(1)));

            let read = client.get(format!("{account}/message/{id}")).await.value(200);
            assert_eq!((&read["subject"], &read["from"]), (&wanted["subject"], &wanted["from"]));
            assert_eq!(read["headers"]["x-twice"], json!(["a", "b"]));
            assert_eq!(read["headers"]["subject"], json!(["Test message"]));
            let texts =
                client.get(format!("{account}/text/{}", wanted["text"]["id"].as_str().unwrap())).await.value(200);
            let html = "<p onclick=\"x()\">Hello</p>";
            assert_eq!(texts["plain"], "H\u{e4}llo from P\u{f5}der");
            assert_eq!((texts["html"].as_str().unwrap().trim_end(), &texts["hasMore"]), (html, &json!(false)));
            assert_eq!((&read["text"]["plain"], &read["text"]["html"]), (&texts["plain"], &texts["html"]));
            let cut = client.get(format!("{account}/text/{id}?textType=plain&maxBytes=2")).await.value(200);
            assert_eq!(cut, json!({"plain": "H", "hasMore": true}), "no half character");
            let safe = client.get(format!("{account}/text/{id}?textType=html&webSafeHtml=true")).await.value(200);
            assert!(!safe.to_string().contains("onclick"), "{safe}");

            let source = client.get(format!("{account}/message/{id}/source")).await;
            assert_eq!(sha256(&source.is(200).body), sha256(&seed()));
            assert_eq!(source.header("content-type"), "message/rfc822");
            let file = client.get(format!("{account}/attachment/{part}")).await;
            assert_eq!(file.is(200).body.as_ref(), b"\x89PNG\r\n\x1a\n");
            assert_eq!(file.header("content-type"), "image/png");
            assert!(file.header("content-disposition").contains("checkmark.png"));

            for gone in ["message/0123456789abcdef0123456789abcdef", "text/x", "attachment/x", "message/x/source"] {
                let missing = client.get(format!("{account}/{gone}")).await.value(404);
                assert_eq!(missing["statusCode"], 404, "{gone}");
            }
            let nobody = client.get(format!("{base}/v1/account/nobody/messages?path=INBOX")).await.value(404);
            assert_eq!(nobody["statusCode"], 404);
        }
    });
}

/// A3.3/13, A3.3/15, A3.1/8.
#[test]
fn a_3_3_13_and_15_pages_are_counted_from_zero_newest_first() {
    run(async {
        let (client, peer) = mailbox((0..12).map(plain).collect()).await;
        let path = "/v1/account/example/messages?path=inbox&pageSize=5";
        let mut met = Vec::new();
        for page in 0..3 {
            let shown = client.get(format!("{path}&page={page}")).await.value(200);
            assert_eq!((&shown["page"], &shown["pages"], &shown["total"]), (&json!(page), &json!(3), &json!(12)));
            let uids = shown["messages"].as_array().unwrap().iter().map(|message| message["uid"].as_u64().unwrap());
            met.extend(uids);
        }
        met.sort_unstable();
        assert_eq!(met, (1..=12).collect::<Vec<_>>(), "each once");
        let behind = client.get(format!("{path}&page=3")).await.value(200);
        assert_eq!(behind["messages"], json!([]));
        let other = client.get("/v1/account/example/messages?path=Junk").await.value(200);
        assert_eq!(other, json!({"total": 0, "page": 0, "pages": 1, "messages": []}));
        // Deleted by somebody else at the server: once a pull has seen it, nobody counts it.
        peer.sandbox.remove(&peer.user, Folder::Inbox, &[1, 12]).unwrap();
        assert_eq!(pull_all(&client, "/v1/accounts/example").await, 0);
        let left = client.get(format!("{path}&page=1")).await.value(200);
        assert_eq!(
            (&left["pages"], &left["total"], &left["messages"].as_array().unwrap().len()),
            (&json!(2), &json!(10), &5)
        );
        let wrong = client.get("/v1/account/example/messages?pageSize=0").await.value(400);
        assert_eq!(wrong["fields"][0]["key"], "pageSize");
    });
}

/// A3.1/8: a search is a list like others.
#[test]
fn a_3_1_8_messages_are_searched_and_paged() {
    run(async {
        let (client, _peer) = mailbox((0..7).map(plain).chain([seed()]).collect()).await;
        let search = async |query: &str, terms: Value| {
            let path = format!("/v1/account/example/search?{query}");
            client.post(path, &json!({"search": terms})).await.value(200)
        };
        let found = search("path=INBOX&pageSize=4&page=1", json!({"body": "common"})).await;
        assert_eq!((&found["total"], &found["pages"], subjects(&found).len()), (&json!(7), &json!(2), 3));
        let found = search("path=INBOX", json!({"from": "ada@example.test", "subject": "number 3"})).await;
        assert_eq!(subjects(&found), ["Number 3"]);
        let found = search("", json!({"unseen": true, "larger": 400})).await;
        assert_eq!((subjects(&found), &found["total"]), (vec!["Test message"], &json!(1)));
        let id = json!({"header": {"Message-ID": "<0ebdd7b084794911b03986c827128f1b@example.com>"}});
        assert_eq!(subjects(&search("path=INBOX", id).await), ["Test message"]);
        assert_eq!(search("path=INBOX", json!({"seen": true})).await["messages"], json!([]));
        let refused = client.post("/v1/account/example/search?path=INBOX", &json!({"search": {"seq": "1:*"}})).await;
        assert_eq!(refused.value(400)["fields"][0]["key"], "seq");
    });
}

/// A3.1/1: flags, folders and deletion without a word of IMAP.
#[test]
fn a_3_1_1_a_message_is_marked_moved_and_deleted_at_its_server() {
    run(async {
        let (client, peer) = mailbox((0..2).map(plain).collect()).await;
        let base = "/v1/account/example";
        let page = client.get(format!("{base}/messages?path=INBOX")).await.value(200);
        let id = page["messages"][0]["id"].as_str().unwrap().to_owned();
        let path = format!("{base}/message/{id}");
        let changed = client.put(path.clone(), &json!({"flags": {"add": ["\\Seen", "\\Flagged"]}})).await.value(200);
        assert_eq!(changed, json!({"flags": {"add": true}}));
        let shown = client.get(path.clone()).await.value(200);
        assert_eq!((shown.get("unseen"), &shown["flagged"]), (None, &json!(true)));
        assert!(peer.sandbox.messages(&peer.user).iter().any(|message| !message.flags.is_empty()));
        let refused = client.put(path.clone(), &json!({"labels": {"add": ["x"]}})).await.value(400);
        assert_eq!(refused["fields"][0]["key"], "labels");

        let moved = client.put(format!("{path}/move"), &json!({"path": "Junk"})).await.value(200);
        assert_eq!(moved, json!({"path": "Junk", "id": id, "uid": 1}));
        assert_eq!(peer.sandbox.folder(&peer.user, Folder::Junk).len(), 1);
        let there = client.get(format!("{base}/messages?path=Junk")).await.value(200);
        assert_eq!((&there["total"], &there["messages"][0]["id"]), (&json!(1), &json!(id)), "listed where it is now");
        let here = client.get(format!("{base}/messages?path=INBOX")).await.value(200);
        assert_eq!((&here["total"], here["messages"].as_array().unwrap().len()), (&json!(1), 1));
        // There and back again: it is counted where it is.
        for (to, totals) in [("INBOX", [2, 0]), ("Junk", [1, 1])] {
            let _ = client.put(format!("{path}/move"), &json!({"path": to})).await.is(200);
            for (folder, total) in ["INBOX", "Junk"].into_iter().zip(totals) {
                let page = client.get(format!("{base}/messages?path={folder}")).await.value(200);
                assert_eq!(
                    (&page["total"], page["messages"].as_array().unwrap().len()),
                    (&json!(total), total),
                    "{to}"
                );
            }
        }
        let found = client.post(format!("{base}/search?path=Junk"), &json!({"search": {"body": "common"}})).await;
        assert_eq!(found.value(200)["total"], 1, "and searched there");

        let deleted = client.delete(path.clone()).await.value(200);
        assert_eq!(deleted, json!({"deleted": false, "moved": {"destination": "Trash", "message": id}}));
        let other = here["messages"][0]["id"].as_str().unwrap();
        let gone = client.delete(format!("{base}/message/{other}?force=true")).await.value(200);
        assert_eq!(gone, json!({"deleted": true}));
        assert!(peer.sandbox.messages(&peer.user).is_empty());
        for folder in ["INBOX", "Junk"] {
            let page = client.get(format!("{base}/messages?path={folder}")).await.value(200);
            assert_eq!(page, json!({"total": 0, "page": 0, "pages": 1, "messages": []}), "{folder}");
        }

        let listed = client.get(format!("{base}/mailboxes?counters=true")).await.value(200);
        let mailboxes = listed["mailboxes"].as_array().unwrap();
        let trash = mailboxes.iter().find(|mailbox| mailbox["specialUse"] == "\\Trash").unwrap();
        assert_eq!((&trash["path"], &trash["listed"]), (&json!("Trash"), &json!(true)));
        assert_eq!((&trash["messages"], &trash["status"]["messages"]), (&json!(1), &json!(1)));
    });
}
