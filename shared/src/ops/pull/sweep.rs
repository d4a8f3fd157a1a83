//! Deleting at the server what is stored (decision 12).

use std::collections::HashMap;

use super::folder::{Folder, is_final_no};
use super::{PullError, Run, SignInError};
use crate::mail::BoxedStream;
use crate::mail::imap::Client;
use crate::model::MessageId;
use crate::store::Known;

/// Messages that are deleted by one command.
const DELETE_BATCH: usize = 500;

impl Folder {
    /// A server that will not have its mail deleted (a folder for reading only, a right that is missing) still gives
    /// it: new mail comes before tidiness.
    pub(super) async fn sweep_or_go_on(
        &self,
        run: &mut Run<'_>,
        client: &mut Client<BoxedStream>,
    ) -> Result<u32, PullError> {
        match self.sweep(run, client).await {
            Err(PullError::SignIn(SignInError::Mail(error))) if is_final_no(&error) => {
                tracing::warn!(%error, "the server does not delete; tried again behind the next arrival");
                Ok(0)
            }
            other => other,
        }
    }

    /// Deletes at the server what an earlier completed run stored, and only where its row is really there.
    /// Returns how many are gone.
    async fn sweep(&self, run: &mut Run<'_>, client: &mut Client<BoxedStream>) -> Result<u32, PullError> {
        let mut gone = 0;
        let uids: Vec<u32> = client.search_uids(1).await?.into_iter().filter(|uid| *uid <= self.safe).collect();
        for batch in uids.chunks(DELETE_BATCH) {
            let ids: Vec<_> = batch.iter().map(|uid| self.id(run, *uid)).collect();
            let known: HashMap<MessageId, Known> = run.tools.store.messages.known(run.tenant, &ids).await?;
            let deletable =
                |id: &MessageId| known.get(id).is_some_and(|row| self.is_ours_to_delete(run, row.run, row.stored_at));
            let doomed: Vec<u32> =
                batch.iter().zip(&ids).filter(|(_, id)| deletable(id)).map(|(uid, _)| *uid).collect();
            if doomed.is_empty() {
                continue;
            }
            // Whoever lost the lease must not delete.
            run.hold().await?;
            client.uid_store_deleted(&doomed).await?;
            // RFC 4315 §2.1: never a plain EXPUNGE, which removes what others have marked as well.
            if client.uid_expunge(&doomed).await? {
                gone += u32::try_from(doomed.len()).unwrap_or(u32::MAX);
            } else {
                tracing::warn!("the server has no UIDPLUS: mail is marked \\Deleted and left to it");
            }
            run.changed = true;
        }
        Ok(gone)
    }
}
