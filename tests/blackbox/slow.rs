//! Row 2 and row 26 of the fault matrix: more mail than one invocation has time for, and messages that the server does not
//! get through with. What can come comes, once; and nothing stands in the way of what is behind it for ever.

use futures_util::future::join_all;
use http::Method;
use sandbox::{At, Protocol, Rule};
use serde_json::{Value, json};
use tests::checker::{Verdict, end_state};
use tests::client::Client;
use tests::corpus;
use tests::peer::{Peer, Receive, Way};
use tests::random::Random;
use tests::service::{Options, Service};
use tests::within;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::OnceCell;

use crate::{account, run};

/// Seconds of an invocation of the worker, of which nine tenths are the mail server's.
const INVOCATION: &str = "8";

static SERVICE: OnceCell<Service> = OnceCell::const_new();

/// Invocations that are too short, and a server that may fall silent for a moment only.
async fn hurried() -> &'static Service {
    let start = || {
        let parameters = [
            ("WorkerSeconds", INVOCATION),
            ("VisibilitySeconds", "10"),
            ("ReplySeconds", "3"),
            ("TickRate", "rate(1 hour)"),
            ("TickSeconds", "60"),
        ];
        let parameters = parameters.map(|(name, value)| (name, value.to_owned())).to_vec();
        Service::start(Options { parameters, ..Options::default() })
    };
    SERVICE.get_or_init(start).await
}

struct Mailbox {
    receive: Receive,
    tenant: String,
    client: Client,
    peer: Peer,
    path: String,
}

impl Mailbox {
    async fn with(receive: Receive, messages: &[Vec<u8>], keep: bool) -> Self {
        let (tenant, client) = hurried().await.tenant();
        let peer = Peer::start().await;
        for message in messages {
            peer.sandbox.deliver(&peer.user, message.clone()).unwrap();
        }
        let mut settings = peer.account(receive, Way::Tls);
        settings["receive"]["keepOnServer"] = json!(keep);
        let path = account(&client, "mail", &settings).await;
        Self { receive, tenant, client, peer, path }
    }

    fn held(&self) -> Vec<Vec<u8>> {
        self.peer.sandbox.messages(&self.peer.user).iter().map(|message| message.bytes.to_vec()).collect()
    }

    /// A rule for the commands that bring message `n` of three, alone or with those behind it.
    fn at_message(&self, n: usize, change: impl Fn(Rule) -> Rule) {
        if self.receive == Receive::Pop3 {
            let rule = Rule::on(Protocol::Pop3).at(At::Command("RETR")).matching(format!("RETR {n}\r\n"));
            self.peer.sandbox.script(change(rule));
            return;
        }
        let sets = (1..=n).map(|first| format!("{first}:3")).chain([n.to_string()]);
        for set in sets {
            let rule = Rule::on(Protocol::Imap).at(At::Command("UID FETCH"));
            self.peer.sandbox.script(change(rule.matching(format!("FETCH {set} (UID FLAGS"))));
        }
    }

    /// One invocation of the worker for this mailbox alone.
    async fn work(&self) {
        let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap();
        let job = json!({"tick": now, "asked": true, "mailboxes": [{"tenant": self.tenant, "account": "mail"}]});
        let event = json!({"Records": [{"messageId": "m", "body": job.to_string(), "eventSource": "aws:sqs"}]});
        let invocation = self.client.ask(Method::POST, "/2015-03-31/functions/pull-worker/invocations").json(&event);
        assert_eq!(invocation.send().await.status, 200);
    }

    async fn items(&self) -> Vec<Value> {
        self.client.get(format!("{}/messages?limit=100", self.path)).await.value(200)["items"]
            .as_array()
            .unwrap()
            .clone()
    }
}

