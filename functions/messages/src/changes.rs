//! What acts on the mailbox at its server: a message's flags and folder, its deletion, and the list of folders.

use shared::http::{Call, Reply};
use shared::model::Problem;
use shared::model::change::MessageChange;
use shared::model::views::Page;
use shared::ops::{self, Tools, sign_in};

/// Changes a message's flags, its folder, or both.
pub(crate) async fn change(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let (id, wanted): (_, MessageChange) = (call.message_id()?, call.json()?);
    let account = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    Reply::ok(&ops::change::change(&tools, call.tenant(), &account, &id, &wanted, call.deadline).await?)
}

/// Deletes a message at its server.
pub(crate) async fn delete(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["permanent"])?;
    let (id, permanent) = (call.message_id()?, call.flag("permanent")?.unwrap_or(false));
    let account = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    Reply::ok(&ops::change::delete(&tools, call.tenant(), &account, &id, permanent, call.deadline).await?)
}

/// Lists the mailbox's folders.
pub(crate) async fn folders(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let account = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    let items = ops::folders::list(&tools, call.tenant(), &account, call.deadline).await?;
    Reply::ok(&Page { items, next_cursor: None })
}
