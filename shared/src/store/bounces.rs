//! What came back about messages that were sent: found by their Message-ID, noted in their row.

use serde::{Deserialize, Serialize};

use super::{
    StoreError, keys,
    outbox::{CONFLICT, Outbox},
    outgoing::OutgoingRow,
    table::{Write, number, primary, text, text_of, value},
};
use crate::model::{MessageId, Tenant, report::Bounce};

/// Bounces of one message that its row holds: it is read by every list.
pub const NOTED_BOUNCES: usize = 100;

/// A bounce and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounced {
    /// The recipient as the row names him.
    pub address: String,
    /// What came back.
    #[serde(flatten)]
    pub bounce: Bounce,
}

impl Outbox {
    /// The message that left under this Message-ID, with its angle brackets. Our own begin with the message's id, so
    /// that this is one read; those that callers have given are looked up first.
    pub async fn by_message_id(&self, tenant: &Tenant, message_id: &str) -> Result<Option<OutgoingRow>, StoreError> {
        let id = match own(message_id) {
            Some(id) => Some(id),
            None => {
                let noted = self.table.get(&keys::message_id(tenant, message_id)).await?;
                noted.as_ref().and_then(|item| text_of(item, "id")).and_then(|id| MessageId::new(id).ok())
            }
        };
        let Some(id) = id else { return Ok(None) };
        Ok(self.get(tenant, &id).await?.filter(|row| row.message_id == message_id))
    }

    /// Notes which message leaves under a Message-ID that its caller has given; nothing is needed for our own. Before
    /// [`Outbox::insert`]; writing it again is harmless, and of several messages with one Message-ID the last counts.
    pub async fn note_message_id(&self, tenant: &Tenant, message_id: &str, id: &MessageId) -> Result<(), StoreError> {
        if own(message_id).as_ref() == Some(id) {
            return Ok(());
        }
        let mut item = primary(&keys::message_id(tenant, message_id));
        item.insert("id".to_owned(), text(id.as_str()));
        self.table.put(item, None, Vec::new()).await?;
        Ok(())
    }

    /// Replaces the bounces of a message, whatever else happens to it meanwhile: no attempt touches them.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: they were replaced since `row` was read; nothing was written.
    pub async fn note_bounces(
        &self,
        tenant: &Tenant,
        row: &OutgoingRow,
        bounces: &[Bounced],
    ) -> Result<(), StoreError> {
        let (unchanged, before) = match row.bounced {
            0 => ("attribute_exists(#fence) AND attribute_not_exists(#bounced)", None),
            count => ("#bounced = :before", Some((":before", number(count)))),
        };
        let mut values = vec![(":bounces", value(&bounces)?), (":bounced", number(row.bounced.saturating_add(1)))];
        values.extend(before);
        let update = "SET #bounces = :bounces, #bounced = :bounced";
        match self.table.update(&keys::message(tenant, &row.id), update, Some(unchanged), values).await? {
            Write::Done(_) => Ok(()),
            Write::Refused(_) => Err(CONFLICT),
        }
    }
}

/// The id of a message whose Message-ID we made ourselves.
fn own(message_id: &str) -> Option<MessageId> {
    let (id, _) = message_id.strip_prefix('<')?.split_once('@')?;
    MessageId::new(id).ok()
}
