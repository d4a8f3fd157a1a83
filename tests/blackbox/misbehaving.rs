//! Servers that break their own rules while a mailbox is pulled (rows 3b and 4b of the fault matrix): nothing is
//! lost, nothing stored twice, the cursor stays where it may.

use sandbox::{At, Fired, Protocol, Rule};
use serde_json::{Value, json};
use tests::checker::Cursors;
use tests::corpus;
use tests::mailbox::{Kind, Mailbox};
use tests::peer::{Peer, Receive, Way};
use tests::service::{Options, Service};
use tests::until;

use crate::{account, run, service};

async fn filled(kind: Kind, count: usize) -> Mailbox {
    filled_at(service().await, kind, count).await
}

async fn filled_at(service: &Service, kind: Kind, count: usize) -> Mailbox {
    let mut mailbox = Mailbox::open(service, kind, false).await;
    mailbox.deliver(&(0..count).map(corpus::plain).collect::<Vec<_>>());
    mailbox
}

async fn kept(mailbox: &Mailbox, what: &str) {
    let end = mailbox.judge().await;
    assert!(end.is_kept(mailbox), "{what}: {end:?}");
    let mut cursors = Cursors::default();
    mailbox.watch(&mut cursors).await;
    assert_eq!(cursors.faults, 0, "{what}: I10");
}

/// What a rule does when it applies.
type Twist = fn(Rule) -> Rule;

/// A line of the server that begins so, as it sent it last.
fn said(mailbox: &Mailbox, start: &str) -> String {
    let lines = mailbox.sandbox().transcript();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut lines = lines.iter().rev().filter(|line| !line.from_client).map(|line| text(&line.bytes));
    let answer = lines.find(|line| line.contains(start)).unwrap();
    answer.lines().find(|line| line.contains(start)).unwrap().to_owned()
}

/// 3b: whether the deletions of a session took place is not known without +OK to QUIT (RFC 1939 §6).
#[test]
fn a_lost_answer_to_quit_is_asked_again() {
    run(async {
        let lost: [(&str, Twist); 2] =
            [("committed", Rule::swallow_then_drop), ("not committed", Rule::drop_connection)];
        for (what, lose) in lost {
            let mut mailbox = filled(Kind::POP3_DELETE, 5).await;
            let _ = mailbox.pull().await.is(200);
            mailbox.deliver(&[corpus::plain(5), corpus::plain(6)]);
            let fired = mailbox.sandbox().script(lose(Rule::on(Protocol::Pop3).at(At::Command("QUIT")).times(1)));
            let _ = mailbox.pull().await;
            assert_eq!(fired.count(), 1, "{what}");
            let left = mailbox.remaining().len();
            assert_eq!(left, if what == "committed" { 2 } else { 7 }, "{what}");
            kept(&mailbox, what).await;
        }
    });
}

/// 4b: a UIDNEXT below what was stored, in STATUS or SELECT, moves nothing back and hides nothing.
#[test]
fn a_uidnext_below_the_cursor_loses_nothing() {
    run(async {
        let mut mailbox = filled(Kind::IMAP_KEEP, 5).await;
        let _ = mailbox.pull().await.is(200);
        let status = said(&mailbox, "* STATUS");
        let low = status.replace("UIDNEXT 6", "UIDNEXT 2").replace("MESSAGES 5", "MESSAGES 7");
        assert_ne!(low, status);
        mailbox.deliver(&[corpus::plain(5), corpus::plain(6)]);
        let rule = Rule::on(Protocol::Imap).at(At::Command("STATUS")).times(2);
        let fired = mailbox.sandbox().script(rule.reply(format!("{low}\r\n{{tag}} OK done\r\n")));
        let _ = mailbox.pull().await.is(200);
        let _ = mailbox.pull().await.is(200);
        assert_eq!(fired.count(), 2);
        kept(&mailbox, "UIDNEXT").await;
    });
}

