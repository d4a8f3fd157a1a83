//! Pull, push and both, for one account or for all.

use shared::http::{Call, Reply};
use shared::mail::Deadline;
use shared::mail::trace::Trace;
use shared::model::views::{PulledNow, Pushed, QueuedPull, QueuedPulls, Synced, SyncedAll};
use shared::model::{AccountId, Problem, Timestamp};
use shared::ops::{Tools, pull as pulling, send, sign_in};
use shared::store::PullJob;

/// Accounts that are read from the table at a time.
const PAGE: u32 = 100;

/// Pulls one mailbox now; what the time does not allow is queued.
pub(crate) async fn pull(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["debug"])?;
    let tools = recording(tools, call.flag("debug")?);
    pull_one(&tools, &call).await
}

/// The same with tools that may record what is said.
pub(crate) async fn pull_one(tools: &Tools, call: &Call) -> Result<Reply, Problem> {
    let account = sign_in::account(tools, call.tenant(), &call.account()?).await?;
    let pulled = pulling::pull(tools, call.tenant(), &account, call.deadline, call.now).await;
    let pulled = pulled.map_err(|error| told(tools, error.into()))?;
    Reply::ok(&PulledNow { pulled, trace: tools.trace.transcript() })
}

/// Tools for a call that wants to see what is said.
pub(crate) fn recording(tools: Tools, debug: Option<bool>) -> Tools {
    if debug == Some(true) { Tools { trace: Trace::of_dialogue(), ..tools } } else { tools }
}

/// A failure with what was said before it: then it matters most.
fn told(tools: &Tools, problem: Problem) -> Problem {
    Problem { trace: tools.trace.transcript().map(Vec::into_boxed_slice), ..problem }
}

/// Queues a pull of every mailbox that the caller may touch.
pub(crate) async fn pull_all(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    pull_each(&tools, &call).await
}

/// The same, whatever else was asked for.
pub(crate) async fn pull_each(tools: &Tools, call: &Call) -> Result<Reply, Problem> {
    Reply::ok(&queue_all(tools, call).await?)
}

/// Sends what waits of one account.
pub(crate) async fn push(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let account = sign_in::account(&tools, call.tenant(), &call.account()?).await?.account.account;
    Reply::ok(&send::push(&tools, call.tenant(), Some(&account), |_| true, data_until(&tools, 1), call.now).await?)
}

/// Sends what waits of every account that the caller may touch.
pub(crate) async fn push_all(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    Reply::ok(&pushed_all(&tools, &call, 1).await?)
}

/// Sends what waits of one account, then pulls it. A mailbox that cannot be pulled takes nothing back that was sent.
pub(crate) async fn sync(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["debug"])?;
    let tools = recording(tools, call.flag("debug")?);
    sync_one(&tools, &call).await
}

/// The same with tools that may record what is said.
pub(crate) async fn sync_one(tools: &Tools, call: &Call) -> Result<Reply, Problem> {
    let account = sign_in::account(tools, call.tenant(), &call.account()?).await?;
    let name = &account.account.account;
    let pushed = send::push(tools, call.tenant(), Some(name), |_| true, data_until(tools, 2), call.now).await?;
    let pulled = match &account.account.receive {
        Some(_) => Some(
            pulling::pull(tools, call.tenant(), &account, call.deadline, call.now)
                .await
                .map_err(|error| told(tools, Problem::from(error).with_resource(&pushed)))?,
        ),
        None => None,
    };
    Reply::ok(&Synced { pulled, pushed, trace: tools.trace.transcript() })
}

/// Sends what waits of every account that the caller may touch, and queues their pulls.
pub(crate) async fn sync_all(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    sync_each(&tools, &call).await
}

/// The same, whatever else was asked for.
pub(crate) async fn sync_each(tools: &Tools, call: &Call) -> Result<Reply, Problem> {
    let pulls = queue_all(tools, call).await?;
    let pushed = pushed_all(tools, call, 1).await?;
    Reply::ok(&SyncedAll { pulls, pushed })
}

async fn pushed_all(tools: &Tools, call: &Call, share: u32) -> Result<Pushed, Problem> {
    let reaches = |account: &AccountId| call.principal.reaches(account);
    send::push(tools, call.tenant(), None, reaches, data_until(tools, share), call.now).await
}

/// Until when DATA may be begun, where sending has its share of the time.
fn data_until(tools: &Tools, share: u32) -> Deadline {
    Deadline::after(tools.settings.inline_data / share)
}

async fn queue_all(tools: &Tools, call: &Call) -> Result<QueuedPulls, Problem> {
    let mut accounts = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = tools.store.accounts.list(call.tenant(), PAGE, cursor.as_deref()).await?;
        let receiving = page
            .items
            .into_iter()
            .filter(|row| row.account.receive.is_some() && call.principal.reaches(&row.account.account));
        let jobs: Vec<PullJob> = receiving.map(|row| job(call, row.account.account)).collect();
        tools.store.queues.enqueue_pull(&jobs, 0).await?;
        accounts.extend(jobs.into_iter().map(|job| QueuedPull { account: job.account, queued: true }));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(QueuedPulls { accounts })
}

fn job(call: &Call, account: AccountId) -> PullJob {
    let tick: Timestamp = call.now;
    PullJob { tenant: call.tenant().clone(), account, tick, asked: true }
}
