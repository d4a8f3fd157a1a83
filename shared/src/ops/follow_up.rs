//! What follows on a message that has left, at the account's own mailbox: its doubt is resolved ([`super::resolve`]),
//! its copy is put into the Sent folder ([`super::sent_copy`]), the message that it answers is marked
//! ([`super::mark`]).
//!
//! It never delays or endangers the result: that is written first, together with what follows and when that is due.
//! So nothing is forgotten by a crash, and it costs no item of its own: the message's row stays in the due index until
//! all is done. Somebody who waits for the answer gets it at once, and a job does the rest; a job that has delivered
//! messages does what follows on them at its end, over one IMAP session, under the claim that their results brought.
//!
//! It costs a write where a job sent the message, two where somebody waited for the answer, none where nothing follows.
//!
//! Each step can be repeated: whoever dies on the way is followed by somebody who looks first.

use std::time::Duration;

use super::sign_in::{self, Receiver, SignInError};
use super::{Tools, mark, resolve, sent_copy};
use crate::mail::imap::{self, Folder};
use crate::mail::{self, BoxedStream, Deadline};
use crate::model::follow_up::{CopyState, MarkState, Resolution, ResolutionState};
use crate::model::{Account, MessageId, Protocol, SendState, Tenant, Timestamp};
use crate::settings::Settings;
use crate::store::{AccountRow, Outcome, OutgoingRow, StoreError};

/// Tries of a copy and a mark: at once, then after the first pauses between delivery attempts.
const TRIES: u32 = 4;

/// Time that must be left to begin with one more message.
const LEAST_TIME: Duration = Duration::from_secs(60);

/// Adds to the outcome of an attempt what follows on it. `claimed_until`: who writes it will see to that itself.
pub fn plan(
    account: Option<&Account>,
    row: &OutgoingRow,
    outcome: &mut Outcome,
    doubt: Option<Resolution>,
    settings: &Settings,
    claimed_until: Option<Timestamp>,
    now: Timestamp,
) {
    let is_new = doubt.is_some();
    outcome.after.resolution = doubt.or(outcome.after.resolution.take());
    match outcome.state {
        SendState::Unknown if is_new && is_searching(outcome.after.resolution.as_ref()) => {
            outcome.follow_up = Some(0);
            outcome.due = Some(now.plus_seconds(pause(settings, 0)));
        }
        SendState::Sent | SendState::Partial => {
            let copy = outcome.after.copy.take();
            outcome.after.copy = copy.or_else(|| sent_copy::plan(account?, row.sent_copy));
            let pending = is_pending_copy(outcome) || is_pending_mark(outcome);
            outcome.follow_up = pending.then_some(0);
            outcome.due = pending.then_some(claimed_until.unwrap_or(now));
        }
        _ => {}
    }
}

/// When a message whose copy is to be looked for, or whose last try failed, has its next turn.
pub fn pause(settings: &Settings, tries: u32) -> i64 {
    let steps = &settings.backoff_seconds;
    let index = usize::try_from(tries).unwrap_or(usize::MAX);
    i64::from(steps.get(index).or(steps.last()).copied().unwrap_or(60))
}

/// How long a claim on what follows lasts: for signing in and a few slow commands.
pub fn claim_seconds(settings: &Settings) -> i64 {
    i64::try_from((settings.connect + settings.reply * 5).as_secs()).unwrap_or(i64::MAX)
}

fn is_pending_copy(outcome: &Outcome) -> bool {
    outcome.after.copy.as_ref().is_some_and(|copy| copy.state == CopyState::Pending)
}

fn is_pending_mark(outcome: &Outcome) -> bool {
    outcome.after.mark.as_ref().is_some_and(|mark| mark.state == MarkState::Pending)
}

fn is_searching(resolution: Option<&Resolution>) -> bool {
    resolution.is_some_and(|resolution| resolution.state == ResolutionState::Searching)
}

/// Why a step failed, in words for people; `lasting`: it is no use to try again.
#[derive(Debug)]
pub(super) struct Setback {
    pub(super) words: String,
    pub(super) lasting: bool,
}

impl Setback {
    pub(super) fn lasting(words: impl Into<String>) -> Self {
        Self { words: words.into(), lasting: true }
    }
}

impl From<mail::Error> for Setback {
    fn from(error: mail::Error) -> Self {
        Self { words: error.detail, lasting: false }
    }
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        Self { words: error.to_string(), lasting: false }
    }
}

impl From<SignInError> for Setback {
    fn from(error: SignInError) -> Self {
        match error.verdict(0) {
            Ok(verdict) => Self { words: verdict.message, lasting: false },
            Err(error) => error.into(),
        }
    }
}

