//! `POST /v1/accounts/{account}/test-email`.

use shared::http::{Call, Reply};
use shared::mail::Deadline;
use shared::model::Problem;
use shared::model::views::TestEmailInput;
use shared::ops::{Tools, sign_in, test_email as testing};

/// Sends one known message, with the stored settings or with given ones; failure is an answer.
pub(crate) async fn test_email(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let account = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    let input: TestEmailInput = call.json()?;
    let deadline = Deadline::after(tools.settings.probe).min(call.deadline);
    Reply::ok(&testing::send(&tools, call.tenant(), &account, input, deadline, call.now).await?)
}
