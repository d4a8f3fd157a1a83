//! What a record of the table's stream says: which row it is about, before and after.

use aws_lambda_events::event::dynamodb::EventRecord;

use super::{
    AccountStatus, Incoming, Ledger, StoreError, StoredMessage, keys, messages,
    places::is_alias,
    table::{Item, described, number_of, row, text_of},
};
use crate::model::{AccountId, Tenant, Timestamp};

/// A change of a row that may be an event.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Whose.
    pub tenant: Tenant,
    /// About when: the stream tells seconds.
    pub at: Timestamp,
    /// Names this change: the same however often its record is handed over.
    pub sequence: String,
    /// What changed.
    pub change: Change,
}

/// Which row changed, and how. None: it was not there, or is not there any more.
#[derive(Clone, Debug)]
pub enum Change {
    /// A message.
    Message {
        /// As it was.
        before: Option<Box<SeenMessage>>,
        /// As it is.
        after: Option<Box<SeenMessage>>,
    },
    /// An account's status.
    Status {
        /// Whose.
        account: AccountId,
        /// As it was.
        before: Option<Box<AccountStatus>>,
        /// As it is.
        after: Option<Box<AccountStatus>>,
    },
    /// How far pulling a folder has come.
    Ledger {
        /// Whose.
        account: AccountId,
        /// As it was.
        before: Option<Box<Ledger>>,
        /// As it is.
        after: Option<Box<Ledger>>,
    },
}

/// A message's row, with what only the stream looks at.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenMessage {
    /// The row.
    pub row: StoredMessage,
    /// Counts how often it was announced anew on purpose.
    pub told: u64,
}

impl SeenMessage {
    /// Its row where it was pulled.
    pub fn incoming(&self) -> Option<&Incoming> {
        match &self.row {
            StoredMessage::Incoming(row) => Some(row),
            StoredMessage::Outgoing(_) => None,
        }
    }
}

/// Reads a record; none where no event can come of it.
///
/// # Errors
/// [`StoreError::Corrupt`]: a row that is one of ours and cannot be read.
pub fn read(record: EventRecord) -> Result<Option<Changed>, StoreError> {
    let change = record.change;
    let keys: Item = change.keys.into();
    let [before, after]: [Item; 2] = [change.old_image.into(), change.new_image.into()];
    let (Some(pk), Some(sk)) = (text_of(&keys, "pk"), text_of(&keys, "sk")) else {
        return Err(StoreError::Corrupt { key: described(&keys) });
    };
    let sequence = change.sequence_number.unwrap_or_default();
    let at = Timestamp(change.approximate_creation_date_time.timestamp_millis());
    let found = match sk {
        "M" if keys::message_of(pk).is_some() => of_message(pk, before, after)?,
        _ => match (keys::status_of(pk, sk), keys::ledger_of(pk, sk)) {
            (Some((tenant, account)), _) => {
                let [before, after] = [optional(before)?, optional(after)?];
                Some((tenant, Change::Status { account, before, after }))
            }
            (None, Some((tenant, account))) => {
                let [before, after] = [optional(before)?, optional(after)?];
                Some((tenant, Change::Ledger { account, before, after }))
            }
            (None, None) => None,
        },
    };
    Ok(found.map(|(tenant, change)| Changed { tenant, at, sequence, change }))
}

fn of_message(pk: &str, before: Item, after: Item) -> Result<Option<(Tenant, Change)>, StoreError> {
    let Some((tenant, _)) = keys::message_of(pk) else { return Ok(None) };
    let [before, after] = [seen(before)?, seen(after)?];
    let there = before.is_some() || after.is_some();
    Ok(there.then_some((tenant, Change::Message { before, after })))
}

/// A message; none for a row that only leads to one.
fn seen(item: Item) -> Result<Option<Box<SeenMessage>>, StoreError> {
    if item.is_empty() || is_alias(&item) {
        return Ok(None);
    }
    let told = number_of(&item, "told").unwrap_or_default();
    Ok(Some(Box::new(SeenMessage { row: messages::stored(item)?, told })))
}

fn optional<T: serde::de::DeserializeOwned>(item: Item) -> Result<Option<Box<T>>, StoreError> {
    if item.is_empty() { Ok(None) } else { row(item).map(Box::new).map(Some) }
}
