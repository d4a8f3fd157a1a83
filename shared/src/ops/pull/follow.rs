//! What has become of messages that are stored: other flags, or gone.
//!
//! With CONDSTORE (RFC 7162 §3.1) STATUS says whether anything has changed, and FETCH what; with QRESYNC (§3.2) also
//! what is gone. Elsewhere what was noted is compared with what is there: [`super::sheet`].

use super::folder::Folder;
use super::lost::{self, Missing, same_flags};
use super::{PullError, Run};
use crate::mail::BoxedStream;
use crate::mail::imap::Client;
use crate::model::MessageId;
use crate::store::Position;

/// Rows that are read at once.
const ROWS: usize = 500;

impl Folder {
    /// Follows what has changed since the last completed run.
    pub(super) async fn follow(
        &mut self,
        run: &mut Run<'_>,
        client: &mut Client<BoxedStream>,
    ) -> Result<(), PullError> {
        let Position::Imap { uidnext, messages, last, modseq, .. } = self.ledger.position else {
            return Ok(());
        };
        if last == 0 {
            return Ok(());
        }
        let mut changes = self.compare(run, client, (uidnext, messages), last).await?;
        match modseq.zip(self.status.highest_mod_seq) {
            Some((then, now)) if then == now && client.tells_vanished() => {}
            Some((then, _)) => {
                let told = client.changed_since(last, then).await?;
                changes.flags.extend(told.flags);
                changes.vanished.extend(told.vanished);
            }
            None => {}
        }
        self.note_flags(run, changes.flags).await?;
        self.miss(run, &changes.vanished).await
    }

    /// Writes flags that are other than stored.
    async fn note_flags(&self, run: &mut Run<'_>, flags: Vec<(u32, Vec<String>)>) -> Result<(), PullError> {
        for some in flags.chunks(ROWS) {
            let places: Vec<MessageId> = some.iter().map(|(uid, _)| self.id(run, *uid)).collect();
            let rows = run.tools.store.messages.at(run.tenant, &places).await?;
            let changed = some
                .iter()
                .zip(&places)
                .filter_map(|((_, flags), place)| {
                    let row = rows.get(place)?;
                    (!same_flags(&row.message.flags, flags)).then(|| (row.standing.id.clone(), flags.clone()))
                })
                .collect();
            lost::flag(run, changed).await?;
        }
        Ok(())
    }

    /// Notes the messages that stood under these UIDs as missing.
    async fn miss(&self, run: &mut Run<'_>, vanished: &[u32]) -> Result<(), PullError> {
        for some in vanished.chunks(ROWS) {
            let places: Vec<MessageId> = some.iter().map(|uid| self.id(run, *uid)).collect();
            let mut rows = run.tools.store.messages.at(run.tenant, &places).await?;
            for placed in places.iter().filter_map(|place| rows.remove(place)) {
                // What this account deletes itself is no loss, and nothing that comes can be it.
                if run.may_delete(&self.ledger, &placed.standing.known()) {
                    continue;
                }
                run.lost.add(Missing::of(placed, Some(self.number), false));
            }
        }
        Ok(())
    }
}
