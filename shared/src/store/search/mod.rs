//! The index of words: a tail of small items in the table, and segments in S3 ([`segment`]). What it is for and what it
//! costs stands at [`crate::ops::search`].
//!
//! **Nothing is lost whenever the process dies**: an entry is in the tail before its message has a row; a segment is
//! durable before the manifest names it; what the manifest names has left the tail only afterwards. So an entry may be
//! in both, and counts once. Readers read the tail first and the manifest behind it, and miss nothing for the same
//! reason. How segments come to be: [`compaction`].

mod compaction;
mod segment;

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{
    Files, Range, StoreError,
    keys::{self, Key},
    random,
    table::{Item, Query, Table, described, primary, row, text},
};
use crate::model::{AccountId, Tenant, Timestamp};
pub use compaction::{Joining, SEGMENT_DOCS, TAKEN_AT_ONCE};
use segment::Head;
pub use segment::{Entry, Place, Written};

/// A segment up to this size is read whole: bytes within S3's neighbourhood cost less than another request.
const WHOLE: usize = 128 << 10;

/// Reads or deletions at a time.
const AT_ONCE: usize = 16;

/// How often a search begins anew because a segment was merged and deleted meanwhile.
const TRIES: u32 = 3;

/// Which segments there are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Manifest {
    version: u64,
    /// Random name of the writer, by which a repeated write knows its own success.
    #[serde(default)]
    writer: String,
    segments: Vec<Segment>,
    /// Objects that no manifest needs, or that nobody has finished.
    retired: Vec<String>,
    /// The place in the mailbox's time line up to which its outgoing messages are in segments.
    #[serde(default)]
    joined: String,
}

impl Manifest {
    /// The place in the mailbox's time line up to which its outgoing messages are in segments; empty: none is.
    pub fn joined(&self) -> &str {
        &self.joined
    }
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Segment {
    name: String,
    docs: usize,
    bytes: usize,
    newest: i64,
    oldest: i64,
}

/// An item of the tail.
struct Recent {
    key: Key,
    entries: Vec<Entry>,
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Words that must all stand in a message.
    pub words: &'a [u32],
    /// When it was received.
    pub range: Range,
    /// The word of all that was written again: a message is left out then where its last writing lacks one of the
    /// words. None: an earlier writing will do, because the message itself is looked at.
    pub rewritten: Option<u32>,
}

impl Ask<'_> {
    /// Whether a message is among those that are looked for.
    pub fn fits(&self, entry: &Entry) -> bool {
        entry.has_all(self.words) && self.holds(entry.written.place.at)
    }

    fn holds(&self, at: Timestamp) -> bool {
        self.range.since.is_none_or(|since| since <= at) && self.range.before.is_none_or(|before| at < before)
    }

    fn overlaps(&self, segment: &Segment) -> bool {
        self.range.since.is_none_or(|since| since.0 <= segment.newest)
            && self.range.before.is_none_or(|before| segment.oldest < before.0)
    }
}

/// What a search has found, and what it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Messages that have all the words, newest first.
    pub places: Vec<Place>,
    /// Segments that were looked into.
    pub segments: usize,
    /// Messages in the tail.
    pub tail: usize,
    /// Outgoing messages behind this place of the time line are not in segments yet: [`Manifest::joined`].
    pub joined: String,
}

/// What was found in one source.
#[derive(Default)]
struct Looked {
    found: Vec<Written>,
    rewritten: Vec<Written>,
}

impl Entry {
    /// Whether all of these words stand in it.
    fn has_all(&self, words: &[u32]) -> bool {
        words.iter().all(|word| self.words.binary_search(word).is_ok())
    }
}

/// The index of words, by mailbox.
#[derive(Clone, Debug)]
pub struct Search {
    table: Table,
    files: Files,
}

impl Search {
    pub(super) fn new(table: Table, files: Files) -> Self {
        Self { table, files }
    }

    /// Puts entries into the tail: one item, a write unit for each KB. Repeating it is harmless.
    pub async fn append(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        entries: &[Entry],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut item = primary(&keys::search_tail(tenant, account, now, &random::hex(4)));
        item.insert("e".to_owned(), AttributeValue::B(Blob::new(segment::pack(entries))));
        self.table.put(item, None, Vec::new()).await?;
        Ok(())
    }

