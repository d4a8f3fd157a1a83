//! Storing what was fetched: source, files, words, row, in this order, several messages at a time.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::task::JoinSet;

use super::contents::{self, Contents};
use super::spool::{Landing, MEMORY_BYTES, Source};
use super::threads;
use crate::mail::parse::{self, Parsed};
use crate::model::message::thread_of;
use crate::model::{AccountId, Direction, Message, MessageId, Tenant, TextSizes, Timestamp};
use crate::ops::bounces;
use crate::ops::search::{self, Indexer};
use crate::store::{Incoming, Inserted, Store, StoreError};

/// Messages on their way into storage at a time: enough to hide a round trip, few enough to bound the memory.
const IN_FLIGHT: usize = 8;

/// Bytes on their way into storage at a time, beyond the first message.
const BYTES_IN_FLIGHT: usize = 16 << 20;

/// Smaller attachments are read from the source: a PUT costs more than the bytes.
pub const FILE_BYTES: u64 = 4096;

/// Of a message on disk, words are found in its first bytes: texts come before files.
const HEAD_BYTES: usize = 1 << 20;

/// The state of a message that is there.
const RECEIVED: &str = "received";

/// The state of a message that is there and could not be read.
const QUARANTINED: &str = "quarantined";

/// The state of a message that the server did not get through with.
const STALLED: &str = "stalled";

/// What arrived of a message.
pub(super) enum Content {
    /// All of it.
    Whole(Source),
    /// All of it, but whoever parsed it died: it is kept unread.
    Unread(Source),
    /// Only its beginning: it is larger than the account allows, and stays on the server.
    TooLarge(Vec<u8>),
    /// Only its beginning, if anything: the server does not get through with it, and it stays there.
    Stalled(Vec<u8>),
    /// Nothing: the server lists it and does not give it.
    Withheld,
    /// All of it, but our own disk would not take it.
    Failed(io::Error),
}

/// A message as it came from the server.
pub(super) struct Arrival {
    pub(super) id: MessageId,
    /// The key that the id follows from.
    pub(super) key: String,
    pub(super) folder: String,
    pub(super) flags: Vec<String>,
    pub(super) received_at: Option<Timestamp>,
    /// Size that the server announced.
    pub(super) size: u64,
    /// The server's own name of the message (RFC 8474 §5.1).
    pub(super) email_id: Option<String>,
    pub(super) run: u64,
    pub(super) content: Content,
}

/// A message that is durable now.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Where it stood in the listing: UID or number.
    pub(super) place: u32,
    pub(super) id: MessageId,
    pub(super) new: bool,
}

/// Stores messages concurrently, within bounds.
pub(super) struct Keeper {
    store: Store,
    tenant: Tenant,
    account: AccountId,
    indexer: Arc<Indexer>,
    tasks: JoinSet<(usize, Result<Kept, StoreError>)>,
    bytes: usize,
    kept: Vec<Kept>,
    failure: Option<StoreError>,
}

impl Keeper {
    pub(super) fn new(store: &Store, tenant: &Tenant, account: &AccountId) -> Self {
        Self {
            store: store.clone(),
            tenant: tenant.clone(),
            account: account.clone(),
            indexer: Arc::new(Indexer::new(store, tenant, account)),
            tasks: JoinSet::new(),
            bytes: 0,
            kept: Vec::new(),
            failure: None,
        }
    }

    /// Begins to store a message; waits while too much is under way.
    pub(super) async fn keep(&mut self, place: u32, arrival: Arrival) {
        let size = arrival.content.bytes();
        while self.tasks.len() >= IN_FLIGHT || (!self.tasks.is_empty() && self.bytes + size > BYTES_IN_FLIGHT) {
            self.settle().await;
        }
        self.bytes += size;
        let (store, tenant, account) = (self.store.clone(), self.tenant.clone(), self.account.clone());
        let indexer = Arc::clone(&self.indexer);
        self.tasks.spawn(async move {
            let (id, stored) = (arrival.id.clone(), put(&store, &tenant, account, arrival, &indexer).await);
            (size, stored.map(|inserted| Kept { place, id, new: inserted == Inserted::New }))
        });
    }

    /// Waits for all that is under way. What was stored, by place; and the first failure, if there was one.
    pub(super) async fn finish(mut self) -> (Vec<Kept>, Option<StoreError>) {
        while !self.tasks.is_empty() {
            self.settle().await;
        }
        self.kept.sort_by_key(|kept| kept.place);
        (self.kept, self.failure)
    }

