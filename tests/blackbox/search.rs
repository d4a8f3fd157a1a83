//! Search: what was pulled or sent is found by the words of its header and its text.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tests::client::Client;
use tests::peer::{Peer, Receive, Way};

use crate::outbox::ahead;
use crate::pull::pull_all;
use crate::send::sender;
use crate::{account, run, service};

fn message(from: &str, subject: &str, text: &str) -> Vec<u8> {
    let head = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit";
    format!("From: {from}\r\nTo: grace@example.test\r\nSubject: {subject}\r\n{head}\r\n\r\n{text}\r\n").into_bytes()
}

/// Subjects of what is found, page by page.
async fn found(client: &Client, path: &str, query: &[(&str, &str)]) -> Vec<String> {
    let (mut subjects, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let pairs = query.iter().copied().chain(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let pairs: Vec<String> =
            pairs.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))).collect();
        let page = client.get(format!("{path}/messages?{}", pairs.join("&"))).await.value(200);
        let subject = |item: &Value| item["subject"].as_str().unwrap().to_owned();
        subjects.extend(page["items"].as_array().unwrap().iter().map(subject));
        cursor = page["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return subjects;
        }
    }
}

#[test]
fn what_was_pulled_is_found_by_its_words_and_filtered_like_any_list() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let messages = [
            message("Ada Straße <ada@example.test>", "one", "The Résumé of Müller, due date tomorrow"),
            message("bob@example.org", "two invoices", "date due; résumés of ada"),
            message("bob@example.org", "three", "<b>Not</b> markup: price 3,50 at example.com"),
        ];
        for message in &messages {
            peer.sandbox.deliver(&peer.user, message.clone()).unwrap();
        }
        let path = account(&client, "mail", &peer.account(Receive::Pop3, Way::Tls)).await;
        assert_eq!(pull_all(&client, &path).await, 3);
        for (query, wanted) in [
            ("resume", vec!["one"]),
            ("STRASSE", vec!["one"]),
            ("date due", vec!["one", "two invoices"]),
            ("\"due date\"", vec!["one"]),
            ("\"Date, due\"", vec!["two invoices"]),
            ("ada", vec!["one", "two invoices"]),
            ("from:ada", vec!["one"]),
            ("from:bob@example.org subject:three", vec!["three"]),
            ("subject:date", vec![]),
            ("invoice", vec![]),
            ("ada@example.test", vec!["one"]),
            ("grace@example.test", vec!["one", "three", "two invoices"]),
            ("price 50 example", vec!["three"]),
            ("nothing", vec![]),
        ] {
            let mut subjects = found(&client, &path, &[("q", query), ("limit", "1")]).await;
            subjects.sort();
            assert_eq!(subjects, wanted, "{query}");
        }
        for (name, value, wanted) in [
            ("from", "bob", 1),
            ("direction", "outgoing", 0),
            ("before", "2000-01-01T00:00:00Z", 0),
            ("unseen", "true", 2),
        ] {
            assert_eq!(found(&client, &path, &[("q", "due"), (name, value)]).await.len(), wanted, "{name}");
        }
        for wrong in ["", "%22%22", "a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+q"] {
            client.get(format!("{path}/messages?q={wrong}")).await.names(&[("?q", "invalid_value")]);
        }
        let _ = client.get("/v1/accounts/nobody/messages?q=x").await.problem(404, "account_not_found");
    });
}

/// The index of words of a tenant's account `mail`: how many messages are in segments.
async fn in_segments(tenant: &str) -> u64 {
    let index = service().await.aws().await.items_of(&format!("T#{tenant}#W#mail")).await;
    let segments = index.values().find_map(|item| item["segments"].as_array());
    segments.into_iter().flatten().map(|segment| segment["docs"].as_u64().unwrap()).sum()
}

#[test]
fn a_mailbox_is_searched_whether_words_are_in_the_tail_or_in_segments() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let peer = Peer::start().await;
        let path = account(&client, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        // Behind one message of 128 the pull moves words into a segment; its id decides, and nobody knows that before.
        let mut count = 0;
        while in_segments(&tenant).await == 0 {
            for number in count..count + 50 {
                let message = message("ada@example.test", &format!("n{number}"), &format!("all word{}", number % 10));
                peer.sandbox.deliver(&peer.user, message).unwrap();
            }
            assert_eq!(pull_all(&client, &path).await, 50);
            count += 50;
            assert!(count < 5_000, "once in 10^17 runs");
        }
        assert!((32..=count as u64).contains(&in_segments(&tenant).await));
        assert_eq!(found(&client, &path, &[("q", "all"), ("limit", "100")]).await.len(), count);
        for number in [0, 7] {
            let mut subjects = found(&client, &path, &[("q", &format!("all word{number}"))]).await;
            let mut wanted: Vec<_> = (0..count / 10).map(|round| format!("n{}", round * 10 + number)).collect();
            subjects.sort();
            wanted.sort();
            assert_eq!(subjects, wanted);
        }
    });
}

