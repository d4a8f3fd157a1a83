//! PII tokens: resolved on the wire, and nowhere else.

use sandbox::{At, Protocol, Rule};
use serde_json::{Value, json};
use tests::canary::leaks;
use tests::client::Client;
use tests::peer::{Peer, Receive, Way};
use tests::service::{Options, Service};
use tests::web::{Page, Web};

use crate::send::sender;
use crate::{account, masked, run, service};

const NAME: &str = "CANARYname O'Hara <b>";
const MAIL: &str = "canarymail.grace@canarydomain.example";
const PLACE: &str = "/canaryplace/report-canaryfile.pdf";

async fn token(client: &Client, value: &str) -> String {
    let answer = client.post("/v1/pii-tokens", &json!({"value": value})).await;
    assert!(!answer.text().contains(value), "{}", answer.text());
    answer.value(201)["token"].as_str().unwrap().to_owned()
}

/// What can be read of a message with tokens.
async fn shown_afterwards(client: &Client, path: &str, id: &str, body: &Value) -> String {
    let (name, mail) = (&body["to"]["name"], &body["to"]["address"]);
    let mut answers = String::new();
    let dry = client
        .post(format!("{path}/messages"), &{
            let mut body = body.clone();
            body["dryRun"] = json!(true);
            body
        })
        .await;
    assert!(dry.is(200).text().contains(&format!("{}@pii.invalid", mail.as_str().unwrap())), "{}", dry.text());
    let detail = client.get(format!("{path}/messages/{id}")).await;
    assert_eq!(detail.value(200)["to"][0], json!({"name": name, "address": mail}));
    for answer in [
        dry,
        detail,
        client.get(format!("{path}/messages/{id}/source?inline=true")).await,
        client.get(format!("{path}/messages/{id}/source")).await,
        client.get(format!("{path}/messages")).await,
        client.get(format!("/v1/outbox/{id}")).await,
        client.get("/v1/outbox").await,
        client.get(format!("/v1/pii-tokens/{}", mail.as_str().unwrap())).await,
        client.get("/v1/pii-resolver").await,
    ] {
        assert!(answer.status < 400, "{}: {}", answer.asked, answer.text());
        answers.push_str(&answer.text());
    }
    answers
}

/// Looks for clear values wherever something is kept.
async fn search(service: &Service, answers: String) {
    let aws = service.aws().await;
    let mut places = vec![
        ("answers", answers),
        ("logs", service.logs()),
        ("table", serde_json::to_string(&aws.items().await).unwrap()),
    ];
    for key in aws.objects("").await.into_keys() {
        places.push(("bucket", format!("{key} {}", String::from_utf8_lossy(&aws.object(&key).await.unwrap()))));
    }
    assert!(places[1].1.contains("TRACE") || places[1].1.contains("DEBUG"), "logs at a level worth searching");
    for (place, text) in &places {
        for secret in [NAME, MAIL, "canaryoutside", "canaryplace", "canaryfile", "CANARY-resolver-secret"] {
            assert_eq!(leaks(text, "x", secret), Vec::<String>::new(), "{secret} in {place}");
        }
        let lower = text.to_lowercase();
        let at = ["canarymail", "canaryname"].iter().find_map(|word| lower.find(word));
        assert!(
            at.is_none(),
            "{place}: {}",
            &text[at.unwrap_or_default().saturating_sub(200)..][..400.min(text.len())]
        );
    }
}

