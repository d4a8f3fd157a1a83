//! A receiving server in trouble is no wrong password: the schedule rests, longer each time, and comes back. And what
//! the clock and a deletion do to a pull that is under way.

use http::Method;
use sandbox::{At, Protocol, Rule};
use serde_json::{Value, json};
use tests::checker::{Verdict, end_state};
use tests::client::Client;
use tests::corpus;
use tests::peer::{Peer, Receive, Way};
use tests::service::{Options, Service};
use tests::{until, within};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{account, run};

/// A service whose own clock does not tick while a test lasts, with the rests of the template.
async fn still(parameters: &[(&'static str, &str)]) -> Service {
    let usual = [("TickRate", "rate(1 hour)"), ("TickSeconds", "60"), ("TroubleSeconds", "60,120,300,600,900,1800")];
    let parameters = usual.iter().chain(parameters).map(|(name, value)| (*name, (*value).to_owned())).collect();
    Service::start(Options { parameters, ..Options::default() }).await
}

fn polled(peer: &Peer, receive: Receive) -> Value {
    let mut settings = peer.account(receive, Way::Tls);
    settings["poll"] = json!({"enabled": true, "minSeconds": 60, "maxSeconds": 60});
    settings
}

/// Minute by minute, what the schedule would have sent, handed straight to the worker.
async fn an_hour(client: &Client, tenant: &str, first: OffsetDateTime) {
    let record = |minute: i64| {
        let tick = (first + time::Duration::minutes(minute)).format(&Rfc3339).unwrap();
        let job = json!({"tick": tick, "mailboxes": [{"tenant": tenant, "account": "mail"}]});
        json!({"messageId": format!("m{minute}"), "body": job.to_string(), "eventSource": "aws:sqs"})
    };
    let records: Vec<Value> = (0..60).map(record).collect();
    let invocation = client.ask(Method::POST, "/2015-03-31/functions/pull-worker/invocations");
    let answer = invocation.json(&json!({"Records": records})).send().await;
    assert_eq!((answer.status, answer.json()), (200, json!({"batchItemFailures": []})), "{}", answer.text());
}

async fn tick(client: &Client, time: &str) {
    let tick = client.ask(Method::POST, "/2015-03-31/functions/schedule/invocations").json(&json!({"time": time}));
    assert_eq!(tick.send().await.status, 200);
}

/// Row 25.
#[test]
fn a_server_in_trouble_is_asked_six_times_an_hour_and_never_counts_as_a_wrong_password() {
    run(async {
        let service = still(&[]).await;
        let troubles = [
            (Receive::Imap, At::Connect, "* BYE [UNAVAILABLE] come back later\r\n"),
            (Receive::Imap, At::Command("AUTHENTICATE"), "{tag} NO [UNAVAILABLE] the directory is down\r\n"),
            (Receive::Imap, At::Command("AUTHENTICATE"), "{tag} NO [INUSE] another session has it\r\n"),
            (Receive::Pop3, At::Command("AUTH"), "-ERR [IN-USE] another session has it\r\n"),
            (Receive::Pop3, At::Command("AUTH"), "-ERR [LOGIN-DELAY] too soon\r\n"),
            (Receive::Pop3, At::Command("AUTH"), "-ERR [SYS/TEMP] a disk is full\r\n"),
        ];
        for (receive, at, reply) in troubles {
            let (tenant, client) = service.tenant();
            let peer = Peer::start().await;
            let protocol = if receive == Receive::Imap { Protocol::Imap } else { Protocol::Pop3 };
            let mut rule = Rule::on(protocol).at(at).reply(reply);
            if reply.starts_with("* BYE") {
                rule = rule.then_close();
            }
            peer.sandbox.script(rule);
            let path = account(&client, "mail", &polled(&peer, receive)).await;
            an_hour(&client, &tenant, OffsetDateTime::now_utc()).await;
            let sessions: std::collections::BTreeSet<_> =
                peer.sandbox.transcript().iter().map(|line| line.session).collect();
            // After 0, 1, 3, 8, 18, 33 minutes; the next rest ends in the hour behind.
            assert_eq!(sessions.len(), 6, "{reply}");
            let status = client.get(path).await.value(200)["status"].clone();
            assert_eq!((&status["state"], &status["authFailures"]), (&json!("connectFailed"), &json!(0)), "{reply}");
        }
    });
}

/// Row 25: so does a name that does not exist.
#[test]
fn a_name_that_does_not_exist_is_trouble() {
    run(async {
        let service = still(&[]).await;
        let (tenant, client) = service.tenant();
        let peer = Peer::start().await;
        let mut settings = polled(&peer, Receive::Imap);
        settings["receive"]["host"] = json!("mail.nowhere.invalid");
        let path = account(&client, "mail", &settings).await;
        an_hour(&client, &tenant, OffsetDateTime::now_utc()).await;
        let row = service.aws().await.items_of(&format!("T#{tenant}#S / mail")).await;
        let status = row.into_values().next().unwrap();
        assert_eq!(status["receive"]["troubles"], 6, "{status}");
        assert_eq!(client.get(path).await.value(200)["status"]["authFailures"], 0);
    });
}

/// Row 16: the clock strikes twice, and then not at all.
#[test]
fn a_tick_that_comes_twice_stores_nothing_twice_and_one_that_is_missed_is_made_up_for() {
    run(async {
        let service = still(&[]).await;
        let (tenant, client) = service.tenant();
        let aws = service.aws().await;
        let peer = Peer::start().await;
        let path = account(&client, "mail", &polled(&peer, Receive::Pop3)).await;
        let first: Vec<_> = (0..20).map(corpus::plain).collect();
        first.iter().for_each(|message| assert!(peer.sandbox.deliver(&peer.user, message.clone()).is_ok()));
        let at =
            |seconds: i64| (OffsetDateTime::now_utc() + time::Duration::seconds(seconds)).format(&Rfc3339).unwrap();
        let now = at(0);
        tokio::join!(tick(&client, &now), tick(&client, &now));
        let stored = async || aws.items_of(&format!("T#{tenant}#M#")).await.len();
        until("all are stored", async || (stored().await >= 20).then_some(())).await;
        let second: Vec<_> = (20..25).map(corpus::plain).collect();
        second.iter().for_each(|message| assert!(peer.sandbox.deliver(&peer.user, message.clone()).is_ok()));
        // The next minute's tick did not come; the one after it does.
        until("the mailbox is free", async || {
            tick(&client, &at(120)).await;
            (stored().await >= 25).then_some(())
        })
        .await;
        let truth = [first, second].concat();
        let held: Vec<_> = peer.sandbox.messages(&peer.user).iter().map(|message| message.bytes.to_vec()).collect();
        let state = end_state(&aws, &client, &tenant, "mail", &truth, &held).await;
        assert_eq!((state.verdict(), state.rows.len()), (Verdict::default(), 25));
        assert_eq!(client.get(path).await.value(200)["status"]["authFailures"], 0);
    });
}

/// Row 29: whoever pulls notices, stops, and leaves nothing of the account behind.
#[test]
fn an_account_deleted_under_its_pull_leaves_nothing() {
    run(async {
        let service = still(&[("LeaseSeconds", "1")]).await;
        let aws = service.aws().await;
        for (receive, protocol, verb) in
            [(Receive::Imap, Protocol::Imap, "UID"), (Receive::Pop3, Protocol::Pop3, "RETR")]
        {
            let (tenant, client) = service.tenant();
            let peer = Peer::start().await;
            (0..200).for_each(|n| assert!(peer.sandbox.deliver(&peer.user, corpus::plain(n)).is_ok()));
            let bytes: usize = peer.sandbox.messages(&peer.user).iter().map(|message| message.bytes.len()).sum();
            peer.sandbox.script(Rule::on(protocol).at(At::Command(verb)).drip(u32::try_from(bytes / 60).unwrap()));
            let path = account(&client, "mail", &polled(&peer, receive)).await;
            let _ = client.post_empty("/v1/pull").await.is(200);
            let stored = async || aws.items_of(&format!("T#{tenant}#M#")).await.len();
            until("it has begun", async || (stored().await > 0).then_some(())).await;
            let _ = client.delete(path).await.is(204);
            // A renewal of the lease finds it gone: then nothing comes any more, though the server has plenty.
            let mut before = (stored().await, 0);
            within(tests::PATIENCE, "the pull ends", async || {
                let now = stored().await;
                before = if now == before.0 { (now, before.1 + 1) } else { (now, 0) };
                (before.1 > 100).then_some(())
            })
            .await;
            assert!(before.0 < 200, "{receive:?}: all of it was pulled");
            let left: Vec<_> = aws.items().await.into_keys().collect();
            let of_account = |key: &&String| {
                key.starts_with(&format!("T#{tenant}#A"))
                    || key.starts_with(&format!("T#{tenant}#S"))
                    || (key.starts_with("POLL#") && key.contains(&tenant))
            };
            assert_eq!(left.iter().filter(of_account).collect::<Vec<_>>(), Vec::<&String>::new(), "{receive:?}");
        }
    });
}
