//! What was sent is found like what was pulled, and sending it costs nothing for that.
//!
//! A mailbox's time line names its outgoing messages without their rows ([`Stretch`]), and the index remembers up to
//! which place of it they have joined. Whoever compacts, a pull or a search, reads those behind that place and lets them
//! join: two or three units of reading a message, once. A search reads by itself the few that have not joined: those of
//! the last [`SETTLED_SECONDS`], because a row may be a moment late in the time line, and up to [`FEW`] others, which are
//! not worth a segment.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::Query;
use super::index::{FIRST, entry};
use super::words::{Bag, MOST_PEOPLE};
use crate::mail::parse;
use crate::model::{AccountId, MessageId, Tenant, Timestamp};
use crate::ops::send;
use crate::store::{Entry, Joining, Manifest, OutgoingRow, Store, StoreError, StoredMessage, Stretch};

/// A message whose acceptance began so long ago is in the time line, or never will be.
const SETTLED_SECONDS: i64 = 120;

/// Places of the time line that are read at a time.
const STRIDE: u32 = 1000;

/// So many that have not joined are read by each search; more are let join first.
const FEW: usize = 50;

/// Most that one search reads by itself: beyond them it says what it has not searched.
const MOST: usize = 200;

/// Bodies that are read at a time.
const AT_ONCE: usize = 16;

/// Larger ones are not read: the body of a raw message may have as much as the message.
const BODY_BYTES: usize = 2 << 20;

/// Those behind the place up to which others have joined.
pub(super) async fn joining(
    store: &Store,
    tenant: &Tenant,
    account: &AccountId,
    manifest: &Manifest,
    now: Timestamp,
) -> Result<Joining, StoreError> {
    let before = now.plus_seconds(-SETTLED_SECONDS);
    let stretch = store.messages.accepted(tenant, account, manifest.joined(), before, STRIDE).await?;
    let entries = entries(store, tenant, &stretch.outgoing).await?;
    Ok(Joining { entries, until: stretch.until, more: stretch.more })
}

/// All that have not joined, as far as one request tells; none where only pulled messages are asked for.
pub(super) async fn rest(
    store: &Store,
    tenant: &Tenant,
    account: &AccountId,
    query: &Query,
    joined: &str,
) -> Result<Stretch, StoreError> {
    if query.is_pulled() {
        return Ok(Stretch::default());
    }
    // Our clock may be behind that of whoever accepted the last one.
    let before = Timestamp::now().plus_seconds(SETTLED_SECONDS);
    store.messages.accepted(tenant, account, joined, before, STRIDE).await
}

/// Whether so many of them could join that they should.
pub(super) async fn is_backlog(
    store: &Store,
    tenant: &Tenant,
    account: &AccountId,
    joined: &str,
    rest: &Stretch,
) -> Result<bool, StoreError> {
    let is_much = |stretch: &Stretch| stretch.more || stretch.outgoing.len() > FEW;
    if !is_much(rest) {
        return Ok(false);
    }
    let before = Timestamp::now().plus_seconds(-SETTLED_SECONDS);
    Ok(is_much(&store.messages.accepted(tenant, account, joined, before, STRIDE).await?))
}

/// What stands in them, and since when others are left out.
pub(super) async fn read(
    store: &Store,
    tenant: &Tenant,
    stretch: &Stretch,
) -> Result<(Vec<Entry>, Option<Timestamp>), StoreError> {
    let looked_at = &stretch.outgoing[..stretch.outgoing.len().min(MOST)];
    let entries = entries(store, tenant, looked_at).await?;
    let left_out = if looked_at.len() < stretch.outgoing.len() {
        entries.iter().map(|entry| entry.written.place.at).max()
    } else {
        stretch.end().filter(|_| stretch.more)
    };
    Ok((entries, left_out))
}

async fn entries(store: &Store, tenant: &Tenant, ids: &[MessageId]) -> Result<Vec<Entry>, StoreError> {
    let rows = store.messages.rows(tenant, ids).await?.into_iter().filter_map(|stored| match stored {
        StoredMessage::Outgoing(row) => Some(row),
        StoredMessage::Incoming(_) => None,
    });
    let reads = rows.map(|row| async move {
        let source = readable(store, tenant, &row).await?;
        Ok(entry(&row.message(), source.as_deref(), FIRST))
    });
    stream::iter(reads.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await
}

/// Adds what only the source of an outgoing message says: what people and files are called.
pub(super) fn add_names(bag: &mut Bag, source: &[u8]) {
    let parsed = parse::parse(source);
    let people = parsed.to.iter().chain(&parsed.cc).chain(&parsed.reply_to).take(MOST_PEOPLE);
    people.for_each(|person| bag.add_person(person));
    parsed.attachments.iter().filter_map(|file| file.filename.as_deref()).for_each(|name| bag.add(name));
}

/// The source without its files; none where it cannot be composed any more, or its body has more than [`BODY_BYTES`].
/// PII tokens stay tokens.
pub(super) async fn readable(store: &Store, tenant: &Tenant, row: &OutgoingRow) -> Result<Option<Vec<u8>>, StoreError> {
    let request = match store.outbox.body_within(tenant, row, BODY_BYTES).await {
        Err(StoreError::Missing { .. }) => None,
        read => read?,
    };
    let Some(request) = request else { return Ok(None) };
    match send::readable(&request, row) {
        Ok(source) => Ok(Some(source)),
        Err(problem) => {
            // Its row still tells people and subject.
            tracing::warn!(id = %row.id, %problem, "an outgoing message cannot be read for the index of words");
            Ok(None)
        }
    }
}
