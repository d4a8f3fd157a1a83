//! `POST /v1/accounts/{account}/pull` and `POST /v1/pull`.

use shared::http::{Call, Reply};
use shared::model::views::{QueuedPull, QueuedPulls};
use shared::model::{Problem, Timestamp};
use shared::ops::{Tools, pull as pulling, sign_in};
use shared::store::PullJob;

/// Accounts that are read from the table at a time.
const PAGE: u32 = 100;

/// Pulls one mailbox now; what the time does not allow is queued.
pub(crate) async fn pull(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let account = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    Reply::ok(&pulling::pull(&tools, call.tenant(), &account, call.deadline, call.now).await?)
}

/// Queues a pull of every mailbox that the caller may touch.
pub(crate) async fn pull_all(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let mut accounts = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = tools.store.accounts.list(call.tenant(), PAGE, cursor.as_deref()).await?;
        let receiving = page
            .items
            .into_iter()
            .filter(|row| row.account.receive.is_some() && call.principal.reaches(&row.account.account));
        let jobs: Vec<PullJob> = receiving.map(|row| job(&call, row.account.account)).collect();
        tools.store.queues.enqueue_pull(&jobs).await?;
        accounts.extend(jobs.into_iter().map(|job| QueuedPull { account: job.account, queued: true }));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    Reply::ok(&QueuedPulls { accounts })
}

fn job(call: &Call, account: shared::model::AccountId) -> PullJob {
    let tick: Timestamp = call.now;
    PullJob { tenant: call.tenant().clone(), account, tick, asked: true }
}
