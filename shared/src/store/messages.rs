//! Messages, both ways: pulled ones are written here, lists show outgoing ones too.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    Place, StoreError, compact,
    cursor::{self, Page},
    keys::{self, Key},
    outgoing::{self, OutgoingRow},
    places::is_alias,
    table::{Item, Query, Table, Write, described, item, number, number_of, primary, row, text, text_of},
};
use crate::model::{AccountId, Direction, Message, MessageId, Tenant, Timestamp};

/// A pulled message as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// What lists show; its id comes from [`super::keys::incoming_id`].
    pub message: Message,
    /// What it is known by in its source: the text of a [`super::MessageKey`].
    pub key: String,
    /// Number of the pull run that stored it.
    pub run: u64,
    /// When it was stored.
    pub stored_at: Timestamp,
}

/// A stored message.
#[allow(clippy::large_enum_variant)] // pages of them are read, shown and dropped: a box each would only cost
#[derive(Clone, Debug, PartialEq)]
pub enum StoredMessage {
    /// Pulled.
    Incoming(Incoming),
    /// To send, or sent.
    Outgoing(OutgoingRow),
}

/// Whether a pulled message was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It was.
    New,
    /// It was stored before: nothing was changed.
    AlreadyThere,
}

/// What is known about a stored message without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Number of the pull run that stored it.
    pub run: u64,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// The caller has it in safety.
    pub acknowledged: bool,
    /// It was deleted at its server by us, and had no name there.
    pub gone: bool,
}

impl Known {
    /// What is known of a message that was stored right now.
    pub fn new(run: u64, stored_at: Timestamp) -> Self {
        Self { run, stored_at, acknowledged: false, gone: false }
    }
}

/// Which part of a mailbox's time line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Not older than this.
    pub since: Option<Timestamp>,
    /// Older than this.
    pub before: Option<Timestamp>,
}

/// Messages, by tenant and id.
#[derive(Clone, Debug)]
pub struct Messages {
    pub(super) table: Table,
}

impl Messages {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// Stores a pulled message unless it is there. Repeating it is harmless; a write that is repeated because its answer
    /// got lost counts as new all the same, so that its run knows of the message.
    pub async fn insert_incoming(&self, tenant: &Tenant, row: &Incoming) -> Result<Inserted, StoreError> {
        let item = incoming_item(tenant, row)?;
        match self.table.put(item, Some("attribute_not_exists(#pk)"), Vec::new()).await? {
            Write::Done(_) => Ok(Inserted::New),
            Write::Refused(Some(old)) if is_this_write(&old, row) => Ok(Inserted::New),
            Write::Refused(_) => Ok(Inserted::AlreadyThere),
        }
    }

    /// Notes in which message a file can be found that is too small to be an object of its own. Of several messages
    /// with the same file the last one counts.
    pub async fn note_file(&self, tenant: &Tenant, sha256: &str, id: &MessageId, part: u32) -> Result<(), StoreError> {
        let mut place = primary(&keys::file_place(tenant, sha256));
        place.insert("id".to_owned(), text(id.as_str()));
        place.insert("part".to_owned(), number(part));
        self.table.put(place, None, Vec::new()).await?;
        Ok(())
    }

    /// The message and the part of it that [`Messages::note_file`] has noted.
    pub async fn file_place(&self, tenant: &Tenant, sha256: &str) -> Result<Option<(MessageId, u32)>, StoreError> {
        let Some(item) = self.table.get(&keys::file_place(tenant, sha256)).await? else {
            return Ok(None);
        };
        let id = text_of(&item, "id").and_then(|id| MessageId::new(id).ok());
        id.zip(number_of(&item, "part")).map(Some).ok_or(StoreError::Corrupt { key: described(&item) })
    }

    /// The SHA-256 of a file that [`Messages::note_file`] has noted, by its first 32 hex digits (decision 18).
    pub async fn file_by_uuid(&self, tenant: &Tenant, digits: &str) -> Result<Option<String>, StoreError> {
        let values = vec![(":files", text(keys::file_places(tenant, digits)))];
        let query = Query { condition: "#pk = :files", values, limit: Some(1), ..Query::default() };
        let (items, _) = self.table.query(query).await?;
        Ok(items.first().and_then(|item| text_of(item, "sk")).map(str::to_owned))
    }

    /// Which of these ids are stored, read strongly consistent; half a unit each.
    pub async fn known(&self, tenant: &Tenant, ids: &[MessageId]) -> Result<HashMap<MessageId, Known>, StoreError> {
        let keys: Vec<Key> = ids.iter().map(|id| keys::message(tenant, id)).collect();
        let items = self.table.batch_get(&keys, Some("#pk, #sk, #run, #at, #ack, #gone")).await?;
        items.iter().map(known).collect()
    }

