//! The index of words: a tail of small items in the table, and segments in S3 ([`segment`]). What it is for and what it
//! costs stands at [`crate::ops::search`].
//!
//! **Nothing is lost whenever the process dies**: an entry is in the tail before its message has a row; a segment is
//! durable before the manifest names it; what the manifest names has left the tail only afterwards. So an entry may be
//! in both, and counts once. Readers read the tail first and the manifest behind it, and miss nothing for the same
//! reason. A segment's name stands among the manifest's `retired` before its object is written and after the last
//! manifest that needs it: what is found there by the next compaction is garbage, and deleted. Two compactions at a
//! time exclude each other by the manifest's version.

mod segment;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{
    Files, Range, StoreError,
    keys::{self, Key},
    random,
    table::{Item, Query, Table, Write, described, item, number, primary, row, text, text_of},
};
use crate::model::{AccountId, Tenant, Timestamp};
use segment::Head;
pub use segment::{Entry, Place};

/// Fewer entries are left in the tail: a segment costs as much as eight of them.
const FEWEST: usize = 32;

/// Most entries that one compaction takes: it bounds its memory.
const MOST: usize = 4096;

/// Largest segment, in messages: about 5 MB, which a function of 256 MB can merge.
pub const SEGMENT_DOCS: usize = 1 << 14;

/// A segment is merged with those that are up to so many times its size: it bounds both their number (a few below
/// [`SEGMENT_DOCS`]) and how often an entry is written again (once for each power of it).
const RATIO: usize = 3;

/// A segment up to this size is read whole: bytes within S3's neighbourhood cost less than another request.
const WHOLE: usize = 128 << 10;

/// Reads or deletions at a time.
const AT_ONCE: usize = 16;

/// How often a search begins anew because a segment was merged and deleted meanwhile.
const TRIES: u32 = 3;

/// Which segments there are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Manifest {
    version: u64,
    /// Random name of the writer, by which a repeated write knows its own success.
    #[serde(default)]
    writer: String,
    segments: Vec<Segment>,
    /// Objects that no manifest needs, or that nobody has finished.
    retired: Vec<String>,
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

