//! What a mail is made of: answers to stored messages, Markdown, whole messages, invitations, dry runs; and what of it
//! reaches the server, byte by byte.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use http::Method;
use sandbox::{At, Protocol, Received, Rule};
use serde_json::{Value, json};
use tests::client::Client;
use tests::peer::{Peer, Receive, Way};

use crate::send::sender;
use crate::{account, run, service};

const ORIGINAL: &str = "From: Bob <bob@example.org>\r\nTo: Ada <ada@example.test>, eve@example.org\r\nCc: joe@example.org\r\n\
    Reply-To: desk@example.org\r\nSubject: Order\r\nDate: Tue, 03 Mar 2026 10:05:07 +0100\r\nMessage-ID: <2@x.example>\r\n\
    References: <1@x.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";

/// Bob's message with a large and a small file, pulled; returns its id and the files.
async fn pulled(client: &Client, peer: &Peer, path: &str) -> (String, [(&'static str, Vec<u8>); 2]) {
    let mut random = tests::random::Random::new(17);
    let files = [("offer – 1.pdf", random.bytes(40_000)), ("note.bin", random.bytes(100))];
    let names = ["filename*=utf-8''offer%20%E2%80%93%201.pdf", "filename=note.bin"];
    let mut source = ORIGINAL.as_bytes().to_vec();
    source.extend_from_slice(b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHi Ada,\r\n> older\r\nbye\r\n");
    for (name, (_, bytes)) in names.iter().zip(&files) {
        let head = format!("--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; {name}\r\n");
        source.extend_from_slice(head.as_bytes());
        source.extend_from_slice(b"Content-Transfer-Encoding: base64\r\n\r\n");
        for line in STANDARD.encode(bytes).as_bytes().chunks(76) {
            source.extend_from_slice(line);
            source.extend_from_slice(b"\r\n");
        }
    }
    source.extend_from_slice(b"--b--\r\n");
    peer.sandbox.deliver(&peer.user, source).unwrap();
    let pulled = client.post_empty(format!("{path}/pull")).await.value(200);
    (pulled["stored"][0].as_str().unwrap().to_owned(), files)
}

fn last(peer: &Peer) -> Received {
    peer.sandbox.received().pop().unwrap()
}

fn text_of(message: &Received) -> String {
    String::from_utf8(message.bytes.to_vec()).unwrap().replace("\r\n ", " ").replace("\r\n\t", " ")
}

/// A3.4/17, A3.4/20
#[test]
fn a_3_4_17_and_20_an_answer_has_its_thread_subject_recipients_and_quotation() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let (id, _) = pulled(&client, &peer, &path).await;
        let reply = json!({"reference": {"message": id, "action": "reply"}, "text": "Thanks"});
        let sent = client.post(format!("{path}/messages"), &reply).await.value(200);
        assert_eq!(last(&peer).recipients, ["desk@example.org"]);
        let text = text_of(&last(&peer));
        for part in [
            "In-Reply-To: <2@x.example>\r\n",
            "References: <1@x.example> <2@x.example>\r\n",
            "Subject: Re: Order\r\n",
            "\r\n\r\nThanks\r\n\r\nOn 3 March 2026 at 09:05 UTC, Bob <bob@example.org> wrote:\r\n> Hi Ada,\r\n>> older\r\n> bye\r\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let all =
            json!({"reference": {"message": id, "action": "replyAll", "quote": false}, "subject": "Mine", "text": "x"});
        let _ = client.post(format!("{path}/messages"), &all).await.is(200);
        assert_eq!(last(&peer).recipients, ["desk@example.org", "eve@example.org", "joe@example.org"]);
        let text = text_of(&last(&peer));
        assert!(text.contains("Subject: Mine\r\n") && text.ends_with("\r\n\r\nx\r\n"), "{text}");

        // What we sent ourselves can be referred to as well: its thread goes on.
        let again = json!({"reference": {"message": sent["id"], "action": "reply"}, "text": "And"});
        let _ = client.post(format!("{path}/messages"), &again).await.is(200);
        let wanted = format!("References: <1@x.example> <2@x.example> {}\r\n", sent["messageId"].as_str().unwrap());
        assert!(text_of(&last(&peer)).contains(&wanted), "{}", text_of(&last(&peer)));
        assert_eq!(last(&peer).recipients, ["desk@example.org"], "whom we had written to");
    });
}

/// A3.4/17, A3.4/20
#[test]
fn a_3_4_17_and_20_a_forward_brings_header_and_files_even_if_the_original_goes() {
    run(async {
        let (tenant, client, peer, path) = sender().await;
        let (id, files) = pulled(&client, &peer, &path).await;
        // The server is busy at first, so that a second attempt composes the message anew.
        let busy = Rule::on(Protocol::Smtp).at(At::Command("MAIL")).times(1).reply("450 4.3.2 Later\r\n");
        peer.sandbox.script(busy);
        let body =
            json!({"reference": {"message": id, "action": "forward"}, "to": "ada@example.test", "html": "<p>See</p>"});
        let ask =
            || client.ask(Method::POST, format!("{path}/messages")).header("idempotency-key", "f").json(&body).send();
        let first = ask().await.value(202);
        let aws = service().await.aws().await;
        let row =
            aws.items_of(&format!("T#{tenant}#")).await.into_keys().find(|key| key.ends_with(&format!("{id} / M")));
        aws.delete(&row.expect("the row of the original")).await;
        let outbox = format!("/v1/outbox/{}", first["id"].as_str().unwrap());
        tests::until("sent", async || (client.get(outbox.clone()).await.value(200)["state"] == "sent").then_some(()))
            .await;
        let again = ask().await;
        assert_eq!((again.value(200)["state"].clone(), again.header("idempotency-replayed")), (json!("sent"), "true"));
        let text = text_of(&last(&peer));
        assert!(
            text.contains("Subject: Fwd: Order\r\n") && text.contains("In-Reply-To: <2@x.example>\r\n"),
            "{text:.900}"
        );
        let copies = client.post_empty(format!("{path}/pull")).await.value(200);
        let copy = format!("{path}/messages/{}", copies["stored"][0].as_str().unwrap());
        let detail = client.get(copy.clone()).await.value(200);
        assert!(detail["html"].as_str().unwrap().contains("Forwarded message"), "{detail}");
        for ((name, bytes), listed) in files.iter().zip(detail["attachments"].as_array().unwrap()) {
            assert_eq!((&listed["filename"], &listed["fileId"]), (&json!(name), &json!(tests::sha256(bytes))));
            let got = client.get(format!("{copy}/attachments/{}?inline=true", listed["part"])).await;
            assert!(got.is(200).body == *bytes, "{name}");
        }
    });
}

/// A3.4/19
#[test]
fn a_3_4_19_without_the_message_nothing_is_sent_and_no_key_is_used() {
    run(async {
        let (tenant, client, peer, path) = sender().await;
        let (id, _) = pulled(&client, &peer, &path).await;
        let other = account(&client, "other", &peer.account(Receive::Imap, Way::Tls)).await;
        let aws = service().await.aws().await;
        let before = aws.items_of(&format!("T#{tenant}#M")).await;
        let ask = |path: &str, message: &str, action: &str| {
            let body =
                json!({"reference": {"message": message, "action": action}, "to": "ada@example.test", "text": "x"});
            client.ask(Method::POST, format!("{path}/messages")).header("idempotency-key", "k").json(&body).send()
        };
        let unknown = "0".repeat(32);
        for message in [unknown.as_str(), "nonsense", ""] {
            let _ = ask(&path, message, "reply").await.problem(404, "message_not_found");
        }
        let _ = ask(&other, &id, "forward").await.problem(404, "message_not_found");
        let (_, stranger) = service().await.tenant();
        let theirs = account(&stranger, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        let body = json!({"reference": {"message": id, "action": "reply"}, "text": "x"});
        let _ = stranger.post(format!("{theirs}/messages"), &body).await.problem(404, "message_not_found");
        assert_eq!((aws.items_of(&format!("T#{tenant}#M")).await, peer.sandbox.received().len()), (before, 0));
        assert_eq!(ask(&path, &id, "reply").await.is(200).header("idempotency-replayed"), "", "the key is free");
    });
}

#[test]
fn a_dry_run_shows_what_is_sent_and_does_nothing() {
    run(async {
        let (tenant, client, peer, path) = sender().await;
        let aws = service().await.aws().await;
        let before = aws.items_of(&format!("T#{tenant}#")).await;
        let mut body = json!({
            "to": "ada@example.test", "bcc": "hidden@example.org", "subject": "Größe", "text": "x", "html": "<p>x</p>",
            "attachments": [{"filename": "a.bin", "content": STANDARD.encode(vec![7; 5_000])}],
        });
        let ask = |body: &Value| {
            client.ask(Method::POST, format!("{path}/messages")).header("idempotency-key", "d").json(body).send()
        };
        body["dryRun"] = json!(true);
        let dry = ask(&body).await.value(200);
        assert_eq!(aws.items_of(&format!("T#{tenant}#")).await, before);
        assert!(aws.objects(&format!("t/{tenant}/")).await.is_empty() && peer.logins() == 0);
        assert_eq!(
            (&dry["dryRun"], &dry["encoding"], &dry["envelopeFrom"]),
            (&json!(true), &json!("text"), &json!("ada@example.test"))
        );
        assert_eq!(dry["recipients"], json!(["ada@example.test", "hidden@example.org"]));
        body["dryRun"] = json!(false);
        let sent = ask(&body).await.value(200);
        assert_eq!((&sent["messageId"], &sent["size"]), (&dry["messageId"], &dry["size"]));
        let undated = |text: &str| {
            text.split("\r\n").filter(|line| !line.starts_with("Date: ")).map(str::to_owned).collect::<Vec<_>>()
        };
        let at_sink = String::from_utf8(last(&peer).bytes.to_vec()).unwrap();
        assert_eq!(undated(dry["source"].as_str().unwrap()), undated(&at_sink), "but for its date");
        let source = client.get(format!("{path}/messages/{}/source?inline=true", sent["id"].as_str().unwrap())).await;
        assert!(source.is(200).body == last(&peer).bytes, "what is shown later is what was sent");
        let wrong = ask(&json!({"to": "ada@example.test", "dryRun": true})).await;
        wrong.names(&[("/text", "missing")]);
    });
}

#[test]
fn a_whole_message_leaves_as_it_is_but_for_what_must_not() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let message =
            "From: Ada <ada@example.test>\nTo: bob@example.org\nBcc: hidden@example.org\nSubject: Raw\n\n.\n..x\n";
        for raw in [message.to_owned(), STANDARD.encode(message)] {
            let sent = client.post(format!("{path}/messages"), &json!({"raw": raw})).await.value(200);
            assert_eq!(last(&peer).recipients, ["bob@example.org", "hidden@example.org"]);
            let text = text_of(&last(&peer));
            let head = "From: Ada <ada@example.test>\r\nTo: bob@example.org\r\nSubject: Raw\r\nDate: ";
            let id = format!("\r\nMessage-ID: {}\r\n\r\n.\r\n..x\r\n", sent["messageId"].as_str().unwrap());
            assert!(text.starts_with(head) && text.ends_with(&id) && !text.contains("hidden"), "{text}");
        }
        let named = message.replacen("To:", "Message-ID: <own@example.test>\nTo:", 1);
        let body = json!({"raw": named, "to": "eve@example.org"});
        let sent = client.post(format!("{path}/messages"), &body).await.value(200);
        assert_eq!(
            (&sent["messageId"], last(&peer).recipients),
            (&json!("<own@example.test>"), vec!["eve@example.org".to_owned()])
        );
        let refused =
            |raw: String| client.ask(Method::POST, format!("{path}/messages")).json(&json!({"raw": raw})).send();
        for (raw, code) in [
            (message.replacen("ada@", "boss@", 1), "not_an_identity"),
            (message.replacen("To:", "Sender: boss@example.test\nTo:", 1), "not_an_identity"),
            (message.replacen("To:", "Received: by x\nTo:", 1), "invalid_header"),
            ("no base64 and no header".to_owned(), "invalid_message"),
        ] {
            refused(raw).await.names(&[("/raw", code)]);
        }
        let both = json!({"raw": message, "subject": "x", "text": "y"});
        client.post(format!("{path}/messages"), &both).await.names(&[("/text", "conflict"), ("/subject", "conflict")]);
        assert_eq!(peer.sandbox.received().len(), 3);
    });
}

