//! Attachments from everywhere: fetched from URLs, taken from stored mail, uploaded beforehand; and what happens when
//! they cannot be had.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use sandbox::{At, Protocol, Rule};
use serde_json::{Value, json};
use tests::client::{Answer, Client};
use tests::corpus;
use tests::random::Random;
use tests::sha256;
use tests::web::{Page, Web};

use crate::send::sender;
use crate::{run, service};

fn mail(attachments: &Value) -> Value {
    json!({"to": "ada@example.test", "subject": "Files", "text": "see", "attachments": attachments})
}

/// Pulls the newest message back and returns its path and attachments.
async fn pulled(client: &Client, path: &str) -> (String, Vec<Value>) {
    let pulled = client.post_empty(format!("{path}/pull")).await.value(200);
    let id = pulled["stored"].as_array().unwrap().last().unwrap().as_str().unwrap();
    let message = format!("{path}/messages/{id}");
    let detail = client.get(message.clone()).await.value(200);
    (message, detail["attachments"].as_array().unwrap().clone())
}

/// A4.2/14.
#[test]
fn a_url_is_fetched_once_named_by_its_server_and_typed_by_its_bytes() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let web = Web::start().await;
        let pdf = [b"%PDF-1.7\n", &Random::new(1).bytes(50_000)[..]].concat();
        let generic = "Content-Type: application/octet-stream";
        let named = "Content-Disposition: attachment; filename=\"x.pdf\"; filename*=UTF-8''Stra%C3%9Fe.pdf";
        let target = web.file("/real", &[named, generic], &pdf);
        let urls = [
            web.file("/Bericht%20f%C3%BCr%20Ada?sig=1", &[generic], &pdf),
            web.answer("/moved", "302 Found", &[&format!("Location: {target}")], b""),
            web.file("/report.csv", &["Content-Type: Text/CSV; charset=utf-8"], b"a,b\n"),
            web.file("/a", &["Content-Disposition: attachment; filename=\"../../etc/pass\u{202e}wd\""], b"plain"),
        ];
        let mut attachments: Vec<Value> = urls.iter().map(|url| json!({"url": url})).collect();
        attachments.push(json!({"url": urls[2], "filename": "mine.txt", "contentType": "text/x-mine"}));
        // The first attempt ends before DATA: the second one has the same bytes and asks nobody.
        peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Command("DATA")).reply("451 4.3.0 later\r\n").times(1));
        let queued = client.post(format!("{path}/messages"), &mail(&json!(attachments))).await.value(202);
        let outbox = format!("/v1/outbox/{}", queued["id"].as_str().unwrap());
        tests::until("it is sent", async || {
            (client.get(outbox.clone()).await.value(200)["state"] == "sent").then_some(())
        })
        .await;
        assert_eq!(web.asked().len(), 6, "each URL once, and the redirect's target");
        let first = &web.asked()[0].0;
        assert!(first.iter().any(|line| line.eq_ignore_ascii_case("accept-encoding: identity")), "{first:?}");
        let (_, listed) = pulled(&client, &path).await;
        let seen: Vec<_> = listed
            .iter()
            .map(|file| {
                (file["filename"].as_str().unwrap(), file["contentType"].as_str().unwrap(), file["fileId"].clone())
            })
            .collect();
        let wanted = [
            ("Bericht für Ada", "application/pdf", json!(sha256(&pdf))),
            ("Straße.pdf", "application/pdf", json!(sha256(&pdf))),
            ("report.csv", "text/csv", json!(sha256(b"a,b\n"))),
            ("passwd", "application/octet-stream", json!(sha256(b"plain"))),
            ("mine.txt", "text/x-mine", json!(sha256(b"a,b\n"))),
        ];
        assert_eq!(seen, wanted);
    });
}