    async fn settle(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok((size, stored))) => {
                self.bytes -= size;
                match stored {
                    Ok(kept) => self.kept.push(kept),
                    Err(error) => self.failure = self.failure.take().or(Some(error)),
                }
            }
            // A task that panicked has stored no row: the message is fetched again, and the window counts it.
            Some(Err(error)) => {
                tracing::error!(%error, "storing a message panicked");
                self.failure = self
                    .failure
                    .take()
                    .or(Some(StoreError::Missing { what: "the row of a message whose storing panicked" }));
            }
            None => {}
        }
    }
}

impl Content {
    /// What has landed; unread, where whoever parsed it died.
    pub(super) fn of(landed: io::Result<Source>, unread: bool) -> Self {
        match landed {
            Ok(source) if unread => Self::Unread(source),
            Ok(source) => Self::Whole(source),
            Err(error) => Self::Failed(error),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            // Of one on disk this much is in memory while it is read.
            Self::Whole(Source::Disk(_)) | Self::Unread(Source::Disk(_)) => BYTES_IN_FLIGHT - MEMORY_BYTES,
            Self::Whole(Source::Memory(bytes)) | Self::Unread(Source::Memory(bytes)) => bytes.len(),
            Self::TooLarge(head) | Self::Stalled(head) => head.len(),
            Self::Withheld | Self::Failed(_) => 0,
        }
    }

    /// What may be parsed, or the beginning of it.
    fn readable(&self) -> Option<Bytes> {
        match self {
            Self::Whole(Source::Memory(bytes)) => Some(bytes.clone()),
            Self::Whole(Source::Disk(spool)) => Some(spool.head(HEAD_BYTES).into()),
            Self::TooLarge(head) | Self::Stalled(head) => Some(head.clone().into()),
            Self::Unread(_) | Self::Withheld | Self::Failed(_) => None,
        }
    }
}

async fn put(
    store: &Store,
    tenant: &Tenant,
    account: AccountId,
    arrival: Arrival,
    indexer: &Indexer,
) -> Result<Inserted, StoreError> {
    let now = Timestamp::now();
    let mut message = outline(&arrival, account, now);
    if let Content::Failed(error) = arrival.content {
        return Err(StoreError::disk("keeping a large message", error));
    }
    match &arrival.content {
        Content::Whole(source) | Content::Unread(source) => {
            put_source(store, tenant, &arrival.id, source).await?;
            message.sha256 = Some(hex::encode(source.sha256()));
            message.size = source.len();
        }
        Content::TooLarge(_) => message.state = "tooLarge".to_owned(),
        Content::Stalled(_) => message.state = STALLED.to_owned(),
        Content::Withheld | Content::Failed(_) => message.state = QUARANTINED.to_owned(),
    }
    match &arrival.content {
        Content::Whole(source) => fill(&mut message, contents::of(store, tenant, &arrival.id, source).await?),
        Content::TooLarge(head) | Content::Stalled(head) => describe(&mut message, parse::parse(head)),
        Content::Unread(_) => message.state = QUARANTINED.to_owned(),
        Content::Withheld | Content::Failed(_) => {}
    }
    threads::join(store, tenant, &mut message).await?;
    let readable = arrival.content.readable().filter(|_| message.state != QUARANTINED);
    if let (Content::Whole(_), Some(source)) = (&arrival.content, &readable) {
        bounces::recognise(store, tenant, &mut message, source).await?;
    }
    indexer.index(&message, readable.as_deref()).await?;
    // What is left on the server belongs to no completed run: so it is never deleted there.
    let left = matches!(arrival.content, Content::TooLarge(_) | Content::Stalled(_) | Content::Withheld);
    let run = if left { u64::MAX } else { arrival.run };
    store.messages.insert_incoming(tenant, &Incoming { message, key: arrival.key, run, stored_at: now }).await
}

async fn put_source(store: &Store, tenant: &Tenant, id: &MessageId, source: &Source) -> Result<(), StoreError> {
    match source {
        Source::Memory(raw) => store.files.put_raw(tenant, id, raw.clone(), &source.sha256()).await,
        Source::Disk(spool) => store.files.put_raw_streamed(tenant, id, &spool.streamed()).await,
    }
}

/// Writes into a row what its message says; one that could not be read is kept with its source, for another try.
pub(super) fn fill(message: &mut Message, contents: Option<Contents>) {
    match contents {
        Some(Contents { parsed, attachments }) => {
            describe(message, parsed);
            message.has_attachments = !attachments.is_empty();
            message.attachments = attachments;
        }
        None => message.state = QUARANTINED.to_owned(),
    }
}

