//! Templates: kept, rendered, sent.

use http::Method;
use serde_json::{Value, json};

use crate::send::sender;
use crate::{masked, run, service};

fn welcome() -> Value {
    json!({
        "description": "The first mail", "subject": "Welcome, {{ user.name }}", "text": "Dear {{ user.name }},\n{% for item in items %}- {{ item }}\n{% endfor %}",
        "html": "<p>Dear {{ user.name }}</p>",
    })
}

#[test]
fn a_template_is_created_read_listed_replaced_rendered_and_deleted() {
    run(async {
        let (_, client) = service().await.tenant();
        let created = client.put("/v1/templates/welcome", &welcome()).await;
        let mut wanted = welcome();
        wanted["template"] = json!("welcome");
        (wanted["createdAt"], wanted["updatedAt"]) = (json!("*"), json!("*"));
        assert_eq!(masked(created.value(201), &["/createdAt", "/updatedAt"]), wanted);
        assert_eq!(created.header("location"), "/v1/templates/welcome");
        assert_eq!(client.get("/v1/templates/welcome").await.value(200), created.json());
        let replaced = client.put("/v1/templates/welcome", &json!({"subject": "Hi {{ name }}"})).await.value(200);
        assert_eq!((&replaced["createdAt"], &replaced["text"]), (&created.json()["createdAt"], &Value::Null));
        let _ = client.put("/v1/templates/another", &welcome()).await.is(201);
        let names = async |path: &str| {
            let page = client.get(path).await.value(200);
            let names: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| item["template"].clone()).collect();
            (names, page["nextCursor"].clone())
        };
        let (first, cursor) = names("/v1/templates?limit=1").await;
        assert_eq!(first, ["another"]);
        let rest = names(&format!("/v1/templates?limit=1&cursor={}", cursor.as_str().unwrap())).await;
        assert_eq!(rest, (vec![json!("welcome")], Value::Null));
        let rendered = client.post("/v1/templates/welcome/render", &json!({"params": {"name": "Ada"}})).await;
        assert_eq!(rendered.value(200), json!({"subject": "Hi Ada"}));
        let _ = client.delete("/v1/templates/welcome").await.is(204);
        for answer in [
            client.get("/v1/templates/welcome").await,
            client.delete("/v1/templates/welcome").await,
            client.post("/v1/templates/welcome/render", &json!({})).await,
            service().await.tenant().1.get("/v1/templates/another").await,
        ] {
            let _ = answer.problem(404, "not_found");
        }
    });
}

#[test]
fn a_merge_sends_each_item_its_own_message_and_tells_each_result() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let _ = client
            .put("/v1/templates/hello", &json!({"subject": "Hi {{ name }}", "text": "{{ name }} of {{ place }}"}))
            .await
            .is(201);
        let body = json!({
            "template": "hello", "params": {"place": "London"},
            "merge": [
                {"to": "ada@example.test", "params": {"name": "Ada"}},
                {"to": "grace@example.org", "params": {}},
                {"to": ["bob@example.org"], "cc": "eve@example.org", "params": {"name": "Bob", "place": "Berlin"}, "correlation": {"source": "row", "id": "3"}},
                {"params": {"name": "nobody"}},
            ],
        });
        let send = async || {
            let ask = client.ask(Method::POST, format!("{path}/messages")).header("idempotency-key", "merge");
            ask.json(&body).send().await.value(200)["results"].clone()
        };
        let results = send().await;
        let statuses: Vec<_> = results.as_array().unwrap().iter().map(|result| result["status"].clone()).collect();
        assert_eq!(statuses, [202, 422, 202, 422], "{results}");
        assert_eq!(
            results[1]["problem"]["errors"][0]["detail"],
            "subject, line 1: `name`: this parameter is not given"
        );
        assert_eq!(results[3]["problem"]["errors"][0]["pointer"], "/to");
        for at in [0, 2] {
            let outbox = format!("/v1/outbox/{}", results[at]["message"]["id"].as_str().unwrap());
            tests::until("it is sent", async || {
                let row = client.get(outbox.clone()).await.value(200);
                (row["state"] == "sent").then_some(())
            })
            .await;
        }
        let mut texts: Vec<_> = peer
            .sandbox
            .received()
            .iter()
            .map(|message| String::from_utf8_lossy(&message.bytes).into_owned())
            .collect();
        texts.sort_by_key(|text| text.contains("Bob of Berlin"));
        assert!(
            texts[0].contains("Subject: Hi Ada\r\n")
                && texts[0].contains("Ada of London")
                && !texts[0].contains("bob@"),
            "{texts:?}"
        );
        assert!(texts[1].contains("Bob of Berlin") && texts[1].contains("eve@example.org"), "{texts:?}");
        let again = send().await;
        assert_eq!(again[0]["message"]["id"], results[0]["message"]["id"], "an item is sent once");
        let whole = json!({"to": "a@example.com", "text": "x", "merge": [{"to": "b@example.com"}]});
        client.post(format!("{path}/messages"), &whole).await.names(&[("/to", "conflict")]);
        assert_eq!(peer.sandbox.received().len(), 2);
    });
}

