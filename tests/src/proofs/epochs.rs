//! P4: UIDVALIDITY changes again and again (RFC 3501 §2.3.1.1): the same messages under other numbers. None may be stored
//! again, also where two are alike to the byte, and each change is told.

use std::time::Duration;

use crate::corpus;
use crate::mailbox::{Judgement, Kind, Mailbox};
use crate::random::Random;
use crate::service::{Options, Service};

/// Pairs of messages that are alike to the byte.
const PAIRS: usize = 10;

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
    /// Changes that a pull told of (`reset`).
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
    mailbox.deliver(&messages);
    mailbox.settle().await;
    let (mut told, mut new_again) = (0, 0);
    for change in 1..=plan.changes {
        mailbox.change_epoch(4_711_000 + u32::try_from(change).unwrap());
        let (again, reset) = pull_all(&mailbox).await;
        new_again += again;
        told += usize::from(reset);
    }
    let end = mailbox.judge().await;
    Report { kept: end.is_kept(&mailbox) && told == plan.changes && new_again == 0, end, told, new_again }
}

/// Pulls until there is no more; how many were new, and whether a change was told.
async fn pull_all(mailbox: &Mailbox) -> (usize, bool) {
    let (mut new, mut told) = (0, false);
    loop {
        let answer = mailbox.pull().await;
        if answer.status == 409 {
            // A call had no time for all of it, so that a worker goes on: what that one tells, nobody hears.
            told = true;
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        let answer = answer.value(200);
        told |= answer["folders"].as_array().unwrap().iter().any(|folder| folder["reset"] == true);
        new += usize::try_from(answer["new"].as_u64().unwrap()).unwrap();
        if answer["more"] == false {
            return (new, told);
        }
    }
}
