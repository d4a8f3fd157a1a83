//! The client against scripted servers: what each reply at each stage means, and what goes over the wire.

mod extensions;
mod peer;
mod replies;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use self::peer::Answer::Closes;
use self::peer::{Peer, says};
use super::*;
use crate::mail::limits::{SHOWN_REPLY_CHARS, SMTP_PIPELINE};

const MESSAGE: &[u8] = b"Subject: x\r\n\r\n.dot\r\n";
const PASSWORD: &str = "CANARY-pw-7f3e";
const PLAIN_TOKEN: &str = "AGFkYUBleGFtcGxlLnRlc3QAQ0FOQVJZLXB3LTdmM2U=";

/// Long, so that a busy machine is not taken for a silent server.
fn timeouts() -> Timeouts {
    Timeouts { reply: Duration::from_secs(20), dot: Duration::from_secs(20), ..Timeouts::default() }
}

/// For servers that are silent on purpose.
fn impatient() -> Timeouts {
    Timeouts { reply: Duration::from_millis(150), dot: Duration::from_millis(150), ..Timeouts::default() }
}

fn credential() -> Credential {
    Credential::Password { username: "ada@example.test".to_owned(), password: PASSWORD.to_owned().into() }
}

fn terms(size: u64, eight_bit: bool) -> Terms<'static> {
    Terms { size, eight_bit, ..Terms::default() }
}

fn to(addresses: &[&str]) -> Vec<String> {
    addresses.iter().map(|&address| address.to_owned()).collect()
}

fn told(error: &Error) -> String {
    format!("{:?} {}", error.code, if error.is_transient() { "later" } else { "never" })
}

fn refused(refusal: &Refusal) -> String {
    format!("{} {}", refusal.code.unwrap_or_default(), if refusal.is_transient() { "later" } else { "never" })
}

/// One message to one recipient: where it ended and as what.
async fn verdict(peer: &Peer, timeouts: Timeouts) -> String {
    let mut client = match Client::greeted(peer.wire(), "halfpenny.test", &credential(), timeouts).await {
        Ok(client) => client,
        Err(error) => return format!("open {}", told(&error)),
    };
    let recipients = to(&["bob@example.test"]);
    let content = Content::check(MESSAGE).unwrap();
    let envelope = match client.envelope("ada@example.test", &recipients, terms(content.size(), false)).await {
        Ok(envelope) => envelope,
        Err(error) => return format!("envelope {}", told(&error)),
    };
    let Some(transaction) = envelope.transaction else {
        return format!("recipient {}", refused(envelope.verdicts[0].as_ref().unwrap_err()));
    };
    let ready = match transaction.start().await {
        Ok(ready) => ready,
        Err(error) => return format!("data {}", told(&error)),
    };
    match ready.finish(content).await {
        Outcome::Sent(reply) => format!("sent {}", reply.code),
        Outcome::Refused(refusal) => format!("refused {}", refused(&refusal)),
        Outcome::NotHandedOver(error) => format!("not handed over {}", told(&error)),
        Outcome::Unknown(error) => format!("unknown {}", told(&error)),
    }
}

#[tokio::test]
async fn every_reply_at_every_stage_has_its_verdict() {
    let table = replies::all();
    assert!(table.len() >= 50);
    for (stage, answer, expected) in table {
        let peer = Peer::simple().with(stage, answer.clone());
        let timeouts = if expected.contains("Timeout") { impatient() } else { timeouts() };
        assert_eq!(verdict(&peer, timeouts).await, expected, "{stage}: {answer:?}");
        let dot_sent = peer.heard().contains("\r\n.\r\n");
        let dot_allowed = ["sent", "unknown", "refused"].iter().any(|word| expected.starts_with(word));
        assert!(dot_allowed || !dot_sent, "{stage}: {answer:?} handed the message over");
    }
}

#[tokio::test]
async fn a_server_that_knows_only_helo_is_enough_without_a_credential() {
    let peer = Peer::simple().with("EHLO", says("502 5.5.1 what?\r\n"));
    let client = Client::greeted(peer.wire(), "halfpenny.test", &Credential::None, timeouts()).await.unwrap();
    assert_eq!(client.capabilities(), &Capabilities::default());
    client.quit().await;
    assert_eq!(peer.heard(), "EHLO halfpenny.test\r\nHELO halfpenny.test\r\nQUIT\r\n");
}

