//! Pull: every message that the server lists is stored byte-exact, once; nothing is deleted at the server but what an
//! earlier completed run stored.
//!
//! **Order**, and why nothing can be lost whenever the process dies:
//! source to S3 → row (one conditional write under a key that follows from the message) → ledger → in a later run,
//! delete at the server. Nothing downstream exists without its upstream, and each step can be repeated: the same
//! message always has the same id, so that a second write finds the first. The lease saves work, never correctness.
//!
//! **A quiet mailbox writes nothing**: IMAP is asked STATUS, POP3 is asked STAT, the ledger says the same, and the
//! run ends before lease, window and run number.
//!
//! **A message that kills the process** is found by the window that the ledger notes before each batch: a run that
//! finds one goes through it one message at a time, and the message that was under way three times is stored
//! unparsed and marked `quarantined`. One that the server does not get through with is marked `stalled` ([`stuck`]).

mod closing;
mod contents;
mod deletion;
mod fetch;
mod folder;
pub(in crate::ops) mod folders;
mod follow;
mod identity;
mod keep;
mod listed;
mod lost;
mod maildrop;
mod quiet;
mod recall;
mod renumbered;
mod sheet;
mod spool;
mod stuck;
mod sweep;
mod threads;
mod work;

pub use keep::{FILE_BYTES, reread};
pub use work::work;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

use self::quiet::Quiet;
use super::sign_in::{self, Receiver, SignInError};
use super::{Tools, fortunes, fortunes::Fortune, risks, search};
use crate::mail::{self, Deadline};
use crate::model::poll::Rhythm;
use crate::model::views::{Pulled, PulledFolder};
use crate::model::{Code, MessageId, Problem, Receive, Tenant, Timestamp};
use crate::store::keys::SourceId;
use crate::store::{AccountRow, AccountStatus, Lease, Ledger, PullJob, Side, StoreError};

/// Messages between two notes in the ledger: what a crash makes the next run look at again.
const WINDOW: usize = 200;

/// After this many runs that died with the same message under way, it is stored unparsed.
const TRIES: u32 = 3;

/// Seconds before a run that did not come to its end is gone on with. A POP3 server whose session was broken off has to
/// notice before it gives the mailbox to another one (RFC 1939 §4: the lock is exclusive).
const LET_GO_SECONDS: u32 = 3;

/// Why a pull ended early. What was stored until then is stored.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// There is nothing to pull: the account only sends.
    #[error("the account has no receiving side")]
    NotReceiving,
    /// Another run holds the lease.
    #[error("this mailbox is being pulled right now")]
    Busy,
    /// The account was changed or deleted since it was read: what was meant is no more.
    #[error("this account was changed or deleted meanwhile")]
    Changed,
    /// It has news, and others of its batch take all the room there is for fetching: it is queued by itself.
    #[error("too many mailboxes have news at once")]
    Crowded,
    /// The mail server, the way to it, or the credential.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// Our own storage.
    #[error(transparent)]
    Store(StoreError),
}

impl From<mail::Error> for PullError {
    fn from(error: mail::Error) -> Self {
        Self::SignIn(error.into())
    }
}

impl From<StoreError> for PullError {
    /// A conditional write that failed means that somebody else moved the ledger or took the lease.
    fn from(error: StoreError) -> Self {
        if error.is_conflict() { Self::Busy } else { Self::Store(error) }
    }
}

impl From<PullError> for Problem {
    fn from(error: PullError) -> Self {
        match error {
            PullError::NotReceiving => {
                Self::new(Code::InvalidRequest, "this account only sends: give it a receive side with PUT")
            }
            PullError::Changed => {
                Self::new(Code::Conflict, "this account was changed or deleted meanwhile: read it again").retry_after(1)
            }
            PullError::Busy | PullError::Crowded => {
                Self::new(Code::Conflict, "this mailbox is being pulled right now; its messages appear in the list")
                    .retry_after(5)
            }
            PullError::SignIn(error) => error.into_problem(true),
            PullError::Store(error) => error.into(),
        }
    }
}

