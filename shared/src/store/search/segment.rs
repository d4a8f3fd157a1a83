//! A segment: which words stand in which messages, for some thousands of messages, in one object that never changes.
//!
//! Layout, numbers big-endian: `hpw1`, messages (u32), directory (offset of each bucket and of their end, u32 each),
//! buckets, messages. Words are 32-bit hashes, spread over the buckets by their upper bits; a bucket has its words in
//! order: distance to the word before, bytes of its list, list of messages by their distances, all as varints (LEB128).
//! A message is its time (ms, 8 bytes), its id (16 bytes) and which writing of it this is (8 bytes), newest first, and
//! its number is its place there. How many buckets there are follows from the number of messages, so that a reader who
//! knows that from the manifest gets head, bucket and messages by three ranged reads, however large the segment is.

use std::collections::HashMap;
use std::ops::Range;

use crate::model::{MessageId, Timestamp};

const MAGIC: &[u8; 4] = b"hpw1";
const COUNTS: usize = 8;
const DOC: usize = 32;
const PLACE: usize = 24;

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

/// One writing of a message into the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Which message.
    pub place: Place,
    /// 0 when it came; when it was written again (milliseconds), because it changed. Of several the newest counts.
    pub version: i64,
}

/// A message and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which message, and which writing of it.
    pub written: Written,
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
pub(super) fn messages(docs: &[u8]) -> Option<Vec<Written>> {
    docs.chunks(DOC).map(written).collect()
}

/// The segment of these messages. Of one that was written again the last writing counts; of one that came twice, because
/// its row was not reached the first time, all words.
pub(super) fn build(entries: &[Entry]) -> Vec<u8> {
    let all = newest(entries.iter().map(|entry| &entry.written));
    let numbers = Numbers::of(&all);
    let numbered = entries.iter().filter_map(|entry| Some((&entry.words, numbers.get(&entry.written)?)));
    let mut pairs: Vec<(u32, u32)> =
        numbered.flat_map(|(words, number)| words.iter().map(move |word| (*word, number))).collect();
    pairs.sort_unstable();
    pairs.dedup();
    let mut writer = Writer::new(all.len());
    for list in pairs.chunk_by(|one, other| one.0 == other.0) {
        let numbers: Vec<u32> = list.iter().map(|(_, number)| *number).collect();
        writer.add(list[0].0, &numbers);
    }
    writer.finish(&all)
}

/// One segment of several. `None` where one cannot be read.
pub(super) fn merge(parts: &[impl AsRef<[u8]>]) -> Option<Vec<u8>> {
    let heads: Vec<Head> = parts.iter().map(|part| Head::read(part.as_ref())).collect::<Option<_>>()?;
    let tables: Vec<Vec<Written>> = parts
        .iter()
        .zip(&heads)
        .map(|(part, head)| messages(part.as_ref().get(head.docs()..)?))
        .collect::<Option<_>>()?;
    let all = newest(tables.iter().flatten());
    let numbers = Numbers::of(&all);
    let renumbered: Vec<Vec<Option<u32>>> =
        tables.iter().map(|table| table.iter().map(|written| numbers.get(written)).collect()).collect();
    let mut cursors: Vec<Cursor<'_>> =
        parts.iter().zip(&heads).map(|(part, head)| Cursor::new(part.as_ref(), head)).collect::<Option<_>>()?;
    let mut writer = Writer::new(all.len());
    while let Some(word) = cursors.iter().filter_map(|cursor| cursor.word).min() {
        let mut list = Vec::new();
        for (cursor, renumbered) in cursors.iter_mut().zip(&renumbered) {
            if cursor.word == Some(word) {
                for number in list_of(cursor.list)? {
                    // None where another part has a later writing of it.
                    list.extend(*renumbered.get(number as usize)?);
                }
                cursor.step()?;
            }
        }
        list.sort_unstable();
        list.dedup();
        if !list.is_empty() {
            writer.add(word, &list);
        }
    }
    Some(writer.finish(&all))
}

/// Entries one behind the other, as an item of the table holds them: time, id, how many words, the version where it is
/// not the first one, words. A write unit is paid for each KB of it.
pub(super) fn pack(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Entry { written, words } in entries {
        bytes.extend(&doc(written)[..PLACE]);
        let count = u16::try_from(words.len()).unwrap_or(u16::MAX).min(AGAIN - 1);
        let first = written.version == 0;
        bytes.extend((if first { count } else { count | AGAIN }).to_be_bytes());
        if !first {
            bytes.extend(written.version.to_be_bytes());
        }
        words.iter().take(count.into()).for_each(|word| bytes.extend(word.to_be_bytes()));
    }
    bytes
}

/// Says beside the number of words that a version follows.
const AGAIN: u16 = 1 << 15;