#[test]
fn what_cannot_be_rendered_is_refused_by_line_and_nothing_is_stored() {
    run(async {
        let (_, client) = service().await.tenant();
        let wrong = json!({"subject": "{{ a", "text": "fine", "html": "<p>\n{% for x %}</p>"});
        let answer = client.put("/v1/templates/wrong", &wrong).await;
        answer.names(&[("/subject", "invalid_template"), ("/html", "invalid_template")]);
        assert!(answer.json()["errors"][1]["detail"].as_str().unwrap().starts_with("line 2: "), "{}", answer.text());
        client.put("/v1/templates/empty", &json!({})).await.names(&[("/text", "missing")]);
        client.put("/v1/templates/a%20b", &welcome()).await.names(&[("{template}", "invalid_name")]);
        assert_eq!(client.get("/v1/templates").await.value(200)["items"], json!([]));
    });
}

#[test]
fn a_mail_is_sent_by_template_and_its_texts_are_those_of_its_acceptance() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let _ = client.put("/v1/templates/welcome", &welcome()).await.is(201);
        let params = json!({"user": {"name": "Ada <b>&"}, "items": ["one", "two"]});
        let mail = json!({"to": "grace@example.org", "template": "welcome", "params": params});
        let send = async |body: &Value| {
            client.ask(Method::POST, format!("{path}/messages")).header("idempotency-key", "t").json(body).send().await
        };
        let first = send(&mail).await.value(200);
        let sent = String::from_utf8(peer.sandbox.received()[0].bytes.to_vec()).unwrap();
        for part in
            ["Subject: Welcome, Ada <b>&\r\n", "Dear Ada <b>&,\r\n- one\r\n- two", "Dear Ada &lt;b&gt;&amp;</p>"]
        {
            assert!(sent.contains(part), "{part}: {sent}");
        }
        // The key was used for this request, whatever has become of the template.
        let _ = client.put("/v1/templates/welcome", &json!({"text": "other"})).await.is(200);
        let again = send(&mail).await;
        assert_eq!((again.value(200), again.header("idempotency-replayed")), (first, "true"));
        assert_eq!(peer.sandbox.received().len(), 1);

        let _ = client.put("/v1/templates/welcome", &welcome()).await.is(200);
        let body = |change: Value| {
            let mut body = json!({"to": "grace@example.org", "template": "welcome", "params": params});
            body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            body
        };
        let messages = format!("{path}/messages");
        let missing = client.post(messages.clone(), &body(json!({"params": {"user": {}, "items": []}}))).await;
        missing.names(&[("/template", "template_failed"); 3]);
        let words = missing.json()["errors"][1]["detail"].clone();
        assert_eq!(words, "text, line 1: `user.name`: this parameter is not given");
        client.post(messages.clone(), &body(json!({"text": "x"}))).await.names(&[("/text", "conflict")]);
        client.post(messages.clone(), &body(json!({"template": "none"}))).await.names(&[("/template", "not_found")]);
        client.post(messages.clone(), &body(json!({"template": "a b"}))).await.names(&[("/template", "invalid_value")]);
        let alone = json!({"to": "grace@example.org", "text": "x", "params": {"a": 1}});
        client.post(messages, &alone).await.names(&[("/params", "no_template")]);
        assert_eq!(peer.sandbox.received().len(), 1, "nothing of this was sent");
    });
}