#[test]
fn markdown_an_invitation_and_a_way_out_arrive_as_calendars_and_readers_know_them() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let body = json!({
            "to": "Ada <ada@example.test>", "subject": "Lunch", "markdown": "# Lunch\n\n* **now**\n",
            "invite": {"method": "request", "start": "2026-07-01T12:00", "end": "2026-07-01T13:00", "timezone": "Europe/Berlin", "location": "Café, left"},
            "listUnsubscribe": {"mailto": "out@example.test", "url": "https://example.test/out", "oneClick": true},
        });
        let sent = client.post(format!("{path}/messages"), &body).await.value(200);
        let text = text_of(&last(&peer));
        for part in [
            "List-Unsubscribe: <mailto:out@example.test>, <https://example.test/out>\r\n",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
            "<li><strong>now</strong></li>",
            "* **now**\r\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("Content-Type: text/calendar; method=\"REQUEST\"; charset=\"utf-8\""), "{text}");
        let pulled = client.post_empty(format!("{path}/pull")).await.value(200);
        let message = format!("{path}/messages/{}", pulled["stored"][0].as_str().unwrap());
        let detail = client.get(message.clone()).await.value(200);
        let files = detail["attachments"].as_array().unwrap();
        let kinds: Vec<&str> = files.iter().map(|file| file["contentType"].as_str().unwrap()).collect();
        assert!(kinds.contains(&"text/calendar") && kinds.contains(&"application/ics"), "{detail}");
        let uid = sent["messageId"].as_str().unwrap().trim_matches(['<', '>']).to_owned();
        for file in files {
            let ics = client.get(format!("{message}/attachments/{}?inline=true", file["part"])).await;
            let ics = ics.is(200).text();
            assert!(ics.starts_with("BEGIN:VCALENDAR\r\n"), "{ics}");
            let ics = ics.replace("\r\n ", "");
            for line in ["METHOD:REQUEST", "DTSTART:20260701T100000Z", "LOCATION:Café\\, left", &format!("UID:{uid}")]
            {
                assert!(ics.contains(&format!("\r\n{line}\r\n")), "{line}: {ics}");
            }
            assert!(ics.contains("ORGANIZER;CN=Ada:mailto:ada@example.test\r\n"), "{ics}");
        }
        let broken = json!({"to": "ada@example.test", "invite": {"method": "cancel"}});
        client.post(format!("{path}/messages"), &broken).await.names(&[("/invite/uid", "missing")]);
    });
}

