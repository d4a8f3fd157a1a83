//! Commands about the messages of the selected folder.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use imap_codec::imap_types::fetch::MacroOrMessageDataItemNames;
use imap_codec::imap_types::flag::{Flag, StoreResponse, StoreType};
use imap_codec::imap_types::mailbox::Mailbox;
use imap_codec::imap_types::search::SearchKey;
use imap_codec::imap_types::sequence::SequenceSet;

use super::fetch::Items;
use super::folders::{named, no_such_folder};
use super::search::Candidate;
use super::session::Outcome;
use super::view::{Named, View, contains};
use crate::server::Core;
use crate::store::Stored;
use crate::{Error, store::Folder};

/// The selected folder of a session.
pub(super) struct Selected<'a> {
    pub(super) core: &'a Core,
    pub(super) address: &'a str,
    pub(super) view: &'a mut View,
    /// FETCH asks for EMAILID.
    pub(super) email_id: bool,
}

impl Selected<'_> {
    /// The messages that a set names and that still exist.
    fn messages(&self, set: &SequenceSet, uid: bool) -> Vec<(Named, Stored)> {
        let named = self.view.named(set, uid).into_iter();
        named.filter_map(|named| Some((named, self.message(named.uid)?))).collect()
    }

    fn message(&self, uid: u32) -> Option<Stored> {
        self.core.store.message(self.address, self.view.folder, uid)
    }

    /// RFC 3501 §6.4.5 and §6.4.8; `since` and `vanished` RFC 7162 §3.1.4.1 and §3.2.6
    pub(super) fn fetch(
        &mut self,
        set: &SequenceSet,
        names: MacroOrMessageDataItemNames<'_>,
        uid: bool,
        since: Option<u64>,
        vanished: bool,
    ) -> Result<Outcome, Error> {
        let Some(items) = Items::new(names, uid, since.is_some(), self.email_id) else {
            return Ok(Outcome::new("NO [CANNOT] Whole messages, headers and texts only"));
        };
        let mut outcome = Outcome::new("OK Done");
        if let Some(since) = since.filter(|_| vanished && uid) {
            let mut gone = self.core.store.removed_since(self.address, self.view.folder, since);
            gone.retain(|uid| contains(set, *uid, NonZeroU32::MAX));
            if !gone.is_empty() {
                outcome = outcome.untagged(format!("VANISHED (EARLIER) {}", uid_set(&gone)));
            }
        }
        for (named, mut message) in self.messages(set, uid) {
            if since.is_some_and(|since| message.mod_seq <= since) {
                continue;
            }
            let marks = items.mark_seen() && !self.view.read_only && !message.flags.contains("\\Seen");
            if marks {
                message.flags.insert("\\Seen".to_owned());
                self.core.store.set_flags(self.address, self.view.folder, named.uid, message.flags.clone())?;
            }
            outcome.parts.push(items.response(named.number, &message, marks));
        }
        Ok(outcome)
    }

    /// RFC 3501 §6.4.4
    pub(super) fn search(&self, keys: &[SearchKey<'_>], uid: bool) -> Outcome {
        let mut found = String::from("SEARCH");
        for (number, message) in (1..).zip(&self.view.uids).filter_map(|(n, uid)| Some((n, self.message(*uid)?))) {
            let candidate = Candidate { number, message: &message, view: self.view };
            if keys.iter().all(|key| candidate.fits(key)) {
                found.push_str(&format!(" {}", if uid { message.uid as usize } else { number }));
            }
        }
        Outcome::new("OK Done").untagged(found)
    }

    /// RFC 3501 §6.4.6
    pub(super) fn store(
        &mut self,
        set: &SequenceSet,
        kind: StoreType,
        response: StoreResponse,
        flags: &[Flag<'_>],
        uid: bool,
    ) -> Result<Outcome, Error> {
        if self.view.read_only {
            return Ok(read_only());
        }
        let flags: BTreeSet<String> = flags.iter().map(ToString::to_string).collect();
        let mut outcome = Outcome::new("OK Done");
        for (named, message) in self.messages(set, uid) {
            let new: BTreeSet<String> = match kind {
                StoreType::Replace => flags.clone(),
                StoreType::Add => message.flags.union(&flags).cloned().collect(),
                StoreType::Remove => message.flags.difference(&flags).cloned().collect(),
            };
            self.core.store.set_flags(self.address, self.view.folder, named.uid, new.clone())?;
            if response == StoreResponse::Answer {
                let id = if uid { format!("UID {} ", named.uid) } else { String::new() };
                let flags = Vec::from_iter(new).join(" ");
                outcome = outcome.untagged(format!("{} FETCH ({id}FLAGS ({flags}))", named.number));
            }
        }
        Ok(outcome)
    }

    /// RFC 3501 §6.4.3, with a set RFC 4315 §2.1; the EXPUNGE responses come with the news.
    pub(super) fn expunge(&mut self, set: Option<&SequenceSet>) -> Result<Outcome, Error> {
        if self.view.read_only {
            return Ok(read_only());
        }
        let candidates = match set {
            Some(set) => self.view.named(set, true).iter().map(|named| named.uid).collect(),
            None => self.view.uids.clone(),
        };
        let deleted = |uid: &u32| self.message(*uid).is_some_and(|message| message.is_deleted());
        let uids: Vec<u32> = candidates.into_iter().filter(deleted).collect();
        self.core.store.remove(self.address, self.view.folder, &uids)?;
        Ok(Outcome::new("OK Done"))
    }

    /// RFC 3501 §6.4.7, with the response code of RFC 4315 §3.
    pub(super) fn copy(&mut self, set: &SequenceSet, mailbox: &Mailbox<'_>, uid: bool) -> Result<Outcome, Error> {
        let Some(folder) = named(mailbox) else {
            return Ok(Outcome::new("NO [TRYCREATE] No such folder"));
        };
        let (_, code) = self.copy_to(set, folder, uid)?;
        Ok(Outcome::new(format!("OK {code}Copied")))
    }

    /// RFC 6851 §3.1 and §4.3
    pub(super) fn r#move(&mut self, set: &SequenceSet, mailbox: &Mailbox<'_>, uid: bool) -> Result<Outcome, Error> {
        if self.view.read_only {
            return Ok(read_only());
        }
        let Some(folder) = named(mailbox) else {
            return Ok(no_such_folder());
        };
        let (moved, code) = self.copy_to(set, folder, uid)?;
        self.core.store.remove(self.address, self.view.folder, &moved)?;
        let outcome = Outcome::new("OK Moved");
        Ok(if code.is_empty() { outcome } else { outcome.untagged(format!("OK {code}Moved")) })
    }

    /// Copies, and returns the source UIDs and the COPYUID code with a blank behind it, empty if nothing was copied.
    fn copy_to(&self, set: &SequenceSet, folder: Folder, uid: bool) -> Result<(Vec<u32>, String), Error> {
        let (mut from, mut to) = (Vec::new(), Vec::new());
        for (named, message) in self.messages(set, uid) {
            to.push(self.core.store.copy(self.address, message, folder)?);
            from.push(named.uid);
        }
        if from.is_empty() {
            return Ok((from, String::new()));
        }
        let validity = self.core.store.view(self.address, folder).map_or(0, |state| state.uid_validity);
        let code = format!("[COPYUID {validity} {} {}] ", uid_set(&from), uid_set(&to));
        Ok((from, code))
    }
}

fn read_only() -> Outcome {
    Outcome::new("NO Examined only")
}

/// UIDs as a set, runs as ranges.
pub(super) fn uid_set(uids: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for uid in uids {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *uid => *last = *uid,
            _ => runs.push((*uid, *uid)),
        }
    }
    let show = |(first, last): &(u32, u32)| {
        if first == last { first.to_string() } else { format!("{first}:{last}") }
    };
    runs.iter().map(show).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::uid_set;

    #[test]
    fn runs_become_ranges() {
        assert_eq!(uid_set(&[1, 2, 3, 5, 7, 8]), "1:3,5,7:8");
    }
}
