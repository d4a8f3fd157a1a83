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
//! unparsed and marked `quarantined`.

mod contents;
mod folder;
pub(in crate::ops) mod folders;
mod follow;
mod keep;
mod lost;
mod maildrop;
mod renumbered;
mod spool;
mod threads;

pub use keep::FILE_BYTES;

use std::future::Future;
use std::time::{Duration, Instant};

use super::sign_in::{self, Receiver, SignInError};
use super::{Tools, fortunes, fortunes::Fortune, risks, search};
use crate::mail::{self, Deadline};
use crate::model::poll::Rhythm;
use crate::model::views::{Pulled, PulledFolder};
use crate::model::{Code, MessageId, ProbeCode, Problem, Receive, Tenant, Timestamp};
use crate::store::{AccountRow, AccountStatus, Lease, Ledger, PullJob, Side, StoreError};

/// Messages between two notes in the ledger: what a crash makes the next run look at again.
const WINDOW: usize = 200;

/// After this many runs that died with the same message under way, it is stored unparsed.
const TRIES: u32 = 3;

/// Why a pull ended early. What was stored until then is stored.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// There is nothing to pull: the account only sends.
    #[error("the account has no receiving side")]
    NotReceiving,
    /// Another run holds the lease.
    #[error("this mailbox is being pulled right now")]
    Busy,
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
            PullError::Busy => {
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
    lease: Option<Lease>,
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
    pull_for(Asker::Caller, tools, tenant, row, deadline, now).await
}

/// For whom a run is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker {
    /// Somebody who waits some seconds: a worker has more time for the rest.
    Caller,
    /// The queue: a rest is queued again only behind progress, or one slow message would come round for ever.
    Queue,
}

async fn pull_for(
    asker: Asker,
    tools: &Tools,
    tenant: &Tenant,
    row: &AccountRow,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Pulled, PullError> {
    let started = Instant::now();
    let receive = row.account.receive.as_ref().ok_or(PullError::NotReceiving)?;
    let before = match fortunes::admit(tools, tenant, &row.account.account, Side::Receive, now).await? {
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
        lease: None,
        folders: Vec::new(),
        at: 0,
        lost: lost::Lost::default(),
        stored: Vec::new(),
        more: false,
        changed: false,
        advanced: false,
        compact: false,
    };
    let result = run.all_folders(&before).await;
    let result = run.forgive_own_time(asker, result);
    run.settle().await;
    run.release().await;
    run.record(&result, &before).await?;
    result?;
    if run.more && (asker == Asker::Caller || run.advanced) {
        let job = PullJob { tenant: tenant.clone(), account: row.account.account.clone(), tick: now, asked: true };
        tools.store.queues.enqueue_pull(&[job]).await?;
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

/// Pulls the mailbox of one job. That the mailbox cannot be reached is no failure of the job: the account's status says
/// so, and the schedule comes back.
pub async fn work(tools: &Tools, job: &PullJob, deadline: Deadline) -> Result<(), StoreError> {
    // What the schedule asks for happens at the time of its tick (decision 28).
    let now = if job.asked { Timestamp::now() } else { job.tick };
    let Some(row) = tools.store.accounts.get(&job.tenant, &job.account).await? else {
        // Deleted while a PUT was under way: without this its mailbox would be asked for at every tick, for ever.
        return tools.store.polls.remove(&job.tenant, &job.account).await;
    };
    if !job.asked && is_stale(tools, job, &row, Timestamp::now()) {
        return Ok(());
    }
    match pull_for(Asker::Queue, tools, &job.tenant, &row, deadline, now).await {
        Ok(pulled) if pulled.new > 0 => {
            tracing::info!(new = pulled.new, more = pulled.more, ms = pulled.duration_ms, "pulled")
        }
        Ok(_) | Err(PullError::Busy | PullError::NotReceiving) => {}
        Err(PullError::SignIn(SignInError::Store(error)) | PullError::Store(error)) => return Err(error),
        Err(PullError::SignIn(error)) => tracing::warn!(%error, "the mailbox could not be pulled"),
    }
    Ok(())
}

/// Whether a later tick has been sent meanwhile, or polling was switched off.
fn is_stale(tools: &Tools, job: &PullJob, row: &AccountRow, now: Timestamp) -> bool {
    let rhythm =
        Rhythm { poll: row.account.poll, tick_seconds: tools.settings.tick_seconds, last_arrival: None, hash: 0 };
    !row.account.poll.enabled || rhythm.is_stale(job.tick, now)
}

impl Run<'_> {
    async fn all_folders(&mut self, known: &AccountStatus) -> Result<(), PullError> {
        let connecting = self.session.or_after(self.tools.settings.connect + self.tools.settings.reply);
        let receiver = sign_in::receiver(self.tools, self.tenant, self.row, connecting, self.now).await?;
        risks::notice(self.tools, self.tenant, self.row, Side::Receive, known, receiver.tls()).await;
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

    /// Our own time was up in the middle of a window: that says nothing about the server. What came is stored, and the
    /// rest is another run's.
    fn forgive_own_time(&mut self, asker: Asker, result: Result<(), PullError>) -> Result<(), PullError> {
        let worth_it = self.advanced || (asker == Asker::Caller && !self.folders.is_empty());
        match result {
            Err(PullError::SignIn(SignInError::Mail(error)))
                if error.code == ProbeCode::Timeout && worth_it && self.session.left().is_zero() =>
            {
                self.more = true;
                Ok(())
            }
            other => other,
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
    async fn release(&mut self) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        if let Err(error) = self.tools.store.leases.release(lease).await {
            tracing::debug!(%error, "the lease was not given back; it runs over");
        }
    }

    /// Begins the account of a folder.
    fn enter(&mut self, name: &str, total: u32) {
        self.at = self.folders.len();
        self.folders.push(PulledFolder { folder: name.to_owned(), new: 0, total, reset: false, error: None });
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

    /// Takes the lease, once, when there is news.
    async fn hold(&mut self) -> Result<(), PullError> {
        self.settle().await;
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

    /// Whether stored mail of this age may be deleted at the server (decision 12).
    fn may_delete(&self, stored_at: Timestamp) -> bool {
        match (self.receive.keep_on_server, self.receive.delete_after_days) {
            (false, _) => true,
            (true, Some(days)) => stored_at.plus_seconds(i64::from(days) * 86_400) <= self.now,
            (true, None) => false,
        }
    }

    /// Whether deleting is due: after each completed run that has stored something, or once a day where mail has to age.
    fn sweep_is_due(&self, ledger: &Ledger) -> bool {
        match (self.receive.keep_on_server, self.receive.delete_after_days) {
            (false, _) => ledger.swept_run < ledger.run,
            (true, Some(_)) => {
                ledger.run > 0 && ledger.swept_at.is_none_or(|last| last.plus_seconds(86_400) <= self.now)
            }
            (true, None) => false,
        }
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
