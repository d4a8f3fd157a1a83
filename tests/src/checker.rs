//! The invariants of a pull (I1 to I5), judged from its end state alone by somebody who knows what the mailbox held.
//!
//! Messages are compared as multisets of SHA-256: two byte-identical messages are two messages.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use serde_json::Value;

use crate::aws::Aws;
use crate::client::Client;
use crate::sha256;

/// Sources that are read at a time.
const READ_AT_ONCE: usize = 16;

/// A row of the service, with what it points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// The hash that it tells.
    pub sha256: String,
    /// The hash of its source in S3; none: there is no such object.
    pub source: Option<String>,
}

/// What there is when all is quiet.
#[derive(Debug, Clone, Default)]
pub struct EndState {
    /// Hashes of every message that the mailbox ever held.
    pub truth: Vec<String>,
    /// Hashes of what the mailbox holds now.
    pub remaining: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Sources in S3 that no row points at.
    pub orphans: Vec<String>,
}

/// What is wrong; all zero is what is promised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// I1: neither stored nor left at the server.
    pub lost: usize,
    /// I2: stored more often than they were there, or never there at all.
    pub duplicated: usize,
    /// I3: rows whose source has other bytes than they tell.
    pub wrong_bytes: usize,
    /// I4: rows without a source.
    pub dangling: usize,
    /// I5: sources without a row.
    pub orphans: usize,
}

impl EndState {
    /// Judges.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let truth = count(&self.truth);
        let stored = count(self.rows.iter().map(|row| &row.sha256));
        let remaining = count(&self.remaining);
        let number = |set: &BTreeMap<&String, usize>, hash: &String| set.get(hash).copied().unwrap_or_default();
        // A message may be stored and remain: what counts is the better covered place.
        let lost = truth
            .iter()
            .map(|(hash, times)| times.saturating_sub(number(&stored, hash).max(number(&remaining, hash))))
            .sum();
        let duplicated = stored.iter().map(|(hash, times)| times.saturating_sub(number(&truth, hash))).sum();
        Verdict {
            lost,
            duplicated,
            wrong_bytes: self
                .rows
                .iter()
                .filter(|row| row.source.as_ref().is_some_and(|source| *source != row.sha256))
                .count(),
            dangling: self.rows.iter().filter(|row| row.source.is_none()).count(),
            orphans: self.orphans.len(),
        }
    }
}

fn count<'a>(hashes: impl IntoIterator<Item = &'a String>) -> BTreeMap<&'a String, usize> {
    let mut counts = BTreeMap::new();
    for hash in hashes {
        *counts.entry(hash).or_default() += 1;
    }
    counts
}

/// Every stored message of an account as the lists show it, page by page.
pub async fn listed(client: &Client, account: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut path = format!("/v1/accounts/{account}/messages?limit=100");
    loop {
        let page = client.get(path.clone()).await.value(200);
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["nextCursor"].as_str() else {
            return items;
        };
        let cursor = percent_encoding::utf8_percent_encode(cursor, percent_encoding::NON_ALPHANUMERIC);
        path = format!("/v1/accounts/{account}/messages?limit=100&cursor={cursor}");
    }
}

/// Looks at what a tenant has. Rows come from the table itself and have to agree with the lists.
pub async fn end_state(
    aws: &Aws,
    client: &Client,
    tenant: &str,
    account: &str,
    truth: &[Vec<u8>],
    remaining: &[Vec<u8>],
) -> EndState {
    let listed: BTreeMap<_, _> =
        listed(client, account).await.into_iter().map(|item| (text(&item, "id"), text(&item, "sha256"))).collect();
    let in_table: Vec<_> = aws
        .items_of(&format!("T#{tenant}#M#"))
        .await
        .into_iter()
        // What was renumbered or moved at its server stands under further ids, which lead to its row.
        .filter(|(_, item)| item["alias"].is_null())
        .filter_map(|(key, _)| Some(key.strip_suffix(" / M")?.rsplit_once('#')?.1.to_owned()))
        .collect();
    assert_eq!(listed.keys().cloned().collect::<Vec<_>>(), in_table, "the list shows exactly the rows that there are");
    let mut objects = aws.objects(&format!("t/{tenant}/raw/")).await;
    let key = |id: &str| format!("t/{tenant}/raw/{id}");
    for id in listed.keys() {
        objects.remove(&key(id));
    }
    let row = async |(id, hash): (String, String)| {
        let source = aws.object(&key(&id)).await.map(|bytes| sha256(&bytes));
        Row { id, sha256: hash, source }
    };
    let rows = stream::iter(listed).map(row).buffered(READ_AT_ONCE).collect().await;
    let hashes = |messages: &[Vec<u8>]| messages.iter().map(|message| sha256(message)).collect();
    EndState { truth: hashes(truth), remaining: hashes(remaining), rows, orphans: objects.into_keys().collect() }
}

/// The ids of the events that have told of a tenant's received messages on the event bus, by message: one for each
/// message, however often it was told (P1).
pub async fn announced(aws: &Aws, tenant: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut ids: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for event in aws.events(tenant).await {
        let detail = &event["detail"];
        if detail["type"] == "message.received" {
            ids.entry(text(&detail["data"]["message"], "id")).or_default().insert(text(detail, "id"));
        }
    }
    ids
}