/// Reads a stored message again from its source, into the same row. False: it has no source here, or could not be read.
pub async fn reread(store: &Store, tenant: &Tenant, row: &Incoming) -> Result<bool, StoreError> {
    if row.message.sha256.is_none() {
        return Ok(false);
    }
    let mut landing = Landing::default();
    let id = &row.message.id;
    match store.files.read_raw(tenant, id, |piece| landing.take(piece)).await {
        Err(StoreError::Missing { .. }) => return Ok(false),
        read => read?,
    }
    let source = landing.finish().map_err(|error| StoreError::disk("keeping a large message", error))?;
    let Some(contents) = contents::of(store, tenant, id, &source).await? else { return Ok(false) };
    let mut read = Message { state: RECEIVED.to_owned(), ..row.message.clone() };
    fill(&mut read, Some(contents));
    threads::join(store, tenant, &mut read).await?;
    if let Some(head) = Content::Whole(source).readable() {
        bounces::recognise(store, tenant, &mut read, &head).await?;
        search::rewrite(store, tenant, &read, Some(&head)).await?;
    }
    // Flags, folder and deletion are the server's, and may have changed meanwhile.
    let change =
        |now: Message| Message { flags: now.flags, folder: now.folder, deleted_at: now.deleted_at, ..read.clone() };
    store.messages.revise(tenant, id, change).await
}

fn outline(arrival: &Arrival, account: AccountId, now: Timestamp) -> Message {
    Message {
        id: arrival.id.clone(),
        account,
        direction: Direction::Incoming,
        folder: Some(arrival.folder.clone()),
        subject: None,
        from: None,
        many_from: false,
        to: Vec::new(),
        cc: Vec::new(),
        reply_to: Vec::new(),
        date: None,
        received_at: arrival.received_at.unwrap_or(now),
        size: arrival.size,
        flags: arrival.flags.clone(),
        message_id: None,
        in_reply_to: None,
        thread_id: thread_of(arrival.id.as_str()),
        preview: String::new(),
        text_sizes: None,
        has_attachments: false,
        attachments: Vec::new(),
        sha256: None,
        email_id: arrival.email_id.clone(),
        state: RECEIVED.to_owned(),
        correlation: None,
        deleted_at: None,
        delivery: None,
        auto_reply: None,
        report: None,
    }
}

fn describe(message: &mut Message, parsed: Parsed) {
    let first = parsed.references.first().or(parsed.in_reply_to.first()).or(parsed.message_id.as_ref());
    if let Some(first) = first {
        message.thread_id = thread_of(first);
    }
    message.many_from = parsed.has_many_authors();
    message.subject = (!parsed.subject.is_empty()).then_some(parsed.subject);
    message.from = parsed.from.into_iter().next();
    message.to = parsed.to;
    message.cc = parsed.cc;
    message.reply_to = parsed.reply_to;
    message.date = parsed.date.map(Timestamp::from);
    message.message_id = parsed.message_id;
    message.in_reply_to = parsed.in_reply_to.into_iter().next();
    message.preview = parsed.preview;
    message.text_sizes = Some(parsed.text_sizes).filter(|sizes| *sizes != TextSizes::default());
}

/// IMAP INTERNALDATE (RFC 3501 §9, date-time): `17-Jul-1996 02:44:25 -0700`, the day padded by a blank.
pub(super) fn internal_date(text: &str) -> Option<Timestamp> {
    let format = time::macros::format_description!(
        version = 2,
        "[day padding:none]-[month repr:short]-[year] [hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
    );
    OffsetDateTime::parse(text.trim(), format).ok().map(Timestamp::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Address;

    #[test]
    fn internal_dates_are_read_with_their_zone() {
        assert_eq!(internal_date("17-Jul-1996 02:44:25 -0700"), Timestamp::parse("1996-07-17T09:44:25Z"));
        assert_eq!(internal_date(" 7-Feb-2026 12:00:00 +0000"), Timestamp::parse("2026-02-07T12:00:00Z"));
        assert_eq!(internal_date("yesterday"), None);
    }

    #[test]
    fn answers_share_the_thread_of_the_first_message() {
        let arrival = |id: &str| Arrival {
            id: MessageId::derived(&[id]),
            key: String::new(),
            folder: "INBOX".into(),
            flags: vec![],
            received_at: None,
            size: 1,
            email_id: None,
            run: 1,
            content: Content::TooLarge(vec![]),
        };
        let threaded = |id: &str, raw: &[u8]| {
            let mut message = outline(&arrival(id), AccountId::new("a").unwrap(), Timestamp(0));
            describe(&mut message, parse::parse(raw));
            message
        };
        let first = threaded("1", b"Message-ID: <1@x>\r\nFrom: a@example.com\r\n\r\nhi");
        let answer = threaded("2", b"Message-ID: <2@x>\r\nReferences: <1@x> <0@x>\r\nIn-Reply-To: <0@x>\r\n\r\nhi");
        let other = threaded("3", b"\r\nhi");
        assert_eq!(first.thread_id, answer.thread_id);
        assert_ne!(first.thread_id, other.thread_id);
        assert_eq!(first.from, Some(Address::bare("a@example.com")));
    }
}
