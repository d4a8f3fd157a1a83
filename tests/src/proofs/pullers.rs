//! P3: many pullers at one mailbox. Four processes of the test's own pull it without pause; the service's workers pull it
//! as well, scheduled twice and each job delivered up to three times; and again and again one puller is stopped for
//! twice the time of the lease and then goes on as if nothing had been. First all clocks are right, then two of the four
//! are ten minutes off: who is early takes the lease from everybody, who is late cannot keep it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::mailbox::{ACCOUNT, Judgement, Kind, Mailbox};
use crate::random::Random;
use crate::runtime::{Ending, Puller, Setup};
use crate::service::{Options, Service};
use crate::{corpus, guard};

/// What the clock hands to `schedule`.
const TICK: &str = include_str!("../../../infra/events/schedule.json");

/// The lease, in seconds.
const LEASE: u64 = 1;

/// How wrong a clock is, in seconds.
const SKEW: i64 = 600;

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Which mailbox. Dovecot does not lock a POP3 mailbox, so that two sessions see it at once; the sandbox does.
    pub kind: Kind,
    /// Messages, delivered in as many batches as there are stops.
    pub messages: usize,
    /// How often a puller is stopped.
    pub stops: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The end state, judged.
    pub end: Judgement,
    /// Pulls of the test's own processes, by what came of them.
    pub pulls: usize,
    /// Of them: another held the lease, or had moved the ledger.
    pub conflicts: usize,
    /// Stops that met a pull under way.
    pub stopped: usize,
    /// Pulls that stored something, by puller; the last two of the second four have the wrong clocks.
    pub storing: [usize; 8],
    /// All is as promised.
    pub kept: bool,
}

/// What a puller does, for whoever stops it.
#[derive(Debug, Default)]
struct Seen {
    busy: AtomicBool,
    pulls: AtomicUsize,
    conflicts: AtomicUsize,
    storing: AtomicUsize,
}

/// Four pullers at work.
struct Team {
    pids: Vec<u32>,
    seen: Vec<Arc<Seen>>,
    ended: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Runs the plan on a service of its own.
pub async fn run(plan: Plan, mut random: Random) -> Report {
    let parameters = vec![("LeaseSeconds", LEASE.to_string()), ("VisibilitySeconds", "2".to_owned())];
    let service = Service::start(Options { parameters, copies: 3, ..Options::default() }).await;
    let mut mailbox = Mailbox::open(&service, plan.kind, true).await;
    let messages = corpus::mixed(plan.messages, &mut random);
    let (mut seen, mut stopped) = (Vec::new(), 0);
    for (half, clocks) in messages.chunks(plan.messages.div_ceil(2)).zip([[0, 0], [SKEW, -SKEW]]) {
        let team = Team::start(&service, &mailbox, clocks).await;
        for batch in half.chunks(plan.messages.div_ceil(plan.stops)) {
            mailbox.deliver(batch);
            let (met, ()) = tokio::join!(team.stop_one(&mut random), tick_twice(&mailbox));
            stopped += usize::from(met);
        }
        seen.extend(team.end().await);
    }
    let end = mailbox.judge().await;
    let sum = |of: fn(&Seen) -> &AtomicUsize| seen.iter().map(|seen| of(seen).load(Ordering::Relaxed)).sum();
    Report {
        kept: end.is_kept(&mailbox),
        end,
        pulls: sum(|seen| &seen.pulls),
        conflicts: sum(|seen| &seen.conflicts),
        stopped,
        storing: std::array::from_fn(|index| seen[index].storing.load(Ordering::Relaxed)),
    }
}

impl Team {
    /// Two whose clocks are right, and two more.
    async fn start(service: &Service, mailbox: &Mailbox, clocks: [i64; 2]) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let mut team = Self { pids: Vec::new(), seen: Vec::new(), ended: Arc::clone(&ended), tasks: Vec::new() };
        for ahead in [0, 0, clocks[0], clocks[1]] {
            let puller = Puller::start(service, &Setup { ahead, ..Setup::default() }).await;
            let seen = Arc::new(Seen::default());
            team.pids.push(puller.pid().unwrap());
            team.seen.push(Arc::clone(&seen));
            team.tasks.push(tokio::spawn(pull_on(puller, mailbox.tenant.clone(), seen, Arc::clone(&ended))));
        }
        team
    }

    /// Stops one whose clock is right, in the middle of something, for twice the lease; whether that was a pull.
    async fn stop_one(&self, random: &mut Random) -> bool {
        let victim = usize::try_from(random.below(2)).unwrap();
        tokio::time::sleep(Duration::from_millis(random.below(150))).await;
        guard::kill(self.pids[victim], Signal::STOP);
        let met = self.seen[victim].busy.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(LEASE * 2)).await;
        guard::kill(self.pids[victim], Signal::CONT);
        met
    }

    async fn end(self) -> Vec<Arc<Seen>> {
        self.ended.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.seen
    }
}

async fn pull_on(mut puller: Puller, tenant: String, seen: Arc<Seen>, ended: Arc<AtomicBool>) {
    while !ended.load(Ordering::Relaxed) {
        seen.busy.store(true, Ordering::Relaxed);
        let ending = puller.pull(&tenant, ACCOUNT).await;
        seen.busy.store(false, Ordering::Relaxed);
        let Ending::Answered(status, answer) = ending else { panic!("a puller died; see {}", puller.log.display()) };
        seen.pulls.fetch_add(1, Ordering::Relaxed);
        // 502: a POP3 server that locks has another in it.
        assert!([200, 409, 502].contains(&status), "{status}: {answer}");
        seen.conflicts.fetch_add(usize::from(status == 409), Ordering::Relaxed);
        let stored = answer["new"].as_u64().unwrap_or_default() > 0;
        seen.storing.fetch_add(usize::from(stored), Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// The same tick at two schedulers at once.
async fn tick_twice(mailbox: &Mailbox) {
    let event: Value = serde_json::from_str(TICK).unwrap();
    let tick = || async {
        let path = "/2015-03-31/functions/schedule/invocations";
        mailbox.client.ask(Method::POST, path).json(&event).send().await.status
    };
    assert_eq!(tokio::join!(tick(), tick()), (200, 200));
}
