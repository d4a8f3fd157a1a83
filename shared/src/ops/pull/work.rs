//! The worker: many mailboxes at once, most of them idle.
//!
//! **What an idle mailbox costs**: settings, status and ledger are read for all mailboxes of a batch together, as they
//! were a moment ago: half a unit each; of one that is noted as quiet ([`super::quiet`]) the settings alone. What was
//! older than that is found out where it counts: a run that finds news takes the lease, asks for the account once more
//! ([`super::Run::hold`]), and saves its ledger over the version it read. The secret is read once per tenant ([`crate::store::Secrets`]).
//!
//! **Nobody holds the others up**: each mailbox has a deadline of its own, each host few connections, and only few
//! mailboxes fetch at a time, because messages need memory. Who has news and does not come to its end is queued by
//! itself, where it has a whole invocation; so is one that panicked or met trouble of ours. Only what is alone in its
//! batch fails the batch, so that SQS counts its failures and puts it aside in the end. What only its slot asked for is
//! left to the next slot instead where our own storage failed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use super::quiet::Quiet;
use super::{Asker, Known, LET_GO_SECONDS, PullError, is_stale, pull_for};
use crate::mail::Deadline;
use crate::model::views::AccountState;
use crate::model::{Server, Timestamp};
use crate::ops::Tools;
use crate::ops::sign_in::SignInError;
use crate::store::keys::SourceId;
use crate::store::{AccountRow, AccountStatus, Ledger, Mailbox, PullBatch, PullJob, StoreError};

/// Connections of one invocation to one host at a time: servers count them by address and close the door on many
/// (Dovecot's `mail_max_userip_connections` is 10).
const CONNECTIONS_PER_HOST: usize = 10;

/// Mailboxes of one invocation that fetch messages at a time: what bounds its memory.
const FETCHING_AT_ONCE: usize = 2;

/// No mailbox is begun when less time than this is left, or a quarter of a shorter invocation.
const LAST_START: Duration = Duration::from_secs(20);

/// What is left for a mailbox to write down how far it came, beyond its own time, before it is cut off.
const GRACE: Duration = Duration::from_secs(20);

/// What a batch shares.
struct Crew {
    tools: Tools,
    tick: Timestamp,
    asked: bool,
    /// It was the only mailbox of its batch.
    alone: bool,
    /// The invocation's end.
    deadline: Deadline,
    /// No mailbox is begun after this.
    last_start: Deadline,
    doors: HashMap<Door, Arc<Semaphore>>,
    fetching: Arc<Semaphore>,
}

/// What became of a mailbox.
enum Outcome {
    /// Nothing is left to do, or the account's status says what is wrong with it.
    Done,
    /// It was not begun, or did not end: another invocation's.
    Left,
    /// The same, and there is something to fetch.
    News,
    /// Our own storage failed.
    Failed(StoreError),
}

/// Pulls the mailboxes of one batch. That a mailbox cannot be reached is no failure of the batch: the account's status
/// says so, and the schedule comes back.
///
/// # Errors
/// Our own storage failed for the only mailbox of the batch, or before the first one was begun.
pub async fn work(tools: &Tools, batch: PullBatch, deadline: Deadline) -> Result<(), StoreError> {
    let wanted: BTreeMap<Mailbox, Option<String>> =
        batch.mailboxes.into_iter().map(|wanted| (wanted.mailbox, wanted.quiet)).collect();
    let mailboxes: Vec<Mailbox> = wanted.keys().cloned().collect();
    let seen = Seen::of(tools, wanted).await?;
    let crew = Arc::new(Crew {
        tools: tools.clone(),
        tick: batch.tick,
        asked: batch.asked,
        alone: mailboxes.len() == 1,
        deadline,
        last_start: Deadline::after(deadline.left().saturating_sub(LAST_START.min(deadline.left() / 4))),
        doors: seen.doors(),
        fetching: Arc::new(Semaphore::new(FETCHING_AT_ONCE)),
    });
    let outcomes = all(&crew, mailboxes, seen).await;
    let mut left = Vec::new();
    for (Mailbox { tenant, account }, outcome) in outcomes {
        let asked = match outcome {
            Outcome::Done => continue,
            Outcome::News => true,
            Outcome::Failed(error) => {
                tracing::error!(%error, "a mailbox met trouble of ours");
                match crew.asked {
                    true if crew.alone => return Err(error),
                    true => true,
                    false => continue,
                }
            }
            // Queued again it would be the same: the queue has to count.
            Outcome::Left if crew.alone => return Err(StoreError::Missing { what: "the end of a pull" }),
            Outcome::Left => crew.asked,
        };
        left.push(PullJob { tenant, account, tick: crew.tick, asked });
    }
    for job in left {
        tools.store.queues.enqueue_pull(&[job], LET_GO_SECONDS).await?;
    }
    Ok(())
}

