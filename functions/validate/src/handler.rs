//! `verify` and `diagnose`, of stored and of given settings.

use shared::http::{Call, Reply};
use shared::mail::Deadline;
use shared::model::account::AccountSecrets;
use shared::model::diagnosis::DiagnoseInput;
use shared::model::views::ValidateInput;
use shared::model::{Account, AccountId, FieldError, Probe, Problem};
use shared::ops::{Tools, diagnose, guesses, probe, sign_in};

/// Probes the stored settings with the stored credential.
pub(crate) async fn verify(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let account = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    let deadline = deadline(&tools, &call);
    Reply::ok(&probe::stored(&tools, call.tenant(), &account, deadline, call.now).await?)
}

/// Probes given settings; nothing is stored and no stored secret is used.
pub(crate) async fn validate(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let input = call.json()?;
    Reply::ok(&given(&tools, &call, input).await?)
}

/// The same for every door.
pub(crate) async fn given(tools: &Tools, call: &Call, input: ValidateInput) -> Result<Probe, Problem> {
    let (account, secrets) = checked(input, call)?;
    let admitted = guesses::admit(tools, call.tenant(), &account, None, call.now).await?;
    let deadline = deadline(tools, call);
    let probe = probe::given(tools, call.tenant(), &account, &secrets, deadline, call.now).await?;
    admitted.probed(&probe).await?;
    Ok(probe)
}

/// Diagnoses the stored settings with the stored credential.
pub(crate) async fn diagnose_stored(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let account = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    let deadline = deadline(&tools, &call);
    Reply::ok(&diagnose::stored(&tools, call.tenant(), &account, deadline, call.now).await?)
}

/// Diagnoses given settings; nothing is stored and no stored secret is used.
pub(crate) async fn diagnose_given(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let input: DiagnoseInput = call.json()?;
    let sender = input.from.map(|from| from.address);
    let (account, secrets) = checked(ValidateInput { smtp: input.smtp, receive: input.receive }, &call)?;
    let admitted = guesses::admit(&tools, call.tenant(), &account, sender.as_deref(), call.now).await?;
    let deadline = deadline(&tools, &call);
    let diagnosis =
        diagnose::given(&tools, call.tenant(), &account, &secrets, sender.as_deref(), deadline, call.now).await?;
    let sides = [&diagnosis.smtp, &diagnosis.receive];
    admitted.settle(sides.map(|side| guesses::is_refusal(side.as_ref().map(|side| &side.verdict)))).await?;
    Reply::ok(&diagnosis)
}

fn deadline(tools: &Tools, call: &Call) -> Deadline {
    Deadline::after(tools.settings.probe).min(call.deadline)
}

/// Given settings by the rules of an account's, with all their secrets.
fn checked(input: ValidateInput, call: &Call) -> Result<(Account, AccountSecrets), Problem> {
    let (account, secrets) = input.into_account().check(AccountId::nobody(), 0, call.now).map_err(Problem::invalid)?;
    let missing = secrets.missing(&account);
    if missing.is_empty() {
        return Ok((account, secrets));
    }
    let error = |pointer| FieldError::new(pointer, "missing", "give it: no stored secret is used here");
    Err(Problem::invalid(missing.into_iter().map(error).collect()))
}