/// 4b: answers may come in any order (RFC 3501 §7), and other messages may go meanwhile.
#[test]
fn answers_in_any_order_and_expunges_between_them_lose_nothing() {
    run(async {
        let rules: [(&str, Twist); 3] = [
            ("reversed", Rule::reversed),
            ("expunge before", |rule| rule.prepend("* 999 EXPUNGE\r\n")),
            ("fetch of a stranger", |rule| rule.prepend("* 3 FETCH (UID 3 FLAGS (\\Seen))\r\n")),
        ];
        for (what, misbehave) in rules {
            let mut mailbox = filled(Kind::IMAP_KEEP, 10).await;
            let fired: Fired =
                mailbox.sandbox().script(misbehave(Rule::on(Protocol::Imap).at(At::Command("UID FETCH"))));
            let _ = mailbox.pull().await.is(200);
            mailbox.deliver(&[corpus::plain(10), corpus::plain(11)]);
            let _ = mailbox.pull().await.is(200);
            assert!(fired.count() >= 2, "{what}");
            mailbox.sandbox().clear_script();
            kept(&mailbox, what).await;
        }
    });
}

/// 26: an endless literal, line or list ends with a cap or the deadline, in little memory, and costs nothing that was
/// stored. A message without end ends where the account's maxMessageBytes does: it is marked, and stays on the server.
#[test]
fn endless_answers_end_and_lose_nothing() {
    run(async {
        let parameters = [("HttpBudgetSeconds", "5"), ("WorkerSeconds", "8"), ("VisibilitySeconds", "10")];
        let parameters = parameters.map(|(name, value)| (name, value.to_owned())).to_vec();
        let service = Service::start(Options { parameters, ..Options::default() }).await;
        let rules: [(&str, Twist); 3] = [
            ("literal", |rule| rule.reply("* 1 FETCH (UID 1 BODY[] {99999999999}\r\n").endless("x")),
            ("line", |rule| rule.reply("* 1 FETCH (UID 1 FLAGS (").endless("x")),
            ("untagged", |rule| rule.reply("").endless("* 1 RECENT\r\n")),
        ];
        for command in ["RFC822.SIZE FLAGS", "BODY.PEEK[]"] {
            for (what, twist) in rules {
                let mailbox = filled_at(&service, Kind::IMAP_KEEP, 3).await;
                let rule = Rule::on(Protocol::Imap).at(At::Command("UID FETCH")).matching(command).times(1);
                let fired = mailbox.sandbox().script(twist(rule));
                let answer = mailbox.pull().await;
                assert!([200, 502, 504].contains(&answer.status), "{what}: {}", answer.text());
                assert_eq!(fired.count(), 1, "{what}");
                kept(&mailbox, what).await;
            }
        }
        endless_message(&service).await;
        for pid in ["pull", "pull-worker"].into_iter().flat_map(|function| service.pids(Some(function))) {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB").trim().to_owned();
            let kilobytes: u64 = peak.trim_end_matches(" kB").parse().unwrap();
            assert!(kilobytes < 128 << 10, "{peak}");
        }
    });
}

async fn endless_message(service: &Service) {
    let (_, client) = service.tenant();
    let peer = Peer::start().await;
    for number in 1..=3 {
        peer.sandbox.deliver(&peer.user, corpus::plain(number)).unwrap();
    }
    let rule = Rule::on(Protocol::Pop3).at(At::Command("RETR")).matching("RETR 1\r\n");
    peer.sandbox.script(rule.reply("+OK\r\nSubject: No end\r\n\r\n").endless("all work and no play\r\n"));
    let mut settings = peer.account(Receive::Pop3, Way::Tls);
    settings["receive"]["maxMessageBytes"] = json!(100_000);
    settings["receive"]["keepOnServer"] = json!(false);
    let path = account(&client, "mail", &settings).await;
    until("all are stored, and what was is deleted", async || {
        // A worker goes on behind it as well.
        let _ = client.post_empty(format!("{path}/pull")).await;
        (peer.sandbox.messages(&peer.user).len() == 1).then_some(())
    })
    .await;
    let items = client.get(format!("{path}/messages")).await.value(200)["items"].clone();
    let large: Vec<&Value> = items.as_array().unwrap().iter().filter(|item| item["state"] == "tooLarge").collect();
    assert_eq!(items.as_array().unwrap().len(), 3, "{items}");
    assert_eq!((large.len(), &large[0]["subject"]), (1, &json!("No end")), "{items}");
    let left = peer.sandbox.messages(&peer.user);
    assert_eq!((left.len(), &left[0].bytes[..]), (1, &corpus::plain(1)[..]), "it was never deleted");
}
