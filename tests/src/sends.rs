//! The fault run of sending (S1): mails are sent in every way while the processes that send are killed, and SQS delivers
//! each message one to three times. Callers that are cut off repeat with their key, as they are told to.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use rustix::process::Signal;
use sandbox::{At, Protocol, Rule};
use serde_json::json;

use crate::aws::Aws;
use crate::client::Client;
use crate::peer::{Peer, Way};
use crate::random::Random;
use crate::send_checker::{Delivered, EndState, Verdict, row};
use crate::service::{Options, Service};
use crate::{guard, within};

/// The functions that are killed; who delivers most, most often.
const VICTIMS: [&str; 5] = ["send", "send", "deliver", "deliver", "schedule"];

/// How long the server thinks about each message: as long as all that comes before, so that half of the kills meet a
/// message that is handed over.
const THINKS: Duration = Duration::from_millis(25);

/// Longest time between the first call of a round and its kill, in milliseconds.
const LATEST_KILL: u64 = 400;

const TENANT: &str = "sends";

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Mails, sent in as many rounds as there are kills.
    pub messages: usize,
    /// Kills.
    pub kills: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The end state, judged.
    pub verdict: Verdict,
    /// Messages by their last state.
    pub states: BTreeMap<String, usize>,
    /// Kills that met a living process.
    pub kills: usize,
    /// Calls that were cut short and repeated.
    pub repeated: usize,
}

/// Runs the plan on a service of its own.
pub async fn run(plan: Plan, mut random: Random) -> Report {
    let service = Service::start(Options {
        parameters: [
            ("LeaseSeconds", "1"),
            ("VisibilitySeconds", "2"),
            ("QueuedSeconds", "2"),
            ("ReplySeconds", "2"),
            ("DotSeconds", "3"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .to_vec(),
        copies: 3,
        ..Options::default()
    })
    .await;
    let peer = Peer::start().await;
    peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Data).stall(THINKS));
    let client = service.client().for_tenant(TENANT);
    let settings = json!({"from": peer.user, "smtp": peer.smtp(Way::Tls)});
    let _ = client.put("/v1/accounts/mail", &settings).await.is(201);
    let (mut kills, mut repeated) = (0, 0);
    let numbers: Vec<usize> = (0..plan.messages).collect();
    for round in numbers.chunks(plan.messages.div_ceil(plan.kills)) {
        let calls = join_all(round.iter().map(|number| send(&client, *number)));
        let (calls, killed) = tokio::join!(calls, kill(&service, &mut random));
        repeated += calls.into_iter().sum::<usize>();
        kills += usize::from(killed);
    }
    let state = settle(&service.aws().await, &peer, plan).await;
    let mut states = BTreeMap::new();
    for row in &state.rows {
        *states.entry(row.state.clone()).or_default() += 1;
    }
    Report { verdict: state.verdict(), states, kills, repeated }
}

/// Sends one mail, with its key and as often as it takes; returns how often it was cut short.
async fn send(client: &Client, number: usize) -> usize {
    let mut mail = json!({"to": "ada@example.test", "subject": format!("Mail {number}"), "text": "once"});
    let wait = if number % 3 == 1 { "?wait=0" } else { "" };
    if number % 3 == 2 {
        let soon = time::OffsetDateTime::now_utc() + Duration::from_millis(1_500);
        mail["sendAt"] = json!(soon.format(&time::format_description::well_known::Rfc3339).unwrap());
    }
    for cut in 0.. {
        let ask = client.ask(Method::POST, format!("/v1/accounts/mail/messages{wait}"));
        let answer = ask.header("idempotency-key", &format!("mail {number}")).json(&mail).send().await;
        match answer.status {
            200 | 202 => return cut,
            409 | 500..=504 => tokio::time::sleep(Duration::from_millis(100)).await,
            other => panic!("{other}: {}", answer.text()),
        }
    }
    0
}

/// Kills one process somewhere in the round; whether there was one.
async fn kill(service: &Service, random: &mut Random) -> bool {
    let victim = VICTIMS[usize::try_from(random.below(VICTIMS.len() as u64)).unwrap()];
    tokio::time::sleep(Duration::from_millis(random.below(LATEST_KILL))).await;
    let pids = service.pids(Some(victim));
    let Some(pid) = pids.get(usize::try_from(random.below(pids.len() as u64)).unwrap()) else {
        return false;
    };
    guard::kill(*pid, Signal::KILL);
    true
}

/// Lets it come to rest, and looks.
async fn settle(aws: &Aws, peer: &Peer, plan: Plan) -> EndState {
    let patience = Duration::from_secs(120 + plan.messages as u64 / 10);
    let rows = within(patience, "nothing waits or is being sent", async || {
        let items = aws.items_of(&format!("T#{TENANT}#M#")).await;
        let rows: Vec<_> = items.iter().filter(|(key, _)| key.ends_with(" / M")).map(|(_, item)| row(item)).collect();
        let quiet = !rows.iter().any(|row| ["queued", "sending", "deferred"].contains(&row.state.as_str()));
        if !quiet {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        quiet.then_some(rows)
    })
    .await;
    let copies = peer.sandbox.received();
    let delivered = copies.iter().flat_map(|received| {
        let text = String::from_utf8_lossy(&received.bytes).into_owned();
        let id = text.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap_or_default().trim().to_owned();
        received
            .recipients
            .iter()
            .map(move |recipient| Delivered { message_id: id.clone(), recipient: recipient.clone() })
    });
    EndState { accepted: plan.messages, rows, delivered: delivered.collect() }
}
