//! The client's idea of the selected folder: which UID has which number.

use std::num::NonZeroU32;

use bytes::Bytes;
use imap_codec::imap_types::sequence::{SeqOrUid, Sequence, SequenceSet};

use super::messages::uid_set;
use crate::server::Core;
use crate::store::Folder;

/// Numbers and UIDs as the client knows them (RFC 3501 §2.3.1).
#[derive(Debug)]
pub(super) struct View {
    pub(super) folder: Folder,
    pub(super) read_only: bool,
    /// Ascending; the number of a message is its index plus 1.
    pub(super) uids: Vec<u32>,
    /// The state of the store that `uids` shows, so that a command in a quiet folder costs no comparison.
    pub(super) changes: u64,
}

/// A message that a set names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) number: usize,
    pub(super) uid: u32,
}

impl View {
    /// The messages that a set of UIDs or numbers names, ascending. `*` is the last message, so that
    /// `n:*` always names one (RFC 3501 §9, seq-range).
    pub(super) fn named(&self, set: &SequenceSet, uid: bool) -> Vec<Named> {
        let all = (1..).zip(&self.uids).map(|(number, uid)| Named { number, uid: *uid });
        let value = |named: &Named| {
            if uid { named.uid } else { u32::try_from(named.number).unwrap_or(u32::MAX) }
        };
        let Some(largest) = all.clone().last().and_then(|named| NonZeroU32::new(value(&named))) else {
            return Vec::new();
        };
        all.filter(|named| contains(set, value(named), largest)).collect()
    }

    /// Brings the view up to date and reports what is gone and what is new (RFC 3501 §7.4.1 and §7.3.1).
    pub(super) fn news(&mut self, core: &Core, address: &str, qresync: bool) -> Vec<Vec<Bytes>> {
        if core.store.changes(address, self.folder) == Some(self.changes) {
            return Vec::new();
        }
        let Some(state) = core.store.view(address, self.folder) else {
            return Vec::new();
        };
        let current: Vec<u32> = state.messages.iter().map(|message| message.uid).collect();
        let mut parts = Vec::new();
        let (mut number, mut gone) = (1, Vec::new());
        self.uids.retain(|uid| {
            let stays = current.binary_search(uid).is_ok();
            if stays {
                number += 1;
            } else {
                gone.push(*uid);
                parts.push(vec![Bytes::from(format!("* {number} EXPUNGE\r\n"))]);
            }
            stays
        });
        if qresync && !gone.is_empty() {
            // RFC 7162 §3.2.10
            parts = vec![vec![Bytes::from(format!("* VANISHED {}\r\n", uid_set(&gone)))]];
        }
        if current.len() > self.uids.len() {
            parts.push(vec![Bytes::from(format!("* {} EXISTS\r\n", current.len()))]);
        }
        (self.uids, self.changes) = (current, state.changes);
        parts
    }
}

/// Whether a set contains a value, where `*` stands for the largest.
pub(super) fn contains(set: &SequenceSet, value: u32, largest: NonZeroU32) -> bool {
    let end = |end: &SeqOrUid| end.expand(largest).get();
    set.0.as_ref().iter().any(|sequence| match sequence {
        Sequence::Single(single) => end(single) == value,
        // RFC 3501 §9, seq-range: either end may be the larger.
        Sequence::Range(a, b) => (end(a).min(end(b))..=end(a).max(end(b))).contains(&value),
    })
}