#[tokio::test]
async fn what_is_offered_is_known() {
    let lines = "250-mail.test greets\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-PIPELINING\r\n250-DSN\r\n250-CHUNKING\r\n\
                 250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250-AUTH PLAIN XOAUTH2\r\n250-AUTH=LOGIN PLAIN\r\n250-XCLIENT\r\n250 STARTTLS\r\n";
    let client = Peer::new(lines).client().await.unwrap();
    let expected = Capabilities {
        size: Some(52_428_800),
        declares_size: true,
        pipelining: true,
        eight_bit_mime: true,
        enhanced_status_codes: true,
        smtputf8: true,
        dsn: true,
        chunking: true,
        starttls: true,
        auth: to(&["LOGIN", "PLAIN", "XOAUTH2"]),
    };
    assert_eq!(client.capabilities(), &expected);
}

#[tokio::test]
async fn plain_goes_with_the_command_unless_it_is_too_long_for_a_line() {
    let peer = Peer::simple();
    peer.client().await.unwrap();
    assert_eq!(peer.heard(), format!("EHLO halfpenny.test\r\nAUTH PLAIN {PLAIN_TOKEN}\r\n"));

    let long = Credential::Password { username: "ada".to_owned(), password: "x".repeat(400).into() };
    let peer = Peer::simple().with("AUTH", says("334 \r\n"));
    Client::greeted(peer.wire(), "halfpenny.test", &long, timeouts()).await.unwrap();
    let heard = peer.heard();
    let lines: Vec<_> = heard.lines().collect();
    assert_eq!((lines[1], lines[2].len()), ("AUTH PLAIN", (405_usize).div_ceil(3) * 4));
}

#[tokio::test]
async fn login_answers_two_challenges_and_stops_at_a_refusal() {
    let login = || Peer::new("250-mail.test\r\n250 AUTH LOGIN\r\n").with("AUTH", says("334 VXNlcm5hbWU6\r\n"));
    let peer = login().with("SASL1", says("334 UGFzc3dvcmQ6\r\n")).with("SASL2", says("235 in\r\n"));
    peer.client().await.unwrap();
    assert_eq!(
        peer.heard(),
        "EHLO halfpenny.test\r\nAUTH LOGIN\r\nYWRhQGV4YW1wbGUudGVzdA==\r\nQ0FOQVJZLXB3LTdmM2U=\r\n"
    );

    let peer = login().with("SASL1", says("535 5.7.8 unknown user\r\n"));
    let error = peer.client().await.unwrap_err();
    assert!(error.is_auth_refusal() && error.phase == Phase::Auth);
    assert_eq!(peer.heard().lines().count(), 3, "no password behind a refused name");
}

#[tokio::test]
async fn no_secret_is_shown_even_where_the_words_are_cut() {
    for echo in [PASSWORD, PLAIN_TOKEN, "Q0FOQVJZLXB3LTdmM2U="] {
        for padding in [0, 190] {
            let words = format!("535 5.7.8 {} {echo} is wrong\r\n", "x".repeat(padding));
            let error = Peer::simple().with("AUTH", says(&words)).client().await.unwrap_err();
            let all = format!("{error} {error:?}");
            assert!(!all.contains(&echo[..8]), "{all}");
            assert_eq!(error.refusal.as_ref().and_then(|refusal| refusal.enhanced.as_deref()), Some("5.7.8"));
            assert!(error.refusal.unwrap().text.len() <= SHOWN_REPLY_CHARS);
        }
    }
    let client = Peer::simple().client().await.unwrap();
    assert!(!format!("{client:?}").contains(PASSWORD));
}