/// All mailboxes at once, as far as hosts allow.
async fn all(crew: &Arc<Crew>, mailboxes: Vec<Mailbox>, mut seen: Seen) -> BTreeMap<Mailbox, Outcome> {
    // Whoever does not come back has panicked, or was cut off.
    let mut outcomes: BTreeMap<_, _> = mailboxes.iter().map(|mailbox| (mailbox.clone(), Outcome::Left)).collect();
    let mut tasks = JoinSet::new();
    for mailbox in mailboxes {
        let (crew, row, known) = (Arc::clone(crew), seen.rows.remove(&mailbox), seen.known(&mailbox));
        tasks.spawn(async move {
            let outcome = crew.one(&mailbox, row, known).await;
            (mailbox, outcome)
        });
    }
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok((mailbox, outcome)) => drop(outcomes.insert(mailbox, outcome)),
            Err(error) => tracing::error!(%error, "pulling a mailbox panicked"),
        }
    }
    outcomes
}

impl Crew {
    async fn one(&self, mailbox: &Mailbox, row: Option<AccountRow>, known: Known) -> Outcome {
        let row = match row {
            Some(row) => row,
            None => match self.afresh(mailbox).await {
                Ok(Some(row)) => row,
                Ok(None) => return Outcome::Done,
                Err(error) => return Outcome::Failed(error),
            },
        };
        let rests = known.status.as_ref().and_then(|status| status.receive.rest).is_some_and(|until| until > self.tick);
        if !self.asked && (rests || is_stale(&self.tools, self.tick, &row, Timestamp::now())) {
            return Outcome::Done;
        }
        let door = row.account.receive.as_ref().and_then(|receive| self.doors.get(&door(&receive.server)));
        let door = door.cloned().unwrap_or_else(|| Arc::new(Semaphore::new(1)));
        // Never closed: an error cannot come.
        let Ok(Ok(_connection)) = timeout_at(self.last_start.instant(), door.acquire_owned()).await else {
            return Outcome::Left;
        };
        self.pull(mailbox, &row, known).await
    }

    /// A row that was not there a moment ago may just have been written.
    async fn afresh(&self, mailbox: &Mailbox) -> Result<Option<AccountRow>, StoreError> {
        let store = &self.tools.store;
        let row = store.accounts.get(&mailbox.tenant, &mailbox.account).await?;
        if row.is_none() {
            // Deleted while a PUT was under way: without this its mailbox would be asked for at every tick, for ever.
            store.polls.remove(&mailbox.tenant, &mailbox.account).await?;
        }
        Ok(row)
    }