/// Row 2: a server that is slower than an invocation is long. Each invocation stores what it can and queues the rest,
/// until nothing is left.
#[test]
fn a_long_pull_goes_on_in_the_next_invocation() {
    run(async {
        let messages: Vec<_> =
            (0..24).map(|n| corpus::with_attachment(n, "a.bin", &Random::new(n as u64).bytes(3_000))).collect();
        let pulls = Receive::BOTH.map(async |receive| {
            let mailbox = Mailbox::with(receive, &messages, true).await;
            let rule = match receive {
                Receive::Imap => Rule::on(Protocol::Imap).at(At::Command("UID FETCH")).matching("BODY.PEEK[]"),
                Receive::Pop3 => Rule::on(Protocol::Pop3).at(At::Command("RETR")),
            };
            // All of it takes two invocations of its own, and each message less than a second.
            let pace = messages.iter().map(Vec::len).sum::<usize>() / 16;
            mailbox.peer.sandbox.script(rule.drip(pace.try_into().unwrap()));
            let _ = mailbox.client.post_empty("/v1/pull").await.is(200);
            let stored = async || (mailbox.items().await.len() == messages.len()).then_some(());
            within(tests::PATIENCE * 3, "all messages are stored", stored).await;
            let aws = hurried().await.aws().await;
            let state = end_state(&aws, &mailbox.client, &mailbox.tenant, "mail", &messages, &mailbox.held()).await;
            assert_eq!((state.verdict(), state.rows.len()), (Verdict::default(), messages.len()), "{receive:?}");
            assert!(mailbox.peer.logins() >= 2, "{receive:?}: one invocation was enough");
        });
        drop(join_all(pulls).await);
    });
}

/// Row 26: the server falls silent in the middle of a message, each time.
#[test]
fn a_message_at_which_the_server_falls_silent_does_not_hide_what_is_behind_it() {
    run(async { drop(join_all(Receive::BOTH.map(|receive| passed(receive, 2, Rule::stall_forever))).await) });
}

/// Row 26: a message that takes longer than any invocation.
#[test]
fn a_message_that_takes_longer_than_an_invocation_does_not_hide_what_is_behind_it() {
    run(async { drop(join_all(Receive::BOTH.map(|receive| passed(receive, 1, |rule| rule.drip(10)))).await) });
}

async fn passed(receive: Receive, n: usize, slow: fn(Rule) -> Rule) {
    let messages: Vec<_> = (1..=3).map(corpus::plain).collect();
    let mailbox = Mailbox::with(receive, &messages, false).await;
    mailbox.at_message(n, slow);
    let settled = async || {
        mailbox.work().await;
        (mailbox.held().len() == 1).then_some(())
    };
    within(tests::PATIENCE * 3, "what is behind it is stored, and deleted in its turn", settled).await;
    assert_eq!(mailbox.held(), [messages[n - 1].clone()], "{receive:?}: it stays on the server");
    let items = mailbox.items().await;
    let (stalled, others): (Vec<_>, Vec<_>) = items.iter().partition(|item| item["state"] == "stalled");
    let subjects: Vec<_> = others.iter().map(|item| item["subject"].as_str().unwrap()).collect();
    assert_eq!((stalled.len(), others.len()), (1, 2), "{receive:?}: {items:?}");
    assert!(!subjects.contains(&format!("Message {n}").as_str()), "{subjects:?}");
    assert_eq!((&stalled[0]["sha256"], &stalled[0]["size"]), (&Value::Null, &json!(messages[n - 1].len())));
    // Of what drips the first lines have come.
    if receive == Receive::Pop3 && n == 1 {
        assert_eq!(stalled[0]["from"]["address"], "ada@example.test", "{stalled:?}");
    }
    let source = format!("{}/messages/{}/source", mailbox.path, stalled[0]["id"].as_str().unwrap());
    let problem = mailbox.client.get(source).await.problem(404, "not_found");
    assert!(problem["detail"].as_str().unwrap().contains("three attempts"), "{problem}");
    let again = mailbox.client.post_empty(format!("{}/pull", mailbox.path)).await.value(200);
    assert_eq!((&again["new"], &again["more"]), (&json!(0), &json!(false)), "{receive:?}: nobody asks for it again");
}
