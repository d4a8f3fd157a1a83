//! What comes into the index, and when.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::words::Bag;
use super::{SOURCE_BYTES, TEXT_BYTES, outgoing};
use crate::mail::{Deadline, parse};
use crate::model::{AccountId, Direction, Message, MessageId, Tenant, Timestamp};
use crate::store::{Entry, Place, Store, StoreError, StoredMessage, TAKEN_AT_ONCE, Written};

/// Longest time that compacting may take from a pull: a tenth of a second is usual, a second for the largest.
const COMPACTING: Duration = Duration::from_secs(15);

/// What it gets of a pull that has used up its time: or a mailbox where all of them do would never be compacted.
const AT_LEAST: Duration = Duration::from_secs(2);

/// Puts the words of messages into the tail: of those that come while a write is under way all by the next one.
#[derive(Debug)]
pub(in crate::ops) struct Indexer {
    store: Store,
    tenant: Tenant,
    account: AccountId,
    waiting: Mutex<Vec<Entry>>,
    turn: tokio::sync::Mutex<()>,
}

impl Indexer {
    pub(in crate::ops) fn new(store: &Store, tenant: &Tenant, account: &AccountId) -> Self {
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
    pub(in crate::ops) async fn index(&self, message: &Message, source: Option<&[u8]>) -> Result<(), StoreError> {
        let entry = entry(message, source, FIRST);
        let written = entry.written.clone();
        self.waiting().push(entry);
        let _turn = self.turn.lock().await;
        let mut batch = std::mem::take(&mut *self.waiting());
        if !batch.iter().any(|entry| entry.written == written) {
            // Somebody else's write took it along while this one waited for its turn.
            self.waiting().append(&mut batch);
            return Ok(());
        }
        let appended = self.store.search.append(&self.tenant, &self.account, &batch, Timestamp::now()).await;
        if appended.is_err() {
            // Each of them tries for itself.
            batch.retain(|entry| entry.written != written);
            self.waiting().append(&mut batch);
        }
        appended
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a stored message into the index again, after its row: it is elsewhere now, says something else, or is gone.
/// Where this is not reached it is still found by what it said, and counted where it was.
pub(in crate::ops) async fn renew(store: &Store, tenant: &Tenant, id: &MessageId) -> Result<(), StoreError> {
    let Some(stored) = store.messages.get(tenant, id).await? else {
        return Ok(());
    };
    let source = if stored.is_gone() { None } else { readable(store, tenant, &stored).await? };
    rewrite(store, tenant, &stored.message(), source.as_deref()).await
}

/// The same where row and source are at hand.
pub(in crate::ops) async fn rewrite(
    store: &Store,
    tenant: &Tenant,
    message: &Message,
    source: Option<&[u8]>,
) -> Result<(), StoreError> {
    let now = Timestamp::now();
    store.search.append(tenant, &message.account, &[entry(message, source, now.0)], now).await
}

/// Moves the tail of the index into a segment, and with it what was sent since the last time; within `deadline` and some
/// seconds. That it did not is no failure of the pull: nothing is lost wherever it stops, and a later one does it.
pub(in crate::ops) async fn compact(store: &Store, tenant: &Tenant, account: &AccountId, deadline: Deadline) {
    let time = deadline.left().clamp(AT_LEAST, COMPACTING);
    match tokio::time::timeout(time, pack(store, tenant, account)).await {
        Ok(Ok(entries)) => tracing::debug!(entries, "the index of words was compacted"),
        Ok(Err(error)) if error.is_conflict() => tracing::debug!(%error, "somebody else compacts"),
        Ok(Err(error)) => tracing::warn!(%error, "the index of words was not compacted; a later pull does"),
        Err(_) => tracing::debug!("there was no time to compact the index of words; a later pull does"),
    }
}

async fn pack(store: &Store, tenant: &Tenant, account: &AccountId) -> Result<usize, StoreError> {
    let mut entries = 0;
    loop {
        let manifest = store.search.manifest(tenant, account).await?;
        let joining = outgoing::joining(store, tenant, account, &manifest, Timestamp::now()).await?;
        let more = joining.more;
        let moved = store.search.compact(tenant, account, manifest, joining).await?;
        entries += moved;
        if !more && moved < TAKEN_AT_ONCE {
            return Ok(entries);
        }
    }
}

/// Whether the tail is moved into a segment behind this message. An id is a hash: without a counter that had to be
/// written, one of 128 is chosen.
pub(in crate::ops) fn is_due(id: &MessageId) -> bool {
    id.as_str().starts_with("00") || id.as_str().starts_with("01")
}

/// The version of what was never written before.
pub(super) const FIRST: i64 = 0;

/// What stands in a message; nothing in one that is gone.
pub(super) fn entry(message: &Message, source: Option<&[u8]>, version: i64) -> Entry {
    let mut bag = Bag::default();
    if version > FIRST {
        bag.add_rewritten();
    }
    if message.deleted_at.is_none() {
        bag.add_place(message);
        bag.add_message(message);
        if let (Direction::Outgoing, Some(source)) = (message.direction, source) {
            outgoing::add_names(&mut bag, source);
        }
        let head = source.map(|source| source.get(..SOURCE_BYTES).unwrap_or(source));
        if let Some(text) = head.and_then(|head| parse::text_head(head, TEXT_BYTES)) {
            bag.add(&text);
        }
    }
    let place = Place { at: message.received_at, id: message.id.clone() };
    Entry { written: Written { place, version }, words: bag.sorted() }
}

/// The source of a message, as far as words are looked for in it; none where it cannot be had.
pub(super) async fn readable(
    store: &Store,
    tenant: &Tenant,
    stored: &StoredMessage,
) -> Result<Option<Vec<u8>>, StoreError> {
    match stored {
        StoredMessage::Outgoing(row) => outgoing::readable(store, tenant, row).await,
        StoredMessage::Incoming(row) if row.message.sha256.is_none() || row.message.state == "quarantined" => Ok(None),
        StoredMessage::Incoming(row) => {
            match store.files.get_raw_head(tenant, &row.message.id, SOURCE_BYTES as u64).await {
                Ok(source) => Ok(Some(source.to_vec())),
                Err(StoreError::Missing { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        }
    }
}
