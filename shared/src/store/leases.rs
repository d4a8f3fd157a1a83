//! The pull lease: one puller per mailbox. It saves work, correctness does not rest on it; but nothing is deleted at
//! a customer's server without it.

use super::{
    StoreError, keys, random,
    table::{Item, Table, Write, described, number, number_of, text, text_of},
};
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
    pub async fn acquire(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        now: Timestamp,
        seconds: u32,
    ) -> Result<Option<Lease>, StoreError> {
        let owner = random::hex(8);
        let update = "SET #owner = :owner, #until = :until, #fence = if_not_exists(#fence, :zero) + :one";
        let values = vec![
            (":owner", text(&owner)),
            (":until", number(now.plus_seconds(seconds.into()).0)),
            (":now", number(now.0)),
            (":zero", number(0)),
            (":one", number(1)),
        ];
        let free = "attribute_not_exists(#until) OR #until <= :now";
        let item = match self.table.update(&keys::lease(tenant, account), update, Some(free), values).await? {
            Write::Done(item) => item,
            // The answer got lost and the SDK asked again: it is ourselves who hold it.
            Write::Refused(Some(old)) if text_of(&old, "owner") == Some(&owner) => old,
            Write::Refused(_) => return Ok(None),
        };
        lease(tenant, account, &item).map(Some)
    }

    /// Whether somebody holds it.
    pub async fn is_held(&self, tenant: &Tenant, account: &AccountId, now: Timestamp) -> Result<bool, StoreError> {
        let item = self.table.get(&keys::lease(tenant, account)).await?;
        let until = item.as_ref().and_then(|item| number_of(item, "until"));
        Ok(until.is_some_and(|until: i64| until > now.0))
    }

    /// Holds it longer. A lease that ran over is renewed too, if nobody took it; one that was given back is not: a
    /// renewal that was given up may still be on its way then.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: somebody took it, or it was given back; stop, and delete nothing.
    pub async fn renew(&self, lease: &mut Lease, now: Timestamp, seconds: u32) -> Result<(), StoreError> {
        let until = now.plus_seconds(seconds.into());
        let values = vec![(":owner", text(&lease.owner)), (":fence", number(lease.fence)), (":until", number(until.0))];
        let held = format!("{MINE} AND attribute_exists(#until)");
        match self
            .table
            .update(&keys::lease(&lease.tenant, &lease.account), "SET #until = :until", Some(&held), values)
            .await?
        {
            Write::Done(_) => lease.until = until,
            Write::Refused(_) => return Err(StoreError::Conflict { what: "the mailbox's lease" }),
        }
        Ok(())
    }

    /// Gives it back; nothing happens where somebody took it.
    pub async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        let values = vec![(":owner", text(&lease.owner)), (":fence", number(lease.fence))];
        // Refused where somebody took it: then it is theirs to give back. The fence stays, so that it only rises.
        self.table.update(&keys::lease(&lease.tenant, &lease.account), "REMOVE #until", Some(MINE), values).await?;
        Ok(())
    }

    /// Removes it: its mailbox is gone, and nothing of it shall stay. Nothing happens where somebody took it.
    pub async fn forget(&self, lease: Lease) -> Result<(), StoreError> {
        let values = vec![(":owner", text(&lease.owner)), (":fence", number(lease.fence))];
        self.table.delete(&keys::lease(&lease.tenant, &lease.account), Some(MINE), values).await?;
        Ok(())
    }
}

const MINE: &str = "#owner = :owner AND #fence = :fence";

fn lease(tenant: &Tenant, account: &AccountId, item: &Item) -> Result<Lease, StoreError> {
    let read = || {
        Some(Lease {
            tenant: tenant.clone(),
            account: account.clone(),
            owner: text_of(item, "owner")?.to_owned(),
            fence: number_of(item, "fence")?,
            until: Timestamp(number_of(item, "until")?),
        })
    };
    read().ok_or_else(|| StoreError::Corrupt { key: described(item) })
}