#[test]
fn what_the_server_cannot_take_is_refused_before_mail() {
    run(async {
        let (_, client, peer, path) = sender().await;
        peer.sandbox.script(Rule::on(Protocol::Smtp).capabilities(["SIZE 2000", "8BITMIME", "AUTH PLAIN", "STARTTLS"]));
        let large = json!({"to": "ada@example.test", "subject": "x", "text": "x".repeat(3_000)});
        let problem = client.post(format!("{path}/messages"), &large).await.problem(422, "message_rejected");
        assert!(problem["detail"].as_str().unwrap().contains("the server takes 2000 (SIZE)"), "{problem}");
        let international = json!({"to": "jörg@bücher.example", "subject": "x"});
        let problem = client.post(format!("{path}/messages"), &international).await.problem(422, "message_rejected");
        assert!(problem["detail"].as_str().unwrap().contains("SMTPUTF8"), "{problem}");
        let reported =
            json!({"to": "ada@example.test", "subject": "x", "dsn": {"notify": ["success"], "required": true}});
        let problem = client.post(format!("{path}/messages"), &reported).await.problem(422, "message_rejected");
        assert!(problem["detail"].as_str().unwrap().contains("DSN"), "{problem}");
        assert!(!peer.sandbox.transcript().iter().any(|line| line.bytes.starts_with(b"MAIL")));

        // The domain in its ASCII form, a blind international neighbour refused alone, wishes without demands.
        let body = json!({"to": "bob@bücher.example", "bcc": "jörg@example.test", "subject": "x", "dsn": {"notify": ["never"]}});
        let some = client.post(format!("{path}/messages"), &body).await.value(200);
        assert_eq!(
            (&some["state"], last(&peer).recipients),
            (&json!("partial"), vec!["bob@xn--bcher-kva.example".to_owned()])
        );
        assert!(some["recipients"][1]["error"].as_str().unwrap().contains("SMTPUTF8"), "{some}");
    });
}

