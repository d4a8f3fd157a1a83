//! What is stored, once more: announced, read, and acknowledged.

use serde_json::{Value, json};
use tests::peer::{Peer, Receive, Way};
use tests::{corpus, until};

use crate::pull::pull_all;
use crate::{account, run, service};

async fn deliver(peer: &Peer, numbers: std::ops::Range<usize>) {
    for number in numbers {
        peer.sandbox.deliver(&peer.user, corpus::plain(number)).unwrap();
    }
}

/// Rows of incoming mail: id, and the row.
async fn rows(tenant: &str) -> Vec<(String, Value)> {
    let items = service().await.aws().await.items_of(&format!("T#{tenant}#M#")).await;
    items.into_iter().filter(|(key, item)| key.ends_with(" / M") && item.get("m").is_some()).collect()
}

#[test]
fn a_rewind_announces_what_came_since_and_fetches_what_is_missing() {
    run(async {
        for receive in Receive::BOTH {
            let (tenant, client) = service().await.tenant();
            let peer = Peer::start().await;
            deliver(&peer, 0..3).await;
            let path = account(&client, "mail", &peer.account(receive, Way::Tls)).await;
            assert_eq!(pull_all(&client, &path).await, 3);
            let before = rows(&tenant).await;
            let ids: Vec<_> = before.iter().map(|(key, _)| key.clone()).collect();
            assert!(before.iter().all(|(_, row)| row.get("told").is_none()));
            service().await.aws().await.delete(&ids[1]).await;
            assert_eq!(pull_all(&client, &path).await, 0, "{receive:?}: the ledger does not miss it");

            let rewound =
                client.post(format!("{path}/rewind"), &json!({"to": "2026-01-01T00:00:00Z"})).await.value(200);
            assert_eq!(rewound, json!({"account": "mail", "announced": 2, "more": false, "queued": true}));
            let after = until("it is fetched again", async || {
                let rows = rows(&tenant).await;
                (rows.len() == 3).then_some(rows)
            })
            .await;
            assert_eq!(after.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), ids, "{receive:?}: same ids");
            let told: Vec<_> = after.iter().map(|(_, row)| row.get("told").and_then(Value::as_u64)).collect();
            assert_eq!(told, [Some(1), None, Some(1)], "{receive:?}");
            assert_eq!(pull_all(&client, &path).await, 0, "{receive:?}: nothing twice");

            let future = json!({"to": "2099-01-01T00:00:00Z"});
            assert_eq!(client.post(format!("{path}/rewind"), &future).await.value(200)["announced"], 0);
        }
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let path = account(&client, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        let wrong = [json!({}), json!({"to": "2026-01-01T00:00:00Z", "message": "0".repeat(32)})];
        for wrong in wrong {
            client.post(format!("{path}/rewind"), &wrong).await.names(&[("/to", "invalid_value")]);
        }
        let unknown = json!({"message": "0".repeat(32)});
        let _ = client.post(format!("{path}/rewind"), &unknown).await.problem(404, "message_not_found");
    });
}

/// Fault 24: what could not be read is read once it can be, under the id that it has.
#[test]
fn a_quarantined_message_comes_back_to_life() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let peer = Peer::start().await;
        deliver(&peer, 0..2).await;
        let path = account(&client, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        assert_eq!(pull_all(&client, &path).await, 2);
        let (key, before) = rows(&tenant).await.swap_remove(0);
        let id = key.split_once("#M#").unwrap().1.split(' ').next().unwrap().to_owned();
        let aws = service().await.aws().await;
        aws.set(&key, "m", "state", "quarantined").await;
        aws.set(&key, "m", "subject", "not what it says").await;
        let named = json!({"messages": [id, "0".repeat(32)]});
        let reparsed = client.post(format!("{path}/reparse"), &named).await.value(200);
        assert_eq!(reparsed, json!({"account": "mail", "reparsed": 1, "skipped": ["0".repeat(32)], "more": false}));
        let after = rows(&tenant).await.into_iter().find(|(other, _)| *other == key).unwrap().1;
        assert_eq!((&after["m"], &after["told"]), (&before["m"], &json!(1)));

        let since = json!({"since": "2026-01-01T00:00:00Z"});
        assert_eq!(client.post(format!("{path}/reparse"), &since).await.value(200)["reparsed"], 2);
        client.post(format!("{path}/reparse"), &json!({})).await.names(&[("/messages", "invalid_value")]);
        client.post(format!("{path}/reparse"), &json!({"messages": []})).await.names(&[("/messages", "out_of_range")]);
    });
}

#[test]
fn only_what_was_acknowledged_is_deleted_at_the_server() {
    run(async {
        for receive in Receive::BOTH {
            let (_, client) = service().await.tenant();
            let peer = Peer::start().await;
            deliver(&peer, 0..3).await;
            let mut settings = peer.account(receive, Way::Tls);
            settings["receive"]["deleteWhenAcknowledged"] = json!(true);
            let path = account(&client, "mail", &settings).await;
            let stored = client.post_empty(format!("{path}/pull")).await.value(200)["stored"].clone();
            assert_eq!(pull_all(&client, &path).await, 0);
            assert_eq!(peer.sandbox.messages(&peer.user).len(), 3, "{receive:?}");
            for _ in 0..2 {
                let named = json!({"messages": [stored[1], "0".repeat(32)]});
                let answer = client.post(format!("{path}/acknowledge"), &named).await.value(200);
                assert_eq!(answer, json!({"account": "mail", "acknowledged": 1, "unknown": ["0".repeat(32)]}));
            }
            assert_eq!(pull_all(&client, &path).await, 0);
            let left: Vec<_> = peer.sandbox.messages(&peer.user).iter().map(|message| message.bytes.to_vec()).collect();
            assert_eq!(left, [corpus::plain(0), corpus::plain(2)], "{receive:?}");
            assert_eq!(client.get(format!("{path}/messages")).await.value(200)["items"].as_array().unwrap().len(), 3);
        }
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let mut settings = peer.account(Receive::Imap, Way::Tls);
        settings["receive"]["deleteWhenAcknowledged"] = json!(true);
        settings["receive"]["keepOnServer"] = json!(false);
        let refused = client.put("/v1/accounts/mail", &settings).await;
        refused.names(&[("/receive/deleteWhenAcknowledged", "invalid_value")]);
    });
}
