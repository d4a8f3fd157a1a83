//! The outbox: see what waits, edit it, move it, take it back, try it again.

use shared::http::call::wrong_parameter;
use shared::http::{Call, Reply};
use shared::model::views::Page;
use shared::model::{AccountId, Code, Problem, SendState};
use shared::ops::send::outbox;
use shared::ops::{Tools, sign_in};
use shared::store::OutgoingRow;

/// What the list holds.
const LISTED: [(&str, SendState); 4] = [
    ("queued", SendState::Queued),
    ("deferred", SendState::Deferred),
    ("sending", SendState::Sending),
    ("unknown", SendState::Unknown),
];

/// A page of what is not settled.
pub(crate) async fn list(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["account", "state", "limit", "cursor"])?;
    let limit = call.number("limit", 50, 1, 100)?;
    let state = call.query.get("state").map(|name| listed(name)).transpose()?;
    let account = call.query.get("account").map(|name| account(&call, name)).transpose()?;
    let cursor = call.query.get("cursor").map(String::as_str);
    let page = tools.store.outbox.list(call.tenant(), account.as_ref(), limit, cursor).await?;
    let shown =
        |row: &OutgoingRow| call.principal.reaches(&row.account) && state.is_none_or(|state| row.state == state);
    let items = page.items.iter().filter(|row| shown(row)).map(OutgoingRow::item).collect();
    Reply::ok(&Page { items, next_cursor: page.next_cursor })
}

/// How an outgoing message fares.
pub(crate) async fn get(tools: Tools, call: Call) -> Result<Reply, Problem> {
    Reply::ok(&find(&tools, &call).await?.outgoing())
}

/// Edits or reschedules it.
pub(crate) async fn patch(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let changes = call.json()?;
    let row = find(&tools, &call).await?;
    let account = sign_in::account(&tools, call.tenant(), &row.account).await?;
    Reply::ok(&outbox::edit(&tools, call.tenant(), &account, row, &changes, call.now).await?.outgoing())
}

/// Takes it back.
pub(crate) async fn cancel(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let row = find(&tools, &call).await?;
    Reply::ok(&outbox::cancel(&tools, call.tenant(), &row, call.now).await?.outgoing())
}

/// Tries it again, now.
pub(crate) async fn retry(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let row = find(&tools, &call).await?;
    let row = outbox::retry(&tools, call.tenant(), row, call.now).await?;
    Reply::accepted(&row.outgoing(), &format!("/v1/outbox/{}", row.id))
}

async fn find(tools: &Tools, call: &Call) -> Result<OutgoingRow, Problem> {
    call.only(&[])?;
    let row = tools.store.outbox.get(call.tenant(), &call.message_id()?).await?;
    let row = row.filter(|row| call.principal.reaches(&row.account));
    row.ok_or_else(|| Problem::new(Code::MessageNotFound, "there is no such outgoing message"))
}

fn listed(name: &str) -> Result<SendState, Problem> {
    let found = LISTED.iter().find(|(known, _)| *known == name);
    found.map(|(_, state)| *state).ok_or_else(|| wrong_parameter("state", "queued, deferred, sending or unknown"))
}

/// An account that is named to filter by; one that the caller may not touch does not exist for it.
fn account(call: &Call, name: &str) -> Result<AccountId, Problem> {
    let missing = || Problem::new(Code::AccountNotFound, format!("there is no account {name:?}"));
    let account = AccountId::new(name.to_owned()).map_err(|_| missing())?;
    if call.principal.reaches(&account) { Ok(account) } else { Err(missing()) }
}