/// A4.2/7 to A4.2/10, A4.2/12, A4.2/13: subject, recipient, body and attachment URLs.
#[test]
fn clear_values_are_on_the_wire_and_in_no_table_bucket_log_or_answer() {
    run(async {
        let service = Service::start(Options { log: Some("trace"), trace: true, ..Options::default() }).await;
        let client = service.client().for_tenant("pii");
        let peer = Peer::start().await;
        let path = account(&client, "mail", &peer.account(Receive::Imap, Way::Starttls)).await;
        let web = Web::start().await;
        let url = web.file(PLACE, &["Content-Type: application/octet-stream"], b"%PDF-1.7 bytes");
        let (name, mail, link) = (token(&client, NAME).await, token(&client, MAIL).await, token(&client, &url).await);
        let resolver = Web::start().await;
        let outside = "NS-EU-OUTSIDE-1";
        let values = json!({"values": {outside: "canaryoutside", "NS-EU-OTHER-1": "not asked for"}}).to_string();
        let settled =
            json!({"url": resolver.file("/resolve", &[], values.as_bytes()), "secret": "CANARY-resolver-secret"});
        let shown = client.put("/v1/pii-resolver", &settled).await;
        assert_eq!(shown.value(200)["hasSecret"], true);
        // The first attempt is refused by a server that repeats the address as it likes; the next one goes through.
        let echo = format!("451 4.3.0 <{}>: {} try later\r\n", MAIL.to_uppercase(), "CanaryMail.Grace");
        peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Command("RCPT")).reply(echo).times(1));
        let body = json!({
            "to": {"name": name, "address": mail}, "cc": "ada@example.test", "subject": format!("For {name}"),
            "text": format!("Dear {name}, {outside}."), "html": format!("<p title=\"{name}\">{name}</p>"),
            "headers": [{"name": "X-For", "values": [outside]}], "attachments": [{"url": link}],
        });
        let mut answers = shown.text();
        let first = client.post(format!("{path}/messages"), &body).await;
        let id = first.json()["id"].as_str().unwrap_or_else(|| panic!("{}", first.text())).to_owned();
        answers.push_str(&first.text());
        let outbox = format!("/v1/outbox/{id}");
        let sent = tests::until("it is sent to both", async || {
            let answer = client.get(outbox.clone()).await.value(200);
            (answer["state"] == "sent").then_some(answer)
        })
        .await;
        assert_eq!(sent["recipients"][0]["address"], mail, "the token stays in place of the address");
        let received = peer.sandbox.received();
        let mut reached: Vec<_> = received.iter().flat_map(|message| message.recipients.clone()).collect();
        reached.sort();
        assert_eq!(reached, ["ada@example.test", MAIL]);
        let source = String::from_utf8(received[0].bytes.to_vec()).unwrap();
        let source = source.replace("=\r\n", "").replace("=3D", "=");
        for part in [
            "Subject: For CANARYname O'Hara <b>\r\n",
            "Dear CANARYname O'Hara <b>, canaryoutside.",
            MAIL,
            "X-For: canaryoutside",
        ] {
            assert!(source.contains(part), "{part}: {source}");
        }
        assert!(source.contains("<p title=\"CANARYname O&#39;Hara &lt;b&gt;\">CANARYname O&#39;Hara"), "{source}");
        assert!(!source.contains("NS-EU-") && source.contains("application/pdf"), "{source}");
        let asked = resolver.asked();
        assert!(
            asked.iter().all(|(head, body)| {
                head.iter().any(|line| line == "authorization: Bearer CANARY-resolver-secret")
                    && body == format!("{{\"tokens\":[\"{outside}\"]}}").as_bytes()
            }),
            "{asked:?}"
        );

        answers.push_str(&shown_afterwards(&client, &path, &id, &body).await);
        search(&service, answers).await;
    });
}

#[test]
fn what_nobody_knows_fails_the_message_before_it_is_accepted() {
    run(async {
        let (tenant, client, peer, path) = sender().await;
        let known = token(&client, "Grace").await;
        let unknown = "NS-EU-NOBODY-1";
        let gone = token(&client, "short-lived").await;
        let _ = client.delete(format!("/v1/pii-tokens/{gone}")).await.is(204);
        for (body, pointer) in [
            (json!({"to": unknown, "text": "x"}), "/to/0/address"),
            (json!({"to": {"name": unknown, "address": "a@example.com"}, "text": "x"}), "/to/0/name"),
            (json!({"to": "a@example.com", "bcc": gone, "text": "x"}), "/bcc/0/address"),
            (json!({"to": "a@example.com", "subject": unknown}), "/subject"),
            (json!({"to": "a@example.com", "text": format!("Dear {known} {unknown}")}), "/text"),
            (json!({"to": "a@example.com", "html": gone}), "/html"),
            (json!({"to": "a@example.com", "attachments": [{"url": unknown}]}), "/attachments/0/url"),
            (json!({"to": known, "text": "a name is no address"}), "/to/0/address"),
        ] {
            client.post(format!("{path}/messages"), &body).await.names(&[(pointer, "unresolved_token")]);
            client.post(format!("{path}/messages?wait=0"), &body).await.names(&[(pointer, "unresolved_token")]);
        }
        // A resolver that cannot be asked is no verdict: nothing is accepted, and the caller may come back.
        let web = Web::start().await;
        for page in [Page::Raw(b"HTTP/1.1 500 x\r\nContent-Length: 6\r\n\r\nCANARY".to_vec()), Page::Raw(Vec::new())] {
            let resolver = json!({"url": web.put("/r", page)});
            let _ = client.put("/v1/pii-resolver", &resolver).await.is(200);
            let answer = client.post(format!("{path}/messages"), &json!({"to": unknown, "text": "x"})).await;
            let problem = answer.problem(503, "try_again");
            assert!(!answer.header("retry-after").is_empty() && !answer.text().contains("CANARY"), "{problem}");
        }
        let aws = service().await.aws().await;
        assert!(aws.items_of(&format!("T#{tenant}#M#")).await.is_empty());
        assert!(peer.sandbox.received().is_empty());
    });
}