    /// The messages that have all of the words. Reads the tail, the manifest, and of each segment within the range its
    /// head, one bucket a word, and where that leaves any, its messages.
    pub async fn find(&self, tenant: &Tenant, account: &AccountId, ask: Ask<'_>) -> Result<Found, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.find_once(tenant, account, ask).await {
                Err(StoreError::Missing { .. }) if tries < TRIES => {}
                found => return found,
            }
        }
    }

    async fn find_once(&self, tenant: &Tenant, account: &AccountId, ask: Ask<'_>) -> Result<Found, StoreError> {
        let tail = self.tail(tenant, account).await?;
        let manifest = self.manifest(tenant, account).await?;
        let asked: Vec<&Segment> = manifest.segments.iter().filter(|segment| ask.overlaps(segment)).collect();
        let segments = asked.len();
        let reads: Vec<_> = asked.into_iter().map(|segment| self.look(tenant, account, segment, ask)).collect();
        let mut looked: Vec<Looked> = stream::iter(reads).buffer_unordered(AT_ONCE).try_collect().await?;
        looked.push(look_at_tail(&tail, ask));
        let mut places = latest(looked);
        places.retain(|place| ask.holds(place.at));
        places.sort_unstable_by(|one, other| other.cmp(one));
        places.dedup();
        let tail = tail.iter().map(|item| item.entries.len()).sum();
        Ok(Found { places, segments, tail, joined: manifest.joined })
    }

    async fn look(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        segment: &Segment,
        ask: Ask<'_>,
    ) -> Result<Looked, StoreError> {
        let key = keys::search_object(tenant, account, &segment.name);
        let corrupt = || StoreError::Corrupt { key: key.clone() };
        let first = if segment.bytes <= WHOLE { segment.bytes } else { Head::bytes(segment.docs) };
        let start = self.files.get_part(&key, 0..first).await?;
        let head = Head::read(&start).ok_or_else(corrupt)?;
        let words = ask.words.iter().chain(&ask.rewritten);
        let reads: Vec<_> = words.map(|word| self.list(&key, &start, head.bucket(*word), *word)).collect();
        let mut lists: Vec<Vec<u32>> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
        let rewritten = lists.split_off(ask.words.len()).pop().unwrap_or_default();
        let found = common(lists);
        if found.is_empty() && rewritten.is_empty() {
            return Ok(Looked::default());
        }
        let docs = self.part(&key, &start, head.docs()..segment.bytes).await?;
        let messages = segment::messages(&docs).ok_or_else(corrupt)?;
        let pick = |numbers: Vec<u32>| -> Result<Vec<Written>, StoreError> {
            numbers.into_iter().map(|number| messages.get(number as usize).cloned().ok_or_else(corrupt)).collect()
        };
        Ok(Looked { found: pick(found)?, rewritten: pick(rewritten)? })
    }

    /// The messages of a segment that have the word, by number.
    async fn list(
        &self,
        key: &str,
        start: &Bytes,
        bucket: std::ops::Range<usize>,
        word: u32,
    ) -> Result<Vec<u32>, StoreError> {
        let bucket = self.part(key, start, bucket).await?;
        segment::lookup(&bucket, word).ok_or_else(|| StoreError::Corrupt { key: key.to_owned() })
    }

    /// Part of a segment: of what has been read already, or from S3.
    async fn part(&self, key: &str, start: &Bytes, range: std::ops::Range<usize>) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if range.end <= start.len() {
            return Ok(start.slice(range));
        }
        self.files.get_part(key, range).await
    }

    /// The tail, oldest first.
    async fn tail(&self, tenant: &Tenant, account: &AccountId) -> Result<Vec<Recent>, StoreError> {
        let values = vec![(":pk", text(keys::search(tenant, account))), (":tail", text(keys::SEARCH_TAIL))];
        let query = Query { condition: "#pk = :pk AND begins_with(#sk, :tail)", values, ..Query::default() };
        self.table.query_all(query).await?.iter().map(recent).collect()
    }

    /// Which segments there are. Strongly consistent.
    pub async fn manifest(&self, tenant: &Tenant, account: &AccountId) -> Result<Manifest, StoreError> {
        let item = self.table.get(&keys::search_manifest(tenant, account)).await?;
        item.map_or_else(|| Ok(Manifest::default()), row)
    }
}

fn look_at_tail(tail: &[Recent], ask: Ask<'_>) -> Looked {
    let mut looked = Looked::default();
    for entry in tail.iter().flat_map(|item| &item.entries) {
        if entry.has_all(ask.words) {
            looked.found.push(entry.written.clone());
        }
        if ask.rewritten.is_some_and(|word| entry.has_all(&[word])) {
            looked.rewritten.push(entry.written.clone());
        }
    }
    looked
}

/// What was found, without what was written again since, elsewhere, without the words.
fn latest(looked: Vec<Looked>) -> Vec<Place> {
    let rewritten = segment::newest(looked.iter().flat_map(|source| &source.rewritten));
    let last: HashMap<&Place, i64> = rewritten.iter().map(|written| (&written.place, written.version)).collect();
    let is_last = |written: &Written| last.get(&written.place).is_none_or(|version| written.version >= *version);
    looked.into_iter().flat_map(|source| source.found).filter(is_last).map(|written| written.place).collect()
}

/// Numbers that stand in all of the lists, which are sorted.
fn common(mut lists: Vec<Vec<u32>>) -> Vec<u32> {
    lists.sort_by_key(Vec::len);
    let mut lists = lists.into_iter();
    let Some(mut numbers) = lists.next() else {
        return Vec::new();
    };
    for list in lists {
        numbers.retain(|number| list.binary_search(number).is_ok());
    }
    numbers
}

fn recent(item: &Item) -> Result<Recent, StoreError> {
    let read = || Some(Recent { key: Key::of(item)?, entries: segment::unpack(item.get("e")?.as_b().ok()?.as_ref())? });
    read().ok_or_else(|| StoreError::Corrupt { key: described(item) })
}
