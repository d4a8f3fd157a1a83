//! A segment: which words stand in which messages, for some thousands of messages, in one object that never changes.
//!
//! Layout, numbers big-endian: `hpw1`, messages (u32), directory (offset of each bucket and of their end, u32 each),
//! buckets, messages. Words are 32-bit hashes, spread over the buckets by their upper bits; a bucket has its words in
//! order: distance to the word before, bytes of its list, list of messages by their distances, all as varints (LEB128).
//! A message is its time (ms, 8 bytes) and its id (16 bytes), newest first, and its number is its place there. How many
//! buckets there are follows from the number of messages, so that a reader who knows that from the manifest gets head,
//! bucket and messages by three ranged reads, however large the segment is.

use std::collections::HashMap;
use std::ops::Range;

use crate::model::{MessageId, Timestamp};

const MAGIC: &[u8; 4] = b"hpw1";
const COUNTS: usize = 8;
const DOC: usize = 24;

/// Messages to a bucket: about 4 KB of lists at 200 words a message.
const BUCKET_DOCS: usize = 16;
const MOST_BUCKETS: usize = 1024;

/// Where a message stands in its mailbox's time line: they sort as lists show them, backwards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// When it was received, or accepted.
    pub at: Timestamp,
    /// Its id.
    pub id: MessageId,
}

/// A message and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which message.
    pub place: Place,
    /// Hashes of its words, sorted, each once.
    pub words: Vec<u32>,
}

/// The beginning of a segment.
pub(super) struct Head {
    offsets: Vec<u32>,
}

impl Head {
    /// How many bytes it has, in a segment of this many messages.
    pub(super) fn bytes(docs: usize) -> usize {
        COUNTS + 4 * (buckets(docs) + 1)
    }

    /// Reads it; none where it is not one.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let docs = number(bytes.get(4..COUNTS)?)? as usize;
        let directory = bytes.get(COUNTS..Self::bytes(docs)).filter(|_| bytes.starts_with(MAGIC))?;
        let offsets: Vec<u32> = directory.chunks_exact(4).map_while(number).collect();
        offsets.is_sorted().then_some(Self { offsets })
    }

    /// Where the bucket lies that has the word, if any has.
    pub(super) fn bucket(&self, word: u32) -> Range<usize> {
        let bucket = bucket_of(word, self.offsets.len() - 1);
        self.offsets[bucket] as usize..self.offsets[bucket + 1] as usize
    }

    /// Where the messages begin; they go on to the end.
    pub(super) fn docs(&self) -> usize {
        self.offsets[self.offsets.len() - 1] as usize
    }
}

/// The messages that have the word, by number. `None` where the bucket cannot be read.
pub(super) fn lookup(mut bucket: &[u8], word: u32) -> Option<Vec<u32>> {
    let mut at = 0_u32;
    while !bucket.is_empty() {
        let (found, list) = take(&mut bucket, at)?;
        if found >= word {
            return if found == word { list_of(list) } else { Some(Vec::new()) };
        }
        at = found;
    }
    Some(Vec::new())
}

/// The messages of a segment, by number.
pub(super) fn places(docs: &[u8]) -> Option<Vec<Place>> {
    docs.chunks(DOC).map(place).collect()
}

/// The segment of these messages; of one that comes twice all words count.
pub(super) fn build(entries: &[Entry]) -> Vec<u8> {
    let places = in_order(entries.iter().map(|entry| entry.place.clone()).collect());
    let numbers: HashMap<&Place, u32> = places.iter().zip(0..).collect();
    let mut pairs: Vec<(u32, u32)> =
        entries.iter().flat_map(|entry| entry.words.iter().map(|word| (*word, numbers[&entry.place]))).collect();
    pairs.sort_unstable();
    pairs.dedup();
    let mut writer = Writer::new(&places);
    for list in pairs.chunk_by(|one, other| one.0 == other.0) {
        let numbers: Vec<u32> = list.iter().map(|(_, number)| *number).collect();
        writer.add(list[0].0, &numbers);
    }
    writer.finish(&places)
}

