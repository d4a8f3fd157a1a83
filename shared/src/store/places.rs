//! Where stored messages stand at their servers.
//!
//! A row's id follows from the key under which its message was pulled first. When the server renumbers or moves the
//! message, the row stays what it is: its key and folder are set anew, and an *alias* item under the id of the new key
//! leads to it, `{"alias": "<id of the row>"}`, so that no pull takes it for new. The row is written first: an alias
//! that is missing is written by the next run, while a row that knew nothing of its alias would act on the wrong
//! message.
//!
//! A message that was deleted at its server and is there again is moved as well, and not deleted any more.

use std::collections::{HashMap, HashSet};

use super::{
    StoreError,
    keys::{self, Key},
    messages::{Known, Messages, Range, StoredMessage, stored},
    table::{Item, Write, described, number, number_of, primary, text, text_of, value},
};
use crate::model::{AccountId, Message, MessageId, Tenant, Timestamp};

/// Ids that are read at once where all of a mailbox is looked through.
const PAGE: u32 = 1_000;

/// Messages of one moment that are looked at.
const SAME_MOMENT: u32 = 100;

/// Where a stored message stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its id.
    pub id: MessageId,
    /// The id that its key and folder make now: its own, or that of its alias.
    pub place: MessageId,
    /// Its key within its folder: the text of a [`super::MessageKey`].
    pub key: String,
    /// Number of the pull run that stored it there.
    pub run: u64,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// The caller has it in safety.
    pub acknowledged: bool,
}

impl Standing {
    /// What is known of it without reading it.
    pub fn known(&self) -> Known {
        Known { acknowledged: self.acknowledged, ..Known::new(self.run, self.stored_at) }
    }
}

/// A stored message and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// Where.
    pub standing: Standing,
    /// What.
    pub message: Message,
}

/// A place that a message has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPlace {
    /// The id that its key and folder make.
    pub place: MessageId,
    /// The key.
    pub key: String,
    /// The folder.
    pub folder: String,
    /// Number of the run that found it there.
    pub run: u64,
}

/// Whether an item only leads to a message.
pub(super) fn is_alias(item: &Item) -> bool {
    item.contains_key("alias")
}

impl Messages {
    /// One pulled message and where it stands; none for what is not there or was not pulled.
    pub async fn placed(&self, tenant: &Tenant, id: &MessageId) -> Result<Option<Placed>, StoreError> {
        let item = self.table.get(&keys::message(tenant, id)).await?;
        item.filter(is_row).map(placed).transpose()
    }

    /// The messages that stand at these places, whose ids are made from their keys. What stood there once and is
    /// elsewhere now, or deleted, is left out.
    pub async fn at(&self, tenant: &Tenant, places: &[MessageId]) -> Result<HashMap<MessageId, Placed>, StoreError> {
        let keys: Vec<Key> = places.iter().map(|id| keys::message(tenant, id)).collect();
        let (aliases, mut rows): (Vec<Item>, Vec<Item>) =
            self.table.batch_get(&keys, None).await?.into_iter().partition(is_alias);
        let targets: Vec<Key> = aliases
            .iter()
            .filter_map(|item| MessageId::new(text_of(item, "alias")?).ok())
            .map(|id| keys::message(tenant, &id))
            .collect();
        if !targets.is_empty() {
            rows.extend(self.table.batch_get(&targets, None).await?);
        }
        let (asked, mut found): (HashSet<_>, _) = (places.iter().collect(), HashMap::new());
        for item in rows.into_iter().filter(is_row) {
            let placed = placed(item)?;
            if placed.message.deleted_at.is_none() && asked.contains(&placed.standing.place) {
                found.insert(placed.standing.place.clone(), placed);
            }
        }
        Ok(found)
    }

    /// Everything that was pulled into an account from this folder and is not deleted, for whom `each` picks what it
    /// needs of it: a mailbox of 100,000 messages is more than a memory holds. Strongly consistent rows behind an
    /// eventually consistent index.
    pub async fn in_folder<T>(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        folder: &str,
        mut each: impl FnMut(Placed) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        let (mut picked, mut cursor) = (Vec::new(), None);
        loop {
            let (ids, next) = self.time_line(tenant, account, Range::default(), PAGE, cursor.as_deref()).await?;
            let keys: Vec<Key> = ids.iter().map(|id| keys::message(tenant, id)).collect();
            for item in self.table.batch_get(&keys, None).await?.into_iter().filter(is_row) {
                let placed = placed(item)?;
                if placed.message.folder.as_deref() == Some(folder) && placed.message.deleted_at.is_none() {
                    picked.extend(each(placed));
                }
            }
            cursor = next;
            if cursor.is_none() {
                return Ok(picked);
            }
        }
    }