/// The messages of one account on which something follows.
pub struct FollowUps<'a> {
    mailbox: Mailbox<'a>,
    /// Claimed with their results.
    ours: Vec<OutgoingRow>,
    /// To be claimed.
    others: Vec<(MessageId, Option<Timestamp>)>,
}

impl<'a> FollowUps<'a> {
    /// None yet; connects to nothing.
    pub fn new(tools: &'a Tools, tenant: &'a Tenant, account: &'a AccountRow) -> Self {
        let session = Session::Unopened;
        Self { mailbox: Mailbox { tools, tenant, account, session }, ours: Vec::new(), others: Vec::new() }
    }

    /// Adds a message whose result was written with [`plan`] under a claim of ours.
    pub fn ours(&mut self, row: OutgoingRow) {
        if row.follow_up.is_some() && matches!(row.state, SendState::Sent | SendState::Partial) {
            self.ours.push(row);
        }
    }

    /// Adds a message that may be due for what follows; `handed`: what whoever is handed it on has to show.
    pub fn maybe(&mut self, row: OutgoingRow, handed: Option<Timestamp>) {
        if row.follow_up.is_some() {
            self.others.push((row.id, handed));
        }
    }

    /// Does what follows, as far as time allows; what is left stays due, and the schedule finds it.
    pub async fn carry(mut self, deadline: Deadline) -> Result<(), StoreError> {
        let claim = claim_seconds(&self.mailbox.tools.settings);
        let outbox = &self.mailbox.tools.store.outbox;
        for row in std::mem::take(&mut self.ours) {
            let left = row.due.map_or(0, |due| due.seconds() - Timestamp::now().seconds());
            // Near its end somebody else may begin: it is theirs then.
            if left > claim / 3 && deadline.left() > LEAST_TIME {
                self.mailbox.follow(row, deadline).await?;
            }
        }
        for (id, handed) in std::mem::take(&mut self.others) {
            if deadline.left() <= LEAST_TIME {
                break;
            }
            let now = Timestamp::now();
            let until = now.plus_seconds(claim);
            if let Some(row) = outbox.take_follow_up(self.mailbox.tenant, &id, handed, now, until).await? {
                self.mailbox.follow(row, deadline).await?;
            }
        }
        self.mailbox.leave().await;
        Ok(())
    }
}

/// Ends what follows on a message whose account is gone: there is no mailbox any more.
pub async fn abandon(
    tools: &Tools,
    tenant: &Tenant,
    row: &OutgoingRow,
    handed: Option<Timestamp>,
) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let until = now.plus_seconds(claim_seconds(&tools.settings));
    if row.follow_up.is_none() {
        return Ok(());
    }
    let Some(mut row) = tools.store.outbox.take_follow_up(tenant, &row.id, handed, now, until).await? else {
        return Ok(());
    };
    let gone = Some("the account was deleted".to_owned());
    if let Some(copy) = row.after.copy.as_mut().filter(|copy| copy.state == CopyState::Pending) {
        (copy.state, copy.error) = (CopyState::Failed, gone.clone());
    }
    if let Some(mark) = row.after.mark.as_mut().filter(|mark| mark.state == MarkState::Pending) {
        (mark.state, mark.error) = (MarkState::Failed, gone);
    }
    resolve::abandon(&mut row, &tools.settings, now);
    row.follow_up = None;
    row.due = Some(now);
    match tools.store.outbox.settle_follow_up(tenant, &row).await {
        Err(error) if error.is_conflict() => Ok(()),
        other => other,
    }
}

/// The account's own mailbox, opened when somebody needs it.
pub(super) struct Mailbox<'a> {
    pub(super) tools: &'a Tools,
    pub(super) tenant: &'a Tenant,
    pub(super) account: &'a AccountRow,
    session: Session,
}

/// An open mailbox.
pub(super) struct Open {
    pub(super) client: imap::Client<BoxedStream>,
    pub(super) folders: Vec<Folder>,
}

enum Session {
    Unopened,
    Open(Box<Open>),
    /// One failure to sign in is enough for all messages of a job.
    Refused(String),
}

