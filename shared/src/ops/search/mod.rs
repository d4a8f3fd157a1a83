//! Search in a mailbox: which messages have all of these words, newest first.
//!
//! # What is chosen, and why
//!
//! A mailbox of 100,000 messages has some 20 million words; no row and no list can be looked through for one of them.
//! A search service costs more by the month than all mail of a tenant. So the index is a log of our own making
//! ([`crate::store::Search`]): each message's words (32-bit hashes, at most [`MOST_WORDS`] different ones) go into a
//! small item, the **tail**; now and then the pull moves the tail into an immutable **segment** in S3, and merges
//! segments of like size up to [`SEGMENT_DOCS`](crate::store::SEGMENT_DOCS) messages. A search reads the tail by one
//! query, the list of segments by one read, and of each segment head, one bucket a word and the messages by ranged
//! reads, all segments at a time. Rows are read at the end, for the page that is shown: what was deleted vanishes there,
//! and so the list's other filters come for nothing.
//!
//! # What it costs
//!
//! Receiving a message: one write unit when its words come into the tail, and one when they leave it, for up to about
//! 220 different words (a unit is 1 KB, a word 4 bytes, and each further 250 words cost two more): $1.25 a million. A
//! run that brings many writes those of up to eight messages as one item, one of 128 compacts, and that is five requests
//! and a deletion for each item: $0.05 a million. Together about a fifth of what receiving costs ($5.7). There was
//! nothing cheaper that loses nothing: the row would grow beyond its unit, and each later write of it with it; items
//! that time removes for nothing could be gone before they are in a segment; and sources that are read again for it
//! cost as much, and the time of the pull. Searching costs about $0.000012 at 100,000 messages for one word: some ten
//! segments, three requests each, and the tail of 128 KB on the average.
//!
//! # What it cannot do
//!
//! Whole words only, in any letter case, with or without accents: `invoic` does not find `invoice`. The first
//! [`MOST_WORDS`] different words of the first 256 KB of a text count, within the first MB of the source; of HTML what
//! is shown; of the header subject, people, Message-ID and names of files; not what stands in files. Quarantined mail
//! is not read, so it is found by its folder only. Phrases are looked for in the sources of the candidates, [`SOURCES`]
//! for one page: a page may be shorter and have a cursor. A hash may stand for two words: `words::hash` counts how
//! often. Found is what was pulled since the index exists; outgoing mail is not in it: it would double the price of
//! sending.
//!
//! A message also has a word for its folder ([`Query::folder`]), which counts a folder and opens any page of it in the
//! same few requests. One that was moved has those of both; its row decides.

mod query;
mod words;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use query::{MOST_ASKED, Query};
use words::Bag;
pub use words::MOST_WORDS;

use super::send;
use crate::mail::{Deadline, parse};
use crate::model::{AccountId, Message, MessageId, Problem, Tenant, Timestamp};
use crate::store::{Entry, Page, Place, Range, Store, StoreError, StoredMessage};

/// Sources that are read for one page where phrases are looked for.
pub const SOURCES: u32 = 100;

/// Longest time that compacting may take from a pull: a tenth of a second is usual, a second for the largest.
const COMPACTING: Duration = Duration::from_secs(15);

/// Bytes of a body that are looked at, as it is encoded.
const TEXT_BYTES: usize = 256 << 10;

/// Bytes of a source that are looked at: the text comes before the files.
const SOURCE_BYTES: usize = 1 << 20;

/// Puts the words of messages into the tail: of those that come while a write is under way all by the next one.
#[derive(Debug)]
pub(super) struct Indexer {
    store: Store,
    tenant: Tenant,
    account: AccountId,
    waiting: Mutex<Vec<Entry>>,
    turn: tokio::sync::Mutex<()>,
}