/// What a search has found, and what it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Messages that have all the words, newest first.
    pub places: Vec<Place>,
    /// Segments that were looked into.
    pub segments: usize,
    /// Items of the tail that were looked at.
    pub tail: usize,
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

    /// The messages that have all of these words. Reads the tail, the manifest, and of each segment within the range
    /// its head, one bucket a word, and where that leaves any, its messages.
    pub async fn find(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        words: &[u32],
        range: Range,
    ) -> Result<Found, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.find_once(tenant, account, words, range).await {
                Err(StoreError::Missing { .. }) if tries < TRIES => {}
                found => return found,
            }
        }
    }

    async fn find_once(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        words: &[u32],
        range: Range,
    ) -> Result<Found, StoreError> {
        let tail = self.tail(tenant, account).await?;
        let manifest = self.manifest(tenant, account).await?;
        let within =
            |at: i64| range.since.is_none_or(|since| since.0 <= at) && range.before.is_none_or(|before| at < before.0);
        let overlaps = |segment: &&Segment| {
            range.since.is_none_or(|since| since.0 <= segment.newest)
                && range.before.is_none_or(|before| segment.oldest < before.0)
        };
        let asked: Vec<&Segment> = manifest.segments.iter().filter(overlaps).collect();
        let mut found = Found { places: Vec::new(), segments: asked.len(), tail: tail.len() };
        let has_all = |entry: &&Entry| words.iter().all(|word| entry.words.binary_search(word).is_ok());
        let entries = tail.iter().flat_map(|item| &item.entries);
        found.places.extend(entries.filter(has_all).map(|entry| entry.place.clone()));
        let reads: Vec<_> = asked.into_iter().map(|segment| self.look(tenant, account, segment, words)).collect();
        let looked: Vec<Vec<Place>> = stream::iter(reads).buffer_unordered(AT_ONCE).try_collect().await?;
        found.places.extend(looked.into_iter().flatten());
        found.places.retain(|place| within(place.at.0));
        found.places.sort_unstable_by(|one, other| other.cmp(one));
        found.places.dedup();
        Ok(found)
    }

    async fn look(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        segment: &Segment,
        words: &[u32],
    ) -> Result<Vec<Place>, StoreError> {
        let key = keys::search_object(tenant, account, &segment.name);
        let corrupt = || StoreError::Corrupt { key: key.clone() };
        let first = if segment.bytes <= WHOLE { segment.bytes } else { Head::bytes(segment.docs) };
        let start = self.files.get_part(&key, 0..first).await?;
        let head = Head::read(&start).ok_or_else(corrupt)?;
        let reads: Vec<_> = words.iter().map(|word| self.list(&key, &start, head.bucket(*word), *word)).collect();
        let lists: Vec<Vec<u32>> = stream::iter(reads).buffer_unordered(AT_ONCE).try_collect().await?;
        let numbers = common(lists);
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let docs = self.part(&key, &start, head.docs()..segment.bytes).await?;
        let places = segment::places(&docs).ok_or_else(corrupt)?;
        numbers.into_iter().map(|number| places.get(number as usize).cloned().ok_or_else(corrupt)).collect()
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

    /// Moves the tail into a segment where it is long enough, together with segments that are not much larger.
    /// Returns how many entries were moved.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: somebody else is at it; nothing is lost.
    pub async fn compact(&self, tenant: &Tenant, account: &AccountId) -> Result<usize, StoreError> {
        let (keys, entries) = first(self.tail(tenant, account).await?);
        if entries.len() < FEWEST {
            return Ok(0);
        }
        let mut manifest = self.manifest(tenant, account).await?;
        for name in std::mem::take(&mut manifest.retired) {
            self.files.delete_object(&keys::search_object(tenant, account, &name)).await?;
        }
        let name = random::hex(8);
        manifest.retired.push(name.clone());
        self.save(tenant, account, &mut manifest).await?;
        let merged = chosen(&manifest.segments, entries.len());
        let new = self.write(tenant, account, name.clone(), &entries, &merged).await?;
        manifest.segments.retain(|segment| !merged.contains(segment));
        manifest.segments.push(new);
        manifest.retired = merged.into_iter().map(|segment| segment.name).collect();
        if let Err(error) = self.save(tenant, account, &mut manifest).await {
            if error.is_conflict() {
                // Nobody else knows of it any more.
                self.files.delete_object(&keys::search_object(tenant, account, &name)).await?;
            }
            return Err(error);
        }
        let deletions: Vec<_> = keys.iter().map(|key| self.table.delete(key, None, Vec::new())).collect();
        stream::iter(deletions).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
        Ok(entries.len())
    }

    /// Writes the segment of these entries and segments.
    async fn write(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        name: String,
        entries: &[Entry],
        merged: &[Segment],
    ) -> Result<Segment, StoreError> {
        let mut parts = vec![Bytes::from(segment::build(entries))];
        for segment in merged {
            let key = keys::search_object(tenant, account, &segment.name);
            parts.push(self.files.get_part(&key, 0..segment.bytes).await?);
        }
        let key = keys::search_object(tenant, account, &name);
        let corrupt = || StoreError::Corrupt { key: key.clone() };
        let bytes = segment::merge(&parts).ok_or_else(corrupt)?;
        let docs = Head::read(&bytes).and_then(|head| bytes.get(head.docs()..)).ok_or_else(corrupt)?;
        let places = segment::places(docs).ok_or_else(corrupt)?;
        let (first, last) = places.first().zip(places.last()).ok_or_else(corrupt)?;
        let (newest, oldest) = (first.at.0, last.at.0);
        let segment = Segment { name, docs: places.len(), bytes: bytes.len(), newest, oldest };
        self.files.put_object(&key, bytes.into()).await?;
        Ok(segment)
    }

    /// The tail, oldest first.
    async fn tail(&self, tenant: &Tenant, account: &AccountId) -> Result<Vec<Recent>, StoreError> {
        let values = vec![(":pk", text(keys::search(tenant, account))), (":tail", text(keys::SEARCH_TAIL))];
        let query = Query { condition: "#pk = :pk AND begins_with(#sk, :tail)", values, ..Query::default() };
        self.table.query_all(query).await?.iter().map(recent).collect()
    }

    async fn manifest(&self, tenant: &Tenant, account: &AccountId) -> Result<Manifest, StoreError> {
        let item = self.table.get(&keys::search_manifest(tenant, account)).await?;
        item.map_or_else(|| Ok(Manifest::default()), row)
    }

    async fn save(&self, tenant: &Tenant, account: &AccountId, manifest: &mut Manifest) -> Result<(), StoreError> {
        let read = manifest.version;
        manifest.version += 1;
        manifest.writer = random::hex(8);
        let item = item(&keys::search_manifest(tenant, account), manifest)?;
        let written = match read {
            0 => self.table.put(item, Some("attribute_not_exists(#pk)"), Vec::new()).await?,
            read => self.table.put(item, Some("#version = :read"), vec![(":read", number(read))]).await?,
        };
        match written {
            Write::Done(_) => Ok(()),
            // The answer got lost and the SDK asked again: it is our own writing that is there.
            Write::Refused(Some(old)) if text_of(&old, "writer") == Some(&manifest.writer) => Ok(()),
            Write::Refused(_) => Err(StoreError::Conflict { what: "the list of the index's segments" }),
        }
    }
}

/// Which segments a new one of so many messages is merged with: smallest first, as long as they are not much larger.
fn chosen(segments: &[Segment], entries: usize) -> Vec<Segment> {
    let mut sorted = segments.to_vec();
    sorted.sort_by_key(|segment| segment.docs);
    let mut docs = entries;
    let mut chosen = Vec::new();
    for segment in sorted {
        if segment.docs > docs.saturating_mul(RATIO) || docs + segment.docs > SEGMENT_DOCS {
            break;
        }
        docs += segment.docs;
        chosen.push(segment);
    }
    chosen
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

/// The keys and entries of the oldest items, up to about [`MOST`] entries.
fn first(tail: Vec<Recent>) -> (Vec<Key>, Vec<Entry>) {
    let (mut keys, mut entries) = (Vec::new(), Vec::new());
    for recent in tail {
        if entries.len() >= MOST {
            break;
        }
        keys.push(recent.key);
        entries.extend(recent.entries);
    }
    (keys, entries)
}

fn recent(item: &Item) -> Result<Recent, StoreError> {
    let read = || Some(Recent { key: Key::of(item)?, entries: segment::unpack(item.get("e")?.as_b().ok()?.as_ref())? });
    read().ok_or_else(|| StoreError::Corrupt { key: described(item) })
}
