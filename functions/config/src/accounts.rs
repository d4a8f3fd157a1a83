//! `/v1/accounts`.

use shared::http::{Call, Reply};
use shared::model::Problem;
use shared::model::account::AccountInput;
use shared::ops::{Tools, sign_in};

use crate::usecase::{self, DEFAULT};

/// A page of accounts.
pub(crate) async fn list(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["limit", "cursor"])?;
    let limit = call.number("limit", 50, 1, 100)?;
    let cursor = call.query.get("cursor").map(String::as_str);
    Reply::ok(&usecase::list(&tools, &call, limit, cursor).await?)
}

/// One account.
pub(crate) async fn get(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let row = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    let version = row.version.clone();
    Ok(Reply::ok(&usecase::show(&tools, &call, row).await?)?.etag(&version))
}

/// Creates or replaces an account.
pub(crate) async fn put(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["verify"])?;
    let name = call.new_account()?;
    let verify = call.flag("verify")?.unwrap_or(name.as_str() == DEFAULT);
    let input: AccountInput = call.json()?;
    let written = usecase::put(&tools, &call, name.clone(), input, verify).await?;
    let version = written.row.version.clone();
    let view = usecase::show(&tools, &call, written.row).await?;
    let reply = if written.created { Reply::created(&view, &format!("/v1/accounts/{name}")) } else { Reply::ok(&view) };
    Ok(reply?.etag(&version))
}

/// Removes an account.
pub(crate) async fn delete(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    usecase::delete(&tools, &call, &call.account()?).await?;
    Ok(Reply::no_content())
}