/// Sending writes nothing for it: a search reads what was sent lately, and lets what is older join the index.
#[test]
fn what_was_sent_is_found_and_joins_the_index_where_it_is_much() {
    run(async {
        let (tenant, client, _peer, path) = sender().await;
        let file =
            json!({"filename": "Quarterly figures.pdf", "contentType": "application/pdf", "content": "SGVsbG8="});
        let mail = |number: usize| {
            json!({"account": "mail", "to": "Bob Stone <bob@example.org>", "subject": format!("n{number}"),
                "html": format!("<p>all of word{number}</p>"), "attachments": [file], "sendAt": ahead(86_400)})
        };
        let send = async |numbers: std::ops::Range<usize>| {
            let mails: Vec<_> = numbers.map(mail).collect();
            let accepted = client.post("/v1/messages/batch", &json!({"messages": mails})).await.value(200);
            assert!(accepted["results"].as_array().unwrap().iter().all(|result| result["status"] == 202), "{accepted}");
        };
        let check = async |all: usize| {
            for (query, wanted) in [
                ("word7", 1),
                ("\"all of word7\"", 1),
                ("stone figures", all),
                ("to:bob@example.org word59", 1),
                ("from:ada word8", 1),
                ("p", 0),
            ] {
                assert_eq!(found(&client, &path, &[("q", query), ("limit", "100")]).await.len(), wanted, "{query}");
            }
        };
        send(0..70).await;
        check(70).await;
        assert_eq!(found(&client, &path, &[("q", "all"), ("direction", "incoming")]).await.len(), 0);
        assert_eq!(in_segments(&tenant).await, 0, "they are too young");
        send(70..140).await;
        send(140..210).await;
        // So many within two minutes that one search does not read them all, and says so.
        let page = client.get(format!("{path}/messages?q=word7")).await.value(200);
        assert!(page["notSearchedSince"].as_str().unwrap() > "2026", "{page}");
        // Time goes by.
        let aws = service().await.aws().await;
        for (key, row) in aws.items_of(&format!("T#{tenant}#M#")).await {
            let Some(place) = row["lsk"].as_str() else { continue };
            aws.set_text(&key, "lsk", &format!("2026-01-01T00:00:00.000Z{}", &place[place.find('#').unwrap()..])).await;
        }
        check(210).await;
        assert_eq!(in_segments(&tenant).await, 210);
        let page = client.get(format!("{path}/messages?q=word7")).await.value(200);
        assert_eq!(page.get("notSearchedSince"), None);
        // What is edited is found by what it says now.
        let items = client.get(format!("{path}/messages?q=word7")).await.value(200)["items"].clone();
        let id = items[0]["id"].as_str().unwrap();
        let edit = client.ask(Method::PATCH, format!("/v1/outbox/{id}")).json(&json!({"html": "<p>changed</p>"}));
        let _ = edit.send().await.is(200);
        assert_eq!(found(&client, &path, &[("q", "changed")]).await, ["n7"]);
    });
}

/// What is read again, or announced again, is found once; by what it says now.
#[test]
fn what_is_read_again_is_found_once() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let peer = Peer::start().await;
        for number in 0..3 {
            let message = message("ada@example.test", &format!("n{number}"), "words");
            peer.sandbox.deliver(&peer.user, message).unwrap();
        }
        let path = account(&client, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        assert_eq!(pull_all(&client, &path).await, 3);
        let aws = service().await.aws().await;
        let tail = format!("T#{tenant}#W#mail / E#");
        // The index as it is where nothing could be read.
        for key in aws.items_of(&tail).await.into_keys() {
            aws.delete(&key).await;
        }
        assert_eq!(found(&client, &path, &[("q", "words")]).await.len(), 0);
        let since = json!({"since": "2026-01-01T00:00:00Z"});
        for _ in 0..2 {
            assert_eq!(client.post(format!("{path}/reparse"), &since).await.value(200)["reparsed"], 3);
            let rewound = client.post(format!("{path}/rewind"), &json!({"to": "2026-01-01T00:00:00Z"})).await;
            assert_eq!(rewound.value(200)["announced"], 3);
            let mut subjects = found(&client, &path, &[("q", "words"), ("limit", "2")]).await;
            subjects.sort();
            assert_eq!(subjects, ["n0", "n1", "n2"]);
        }
        let page = client.get("/v1/account/mail/messages?path=INBOX").await.value(200);
        assert_eq!((&page["total"], page["messages"].as_array().unwrap().len()), (&json!(3), 3));
    });
}