/// One segment of several. `None` where one cannot be read.
pub(super) fn merge(parts: &[impl AsRef<[u8]>]) -> Option<Vec<u8>> {
    let heads: Vec<Head> = parts.iter().map(|part| Head::read(part.as_ref())).collect::<Option<_>>()?;
    let tables: Vec<Vec<Place>> = parts
        .iter()
        .zip(&heads)
        .map(|(part, head)| places(part.as_ref().get(head.docs()..)?))
        .collect::<Option<_>>()?;
    let all = in_order(tables.iter().flatten().cloned().collect());
    let numbers: HashMap<&Place, u32> = all.iter().zip(0..).collect();
    let renumbered: Vec<Vec<u32>> =
        tables.iter().map(|table| table.iter().map(|place| numbers[place]).collect()).collect();
    let mut cursors: Vec<Cursor<'_>> =
        parts.iter().zip(&heads).map(|(part, head)| Cursor::new(part.as_ref(), head)).collect::<Option<_>>()?;
    let mut writer = Writer::new(&all);
    while let Some(word) = cursors.iter().filter_map(|cursor| cursor.word).min() {
        let mut list = Vec::new();
        for (cursor, renumbered) in cursors.iter_mut().zip(&renumbered) {
            if cursor.word == Some(word) {
                for number in list_of(cursor.list)? {
                    list.push(*renumbered.get(number as usize)?);
                }
                cursor.step()?;
            }
        }
        list.sort_unstable();
        list.dedup();
        writer.add(word, &list);
    }
    Some(writer.finish(&all))
}

/// Entries one behind the other, as an item of the table holds them.
pub(super) fn pack(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend(doc(&entry.place));
        let count = u16::try_from(entry.words.len()).unwrap_or(u16::MAX);
        bytes.extend(count.to_be_bytes());
        entry.words.iter().take(count.into()).for_each(|word| bytes.extend(word.to_be_bytes()));
    }
    bytes
}

/// What [`pack`] was given.
pub(super) fn unpack(mut bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at_checked(DOC + 2)?;
        let count = u16::from_be_bytes(head[DOC..].try_into().ok()?);
        let (words, rest) = rest.split_at_checked(4 * usize::from(count))?;
        let words = words.chunks_exact(4).map_while(number).collect();
        entries.push(Entry { place: place(&head[..DOC])?, words });
        bytes = rest;
    }
    Some(entries)
}

/// The words of one segment, in order.
struct Cursor<'a> {
    buckets: Vec<&'a [u8]>,
    bucket: usize,
    rest: &'a [u8],
    word: Option<u32>,
    list: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn new(segment: &'a [u8], head: &Head) -> Option<Self> {
        let bucket = |ends: &[u32]| segment.get(ends[0] as usize..ends[1] as usize);
        let buckets = head.offsets.windows(2).map(bucket).collect::<Option<_>>()?;
        let mut cursor = Self { buckets, bucket: 0, rest: &[], word: None, list: &[] };
        cursor.step()?;
        Some(cursor)
    }

    fn step(&mut self) -> Option<()> {
        let mut before = self.word.unwrap_or_default();
        while self.rest.is_empty() {
            let Some(next) = self.buckets.get(self.bucket) else {
                self.word = None;
                return Some(());
            };
            (self.rest, self.bucket, before) = (next, self.bucket + 1, 0);
        }
        let (word, list) = take(&mut self.rest, before)?;
        (self.word, self.list) = (Some(word), list);
        Some(())
    }
}

/// Writes buckets; words come in order.
struct Writer {
    docs: usize,
    buckets: usize,
    offsets: Vec<u32>,
    lists: Vec<u8>,
    before: u32,
}

impl Writer {
    fn new(places: &[Place]) -> Self {
        let buckets = buckets(places.len());
        Self { docs: places.len(), buckets, offsets: Vec::with_capacity(buckets + 1), lists: Vec::new(), before: 0 }
    }

    fn add(&mut self, word: u32, numbers: &[u32]) {
        self.open(bucket_of(word, self.buckets));
        let mut list = Vec::with_capacity(numbers.len() + 4);
        let mut before = 0;
        for number in numbers {
            push(&mut list, number - before);
            before = *number;
        }
        push(&mut self.lists, word - self.before);
        push(&mut self.lists, length(list.len()));
        self.lists.extend(list);
        self.before = word;
    }

    /// Begins the buckets up to this one.
    fn open(&mut self, bucket: usize) {
        while self.offsets.len() <= bucket {
            self.offsets.push(length(Head::bytes(self.docs) + self.lists.len()));
            self.before = 0;
        }
    }

    fn finish(mut self, places: &[Place]) -> Vec<u8> {
        self.open(self.buckets);
        let mut bytes = Vec::with_capacity(Head::bytes(self.docs) + self.lists.len() + DOC * places.len());
        bytes.extend(MAGIC);
        bytes.extend(length(self.docs).to_be_bytes());
        self.offsets.iter().for_each(|offset| bytes.extend(offset.to_be_bytes()));
        bytes.extend(self.lists);
        places.iter().for_each(|place| bytes.extend(doc(place)));
        bytes
    }
}