/// What [`pack`] was given.
pub(super) fn unpack(mut bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (place, rest) = bytes.split_at_checked(PLACE)?;
        let (count, rest) = rest.split_at_checked(2)?;
        let count = u16::from_be_bytes(count.try_into().ok()?);
        let (version, rest) = rest.split_at_checked(if count & AGAIN == 0 { 0 } else { DOC - PLACE })?;
        let version = if version.is_empty() { 0 } else { long(version)? };
        let (words, rest) = rest.split_at_checked(4 * usize::from(count & !AGAIN))?;
        let words = words.chunks_exact(4).map_while(number).collect();
        entries.push(Entry { written: Written { place: place_of(place)?, version }, words });
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
    fn new(docs: usize) -> Self {
        let buckets = buckets(docs);
        Self { docs, buckets, offsets: Vec::with_capacity(buckets + 1), lists: Vec::new(), before: 0 }
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

    fn finish(mut self, messages: &[Written]) -> Vec<u8> {
        self.open(self.buckets);
        let mut bytes = Vec::with_capacity(Head::bytes(self.docs) + self.lists.len() + DOC * messages.len());
        bytes.extend(MAGIC);
        bytes.extend(length(self.docs).to_be_bytes());
        self.offsets.iter().for_each(|offset| bytes.extend(offset.to_be_bytes()));
        bytes.extend(self.lists);
        messages.iter().for_each(|written| bytes.extend(doc(written)));
        bytes
    }
}

/// The number and the version that count, by message.
struct Numbers<'a>(HashMap<&'a Place, (u32, i64)>);

impl<'a> Numbers<'a> {
    fn of(messages: &'a [Written]) -> Self {
        Self(messages.iter().zip(0..).map(|(written, number)| (&written.place, (number, written.version))).collect())
    }

    /// The number of a message; none for a writing of it that is out of date.
    fn get(&self, written: &Written) -> Option<u32> {
        self.0.get(&written.place).filter(|(_, version)| *version == written.version).map(|(number, _)| *number)
    }
}

/// Each message once, as it was written last; newest messages first.
pub(super) fn newest<'a>(written: impl Iterator<Item = &'a Written>) -> Vec<Written> {
    let mut all: Vec<Written> = written.cloned().collect();
    all.sort_unstable_by(|one, other| other.place.cmp(&one.place).then(other.version.cmp(&one.version)));
    all.dedup_by(|later, kept| later.place == kept.place);
    all
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

fn doc(written: &Written) -> [u8; DOC] {
    let mut bytes = [0; DOC];
    bytes[..8].copy_from_slice(&written.place.at.0.to_be_bytes());
    // An id is 32 hex digits.
    let _ = hex::decode_to_slice(written.place.id.as_str(), &mut bytes[8..PLACE]);
    bytes[PLACE..].copy_from_slice(&written.version.to_be_bytes());
    bytes
}

fn written(doc: &[u8]) -> Option<Written> {
    let (place, version) = doc.split_at_checked(PLACE)?;
    Some(Written { place: place_of(place)?, version: long(version)? })
}

fn place_of(bytes: &[u8]) -> Option<Place> {
    let (at, id) = bytes.split_at_checked(8)?;
    Some(Place { at: Timestamp(long(at)?), id: MessageId::new(hex::encode(id)).ok()? })
}

fn long(bytes: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u32, words: &[u32]) -> Entry {
        let id = MessageId::derived(&[&number.to_string()]);
        let place = Place { at: Timestamp(number.into()), id };
        Entry { written: Written { place, version: 0 }, words: words.to_vec() }
    }

    fn again(number: u32, version: i64, words: &[u32]) -> Entry {
        let Entry { written, words } = entry(number, words);
        Entry { written: Written { version, ..written }, words }
    }

    fn found(segment: &[u8], word: u32) -> Vec<i64> {
        let head = Head::read(segment).unwrap();
        let messages = messages(&segment[head.docs()..]).unwrap();
        let numbers = lookup(&segment[head.bucket(word)], word).unwrap();
        numbers.iter().map(|number| messages[*number as usize].place.at.0).collect()
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
    fn of_a_message_that_was_written_again_the_last_words_count() {
        let moved = [entry(1, &[1, 2]), again(1, 5, &[2, 3]), entry(2, &[1]), again(1, 4, &[4])];
        let gone = [again(2, 6, &[])];
        for segment in [build(&[&moved[..], &gone].concat()), merge(&[build(&gone), build(&moved)]).unwrap()] {
            let words: Vec<usize> = (1..5).map(|word| found(&segment, word).len()).collect();
            assert_eq!(words, [0, 1, 1, 0]);
        }
    }

    #[test]
    fn entries_come_back_and_damage_is_noticed() {
        let entries = [entry(1, &[1, 2, u32::MAX]), entry(2, &[]), again(1, 1_795_246_570_000, &[3]), again(2, 5, &[])];
        let packed = pack(&entries);
        assert_eq!(unpack(&packed).unwrap(), entries);
        assert!(unpack(&packed[..packed.len() - 1]).is_none());
        let segment = build(&entries);
        assert!(Head::read(&segment[1..]).is_none() && Head::read(&segment[..9]).is_none());
        assert!(merge(&[&segment[..segment.len() - 1]]).is_none());
        assert!(messages(&[]).unwrap().is_empty() && lookup(&[0x80], 1).is_none());
    }
}
