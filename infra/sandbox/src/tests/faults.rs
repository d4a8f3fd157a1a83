use std::time::{Duration, Instant};

use super::client::Client;
use super::{ADA, MESSAGE, start};
use crate::{At, Protocol, Rule, Sandbox, Service};

const SMTP: Protocol = Protocol::Smtp;
const POP3: Protocol = Protocol::Pop3;
const IMAP: Protocol = Protocol::Imap;

async fn envelope(sandbox: &Sandbox, recipients: &[&str]) -> (Client, Vec<String>) {
    let mut client = Client::connect(sandbox, Service::Smtp).await;
    client.reply("EHLO test").await;
    client.ask("MAIL FROM:<b@elsewhere.test>").await;
    let mut replies = Vec::new();
    for recipient in recipients {
        replies.push(client.ask(&format!("RCPT TO:<{recipient}>")).await);
    }
    (client, replies)
}

async fn selected(sandbox: &Sandbox) -> Client {
    let mut client = Client::logged_in(sandbox, Service::Imaps).await;
    client.command("s SELECT INBOX").await;
    client
}

#[tokio::test]
async fn each_recipient_gets_its_own_reply() {
    let sandbox = start().await;
    let fired = sandbox.script(Rule::on(SMTP).at(At::Command("rcpt")).matching("bob@").reply("451 4.7.1 Later\r\n"));
    sandbox.script(Rule::on(SMTP).at(At::Command("RCPT")).matching("x@").reply("250 fine\r\n").and_continue());
    let (mut client, replies) = envelope(&sandbox, &[ADA, "bob@example.test", "x@example.test"]).await;
    assert_eq!(replies, ["250 2.1.5 Recipient ok\r\n", "451 4.7.1 Later\r\n", "250 fine\r\n"]);
    assert_eq!(fired.count(), 1);
    client.ask("DATA").await;
    client.send(".\r\n").await;
    client.line().await;
    assert_eq!(sandbox.received()[0].recipients, [ADA]);
}

#[tokio::test]
async fn a_mail_is_accepted_and_its_reply_lost_or_not_accepted_at_all() {
    let sandbox = start().await;
    sandbox.script(Rule::on(SMTP).at(At::Data).times(1).swallow_then_drop());
    sandbox.script(Rule::on(SMTP).at(At::Data).times(1).drop_connection());
    for (reply, accepted) in [("", 1), ("", 1), ("250 2.0.0 Accepted as 2\r\n", 2)] {
        let (mut client, _) = envelope(&sandbox, &[ADA]).await;
        client.ask("DATA").await;
        client.send(".\r\n").await;
        assert_eq!(client.line().await, reply);
        assert_eq!(sandbox.received().len(), accepted);
    }
}

#[tokio::test]
async fn a_refused_mail_or_login_leaves_the_session_in_step() {
    let sandbox = start().await;
    sandbox.script(Rule::on(SMTP).at(At::Data).reply("451 4.3.0 Later\r\n"));
    sandbox.script(Rule::on(SMTP).at(At::Sasl).reply("454 4.7.0 Later\r\n"));
    sandbox.script(Rule::on(POP3).at(At::Sasl).reply("-ERR [SYS/TEMP] later\r\n"));
    sandbox.script(Rule::on(IMAP).at(At::Sasl).reply("{tag} NO [UNAVAILABLE] later\r\n"));
    let (mut client, _) = envelope(&sandbox, &[ADA]).await;
    client.ask("DATA").await;
    client.send(".\r\n").await;
    assert_eq!(client.line().await, "451 4.3.0 Later\r\n");
    assert!(client.ask("DATA").await.starts_with("503 "));
    assert!(sandbox.received().is_empty());
    for (service, command, refusal, next, answer) in [
        (Service::Smtps, "AUTH PLAIN", "454 4.7.0 Later\r\n", "NOOP", "250 2.0.0 Done\r\n"),
        (Service::Pop3s, "AUTH PLAIN", "-ERR [SYS/TEMP] later\r\n", "QUIT", "+OK bye\r\n"),
        (Service::Imaps, "a AUTHENTICATE PLAIN", "a NO [UNAVAILABLE] later\r\n", "b NOOP", "b OK Done\r\n"),
    ] {
        let mut client = Client::connect(&sandbox, service).await;
        if service == Service::Smtps {
            client.reply("EHLO test").await;
        }
        client.ask(command).await;
        assert_eq!(client.ask("AGEAYg==").await, refusal);
        assert_eq!(client.ask(next).await, answer);
    }
    assert!(sandbox.logins().is_empty());
}

#[tokio::test]
async fn any_command_can_end_the_session() {
    let sandbox = start().await;
    sandbox.script(Rule::on(SMTP).at(At::AnyCommand).skip(2).times(1).reply("421 4.3.2 Bye\r\n").then_close());
    let (mut client, replies) = envelope(&sandbox, &[ADA]).await;
    assert_eq!(replies, ["421 4.3.2 Bye\r\n"]);
    assert_eq!(client.rest().await.0, b"");
    assert!(envelope(&sandbox, &[ADA]).await.1[0].starts_with("250"));
}

