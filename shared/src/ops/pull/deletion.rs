//! What is deleted at the server, and when (decision 12): only what an earlier completed run stored.

use std::sync::atomic::Ordering;

use super::Run;
use crate::model::{Receive, Timestamp};
use crate::store::{Known, Ledger};

const DAY: i64 = 86_400;

impl Run<'_> {
    /// Whether anything is ever deleted at the server.
    pub(super) fn deletes(&self) -> bool {
        !self.receive.keep_on_server
            || self.receive.delete_after_days.is_some()
            || self.receive.delete_when_acknowledged
    }

    /// What was stored by then is old enough, where mail has to age.
    fn aged(&self) -> Option<Timestamp> {
        self.receive.delete_after_days.map(|days| self.now.plus_seconds(-i64::from(days) * DAY))
    }

    /// Whether a stored message may be deleted at the server.
    pub(super) fn may_delete(&self, ledger: &Ledger, row: &Known) -> bool {
        let Receive { keep_on_server, delete_when_acknowledged, .. } = *self.receive;
        let aged = self.aged().is_some_and(|aged| row.stored_at <= aged);
        let wanted = !keep_on_server || aged || (delete_when_acknowledged && row.acknowledged);
        let safe = row.run <= ledger.run;
        if wanted && !safe && row.run != u64::MAX {
            self.held_back.store(true, Ordering::Relaxed);
        }
        wanted && safe
    }

    /// Notes in the ledger what is about to be deleted, by the settings of this run: others may follow.
    pub(super) fn note_deletion(&self, ledger: &mut Ledger) {
        if self.receive.keep_on_server {
            ledger.deleted.picked = ledger.run;
            ledger.deleted.aged = ledger.deleted.aged.max(self.aged());
        } else {
            ledger.deleted.all = ledger.run;
        }
    }

    /// Whether deleting is due: after each completed run that has stored something, once a day where mail has to age,
    /// and when something was acknowledged since the last time.
    pub(super) fn sweep_is_due(&self, ledger: &Ledger) -> bool {
        let since = |at: Timestamp| ledger.swept_at.is_none_or(|last| last <= at);
        let Receive { keep_on_server, delete_after_days, delete_when_acknowledged, .. } = *self.receive;
        if !keep_on_server {
            return ledger.swept_run < ledger.run;
        }
        let aged = delete_after_days.is_some() && since(self.now.plus_seconds(-DAY));
        let acknowledged = delete_when_acknowledged && self.acknowledged_at.is_some_and(since);
        ledger.run > 0 && (aged || acknowledged)
    }

    /// Notes in the ledger that what may be deleted was.
    pub(super) fn swept(&self, ledger: &mut Ledger) {
        ledger.swept_run = ledger.run;
        if !self.held_back.load(Ordering::Relaxed) {
            ledger.swept_at = Some(self.now);
        }
    }
}
