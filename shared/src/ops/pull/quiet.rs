//! A mailbox that has been quiet for a while, and how the next poll knows it at half the price.
//!
//! What STATUS or STAT said where the ledger agreed that nothing had happened is noted beside the mailbox's slot as a
//! hash ([`crate::store::Polls::mark`]). While the server says the same, neither ledger nor status is read. An arrival, a
//! failure, new settings and a deletion over POP3 take the hash away; once a day it is not used, so that what only time
//! brings about (mail that may be deleted, a certificate that ends) is seen as well.

use std::fmt::Debug;

use super::Run;
use crate::model::poll::Rhythm;
use crate::model::{MessageId, Timestamp};
use crate::ops::fortunes;
use crate::store::keys::SourceId;
use crate::store::{AccountRow, AccountStatus, Side};

/// Hex digits of one folder's hash: two answers are taken for one another once in 2^64 times.
const DIGITS: usize = 16;

/// What is noted, and what is found.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    /// As noted; none: the ledgers tell.
    noted: Option<String>,
    /// As found, folder by folder.
    found: String,
    /// The last arrival that the ledgers tell.
    last_arrival: Option<Timestamp>,
}

impl Quiet {
    pub(super) fn new(noted: Option<String>) -> Self {
        Self { noted, ..Self::default() }
    }

    /// Nothing but the note is known of the mailbox.
    pub(super) fn is_noted(&self) -> bool {
        self.noted.is_some()
    }

    /// Remembers when mail came last.
    pub(super) fn saw(&mut self, last_arrival: Option<Timestamp>) {
        self.last_arrival = self.last_arrival.max(last_arrival);
    }

    fn finds(&mut self, mark: &str) -> bool {
        self.found.push_str(mark);
        if !self.noted.as_ref().is_some_and(|noted| noted.starts_with(&self.found)) {
            self.noted = None;
        }
        self.is_noted()
    }
}

impl Run<'_> {
    /// Whether the server says of a folder what it said when the ledger was looked at last.
    pub(super) fn seems_quiet(&mut self, source: &SourceId, answer: &impl Debug) -> bool {
        let mark = mark(self.row, source, answer);
        self.quiet.finds(&mark)
    }

    /// Notes that nothing has happened, where the ledgers had to be asked and it is likely to stay so.
    pub(super) async fn note_quiet(&self, before: &AccountStatus) {
        let (account, poll) = (&self.row.account.account, self.row.account.poll);
        let Quiet { noted, found, last_arrival } = &self.quiet;
        let rhythm =
            Rhythm { poll, tick_seconds: self.tools.settings.tick_seconds, last_arrival: *last_arrival, hash: 0 };
        let known = noted.as_ref() == Some(found);
        if known || !poll.enabled || !fortunes::is_well(before, Side::Receive) || !rhythm.is_settled(self.now) {
            return;
        }
        if let Err(error) = self.tools.store.polls.mark(self.tenant, account, found).await {
            tracing::debug!(%error, "a quiet mailbox was not noted; the next poll asks its ledgers again");
        }
    }
}

/// Of the account's version, so that other settings are another mailbox, and of all that the server has said.
fn mark(row: &AccountRow, source: &SourceId, answer: &impl Debug) -> String {
    let hash = MessageId::derived(&["quiet", &row.version, source.as_str(), &format!("{answer:?}")]);
    hash.as_str()[..DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_holds_as_long_as_every_folder_says_the_same() {
        let mut quiet = Quiet::new(Some("aabb".to_owned()));
        assert!(quiet.finds("aa") && quiet.finds("bb") && quiet.noted.as_ref() == Some(&quiet.found));
        let mut other = Quiet::new(Some("aabb".to_owned()));
        assert!(!other.finds("ab") && !other.finds("bb"), "what was noted of a changed mailbox counts no more");
        let mut more = Quiet::new(Some("aa".to_owned()));
        assert!(more.finds("aa") && !more.finds("bb"), "a folder more");
        assert!(!Quiet::new(None).finds("aa"));
    }
}
