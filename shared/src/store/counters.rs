//! Counters of what happens within a window of time, the same for every instance of every function.

use super::{
    StoreError, keys,
    table::{Table, Write, number, number_of},
};
use crate::model::{Tenant, Timestamp};

/// Counters, by tenant and what is counted.
#[derive(Clone, Debug)]
pub struct Counters {
    table: Table,
}

impl Counters {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// Counts one more in the window that begins then, and returns how many there are. The item goes by itself when
    /// the window is over.
    pub async fn count(&self, tenant: &Tenant, what: &str, window: Timestamp, seconds: u32) -> Result<u64, StoreError> {
        let update = "SET #ttl = :ttl ADD #count :one";
        // An hour more: DynamoDB's clock may be ahead of ours.
        let end = window.seconds() + i64::from(seconds) + 3_600;
        let values = vec![(":ttl", number(end)), (":one", number(1))];
        let key = keys::counter(tenant, what, window);
        match self.table.update(&key, update, None, values).await? {
            Write::Done(item) => Ok(number_of(&item, "count").unwrap_or(1)),
            Write::Refused(_) => Err(StoreError::busy("UpdateItem")),
        }
    }
}