#[tokio::test]
async fn bytes_are_injected_behind_the_answer_to_starttls() {
    let sandbox = start().await;
    sandbox.script(Rule::on(SMTP).at(At::Command("STARTTLS")).append("250 injected\r\n"));
    sandbox.script(Rule::on(POP3).at(At::Command("STLS")).append("+OK injected\r\n"));
    sandbox.script(Rule::on(IMAP).at(At::Command("STARTTLS")).append("* CAPABILITY X\r\n{tag} OK twice\r\n"));
    for (service, command, injected) in [
        (Service::Smtp, "STARTTLS", "250 injected\r\n"),
        (Service::Pop3, "STLS", "+OK injected\r\n"),
        (Service::Imap, "a STARTTLS", "* CAPABILITY X\r\na OK twice\r\n"),
    ] {
        let mut client = Client::connect(&sandbox, service).await;
        client.ask(command).await;
        // It came in the same segment: it is there without another read.
        assert_eq!(client.buffered(), injected.len());
    }
}

#[tokio::test]
async fn starttls_is_stripped_from_offer_and_service() {
    let sandbox = start().await;
    sandbox.script(Rule::on(SMTP).hide_capability("STARTTLS"));
    sandbox.script(Rule::on(POP3).session(2).hide_capability("STLS"));
    sandbox.script(Rule::on(IMAP).at(At::Connect).capabilities(["IMAP4rev1", "AUTH=PLAIN"]));
    let mut client = Client::connect(&sandbox, Service::Smtp).await;
    assert!(!client.reply("EHLO test").await.contains("STARTTLS"));
    assert!(client.ask("STARTTLS").await.starts_with("502"));
    for stripped in [false, true, false] {
        let mut client = Client::connect(&sandbox, Service::Pop3).await;
        assert_eq!(client.listing("CAPA").await.contains("STLS"), !stripped);
    }
    let mut client = Client::connect(&sandbox, Service::Imap).await;
    assert_eq!(client.command("a CAPABILITY").await, "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\na OK Done\r\n");
    assert!(client.command("b STARTTLS").await.starts_with("b BAD"));
    let mut client = Client::connect(&sandbox, Service::Imaps).await;
    assert!(client.command("a CAPABILITY").await.contains("UIDPLUS"));
}

#[tokio::test]
async fn greetings_are_replaced() {
    let sandbox = start().await;
    sandbox.script(Rule::on(IMAP).at(At::Connect).reply("* PREAUTH hello\r\n"));
    sandbox.script(Rule::on(SMTP).at(At::Connect).reply("554 no service\r\n").then_close());
    sandbox.script(Rule::on(POP3).at(At::Connect).drop_connection());
    assert_eq!(Client::plain(&sandbox, Service::Imap).await.line().await, "* PREAUTH hello\r\n");
    assert_eq!(Client::plain(&sandbox, Service::Smtp).await.rest().await.0, b"554 no service\r\n");
    assert_eq!(Client::plain(&sandbox, Service::Pop3).await.rest().await.0, b"");
}

#[tokio::test]
async fn an_answer_is_cut_at_every_byte() {
    let sandbox = start().await;
    sandbox.deliver(ADA, MESSAGE).unwrap();
    let whole = selected(&sandbox).await.command("a UID FETCH 1 BODY.PEEK[]").await;
    for n in 0..whole.len() {
        sandbox.clear_script();
        sandbox.script(Rule::on(IMAP).at(At::Command("UID FETCH")).drop_after(n));
        let mut client = selected(&sandbox).await;
        client.send("a UID FETCH 1 BODY.PEEK[]\r\n").await;
        let (bytes, ended) = client.rest().await;
        assert_eq!(bytes, whole.as_bytes()[..n]);
        // Without close_notify.
        assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    }
}

#[tokio::test]
async fn pop3_deletions_are_kept_or_lost_with_the_answer_to_quit() {
    for (rule, left) in [
        (Rule::on(POP3).at(At::Command("QUIT")).swallow_then_drop(), 0),
        (Rule::on(POP3).at(At::Command("QUIT")).drop_connection(), 1),
    ] {
        let sandbox = start().await;
        sandbox.deliver(ADA, MESSAGE).unwrap();
        sandbox.script(rule);
        let mut client = Client::logged_in(&sandbox, Service::Pop3s).await;
        client.ask("DELE 1").await;
        client.send("QUIT\r\n").await;
        assert_eq!(client.rest().await.0, b"");
        assert_eq!(sandbox.messages(ADA).len(), left);
    }
}

