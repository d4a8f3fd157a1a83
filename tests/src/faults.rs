//! P1, the fault run: a mailbox is pulled while the pulling processes are killed at random moments, and afterwards
//! everything has to be there, once, byte for byte.

use std::time::Duration;

use rustix::process::Signal;

use crate::checker::Cursors;
use crate::mailbox::{Judgement, Kind, Mailbox};
use crate::random::Random;
use crate::service::{Options, Service};
use crate::{corpus, guard};

/// The functions that pull.
const PULLERS: [&str; 2] = ["pull", "pull-worker"];

/// Longest time between the login at the server and the kill, in milliseconds: a batch is stored in about that time.
const LATEST_KILL: u64 = 250;

/// How often the cursor is held against the rows, which reads all of them.
const LOOKS: usize = 20;

/// Kills between two rests of a maildrop whose messages have no names. Each of its runs reads all that is there, and only
/// what a run that came to its end has stored is deleted: with no rest, runs would soon do nothing but read again.
const KILLS_TO_A_REST: usize = 10;

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Which mailbox.
    pub kind: Kind,
    /// Messages, delivered in as many batches as there are kills.
    pub messages: usize,
    /// Kills.
    pub kills: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The end state, judged.
    pub end: Judgement,
    /// I10: how often a cursor stood behind a gap, or had moved back.
    pub cursor_faults: usize,
    /// Kills that cut a call short.
    pub hits: usize,
    /// All is as promised.
    pub kept: bool,
}

/// Runs the plan on a service of its own.
pub async fn run(plan: Plan, mut random: Random) -> Report {
    let service = Service::start(Options {
        parameters: vec![("LeaseSeconds", "1".to_owned()), ("VisibilitySeconds", "2".to_owned())],
        ..Options::default()
    })
    .await;
    // Polled as well: so both functions pull, and what a kill interrupts is taken up without a call.
    let mut mailbox = Mailbox::open(&service, plan.kind, true).await;
    let messages = corpus::mixed(plan.messages, &mut random);
    let mut hits = 0;
    let mut cursors = Cursors::default();
    for (number, batch) in messages.chunks(plan.messages.div_ceil(plan.kills)).enumerate() {
        mailbox.deliver(batch);
        hits += usize::from(kill_while_pulling(&service, &mailbox, &mut random).await);
        if number % plan.kills.div_ceil(LOOKS) == 0 {
            mailbox.watch(&mut cursors).await;
        }
        if !plan.kind.uidl && number % KILLS_TO_A_REST == KILLS_TO_A_REST - 1 {
            mailbox.settle().await;
        }
    }
    let end = mailbox.judge().await;
    mailbox.watch(&mut cursors).await;
    let kept = end.is_kept(&mailbox) && cursors.faults == 0;
    Report { end, cursor_faults: cursors.faults, hits, kept }
}

/// Calls for a pull and kills a puller somewhere in the middle; whether the call was cut short by it.
async fn kill_while_pulling(service: &Service, mailbox: &Mailbox, random: &mut Random) -> bool {
    let call = async {
        loop {
            let answer = mailbox.pull().await;
            if answer.status != 409 {
                return answer.status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let victim = PULLERS[usize::try_from(random.below(4) / 3).unwrap()];
    let moment = Duration::from_millis(random.below(LATEST_KILL));
    let kill = async {
        tokio::time::sleep(moment).await;
        service.pids(Some(victim)).into_iter().for_each(|pid| guard::kill(pid, Signal::KILL));
    };
    let (status, ()) = tokio::join!(call, kill);
    assert!([200, 500, 502, 503, 504].contains(&status), "{status}");
    status != 200
}
