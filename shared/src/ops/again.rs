//! Once more: messages are announced again ([`rewind`]), or read again from their stored source ([`reparse`]), with the
//! ids they have. What a call does not get done goes on in a worker ([`work`]). And what a caller acknowledges
//! ([`acknowledge`]) may be deleted at the server by the next run of its pull.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::Tools;
use super::pull::reread;
use crate::mail::Deadline;
use crate::model::again::{Acknowledged, Reparsed, Rewound};
use crate::model::{AccountId, Code, MessageId, Problem, Tenant, Timestamp};
use crate::store::{Again, AgainJob, Incoming, PullJob, Range, StatusChange, StoreError, StoredMessage, Which};

/// Messages that are read from the table at a time.
const PAGE: u32 = 100;

/// Messages that are written at a time: enough to hide the way there and back.
const AT_ONCE: usize = 8;

/// What is left of the time when the rest is handed on.
const RESERVE: Duration = Duration::from_secs(3);

/// What was done of a job.
#[derive(Debug, Default)]
struct Done {
    messages: u32,
    skipped: Vec<MessageId>,
    /// What is left.
    rest: Option<Which>,
}

/// Announces again what was received or stored since a time or a message, and has the server asked again for what is
/// missing here. Nothing is stored twice: a message always has the same id.
pub async fn rewind(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountId,
    to: Result<Timestamp, MessageId>,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Rewound, Problem> {
    let since = match to {
        Ok(since) => since,
        Err(id) => {
            let row = incoming(tools, tenant, account, &id).await?;
            let row = row.ok_or_else(|| {
                Problem::new(Code::MessageNotFound, "there is no such received message in this account")
            })?;
            row.stored_at.min(row.message.received_at)
        }
    };
    tools.store.ledgers.rewind(tenant, account).await?;
    unquiet(tools, tenant, account).await?;
    let job = PullJob { tenant: tenant.clone(), account: account.clone(), tick: now, asked: true };
    tools.store.queues.enqueue_pull(&[job], 0).await?;
    let which = Which::Since { since, cursor: None };
    let job = AgainJob { again: Again::Tell, tenant: tenant.clone(), account: account.clone(), which };
    let (done, more) = go(tools, job, deadline).await?;
    Ok(Rewound { account: account.clone(), announced: done.messages, more, queued: true })
}

/// Reads messages again from their stored source: what is better understood now stands in their rows, and what was
/// quarantined comes back to life.
pub async fn reparse(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountId,
    which: Result<Timestamp, Vec<MessageId>>,
    deadline: Deadline,
) -> Result<Reparsed, Problem> {
    let which = match which {
        Ok(since) => Which::Since { since, cursor: None },
        Err(messages) => Which::Named(messages),
    };
    let named = matches!(which, Which::Named(_));
    let job = AgainJob { again: Again::Parse, tenant: tenant.clone(), account: account.clone(), which };
    let (done, more) = go(tools, job, deadline).await?;
    let skipped = if named { done.skipped } else { Vec::new() };
    Ok(Reparsed { account: account.clone(), reparsed: done.messages, skipped, more })
}

/// Goes on with what a call, or a worker before, did not get done.
pub async fn work(tools: &Tools, job: AgainJob, deadline: Deadline) -> Result<(), StoreError> {
    let (done, more) = go(tools, job, deadline).await?;
    tracing::info!(messages = done.messages, skipped = done.skipped.len(), more, "announced or read again");
    Ok(())
}

/// Notes that the caller has messages in safety. Can be repeated.
pub async fn acknowledge(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountId,
    messages: Vec<MessageId>,
) -> Result<Acknowledged, StoreError> {
    // Whoever looks for what was acknowledged since then finds all of it: the rows first.
    let (messages_store, now) = (&tools.store.messages, Timestamp::now());
    let mut noted = stream::iter(messages)
        .map(|id| async move { messages_store.acknowledge(tenant, account, &id, now).await.map(|known| (id, known)) })
        .buffer_unordered(AT_ONCE);
    let (mut acknowledged, mut unknown) = (0, Vec::new());
    while let Some(noted) = noted.next().await {
        match noted? {
            (_, true) => acknowledged += 1,
            (id, false) => unknown.push(id),
        }
    }
    if acknowledged > 0 {
        let change = StatusChange { acknowledged_at: Some(Timestamp::now()), ..StatusChange::default() };
        tools.store.statuses.change(tenant, account, &change).await?;
        unquiet(tools, tenant, account).await?;
    }
    unknown.sort_unstable();
    Ok(Acknowledged { account: account.clone(), acknowledged, unknown })
}

/// Has the next poll ask the ledgers, although the server has nothing new to say.
async fn unquiet(tools: &Tools, tenant: &Tenant, account: &AccountId) -> Result<(), StoreError> {
    tools.store.polls.unmark(tenant, account).await
}

/// Does a job as far as the time allows, and queues the rest. True: there is a rest.
async fn go(tools: &Tools, job: AgainJob, deadline: Deadline) -> Result<(Done, bool), StoreError> {
    let done = match &job.which {
        Which::Named(ids) => named(tools, &job, ids, deadline).await?,
        Which::Since { since, cursor } => newer(tools, &job, *since, cursor.clone(), deadline).await?,
    };
    let more = done.rest.is_some();
    if let Some(which) = done.rest.clone() {
        tools.store.queues.enqueue_again(AgainJob { which, ..job }).await?;
    }
    Ok((done, more))
}

async fn named(tools: &Tools, job: &AgainJob, ids: &[MessageId], deadline: Deadline) -> Result<Done, StoreError> {
    let mut done = Done::default();
    for (at, id) in ids.iter().enumerate() {
        if at > 0 && deadline.left() < RESERVE {
            done.rest = Some(Which::Named(ids[at..].to_vec()));
            break;
        }
        match incoming(tools, &job.tenant, &job.account, id).await? {
            Some(row) if once_more(tools, job, &row).await? => done.messages += 1,
            _ => done.skipped.push(id.clone()),
        }
    }
    Ok(done)
}

/// The list is in the order of receipt, and what was received long ago may have been stored a moment ago: all of it is
/// looked through.
async fn newer(
    tools: &Tools,
    job: &AgainJob,
    since: Timestamp,
    mut cursor: Option<String>,
    deadline: Deadline,
) -> Result<Done, StoreError> {
    let mut done = Done::default();
    loop {
        let messages = &tools.store.messages;
        let page = messages.list(&job.tenant, &job.account, Range::default(), PAGE, cursor.as_deref()).await?;
        let rows = page.items.into_iter().filter_map(|stored| match stored {
            StoredMessage::Incoming(row) => Some(row),
            StoredMessage::Outgoing(_) => None,
        });
        let rows = rows.filter(|row| row.stored_at >= since || row.message.received_at >= since);
        // Sources of several messages at once are more than the memory holds.
        let at_once = if job.again == Again::Tell { AT_ONCE } else { 1 };
        let mut running = stream::iter(rows)
            .map(|row| async move { once_more(tools, job, &row).await.map(|done| (row.message.id, done)) })
            .buffer_unordered(at_once);
        while let Some(result) = running.next().await {
            match result? {
                (_, true) => done.messages += 1,
                (id, false) => done.skipped.push(id),
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(done);
        }
        if deadline.left() < RESERVE {
            done.rest = Some(Which::Since { since, cursor });
            return Ok(done);
        }
    }
}

async fn once_more(tools: &Tools, job: &AgainJob, row: &Incoming) -> Result<bool, StoreError> {
    match job.again {
        Again::Tell => tools.store.messages.tell_again(&job.tenant, &row.message.id).await,
        Again::Parse => reread(&tools.store, &job.tenant, row).await,
    }
}

async fn incoming(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountId,
    id: &MessageId,
) -> Result<Option<Incoming>, StoreError> {
    Ok(tools.store.messages.get(tenant, id).await?.and_then(|stored| match stored {
        StoredMessage::Incoming(row) if row.message.account == *account => Some(row),
        _ => None,
    }))
}
