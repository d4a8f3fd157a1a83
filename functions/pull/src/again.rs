//! What is stored, once more: announced, read, or acknowledged.

use shared::http::{Call, Reply};
use shared::model::again::{AcknowledgeInput, ReparseInput, RewindInput};
use shared::model::{AccountId, Problem};
use shared::ops::{Tools, again, sign_in};

/// Goes back to a time or a message.
pub(crate) async fn rewind(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let account = account(&tools, &call).await?;
    let to = call.json::<RewindInput>()?.check()?;
    Reply::ok(&again::rewind(&tools, call.tenant(), &account, to, call.deadline, call.now).await?)
}

/// Reads messages again.
pub(crate) async fn reparse(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let account = account(&tools, &call).await?;
    let which = call.json::<ReparseInput>()?.check()?;
    Reply::ok(&again::reparse(&tools, call.tenant(), &account, which, call.deadline).await?)
}

/// Notes that messages are in safety.
pub(crate) async fn acknowledge(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let account = account(&tools, &call).await?;
    let messages = call.json::<AcknowledgeInput>()?.check()?;
    Reply::ok(&again::acknowledge(&tools, call.tenant(), &account, messages).await?)
}

async fn account(tools: &Tools, call: &Call) -> Result<AccountId, Problem> {
    call.only(&[])?;
    Ok(sign_in::account(tools, call.tenant(), &call.account()?).await?.account.account)
}