/// Watches the cursors of an account's IMAP folders (I10): never beyond the first message that is not stored, never
/// back within an epoch. It expects a mailbox whose UIDs begin at 1 and have no gap.
#[derive(Debug, Clone, Default)]
pub struct Cursors {
    /// Highest cursor so far, by folder and UIDVALIDITY.
    seen: BTreeMap<(String, u64), u64>,
    /// How often one was wrong.
    pub faults: usize,
}

impl Cursors {
    /// Looks at ledgers, then at rows: rows only become more.
    pub async fn look(&mut self, aws: &Aws, tenant: &str, account: &str) {
        let ledgers = aws.items_of(&format!("T#{tenant}#A#{account} / L#")).await;
        let rows = aws.items_of(&format!("T#{tenant}#M#")).await;
        let stored: Vec<String> = rows.values().map(|row| text(row, "key")).collect();
        for (folder, ledger) in ledgers {
            let position = &ledger["position"];
            if position["kind"] == "imap" {
                let (epoch, last) = (position["uidvalidity"].as_u64().unwrap(), position["last"].as_u64().unwrap());
                self.judge(folder, epoch, last, &stored);
            }
        }
    }

    fn judge(&mut self, folder: String, epoch: u64, last: u64, stored: &[String]) {
        let start = format!("I#{epoch}#");
        let uids: BTreeSet<u64> = stored.iter().filter_map(|key| key.strip_prefix(&start)?.parse().ok()).collect();
        let seen = self.seen.entry((folder, epoch)).or_default();
        self.faults += usize::from(last < *seen) + usize::from((1..=last).any(|uid| !uids.contains(&uid)));
        *seen = last.max(*seen);
    }
}

fn text(item: &Value, name: &str) -> String {
    item[name].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(name: &str) -> String {
        sha256(name.as_bytes())
    }

    /// Three messages, two of them alike, all stored.
    fn sound() -> EndState {
        let row = |id: &str, name: &str| Row { id: id.to_owned(), sha256: hash(name), source: Some(hash(name)) };
        let truth = vec![hash("a"), hash("b"), hash("b")];
        EndState {
            remaining: truth.clone(),
            truth,
            rows: vec![row("1", "a"), row("2", "b"), row("3", "b")],
            orphans: Vec::new(),
        }
    }

    #[test]
    fn a_sound_state_has_no_faults() {
        assert_eq!(sound().verdict(), Verdict::default());
        let deleted = EndState { remaining: Vec::new(), ..sound() };
        assert_eq!(deleted.verdict(), Verdict::default(), "what is stored may be deleted at the server");
        let early = EndState { rows: Vec::new(), ..sound() };
        assert_eq!(early.verdict(), Verdict::default(), "what is still at the server is not lost");
    }

    #[test]
    fn a_lost_message_is_seen_also_one_of_two_that_are_alike() {
        for gone in 0..3 {
            let mut state = EndState { remaining: Vec::new(), ..sound() };
            state.rows.remove(gone);
            assert_eq!(state.verdict(), Verdict { lost: 1, ..Verdict::default() }, "row {gone}");
        }
    }

    #[test]
    fn a_duplicate_is_seen_also_of_two_that_are_alike() {
        for twice in 0..3 {
            let mut state = sound();
            let mut copy = state.rows[twice].clone();
            copy.id = "4".to_owned();
            state.rows.push(copy);
            assert_eq!(state.verdict(), Verdict { duplicated: 1, ..Verdict::default() }, "row {twice}");
        }
    }

    #[test]
    fn a_message_that_was_never_there_is_seen() {
        let mut state = sound();
        state.rows.push(Row { id: "4".to_owned(), sha256: hash("x"), source: Some(hash("x")) });
        assert_eq!(state.verdict(), Verdict { duplicated: 1, ..Verdict::default() });
    }

    #[test]
    fn wrong_bytes_are_seen() {
        let mut state = sound();
        state.rows[0].source = Some(hash("a cut short"));
        assert_eq!(state.verdict(), Verdict { wrong_bytes: 1, ..Verdict::default() });
        let mut truncated = EndState { remaining: Vec::new(), ..sound() };
        truncated.rows[0] = Row { id: "1".to_owned(), sha256: hash("half"), source: Some(hash("half")) };
        assert_eq!(truncated.verdict(), Verdict { lost: 1, duplicated: 1, ..Verdict::default() });
    }

    #[test]
    fn a_cursor_behind_a_gap_or_moved_back_is_seen() {
        let stored = ["I#7#1", "I#7#2", "I#7#4", "I#8#1"].map(str::to_owned);
        let faults = |steps: &[(u64, u64)]| {
            let mut cursors = Cursors::default();
            steps.iter().for_each(|(epoch, last)| cursors.judge("INBOX".to_owned(), *epoch, *last, &stored));
            cursors.faults
        };
        assert_eq!(faults(&[(7, 0), (7, 2), (7, 2), (8, 1)]), 0);
        assert_eq!(faults(&[(7, 4)]), 1, "3 is missing");
        assert_eq!(faults(&[(7, 2), (7, 1)]), 1, "back");
        assert_eq!(faults(&[(8, 2)]), 1, "of another epoch");
    }

    #[test]
    fn rows_without_source_and_sources_without_row_are_seen() {
        let mut state = sound();
        state.rows[1].source = None;
        state.orphans = vec!["t/x/raw/9".to_owned()];
        assert_eq!(state.verdict(), Verdict { dangling: 1, orphans: 1, ..Verdict::default() });
    }
}
