//! P2: kill -9 at every network write of one session, one after the other, in a mailbox of its own each.
//!
//! The session deletes what an earlier one stored and stores as many new messages. strace counts the calls that write
//! to a socket and kills before the n-th takes place, which is the same as after the one before.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::StreamExt;
use futures_util::stream;

use crate::mailbox::{ACCOUNT, Judgement, Kind, Mailbox};
use crate::random::Random;
use crate::runtime::{Ending, Puller, Setup};
use crate::service::{Options, Service};
use crate::{corpus, dir, until};

/// The calls by which a socket is written. Each has its own count in strace.
const CALLS: [&str; 3] = ["sendto", "sendmsg", "writev"];

/// Sessions at a time: most of their time is waiting for a lease to run over.
const AT_ONCE: usize = 4;

/// Points beyond the last one of the trial: sessions differ by a write or two.
const BEYOND: usize = 3;

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Which mailbox.
    pub kind: Kind,
    /// Messages that the session stores.
    pub messages: usize,
    /// Kill at so many of the points, spread evenly; none: at all.
    pub sample: Option<usize>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Network writes of the session when nobody kills it.
    pub writes: usize,
    /// Points tried.
    pub tried: usize,
    /// Sessions that died.
    pub killed: usize,
    /// Where the promise was broken.
    pub broken: Vec<(String, Judgement)>,
}

/// Kill before the n-th of these calls.
type Point = (&'static str, usize);

/// Runs the plan on a service of its own.
pub async fn run(plan: Plan, mut random: Random) -> Report {
    let service =
        Service::start(Options { parameters: vec![("LeaseSeconds", "1".to_owned())], ..Options::default() }).await;
    let messages = corpus::mixed(plan.messages * 2, &mut random);
    let (_, counts, end) = session(&service, plan, &messages, None).await;
    let mut report = Report { writes: counts.values().sum(), ..Report::default() };
    assert!(end.is_none(), "without a kill nothing may be broken: {end:?}");
    let points: Vec<Point> =
        CALLS.into_iter().flat_map(|call| (1..=beyond(counts[call])).map(move |n| (call, n))).collect();
    let step = plan.sample.map_or(1, |sample| points.len().div_ceil(sample));
    let offset = usize::try_from(random.below(step as u64)).unwrap();
    let points: Vec<Point> = points.into_iter().skip(offset).step_by(step).collect();
    report.tried = points.len();
    let sessions = stream::iter(points.into_iter().map(|point| {
        let (service, messages) = (&service, &messages);
        async move { (point, session(service, plan, messages, Some(point)).await) }
    }));
    let mut ended = std::pin::pin!(sessions.buffer_unordered(AT_ONCE));
    while let Some(((call, number), (killed, _, broken))) = ended.next().await {
        report.killed += usize::from(killed);
        report.broken.extend(broken.map(|end| (format!("{call} {number}"), end)));
    }
    report
}

/// The last point to try of a call that was made so often.
fn beyond(count: usize) -> usize {
    if count == 0 { 0 } else { count + BEYOND }
}

/// One session under strace; whether it died, how often it wrote, and what is broken when all has come to rest.
async fn session(
    service: &Service,
    plan: Plan,
    messages: &[Vec<u8>],
    kill: Option<Point>,
) -> (bool, BTreeMap<&'static str, usize>, Option<Judgement>) {
    let mut mailbox = Mailbox::open(service, plan.kind, false).await;
    let (earlier, new) = messages.split_at(plan.messages);
    mailbox.deliver(earlier);
    until("an earlier run is completed", async || {
        let answer = mailbox.pull().await;
        (answer.status == 200 && answer.json()["more"] == false).then_some(())
    })
    .await;
    mailbox.deliver(new);
    let log = dir::create("strace").join("log");
    let mut puller = Puller::start(service, &Setup { under: strace(&log, kill), ..Setup::default() }).await;
    let ending = puller.pull(&mailbox.tenant, ACCOUNT).await;
    drop(puller);
    let counts = count(&std::fs::read_to_string(&log).unwrap_or_default());
    let end = mailbox.judge().await;
    (ending == Ending::Died, counts, (!end.is_kept(&mailbox)).then_some(end))
}

fn strace(log: &Path, kill: Option<Point>) -> Vec<String> {
    let mut words = vec!["strace".to_owned(), "-f".to_owned(), "-qq".to_owned(), "-s0".to_owned(), "-o".to_owned()];
    words.push(log.display().to_string());
    words.extend(["-e".to_owned(), format!("trace={}", CALLS.join(","))]);
    if let Some((call, number)) = kill {
        words.extend(["-e".to_owned(), format!("inject={call}:signal=SIGKILL:when={number}")]);
    }
    words
}

/// How often each call is in a log of strace, by the thread that made most of them: strace counts per thread, and the
/// function writes from one.
fn count(log: &str) -> BTreeMap<&'static str, usize> {
    let mut by_thread: BTreeMap<(&str, &'static str), usize> = BTreeMap::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let call =
            CALLS.into_iter().find(|call| rest.trim_start().strip_prefix(call).is_some_and(|r| r.starts_with('(')));
        if let Some(call) = call {
            *by_thread.entry((thread, call)).or_default() += 1;
        }
    }
    let most = |call| by_thread.iter().filter(|((_, of), _)| *of == call).map(|(_, count)| *count).max();
    CALLS.into_iter().map(|call| (call, most(call).unwrap_or_default())).collect()
}
