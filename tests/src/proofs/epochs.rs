//! P4: UIDVALIDITY changes again and again (RFC 3501 §2.3.1.1): the same messages under other numbers. None may be stored
//! again, also where two are alike to the byte, and each change is told once (`folder.reset`).

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::mailbox::{Judgement, Kind, Mailbox};
use crate::random::Random;
use crate::receiver::{Mood, Receiver};
use crate::service::{Options, Service};
use crate::{corpus, until, within};

/// Pairs of messages that are alike to the byte.
const PAIRS: usize = 10;

/// How long a folder may take to be gone through again, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(900);

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Which mailbox, over IMAP.
    pub kind: Kind,
    /// Messages.
    pub messages: usize,
    /// Changes of UIDVALIDITY.
    pub changes: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The end state, judged.
    pub end: Judgement,
    /// Changes that were told of: different events.
    pub told: usize,
    /// Messages that a pull called new after a change.
    pub new_again: usize,
    /// All is as promised.
    pub kept: bool,
}

/// Runs the plan on a service of its own.
pub async fn run(plan: Plan, mut random: Random) -> Report {
    let service = Service::start(Options::default()).await;
    let mut mailbox = Mailbox::open(&service, plan.kind, false).await;
    let mut messages: Vec<_> = (0..plan.messages - PAIRS).map(corpus::plain).collect();
    for _ in 0..PAIRS {
        let place = usize::try_from(random.below(messages.len() as u64)).unwrap();
        messages.insert(place, messages[usize::try_from(random.below(messages.len() as u64)).unwrap()].clone());
    }
    let receiver = Receiver::start(Mood::Status(204)).await;
    let hook = json!({"url": receiver.url, "events": ["folder.reset"]});
    let _ = mailbox.client.post("/v1/webhooks", &hook).await.is(201);
    mailbox.deliver(&messages);
    mailbox.settle().await;
    let mut new_again = 0;
    for change in 1..=plan.changes {
        mailbox.change_epoch(4_711_000 + u32::try_from(change).unwrap());
        new_again += pull_all(&mailbox).await;
    }
    let end = mailbox.judge().await;
    let ids = || receiver.taken().into_iter().map(|told| told.id).collect::<BTreeSet<_>>();
    until("each change is told", async || (ids().len() >= plan.changes).then_some(())).await;
    let told = ids().len();
    Report { kept: end.is_kept(&mailbox) && told == plan.changes && new_again == 0, end, told, new_again }
}

/// Pulls until there is no more; how many were new. A call that had no time for all of it leaves the rest to a worker
/// (409 meanwhile); one that was cut off by the gateway (503) is made again.
async fn pull_all(mailbox: &Mailbox) -> usize {
    let mut new = 0;
    within(PATIENCE, "all of the folder is gone through", async || {
        let answer = mailbox.pull().await;
        if [409, 503, 504].contains(&answer.status) {
            return None;
        }
        let answer = answer.value(200);
        new += usize::try_from(answer["new"].as_u64().unwrap()).unwrap();
        (answer["more"] == false).then_some(())
    })
    .await;
    new
}
