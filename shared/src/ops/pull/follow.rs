//! What has become of messages that are stored: other flags, or gone.
//!
//! With CONDSTORE (RFC 7162 §3.1) STATUS says whether anything has changed, and FETCH what; with QRESYNC (§3.2) also
//! what is gone. Elsewhere the counts of STATUS say so: where more messages are gone than came, the UIDs that were
//! noted are compared with those that are there; where UNSEEN is not what arrivals explain, the flags of the newest
//! messages are read.

use super::folder::Folder;
use super::lost::{self, Missing, likeness_of, same_flags};
use super::{PullError, Run};
use crate::mail::BoxedStream;
use crate::mail::imap::{Changes, Client};
use crate::model::MessageId;
use crate::model::uids::UidSet;
use crate::store::Position;

/// Without CONDSTORE, flags of this many newest messages are followed.
const FLAGS_FOLLOWED: usize = 200;

/// Rows that are read at once.
const ROWS: usize = 500;

impl Folder {
    /// Follows what has changed since the last completed run.
    pub(super) async fn follow(
        &mut self,
        run: &mut Run<'_>,
        client: &mut Client<BoxedStream>,
    ) -> Result<(), PullError> {
        let Position::Imap { uidnext, messages, last, unseen, modseq, .. } = self.ledger.position else {
            return Ok(());
        };
        if last == 0 {
            return Ok(());
        }
        let changes = match modseq.zip(self.status.highest_mod_seq) {
            Some((then, now)) if then == now && client.tells_vanished() => Changes::default(),
            Some((then, _)) => client.changed_since(last, then).await?,
            None => self.look_through(client, (uidnext, messages, unseen), last).await?,
        };
        let mut vanished = changes.vanished;
        if !client.tells_vanished() && run.receive.keep_on_server {
            vanished = self.compare(run, client, (uidnext, messages), last).await?;
        }
        self.note_flags(run, changes.flags).await?;
        self.miss(run, &vanished).await
    }

    /// The flags of the newest messages, where the counts are not what arrivals explain.
    async fn look_through(
        &self,
        client: &mut Client<BoxedStream>,
        (uidnext, messages, unseen): (u32, u32, Option<u32>),
        last: u32,
    ) -> Result<Changes, PullError> {
        let come = self.status.uid_next.saturating_sub(uidnext);
        let explained = messages.checked_add(come) == Some(self.status.messages)
            && unseen.and_then(|unseen| unseen.checked_add(come)) == self.status.unseen;
        if explained {
            return Ok(Changes::default());
        }
        let stored: Vec<u32> = client.search_uids(1).await?.into_iter().filter(|uid| *uid <= last).collect();
        let Some(first) = stored.get(stored.len().saturating_sub(FLAGS_FOLLOWED)) else {
            return Ok(Changes::default());
        };
        Ok(Changes { flags: client.flags(*first, last).await?, vanished: Vec::new() })
    }

    /// The UIDs that were noted and are not there any more, where the count says that some must be.
    async fn compare(
        &mut self,
        run: &Run<'_>,
        client: &mut Client<BoxedStream>,
        (uidnext, messages): (u32, u32),
        last: u32,
    ) -> Result<Vec<u32>, PullError> {
        let (tenant, account) = (run.tenant, &run.row.account.account);
        let noted = run.tools.store.ledgers.uids(tenant, account, &self.source).await?;
        let come = self.status.uid_next.saturating_sub(uidnext);
        if noted.is_some() && messages.checked_add(come) == Some(self.status.messages) {
            self.uids = noted;
            return Ok(Vec::new());
        }
        let there: UidSet = client.search_uids(1).await?.into_iter().filter(|uid| *uid <= last).collect();
        let gone = noted.map(|noted| noted.iter().filter(|uid| *uid <= last && !there.contains(*uid)).collect());
        self.uids = Some(there);
        Ok(gone.unwrap_or_default())
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
                if self.is_ours_to_delete(run, placed.standing.run, placed.standing.stored_at) {
                    continue;
                }
                run.lost.add(likeness_of(&placed.message), Missing::of(placed, self.number, false));
            }
        }
        Ok(())
    }
}