#[tokio::test]
async fn pipelining_sends_mail_and_rcpt_at_once_and_data_never_with_them() {
    let (ours, mut theirs) = tokio::io::duplex(1 << 16);
    let peer = tokio::spawn(async move {
        let mut seen = Vec::new();
        for (until, answer) in [
            ("EHLO h.test\r\n", "250-a\r\n250-PIPELINING\r\n250 SIZE 1000\r\n"),
            (
                "MAIL FROM:<a@b.test> SIZE=20\r\nRCPT TO:<c@d.test>\r\nRCPT TO:<e@f.test>\r\n",
                "250 1\r\n250 2\r\n550 5.1.1 3\r\n",
            ),
            ("DATA\r\n", "354 go\r\n"),
            ("Subject: x\r\n\r\n..dot\r\n.\r\n", "250 done\r\n"),
        ] {
            let mut got = vec![0; until.len()];
            theirs.read_exact(&mut got).await.unwrap();
            seen.push((String::from_utf8(got).unwrap(), until));
            theirs.write_all(answer.as_bytes()).await.unwrap();
        }
        (seen, theirs)
    });
    let wire = Wire::new(ours, Phase::Greeting, Deadline::after(Duration::from_secs(5)), Duration::from_secs(5));
    let mut client = Client::greeted(wire, "h.test", &Credential::None, timeouts()).await.unwrap();
    let content = Content::check(MESSAGE).unwrap();
    let envelope =
        client.envelope("a@b.test", &to(&["c@d.test", "e@f.test"]), terms(content.size(), false)).await.unwrap();
    assert!(envelope.verdicts[0].is_ok());
    assert_eq!(envelope.verdicts[1].as_ref().unwrap_err().enhanced.as_deref(), Some("5.1.1"));
    let outcome = envelope.transaction.unwrap().start().await.unwrap().finish(content).await;
    assert!(matches!(outcome, Outcome::Sent(reply) if reply.text == "done"));
    for (got, expected) in peer.await.unwrap().0 {
        assert_eq!(got, expected);
    }
    assert!(client.is_usable());
}