impl Mailbox<'_> {
    /// Does what follows on one message that is claimed, and writes it down.
    async fn follow(&mut self, mut row: OutgoingRow, deadline: Deadline) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let left = row.due.map_or(0, |due| due.seconds() - now.seconds());
        let deadline = deadline.or_after(Duration::from_secs(u64::try_from(left).unwrap_or_default()));
        let mut tries = row.follow_up.unwrap_or_default() + 1;
        let mut again = false;
        if row.state == SendState::Unknown && is_searching(row.after.resolution.as_ref()) {
            again = resolve::step(self, &mut row, tries, deadline).await;
            // What follows on a message that was sent after all has its own tries.
            tries = if again { tries } else { 1 };
        }
        if matches!(row.state, SendState::Sent | SendState::Partial) {
            again |= self.copy(&mut row, tries, deadline).await;
            again |= self.mark(&mut row, tries, deadline).await;
        }
        let settings = &self.tools.settings;
        row.follow_up = again.then_some(tries);
        if again {
            let step = if row.state == SendState::Unknown { tries } else { tries - 1 };
            row.due = Some(Timestamp::now().plus_seconds(pause(settings, step)));
        } else if row.state == SendState::Deferred {
            row.due = Some(Timestamp::now());
        }
        match self.tools.store.outbox.settle_follow_up(self.tenant, &row).await {
            Err(error) if error.is_conflict() => Ok(()),
            other => other,
        }
    }

    /// The copy, if it is still to be made; true: it has to be tried again.
    async fn copy(&mut self, row: &mut OutgoingRow, tries: u32, deadline: Deadline) -> bool {
        if row.after.copy.as_ref().is_none_or(|copy| copy.state != CopyState::Pending) {
            return false;
        }
        match sent_copy::make(self, row, deadline).await {
            Ok(copy) => {
                row.after.copy = Some(copy);
                false
            }
            Err(setback) => {
                let over = setback.lasting || tries >= TRIES;
                tracing::warn!(id = %row.id, tries, over, reason = %setback.words, "no copy in the Sent folder");
                if let Some(copy) = &mut row.after.copy {
                    copy.error = Some(setback.words);
                    copy.state = if over { CopyState::Failed } else { CopyState::Pending };
                }
                !over
            }
        }
    }

    /// The mark, if it is still to be set; true: it has to be tried again.
    async fn mark(&mut self, row: &mut OutgoingRow, tries: u32, deadline: Deadline) -> bool {
        let Some(mut mark) = row.after.mark.clone().filter(|mark| mark.state == MarkState::Pending) else {
            return false;
        };
        let over = match mark::set(self, &mark, deadline).await {
            Ok(()) => {
                (mark.state, mark.error) = (MarkState::Set, None);
                true
            }
            Err(setback) => {
                let over = setback.lasting || tries >= TRIES;
                tracing::warn!(id = %row.id, tries, over, reason = %setback.words, "the referenced message is unmarked");
                mark.error = Some(setback.words);
                mark.state = if over { MarkState::Failed } else { MarkState::Pending };
                over
            }
        };
        row.after.mark = Some(mark);
        !over
    }

    /// The account's IMAP session, signed in and with the list of its folders.
    pub(super) async fn open(&mut self, deadline: Deadline) -> Result<&mut Open, Setback> {
        if matches!(self.session, Session::Unopened) {
            self.session = match self.sign_in(deadline).await {
                Ok(open) => Session::Open(Box::new(open)),
                Err(setback) if setback.lasting => return Err(setback),
                Err(setback) => Session::Refused(setback.words),
            };
        }
        match &mut self.session {
            Session::Open(open) => {
                open.client.set_deadline(deadline);
                Ok(open)
            }
            Session::Refused(words) => Err(Setback { words: words.clone(), lasting: false }),
            Session::Unopened => Err(Setback::lasting("the mailbox is not open")),
        }
    }

    /// Whether the account reads its mailbox by IMAP.
    pub(super) fn has_imap(&self) -> bool {
        has_imap(&self.account.account)
    }

    /// A dialogue failed: NO and BAD leave the session usable, everything else ends it.
    pub(super) fn failed(&mut self, error: mail::Error) -> Setback {
        if error.refusal.is_none() {
            self.session = Session::Unopened;
        }
        error.into()
    }

    async fn sign_in(&self, deadline: Deadline) -> Result<Open, Setback> {
        if !self.has_imap() {
            return Err(Setback::lasting("the account has no IMAP mailbox"));
        }
        match sign_in::admitted(self.tools, self.tenant, self.account, deadline).await? {
            Receiver::Imap(mut client) => {
                let folders = client.list_folders().await?;
                Ok(Open { client, folders })
            }
            Receiver::Pop3(_) => Err(Setback::lasting("the account has no IMAP mailbox")),
        }
    }

    async fn leave(self) {
        if let Session::Open(open) = self.session {
            // The session has served its purpose: how LOGOUT fares changes nothing.
            let _ = open.client.logout().await;
        }
    }
}

/// Whether an account reads its mailbox by IMAP.
pub(super) fn has_imap(account: &Account) -> bool {
    account.receive.as_ref().is_some_and(|receive| receive.protocol == Protocol::Imap)
}