/// One run over one mailbox.
struct Run<'a> {
    tools: &'a Tools,
    tenant: &'a Tenant,
    row: &'a AccountRow,
    receive: &'a Receive,
    now: Timestamp,
    /// When the mail server's time is up: what is left then is for writing down how far it came.
    session: Deadline,
    /// It has a whole invocation: what does not fit into that fits nowhere.
    patient: bool,
    lease: Option<Lease>,
    /// Ledgers that were read for a whole batch.
    ledgers: HashMap<SourceId, Ledger>,
    quiet: Quiet,
    /// Where others wait for room to fetch as well.
    fetching: Option<Arc<Semaphore>>,
    room: Option<OwnedSemaphorePermit>,
    folders: Vec<PulledFolder>,
    /// Which of them is under way.
    at: usize,
    /// Stored messages that are not where they were.
    lost: lost::Lost,
    stored: Vec<MessageId>,
    /// There is more than this run had time for.
    more: bool,
    /// Something was stored or deleted.
    changed: bool,
    /// It came further than the run before, so that another one is worth its while.
    advanced: bool,
    /// When messages were acknowledged last.
    acknowledged_at: Option<Timestamp>,
    /// Something was acknowledged that no completed run has stored yet: it is looked at again.
    held_back: AtomicBool,
    /// The index of words is due to be compacted.
    compact: bool,
}

