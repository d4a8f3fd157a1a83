//! The pull lease: one puller per mailbox. It saves work, correctness does not rest on it; but nothing is deleted at
//! a customer's server without it.

use super::{StoreError, table::Table};
use crate::model::{AccountId, Tenant, Timestamp};

/// A lease that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whose mailbox.
    pub tenant: Tenant,
    /// Which mailbox.
    pub account: AccountId,
    /// Random name of this holder.
    pub owner: String,
    /// Counts the holders: a higher one came later.
    pub fence: u64,
    /// When it ends.
    pub until: Timestamp,
}

/// Leases, by mailbox.
#[derive(Clone, Debug)]
pub struct Leases {
    table: Table,
}

impl Leases {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// Takes the mailbox unless somebody holds it.
    pub async fn acquire(&self, tenant: &Tenant, account: &AccountId, now: Timestamp, seconds: u32) -> Result<Option<Lease>, StoreError> {
        todo!()
    }

    /// Holds it longer. A lease that ran over is renewed too, if nobody took it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: somebody took it; stop, and delete nothing.
    pub async fn renew(&self, lease: &mut Lease, now: Timestamp, seconds: u32) -> Result<(), StoreError> {
        todo!()
    }

    /// Gives it back; nothing happens where somebody took it.
    pub async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        todo!()
    }
}