    /// Messages that the server received at this moment (INTERNALDATE), deleted ones too: the same message in another
    /// folder is among them, because moving and copying keep it (RFC 3501 §6.4.7). Of more than a
    /// hundred only these many are told. Strongly consistent rows behind an eventually consistent index.
    pub async fn received_at(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        at: Timestamp,
    ) -> Result<Vec<Placed>, StoreError> {
        let moment = Range { since: Some(at), before: Some(Timestamp(at.0 + 1)) };
        let (ids, _) = self.time_line(tenant, account, moment, SAME_MOMENT, None).await?;
        let keys: Vec<Key> = ids.iter().map(|id| keys::message(tenant, id)).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.table.batch_get(&keys, None).await?.into_iter().filter(is_row).map(placed).collect()
    }

    /// Lets a message stand elsewhere: row, alias, and the alias before is gone. Can be repeated. False: the row is
    /// gone, or somebody else has moved it.
    pub async fn move_to(&self, tenant: &Tenant, from: &Standing, to: &NewPlace) -> Result<bool, StoreError> {
        let values = vec![
            (":old", text(&from.key)),
            (":key", text(&to.key)),
            (":place", text(to.place.as_str())),
            (":folder", text(&to.folder)),
        ];
        let update = "SET #key = :key, #place = :place, #m.#folder = :folder REMOVE #m.#deletedAt";
        let row = keys::message(tenant, &from.id);
        match self.table.update(&row, update, Some("attribute_exists(#m) AND #key = :old"), values).await? {
            Write::Done(_) => {}
            Write::Refused(Some(old)) if text_of(&old, "place") == Some(to.place.as_str()) => {}
            Write::Refused(_) => return Ok(false),
        }
        self.lead(tenant, from, &to.place, to.run).await?;
        if from.place != from.id && from.place != to.place {
            let old = keys::message(tenant, &from.place);
            self.table.delete(&old, Some("attribute_exists(#alias)"), Vec::new()).await?;
        }
        Ok(true)
    }

    /// Writes the alias that leads from a place to a row. A row that stands under that id itself is never overwritten.
    pub async fn lead(&self, tenant: &Tenant, from: &Standing, place: &MessageId, run: u64) -> Result<(), StoreError> {
        if *place == from.id {
            return Ok(());
        }
        let mut alias = primary(&keys::message(tenant, place));
        alias.insert("alias".to_owned(), text(from.id.as_str()));
        // What was left on the server belongs to no completed run, wherever it stands.
        alias.insert("run".to_owned(), number(if from.run == u64::MAX { u64::MAX } else { run }));
        alias.insert("at".to_owned(), number(from.stored_at.0));
        if from.acknowledged {
            alias.insert("ack".to_owned(), number(from.stored_at.0));
        }
        self.table.put(alias, Some("attribute_not_exists(#m)"), Vec::new()).await?;
        Ok(())
    }

    /// Sets a message's flags. False: it is gone.
    pub async fn set_flags(&self, tenant: &Tenant, id: &MessageId, flags: &[String]) -> Result<bool, StoreError> {
        let values = vec![(":flags", value(&flags)?)];
        let row = keys::message(tenant, id);
        let written = self.table.update(&row, "SET #m.#flags = :flags", Some("attribute_exists(#m)"), values).await?;
        Ok(matches!(written, Write::Done(_)))
    }

    /// Marks a message as deleted at its server, while it stands where it stood. False: it is gone, elsewhere now, or
    /// marked before.
    pub async fn mark_deleted(&self, tenant: &Tenant, at: &Standing, now: Timestamp) -> Result<bool, StoreError> {
        let values = vec![(":now", text(now.to_string())), (":key", text(&at.key))];
        let condition = "attribute_exists(#m) AND #key = :key AND attribute_not_exists(#m.#deletedAt)";
        let row = keys::message(tenant, &at.id);
        let written = self.table.update(&row, "SET #m.#deletedAt = :now", Some(condition), values).await?;
        Ok(matches!(written, Write::Done(_)))
    }
}

/// Whether an item is a pulled message.
fn is_row(item: &Item) -> bool {
    item.contains_key("m") && item.contains_key("run")
}

fn placed(item: Item) -> Result<Placed, StoreError> {
    let damaged = || StoreError::Corrupt { key: described(&item) };
    let place = text_of(&item, "place").map(|place| MessageId::new(place).map_err(|_| damaged())).transpose()?;
    let run = number_of(&item, "run").ok_or_else(damaged)?;
    let StoredMessage::Incoming(row) = stored(item.clone())? else { return Err(damaged()) };
    let id = row.message.id.clone();
    let place = place.unwrap_or_else(|| id.clone());
    let acknowledged = item.contains_key("ack");
    let standing = Standing { place, id, key: row.key, run, stored_at: row.stored_at, acknowledged };
    Ok(Placed { standing, message: row.message })
}