/// Pulls one account until `deadline`, for somebody who waits; what is left then is queued for a worker (`more`).
pub async fn pull(
    tools: &Tools,
    tenant: &Tenant,
    row: &AccountRow,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Pulled, PullError> {
    pull_for(Asker::Caller, tools, tenant, row, deadline, now, Known::default()).await
}

/// For whom a run is made.
enum Asker {
    /// Somebody who waits some seconds: a worker has more time for the rest.
    Caller,
    /// The queue: a rest is queued again only behind progress, or one slow message would come round for ever.
    Queue,
    /// The queue, as one of many, who fetch by turns: what is found to have news has more time by itself.
    Batch(Arc<Semaphore>),
}

/// What was read of a mailbox before its run, at a moment's age.
#[derive(Default)]
struct Known {
    status: Option<AccountStatus>,
    ledgers: HashMap<SourceId, Ledger>,
    quiet: Quiet,
}

async fn pull_for(
    asker: Asker,
    tools: &Tools,
    tenant: &Tenant,
    row: &AccountRow,
    deadline: Deadline,
    now: Timestamp,
    known: Known,
) -> Result<Pulled, PullError> {
    let started = Instant::now();
    let receive = row.account.receive.as_ref().ok_or(PullError::NotReceiving)?;
    let status = match known.status {
        Some(status) => status,
        None => tools.store.statuses.get(tenant, &row.account.account).await?,
    };
    let before = match fortunes::admit_with(tools, tenant, &row.account.account, Side::Receive, now, status).await? {
        Ok(status) => status,
        Err(pause) => return Err(SignInError::Paused(pause).into()),
    };
    // The last tenth, at most 20 s, is for writing down how far it came.
    let reserve = (deadline.left() / 10).min(Duration::from_secs(20));
    let mut run = Run {
        tools,
        tenant,
        row,
        receive,
        now,
        session: Deadline::after(deadline.left().saturating_sub(reserve)),
        patient: matches!(asker, Asker::Queue),
        lease: None,
        ledgers: known.ledgers,
        quiet: known.quiet,
        fetching: if let Asker::Batch(fetching) = &asker { Some(Arc::clone(fetching)) } else { None },
        room: None,
        folders: Vec::new(),
        at: 0,
        lost: lost::Lost::default(),
        stored: Vec::new(),
        more: false,
        changed: false,
        advanced: false,
        acknowledged_at: before.acknowledged_at,
        held_back: AtomicBool::new(false),
        compact: false,
    };
    let result = run.all_folders(&before).await;
    let had_news = run.lease.is_some();
    let worth_it = match asker {
        Asker::Caller => run.advanced || !run.folders.is_empty(),
        Asker::Queue => run.advanced,
        Asker::Batch(_) => run.advanced || had_news,
    };
    let result = run.forgive_own_time(worth_it, result);
    let result = run.know_own_session(result).await;
    run.settle().await;
    run.release(&result).await;
    run.record(&result, &before).await?;
    result?;
    if !had_news {
        run.note_quiet(&before).await;
    }
    if run.more && (worth_it || matches!(asker, Asker::Caller)) {
        let job = PullJob { tenant: tenant.clone(), account: row.account.account.clone(), tick: now, asked: true };
        tools.store.queues.enqueue_pull(&[job], LET_GO_SECONDS).await?;
    }
    Ok(Pulled {
        account: row.account.account.clone(),
        new: u32::try_from(run.stored.len()).unwrap_or(u32::MAX),
        stored: run.stored,
        folders: run.folders,
        more: run.more,
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// Whether a later tick has been sent meanwhile, or polling was switched off.
fn is_stale(tools: &Tools, tick: Timestamp, row: &AccountRow, now: Timestamp) -> bool {
    let rhythm =
        Rhythm { poll: row.account.poll, tick_seconds: tools.settings.tick_seconds, last_arrival: None, hash: 0 };
    !row.account.poll.enabled || rhythm.is_stale(tick, now)
}

impl Run<'_> {
    async fn all_folders(&mut self, known: &AccountStatus) -> Result<(), PullError> {
        let connecting = self.session.or_after(self.tools.settings.connect + self.tools.settings.reply);
        let receiver = sign_in::receiver(self.tools, self.tenant, self.row, connecting, self.now).await?;
        if !self.quiet.is_noted() {
            risks::notice(self.tools, self.tenant, self.row, Side::Receive, known, receiver.tls()).await;
        }
        match receiver {
            Receiver::Imap(mut client) => {
                client.set_deadline(self.session);
                folders::pull(self, &mut client).await?;
                // The session has served its purpose: how LOGOUT fares changes nothing.
                let _ = client.logout().await;
                Ok(())
            }
            Receiver::Pop3(mut client) => {
                client.set_deadline(self.session);
                maildrop::pull(self, client).await
            }
        }
    }

    /// Does what may take longer than the lease lasts, and stops where somebody else has taken it.
    async fn holding<T, E: Into<PullError>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, PullError> {
        let Some(lease) = &self.lease else {
            return work.await.map_err(Into::into);
        };
        tokio::select! {
            done = work => done.map_err(Into::into),
            lost = beat(self.tools, lease.clone()) => Err(lost),
        }
    }

    /// Gives the lease back. Where that fails it runs over by itself.
    async fn release(&mut self, result: &Result<(), PullError>) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        let leases = &self.tools.store.leases;
        // A mailbox that is gone keeps no lease; of one that was changed the next run takes a new one.
        let given_back = match result {
            Err(PullError::Changed) => leases.forget(lease).await,
            _ => leases.release(lease).await,
        };
        if let Err(error) = given_back {
            tracing::debug!(%error, "the lease was not given back; it runs over");
        }
    }

    /// Begins the account of a folder, or goes on with it.
    fn enter(&mut self, name: &str, total: u32) {
        let known = self.folders.iter().position(|folder| folder.folder == name);
        self.at = known.unwrap_or(self.folders.len());
        match self.folders.get_mut(self.at) {
            Some(folder) => folder.total = total,
            None => {
                self.folders.push(PulledFolder { folder: name.to_owned(), new: 0, total, reset: false, error: None });
            }
        }
    }

    /// Counts messages that are durable now.
    fn note(&mut self, kept: &[keep::Kept]) {
        let before = self.stored.len();
        self.stored.extend(kept.iter().filter(|kept| kept.new).map(|kept| kept.id.clone()));
        let new = u32::try_from(self.stored.len() - before).unwrap_or(u32::MAX);
        if let Some(folder) = self.folders.get_mut(self.at) {
            folder.new += new;
        }
        self.changed |= new > 0;
        self.advanced |= new > 0;
        self.compact |= kept.iter().any(|kept| kept.new && search::is_due(&kept.id));
    }

    /// Compacts the index of words where that is due and there is time: a mailbox that is pulled for the first time
    /// fills it between two windows.
    async fn settle(&mut self) {
        if std::mem::take(&mut self.compact) {
            search::compact(&self.tools.store, self.tenant, &self.row.account.account, self.session).await;
        }
    }

    /// The ledger of a source: the one that was read for the whole batch, or as it is now.
    async fn ledger(&mut self, source: &SourceId) -> Result<Ledger, PullError> {
        let ledger = match self.ledgers.remove(source) {
            Some(ledger) => ledger,
            None => self.tools.store.ledgers.load(self.tenant, &self.row.account.account, source).await?,
        };
        self.quiet.saw(ledger.last_arrival);
        Ok(ledger)
    }

    /// Waits for room to fetch, where several share it.
    async fn take_room(&mut self) -> Result<(), PullError> {
        let Some(fetching) = self.fetching.take() else {
            return Ok(());
        };
        match timeout_at(self.session.instant(), fetching.acquire_owned()).await {
            Ok(Ok(room)) => self.room = Some(room),
            _ => return Err(PullError::Crowded),
        }
        Ok(())
    }

    /// Nothing is fetched for settings that are no more: whoever deletes an account moves its version first, and whatever
    /// is written after this is found by him, or by the next renewal of the lease that he deletes.
    async fn still_meant(&self) -> Result<(), PullError> {
        let row = self.tools.store.accounts.get(self.tenant, &self.row.account.account).await?;
        if row.is_some_and(|row| row.version == self.row.version) { Ok(()) } else { Err(PullError::Changed) }
    }

    /// Takes the lease, once, when there is news.
    async fn hold(&mut self) -> Result<(), PullError> {
        self.settle().await;
        self.take_room().await?;
        let seconds = self.tools.settings.lease_seconds;
        match &mut self.lease {
            Some(lease) => self.tools.store.leases.renew(lease, Timestamp::now(), seconds).await?,
            none => {
                let lease = self
                    .tools
                    .store
                    .leases
                    .acquire(self.tenant, &self.row.account.account, Timestamp::now(), seconds)
                    .await?;
                *none = Some(lease.ok_or(PullError::Busy)?);
                self.still_meant().await?;
            }
        }
        Ok(())
    }

    async fn save(&self, ledger: &mut Ledger) -> Result<(), PullError> {
        Ok(self.tools.store.ledgers.save(self.tenant, &self.row.account.account, ledger).await?)
    }

    /// Whether it is time to write down how far it came.
    fn out_of_time(&mut self) -> bool {
        self.more |= self.session.left().is_zero();
        self.more
    }

    /// Records how the account fares, and for the scheduler when mail arrived.
    async fn record(&self, result: &Result<(), PullError>, before: &AccountStatus) -> Result<(), PullError> {
        let verdict;
        let fortune = match result {
            Err(PullError::SignIn(SignInError::Mail(error))) => {
                verdict = error.verdict(0);
                Fortune::Failed(Side::Receive, &verdict)
            }
            Err(_) => return Ok(()),
            Ok(_) if self.changed => Fortune::Pulled,
            Ok(_) if fortunes::is_well(before, Side::Receive) => return Ok(()),
            Ok(_) => Fortune::Entered(Side::Receive),
        };
        if !self.stored.is_empty() && self.row.account.poll.enabled {
            self.tools.store.polls.arrived(self.tenant, &self.row.account.account, self.now).await?;
        }
        fortunes::record(self.tools, self.tenant, self.row, fortune, self.now).await?;
        Ok(())
    }
}

/// Renews a lease until it is lost; says so then.
async fn beat(tools: &Tools, mut lease: Lease) -> PullError {
    let seconds = tools.settings.lease_seconds;
    loop {
        tokio::time::sleep(Duration::from_secs(seconds.into()) / 2).await;
        match tools.store.leases.renew(&mut lease, Timestamp::now(), seconds).await {
            Ok(()) => {}
            Err(error) if error.is_conflict() => return error.into(),
            Err(error) => tracing::debug!(%error, "the lease was not renewed; tried again"),
        }
    }
}