/// Fault row 27.
#[test]
fn what_cannot_be_fetched_stops_the_message_before_any_smtp_command() {
    run(async {
        let (tenant, client, peer, path) = sender().await;
        let web = Web::start().await;
        let round = web.answer("/round", "301 Moved", &[&format!("Location: {}/round", web.url)], b"");
        let logins = peer.logins();
        let raw = |path: &str, text: &str| web.put(path, Page::Raw(text.as_bytes().to_vec()));
        for (url, code) in [
            (format!("{}/nothing", web.url), "fetch_failed"),
            (round, "fetch_failed"),
            (web.put("/endless", Page::Endless), "too_large"),
            (raw("/short", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"), "fetch_failed"),
            (raw("/lie", "HTTP/1.1 200 OK\r\nContent-Length: 5368709120\r\n\r\nx"), "too_large"),
            (raw("/smtp", "220 smtp.example.com CANARY\r\n"), "fetch_failed"),
            (web.file("/bomb", &["Content-Encoding: gzip"], b"\x1f\x8bCANARY"), "fetch_failed"),
            (
                web.answer("/imds", "302 Found", &["Location: http://169.254.169.254/latest/meta-data"], b""),
                "fetch_failed",
            ),
            (web.answer("/ftp", "302 Found", &["Location: ftp://127.0.0.1/x"], b""), "fetch_failed"),
            ("http://169.254.169.254/latest/meta-data".to_owned(), "fetch_failed"),
            ("https://127.0.0.1:1/".to_owned(), "fetch_failed"),
            ("http://8.8.8.8/".to_owned(), "fetch_failed"),
            (web.url.replace("http://", "http://user:CANARY@"), "invalid_url"),
            ("ftp://127.0.0.1/x".to_owned(), "invalid_url"),
            ("x".to_owned(), "invalid_url"),
        ] {
            let attachments = json!([{"filename": "a", "content": ""}, {"url": url}]);
            let ask = client.ask(Method::POST, format!("{path}/messages")).header("idempotency-key", "one key");
            let answer = ask.json(&mail(&attachments)).send().await;
            let problem = answer.problem(422, "attachment_failed");
            assert_eq!(
                (&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]),
                (&json!("/attachments/1/url"), &json!(code)),
                "{url}: {problem}"
            );
            assert!(!answer.text().contains("CANARY"), "nothing of the target is shown: {problem}");
        }
        assert!(peer.sandbox.received().is_empty() && peer.logins() == logins, "no SMTP command");
        let aws = service().await.aws().await;
        let rows = aws.items_of(&format!("T#{tenant}#M#")).await;
        assert!(rows.is_empty(), "and the key was not used: {rows:?}");
    });
}

#[test]
fn a_key_that_was_used_is_answered_though_the_url_is_gone() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let web = Web::start().await;
        let body = mail(&json!([{"url": web.file("/a.txt", &[], b"once")}]));
        let send = async || {
            let ask = client.ask(Method::POST, format!("{path}/messages")).header("idempotency-key", "k");
            ask.json(&body).send().await
        };
        let first = send().await.value(200);
        web.remove("/a.txt");
        let again: Answer = send().await;
        assert_eq!((again.value(200), again.header("idempotency-replayed")), (first, "true"));
        assert_eq!((peer.sandbox.received().len(), web.asked().len()), (1, 1));
    });
}

