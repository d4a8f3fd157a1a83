//! Compaction: entries of the tail, and outgoing messages that were never in it, become a segment, together with
//! segments that are not much larger.
//!
//! A segment's name stands among the manifest's `retired` before its object is written and after the last manifest that
//! needs it: what is found there by the next compaction is garbage, and deleted. Two compactions at a time exclude each
//! other by the manifest's version. Outgoing messages join by the same write that names their segment, so that none is
//! passed over whenever the process dies.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{AT_ONCE, Head, Manifest, Recent, Search, Segment, segment};
use crate::model::{AccountId, Tenant};
use crate::store::{
    Entry, StoreError,
    keys::{self, Key},
    random,
    table::{Write, item, number, text_of},
};

/// Fewer entries are left in the tail: a segment costs as much as eight of them.
const FEWEST: usize = 32;

/// Most entries that one compaction takes from the tail: it bounds its memory.
pub const TAKEN_AT_ONCE: usize = 4096;

/// Largest segment, in messages: about 5 MB, which a function of 256 MB can merge.
pub const SEGMENT_DOCS: usize = 1 << 14;

/// A segment is merged with those that are up to so many times its size: it bounds both their number (a few below
/// [`SEGMENT_DOCS`]) and how often an entry is written again (once for each power of it).
const RATIO: usize = 3;

/// Outgoing messages that join the index.
#[derive(Clone, Debug, Default)]
pub struct Joining {
    /// All of a stretch of the mailbox's time line, which begins where [`Manifest::joined`] ends.
    pub entries: Vec<Entry>,
    /// Where the stretch ends.
    pub until: String,
    /// Behind it there is more: it must be passed, however few entries it has.
    pub more: bool,
}

impl Search {
    /// Moves the tail and what joins into a segment, where that is worth one. Returns how many entries were moved.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: somebody else is at it; nothing is lost.
    pub async fn compact(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        mut manifest: Manifest,
        joining: Joining,
    ) -> Result<usize, StoreError> {
        let (keys, mut entries) = first(self.tail(tenant, account).await?);
        entries.extend(joining.entries);
        if entries.len() < FEWEST && !joining.more {
            return Ok(0);
        }
        if entries.is_empty() {
            manifest.joined = joining.until;
            self.save(tenant, account, &mut manifest).await?;
            return Ok(0);
        }
        self.pack(tenant, account, manifest, &entries, joining.until).await?;
        let deletions: Vec<_> = keys.iter().map(|key| self.table.delete(key, None, Vec::new())).collect();
        stream::iter(deletions).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
        Ok(entries.len())
    }

    /// Writes a segment, and the manifest that names it and where outgoing messages have joined up to.
    async fn pack(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        mut manifest: Manifest,
        entries: &[Entry],
        joined: String,
    ) -> Result<(), StoreError> {
        for name in std::mem::take(&mut manifest.retired) {
            self.files.delete_object(&keys::search_object(tenant, account, &name)).await?;
        }
        let name = random::hex(8);
        manifest.retired.push(name.clone());
        self.save(tenant, account, &mut manifest).await?;
        let merged = chosen(&manifest.segments, entries.len());
        let new = self.write(tenant, account, name.clone(), entries, &merged).await?;
        manifest.segments.retain(|segment| !merged.contains(segment));
        manifest.segments.push(new);
        manifest.retired = merged.into_iter().map(|segment| segment.name).collect();
        manifest.joined = joined;
        if let Err(error) = self.save(tenant, account, &mut manifest).await {
            if error.is_conflict() {
                // Nobody else knows of it any more.
                self.files.delete_object(&keys::search_object(tenant, account, &name)).await?;
            }
            return Err(error);
        }
        Ok(())
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
        let messages = segment::messages(docs).ok_or_else(corrupt)?;
        let (first, last) = messages.first().zip(messages.last()).ok_or_else(corrupt)?;
        let (newest, oldest) = (first.place.at.0, last.place.at.0);
        let segment = Segment { name, docs: messages.len(), bytes: bytes.len(), newest, oldest };
        self.files.put_object(&key, bytes.into()).await?;
        Ok(segment)
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

/// The keys and entries of the oldest items, up to about [`TAKEN_AT_ONCE`] entries.
fn first(tail: Vec<Recent>) -> (Vec<Key>, Vec<Entry>) {
    let (mut keys, mut entries) = (Vec::new(), Vec::new());
    for recent in tail {
        if entries.len() >= TAKEN_AT_ONCE {
            break;
        }
        keys.push(recent.key);
        entries.extend(recent.entries);
    }
    (keys, entries)
}
