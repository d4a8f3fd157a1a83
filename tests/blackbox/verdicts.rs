//! What each answer of a server means: S4, every mix of verdicts, and S5, every class of reply at every stage.

use sandbox::{At, Protocol, Rule};
use serde_json::{Value, json};
use tests::client::Client;
use tests::peer::{Peer, Way};
use tests::service::{Options, Service};

use crate::run;

/// A service that never tries again by itself, and a server.
async fn quiet() -> (Service, Client, Peer) {
    let parameters = [
        ("BackoffSeconds", "3600"),
        ("TickRate", "rate(1 hour)"),
        ("ReplySeconds", "2"),
        ("DotSeconds", "2"),
        ("LoginPauseSeconds", "0"),
    ];
    let parameters = parameters.map(|(name, value)| (name, value.to_owned())).to_vec();
    let service = Service::start(Options { parameters, ..Options::default() }).await;
    let client = service.client();
    let peer = Peer::start().await;
    let settings = json!({"from": peer.user, "smtp": peer.smtp(Way::Tls)});
    let _ = client.put("/v1/accounts/mail", &settings).await.is(201);
    (service, client, peer)
}

/// Sends, and returns the message as it stands, whatever the status.
async fn send(client: &Client, mail: &Value) -> Value {
    let answer = client.post("/v1/accounts/mail/messages", mail).await;
    match answer.status {
        200 | 202 => answer.json(),
        422 => answer.json()["resource"].clone(),
        other => panic!("{other}: {}", answer.text()),
    }
}

#[test]
fn every_mix_of_recipients_and_dots_ends_as_the_table_says() {
    run(async {
        let (_service, client, peer) = quiet().await;
        for (name, reply) in [("soft", "450 4.2.1 Busy\r\n"), ("hard", "550 5.1.1 No\r\n")] {
            peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Command("RCPT")).matching(name).reply(reply));
        }
        for (name, reply) in [("dot 451", "451 4.3.0 Later\r\n"), ("dot 554", "554 5.6.0 Never\r\n")] {
            peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Data).matching(name).reply(reply));
        }
        peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Data).matching("dot lost").swallow_then_drop());
        let kinds = ["good", "soft", "hard"];
        let dots = [("dot 250", "sent"), ("dot 451", "deferred"), ("dot 554", "failed"), ("dot lost", "unknown")];
        let (mut right, mut copies) = (0, 0);
        for mix in 0..27 {
            let mix = [kinds[mix / 9], kinds[mix / 3 % 3], kinds[mix % 3]];
            for (dot, taken) in dots {
                let to: Vec<_> = mix.iter().enumerate().map(|(n, kind)| format!("{kind}{n}@example.org")).collect();
                let message = send(&client, &json!({"to": to, "subject": dot, "text": "x"})).await;
                let wanted: Vec<_> = mix
                    .iter()
                    .map(|kind| match *kind {
                        "good" => taken,
                        "soft" => "deferred",
                        _ => "failed",
                    })
                    .collect();
                let found: Vec<_> = message["recipients"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|one| one["state"].as_str().unwrap())
                    .collect();
                assert_eq!(found, wanted, "{mix:?} {dot}: {message}");
                let any = |state: &str| wanted.contains(&state);
                let whole = match () {
                    () if any("deferred") => "deferred",
                    () if any("unknown") => "unknown",
                    () if any("sent") && any("failed") => "partial",
                    () if any("sent") => "sent",
                    () => "failed",
                };
                assert_eq!(message["state"], whole, "{mix:?} {dot}: {message}");
                copies += usize::from(mix.contains(&"good") && ["sent", "unknown"].contains(&taken));
                right += 1;
            }
        }
        println!("S4: {right} of 108");
        assert_eq!(peer.sandbox.received().len(), copies);
    });
}