#[test]
fn attachments_of_stored_mail_go_on_by_part_and_by_file_id_however_small() {
    run(async {
        let (tenant, client, peer, path) = sender().await;
        let large = Random::new(2).bytes(20_000);
        let given = json!([
            {"filename": "small.txt", "content": STANDARD.encode("small")},
            {"filename": "large.bin", "content": STANDARD.encode(&large)},
        ]);
        let sent = client.post(format!("{path}/messages"), &mail(&given)).await.value(200);
        let (message, listed) = pulled(&client, &path).await;
        let id = message.rsplit('/').next().unwrap();
        let objects = service().await.aws().await.objects(&format!("t/{tenant}/files/")).await;
        assert_eq!(objects.len(), 1, "the small one is not worth an object yet: {objects:?}");
        let again = json!([
            {"message": id, "part": listed[0]["part"]},
            {"message": id, "part": listed[1]["part"], "filename": "renamed.bin"},
            {"message": sent["id"], "part": listed[0]["part"]},
            {"fileId": listed[0]["fileId"], "filename": "by-id.txt"},
        ]);
        let _ = client.post(format!("{path}/messages"), &mail(&again)).await.value(200);
        let (message, listed) = pulled(&client, &path).await;
        let names: Vec<_> = listed.iter().map(|file| file["filename"].as_str().unwrap()).collect();
        assert_eq!(names, ["small.txt", "renamed.bin", "small.txt", "by-id.txt"]);
        for (file, bytes) in listed.iter().zip([&b"small"[..], &large, b"small", b"small"]) {
            let got = client.get(format!("{message}/attachments/{}?inline=true", file["part"])).await;
            assert_eq!(got.is(200).body, bytes);
        }
        let other = "0123456789abcdef0123456789abcdef";
        for (attachment, pointer) in [
            (json!({"message": other, "part": 1}), "/attachments/0/message"),
            (json!({"message": id, "part": 77}), "/attachments/0/part"),
            (json!({"fileId": "0".repeat(64)}), "/attachments/0/fileId"),
            (json!({"fileId": "../x"}), "/attachments/0/fileId"),
        ] {
            let answer = client.post(format!("{path}/messages"), &mail(&json!([attachment]))).await;
            assert_eq!(answer.problem(422, "attachment_failed")["errors"][0]["pointer"], pointer);
        }
        client
            .post(format!("{path}/messages"), &mail(&json!([{"filename": "x"}])))
            .await
            .names(&[("/attachments/0", "missing")]);
        assert_eq!(peer.sandbox.received().len(), 2);

        // Lists know which of them bring files, also of what came here ready.
        let raw = String::from_utf8(corpus::with_attachment(1, "a.pdf", b"a")).unwrap();
        let raw = raw.replace("grace@example.test", "x@example.org");
        let _ = client.post(format!("{path}/messages"), &json!({"raw": raw})).await.value(200);
        let _ = client.post(format!("{path}/messages"), &json!({"to": "x@example.org", "text": "no"})).await.value(200);
        let with = client.get(format!("{path}/messages?direction=outgoing&hasAttachments=true")).await.value(200);
        assert_eq!(with["items"].as_array().unwrap().len(), 3);
    });
}

#[test]
fn what_is_too_large_leaves_as_a_link_that_needs_no_token_and_ends() {
    run(async {
        let (tenant, client, peer, path) = sender().await;
        let large = Random::new(5).bytes(60_000);
        let body = |links: Value| {
            let mut body = mail(&json!([
                {"filename": "small.txt", "content": STANDARD.encode("small")},
                {"filename": "Größe <1>.bin", "contentType": "application/x-large", "content": STANDARD.encode(&large)},
                {"filename": "p.png", "disposition": "inline", "contentId": "p", "content": STANDARD.encode("png")},
            ]));
            body["html"] = json!("<html><body><p>see</p></body></html>");
            body["links"] = links;
            body
        };
        let _ = client.post(format!("{path}/messages"), &body(json!({}))).await.is(200);
        let whole = peer.sandbox.received()[0].bytes.len();
        assert!(whole > 80_000, "with 20 MB of room all of it is attached: {whole}");
        let _ = client.post(format!("{path}/messages"), &body(json!({"above": 50_000, "days": 3}))).await.is(200);
        let source = String::from_utf8(peer.sandbox.received()[1].bytes.to_vec()).unwrap();
        assert!(source.len() < 10_000 && source.contains("small.txt") && source.contains("p.png"), "{source}");
        let source = source.replace("=\r\n", "").replace("=3D", "=");
        let start = source.find("http://127.0.0.1").unwrap_or_else(|| panic!("{source}"));
        let url: String = source[start..].chars().take_while(|c| !c.is_whitespace() && *c != '"').collect();
        assert!(
            source.contains(&format!("<a href=\"{url}\">")) && source.contains("&lt;1&gt;.bin</a> (0.1 MB, until "),
            "{source}"
        );
        let nobody = Client::new("http://none.invalid", None);
        let redirect = nobody.get(url.clone()).await;
        let file = nobody.get(redirect.is(302).header("location")).await;
        assert!(
            file.status == 200 && file.body == large && file.header("content-disposition").contains("Gr%C3%B6%C3%9Fe")
        );
        assert_eq!(file.header("content-type"), "application/x-large");
        let (head, name) = url.rsplit_once('.').unwrap();
        let flipped: String = name.chars().rev().collect();
        for wrong in
            [format!("{head}.{flipped}"), format!("{head}.{name}0"), head.to_owned(), url.replace(&tenant, "local")]
        {
            let _ = nobody.get(wrong).await.problem(404, "not_found");
        }
        client
            .post(format!("{path}/messages"), &body(json!({"days": 31})))
            .await
            .names(&[("/links/days", "invalid_value")]);
    });
}