fn in_order(mut places: Vec<Place>) -> Vec<Place> {
    places.sort_unstable_by(|one, other| other.cmp(one));
    places.dedup();
    places
}

fn buckets(docs: usize) -> usize {
    (docs / BUCKET_DOCS).next_power_of_two().clamp(1, MOST_BUCKETS)
}

fn bucket_of(word: u32, buckets: usize) -> usize {
    // The product's upper half is below `buckets`.
    usize::try_from((u64::from(word) * buckets as u64) >> 32).unwrap_or_default()
}

/// The next word of a bucket and its list.
fn take<'a>(bucket: &mut &'a [u8], before: u32) -> Option<(u32, &'a [u8])> {
    let word = before.checked_add(pull(bucket)?)?;
    let length = pull(bucket)? as usize;
    let (list, rest) = bucket.split_at_checked(length)?;
    *bucket = rest;
    Some((word, list))
}

fn list_of(mut list: &[u8]) -> Option<Vec<u32>> {
    let (mut numbers, mut at) = (Vec::new(), 0_u32);
    while !list.is_empty() {
        at = at.checked_add(pull(&mut list)?)?;
        numbers.push(at);
    }
    Some(numbers)
}

fn push(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

fn pull(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(value).ok();
        }
    }
    None
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// A segment is bounded far below 4 GB.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn doc(place: &Place) -> [u8; DOC] {
    let mut bytes = [0; DOC];
    bytes[..8].copy_from_slice(&place.at.0.to_be_bytes());
    // An id is 32 hex digits.
    let _ = hex::decode_to_slice(place.id.as_str(), &mut bytes[8..]);
    bytes
}

fn place(doc: &[u8]) -> Option<Place> {
    let (at, id) = doc.split_at_checked(8).filter(|(_, id)| id.len() == DOC - 8)?;
    Some(Place { at: Timestamp(i64::from_be_bytes(at.try_into().ok()?)), id: MessageId::new(hex::encode(id)).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u32, words: &[u32]) -> Entry {
        let id = MessageId::derived(&[&number.to_string()]);
        Entry { place: Place { at: Timestamp(number.into()), id }, words: words.to_vec() }
    }

    fn found(segment: &[u8], word: u32) -> Vec<i64> {
        let head = Head::read(segment).unwrap();
        let places = places(&segment[head.docs()..]).unwrap();
        lookup(&segment[head.bucket(word)], word).unwrap().iter().map(|number| places[*number as usize].at.0).collect()
    }

    /// Words spread over all buckets.
    fn spread(number: u32) -> u32 {
        number.wrapping_mul(0x9E37_79B9)
    }

    #[test]
    fn what_is_built_or_merged_is_found_newest_first() {
        let entries: Vec<Entry> = (0..1000)
            .map(|number| {
                let mut words = vec![spread(7), spread(1000 + number), spread(number % 10), u32::MAX, 0];
                words.sort_unstable();
                words.dedup();
                entry(number, &words)
            })
            .collect();
        let whole = build(&entries);
        let parts: Vec<Vec<u8>> = entries.chunks(300).map(build).collect();
        for segment in [whole.clone(), merge(&parts).unwrap(), merge(&[&whole, &parts[1]]).unwrap()] {
            assert_eq!(segment, whole, "a message in two parts is one");
            assert_eq!(found(&segment, spread(1000 + 123)), [123]);
            assert_eq!(found(&segment, spread(3)).len(), 100);
            assert_eq!(found(&segment, u32::MAX), (0..1000).rev().collect::<Vec<_>>());
            assert_eq!(found(&segment, 0).len(), 1000);
            assert!(found(&segment, spread(5000)).is_empty());
        }
        assert!(Head::read(&whole).unwrap().offsets.len() > 32);
    }

    #[test]
    fn of_a_message_that_comes_twice_all_words_count() {
        let segment = build(&[entry(1, &[1, 2]), entry(1, &[2, 3])]);
        assert_eq!((found(&segment, 1), found(&segment, 2), found(&segment, 3)), (vec![1], vec![1], vec![1]));
    }

    #[test]
    fn entries_come_back_and_damage_is_noticed() {
        let entries = [entry(1, &[1, 2, u32::MAX]), entry(2, &[])];
        let packed = pack(&entries);
        assert_eq!(unpack(&packed).unwrap(), entries);
        assert!(unpack(&packed[..packed.len() - 1]).is_none());
        let segment = build(&entries);
        assert!(Head::read(&segment[1..]).is_none() && Head::read(&segment[..9]).is_none());
        assert!(merge(&[&segment[..segment.len() - 1]]).is_none());
        assert!(places(&[]).unwrap().is_empty() && lookup(&[0x80], 1).is_none());
    }
}
