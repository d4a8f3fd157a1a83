//! What an end of the dialogue says of the server: nothing where our own time was up, or another run of ours has the
//! mailbox; and something of one message where the server does not get through with it: it falls silent in the middle,
//! takes longer than a whole invocation, or breaks a limit. After [`super::TRIES`] attempts in which nothing else was in
//! its way such a message is kept as `stalled`, with what came of its head; it stays on the server, and what is behind
//! it comes.

use super::keep::{Arrival, Keeper};
use super::{PullError, Run, SignInError};
use crate::mail::Refusal;
use crate::model::{ProbeCode, Timestamp};

impl Run<'_> {
    /// Our own time was up in the middle of a window: that says nothing about the server. What came is stored, and the
    /// rest is another run's.
    pub(super) fn forgive_own_time(&mut self, worth_it: bool, result: Result<(), PullError>) -> Result<(), PullError> {
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

    /// A POP3 mailbox that another run of ours has is busy: no trouble of the server, and nothing to tell the account's
    /// owner.
    pub(super) async fn know_own_session(&self, result: Result<(), PullError>) -> Result<(), PullError> {
        let refused = match &result {
            Err(PullError::SignIn(SignInError::Mail(error))) => error.refusal.as_ref(),
            _ => None,
        };
        if self.lease.is_some() || !refused.is_some_and(Refusal::is_in_use) {
            return result;
        }
        let leases = &self.tools.store.leases;
        if leases.is_held(self.tenant, &self.row.account.account, Timestamp::now()).await? {
            return Err(PullError::Busy);
        }
        result
    }

    /// Whether what ended the dialogue in the middle of a message speaks of that message. `undisturbed`: it had this run's
    /// time for itself. A connection that breaks says nothing, and neither does the end of a short run.
    pub(super) fn is_stuck(&self, error: &PullError, undisturbed: bool) -> bool {
        let PullError::SignIn(SignInError::Mail(error)) = error else { return false };
        match error.code {
            ProbeCode::Timeout if self.session.left().is_zero() => self.patient && undisturbed,
            ProbeCode::Timeout => true,
            ProbeCode::ProtocolError => error.refusal.is_none() && !error.is_broken_off(),
            _ => false,
        }
    }

    /// Keeps what came of a message that the server does not get through with. The session is of no use behind it: the
    /// rest is another run's.
    pub(super) async fn keep_stalled(&mut self, place: u32, arrival: Arrival) -> Result<(), PullError> {
        let mut keeper = Keeper::new(&self.tools.store, self.tenant, &self.row.account.account);
        keeper.keep(place, arrival).await;
        let (kept, failure) = keeper.finish().await;
        self.note(&kept);
        self.more = true;
        self.advanced = true;
        failure.map_or(Ok(()), |error| Err(error.into()))
    }
}
