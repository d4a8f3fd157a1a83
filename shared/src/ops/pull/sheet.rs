//! What changes in a folder whose server does not tell (no CONDSTORE, no QRESYNC: RFC 7162).
//!
//! Which messages are there and which of them have which flag is noted beside the ledger when a run is completed. The
//! next run that opens the folder has the server search for the same (RFC 3501 §6.4.4): a few lines, whatever the size of
//! the folder, and only what differs is read. A folder is opened when STATUS says something new: a message that came or
//! went, or another count of unread ones.
//!
//! **Promise**: a message that is gone, and `\Seen`, are seen by the next pull, unless one change hides another in the
//! counts; `\Answered`, `\Flagged`, `\Deleted` and keywords with the folder's next news of any kind. What no count tells
//! is seen within a day, because once a day the folder is opened all the same. Followed are [`KEYWORDS`] keywords, and
//! where flags are scattered over thousands of messages, the newest of these.

use std::collections::{BTreeMap, BTreeSet};

use super::folder::Folder;
use super::{PullError, Run};
use crate::mail::BoxedStream;
use crate::mail::imap::{Changes, Client, Flagging, Listed, Selected, Status};
use crate::model::Timestamp;
use crate::model::uids::UidSet;
use crate::store::{Ledger, Noted};

/// Keywords of one folder that are followed.
const KEYWORDS: usize = 8;

/// Where nothing was noted, flags of this many newest messages are read.
const FLAGS_FOLLOWED: usize = 200;

/// What no count tells is looked for after this time.
const LOOK_SECONDS: i64 = 86_400;

/// What is there in a folder, as this run finds it.
#[derive(Debug)]
pub(super) struct Sheet {
    searches: Vec<Flagging>,
    /// Up to where the ledger stood.
    stored: Option<Noted>,
    /// What is missing there.
    gone: Vec<u32>,
    /// What this run has gone through.
    come: Vec<u32>,
    found: BTreeMap<String, Vec<u32>>,
}

impl Sheet {
    /// `status` tells mod-sequences where flags need no searching.
    pub(super) fn of(status: &Status, selected: &Selected) -> Self {
        let mut searches = Vec::new();
        if status.highest_mod_seq.is_none() {
            let keywords = selected.flags.iter().filter(|flag| !flag.starts_with('\\'));
            let mut keywords: Vec<String> = keywords.cloned().collect();
            keywords.sort_unstable();
            searches = vec![Flagging::Unseen, Flagging::Answered, Flagging::Flagged, Flagging::Deleted];
            searches.extend(keywords.into_iter().take(KEYWORDS).map(Flagging::Keyword));
        }
        Self { searches, stored: None, gone: Vec::new(), come: Vec::new(), found: BTreeMap::new() }
    }

    /// Takes down a message that is stored now.
    pub(super) fn take_down(&mut self, message: &Listed) {
        self.come.push(message.uid);
        for search in self.searches.iter().filter(|search| search.finds(&message.flags)) {
            self.found.entry(search.to_string()).or_default().push(message.uid);
        }
    }

    /// All of it, where there is anything.
    fn whole(self) -> Option<Noted> {
        if self.stored.is_none() && self.come.is_empty() {
            return None;
        }
        let mut noted = self.stored.unwrap_or_default();
        noted.uids = noted.uids.iter().chain(self.come).collect();
        let mut found = self.found;
        for search in &self.searches {
            let stored = noted.found.entry(search.to_string()).or_default();
            let come = found.remove(&search.to_string()).unwrap_or_default();
            *stored = stored.iter().chain(come).collect();
        }
        Some(noted)
    }
}

/// Whether it is time to look for what no count tells.
pub(super) fn look_is_due(ledger: &Ledger, now: Timestamp) -> bool {
    ledger.compared_at.is_some_and(|last| last <= now.plus_seconds(-LOOK_SECONDS))
}

/// UIDs whose flags differ between what was noted and what the searches find now.
fn differing(noted: &Noted, now: &BTreeMap<String, UidSet>) -> BTreeSet<u32> {
    let none = UidSet::default();
    let words: BTreeSet<&String> = noted.found.keys().chain(now.keys()).collect();
    let of = |sets: &BTreeMap<String, UidSet>, words: &String| sets.get(words).unwrap_or(&none).clone();
    let pairs = words.into_iter().map(|words| (of(&noted.found, words), of(now, words)));
    let uids = pairs.flat_map(|(then, now)| then.differing(&now).collect::<Vec<_>>());
    uids.filter(|uid| *uid >= noted.from && noted.uids.contains(*uid)).collect()
}

