//! Mail that wants to be too much: it is stored byte for byte, its row stays small, and what was not looked at is said.

use serde_json::{Value, json};
use tests::checker::{Verdict, end_state};
use tests::corpus;
use tests::peer::{Peer, Receive, Way};

use crate::pull::pull_all;
use crate::{account, run, service};

const HEAD: &str = "From: Ada <ada@example.test>\r\nDate: Sat, 21 Nov 2026 08:00:00 +0000\r\n";

/// Messages with what is expected in the list of their defects.
fn hostile() -> Vec<(Vec<u8>, bool)> {
    let part = "--b\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nx\r\n";
    let many = format!(
        "{HEAD}Subject: many\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
        part.repeat(12_000)
    );
    let level = |at: usize| format!("Content-Type: multipart/mixed; boundary=b{at}\r\n\r\n--b{at}\r\n");
    let deep: String = (0..200).map(level).collect();
    let deep = format!("{HEAD}Subject: deep\r\n{deep}Content-Type: text/plain\r\n\r\nx\r\n");
    let received = "Received: from a.example.test by b.example.test; Sat, 21 Nov 2026 08:00:00 +0000\r\n";
    let headers = format!("{}{HEAD}Subject: headers\r\n\r\nx\r\n", received.repeat(25_000));
    let people: Vec<_> = (0..100_000).map(|at| format!("Person {at} <person{at}@example.test>")).collect();
    let people = format!("{HEAD}Subject: people\r\nTo: {}\r\n\r\nx\r\n", people.join(",\r\n "));
    let line = format!("{HEAD}Subject: line {}\r\n\r\n{}\r\n", "s".repeat(100_000), "x".repeat(2_000_000));
    [(many, true), (deep, true), (headers, false), (people, false), (line, false)]
        .map(|(message, truncated)| (message.into_bytes(), truncated))
        .into()
}

/// Faults 20 and 21.
#[test]
fn what_wants_to_be_too_much_is_stored_in_a_small_row_that_says_so() {
    run(async {
        for receive in Receive::BOTH {
            let (tenant, client) = service().await.tenant();
            let peer = Peer::start().await;
            let mut truth: Vec<Vec<u8>> = hostile().into_iter().map(|(message, _)| message).collect();
            truth.push(corpus::plain(1));
            for message in &truth {
                peer.sandbox.deliver(&peer.user, message.clone()).unwrap();
            }
            let path = account(&client, "mail", &peer.account(receive, Way::Tls)).await;
            assert_eq!(pull_all(&client, &path).await, truth.len() as u64);
            let aws = service().await.aws().await;
            let state = end_state(&aws, &client, &tenant, "mail", &truth, &truth).await;
            assert_eq!((state.verdict(), state.rows.len()), (Verdict::default(), truth.len()), "{receive:?}");
            for (key, item) in aws.items_of(&format!("T#{tenant}#M#")).await {
                let bytes = item.to_string().len();
                assert!(bytes < 64 << 10, "{key}: {bytes} bytes");
            }
            let list = client.get(format!("{path}/messages")).await.value(200)["items"].clone();
            for (message, truncated) in hostile() {
                let sum = tests::sha256(&message);
                let item = list.as_array().unwrap().iter().find(|item| item["sha256"] == sum.as_str()).unwrap();
                assert_eq!(item["state"], json!("received"));
                let detail = client.get(format!("{path}/messages/{}", item["id"].as_str().unwrap())).await.value(200);
                let defects = detail["defects"].as_array().unwrap();
                let says_so = defects.iter().any(|defect: &Value| defect["code"] == "partsTruncated");
                assert_eq!(says_so, truncated, "{receive:?}: {} {defects:?}", item["subject"]);
            }
        }
    });
}
