//! `verify` and `diagnose`, of stored and of given settings.

use shared::http::call::wrong_parameter;
use shared::http::{Call, Reply};
use shared::mail::Deadline;
use shared::model::account::AccountSecrets;
use shared::model::autoconfig::Autoconfig;
use shared::model::diagnosis::DiagnoseInput;
use shared::model::views::{Page, ValidateInput};
use shared::model::{Account, AccountId, Address, FieldError, Probe, Problem};
use shared::ops::{Tools, autoconfig, diagnose, guesses, probe, risks, sign_in};

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
    admitted.settle(sides.map(diagnose::was_refused)).await?;
    Reply::ok(&diagnosis)
}

/// The settings that an address needs.
pub(crate) async fn autoconfig(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["email"])?;
    Reply::ok(&found(&tools, &call).await?)
}

/// The same for every door.
pub(crate) async fn found(tools: &Tools, call: &Call) -> Result<Autoconfig, Problem> {
    let email = call.query.get("email").and_then(|email| Address::parse(email));
    let email = email.ok_or_else(|| wrong_parameter("email", "a mail address such as ada@example.com"))?;
    Ok(autoconfig::find(&tools.network, &email, deadline(tools, call)).await)
}

/// What will stop working soon, by account.
pub(crate) async fn risks(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["limit", "cursor"])?;
    let limit = call.number("limit", 50, 1, 100)?;
    let page = tools.store.accounts.list(call.tenant(), limit, call.query.get("cursor").map(String::as_str)).await?;
    let mine = page.items.into_iter().map(|row| row.account);
    let accounts: Vec<Account> = mine.filter(|account| call.principal.reaches(&account.account)).collect();
    let names: Vec<AccountId> = accounts.iter().map(|account| account.account.clone()).collect();
    let statuses = tools.store.statuses.of(call.tenant(), &names).await?;
    let status = |account: &Account| statuses.get(&account.account).cloned().unwrap_or_default();
    let items = accounts.iter().flat_map(|account| risks::of(account, &status(account), call.now)).collect();
    Reply::ok(&Page { items, next_cursor: page.next_cursor })
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