impl Indexer {
    pub(super) fn new(store: &Store, tenant: &Tenant, account: &AccountId) -> Self {
        Self {
            store: store.clone(),
            tenant: tenant.clone(),
            account: account.clone(),
            waiting: Mutex::new(Vec::new()),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// Makes a message findable. Comes before its row: a message that has one is never looked at again. Repeating it is
    /// harmless.
    pub(super) async fn index(&self, message: &Message, source: Option<&[u8]>) -> Result<(), StoreError> {
        let entry = entry(message, source);
        let place = entry.place.clone();
        self.waiting().push(entry);
        let _turn = self.turn.lock().await;
        let mut batch = std::mem::take(&mut *self.waiting());
        if !batch.iter().any(|entry| entry.place == place) {
            // Somebody else's write took it along while this one waited for its turn.
            self.waiting().append(&mut batch);
            return Ok(());
        }
        let written = self.store.search.append(&self.tenant, &self.account, &batch, Timestamp::now()).await;
        if written.is_err() {
            // Each of them tries for itself.
            batch.retain(|entry| entry.place != place);
            self.waiting().append(&mut batch);
        }
        written
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves the tail of the index into a segment, within `deadline` and some seconds. That it did not is no failure of the
/// pull: nothing is lost wherever it stops, and a later one does it.
pub(super) async fn compact(store: &Store, tenant: &Tenant, account: &AccountId, deadline: Deadline) {
    let time = deadline.left().min(COMPACTING);
    match tokio::time::timeout(time, store.search.compact(tenant, account)).await {
        Ok(Ok(entries)) => tracing::debug!(entries, "the index of words was compacted"),
        Ok(Err(error)) if error.is_conflict() => tracing::debug!(%error, "somebody else compacts"),
        Ok(Err(error)) => tracing::warn!(%error, "the index of words was not compacted; a later pull does"),
        Err(_) => tracing::debug!("there was no time to compact the index of words; a later pull does"),
    }
}

/// Whether the tail is moved into a segment behind this message. An id is a hash: without a counter that had to be
/// written, one of 128 is chosen.
pub(super) fn is_due(id: &MessageId) -> bool {
    id.as_str().starts_with("00") || id.as_str().starts_with("01")
}

/// Lets a message be found in the folder that it was moved to. Where this is not reached it is still found by its words.
pub(super) async fn refile(store: &Store, tenant: &Tenant, id: &MessageId) -> Result<(), StoreError> {
    let Some(message) = store.messages.get(tenant, id).await?.map(|stored| stored.message()) else {
        return Ok(());
    };
    let mut bag = Bag::default();
    bag.add_folder(&message);
    let place = Place { at: message.received_at, id: id.clone() };
    let entry = Entry { place, words: bag.sorted() };
    store.search.append(tenant, &message.account, &[entry], Timestamp::now()).await
}

/// What stands in a message.
fn entry(message: &Message, source: Option<&[u8]>) -> Entry {
    let mut bag = Bag::default();
    bag.add_folder(message);
    bag.add_message(message);
    let head = source.map(|source| source.get(..SOURCE_BYTES).unwrap_or(source));
    if let Some(text) = head.and_then(|head| parse::text_head(head, TEXT_BYTES)) {
        bag.add(&text);
    }
    Entry { place: Place { at: message.received_at, id: message.id.clone() }, words: bag.sorted() }
}

/// What a search has found: places of messages, and what must be looked at in each of them.
#[derive(Debug)]
pub struct Hits {
    query: Query,
    places: Vec<Place>,
}

/// Asks the index.
pub async fn find(
    store: &Store,
    tenant: &Tenant,
    account: &AccountId,
    query: Query,
    range: Range,
) -> Result<Hits, StoreError> {
    let found = store.search.find(tenant, account, query.hashes(), range).await?;
    tracing::debug!(hits = found.places.len(), segments = found.segments, tail = found.tail, "searched");
    Ok(Hits { query, places: found.places })
}

impl Hits {
    /// Most candidates that should be looked at for one page.
    pub fn most(&self, usual: u32) -> u32 {
        if self.query.has_phrases() { usual.min(SOURCES) } else { usual }
    }

    /// The next candidates, newest first, without those that turn out to be none. Its cursors are those of the list.
    pub async fn page(
        &self,
        store: &Store,
        tenant: &Tenant,
        account: &AccountId,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<Page<StoredMessage>, Problem> {
        let page = store.messages.page(tenant, account, &self.places, limit, cursor).await?;
        Ok(Page { items: self.checked(store, tenant, account, page.items).await?, next_cursor: page.next_cursor })
    }

    /// How many candidates there are: all that is found where the query [is final](Hits::are_final), but for what was
    /// deleted or moved since.
    #[allow(clippy::len_without_is_empty)] // nobody asks
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether all candidates are what was searched for.
    pub fn are_final(&self) -> bool {
        self.query.is_final()
    }

    /// Candidates from one number on, newest first, without those that turn out to be none.
    pub async fn slice(
        &self,
        store: &Store,
        tenant: &Tenant,
        account: &AccountId,
        first: usize,
        count: usize,
    ) -> Result<Vec<StoredMessage>, Problem> {
        let places = self.places.get(first..).unwrap_or_default();
        let page = store.messages.page(tenant, account, places, u32::try_from(count).unwrap_or(u32::MAX), None).await?;
        self.checked(store, tenant, account, page.items).await
    }

    async fn checked(
        &self,
        store: &Store,
        tenant: &Tenant,
        account: &AccountId,
        candidates: Vec<StoredMessage>,
    ) -> Result<Vec<StoredMessage>, Problem> {
        let mut items = Vec::new();
        for stored in candidates {
            let message = stored.message();
            let fits = message.account == *account && self.query.fits(&message);
            if fits && (!self.query.has_phrases() || self.says(store, tenant, &stored, &message).await?) {
                items.push(stored);
            }
        }
        Ok(items)
    }

    /// Whether the phrases stand in the subject or in the text.
    async fn says(
        &self,
        store: &Store,
        tenant: &Tenant,
        stored: &StoredMessage,
        message: &Message,
    ) -> Result<bool, Problem> {
        let source = match stored {
            StoredMessage::Outgoing(row) => Some(send::source(store, tenant, row).await?),
            StoredMessage::Incoming(row) if row.message.sha256.is_none() => None,
            StoredMessage::Incoming(row) => {
                Some(store.files.get_raw_head(tenant, &row.message.id, SOURCE_BYTES as u64).await?.to_vec())
            }
        };
        let text = source.and_then(|source| parse::text_head(&source, TEXT_BYTES));
        let names =
            message.from.iter().chain(&message.to).chain(&message.cc).filter_map(|address| address.name.clone());
        let texts: Vec<String> = message.subject.iter().cloned().chain(text).chain(names).collect();
        Ok(self.query.says(&texts))
    }
}