    /// One message.
    pub async fn get(&self, tenant: &Tenant, id: &MessageId) -> Result<Option<StoredMessage>, StoreError> {
        let item = self.table.get(&keys::message(tenant, id)).await?;
        let Some(item) = item.filter(|item| !is_alias(item)) else {
            return Ok(None);
        };
        let mut message = stored(item)?;
        outgoing::complete(&self.table, tenant, [&mut message].into_iter().filter_map(StoredMessage::outgoing)).await?;
        Ok(Some(message))
    }

    /// Reads what a row of a message to many leads to; nothing is read for others.
    pub async fn complete(&self, tenant: &Tenant, message: &mut StoredMessage) -> Result<(), StoreError> {
        outgoing::complete(&self.table, tenant, message.outgoing().into_iter()).await
    }

    /// A mailbox's messages, newest first, without those that are gone at their server. Strongly consistent rows behind
    /// an eventually consistent index.
    ///
    /// # Errors
    /// [`StoreError::Cursor`] for a cursor of another list, or an altered one.
    pub async fn list(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        range: Range,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<Page<StoredMessage>, StoreError> {
        let (ids, next_cursor) = self.time_line(tenant, account, range, limit, cursor).await?;
        Ok(Page { items: self.rows(tenant, &ids).await?, next_cursor })
    }

    /// A page of these places of a mailbox's time line, which are sorted newest first. A cursor of [`Messages::list`]
    /// goes on here, and the other way round.
    ///
    /// # Errors
    /// As there.
    pub async fn page(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        places: &[Place],
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<Page<StoredMessage>, StoreError> {
        let list = keys::mailbox(tenant, account);
        let after = cursor.map(|cursor| cursor::open(&list, cursor)).transpose()?;
        let sort_key = |place: &Place| keys::in_time_line(place.at, &place.id);
        let after = after.as_deref().map(|after| keys::directed(after).0);
        let seen = places.partition_point(|place| after.is_some_and(|after| *sort_key(place) >= *after));
        let left = &places[seen..];
        let shown = &left[..left.len().min(limit as usize)];
        let last = shown.last().filter(|_| shown.len() < left.len());
        let ids: Vec<MessageId> = shown.iter().map(|place| place.id.clone()).collect();
        let next_cursor = last.map(|place| cursor::seal(&list, &sort_key(place)));
        Ok(Page { items: self.rows(tenant, &ids).await?, next_cursor })
    }

    /// The messages of these ids, in this order. One that was deleted a moment ago may still stand in an index.
    pub async fn rows(&self, tenant: &Tenant, ids: &[MessageId]) -> Result<Vec<StoredMessage>, StoreError> {
        let keys: Vec<Key> = ids.iter().map(|id| keys::message(tenant, id)).collect();
        let items = self.table.batch_get(&keys, None).await?;
        let mut found = HashMap::new();
        for item in items {
            let message = stored(item)?;
            found.insert(message.id().clone(), message);
        }
        outgoing::complete(&self.table, tenant, found.values_mut().filter_map(StoredMessage::outgoing)).await?;
        Ok(ids.iter().filter_map(|id| found.remove(id)).filter(|message| !message.is_gone()).collect())
    }

    /// A cursor of [`Messages::list`] behind this message: for a page that ends before all that was read for it.
    pub fn cursor_behind(&self, tenant: &Tenant, message: &Message) -> String {
        let place = keys::in_time_line(message.received_at, &message.id);
        cursor::seal(&keys::mailbox(tenant, &message.account), &place)
    }

    /// Deletes a message with everything beside it in the table; false: there was none. Its objects in S3 stay.
    pub async fn delete(&self, tenant: &Tenant, id: &MessageId) -> Result<bool, StoreError> {
        let values = vec![(":pk", text(keys::message_items(tenant, id)))];
        let query = Query { condition: "#pk = :pk", values, projection: Some("#pk, #sk"), ..Query::default() };
        let deleted = self.table.delete(&keys::message(tenant, id), None, Vec::new()).await?;
        for item in self.table.query_all(query).await? {
            if let Some(key) = Key::of(&item) {
                self.table.delete(&key, None, Vec::new()).await?;
            }
        }
        let Write::Done(old) = deleted else { return Ok(false) };
        if let Some(place) = text_of(&old, "place").and_then(|place| MessageId::new(place).ok()) {
            self.table.delete(&keys::message(tenant, &place), Some("attribute_exists(#alias)"), Vec::new()).await?;
        }
        Ok(!old.is_empty())
    }

    /// Ids of one page, newest first, and the cursor behind them.
    pub(super) async fn time_line(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        range: Range,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<(Vec<MessageId>, Option<String>), StoreError> {
        let list = keys::mailbox(tenant, account);
        let before = range.before.map_or("~".to_owned(), |before| before.to_string());
        let after = cursor.map(|cursor| cursor::open(&list, cursor)).transpose()?;
        let since = range.since.map_or("0".to_owned(), |since| since.to_string());
        // BETWEEN holds both ends: a sort key is longer than the time it begins with, so `before` never meets one.
        let upper = after.clone().filter(|after| *after < before).unwrap_or(before);
        if upper < since {
            return Ok((Vec::new(), None));
        }
        let query = Query {
            index: Some(keys::BY_TIME),
            condition: "#lpk = :list AND #lsk BETWEEN :since AND :upper",
            values: vec![(":list", text(&list)), (":since", text(since)), (":upper", text(upper))],
            descending: true,
            // One more tells whether there is more; one more may be the cursor's own.
            limit: Some(limit.saturating_add(2)),
            projection: Some("#lsk"),
            ..Query::default()
        };
        let (items, mut more) = self.table.query(query).await?;
        let mut places: Vec<&str> = items
            .iter()
            .filter_map(|item| text_of(item, "lsk"))
            .filter(|place| Some(*place) != after.as_deref())
            .collect();
        more |= places.len() > limit as usize;
        places.truncate(limit as usize);
        let next_cursor = places.last().filter(|_| more).map(|place| cursor::seal(&list, place));
        Ok((places.iter().filter_map(|place| keys::id_in_time_line(place)).collect(), next_cursor))
    }
}

impl StoredMessage {
    /// Its id.
    pub fn id(&self) -> &MessageId {
        match self {
            Self::Incoming(row) => &row.message.id,
            Self::Outgoing(row) => &row.id,
        }
    }

    /// As lists show it.
    pub fn message(&self) -> Message {
        match self {
            Self::Incoming(row) => row.message.clone(),
            Self::Outgoing(row) => row.message(),
        }
    }

    /// Whether it was deleted at its server.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Incoming(row) if row.message.deleted_at.is_some())
    }

    fn outgoing(&mut self) -> Option<&mut OutgoingRow> {
        match self {
            Self::Incoming(_) => None,
            Self::Outgoing(row) => Some(row),
        }
    }
}

/// Whether what is there was written by this very attempt: the run alone does not tell, because an interrupted run and
/// the one behind it share their number, and what comes afresh in each of them would be new for ever.
fn is_this_write(old: &Item, row: &Incoming) -> bool {
    number_of(old, "run") == Some(row.run) && number_of(old, "at") == Some(row.stored_at.0)
}

/// Longest stored key in characters: it is for people, the id says it all.
const KEY_CHARS: usize = 1024;

fn incoming_item(tenant: &Tenant, row: &Incoming) -> Result<Item, StoreError> {
    let message = &row.message;
    let key = keys::message(tenant, &message.id);
    let packed = compact::packed(message.clone()).map_err(|_| StoreError::Corrupt { key: key.to_string() })?;
    let mut item = item(&key, &Map::from_iter([("m".to_owned(), packed)]))?;
    item.extend(keys::by_time(tenant, &message.account, message.received_at, &message.id, Direction::Incoming));
    let mut name = row.key.clone();
    compact::cut(&mut name, KEY_CHARS);
    item.insert("key".to_owned(), text(name));
    item.insert("run".to_owned(), number(row.run));
    item.insert("at".to_owned(), number(row.stored_at.0));
    Ok(item)
}

pub(super) fn stored(item: Item) -> Result<StoredMessage, StoreError> {
    if item.contains_key("fence") {
        return Ok(StoredMessage::Outgoing(row(item)?));
    }
    let read = || {
        let (_, id) = keys::message_of(text_of(&item, "pk")?)?;
        let (account, received_at) = keys::by_time_of(&item)?;
        let fields: Map<String, Value> =
            serde_dynamo::aws_sdk_dynamodb_1::from_attribute_value(item.get("m")?.clone()).ok()?;
        let message = compact::unpacked(fields, &id, &account, received_at).ok()?;
        let stored_at = Timestamp(number_of(&item, "at")?);
        Some(Incoming { message, key: text_of(&item, "key")?.to_owned(), run: number_of(&item, "run")?, stored_at })
    };
    read().map(StoredMessage::Incoming).ok_or_else(|| StoreError::Corrupt { key: described(&item) })
}

fn known(item: &Item) -> Result<(MessageId, Known), StoreError> {
    let read = || {
        let (_, id) = keys::message_of(text_of(item, "pk")?)?;
        let (run, stored_at) = (number_of(item, "run")?, Timestamp(number_of(item, "at")?));
        Some((id, Known { run, stored_at, acknowledged: item.contains_key("ack"), gone: item.contains_key("gone") }))
    };
    read().ok_or_else(|| StoreError::Corrupt { key: described(item) })
}
