//! What comes to a folder and may be stored already, though this run does not miss it: moved from a folder that was
//! looked at a moment before, or is looked at later; moved before this account would have deleted it there; or deleted
//! at the server a while ago, and back again.
//!
//! Moving and copying keep INTERNALDATE (RFC 3501 §6.4.7, RFC 6851 §3.3): so the mailbox's time line tells at the price
//! of one small query which rows it may be, and nothing is written for it when mail arrives. The server is asked whether
//! they are where they were. Which are not can be it, by the server's own name (EMAILID, RFC 8474) or byte for byte.
//! What is still where it was, was copied: a copy is a message of its own.
//!
//! Not found: a message that a client has put elsewhere with another INTERNALDATE (RFC 3501 §6.3.11, APPEND) in another
//! run than the one in which it was missed, and one that was deleted longer ago than [`REMEMBERED_DAYS`].

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::folder::{Folder, is_absent, is_final_no};
use super::keep::internal_date;
use super::lost::{Missing, ROWS_AT_A_TIME};
use super::{PullError, Run};
use crate::mail::BoxedStream;
use crate::mail::imap::places::are_names;
use crate::mail::imap::{Client, Listed};
use crate::model::{Receive, Timestamp};
use crate::store::keys::incoming_id;
use crate::store::{MessageKey, Placed, SourceId};

/// A message that comes back within this time is the one that was deleted: as long as most servers keep their Trash.
const REMEMBERED_DAYS: i64 = 30;

/// The clocks of server and service differ by no more than this, or a message that comes back counts as new.
const SKEW_SECONDS: i64 = 60;

impl Folder {
    /// Adds to what is missing whatever these may be. False: the folder was renumbered meanwhile.
    pub(super) async fn recall(
        &self,
        run: &mut Run<'_>,
        client: &mut Client<BoxedStream>,
        wanted: &[&Listed],
    ) -> Result<bool, PullError> {
        // All of a renumbered folder comes anew, and all of it is remembered.
        if self.ledger.epoch.is_some() {
            return Ok(true);
        }
        let dates = wanted.iter().filter_map(|message| internal_date(message.internal_date.as_deref()?));
        let old: BTreeSet<Timestamp> =
            dates.filter(|date| may_be_stored(run.receive, self.ledger.last_arrival, *date)).collect();
        let mut elsewhere: BTreeMap<String, Vec<(u32, u32, Placed)>> = BTreeMap::new();
        for placed in stored_at(run, old).await? {
            let folder = placed.message.folder.clone().unwrap_or_default();
            if run.lost.has(&placed.standing.id) {
                continue;
            }
            match placed.message.deleted_at {
                Some(at) if at < run.now.plus_seconds(-REMEMBERED_DAYS * 86_400) => {}
                Some(_) => run.lost.add(Missing::of(placed, None, true)),
                // What is gone from this very folder has been followed.
                None if folder == self.name => {}
                None => {
                    if let Some((uidvalidity, uid)) = stands_at(run, &folder, &placed) {
                        elsewhere.entry(folder).or_default().push((uidvalidity, uid, placed));
                    }
                }
            }
        }
        if elsewhere.is_empty() {
            return Ok(true);
        }
        for (folder, placed) in elsewhere {
            for placed in gone_from(client, &folder, placed).await? {
                run.lost.add(Missing::of(placed, None, true));
            }
        }
        self.reopen(run, client).await
    }
}

/// Whether a message of this INTERNALDATE may be stored: in another folder, or in this one before mail came to it last.
fn may_be_stored(receive: &Receive, last_arrival: Option<Timestamp>, date: Timestamp) -> bool {
    let several = receive.folders.len() > 1 || !are_names(&receive.folders);
    several || last_arrival.is_some_and(|last| date.plus_seconds(SKEW_SECONDS) < last)
}

async fn stored_at(run: &Run<'_>, dates: BTreeSet<Timestamp>) -> Result<Vec<Placed>, PullError> {
    let (messages, account) = (&run.tools.store.messages, &run.row.account.account);
    let rows = stream::iter(dates).map(|date| messages.received_at(run.tenant, account, date));
    let rows: Vec<Vec<Placed>> = rows.buffer_unordered(ROWS_AT_A_TIME).try_collect().await?;
    Ok(rows.into_iter().flatten().collect())
}

/// UIDVALIDITY and UID of a row in its folder; none where it was pulled from a folder of the same name elsewhere.
fn stands_at(run: &Run<'_>, folder: &str, placed: &Placed) -> Option<(u32, u32)> {
    let key = MessageKey::imap(&placed.standing.key)?;
    let source = SourceId::of(run.receive, folder);
    let place = incoming_id(run.tenant, &run.row.account.account, &source, &key);
    match key {
        MessageKey::Imap { uidvalidity, uid } if place == placed.standing.place => Some((uidvalidity, uid)),
        _ => None,
    }
}

/// Which of these are not in their folder any more. Those that are marked to be deleted have left it: so does a client
/// move that knows no MOVE (RFC 3501 §6.4.7, COPY and `\Deleted`).
async fn gone_from(
    client: &mut Client<BoxedStream>,
    folder: &str,
    placed: Vec<(u32, u32, Placed)>,
) -> Result<Vec<Placed>, PullError> {
    let uid_validity = match client.examine(folder).await {
        Ok(selected) => selected.uid_validity,
        // Renamed or removed, with all that was in it.
        Err(error) if is_absent(&error) => return Ok(placed.into_iter().map(|(.., placed)| placed).collect()),
        Err(error) if is_final_no(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let of_now = placed.into_iter().filter(|(uidvalidity, ..)| *uidvalidity == uid_validity);
    let (uids, placed): (Vec<u32>, Vec<Placed>) = of_now.map(|(_, uid, placed)| (uid, placed)).unzip();
    let is_left = |flags: &[String]| !flags.iter().any(|flag| flag.eq_ignore_ascii_case("\\Deleted"));
    let there: HashSet<u32> =
        client.flags_of(&uids).await?.into_iter().filter(|(_, flags)| is_left(flags)).map(|(uid, _)| uid).collect();
    Ok(uids.into_iter().zip(placed).filter(|(uid, _)| !there.contains(uid)).map(|(_, placed)| placed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_stored_is_looked_for() {
        let receive = |folders: &[&str]| -> Receive {
            serde_json::from_value(serde_json::json!({
                "protocol": "imap", "host": "imap.example.com", "port": 993, "security": "tls",
                "verifyCertificate": true, "auth": {"type": "none"}, "folders": folders, "keepOnServer": true,
                "deleteAfterDays": null, "maxMessageBytes": 1,
            }))
            .unwrap()
        };
        let at = |seconds: i64| Timestamp(seconds * 1000);
        let may =
            |folders: &[&str], last: Option<i64>, date: i64| may_be_stored(&receive(folders), last.map(at), at(date));
        assert!(!may(&["INBOX"], None, 5), "never pulled");
        assert!(!may(&["INBOX"], Some(1_000), 1_000) && !may(&["INBOX"], Some(1_000), 1_001), "it has just come");
        assert!(may(&["INBOX"], Some(1_000), 900), "older than what came last");
        assert!(may(&["INBOX", "Archive"], None, 5) && may(&["*"], Some(1), 5));
    }
}