#[test]
fn the_envelopes_sender_is_an_identity_too() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let mut settings = peer.account(Receive::Imap, Way::Tls);
        settings["identities"] = json!(["bounces@example.test"]);
        let path = account(&client, "mail", &settings).await;
        let mut body = json!({"to": "ada@example.test", "subject": "x", "envelopeFrom": "bounces@example.test"});
        let _ = client.post(format!("{path}/messages"), &body).await.is(200);
        assert_eq!(last(&peer).from, "bounces@example.test");
        assert!(text_of(&last(&peer)).contains("<ada@example.test>\r\n"));
        body["envelopeFrom"] = json!("boss@example.test");
        client.post(format!("{path}/messages"), &body).await.names(&[("/envelopeFrom", "not_an_identity")]);
    });
}

/// Bodies, names and headers that have broken something somewhere: SMTP smuggling, header splitting, line length.
fn hostile() -> Vec<Value> {
    let bodies = [
        ".",
        "..",
        "\r.\r",
        "\n.\n",
        "\r\n.\r\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r\n",
        "\r\n.\r",
        "\0",
        "\r\n\0.\r\n",
        "\r",
        "\n",
        "\r\r\n",
        "\n\r",
        "\n\n.\n\n",
        ".\r\nMAIL FROM:<e@evil.example>\r\n",
        "\r\n.\r\nMAIL FROM:<e@evil.example>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n",
        "From the start",
        ">From",
        "\u{1b}[2J",
        "\u{7f}",
        "\u{85}.\u{85}",
        "\u{2028}.\u{2028}",
        "\u{feff}.",
        "Größe €🙂",
        "=\n=0D=0A.",
        "--\n--=_0",
        "\t \t",
        "a \n b\t\n",
    ];
    let mut mails: Vec<Value> = bodies
        .iter()
        .flat_map(|body| [json!({"text": body}), json!({"text": format!("x{body}y"), "html": body})])
        .collect();
    mails.extend([
        json!({"text": "x".repeat(3_000)}),
        json!({"html": "ł".repeat(3_000)}),
        json!({"text": ".\r\n".repeat(400)}),
        json!({"text": format!("{}\r\n.\r\n", "z".repeat(65_530))}),
        json!({"markdown": "\r.\r\n.\n"}),
        json!({"subject": "a".repeat(5_000)}),
        json!({"subject": "ł ".repeat(600)}),
        json!({"subject": "=?utf-8?q?=0D=0ABcc:_e@evil.example?="}),
        json!({"subject": "."}),
        json!({"to": {"name": "\"; x=\\\" <e@evil.example>, ", "address": "ada@example.test"}}),
        json!({"to": {"name": "=?utf-8?q?=0D=0ABcc:?=", "address": "ada@example.test"}}),
        json!({"to": {"name": "ł".repeat(100), "address": "ada@example.test"}}),
        json!({"headers": [{"name": "X-A", "values": [".", "=?x?=", "a".repeat(900), "ł".repeat(500)]}]}),
        json!({"headers": [{"name": "X-Dot", "values": ["a ".repeat(2_000)]}]}),
        json!({"attachments": [{"filename": "..\\..\\\".\r.exe".replace('\r', ""), "content": STANDARD.encode("\r.\r\n.\r\n")}]}),
        json!({"attachments": [{"filename": "ł".repeat(120), "contentType": "text/plain; x=\".\"", "content": STANDARD.encode("\n.\n\0")}]}),
        json!({"attachments": [{"filename": "a.eml", "contentType": "message/rfc822", "content": STANDARD.encode("X: y\n\n.\n\r.\r..\n")}]}),
        json!({"raw": "From: ada@example.test\nTo: ada@example.test\r\rX\r.\r\n.\n..\r\n"}),
    ]);
    mails
}

