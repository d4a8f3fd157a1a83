//! Accounts that are not complete yet. A front door may set one field after the other; what it has so far lies apart
//! from the accounts, so that nobody sends through half of one.

use super::{
    AccountRow, StoreError, keys, random,
    table::{Table, Write, item, row, text, text_of},
};
use crate::model::{AccountId, Tenant};

/// Incomplete accounts, by tenant and name. A field that is missing is an empty text or port 0.
#[derive(Clone, Debug)]
pub struct Drafts {
    table: Table,
}

/// What is stored in the place of a draft.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drafted {
    /// The draft, if it counts.
    pub draft: Option<AccountRow>,
    /// Which writing was read; none: there is nothing.
    stamp: Option<String>,
}

impl Drafts {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// The draft that lies over this version of the account, or over none. Any other one was overtaken by a change of
    /// the account itself and counts no more.
    pub async fn get(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        over: Option<&AccountRow>,
    ) -> Result<Drafted, StoreError> {
        let Some(item) = self.table.get(&keys::draft(tenant, account)).await? else { return Ok(Drafted::default()) };
        let stamp = text_of(&item, "stamp").map(str::to_owned);
        let draft: AccountRow = row(item)?;
        let version = over.map(|row| row.version.as_str()).unwrap_or_default();
        Ok(Drafted { draft: Some(draft).filter(|draft| draft.version == version), stamp })
    }

    /// Writes a draft over what was read; its `version` is that of the account it lies over, or empty.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where somebody wrote one meanwhile.
    pub async fn put(&self, tenant: &Tenant, draft: &AccountRow, read: &Drafted) -> Result<(), StoreError> {
        let stamp = random::hex(8);
        let mut item = item(&keys::draft(tenant, &draft.account.account), draft)?;
        item.insert("stamp".to_owned(), text(&stamp));
        let (condition, values) = match &read.stamp {
            None => ("attribute_not_exists(#pk)", Vec::new()),
            Some(read) => ("#stamp = :read", vec![(":read", text(read))]),
        };
        match self.table.put(item, Some(condition), values).await? {
            Write::Done(_) => Ok(()),
            // The answer got lost and the SDK asked again: it is our own writing that is there.
            Write::Refused(Some(old)) if text_of(&old, "stamp") == Some(&stamp) => Ok(()),
            Write::Refused(_) => Err(StoreError::Conflict { what: "the configuration" }),
        }
    }
}
