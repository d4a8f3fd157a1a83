//! A folder whose UIDs have changed their meaning (UIDVALIDITY, RFC 3501 §2.3.1.1): every message in it stands by the
//! server's name of it (EMAILID, RFC 8474) for the row that is there; where the server has none, it is fetched once more
//! and stands for it by its content. An interrupted run is gone on with by the next one, until
//! the ledger's epoch is closed.

use std::collections::HashMap;

use super::folder::Folder;
use super::lost::Missing;
use super::{PullError, Run};
use crate::mail::imap::Listed;
use crate::model::MessageId;
use crate::store::keys::incoming_id;
use crate::store::{Known, MessageKey, Standing};

/// What is remembered of one message.
enum Memory {
    /// Under a UID of this epoch: an earlier run has found it again.
    Now(u32, Standing),
    /// Under a UID of another one.
    Then(u32, Missing),
}

impl Folder {
    /// Reads what is stored of this folder. All of it is missing until it is found again.
    pub(super) async fn remember(&mut self, run: &mut Run<'_>) -> Result<(), PullError> {
        let (tenant, account) = (run.tenant, &run.row.account.account);
        let (this, of) = (&*self, &*run);
        let remembered = of
            .tools
            .store
            .messages
            .in_folder(tenant, account, &self.ledger.folder, |placed| {
                let key = MessageKey::imap(&placed.standing.key)?;
                // Pulled from a folder of the same name elsewhere, it has nothing to do with this one.
                let place = incoming_id(tenant, account, &this.source, &key);
                let MessageKey::Imap { uidvalidity, uid } = key else { return None };
                if place != placed.standing.place {
                    return None;
                }
                if uidvalidity == this.uidvalidity {
                    return Some(Memory::Now(uid, placed.standing));
                }
                let by_design = of.may_delete(&this.ledger, &placed.standing.known());
                Some(Memory::Then(uid, Missing::of(placed, Some(this.number), by_design)))
            })
            .await?;
        let mut then = Vec::new();
        for memory in remembered {
            match memory {
                Memory::Now(uid, standing) => drop(self.found.insert(uid, standing)),
                Memory::Then(uid, missing) => then.push((uid, missing)),
            }
        }
        then.sort_by_key(|(uid, _)| *uid);
        then.into_iter().for_each(|(_, missing)| run.lost.add(missing));
        Ok(())
    }

    /// Writes the aliases that an interrupted run had no time for, and counts their messages as known.
    pub(super) async fn lead(
        &mut self,
        run: &Run<'_>,
        listed: &[Listed],
        ids: &[MessageId],
        known: &mut HashMap<MessageId, Known>,
    ) -> Result<(), PullError> {
        for (message, place) in listed.iter().zip(ids) {
            let Some(standing) = self.found.remove(&message.uid).filter(|_| !known.contains_key(place)) else {
                continue;
            };
            run.tools.store.messages.lead(run.tenant, &standing, place, self.ledger.run + 1).await?;
            known.insert(place.clone(), Known { run: self.ledger.run + 1, ..standing.known() });
        }
        Ok(())
    }
}