#[test]
fn a_message_that_waits_fails_when_its_token_is_forgotten() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let name = token(&client, "Grace").await;
        peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Command("MAIL")).reply("451 4.3.0 later\r\n").times(1));
        let body = json!({"to": "ada@example.test", "text": name});
        let waiting = client.post(format!("{path}/messages"), &body).await.value(202);
        let _ = client.delete(format!("/v1/pii-tokens/{name}")).await.is(204);
        let outbox = format!("/v1/outbox/{}", waiting["id"].as_str().unwrap());
        let failed = tests::until("it fails", async || {
            let answer = client.get(outbox.clone()).await.value(200);
            (answer["state"] == "failed").then_some(answer)
        })
        .await;
        let words = failed["recipients"][0]["error"].as_str().unwrap();
        assert!(words.contains("nobody knows what") && words.contains(&name), "{failed}");
        assert!(peer.sandbox.received().is_empty());
    });
}

#[test]
fn whoever_is_suppressed_is_not_reached_by_a_token_either() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let _ = client.post("/v1/suppressions", &json!({"address": "grace@example.org"})).await.is(201);
        let token = token(&client, "Grace@Example.org").await;
        let answer = client.post(format!("{path}/messages"), &json!({"to": token, "text": "x"})).await;
        let problem = answer.problem(422, "recipient_rejected");
        assert!(!answer.text().to_lowercase().contains("grace"), "{problem}");
        assert!(peer.sandbox.received().is_empty());
    });
}

#[test]
fn a_strangers_token_in_a_quotation_is_not_resolved() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let name = token(&client, "CANARY-quoted").await;
        let incoming = format!(
            "From: \"{name}\" <mallory@example.org>\r\nSubject: about {name}\r\nMessage-ID: <m@x>\r\n\r\nWho is {name}?\r\n"
        );
        peer.sandbox.deliver(&peer.user, incoming).unwrap();
        let pulled = client.post_empty(format!("{path}/pull")).await.value(200);
        let body = json!({"text": "no", "reference": {"message": pulled["stored"][0], "action": "reply"}});
        let _ = client.post(format!("{path}/messages"), &body).await.is(200);
        let source = String::from_utf8_lossy(&peer.sandbox.received()[0].bytes).into_owned();
        assert!(!source.contains("CANARY-quoted") && source.contains("mallory@example.org"), "{source}");
    });
}

#[test]
fn tokens_and_resolvers_are_made_checked_and_forgotten() {
    run(async {
        let (_, client) = service().await.tenant();
        let made = client.post("/v1/pii-tokens", &json!({"value": "x", "expiresAt": "2099-01-01T00:00:00Z"})).await;
        let token = made.value(201)["token"].as_str().unwrap().to_owned();
        assert_eq!(made.header("location"), format!("/v1/pii-tokens/{token}"));
        let wanted = json!({"token": token, "createdAt": "*", "expiresAt": "2099-01-01T00:00:00.000Z"});
        assert_eq!(masked(client.get(format!("/v1/pii-tokens/{token}")).await.value(200), &["/createdAt"]), wanted);
        for (body, pointer, code) in [
            (json!({}), "/value", "missing"),
            (json!({"value": ""}), "/value", "invalid_value"),
            (json!({"value": "a\u{0}b"}), "/value", "invalid_value"),
            (json!({"value": token}), "/value", "invalid_value"),
            (json!({"value": "x".repeat(4097)}), "/value", "invalid_value"),
            (json!({"value": "x", "expiresAt": "2020-01-01T00:00:00Z"}), "/expiresAt", "invalid_value"),
        ] {
            client.post("/v1/pii-tokens", &body).await.names(&[(pointer, code)]);
        }
        let stranger = service().await.tenant().1;
        let _ = stranger.get(format!("/v1/pii-tokens/{token}")).await.problem(404, "not_found");
        let _ = stranger.delete(format!("/v1/pii-tokens/{token}")).await.problem(404, "not_found");
        let _ = client.delete(format!("/v1/pii-tokens/{token}")).await.is(204);
        let _ = client.delete(format!("/v1/pii-tokens/{token}")).await.problem(404, "not_found");

        let _ = client.get("/v1/pii-resolver").await.problem(404, "not_found");
        let settle = async |body: Value| client.put("/v1/pii-resolver", &body).await;
        let _ = settle(json!({"url": "https://a.example/r", "secret": "s"})).await.is(200);
        assert_eq!(settle(json!({"url": "https://a.example/r"})).await.value(200)["hasSecret"], true, "kept");
        assert_eq!(settle(json!({"url": "https://b.example/r"})).await.value(200)["hasSecret"], false, "another place");
        for (body, pointer) in [
            (json!({"url": "ftp://a.example/"}), "/url"),
            (json!({"url": "https://u:p@a.example/"}), "/url"),
            (json!({"url": "https://a.example/", "secret": "a b"}), "/secret"),
        ] {
            settle(body).await.names(&[(pointer, "invalid_value")]);
        }
        let _ = client.delete("/v1/pii-resolver").await.is(204);
        let _ = client.delete("/v1/pii-resolver").await.problem(404, "not_found");
    });
}
