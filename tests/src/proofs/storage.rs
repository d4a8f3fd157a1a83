//! P6: storage that refuses, breaks and falls silent: of the calls to DynamoDB 30 % are throttled; of those to S3 10 %
//! end with 500; and of all others 10 % take effect, but their answer is lost. Everything has to be stored once, with no
//! more than ten times the calls.

use std::sync::{Arc, Mutex};

use super::Plan;
use crate::corpus;
use crate::mailbox::{ACCOUNT, Judgement, Mailbox};
use crate::proxy::{Call, Fault, Proxy};
use crate::random::Random;
use crate::runtime::{Ending, Puller, Setup};
use crate::service::{Options, Service};

/// In hundred.
const THROTTLED: u64 = 30;
const BROKEN: u64 = 10;
const LOST: u64 = 10;

/// Runs after which it counts as endless: a run ends with its first message that cannot be stored, which is one of some
/// fifteen, and over POP3 four of ten do not come beyond looking up what is known.
const MOST_RUNS: usize = 2_000;

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The end state, judged.
    pub end: Judgement,
    /// Calls that a pull without faults makes.
    pub ideal: usize,
    /// Calls that it made with them.
    pub calls: usize,
    /// Faults, in the order throttled, broken, lost.
    pub faults: [usize; 3],
    /// Pulls until there was nothing new.
    pub runs: usize,
    /// All is as promised.
    pub kept: bool,
}

/// Runs the plan on a service of its own.
pub async fn run(plan: Plan, mut random: Random) -> Report {
    let parameters = vec![("LeaseSeconds", "1".to_owned())];
    let service = Service::start(Options { parameters, ..Options::default() }).await;
    let messages = corpus::mixed(plan.messages, &mut random);
    let faults = Arc::new(Mutex::new([0; 3]));
    let (ideal, _, mailbox) = pull(&service, plan, &messages, |_| None).await;
    let sound = mailbox.judge().await;
    assert!(sound.is_kept(&mailbox), "without faults nothing may be broken: {sound:?}");
    let judge = {
        let faults = Arc::clone(&faults);
        move |call: &Call<'_>| spoil(call, &mut random, &mut faults.lock().unwrap())
    };
    let (calls, runs, mailbox) = pull(&service, plan, &messages, judge).await;
    // What is left is done without faults.
    let end = mailbox.judge().await;
    let faults = *faults.lock().unwrap();
    Report { kept: end.is_kept(&mailbox) && calls <= ideal * 10, end, ideal, calls, faults, runs }
}

/// Pulls a new mailbox through a proxy until nothing is new: calls, runs.
async fn pull(
    service: &Service,
    plan: Plan,
    messages: &[Vec<u8>],
    judge: impl FnMut(&Call<'_>) -> Option<Fault> + Send + 'static,
) -> (usize, usize, Mailbox) {
    let mut mailbox = Mailbox::open(service, plan.kind, false).await;
    mailbox.deliver(messages);
    let proxy = Proxy::start(service, judge).await;
    let mut puller = Puller::start(service, &Setup { env: proxy.env.clone(), ..Setup::default() }).await;
    for run in 1..=MOST_RUNS {
        match puller.pull(&mailbox.tenant, ACCOUNT).await {
            Ending::Answered(200, answer) if answer["new"] == 0 && answer["more"] == false => {
                return (proxy.calls(), run, mailbox);
            }
            // 409: the lease of a run that could not even give it back.
            Ending::Answered(200 | 409 | 500 | 503 | 504, _) => {}
            other => panic!("{other:?}; see {}", puller.log.display()),
        }
    }
    panic!("not at an end after {MOST_RUNS} runs; see {}", puller.log.display());
}

fn spoil(call: &Call<'_>, random: &mut Random, faults: &mut [usize; 3]) -> Option<Fault> {
    let dice = random.below(100);
    let fault = match call.name.split_once('.') {
        Some(("s3", _)) if dice < BROKEN => Fault::Broken,
        Some(("s3", _)) if dice < BROKEN + LOST => Fault::Lost,
        Some((_, _)) if !call.name.starts_with("s3") && dice < THROTTLED => Fault::Throttled,
        Some((_, _)) if !call.name.starts_with("s3") && dice < THROTTLED + LOST => Fault::Lost,
        _ => return None,
    };
    let kind = [Fault::Throttled, Fault::Broken, Fault::Lost].iter().position(|kind| *kind == fault).unwrap();
    faults[kind] += 1;
    Some(fault)
}