#[tokio::test]
async fn fetches_fail_late_come_reversed_and_with_news() {
    let sandbox = start().await;
    for _ in 0..2 {
        sandbox.deliver(ADA, &b"\r\n"[..]).unwrap();
    }
    let rule = |verb| Rule::on(IMAP).at(At::Command(verb)).times(1);
    sandbox.script(rule("UID FETCH").completion("{tag} NO [SERVERBUG] failed\r\n"));
    sandbox.script(rule("UID FETCH").reversed().prepend("* 9 EXISTS\r\n* 1 FETCH (FLAGS (\\Seen))\r\n"));
    sandbox.script(rule("NOOP").reply("* BYE [UNAVAILABLE] later\r\n").then_close());
    let mut client = selected(&sandbox).await;
    assert_eq!(
        client.command("a UID FETCH 1:* UID").await,
        "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\na NO [SERVERBUG] failed\r\n"
    );
    assert_eq!(
        client.command("b UID FETCH 1:* UID").await,
        "* 9 EXISTS\r\n* 1 FETCH (FLAGS (\\Seen))\r\n* 2 FETCH (UID 2)\r\n* 1 FETCH (UID 1)\r\nb OK Done\r\n"
    );
    client.send("c NOOP\r\n").await;
    let (bytes, ended) = client.rest().await;
    assert_eq!((&bytes[..], ended.is_ok()), (&b"* BYE [UNAVAILABLE] later\r\n"[..], true));
}

#[tokio::test]
async fn literals_and_lines_have_no_end() {
    let sandbox = start().await;
    let endless = |rule: Rule, start: &'static str| rule.reply(start).endless("x");
    sandbox.script(endless(Rule::on(IMAP).at(At::Connect), "* 1 FETCH (BODY[] {99999999999}\r\n"));
    sandbox.script(endless(Rule::on(SMTP).at(At::Connect), "220-"));
    for (service, start) in [(Service::Imap, "* 1 FETCH (BODY[] {99999999999}\r\n"), (Service::Smtp, "220-")] {
        let mut client = Client::plain(&sandbox, service).await;
        while client.buffered() < 1_000_000 {
            assert!(client.fill().await);
        }
        assert!(client.take().starts_with(format!("{start}xxxx").as_bytes()));
    }
}

#[tokio::test]
async fn answers_drip_and_stall() {
    let sandbox = start().await;
    sandbox.script(Rule::on(POP3).at(At::Connect).reply("+OK 50\r\n").drip(40));
    sandbox.script(Rule::on(SMTP).at(At::Connect).stall(Duration::from_millis(200)));
    sandbox.script(Rule::on(IMAP).at(At::Connect).stall_forever());
    let begin = Instant::now();
    assert_eq!(Client::plain(&sandbox, Service::Pop3).await.line().await, "+OK 50\r\n");
    assert!(begin.elapsed() >= Duration::from_millis(100), "{:?}", begin.elapsed());
    let begin = Instant::now();
    assert!(Client::plain(&sandbox, Service::Smtp).await.line().await.starts_with("220 "));
    assert!(begin.elapsed() >= Duration::from_millis(200), "{:?}", begin.elapsed());
    let mut client = Client::plain(&sandbox, Service::Imap).await;
    client.send("a NOOP\r\n").await;
    let silence = tokio::time::timeout(Duration::from_millis(200), client.fill()).await;
    assert!(silence.is_err());
}

#[tokio::test]
async fn the_handshake_stalls_drops_or_is_no_handshake() {
    let sandbox = start().await;
    sandbox.script(Rule::on(SMTP).at(At::Handshake).drop_connection());
    sandbox.script(Rule::on(POP3).at(At::Handshake).reply("HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert!(Client::plain(&sandbox, Service::Smtps).await.secure(&sandbox).await.is_err());
    assert!(Client::plain(&sandbox, Service::Pop3s).await.secure(&sandbox).await.is_err());
    let mut client = Client::connect(&sandbox, Service::Smtp).await;
    client.reply("EHLO test").await;
    client.ask("STARTTLS").await;
    assert!(client.secure(&sandbox).await.is_err());
}

#[tokio::test]
async fn a_challenge_is_answered_by_a_script() {
    let sandbox = start().await;
    sandbox.script(Rule::on(SMTP).capabilities(["AUTH XOAUTH2"]));
    sandbox.script(Rule::on(SMTP).at(At::Command("AUTH")).reply("334 eyJzdGF0dXMiOiI0MDAifQ==\r\n"));
    sandbox.script(Rule::on(SMTP).at(At::Command("")).reply("535 5.7.8 expired\r\n"));
    let mut client = Client::connect(&sandbox, Service::Smtps).await;
    assert_eq!(client.reply("EHLO test").await.lines().last(), Some("250 AUTH XOAUTH2"));
    assert!(client.ask("AUTH XOAUTH2 dG9rZW4=").await.starts_with("334 "));
    assert_eq!(client.ask("").await, "535 5.7.8 expired\r\n");
    assert!(sandbox.logins().is_empty());
}

#[tokio::test]
async fn shutdown_closes_ports_and_sessions() {
    let sandbox = start().await;
    let mut open = Client::connect(&sandbox, Service::Imaps).await;
    sandbox.script(Rule::on(SMTP).at(At::Connect).stall_forever());
    let mut stalled = Client::plain(&sandbox, Service::Smtp).await;
    sandbox.shutdown().await;
    assert_eq!(open.rest().await.0, b"");
    assert!(!stalled.fill().await);
    let port = sandbox.port(Service::Imaps);
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
}
