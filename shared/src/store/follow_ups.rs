//! What follows on a message that has left: taken and settled like the message itself, from the same row and the same
//! due index, so that it costs no item of its own and nothing where nothing follows.

use super::{
    StoreError, keys,
    outbox::{CONFLICT, Outbox, is_attempt, set_recipients},
    outgoing::{OutgoingRow, state_name},
    random,
    table::{Values, Write, number, text, value},
};
use crate::model::{MessageId, SendState, Tenant, Timestamp, follow_up::Copy};

impl Outbox {
    /// Claims what follows on a message, if that is due or was handed on for then. `None`: nothing is, or somebody else
    /// is at it.
    pub async fn take_follow_up(
        &self,
        tenant: &Tenant,
        id: &MessageId,
        handed: Option<Timestamp>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<OutgoingRow>, StoreError> {
        let attempt = random::hex(8);
        let values = vec![
            (":attempt", text(&attempt)),
            (":until", number(until.0)),
            (":now", number(now.0)),
            (":handed", number(handed.unwrap_or(now).0)),
        ];
        let update = "SET #attempt = :attempt, #due = :until REMOVE #turn";
        let due = "attribute_exists(#followUp) AND (#due <= :now OR #due = :handed)";
        match self.table.update(&keys::message(tenant, id), update, Some(due), values).await? {
            Write::Done(item) => Ok(Some(self.read(tenant, item).await?)),
            // The answer got lost and the SDK asked again: it is ourselves who took it.
            Write::Refused(Some(old)) if is_attempt(&old, &attempt) => Ok(Some(self.read(tenant, old).await?)),
            Write::Refused(_) => Ok(None),
        }
    }

    /// Writes how far it came: everything that may have changed of `row`, which was claimed. Without `follow_up`
    /// nothing more follows, and `due` counts only for a message that is to be sent again.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: the claim was lost; nothing was written.
    pub async fn settle_follow_up(&self, tenant: &Tenant, row: &OutgoingRow) -> Result<(), StoreError> {
        let waits = row.follow_up.is_some() || matches!(row.state, SendState::Queued | SendState::Deferred);
        let mut update = "SET #state = :state, #after = :after".to_owned();
        let mut values: Values<'_> = vec![
            (":state", text(state_name(row.state))),
            (":after", value(&row.after)?),
            (":attempt", text(&row.attempt)),
        ];
        if let Some(sent_at) = row.sent_at {
            update.push_str(", #sentAt = :sent");
            values.push((":sent", value(&sent_at)?));
        }
        let written = self.recipients(tenant, row, "-u", &row.recipients).await?;
        update.push_str(&set_recipients(written, &mut values)?);
        if let Some(due) = row.due.filter(|_| waits) {
            update.push_str(", #due = :due");
            values.push((":due", number(due.0)));
        }
        if let Some(tries) = row.follow_up {
            update.push_str(", #followUp = :tries");
            values.push((":tries", number(tries)));
        }
        let listed = matches!(row.state, SendState::Queued | SendState::Deferred | SendState::Unknown);
        update.push_str(" REMOVE #turn");
        update.push_str(if row.follow_up.is_some() { "" } else { ", #followUp" });
        update.push_str(if waits { "" } else { ", #due, #duesh" });
        update.push_str(if listed { "" } else { ", #opk, #osk" });
        // Repeated by the SDK after a lost answer it is refused, for there is nothing to follow any more: whoever is
        // told of a conflict has nothing left to do either.
        let claimed = "#attempt = :attempt AND attribute_exists(#followUp)";
        match self.table.update(&keys::message(tenant, &row.id), &update, Some(claimed), values).await? {
            Write::Done(_) => Ok(()),
            Write::Refused(_) => Err(CONFLICT),
        }
    }

    /// Notes how a copy fares that somebody else than [`crate::ops::follow_up`] makes.
    pub async fn note_copy(&self, tenant: &Tenant, row: &OutgoingRow, copy: &Copy) -> Result<(), StoreError> {
        let mut after = row.after.clone();
        after.copy = Some(copy.clone());
        let values = vec![(":after", value(&after)?), (":attempt", text(&row.attempt))];
        let unchanged = "#attempt = :attempt AND attribute_not_exists(#followUp)";
        let key = keys::message(tenant, &row.id);
        match self.table.update(&key, "SET #after = :after", Some(unchanged), values).await? {
            Write::Done(_) => Ok(()),
            Write::Refused(_) => Err(CONFLICT),
        }
    }
}