impl Folder {
    /// Compares what was noted with what is there now, up to `last`. `counts`: UIDNEXT and MESSAGES as they were.
    pub(super) async fn compare(
        &mut self,
        run: &Run<'_>,
        client: &mut Client<BoxedStream>,
        (uidnext, messages): (u32, u32),
        last: u32,
    ) -> Result<Changes, PullError> {
        let Some(sheet) = &mut self.sheet else { return Ok(Changes::default()) };
        let (tenant, account) = (run.tenant, &run.row.account.account);
        let noted = run.tools.store.ledgers.noted(tenant, account, &self.source).await?;
        let come = self.status.uid_next.saturating_sub(uidnext);
        let none_gone = messages.checked_add(come) == Some(self.status.messages);
        let up_to_last = |uids: Vec<u32>| uids.into_iter().filter(|uid| *uid <= last).collect::<UidSet>();
        let uids = match &noted {
            Some(noted) if none_gone => noted.uids.clone(),
            _ => up_to_last(client.search_uids(1).await?),
        };
        let mut found = BTreeMap::new();
        for search in &sheet.searches {
            found.insert(search.to_string(), up_to_last(client.search_flag(search).await?));
        }
        let changed: Vec<u32> = match &noted {
            _ if sheet.searches.is_empty() => Vec::new(),
            Some(noted) if !noted.found.is_empty() => {
                differing(noted, &found).into_iter().filter(|uid| uids.contains(*uid)).collect()
            }
            _ => {
                let all: Vec<u32> = uids.iter().collect();
                all[all.len().saturating_sub(FLAGS_FOLLOWED)..].to_vec()
            }
        };
        let noted = noted.unwrap_or_default().uids;
        sheet.gone = noted.iter().filter(|uid| *uid <= last && !uids.contains(*uid)).collect();
        sheet.stored = Some(Noted { uids, found, from: 0 });
        Ok(Changes { flags: client.flags_of(&changed).await?, vanished: sheet.gone.clone() })
    }

    /// Notes what is there, where the server will not tell what of it is gone.
    pub(super) async fn note_sheet(&mut self, run: &Run<'_>) -> Result<(), PullError> {
        let sheet = self.sheet.take();
        let compares = sheet.as_ref().is_some_and(|sheet| !sheet.searches.is_empty());
        // Of a folder that is not compared any more, none is ever due again.
        self.ledger.compared_at = compares.then_some(run.now);
        match sheet {
            Some(sheet) => self.write_down(run, sheet).await,
            None => Ok(()),
        }
    }

    /// The same where a run ends early: what is missing has yet to be seen to, by the next one.
    pub(super) async fn note_unsettled_sheet(&mut self, run: &Run<'_>) -> Result<(), PullError> {
        // A folder that is gone through again has been noted before.
        match self.sheet.take() {
            Some(mut sheet) if sheet.stored.is_some() || self.ledger.run == 0 => {
                sheet.come.append(&mut sheet.gone);
                self.write_down(run, sheet).await
            }
            _ => Ok(()),
        }
    }

    async fn write_down(&self, run: &Run<'_>, sheet: Sheet) -> Result<(), PullError> {
        let Some(noted) = sheet.whole() else { return Ok(()) };
        run.tools.store.ledgers.note(run.tenant, &run.row.account.account, &self.source, &noted).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SourceId;

    fn sheet(searches: Vec<Flagging>) -> Sheet {
        Sheet { searches, stored: None, gone: Vec::new(), come: Vec::new(), found: BTreeMap::new() }
    }

    fn listed(uid: u32, flags: &[&str]) -> Listed {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Listed { uid, size: 1, flags, internal_date: None, email_id: None }
    }

    #[test]
    fn what_was_noted_and_what_is_found_differ_in_what_has_changed() {
        let searches = vec![Flagging::Unseen, Flagging::Flagged, Flagging::Keyword("$Label".to_owned())];
        let mut first = sheet(searches.clone());
        assert!(sheet(searches).whole().is_none(), "an empty folder is not noted");
        for (uid, flags) in [(1, &[][..]), (2, &["\\seen"]), (3, &["\\Seen", "\\Flagged"]), (4, &["$label"])] {
            first.take_down(&listed(uid, flags));
        }
        let noted = first.whole().unwrap();
        assert_eq!(noted.found["UNSEEN"], [1, 4].into_iter().collect());
        assert_eq!(noted.found["KEYWORD $Label"], [4].into_iter().collect());
        assert!(differing(&noted, &noted.found).is_empty());
        // 1 was read, 2 was flagged, 3 is no more, and nothing has the keyword now; 9 is new.
        let sets = [("UNSEEN", &[4, 9][..]), ("FLAGGED", &[2])];
        let now = sets.map(|(words, uids)| (words.to_owned(), uids.iter().copied().collect())).into_iter().collect();
        assert_eq!(differing(&noted, &now).into_iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(differing(&Noted { from: 3, ..noted }, &now).into_iter().collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn once_a_day_a_folder_is_opened_though_nothing_seems_to_have_happened() {
        let receive = serde_json::json!({
            "protocol": "imap", "host": "imap.example.com", "port": 993, "security": "tls", "verifyCertificate": true,
            "auth": {"type": "none"}, "folders": ["INBOX"], "keepOnServer": true, "deleteAfterDays": null,
            "maxMessageBytes": 1,
        });
        let mut ledger = Ledger::new(SourceId::of(&serde_json::from_value(receive).unwrap(), "INBOX"));
        let at = |seconds: i64| Timestamp(seconds * 1000);
        assert!(!look_is_due(&ledger, at(1_000_000)), "the server tells what has changed");
        ledger.compared_at = Some(at(1_000_000));
        assert!(!look_is_due(&ledger, at(1_086_399)) && look_is_due(&ledger, at(1_086_400)));
    }
}