    async fn pull(&self, mailbox: &Mailbox, row: &AccountRow, known: Known) -> Outcome {
        // What the schedule asks for happens at the time of its tick (decision 28).
        let now = if self.asked { Timestamp::now() } else { self.tick };
        let (asker, until) = if self.alone {
            (Asker::Queue, self.deadline)
        } else {
            (Asker::Batch(Arc::clone(&self.fetching)), self.deadline.or_after(self.tools.settings.mailbox))
        };
        let pulled = Box::pin(pull_for(asker, &self.tools, &mailbox.tenant, row, until, now, known));
        let cut = Deadline::after(until.left() + GRACE).min(self.deadline);
        match timeout_at(cut.instant(), pulled).await {
            Ok(Ok(pulled)) if pulled.new > 0 => {
                tracing::info!(new = pulled.new, more = pulled.more, ms = pulled.duration_ms, "pulled");
                Outcome::Done
            }
            // Its new settings are the ones to go by; where it is gone, that is found out then.
            Ok(Err(PullError::Changed)) => Outcome::News,
            Ok(Ok(_) | Err(PullError::Busy | PullError::NotReceiving)) => Outcome::Done,
            Ok(Err(PullError::SignIn(SignInError::Store(error)) | PullError::Store(error))) => Outcome::Failed(error),
            Ok(Err(PullError::SignIn(error))) => {
                tracing::warn!(%error, "the mailbox could not be pulled");
                Outcome::Done
            }
            Ok(Err(PullError::Crowded)) => Outcome::News,
            Err(_) => Outcome::Left,
        }
    }
}

/// What was read of the mailboxes of a batch before the first of them is begun.
struct Seen {
    rows: HashMap<Mailbox, AccountRow>,
    statuses: HashMap<Mailbox, AccountStatus>,
    ledgers: HashMap<Mailbox, HashMap<SourceId, Ledger>>,
    quiet: BTreeMap<Mailbox, Option<String>>,
}

impl Seen {
    async fn of(tools: &Tools, quiet: BTreeMap<Mailbox, Option<String>>) -> Result<Self, StoreError> {
        let store = &tools.store;
        let all: Vec<Mailbox> = quiet.keys().cloned().collect();
        let asked: Vec<Mailbox> = quiet.iter().filter(|(_, mark)| mark.is_none()).map(|(at, _)| at.clone()).collect();
        let (rows, statuses) = tokio::try_join!(store.accounts.glance(&all), store.statuses.glance(&asked))?;
        let mut sources = Vec::new();
        for mailbox in asked {
            let Some(receive) = rows.get(&mailbox).and_then(|row| row.account.receive.as_ref()) else { continue };
            sources.extend(receive.folders.iter().map(|name| (mailbox.clone(), SourceId::of(receive, name))));
        }
        let mut ledgers: HashMap<Mailbox, HashMap<SourceId, Ledger>> = HashMap::new();
        for ((mailbox, source), ledger) in store.ledgers.glance(&sources).await? {
            ledgers.entry(mailbox).or_default().insert(source, ledger);
        }
        Ok(Self { rows, statuses, ledgers, quiet })
    }

    fn doors(&self) -> HashMap<Door, Arc<Semaphore>> {
        let receiving = self.rows.values().filter_map(|row| row.account.receive.as_ref());
        receiving.map(|receive| (door(&receive.server), Arc::new(Semaphore::new(CONNECTIONS_PER_HOST)))).collect()
    }

    fn known(&mut self, mailbox: &Mailbox) -> Known {
        let quiet = self.quiet.remove(mailbox).flatten();
        // Only a mailbox that works is noted as quiet.
        let state = if quiet.is_some() { AccountState::Ok } else { AccountState::default() };
        let status = self.statuses.remove(mailbox).unwrap_or(AccountStatus { state, ..AccountStatus::default() });
        let ledgers = self.ledgers.remove(mailbox).unwrap_or_default();
        Known { status: Some(status), ledgers, quiet: Quiet::new(quiet) }
    }
}

/// Host and port: where connections are counted.
type Door = (String, u16);

/// One name for one host (RFC 1034 §3.1).
fn door(server: &Server) -> Door {
    (server.host.trim_end_matches('.').to_ascii_lowercase(), server.port)
}
