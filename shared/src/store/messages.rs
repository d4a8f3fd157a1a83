//! Messages, both ways: pulled ones are written here, lists show outgoing ones too.

use std::collections::HashMap;

use super::{StoreError, keys::MessageKey, outgoing::OutgoingRow, table::Table};
use crate::model::{AccountId, Message, MessageId, Tenant, Timestamp};

/// A pulled message as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// What lists show; its id comes from [`super::keys::incoming_id`].
    pub message: Message,
    /// What it is known by in its source: the text of a [`MessageKey`].
    pub key: String,
    /// Number of the pull run that stored it.
    pub run: u64,
    /// When it was stored.
    pub stored_at: Timestamp,
}

/// A stored message.
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
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// At most as many as asked for; fewer does not mean the end.
    pub items: Vec<T>,
    /// How to go on; none at the end.
    pub next_cursor: Option<String>,
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
    table: Table,
}

impl Messages {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// Stores a pulled message unless it is there. Repeating it is harmless, and the repetition within one run counts
    /// as new, so that an answer that got lost does not hide a message from its run.
    pub async fn insert_incoming(&self, tenant: &Tenant, row: &Incoming) -> Result<Inserted, StoreError> {
        todo!()
    }

    /// Which of these ids are stored, read strongly consistent; half a unit each.
    pub async fn known(&self, tenant: &Tenant, ids: &[MessageId]) -> Result<HashMap<MessageId, Known>, StoreError> {
        todo!()
    }

    /// One message.
    pub async fn get(&self, tenant: &Tenant, id: &MessageId) -> Result<Option<StoredMessage>, StoreError> {
        todo!()
    }

    /// A mailbox's messages, newest first. Strongly consistent rows behind an eventually consistent index.
    ///
    /// # Errors
    /// [`StoreError::Cursor`] for a cursor of another list, or an altered one.
    pub async fn list(&self, tenant: &Tenant, account: &AccountId, range: Range, limit: u32, cursor: Option<&str>) -> Result<Page<StoredMessage>, StoreError> {
        todo!()
    }

    /// Deletes a message with everything beside it in the table; false: there was none. Its objects in S3 stay.
    pub async fn delete(&self, tenant: &Tenant, id: &MessageId) -> Result<bool, StoreError> {
        todo!()
    }
}
