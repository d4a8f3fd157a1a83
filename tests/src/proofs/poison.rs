//! P7: one message in a hundred kills whoever reads it. There is no such mail for sound code, so the process is killed
//! at the very moment: behind the source, when the first file comes out of the parser on its way to S3. Who stores the
//! message without reading it writes no file and lives.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;

use super::Plan;
use crate::checker::listed;
use crate::mailbox::{ACCOUNT, Judgement, Mailbox};
use crate::proxy::{Call, Fault, Proxy};
use crate::random::Random;
use crate::runtime::{Ending, Puller, Setup};
use crate::service::{Options, Service};
use crate::{corpus, guard, sha256};

/// One message in so many.
const RARITY: usize = 100;

/// Two of them are so far apart that they are never on their way into storage at once: of the two only one would be
/// known to have killed.
const APART: usize = 20;

/// What reading a message may cost.
const ATTEMPTS: usize = 3;

/// A file that is an object of its own.
const FILE_BYTES: usize = 6_000;

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The end state, judged: quarantined messages have their source like all others.
    pub end: Judgement,
    /// Poisonous messages.
    pub poison: usize,
    /// Messages stored as `quarantined`, all of them poisonous.
    pub quarantined: usize,
    /// Processes that died of a message, most and least per message.
    pub deaths: (usize, usize),
    /// Poison is in quarantine, each after its attempts, and nothing else is.
    pub kept: bool,
}

/// Runs the plan on a service of its own.
pub async fn run(plan: Plan, mut random: Random) -> Report {
    let parameters = vec![("LeaseSeconds", "1".to_owned())];
    let service = Service::start(Options { parameters, ..Options::default() }).await;
    let mut mailbox = Mailbox::open(&service, plan.kind, false).await;
    // One in each hundred, at any place in it but its end.
    let places: Vec<usize> = (0..plan.messages.div_ceil(RARITY))
        .map(|hundred| hundred * RARITY + usize::try_from(random.below((RARITY - APART) as u64)).unwrap())
        .collect();
    let mut deadly: BTreeMap<String, usize> = BTreeMap::new();
    let mut hashes = Vec::new();
    let mut messages = corpus::mixed(plan.messages, &mut random);
    for place in places.iter().filter(|place| **place < plan.messages) {
        let file = random.bytes(FILE_BYTES);
        messages[*place] = corpus::with_attachment(*place, "poison.pdf", &file);
        hashes.push(sha256(&messages[*place]));
        deadly.insert(sha256(&file), 0);
    }
    mailbox.deliver(&messages);
    let deaths = until_all_is_stored(&service, &mailbox, deadly).await;
    let end = mailbox.judge().await;
    let mut quarantined: Vec<String> = listed(&mailbox.client, ACCOUNT)
        .await
        .iter()
        .filter(|message| message["state"] == "quarantined")
        .map(|message| message["sha256"].as_str().unwrap_or_default().to_owned())
        .collect();
    hashes.sort_unstable();
    quarantined.sort_unstable();
    let range = (deaths.values().max().copied().unwrap_or(0), deaths.values().min().copied().unwrap_or(0));
    let attempts = deaths.values().all(|deaths| *deaths == ATTEMPTS);
    Report {
        kept: end.is_kept(&mailbox) && quarantined == hashes && attempts,
        end,
        poison: hashes.len(),
        quarantined: quarantined.len(),
        deaths: range,
    }
}

/// Pulls with one process after the other, because each dies of the next deadly file that it stores; how many died of
/// each.
async fn until_all_is_stored(
    service: &Service,
    mailbox: &Mailbox,
    deadly: BTreeMap<String, usize>,
) -> BTreeMap<String, usize> {
    let deaths = Arc::new(Mutex::new(deadly));
    let victim = Arc::new(AtomicU32::new(0));
    let judge = {
        let (deaths, victim) = (Arc::clone(&deaths), Arc::clone(&victim));
        move |call: &Call<'_>| kill(call, &mut deaths.lock().unwrap(), &victim)
    };
    let proxy = Proxy::start(service, judge).await;
    loop {
        let mut puller = Puller::start(service, &Setup { env: proxy.env.clone(), ..Setup::default() }).await;
        victim.store(puller.pid().unwrap(), Ordering::SeqCst);
        loop {
            match puller.pull(&mailbox.tenant, ACCOUNT).await {
                Ending::Died => break,
                // The lease of the one that died.
                Ending::Answered(409, _) => tokio::time::sleep(Duration::from_millis(50)).await,
                Ending::Answered(200, answer) if answer["new"] == 0 && answer["more"] == false => {
                    return deaths.lock().unwrap().clone();
                }
                Ending::Answered(200, _) => {}
                other @ Ending::Answered(..) => panic!("{other:?}; see {}", puller.log.display()),
            }
        }
    }
}

fn kill(call: &Call<'_>, deadly: &mut BTreeMap<String, usize>, victim: &AtomicU32) -> Option<Fault> {
    let (_, name) = call.path.rsplit_once('/')?;
    let deaths = deadly.get_mut(name).filter(|_| call.name == "s3.PUT")?;
    // What the same process had on its way beside it dies with it, and counts for nothing.
    let pid = victim.swap(0, Ordering::SeqCst);
    if pid != 0 {
        *deaths += 1;
        guard::kill(pid, Signal::KILL);
    }
    Some(Fault::Cut)
}
