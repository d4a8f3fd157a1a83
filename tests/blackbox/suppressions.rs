//! Addresses that are not sent to any more.

use http::Method;
use serde_json::{Value, json};
use tests::until;

use crate::send::sender;
use crate::{masked, run, service};

fn mail(to: &[&str]) -> Value {
    json!({"to": to, "subject": "News", "text": "Hello"})
}

#[test]
fn an_address_is_put_on_the_list_read_changed_and_taken_off() {
    run(async {
        let (_, client) = service().await.tenant();
        let input = json!({"address": "Zoë <Zoe@Bücher.example>", "reason": "unsubscribe", "note": "wrote to us"});
        let answer = client.post("/v1/suppressions", &input).await;
        let place = answer.header("location").to_owned();
        let wanted = json!({"address": "zoe@xn--bcher-kva.example", "reason": "unsubscribe", "note": "wrote to us", "createdAt": "*"});
        assert_eq!(masked(answer.value(201), &["/createdAt"]), wanted);
        assert_eq!(client.get(place.clone()).await.value(200), answer.json());
        // However it is written, it is the same mailbox.
        let again = client.post("/v1/suppressions", &json!({"address": "ZOE@xn--bcher-kva.example"})).await.value(200);
        assert_eq!((&again["reason"], again.get("note")), (&json!("manual"), None), "{again}");
        let odd = client.post("/v1/suppressions", &json!({"address": "o'neil+tag@example.com"})).await;
        assert_eq!(client.get(odd.is(201).header("location")).await.value(200), odd.json());
        let listed = client.get("/v1/suppressions").await.value(200);
        assert_eq!((listed["items"].as_array().unwrap().len(), &listed["nextCursor"]), (2, &Value::Null), "{listed}");
        let first = client.get("/v1/suppressions?limit=1").await.value(200);
        let next = format!("/v1/suppressions?limit=1&cursor={}", first["nextCursor"].as_str().unwrap());
        assert_eq!(client.get(next).await.value(200)["items"], json!([again]));
        let _ = client.delete(place.clone()).await.is(204);
        let _ = client.delete(place.clone()).await.problem(404, "not_found");
        let _ = client.get(place).await.problem(404, "not_found");
        for (wrong, pointer) in [
            (json!({"address": "nobody"}), "/address"),
            (json!({"address": "a@example.com", "reason": "boredom"}), "/reason"),
            (json!({"address": "a@example.com", "note": "n".repeat(1_001)}), "/note"),
            (json!({"address": "a@example.com", "why": "x"}), "/why"),
        ] {
            let problem = client.post("/v1/suppressions", &wrong).await.problem(422, "invalid_request");
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{wrong}");
        }
    });
}

#[test]
fn a_suppressed_recipient_fails_and_the_others_get_their_mail() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let _ = client
            .post("/v1/suppressions", &json!({"address": "gone@example.org", "reason": "hardBounce"}))
            .await
            .is(201);
        let some =
            client.post(format!("{path}/messages"), &mail(&["Gone@Example.ORG", "bob@example.org"])).await.value(200);
        let (gone, bob) = (&some["recipients"][0], &some["recipients"][1]);
        assert_eq!((&some["state"], &bob["state"]), (&json!("partial"), &json!("sent")), "{some}");
        assert_eq!(
            gone,
            &json!({"address": "Gone@Example.ORG", "state": "failed", "error": "suppressed: hardBounce", "attempts": 0})
        );
        assert_eq!(peer.sandbox.received()[0].recipients, ["bob@example.org"]);

        let ask = || client.ask(Method::POST, format!("{path}/messages")).header("idempotency-key", "all");
        let all = json!({"to": "gone@example.org", "bcc": "GONE@example.org", "subject": "x"});
        let problem = ask().json(&all).send().await.problem(422, "recipient_rejected");
        assert_eq!(
            problem["errors"][0],
            json!({"pointer": "/to/0/address", "code": "suppressed", "detail": "suppressed: hardBounce"})
        );
        assert_eq!(peer.sandbox.received().len(), 1, "nobody was asked");
        // Nothing was kept of it, not even its key; another tenant knows nothing of the list.
        let _ = client.delete("/v1/suppressions/gone@example.org").await.is(204);
        assert_eq!(ask().json(&all).send().await.value(200)["state"], "sent");
        // What was accepted once is answered for.
        let _ = client.post("/v1/suppressions", &json!({"address": "gone@example.org"})).await.is(201);
        let replay = ask().json(&all).send().await;
        assert_eq!((replay.is(200).header("idempotency-replayed"), peer.sandbox.received().len()), ("true", 2));
    });
}

#[test]
fn who_is_suppressed_while_a_message_waits_does_not_get_it() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let busy = sandbox::Rule::on(sandbox::Protocol::Smtp).at(sandbox::At::Command("MAIL")).times(1);
        peer.sandbox.script(busy.reply("421 4.3.2 Later\r\n").then_close());
        let _ = client.post("/v1/suppressions", &json!({"address": "first@example.org"})).await.is(201);
        let waits =
            client.post(format!("{path}/messages"), &mail(&["late@example.org", "bob@example.org"])).await.value(202);
        let _ = client
            .post("/v1/suppressions", &json!({"address": "late@example.org", "reason": "complaint"}))
            .await
            .is(201);
        let outbox = format!("/v1/outbox/{}", waits["id"].as_str().unwrap());
        let partial = until("it is tried again", async || {
            let message = client.get(outbox.clone()).await.value(200);
            (message["state"] != "deferred" && message["state"] != "sending").then_some(message)
        })
        .await;
        // The second attempt may have begun before the list was changed: then both have it.
        let late = &partial["recipients"][0];
        if partial["state"] == "partial" {
            assert_eq!(
                (&late["state"], &late["error"]),
                (&json!("failed"), &json!("suppressed: complaint")),
                "{partial}"
            );
            assert_eq!(peer.sandbox.received()[0].recipients, ["bob@example.org"]);
        } else {
            assert_eq!(partial["state"], "sent", "{partial}");
        }
    });
}

#[test]
fn the_list_belongs_to_its_tenant_and_to_those_who_may_touch_all_of_it() {
    run(async {
        let ((_, client), (_, other)) = (service().await.tenant(), service().await.tenant());
        let _ = client.post("/v1/suppressions", &json!({"address": "a@example.com"})).await.is(201);
        assert_eq!(other.get("/v1/suppressions").await.value(200)["items"], json!([]));
        let _ = other.get("/v1/suppressions/a@example.com").await.problem(404, "not_found");
        let _ = other.delete("/v1/suppressions/a@example.com").await.problem(404, "not_found");
        let token = json!({"name": "one account", "scopes": ["read", "send"], "accounts": ["mail"]});
        let token = client.post("/v1/tokens", &token).await.value(201)["token"].as_str().unwrap().to_owned();
        let limited = service().await.client().with_token(Some(&token));
        let _ = limited.get("/v1/suppressions").await.problem(403, "forbidden");
        let _ = limited.delete("/v1/suppressions/a@example.com").await.problem(403, "forbidden");
    });
}
