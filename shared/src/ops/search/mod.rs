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
//! Counted at 100,000 messages of 60 words, in 7 segments and a tail of 100 (`figures_of_a_search_in_100_000_messages`
//! says how to count again); time as a share of looking through all rows in the same run, which see no text:
//!
//! | words | messages found | GETs | KB | time |
//! |---|---|---|---|---|
//! | a rare one | 100 | 21 | 3264 | 0.3 % |
//! | one in every second message | 50,000 | 21 | 3215 | 0.4 % |
//! | one in all | 100,100 | 21 | 3264 | 0.5 % |
//! | a rare one and one in all | 100 | 28 | 3376 | 0.4 % |
//! | four, which no message has | 0 | 35 | 327 | 0.2 % |
//! | one that is not there | 0 | 14 | 41 | 0.1 % |
//! | a folder, counted without what has left it | 100,100 | 28 | 3376 | 0.5 % |
//!
//! Each also reads the tail and the list of segments (some ten units here), and a page of 20 rows 20 units. Through the front
//! door, of mail that was really pulled, `target/debug/searches` counts.
//!
//! Sending a message: nothing. The mailbox's time line tells what was sent, so whoever compacts or searches reads it
//! there, once, for two or three units of reading ($0.3 a million): the module `outgoing`. What is moved, deleted, edited
//! or parsed again is written into the index again, for two units and a request; its last writing counts.
//!
//! # What it cannot do
//!
//! Whole words only, in any letter case, with or without accents: `invoic` does not find `invoice`. The first
//! [`MOST_WORDS`] different words of the first 256 KB of a text count, within the first MB of the source; of HTML what
//! is shown; of the header subject, Message-ID, names of files, and the first 100 people; not what stands in files.
//! Quarantined mail is not read, so it is found by its folder only. Phrases are looked for in the sources of the
//! candidates, [`SOURCES`] for one page: a page may be shorter and have a cursor. A hash may stand for two words:
//! `words::hash` counts how often. Of a raw message that was sent and has more than 2 MB, only what its row says. A copy
//! in a Sent folder that is pulled too is a message of its own beside the one that was sent, as in any list. Where more
//! was sent since the last search than one search can read, the answer says since when ([`Hits::not_searched_since`]),
//! and the next search goes on there.
//!
//! # Folders and conversations
//!
//! A message also has words for its folder ([`Query::folder`]), which count a folder and open any page of it, and for its
//! conversation ([`Query::thread`]), in the same few requests and for no unit more. A process that dies between a row and
//! its second writing leaves a message counted where it was; no list shows it there, because its row decides.

mod index;
mod outgoing;
mod query;
mod words;

pub(super) use index::{Indexer, compact, is_due, renew, rewrite};
pub use query::{MOST_ASKED, Query};
pub use words::MOST_WORDS;

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::mail::{Deadline, parse};
use crate::model::{AccountId, Tenant, Timestamp};
use crate::store::{Ask, Page, Place, Range, Store, StoreError, StoredMessage};

/// A tail of more messages is compacted by whoever searches it: pulls that always run out of their time do not.
const LONG_TAIL: usize = 1024;

/// Longest time that a search gives to that.
const CATCHING_UP: Duration = Duration::from_secs(8);

/// Sources that are read for one page where phrases are looked for.
pub const SOURCES: u32 = 100;

/// So many of them at a time.
const SOURCES_AT_ONCE: usize = 8;

/// Bytes of a body that are looked at, as it is encoded.
const TEXT_BYTES: usize = 256 << 10;

/// Bytes of a source that are looked at: the text comes before the files.
const SOURCE_BYTES: usize = 1 << 20;

/// What a search has found: places of messages, and what must be looked at in each of them.
#[derive(Debug)]
pub struct Hits {
    query: Query,
    places: Vec<Place>,
    not_searched_since: Option<Timestamp>,
}

/// Asks the index, and looks at what was sent and is not in it yet.
pub async fn find(
    store: &Store,
    tenant: &Tenant,
    account: &AccountId,
    query: Query,
    range: Range,
) -> Result<Hits, StoreError> {
    let rewritten = query.is_pulled().then(words::rewritten);
    let ask = Ask { words: query.hashes(), range, rewritten };
    let mut found = store.search.find(tenant, account, ask).await?;
    let mut rest = outgoing::rest(store, tenant, account, &query, &found.joined).await?;
    if found.tail > LONG_TAIL || outgoing::is_backlog(store, tenant, account, &found.joined, &rest).await? {
        compact(store, tenant, account, Deadline::after(CATCHING_UP)).await;
        found = store.search.find(tenant, account, ask).await?;
        rest = outgoing::rest(store, tenant, account, &query, &found.joined).await?;
    }
    let (entries, not_searched_since) = outgoing::read(store, tenant, &rest).await?;
    found.places.extend(entries.into_iter().filter(|entry| ask.fits(entry)).map(|entry| entry.written.place));
    found.places.sort_unstable_by(|one, other| other.cmp(one));
    found.places.dedup();
    tracing::debug!(hits = found.places.len(), segments = found.segments, tail = found.tail, "searched");
    Ok(Hits { query, places: found.places, not_searched_since })
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
    ) -> Result<Page<StoredMessage>, StoreError> {
        let page = store.messages.page(tenant, account, &self.places, limit, cursor).await?;
        Ok(Page { items: self.checked(store, tenant, account, page.items).await?, next_cursor: page.next_cursor })
    }

    /// Outgoing mail that was accepted since then is not searched yet; each search gets on with it.
    pub fn not_searched_since(&self) -> Option<Timestamp> {
        self.not_searched_since
    }

    /// How many candidates there are: all that is found where the query [is final](Hits::are_final).
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
    ) -> Result<Vec<StoredMessage>, StoreError> {
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
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let fits = |stored: &StoredMessage| {
            let message = stored.message();
            message.account == *account && self.query.fits(&message)
        };
        let items: Vec<StoredMessage> = candidates.into_iter().filter(fits).collect();
        if !self.query.has_phrases() {
            return Ok(items);
        }
        let checks: Vec<_> = items.iter().map(|stored| self.says(store, tenant, stored)).collect();
        let said: Vec<bool> = stream::iter(checks).buffered(SOURCES_AT_ONCE).try_collect().await?;
        Ok(items.into_iter().zip(said).filter(|(_, said)| *said).map(|(stored, _)| stored).collect())
    }

    /// Whether the phrases stand in the subject or in the text.
    async fn says(&self, store: &Store, tenant: &Tenant, stored: &StoredMessage) -> Result<bool, StoreError> {
        let message = stored.message();
        let source = index::readable(store, tenant, stored).await?;
        let text = source.and_then(|source| parse::text_head(&source, TEXT_BYTES));
        let names =
            message.from.iter().chain(&message.to).chain(&message.cc).filter_map(|address| address.name.clone());
        let texts: Vec<String> = message.subject.iter().cloned().chain(text).chain(names).collect();
        Ok(self.query.says(&texts))
    }
}
