//! Search: what was pulled is found by the words of its header and its text.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tests::client::Client;
use tests::peer::{Peer, Receive, Way};

use crate::pull::pull_all;
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

/// So many that the pull moves their words into segments on the way (behind one message of 128).
#[test]
fn a_mailbox_is_searched_whether_words_are_in_the_tail_or_in_segments() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let peer = Peer::start().await;
        for number in 0..100 {
            let message = message("ada@example.test", &format!("n{number}"), &format!("all word{}", number % 20));
            peer.sandbox.deliver(&peer.user, message).unwrap();
        }
        let path = account(&client, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        assert_eq!(pull_all(&client, &path).await, 100);
        assert_eq!(found(&client, &path, &[("q", "all"), ("limit", "100")]).await.len(), 100);
        for number in [0, 7, 19] {
            let mut subjects = found(&client, &path, &[("q", &format!("all word{number}"))]).await;
            let mut wanted: Vec<_> = (0..5).map(|round| format!("n{}", round * 20 + number)).collect();
            subjects.sort();
            wanted.sort();
            assert_eq!(subjects, wanted);
        }
        let aws = service().await.aws().await;
        let index = aws.items_of(&format!("T#{tenant}#W#mail")).await;
        // Half of the times none of 100 ids is chosen, and all words are in the tail.
        let Some(segments) = index.values().find_map(|item| item["segments"].as_array()) else {
            return;
        };
        let moved: u64 = segments.iter().map(|segment| segment["docs"].as_u64().unwrap()).sum();
        assert!((1..=100).contains(&moved), "{moved}");
    });
}
