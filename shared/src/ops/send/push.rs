//! Pushing: an account's mail that waits is tried now, while somebody waits for the outcome.

use serde::Serialize;

use super::attempt::{Attempt, Courier};
use super::queue;
use crate::mail::Deadline;
use crate::model::{SendState, Tenant, Timestamp};
use crate::ops::Tools;
use crate::store::{AccountRow, OutgoingRow, Replaced, StoreError};

/// Messages that are listed at once.
const PAGE: u32 = 100;

/// What became of the messages that were pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// Somebody has them.
    pub delivered: u32,
    /// They are tried again, or are still being tried.
    pub deferred: u32,
    /// Nobody will get them.
    pub failed: u32,
    /// They were handed over and the reply was lost.
    pub unknown: u32,
}

impl Pushed {
    /// Counts a message.
    fn count(&mut self, state: SendState) {
        match state {
            SendState::Sent | SendState::Partial => self.delivered += 1,
            SendState::Queued | SendState::Sending | SendState::Deferred => self.deferred += 1,
            SendState::Failed | SendState::Canceled => self.failed += 1,
            SendState::Unknown => self.unknown += 1,
        }
    }
}

/// Tries what waits, held mail included, over one connection. What cannot begin its DATA by `until` is queued. Mail for
/// a later time is left alone.
pub async fn push(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountRow,
    until: Deadline,
    pushed: &mut Pushed,
) -> Result<(), StoreError> {
    let mut courier = Courier::new(tools, tenant, account);
    let mut cursor = None;
    loop {
        let name = &account.account.account;
        let page = tools.store.outbox.list(tenant, Some(name), PAGE, cursor.as_deref()).await?;
        for row in page.items {
            let now = Timestamp::now();
            if waits(&row, now) {
                pushed.count(try_now(tools, tenant, &mut courier, row, until, now).await?);
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            courier.leave().await;
            return Ok(());
        }
    }
}

fn waits(row: &OutgoingRow, now: Timestamp) -> bool {
    matches!(row.state, SendState::Queued | SendState::Deferred) && row.send_at.is_none_or(|at| at <= now)
}

/// Claims a message and tries it; where time is up, it is its turn at once. Whoever was faster has it.
async fn try_now(
    tools: &Tools,
    tenant: &Tenant,
    courier: &mut Courier<'_>,
    row: OutgoingRow,
    until: Deadline,
    now: Timestamp,
) -> Result<SendState, StoreError> {
    let late = until.left().is_zero();
    let mut after = row.clone();
    if row.due.is_none() {
        // It was held: it expires from now on.
        after.revived_at = Some(now);
    }
    if late {
        after.wait(queue::turn(now, now, &tools.settings));
    } else {
        after.state = SendState::Sending;
        after.fence += 1;
        (after.due, after.turn) = (Some(now.plus_seconds(tools.settings.lease_seconds.into())), None);
    }
    let row = match tools.store.outbox.replace(tenant, &row, after).await? {
        Replaced::Done(row) => row,
        Replaced::Changed(row) => return Ok(row.state),
        Replaced::Missing => return Ok(SendState::Canceled),
    };
    let row = match late {
        true => row,
        false => match courier.attempt(row, Some(until)).await? {
            Attempt::Done(row) => *row,
            Attempt::Lost => return Ok(SendState::Sending),
        },
    };
    if row.state == SendState::Queued {
        queue::hand_on(tools, tenant, std::slice::from_ref(&row), now).await;
    }
    Ok(row.state)
}