/// 3 recipients × {250, 450, 550} × dot {250, 451, 554, lost}, with and without pipelining.
#[tokio::test]
async fn each_recipient_has_its_own_verdict_and_only_the_accepted_ones_share_that_of_the_dot() {
    let verdicts = ["250", "450", "550"];
    let stages = ["RCPT TO:<r0@x.test>", "RCPT TO:<r1@x.test>", "RCPT TO:<r2@x.test>"];
    for case in 0..27 {
        let codes = [verdicts[case % 3], verdicts[case / 3 % 3], verdicts[case / 9]];
        for (dot, expected) in [("250", "Sent"), ("451", "Refused"), ("554", "Refused"), ("lost", "Unknown")] {
            for mut peer in [Peer::simple(), Peer::pipelining()] {
                for (stage, code) in stages.iter().zip(codes) {
                    peer = peer.with(stage, says(format!("{code} so\r\n")));
                }
                peer = peer.with("DOT", if dot == "lost" { Closes } else { says(format!("{dot} so\r\n")) });
                let mut client = peer.client().await.unwrap();
                let envelope = client
                    .envelope("a@b.test", &to(&["r0@x.test", "r1@x.test", "r2@x.test"]), terms(20, false))
                    .await
                    .unwrap();
                let got: Vec<_> = envelope
                    .verdicts
                    .iter()
                    .map(|verdict| verdict.as_ref().err().and_then(|refusal| refusal.code))
                    .collect();
                assert_eq!(got, codes.map(|code| code.parse().ok().filter(|&code: &u16| code != 250)));
                assert_eq!(envelope.transaction.is_some(), codes.contains(&"250"));
                let Some(transaction) = envelope.transaction else {
                    assert!(peer.heard().ends_with("RSET\r\n") && client.is_usable());
                    continue;
                };
                let outcome = transaction.start().await.unwrap().finish(Content::check(MESSAGE).unwrap()).await;
                assert!(format!("{outcome:?}").starts_with(expected), "{codes:?} {dot}: {outcome:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_refused_mail_is_read_to_the_end_and_leaves_the_connection_in_step() {
    let peer = Peer::pipelining().with("MAIL", says("550 5.7.1 no\r\n")).with("RCPT", says("503 5.5.1 MAIL first\r\n"));
    let mut client = peer.client().await.unwrap();
    let error = client.envelope("a@b.test", &to(&["c@d.test", "e@f.test"]), terms(20, false)).await.unwrap_err();
    assert_eq!((error.phase, error.refusal.as_ref().and_then(|refusal| refusal.code)), (Phase::Mail, Some(550)));
    client.noop().await.unwrap();
    assert!(peer.heard().ends_with("RSET\r\nNOOP\r\n") && !peer.heard().contains("DATA"));
}

/// The server answers only when a group is complete, and nothing of the next one may have come with it.
#[tokio::test]
async fn many_recipients_go_in_groups() {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let peer = tokio::spawn(async move {
        let mut stream = BufReader::with_capacity(1 << 16, theirs);
        for (lines, answer) in [(1, "250-a\r\n250 PIPELINING\r\n"), (SMTP_PIPELINE, "250 ok\r\n"), (1, "250 ok\r\n")] {
            let mut group = Vec::new();
            for _ in 0..lines {
                stream.read_until(b'\n', &mut group).await.unwrap();
            }
            assert!(stream.buffer().is_empty(), "more than a group");
            stream.write_all(answer.repeat(lines).as_bytes()).await.unwrap();
        }
        stream
    });
    let wire = Wire::new(ours, Phase::Greeting, Deadline::after(Duration::from_secs(5)), Duration::from_secs(5));
    let mut client = Client::greeted(wire, "h.test", &Credential::None, timeouts()).await.unwrap();
    // With MAIL these are N + 1 commands.
    let recipients: Vec<_> = (0..SMTP_PIPELINE).map(|n| format!("r{n}@x.test")).collect();
    let envelope = client.envelope("", &recipients, terms(20, false)).await.unwrap();
    assert!(envelope.verdicts.len() == recipients.len() && envelope.verdicts.iter().all(Result::is_ok));
    peer.await.unwrap();
}

#[tokio::test]
async fn the_null_sender_has_an_empty_path() {
    let peer = Peer::pipelining();
    peer.client().await.unwrap().envelope("", &to(&["c@d.test"]), terms(20, false)).await.unwrap();
    assert!(peer.heard().contains("MAIL FROM:<> SIZE=20\r\n"));
}

#[test]
fn our_name_is_a_domain_or_an_address_literal() {
    for (name, expected) in [
        ("mail.example.com", Some("mail.example.com")),
        ("bücher.example", Some("xn--bcher-kva.example")),
        ("192.0.2.1", Some("[192.0.2.1]")),
        ("[192.0.2.1]", Some("[192.0.2.1]")),
        ("2001:db8::1", Some("[IPv6:2001:db8::1]")),
        ("", None),
        ("a b", None),
        ("a\r\nQUIT", None),
    ] {
        assert_eq!(client_id(name).map(|id| id.to_string()).as_deref(), expected, "{name:?}");
    }
}

#[tokio::test]
async fn what_the_server_cannot_take_is_not_offered_to_it() {
    let peer = Peer::pipelining();
    let mut client = peer.client().await.unwrap();
    let mut try_with = async |size, eight_bit| {
        client.envelope("a@b.test", &to(&["c@d.test"]), terms(size, eight_bit)).await.map(|_| ())
    };
    let too_large = try_with(1001, false).await.unwrap_err();
    assert_eq!((too_large.code, too_large.is_transient()), (ProbeCode::MessageRejected, false));
    assert!(too_large.detail.contains("1001") && too_large.detail.contains("1000"));
    assert_eq!(try_with(10, true).await.unwrap_err().code, ProbeCode::MessageRejected);
    assert!(!peer.heard().contains("MAIL"));
    try_with(1000, false).await.unwrap();

    let peer = Peer::simple();
    peer.client().await.unwrap().envelope("a@b.test", &to(&["c@d.test"]), terms(u64::MAX, true)).await.unwrap();
    assert!(peer.heard().contains("MAIL FROM:<a@b.test> BODY=8BITMIME\r\n"), "{}", peer.heard());
}

#[tokio::test]
async fn addresses_cannot_carry_commands_and_international_ones_need_the_extension() {
    let hostile = [
        "a@b.test>\r\nRCPT TO:<evil@x.test",
        "a\r\nb@c.test",
        "a b@c.test",
        "a@b.test> SIZE=1",
        "plain",
        "@b.test",
        "a@",
        "<a@b.test>",
        "\"a>b\"@c.test",
        "jörg@example.test",
    ];
    let peer = Peer::simple();
    let mut client = peer.client().await.unwrap();
    let envelope = client.envelope("a@b.test", &to(&hostile), terms(20, false)).await.unwrap();
    assert!(
        envelope.transaction.is_none()
            && envelope.verdicts.iter().all(|verdict| verdict.as_ref().is_err_and(|refusal| !refusal.is_transient()))
    );
    for sender in hostile {
        let error = client.envelope(sender, &to(&["c@d.test"]), terms(20, false)).await.unwrap_err();
        assert!(error.code == ProbeCode::MessageRejected && !error.is_transient(), "{sender}");
    }
    assert_eq!(peer.heard().lines().count(), 2, "nothing but EHLO and AUTH: {}", peer.heard());

    let envelope = client
        .envelope("a@b.test", &to(&["plain", "bob@bücher.test", "\"a b\"@c.test", "c@[192.0.2.1]"]), terms(20, false))
        .await
        .unwrap();
    assert_eq!(envelope.verdicts.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, true, true]);
    assert!(
        peer.heard()
            .contains("RCPT TO:<bob@xn--bcher-kva.test>\r\nRCPT TO:<\"a b\"@c.test>\r\nRCPT TO:<c@[192.0.2.1]>\r\n")
    );

    let peer = Peer::new("250-mail.test\r\n250-SMTPUTF8\r\n250 AUTH PLAIN\r\n");
    let mut client = peer.client().await.unwrap();
    assert!(
        client.envelope("a@b.test", &to(&["jörg@example.test"]), terms(20, false)).await.unwrap().transaction.is_some()
    );
    assert!(peer.heard().contains("MAIL FROM:<a@b.test> SMTPUTF8\r\nRCPT TO:<jörg@example.test>\r\n"));
}

#[tokio::test]
async fn behind_354_only_the_message_can_follow() {
    let peer = Peer::simple();
    let mut client = peer.client().await.unwrap();
    let envelope = client.envelope("a@b.test", &to(&["c@d.test"]), terms(20, false)).await.unwrap();
    assert!(envelope.transaction.unwrap().start().await.is_ok());
    assert!(!client.is_usable());
    assert_eq!(client.reset().await.unwrap_err().code, ProbeCode::ProtocolError);
    client.quit().await;
    assert!(peer.heard().ends_with("DATA\r\n"), "neither RSET nor QUIT may stand inside the message");
}

#[tokio::test]
async fn one_connection_takes_several_messages() {
    let peer = Peer::pipelining();
    let mut client = peer.client().await.unwrap();
    for _ in 0..3 {
        let envelope = client.envelope("a@b.test", &to(&["c@d.test"]), terms(20, false)).await.unwrap();
        let outcome =
            envelope.transaction.unwrap().start().await.unwrap().finish(Content::check(MESSAGE).unwrap()).await;
        assert!(matches!(outcome, Outcome::Sent(_)));
    }
    client.quit().await;
    assert_eq!(peer.heard().matches("\r\n.\r\n").count(), 3);
}

/// A large message that the server stops reading half-way was not handed over, and its early refusal is heard.
#[tokio::test]
async fn a_message_that_breaks_off_before_its_dot_was_not_handed_over() {
    let message = "0123456789abcdef\r\n".repeat(40_000);
    for (parting, expected) in [("", "NotHandedOver"), ("552 5.3.4 enough\r\n", "Refused")] {
        let (ours, theirs) = tokio::io::duplex(32 << 10);
        let peer = tokio::spawn(async move {
            let mut stream = BufReader::new(theirs);
            for answer in ["250 a\r\n", "250 b\r\n", "250 c\r\n", "354 d\r\n", parting] {
                let mut line = Vec::new();
                stream.read_until(b'\n', &mut line).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let wire = Wire::new(ours, Phase::Greeting, Deadline::after(Duration::from_secs(5)), Duration::from_secs(5));
        let mut client = Client::greeted(wire, "h.test", &Credential::None, timeouts()).await.unwrap();
        let envelope =
            client.envelope("a@b.test", &to(&["c@d.test"]), terms(message.len() as u64, false)).await.unwrap();
        let outcome = envelope
            .transaction
            .unwrap()
            .start()
            .await
            .unwrap()
            .finish(Content::check(message.as_bytes()).unwrap())
            .await;
        assert!(format!("{outcome:?}").starts_with(expected), "{outcome:?}");
        assert!(!client.is_usable());
        peer.await.unwrap();
    }
}

/// The dot goes with the last piece: once that piece is begun, a failed write says nothing about what arrived.
#[tokio::test]
async fn a_last_piece_that_breaks_off_is_unknown() {
    let (ours, theirs) = tokio::io::duplex(1 << 10);
    let peer = tokio::spawn(async move {
        let mut stream = BufReader::new(theirs);
        for answer in ["250 a\r\n", "250 b\r\n", "250 c\r\n", "354 d\r\n"] {
            let mut line = Vec::new();
            stream.read_until(b'\n', &mut line).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        stream
    });
    let wire = Wire::new(ours, Phase::Greeting, Deadline::after(Duration::from_secs(5)), Duration::from_secs(5));
    let mut client = Client::greeted(wire, "h.test", &Credential::None, impatient()).await.unwrap();
    let message = "0123456789abcdef\r\n".repeat(500);
    let envelope = client.envelope("a@b.test", &to(&["c@d.test"]), terms(9_000, false)).await.unwrap();
    let content = Content::check(message.as_bytes()).unwrap();
    let outcome = envelope.transaction.unwrap().start().await.unwrap().finish(content).await;
    assert!(matches!(&outcome, Outcome::Unknown(error) if error.code == ProbeCode::Timeout), "{outcome:?}");
    drop(peer.await.unwrap());
}

#[tokio::test]
async fn an_access_token_goes_with_the_command_or_behind_an_empty_challenge() {
    let by = |token: &str| Credential::Bearer { username: "bob".to_owned(), token: token.to_owned().into() };
    let offering = |mechanisms: &str| Peer::new(&format!("250-mail.test\r\n250 AUTH {mechanisms}\r\n"));
    let xoauth2 = "dXNlcj1ib2IBYXV0aD1CZWFyZXIgQ0FOQVJZLXRva2VuAQE=";
    let oauthbearer = "bixhPWJvYiwBYXV0aD1CZWFyZXIgQ0FOQVJZLXRva2VuAQE=";
    for (offer, sent) in [
        ("PLAIN OAUTHBEARER XOAUTH2", format!("AUTH XOAUTH2 {xoauth2}")),
        ("PLAIN OAUTHBEARER", format!("AUTH OAUTHBEARER {oauthbearer}")),
    ] {
        let peer = offering(offer);
        let client = Client::greeted(peer.wire(), "h.test", &by("CANARY-token"), timeouts()).await.unwrap();
        assert_eq!(client.signed_in().unwrap().code, 235);
        assert_eq!(peer.heard(), format!("EHLO h.test\r\n{sent}\r\n"));
    }
    // Tokens of a real provider have some 2,000 characters.
    let peer = offering("XOAUTH2").with("AUTH", says("334 \r\n"));
    Client::greeted(peer.wire(), "h.test", &by(&"t".repeat(2000)), timeouts()).await.unwrap();
    assert_eq!(peer.heard().lines().nth(1), Some("AUTH XOAUTH2"));

    let error = Client::greeted(offering("PLAIN").wire(), "h.test", &by("t"), timeouts()).await.unwrap_err();
    assert_eq!(error.code, ProbeCode::AuthUnavailable);
    assert!(error.detail.contains("XOAUTH2 or OAUTHBEARER is needed"), "{error}");
}

#[tokio::test]
async fn the_challenge_that_explains_a_refused_token_is_answered_and_told() {
    let bearer = Credential::Bearer { username: "bob".to_owned(), token: "CANARY-token".to_owned().into() };
    for (mechanism, acknowledgement) in [("XOAUTH2", ""), ("OAUTHBEARER", "AQ==")] {
        for (answer, expected) in [
            ("535 5.7.3 Authentication unsuccessful CANARY-token\r\n", "AuthFailed never"),
            ("454 4.7.0 later\r\n", "AuthUnavailable later"),
        ] {
            // {"status":"401"}
            let peer = Peer::new(&format!("250-mail.test\r\n250 AUTH {mechanism}\r\n"))
                .with("AUTH", says("334 eyJzdGF0dXMiOiI0MDEifQ==\r\n"))
                .with("SASL1", says(answer));
            let error = Client::greeted(peer.wire(), "h.test", &bearer, timeouts()).await.unwrap_err();
            assert_eq!(told(&error), expected);
            assert!(error.detail.starts_with("the server refuses the access token (status 401): "), "{error}");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
            assert_eq!(peer.heard().lines().last(), Some(acknowledgement));
        }
    }
}
