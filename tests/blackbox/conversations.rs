//! Lists through filters that let few through, and conversations.

use serde_json::{Value, json};
use tests::client::Client;
use tests::corpus;

use crate::pull::pull_all;
use crate::reading::{only, pulled};
use crate::run;
use crate::send::sender;

fn subjects(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["subject"].as_str().unwrap()).collect()
}

async fn list(client: &Client, path: &str, query: &str) -> Value {
    client.get(format!("{path}/messages?{query}")).await.value(200)
}

#[test]
fn a_filter_that_lets_few_through_fills_its_pages_all_the_same() {
    run(async {
        let mut messages: Vec<_> = (0..130).map(corpus::plain).collect();
        messages[0] = b"From: rare@example.test\r\nSubject: needle\r\n\r\nx\r\n".to_vec();
        let (_, client, _peer, path) = pulled(&messages).await;
        // The only one, and the oldest: no chain of empty pages leads there.
        let page = list(&client, &path, "limit=1&from=rare@").await;
        assert_eq!(subjects(&page), ["needle"]);
        assert_eq!(list(&client, &path, "limit=1&from=nobody@").await, json!({"items": [], "nextCursor": null}));
        // Pages of a filter: whole, each message once.
        let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = list(&client, &path, &format!("limit=10&subject=1{cursor}")).await;
            found.extend(subjects(&page).into_iter().map(str::to_owned));
            pages += 1;
            let Some(next) = page["nextCursor"].as_str() else { break };
            assert_eq!(subjects(&page).len(), 10);
            cursor = format!("&cursor={next}");
        }
        found.sort();
        let mut wanted: Vec<_> =
            (1..130).map(|number| format!("Message {number}")).filter(|subject| subject.contains('1')).collect();
        wanted.sort();
        assert_eq!(found, wanted);
        assert_eq!(pages, wanted.len().div_ceil(10));
    });
}

/// What a list or a message shows is what can be asked for by name.
#[test]
fn every_field_can_be_named_and_others_are_refused() {
    run(async {
        let (_, client, _peer, path) = pulled(&[corpus::plain(1)]).await;
        let (id, _) = only(&client, &path).await;
        let document = client.get("/openapi.json").await.value(200);
        let fields = |shape: &str| -> Vec<String> {
            document["components"]["schemas"][shape]["properties"].as_object().unwrap().keys().cloned().collect()
        };
        let (listed, whole) = (fields("Message"), fields("MessageDetail"));
        assert!(listed.len() > 25 && whole.len() > listed.len(), "{listed:?} {whole:?}");
        for name in &listed {
            let page = client.get(format!("{path}/messages?fields={name}")).await.value(200);
            assert!(page["items"][0].as_object().unwrap().keys().all(|shown| shown == name), "{name}: {page}");
        }
        let _ = client.get(format!("{path}/messages/{id}?fields={}", whole.join(","))).await.is(200);
        let threads = client.get(format!("{path}/messages?fields=threadId,subject")).await.value(200);
        assert_eq!(threads["items"][0].as_object().unwrap().len(), 2);
        for (route, wrong) in [("messages", "text"), ("messages", "id,colour"), (&*format!("messages/{id}"), "Subject")]
        {
            let refused = client.get(format!("{path}/{route}?fields={wrong}")).await;
            refused.names(&[("?fields", "invalid_value")]);
            assert!(refused.text().contains(wrong.rsplit(',').next().unwrap()), "{}", refused.text());
        }
    });
}

