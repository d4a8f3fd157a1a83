//! Push: what waits in the outbox is sent now, deferred mail included, but not what waits for its `sendAt`.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};

use super::attempt::{Attempt, Courier};
use super::pace::Pacer;
use super::{accept, queue};
use crate::mail::Deadline;
use crate::model::views::Pushed;
use crate::model::{AccountId, Problem, SendState, Tenant, Timestamp};
use crate::ops::Tools;
use crate::store::{AccountRow, OutgoingRow, Replaced, StoreError, Taken};

/// Messages that one call looks at.
const MOST: usize = 2_000;

/// Messages that are read from the table at a time.
const PAGE: u32 = 100;

/// Connections of one call at once.
const CONNECTIONS: usize = 4;

/// Sends what waits: of one account, or of all that `reaches` lets through. What the time does not allow is queued.
pub async fn push(
    tools: &Tools,
    tenant: &Tenant,
    account: Option<&AccountId>,
    reaches: impl Fn(&AccountId) -> bool,
    until: Deadline,
    now: Timestamp,
) -> Result<Pushed, Problem> {
    let mut accounts: BTreeMap<AccountId, Vec<OutgoingRow>> = BTreeMap::new();
    for row in waiting(tools, tenant, account, now).await?.into_iter().filter(|row| reaches(&row.account)) {
        accounts.entry(row.account.clone()).or_default().push(row);
    }
    let mut lines = Vec::new();
    for (account, rows) in accounts {
        // Without its account a message has nowhere to leave through: `deliver` says so when its turn comes.
        if let Some(account) = tools.store.accounts.get(tenant, &account).await? {
            lines.push(Box::pin(carry(tools, tenant, account, rows, until)));
        }
    }
    let results: Vec<Result<Pushed, StoreError>> = stream::iter(lines).buffer_unordered(CONNECTIONS).collect().await;
    let mut pushed = Pushed::default();
    for result in results {
        pushed.add(&result?);
    }
    Ok(pushed)
}

async fn waiting(
    tools: &Tools,
    tenant: &Tenant,
    account: Option<&AccountId>,
    now: Timestamp,
) -> Result<Vec<OutgoingRow>, StoreError> {
    let (mut rows, mut cursor) = (Vec::new(), None);
    loop {
        let page = tools.store.outbox.list(tenant, account, PAGE, cursor.as_deref()).await?;
        let ripe = |row: &OutgoingRow| {
            matches!(row.state, SendState::Queued | SendState::Deferred) && row.send_at.is_none_or(|at| at <= now)
        };
        rows.extend(page.items.into_iter().filter(ripe));
        cursor = page.next_cursor;
        if cursor.is_none() || rows.len() >= MOST {
            return Ok(rows);
        }
    }
}

/// A message that was held for a push is queued from now on, and expires from now on. None: somebody was faster.
async fn released(
    tools: &Tools,
    tenant: &Tenant,
    row: OutgoingRow,
    now: Timestamp,
) -> Result<Option<OutgoingRow>, StoreError> {
    if row.due.is_some() {
        return Ok(Some(row));
    }
    let mut after = OutgoingRow { revived_at: Some(now), ..row.clone() };
    after.wait(queue::turn(now, now, &tools.settings));
    Ok(match tools.store.outbox.replace(tenant, &row, after).await? {
        Replaced::Done(row) => Some(row),
        Replaced::Changed(_) | Replaced::Missing => None,
    })
}

/// What waits of one account, over one connection.
async fn carry(
    tools: &Tools,
    tenant: &Tenant,
    account: AccountRow,
    rows: Vec<OutgoingRow>,
    until: Deadline,
) -> Result<Pushed, StoreError> {
    let mut courier = Courier::new(tools, tenant, &account, true);
    let mut pacer = Pacer::of(tools, tenant, &account).await;
    let (mut pushed, mut left, mut follows) = (Pushed::default(), Vec::new(), Vec::new());
    for row in rows {
        let now = Timestamp::now();
        if until.left().is_zero() || pacer.rest(now).is_some() {
            left.extend(released(tools, tenant, row, now).await?);
            continue;
        }
        let Some(row) = released(tools, tenant, row, now).await? else { continue };
        // Whoever knows when it is due may take it before.
        let before = row.attempts;
        let taken = tools.store.outbox.take(tenant, &row.id, row.due, now, tools.settings.lease_seconds).await?;
        if let Taken::Ours(row) = taken
            && let Attempt::Done(row) = courier.attempt(row, Some(until)).await?
        {
            pacer.note(tools, tenant, &account, &row, before).await;
            pushed.count(row.state);
            match row.state {
                SendState::Queued => left.push(*row),
                _ => follows.extend(accept::goes_on(&row).then_some(*row)),
            }
        }
    }
    courier.leave().await;
    queue::hand_on(tools, tenant, &follows, Timestamp::now()).await;
    if !left.is_empty() && pacer.rest(Timestamp::now()).is_none() {
        let now = Timestamp::now();
        tools.store.outbox.hasten(tenant, &account.account.account, Timestamp(0), now).await?;
        let deferred = |row: OutgoingRow| OutgoingRow { due: Some(now), turn: None, ..row };
        let due: Vec<_> = left.iter().filter(|row| row.state == SendState::Deferred).cloned().map(deferred).collect();
        queue::hand_on(tools, tenant, &due, now).await;
    }
    pushed.queued += u32::try_from(left.len()).unwrap_or(u32::MAX);
    pacer.end(tools, tenant, &account).await;
    Ok(pushed)
}