/// Stage, the server's bytes (`-`: it closes; `~`: it is silent; `!` at the end: it closes behind them), the message's
/// state, and what is told of the recipient: the server's code, and the phase.
type Row = (At, &'static str, &'static str, u16, &'static str);

fn table() -> Vec<Row> {
    let (mail, rcpt, data, auth, ehlo) =
        (At::Command("MAIL"), At::Command("RCPT"), At::Command("DATA"), At::Command("AUTH"), At::Command("EHLO"));
    vec![
        (At::Connect, "421 4.3.2 Busy!", "deferred", 421, "greeting"),
        (At::Connect, "554 5.3.2 No service!", "deferred", 554, "greeting"),
        (At::Connect, "hello", "deferred", 0, "greeting"),
        (At::Connect, "-", "deferred", 0, "greeting"),
        (At::Connect, "~", "deferred", 0, "greeting"),
        (ehlo, "421 4.3.2 Busy!", "deferred", 421, "capabilities"),
        (ehlo, "-", "deferred", 0, "capabilities"),
        (auth, "454 4.7.0 Later", "deferred", 454, "auth"),
        (auth, "421 4.7.0 Bye!", "deferred", 421, "auth"),
        (auth, "-", "deferred", 0, "auth"),
        (auth, "535 5.7.8 Wrong", "deferred", 535, "auth"),
        (mail, "250 2.1.0 Fine", "sent", 250, ""),
        (mail, "421 4.3.2 Bye!", "deferred", 421, "mail"),
        (mail, "450 4.2.0 Later", "deferred", 450, "mail"),
        (mail, "451 4.3.0 Later", "deferred", 451, "mail"),
        (mail, "452 4.3.1 Full", "deferred", 452, "mail"),
        (mail, "500 5.5.2 What", "failed", 500, "mail"),
        (mail, "501 5.5.4 What", "failed", 501, "mail"),
        (mail, "503 5.5.1 Order", "failed", 503, "mail"),
        (mail, "550 5.7.1 Not you", "failed", 550, "mail"),
        (mail, "552 5.3.4 Too big", "failed", 552, "mail"),
        (mail, "553 5.1.8 Not you", "failed", 553, "mail"),
        (mail, "-", "deferred", 0, "mail"),
        (mail, "~", "deferred", 0, "mail"),
        (mail, "nonsense", "deferred", 0, "mail"),
        (rcpt, "250-2.1.5 Two\r\n250 2.1.5 lines", "sent", 250, ""),
        (rcpt, "251 2.1.5 Forwarded", "sent", 250, ""),
        (rcpt, "252 2.5.0 Perhaps", "sent", 250, ""),
        (rcpt, "421 4.3.2 Bye!", "deferred", 421, "rcpt"),
        (rcpt, "450 4.2.1 Busy", "deferred", 450, "rcpt"),
        (rcpt, "451 4.7.1 Grey", "deferred", 451, "rcpt"),
        (rcpt, "452 4.5.3 Too many", "deferred", 452, "rcpt"),
        (rcpt, "550 5.1.1 Nobody", "failed", 550, "rcpt"),
        (rcpt, "551 5.7.1 Elsewhere", "failed", 551, "rcpt"),
        (rcpt, "553 5.1.3 Syntax", "failed", 553, "rcpt"),
        (rcpt, "554 5.7.1 No", "failed", 554, "rcpt"),
        (rcpt, "-", "deferred", 0, "rcpt"),
        (rcpt, "nonsense", "deferred", 0, "rcpt"),
        (data, "250 2.0.0 Already", "deferred", 0, "data"),
        (data, "421 4.3.2 Bye!", "deferred", 421, "data"),
        (data, "451 4.3.0 Later", "deferred", 451, "data"),
        (data, "503 5.5.1 Order", "failed", 503, "data"),
        (data, "554 5.7.1 No", "failed", 554, "data"),
        (data, "-", "deferred", 0, "data"),
        (At::Data, "250 2.0.0 Mine", "sent", 250, ""),
        (At::Data, "250-2.0.0 It\r\n250 2.0.0 is mine", "sent", 250, ""),
        (At::Data, "250", "sent", 250, ""),
        (At::Data, "220 Hello", "unknown", 0, "data"),
        (At::Data, "251 2.1.5 Perhaps", "unknown", 0, "data"),
        (At::Data, "354 Go on", "unknown", 0, "data"),
        (At::Data, "421 4.3.2 Bye!", "deferred", 421, "data"),
        (At::Data, "450 4.2.0 Later", "deferred", 450, "data"),
        (At::Data, "451 4.3.0 Later", "deferred", 451, "data"),
        (At::Data, "452 4.3.1 Full", "deferred", 452, "data"),
        (At::Data, "550 5.7.1 Spam", "failed", 550, "data"),
        (At::Data, "552 5.3.4 Too big", "failed", 552, "data"),
        (At::Data, "554-5.6.0 Not\r\n554 5.6.0 this", "failed", 554, "data"),
        (At::Data, "nonsense", "unknown", 0, "data"),
        (At::Data, "250-2.0.0 It!", "unknown", 0, "data"),
        (At::Data, "-", "unknown", 0, "data"),
        (At::Data, "~", "unknown", 0, "data"),
    ]
}

fn rule(at: At, bytes: &str) -> Rule {
    let rule = Rule::on(Protocol::Smtp).at(at);
    match bytes {
        "-" => rule.drop_connection(),
        "~" => rule.stall_forever(),
        bytes => match bytes.strip_suffix('!') {
            Some(last) => rule.reply(format!("{last}\r\n")).then_close(),
            None => rule.reply(format!("{bytes}\r\n")),
        },
    }
}

#[test]
fn every_class_of_reply_at_every_stage_means_what_the_table_says() {
    run(async {
        let (_service, client, peer) = quiet().await;
        let table = table();
        let mut wrong = Vec::new();
        for (at, bytes, state, code, phase) in &table {
            peer.sandbox.clear_script();
            let fits = |byte: u8| byte == b'2';
            let rule = rule(*at, bytes);
            // Where the server agrees, in its own words, it has to do so too.
            let agrees = fits(bytes.as_bytes()[0]) && *state == "sent";
            peer.sandbox.script(if agrees { rule.and_continue() } else { rule });
            let message = send(&client, &json!({"to": "ada@example.test", "subject": "S5", "text": "x"})).await;
            let one = &message["recipients"][0];
            let found = (
                message["state"].as_str().unwrap_or_default(),
                one["smtp"]["code"].as_u64().unwrap_or_default(),
                one["phase"].as_str().unwrap_or_default(),
            );
            if found != (*state, u64::from(*code), *phase) {
                wrong.push(format!("{at:?} {bytes:?}: wanted {state} {code} {phase:?}, found {found:?}: {message}"));
            }
        }
        println!("S5: {} of {}", table.len() - wrong.len(), table.len());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}
