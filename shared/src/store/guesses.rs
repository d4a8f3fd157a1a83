//! How often a tenant's sign-ins with given passwords were refused, by server and user: nobody's password is guessed
//! through us.

use super::{
    StoreError, keys,
    table::{Table, Write, number, number_of},
};
use crate::model::{Tenant, Timestamp};

/// Refused sign-ins that one user of one server may have in a window: a person who tries what may be the password
/// stays below.
pub const MOST: u32 = 10;

/// The window, from the first of them.
pub const WINDOW_SECONDS: i64 = 3_600;

/// How often a window that ran over is begun anew before the caller is told to come back.
const TRIES: u32 = 3;

/// Counters of refused sign-ins.
#[derive(Clone, Debug)]
pub struct Guesses {
    table: Table,
}

impl Guesses {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// Counts a sign-in before it is tried, so that many at once are no way around. `Some`: too many were refused;
    /// the seconds until the window ends.
    pub async fn take(
        &self,
        tenant: &Tenant,
        host: &str,
        username: &str,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let key = keys::guesses(tenant, host, username);
        let until = now.plus_seconds(WINDOW_SECONDS);
        let window = || vec![(":until", number(until.0)), (":ttl", number(until.seconds())), (":one", number(1))];
        for _ in 0..TRIES {
            let update = "SET #until = if_not_exists(#until, :until), #ttl = if_not_exists(#ttl, :ttl) ADD #count :one";
            let free = "attribute_not_exists(#until) OR (#until > :now AND #count < :most)";
            let values = [window(), vec![(":now", number(now.0)), (":most", number(MOST))]].concat();
            let Write::Refused(old) = self.table.update(&key, update, Some(free), values).await? else {
                return Ok(None);
            };
            let ends: i64 = old.as_ref().and_then(|old| number_of(old, "until")).unwrap_or_default();
            if ends > now.0 {
                return Ok(Some(u64::try_from((ends - now.0) / 1_000 + 1).unwrap_or_default()));
            }
            let values = [window(), vec![(":old", number(ends))]].concat();
            let anew = "SET #until = :until, #ttl = :ttl, #count = :one";
            if let Write::Done(_) = self.table.update(&key, anew, Some("#until = :old"), values).await? {
                return Ok(None);
            }
        }
        Err(StoreError::busy("UpdateItem"))
    }

    /// Takes a counted sign-in back: it was not refused.
    pub async fn give_back(
        &self,
        tenant: &Tenant,
        host: &str,
        username: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let values = vec![(":minus", number(-1)), (":zero", number(0)), (":now", number(now.0))];
        let there = "#count > :zero AND #until > :now";
        // Refused where the window has ended meanwhile: there is nothing left to take back from.
        self.table.update(&keys::guesses(tenant, host, username), "ADD #count :minus", Some(there), values).await?;
        Ok(())
    }
}