#[test]
fn flags_states_and_the_callers_own_ids_are_filters() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let mail = |id: &str| json!({"to": "bob@example.org", "subject": id, "text": "x", "correlation": {"source": "invoice", "id": id}});
        for id in ["1", "2"] {
            let _ = client.post(format!("{path}/messages"), &mail(id)).await.is(200);
        }
        peer.sandbox.deliver(&peer.user, corpus::plain(1)).unwrap();
        assert_eq!(pull_all(&client, &path).await, 1);
        let count = async |query: &str| subjects(&list(&client, &path, query).await).len();
        for (query, wanted) in [
            ("correlationSource=invoice", 2),
            ("correlationSource=invoice&correlationId=2", 1),
            ("correlationId=3", 0),
            ("state=sent", 2),
            ("state=received", 1),
            ("flagged=false&direction=incoming", 1),
            ("flagged=true", 0),
            ("answered=true", 0),
            ("flag=Seen", 0),
            ("flag=$Junk", 0),
        ] {
            assert_eq!(count(query).await, wanted, "{query}");
        }
        client.get(format!("{path}/messages?flagged=perhaps")).await.names(&[("?flagged", "invalid_value")]);
    });
}

#[test]
fn a_conversation_has_both_sides_oldest_first() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let deliver = async |source: String| {
            peer.sandbox.deliver(&peer.user, source.into_bytes()).unwrap();
            let pulled = client.post_empty(format!("{path}/pull")).await.value(200);
            pulled["stored"][0].as_str().unwrap().to_owned()
        };
        let first = deliver(
            "From: Bob <bob@example.org>\r\nTo: ada@example.test\r\nSubject: Order\r\nMessage-ID: <1@x.example>\r\n\r\na\r\n".into(),
        )
        .await;
        let reply = json!({"reference": {"message": first, "action": "reply"}, "text": "b"});
        let sent = client.post(format!("{path}/messages"), &reply).await.value(200);
        let own = sent["messageId"].as_str().unwrap();
        let second = deliver(format!(
            "From: bob@example.org\r\nTo: ada@example.test\r\nSubject: Re: Order\r\nMessage-ID: <2@x.example>\r\n\
             In-Reply-To: {own}\r\nReferences: <1@x.example> {own}\r\n\r\nc\r\n"
        ))
        .await;
        // Without references: by its subject and its people.
        let lost = deliver(
            "From: bob@example.org\r\nTo: Ada <ADA@example.test>\r\nSubject: AW: [shop] order\r\n\r\nd\r\n".into(),
        )
        .await;
        for other in [
            "From: eve@example.org\r\nTo: ada@example.test\r\nSubject: Re: Order\r\n\r\nstranger\r\n",
            "From: bob@example.org\r\nTo: ada@example.test\r\nSubject: Order\r\n\r\nno answer\r\n",
            "From: bob@example.org\r\nTo: ada@example.test\r\nSubject: Re: Orders\r\n\r\nanother subject\r\n",
        ] {
            let _ = deliver(other.into()).await;
        }
        let thread = client.get(format!("{path}/messages/{first}")).await.value(200)["threadId"].clone();
        let thread = thread.as_str().unwrap();
        let ids = |page: &Value| -> Vec<String> {
            page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
        };
        let page = client.get(format!("{path}/threads/{thread}")).await.value(200);
        let own = sent["id"].as_str().unwrap().to_owned();
        assert_eq!(page["nextCursor"], Value::Null);
        let mut wanted = vec![first.clone(), own, second.clone(), lost.clone()];
        let mut found = ids(&page);
        // The sandbox's clock has whole seconds: what came within one stands in any order.
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted);
        let times: Vec<_> =
            page["items"].as_array().unwrap().iter().map(|item| item["receivedAt"].as_str().unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
        assert_eq!(ids(&list(&client, &path, &format!("thread={thread}")).await).len(), 4);
        // In pieces: the newest first, each piece oldest first.
        let newest = client.get(format!("{path}/threads/{thread}?limit=3&fields=id")).await.value(200);
        let cursor = newest["nextCursor"].as_str().unwrap();
        let rest = client.get(format!("{path}/threads/{thread}?limit=3&fields=id&cursor={cursor}")).await.value(200);
        assert_eq!((ids(&newest).len(), ids(&rest).len()), (3, 1));
        let _ = client.get(format!("{path}/threads/none")).await.problem(404, "not_found");
        let _ = client.get("/v1/accounts/nobody/threads/none").await.problem(404, "account_not_found");
    });
}
