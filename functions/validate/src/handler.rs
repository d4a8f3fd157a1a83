//! `POST /v1/accounts/{account}/verify` and `POST /v1/validate-credentials`.

use shared::http::{Call, Reply};
use shared::mail::Deadline;
use shared::model::views::ValidateInput;
use shared::model::{AccountId, FieldError, Probe, Problem};
use shared::ops::{Tools, probe, sign_in};

/// Probes the stored settings with the stored credential.
pub(crate) async fn verify(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let account = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    let deadline = Deadline::after(tools.settings.probe).min(call.deadline);
    Reply::ok(&probe::stored(&tools, call.tenant(), &account, deadline, call.now).await?)
}

/// Probes given settings; nothing is stored and no stored secret is used.
pub(crate) async fn validate(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let input: ValidateInput = call.json()?;
    Reply::ok(&given(&tools, &call, input).await?)
}

/// The same for every door.
pub(crate) async fn given(tools: &Tools, call: &Call, input: ValidateInput) -> Result<Probe, Problem> {
    let (account, secrets) = input.into_account().check(AccountId::nobody(), 0, call.now).map_err(Problem::invalid)?;
    let missing = secrets.missing(&account);
    if !missing.is_empty() {
        let error = |pointer| FieldError::new(pointer, "missing", "give it: no stored secret is used here");
        return Err(Problem::invalid(missing.into_iter().map(error).collect()));
    }
    let deadline = Deadline::after(tools.settings.probe).min(call.deadline);
    Ok(probe::given(tools, call.tenant(), &account, &secrets, deadline, call.now).await?)
}
