//! The outgoing messages of a mailbox in the order in which they were accepted: the time line tells which they are, so
//! that no row of another message is read for it.

use super::{
    StoreError, keys,
    messages::Messages,
    table::{Query, text, text_of},
};
use crate::model::{AccountId, Direction, MessageId, Tenant, Timestamp};

/// A stretch of a mailbox's time line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// The outgoing messages in it, oldest first.
    pub outgoing: Vec<MessageId>,
    /// Where it ends: the next one begins behind it.
    pub until: String,
    /// Whether there are more messages of the time that was asked for.
    pub more: bool,
}

impl Stretch {
    /// Its end as a time; none where nothing was looked at.
    pub fn end(&self) -> Option<Timestamp> {
        Timestamp::parse(self.until.split('#').next()?)
    }
}

impl Messages {
    /// What follows in the time line on the end of another stretch (empty: from its beginning) and was accepted before
    /// a time. Eventually consistent: what was accepted a moment ago may be missing. Half a unit for some 20 messages.
    pub async fn accepted(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        behind: &str,
        before: Timestamp,
        limit: u32,
    ) -> Result<Stretch, StoreError> {
        let before = before.to_string();
        if *behind >= *before {
            return Ok(Stretch { until: behind.to_owned(), ..Stretch::default() });
        }
        // A sort key begins with a digit, and BETWEEN takes no empty text.
        let from = if behind.is_empty() { "0" } else { behind };
        let query = Query {
            index: Some(keys::BY_TIME),
            condition: "#lpk = :list AND #lsk BETWEEN :from AND :before",
            values: vec![
                (":list", text(keys::mailbox(tenant, account))),
                (":from", text(from)),
                (":before", text(&before)),
            ],
            limit: Some(limit),
            projection: Some("#lsk"),
            ..Query::default()
        };
        let (items, more) = self.table.query(query).await?;
        let places: Vec<&str> = items.iter().filter_map(|item| text_of(item, "lsk")).collect();
        let sent = places.iter().filter(|place| **place != behind && keys::directed(place).1 == Direction::Outgoing);
        let outgoing = sent.filter_map(|place| keys::id_in_time_line(place)).collect();
        let until = places.last().filter(|_| more).map_or(before, |last| (*last).to_owned());
        Ok(Stretch { outgoing, until, more })
    }
}
