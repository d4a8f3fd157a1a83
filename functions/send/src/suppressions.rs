//! `/v1/suppressions`.

use shared::http::{Call, Reply};
use shared::model::suppression::SuppressionInput;
use shared::model::views::Page;
use shared::model::{Code, FieldError, Problem};
use shared::ops::{Tools, suppressions};

/// All of them, in alphabetical order.
pub(crate) async fn list(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["limit", "cursor"])?;
    whole_tenant(&call)?;
    let limit = call.number("limit", 50, 1, 100)?;
    let cursor = call.query.get("cursor").map(String::as_str);
    let page = tools.store.suppressions.list(call.tenant(), limit, cursor).await?;
    Reply::ok(&Page { items: page.items, next_cursor: page.next_cursor })
}

/// Adds one, or says something else about it.
pub(crate) async fn add(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    whole_tenant(&call)?;
    let input: SuppressionInput = call.json()?;
    let (suppression, is_new) = suppressions::add(&tools.store, call.tenant(), input, call.now).await?;
    if !is_new {
        return Reply::ok(&suppression);
    }
    Reply::created(&suppression, &suppressions::path(&suppression))
}

/// One of them.
pub(crate) async fn get(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    whole_tenant(&call)?;
    let found = tools.store.suppressions.get(call.tenant(), &address(&call)?).await?;
    Reply::ok(&found.ok_or_else(missing)?)
}

/// Takes one off the list: it is sent to again.
pub(crate) async fn delete(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    whole_tenant(&call)?;
    if tools.store.suppressions.delete(call.tenant(), &address(&call)?).await? {
        return Ok(Reply::no_content());
    }
    Err(missing())
}

/// The list belongs to the tenant: who may touch some accounts only neither sees nor changes what others live by.
fn whole_tenant(call: &Call) -> Result<(), Problem> {
    match call.principal.accounts {
        None => Ok(()),
        Some(_) => Err(Problem::new(Code::Forbidden, "your token is for some accounts; suppressions are the tenant's")),
    }
}

/// The `{address}` of the path, as it is compared.
fn address(call: &Call) -> Result<String, Problem> {
    let given = call.path.get("address").map(String::as_str).unwrap_or_default();
    suppressions::normalised(given)
        .map_err(|detail| Problem::invalid(vec![FieldError::new("{address}", "invalid_address", detail)]))
}

fn missing() -> Problem {
    Problem::new(Code::NotFound, "this address is not suppressed")
}
