//! `/v1/accounts`.

use serde_json::Value;
use shared::http::{Call, Reply, body};
use shared::model::account::AccountInput;
use shared::model::patch::Patch;
use shared::model::{AccountId, FieldError, Problem};
use shared::ops::{Tools, sign_in};

use crate::usecase::{self, DEFAULT, Written};

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

/// Creates an account whose name stands in the body.
pub(crate) async fn create(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["verify"])?;
    let mut settings: Value = call.json()?;
    let name = named(&mut settings, &call)?;
    let verify = verify(&call, &name)?;
    let input: AccountInput = body::value(settings)?;
    answer(&tools, &call, usecase::create(&tools, &call, name, input, verify).await?).await
}

/// Creates or replaces an account.
pub(crate) async fn put(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["verify"])?;
    let name = call.new_account()?;
    let verify = verify(&call, &name)?;
    let input: AccountInput = call.json()?;
    answer(&tools, &call, usecase::put(&tools, &call, name, input, verify).await?).await
}

/// Changes an account in parts.
pub(crate) async fn patch(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["verify"])?;
    let name = call.account()?;
    let verify = verify(&call, &name)?;
    let current = sign_in::account(&tools, call.tenant(), &name).await?;
    let operations = call.header("content-type")?.is_some_and(|kind| kind.starts_with("application/json-patch+json"));
    let changes = if operations { Patch::Operations(call.json()?) } else { Patch::Merge(call.json()?) };
    let from = current.account.clone();
    let written = usecase::patch(&tools, &call, current, &from, Some(&changes), verify).await?;
    answer(&tools, &call, written).await
}

/// Removes an account.
pub(crate) async fn delete(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    usecase::delete(&tools, &call, &call.account()?).await?;
    Ok(Reply::no_content())
}

/// Whether the settings have to work: as the caller says, and for the tenant's email configuration by default.
pub(crate) fn verify(call: &Call, name: &AccountId) -> Result<bool, Problem> {
    Ok(call.flag("verify")?.unwrap_or(name.as_str() == DEFAULT))
}

/// The account after a change, with its new version.
pub(crate) async fn answer(tools: &Tools, call: &Call, written: Written) -> Result<Reply, Problem> {
    let (version, name) = (written.row.version.clone(), written.row.account.account.clone());
    let view = usecase::show(tools, call, written.row).await?;
    let reply = if written.created { Reply::created(&view, &format!("/v1/accounts/{name}")) } else { Reply::ok(&view) };
    Ok(reply?.etag(&version))
}

/// Takes the name out of the body.
fn named(settings: &mut Value, call: &Call) -> Result<AccountId, Problem> {
    let wrong = |code: &str, words: &str| Problem::invalid(vec![FieldError::new("/account", code, words.to_owned())]);
    let name = settings.as_object_mut().and_then(|fields| fields.remove("account"));
    let Some(name) = name else {
        return Err(wrong("missing", "give the account a name"));
    };
    let name = name.as_str().ok_or_else(|| wrong("invalid_value", "expected a text"))?;
    let name = AccountId::new(name).map_err(|rule| wrong("invalid_name", &rule.to_string()))?;
    // As by PUT: an account that the caller may not touch does not exist for it.
    if call.principal.reaches(&name) { Ok(name) } else { Err(wrong("invalid_name", "your token does not reach it")) }
}
