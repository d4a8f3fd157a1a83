//! `/v1/accounts/{account}/history`: what an account was, who changed it and when, and the way back.

use shared::http::{Call, Reply};
use shared::model::patch::Patch;
use shared::model::views::{AccountVersion, Page};
use shared::model::{Code, Problem};
use shared::ops::{Tools, sign_in};
use shared::store::{AccountRow, VERSIONS};

use crate::accounts::{answer, verify};
use crate::usecase;

/// The last versions, the current one first.
pub(crate) async fn list(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let current = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    let versions = versions(&tools, &call, current).await?;
    let items = versions.into_iter().enumerate().map(|(place, row)| shown(row, place == 0)).collect();
    Reply::ok(&Page::<AccountVersion> { items, next_cursor: None })
}

/// Goes back to an earlier version. The body, a merge patch, gives the secrets that it needs again.
pub(crate) async fn restore(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["verify"])?;
    let name = call.account()?;
    let verify = verify(&call, &name)?;
    let current = sign_in::account(&tools, call.tenant(), &name).await?;
    let wanted = call.path.get("version").cloned().unwrap_or_default();
    let earlier = versions(&tools, &call, current.clone()).await?.into_iter().find(|row| row.version == wanted);
    let earlier = earlier.ok_or_else(|| Problem::new(Code::NotFound, "the account has no such version (any more)"))?;
    let changes = if call.body.is_empty() { None } else { Some(Patch::Merge(call.json()?)) };
    let written = usecase::patch(&tools, &call, current, &earlier.account, changes.as_ref(), verify).await?;
    answer(&tools, &call, written).await
}

async fn versions(tools: &Tools, call: &Call, current: AccountRow) -> Result<Vec<AccountRow>, Problem> {
    let earlier = tools.store.history.list(call.tenant(), &current.account.account).await?;
    // A change that came to nothing leaves the current version among the earlier ones.
    let earlier: Vec<AccountRow> = earlier.into_iter().filter(|row| row.version != current.version).collect();
    Ok(std::iter::once(current).chain(earlier).take(VERSIONS).collect())
}

fn shown(row: AccountRow, current: bool) -> AccountVersion {
    AccountVersion {
        version: row.version,
        changed_at: row.account.updated_at,
        changed_by: row.changed_by,
        current,
        settings: row.account,
    }
}