/// Decision 15.
#[test]
fn a_file_is_uploaded_by_a_signed_url_that_takes_only_what_was_described() {
    run(async {
        let (_, client, _peer, path) = sender().await;
        let outside = Client::new("http://none.invalid", None);
        let put = async |ticket: &Value, body: &[u8]| {
            let mut ask = outside.ask(Method::PUT, ticket["upload"]["url"].as_str().unwrap());
            for (name, value) in ticket["upload"]["headers"].as_object().unwrap() {
                let name = Box::leak(name.clone().into_boxed_str());
                ask = if name == "content-length" { ask } else { ask.header(name, value.as_str().unwrap()) };
            }
            ask.bytes(body.to_vec()).send().await.status
        };
        let described = |bytes: &[u8]| json!({"sha256": sha256(bytes), "size": bytes.len(), "contentType": "application/x-large", "filename": "Größe.bin"});
        let bytes = Random::new(4).bytes(5_000);
        let id = sha256(&bytes);
        let answer = client.post("/v1/files", &described(&bytes)).await;
        let ticket = answer.value(201);
        assert_eq!((&ticket["fileId"], &ticket["exists"]), (&json!(id), &json!(false)));
        assert_eq!(answer.header("location"), format!("/v1/files/{id}"));
        let _ = client.get(format!("/v1/files/{id}")).await.problem(404, "not_found");
        let mut other = bytes.clone();
        other[0] ^= 1;
        assert_ne!(put(&ticket, &other).await, 200, "another content");
        assert_ne!(put(&ticket, &bytes[1..]).await, 200, "another length");
        assert_eq!(put(&ticket, &bytes).await, 200);
        assert_eq!(put(&ticket, &bytes).await, 412, "once");
        let again = client.post("/v1/files", &described(&bytes)).await.value(200);
        assert_eq!(again, json!({"fileId": id, "exists": true}));
        client.post("/v1/files", &json!({"sha256": id, "size": 1})).await.names(&[("/size", "invalid_value")]);
        assert!(client.get(format!("/v1/files/{id}?inline=true")).await.is(200).body == bytes);
        let _ = client.get("/v1/files/nothing").await.problem(404, "not_found");
        let stranger = service().await.tenant().1;
        let _ = stranger.get(format!("/v1/files/{id}")).await.problem(404, "not_found");

        // Larger than any answer or request of ours.
        let large = Random::new(6).bytes(5 << 20);
        let ticket = client.post("/v1/files", &described(&large)).await.value(201);
        assert_eq!(put(&ticket, &large).await, 200);
        let path_of_large = format!("/v1/files/{}", sha256(&large));
        let redirect = client.get(path_of_large.clone()).await;
        let file = outside.get(redirect.is(302).header("location")).await;
        assert_eq!((file.status, file.header("content-type")), (200, "application/x-large"));
        assert!(file.header("content-disposition").contains("Gr%C3%B6%C3%9Fe.bin") && file.body == large);
        client.get(format!("{path_of_large}?inline=true")).await.names(&[("?inline", "too_large")]);

        let sent = client.post(format!("{path}/messages"), &mail(&json!([{"fileId": id}]))).await.value(200);
        assert_eq!(sent["state"], "sent");
        let (_, listed) = pulled(&client, &path).await;
        assert_eq!(
            (&listed[0]["filename"], &listed[0]["contentType"], &listed[0]["fileId"]),
            (&json!("Größe.bin"), &json!("application/x-large"), &json!(id))
        );
    });
}
