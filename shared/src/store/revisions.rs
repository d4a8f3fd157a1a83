//! What changes about a stored message without a change of its mail: it is told again, read again, acknowledged, known
//! under another key, or deleted by us.

use super::{
    StoreError, compact, keys,
    messages::{Known, Messages, StoredMessage, stored},
    table::{Item, Write, number, primary, text, text_of, value},
};
use crate::model::{AccountId, Message, MessageId, Tenant, Timestamp};

/// Tries to write over a row that others write at the same moment.
const TRIES: u32 = 5;

impl Messages {
    /// Has a pulled message announced again: its event has the same id as before. False: there is no such message.
    pub async fn tell_again(&self, tenant: &Tenant, id: &MessageId) -> Result<bool, StoreError> {
        let condition = Some("attribute_exists(#m) AND attribute_exists(#run)");
        let values = vec![(":one", number(1))];
        let told = self.table.update(&keys::message(tenant, id), "ADD #told :one", condition, values).await?;
        Ok(matches!(told, Write::Done(_)))
    }

    /// Writes anew what lists show of a pulled message, and has it announced again. `change` gets the message as it is,
    /// perhaps several times. False: there is no such message.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: others wrote the row all the time.
    pub async fn revise(
        &self,
        tenant: &Tenant,
        id: &MessageId,
        change: impl Fn(Message) -> Message,
    ) -> Result<bool, StoreError> {
        let key = keys::message(tenant, id);
        for _ in 0..TRIES {
            let item = self.table.get(&key).await?.filter(|item| item.contains_key("run"));
            let Some((item, old)) = item.and_then(|item| item.get("m").cloned().map(|old| (item, old))) else {
                return Ok(false);
            };
            let StoredMessage::Incoming(row) = stored(item)? else { return Ok(false) };
            let packed = compact::packed(change(row.message));
            let new = value(&packed.map_err(|_| StoreError::Corrupt { key: key.to_string() })?)?;
            let values = vec![(":new", new.clone()), (":old", old), (":one", number(1))];
            match self.table.update(&key, "SET #m = :new ADD #told :one", Some("#m = :old"), values).await? {
                Write::Done(_) => return Ok(true),
                // The answer got lost and the SDK asked again: it is our own writing that is there.
                Write::Refused(Some(now)) if now.get("m") == Some(&new) => return Ok(true),
                Write::Refused(_) => {}
            }
        }
        Err(StoreError::Conflict { what: "the message" })
    }

    /// Notes that the caller has a pulled message of this account in safety; the first time counts. False: there is no
    /// such message.
    pub async fn acknowledge(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        id: &MessageId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const UPDATE: &str = "SET #ack = if_not_exists(#ack, :now)";
        let values = vec![(":now", number(now.0)), (":list", text(keys::mailbox(tenant, account)))];
        let condition = Some("attribute_exists(#m) AND attribute_exists(#run) AND #lpk = :list");
        let Write::Done(row) = self.table.update(&keys::message(tenant, id), UPDATE, condition, values).await? else {
            return Ok(false);
        };
        // What stands elsewhere now is looked for under the id of that place.
        if let Some(place) = text_of(&row, "place").and_then(|place| MessageId::new(place).ok()) {
            let condition = Some("attribute_exists(#alias)");
            let values = vec![(":now", number(now.0))];
            self.table.update(&keys::message(tenant, &place), UPDATE, condition, values).await?;
        }
        Ok(true)
    }

    /// SHA-256 of the source of the message that an id, or an alias, leads to.
    pub async fn sha256(&self, tenant: &Tenant, id: &MessageId) -> Result<Option<String>, StoreError> {
        let mut item = self.table.get(&keys::message(tenant, id)).await?;
        let alias = item.as_ref().and_then(|item| text_of(item, "alias")).and_then(|id| MessageId::new(id).ok());
        if let Some(id) = alias {
            item = self.table.get(&keys::message(tenant, &id)).await?;
        }
        let read = |item: Item| Some(item.get("m")?.as_m().ok()?.get("sha256")?.as_s().ok()?.clone());
        Ok(item.and_then(read))
    }

    /// Notes that a message was deleted at its server by us, and that it had no name there: an equal one that arrives is
    /// another.
    pub async fn mark_gone(&self, tenant: &Tenant, id: &MessageId) -> Result<(), StoreError> {
        let condition = Some("attribute_exists(#m)");
        let values = vec![(":yes", number(1))];
        self.table.update(&keys::message(tenant, id), "SET #gone = :yes", condition, values).await?;
        Ok(())
    }

    /// Lets a message be found under the id of another key as well: by an alias, `{"alias": "<id of the row>"}`. The row
    /// knows of it first. What stands under that id itself is never overwritten. False: the row is not there.
    pub async fn also_at(
        &self,
        tenant: &Tenant,
        id: &MessageId,
        place: &MessageId,
        row: &Known,
    ) -> Result<bool, StoreError> {
        let condition = Some("attribute_exists(#m)");
        let values = vec![(":place", text(place.as_str()))];
        let known = self.table.update(&keys::message(tenant, id), "SET #place = :place", condition, values).await?;
        if !matches!(known, Write::Done(_)) {
            return Ok(false);
        }
        let mut alias = primary(&keys::message(tenant, place));
        alias.insert("alias".to_owned(), text(id.as_str()));
        alias.insert("run".to_owned(), number(row.run));
        alias.insert("at".to_owned(), number(row.stored_at.0));
        self.table.put(alias, Some("attribute_not_exists(#m)"), Vec::new()).await?;
        Ok(true)
    }
}
