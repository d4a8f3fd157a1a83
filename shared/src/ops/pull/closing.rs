//! How a POP3 session ends: what may be deleted is, and only +OK to QUIT says so (RFC 1939 §6).
//!
//! **Order**: the ledger notes what may be deleted → DELE, QUIT → the ledger says how the maildrop was left. Whoever dies
//! between the last two leaves a ledger without a position, and the next run looks at every message that may be another
//! one than the one that was stored under its name: a server may give the names of deleted messages to the next ones.

use std::collections::HashSet;
use std::time::Duration;

use super::listed::{Listed, hash};
use super::maildrop::Maildrop;
use super::{PullError, Run};
use crate::mail::pop3::{Client, Committed, Stat};
use crate::mail::{BoxedStream, Deadline};
use crate::store::Position;

/// How long QUIT may take once the session's own time is up.
const GOODBYE: Duration = Duration::from_secs(2);

/// Most messages known by their content that are deleted in one run: their ids are noted in the ledger meanwhile.
const DELETED_BY_CONTENT: usize = 1_000;

impl Maildrop {
    /// Deletes what an earlier completed run stored, ends the session, and only then says so in the ledger.
    pub(super) async fn finish(
        mut self,
        run: &mut Run<'_>,
        mut client: Client<BoxedStream>,
        stat: Stat,
    ) -> Result<(), PullError> {
        if !run.more {
            // All was gone through: nothing is under suspicion any more.
            self.suspect = None;
        }
        // What was not given may be what is not settled.
        let known = !run.more && (self.ledger.deleting.is_empty() || self.refused.is_empty());
        let settled = known && self.settle(run).await?;
        let due = settled && run.sweep_is_due(&self.ledger);
        let (doomed, all) = if due { self.doomed(run) } else { (Vec::new(), false) };
        if !doomed.is_empty() {
            self.note_deletion(run, &doomed).await?;
            // Whoever lost the lease must not delete.
            run.hold().await?;
        }
        for message in &doomed {
            client.delete(message.number).await?;
        }
        if run.more {
            // The server's time is up; without QUIT some keep the maildrop locked, and the rest is another run's.
            client.set_deadline(Deadline::after(GOODBYE));
        }
        // Without +OK the next run lists and deletes again.
        match client.quit().await {
            Ok(Committed) => run.changed |= !doomed.is_empty(),
            Err(error) if doomed.is_empty() => tracing::debug!(code = ?error.code, "QUIT was not answered"),
            Err(error) => return Err(error.into()),
        }
        if settled {
            self.forget(run).await?;
        }
        self.close_window();
        if !run.more {
            self.completed(run, &doomed, stat, all);
        }
        run.save(&mut self.ledger).await
    }

    /// What may be deleted, and whether that is all of it.
    fn doomed(&self, run: &Run<'_>) -> (Vec<Listed>, bool) {
        let deletable = |message: &&Listed| {
            self.known.get(&message.number).is_some_and(|(_, row)| run.may_delete(&self.ledger, row))
        };
        let (mut by_content, mut all) = (0, true);
        let fits = |message: &&Listed| {
            by_content += usize::from(!message.unique);
            let fits = message.unique || by_content <= DELETED_BY_CONTENT;
            all &= fits;
            fits
        };
        (self.list.iter().filter(deletable).filter(fits).cloned().collect(), all)
    }

    /// Notes what is about to be deleted, before it is. Of messages without a name of their own each one counts: an equal
    /// one that arrives is another. And the list that is left is not the one that the ledger knows: whenever this process
    /// dies, nothing in it is taken for granted.
    async fn note_deletion(&mut self, run: &Run<'_>, doomed: &[Listed]) -> Result<(), PullError> {
        let id = |message: &Listed| Some(self.known.get(&message.number)?.0.clone());
        self.ledger.deleting = doomed.iter().filter(|message| !message.unique).filter_map(id).collect();
        run.note_deletion(&mut self.ledger);
        self.ledger.position.rewind();
        self.close_window();
        run.save(&mut self.ledger).await?;
        // POP3 tells count and octets alone: one that goes and another of its size that comes would look like quiet.
        if run.receive.keep_on_server && run.row.account.poll.enabled {
            run.tools.store.polls.unmark(run.tenant, &run.row.account.account).await?;
        }
        Ok(())
    }

    /// What became of messages without a name that an interrupted run was deleting. What is listed has been fetched by
    /// now: where one of them is missing QUIT took them all (RFC 1939 §6), and what is listed in their places is new: it
    /// is taken by another run. False: there is something like that.
    async fn settle(&mut self, run: &mut Run<'_>) -> Result<bool, PullError> {
        let taken = &self.identities.taken;
        let listed: HashSet<_> = self.ledger.deleting.iter().filter(|id| taken.contains(*id)).collect();
        let (some, every) = (!listed.is_empty(), listed.len() == self.ledger.deleting.len());
        if every {
            self.ledger.deleting.clear();
            return Ok(true);
        }
        self.forget(run).await?;
        run.more |= some;
        run.advanced |= some;
        Ok(!some)
    }

    /// Marks what was deleted as gone.
    async fn forget(&mut self, run: &Run<'_>) -> Result<(), PullError> {
        for id in &self.ledger.deleting {
            run.tools.store.messages.mark_gone(run.tenant, id).await?;
        }
        self.ledger.deleting.clear();
        Ok(())
    }

    fn completed(&mut self, run: &Run<'_>, doomed: &[Listed], stat: Stat, all: bool) {
        if run.sweep_is_due(&self.ledger) && all {
            run.swept(&mut self.ledger);
        }
        // Rows of an interrupted run carry the number of this one, so it counts if it, or that one, stored anything.
        let unfinished = self.known.values().any(|(_, row)| row.run != u64::MAX && row.run > self.ledger.run);
        if unfinished || !run.stored.is_empty() {
            self.ledger.run += 1;
            self.ledger.last_arrival = Some(run.now);
        }
        let gone: u64 = doomed.iter().map(|message| message.octets).sum();
        let numbers: HashSet<u32> = doomed.iter().map(|message| message.number).collect();
        self.list.retain(|message| !numbers.contains(&message.number));
        // Behind a message that is missing nothing counts, and the next run has to look again. What is not stored under
        // the name that it has in the list must be looked at again as well.
        let missing = self.list.iter().position(|message| self.refused.contains(&message.number));
        let nameless = self.list.iter().position(|message| !message.unique || self.elsewhere.contains(&message.number));
        let stored = &self.list[..missing.into_iter().chain(nameless).min().unwrap_or(self.list.len())];
        self.ledger.position = Position::Pop3 {
            count: if missing.is_none() { number(self.list.len()) } else { 0 },
            octets: stat.octets.saturating_sub(gone),
            prefix: number(stored.len()),
            prefix_hash: hash(stored).unwrap_or_default(),
        };
    }
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