/// Byte discipline (RFC 5321 §2.3.8, §4.5.2): no bare CR or LF, no NUL, dots stuffed, and one message each.
#[test]
fn nothing_hostile_changes_what_the_server_sees() {
    run(async {
        let (_, client, peer, path) = sender().await;
        let mails = hostile();
        assert!(mails.len() >= 40);
        let asks = mails.iter().map(|mail| {
            let mut mail = mail.clone();
            for (field, value) in [("to", "ada@example.test"), ("subject", "x")] {
                if mail["raw"].is_null() && mail[field].is_null() {
                    mail[field] = json!(value);
                }
            }
            let client = client.clone();
            let path = format!("{path}/messages");
            async move { client.post(path, &mail).await.value(200)["id"].as_str().unwrap().to_owned() }
        });
        let ids: Vec<String> = futures_util::stream::iter(asks).buffered(4).collect().await;
        let received = peer.sandbox.received();
        assert_eq!(received.len(), mails.len(), "no message became two");
        for message in &received {
            let wire = &message.wire;
            let crlf = wire.windows(2).filter(|pair| pair == b"\r\n").count();
            let count = |byte: u8| wire.iter().filter(|found| **found == byte).count();
            assert_eq!((count(b'\r'), count(b'\n'), count(0)), (crlf, crlf, 0), "bare CR, bare LF, NUL");
            let body = wire.strip_suffix(b".\r\n").unwrap();
            for line in body.split_inclusive(|byte| *byte == b'\n') {
                assert!(line.len() <= 1_001 && line != b".\r\n", "RFC 5321 §4.5.3.1.6, §4.5.2");
                assert!(!line.starts_with(b".") || line.starts_with(b".."), "every dot is stuffed");
            }
            assert_eq!(
                (message.from.as_str(), &message.recipients),
                ("ada@example.test", &vec!["ada@example.test".to_owned()])
            );
            let text = String::from_utf8_lossy(&message.bytes);
            let header = text.split("\r\n\r\n").next().unwrap().to_lowercase();
            assert!(!header.contains("\r\nbcc:") && !header.contains("\r\nevil"), "{header}");
        }
        let mut shown = Vec::new();
        for id in ids {
            shown.push(client.get(format!("{path}/messages/{id}/source?inline=true")).await.is(200).body.clone());
        }
        let mut at_sink: Vec<_> = received.into_iter().map(|message| message.bytes).collect();
        shown.sort();
        at_sink.sort();
        assert!(shown == at_sink, "what is stored is what was sent");
    });
}
