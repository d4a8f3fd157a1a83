//! Qlik's door, `/api/v1/transports/email-config` (A5): a view of the tenant's account `default`.
//!
//! PATCH sets field after field; as long as something is missing, what there is lies apart as a draft (decision 17: it
//! answers 204 all the same, drops a password whose server changed, and says INCOMPLETE_CONFIG).

mod fields;
mod provider;
mod view;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use shared::http::door::renamed;
use shared::http::{Call, Reply, body};
use shared::model::account::{AccountInput, AccountSecrets};
use shared::model::{Account, Code, Poll, Problem, SentCopy, patch};
use shared::ops::Tools;
use shared::ops::email_config::{self, EmailConfig, load, missing, server_missing};
use shared::ops::limits::{QLIK_TIER_1, QLIK_TIER_2, count};
use shared::store::{AccountRow, Expect, Fingerprints, SecretRef};

use self::fields::Fields;
use crate::usecase::{self, Base, Terms};

/// `GET` (A5.2).
pub(crate) async fn get(tools: Tools, call: Call) -> Result<Reply, Problem> {
    count(&tools, call.tenant(), QLIK_TIER_1, call.now).await?;
    let config = config(&tools, &call).await?;
    let reply = Reply::ok(&view::of(call.tenant(), &config))?;
    Ok(match &config.row {
        Some(row) => reply.etag(&row.version),
        None => reply,
    })
}

/// `PATCH` (A5.3): JSON Patch over six flat fields; creates what is not there.
pub(crate) async fn patch(tools: Tools, call: Call) -> Result<Reply, Problem> {
    count(&tools, call.tenant(), QLIK_TIER_2, call.now).await?;
    let operations: Value = call.json()?;
    let config = config(&tools, &call).await?;
    let mut fields = Fields::of(&config);
    fields.apply(&operations)?;
    let draft = drafted(&config, &fields, &call)?;
    let complete = draft.smtp.as_ref().is_some_and(|server| missing(&draft, server).is_none());
    if complete {
        let mut document = patch::document(&draft)?;
        if let Some(password) = fields.password() {
            document["smtp"]["auth"]["password"] = password.expose_secret().into();
        }
        let terms = Terms { verify: false, complete: false, forget_smtp: fields.forgets() };
        replace(&tools, &call, config, document, terms).await?;
    } else {
        keep_draft(&tools, &call, config, draft, fields.secrets()).await?;
    }
    Ok(Reply::no_content())
}

/// `PUT` (A5.3/27): create or replace, validated within the request.
pub(crate) async fn put(tools: Tools, call: Call) -> Result<Reply, Problem> {
    count(&tools, call.tenant(), QLIK_TIER_2, call.now).await?;
    let given: Value = call.json()?;
    let config = config(&tools, &call).await?;
    let settings = provider::settings(&given, config.settings().map(|(_, server)| server))?;
    let stored = config.draft.as_ref().or(config.row.as_ref());
    let mut document = stored.map_or(Ok(json!({})), |row| patch::document(&row.account))?;
    if let Some(document) = document.as_object_mut() {
        document.extend(settings);
    }
    let replaced = replace(&tools, &call, config, document, Terms::new(true)).await;
    replaced.map_err(|problem| renamed(problem, provider::WORDS))?;
    Ok(Reply::no_content())
}

/// `DELETE` (A5.4): the account with its secret.
pub(crate) async fn delete(tools: Tools, call: Call) -> Result<Reply, Problem> {
    count(&tools, call.tenant(), QLIK_TIER_2, call.now).await?;
    let config = config(&tools, &call).await?;
    let name = email_config::name()?;
    if config.settings().is_none() {
        return Err(Problem::new(Code::NotFound, "No email config exists for tenant"));
    }
    if let Some(secret) = config.draft.as_ref().and_then(|draft| draft.secret.as_ref()) {
        tools.store.secrets.delete(call.tenant(), &name, secret).await?;
    }
    match config.row {
        Some(_) => usecase::delete(&tools, &call, &name).await?,
        // The draft, and what the account was before it became one.
        None => tools.store.ledgers.delete(call.tenant(), &name).await?,
    }
    Ok(Reply::no_content())
}

/// The configuration, for those whose token reaches the account that it is.
async fn config(tools: &Tools, call: &Call) -> Result<EmailConfig, Problem> {
    if !call.principal.reaches(&email_config::name()?) {
        return Err(Problem::new(Code::Forbidden, "this token does not reach the account \"default\""));
    }
    load(tools, call.tenant()).await
}

/// Writes a complete account, in which what this door does not show is as it was.
async fn replace(
    tools: &Tools,
    call: &Call,
    config: EmailConfig,
    document: Value,
    terms: Terms,
) -> Result<(), Problem> {
    let input: AccountInput = body::value(document)?;
    let (account, secrets) = usecase::checked(tools, call, email_config::name()?, input)?;
    let base = Base { row: config.row, draft: config.draft };
    usecase::change(tools, call, base, account, &secrets, terms).await?;
    Ok(())
}

/// The account as it would be, complete or not.
fn drafted(config: &EmailConfig, fields: &Fields, call: &Call) -> Result<Account, Problem> {
    let before = config.draft.as_ref().or(config.row.as_ref());
    let mut account = before.map_or_else(
        || {
            Ok::<_, Problem>(Account {
                account: email_config::name()?,
                name: None,
                from: fields.from(),
                identities: Vec::new(),
                smtp: None,
                receive: None,
                poll: Poll::default(),
                sent_copy: SentCopy::default(),
                created_at: call.now,
                updated_at: call.now,
            })
        },
        |row| Ok(row.account.clone()),
    )?;
    account.from = fields.from();
    account.smtp = Some(fields.draft());
    account.updated_at = call.now;
    Ok(account)
}

/// Keeps what is not complete, and stops sending through what it replaces. A password is kept with its server only: one
/// that comes before its server belongs to nobody, and is dropped.
async fn keep_draft(
    tools: &Tools,
    call: &Call,
    config: EmailConfig,
    mut account: Account,
    secrets: AccountSecrets,
) -> Result<(), Problem> {
    let (store, tenant, name) = (&tools.store, call.tenant(), account.account.clone());
    let expected = usecase::expectation(call, config.row.as_ref())?;
    let before = config.draft.as_ref().or(config.row.as_ref());
    let belongs = account.smtp.as_ref().is_some_and(|server| server_missing(server).is_none());
    let secrets = if belongs { secrets } else { AccountSecrets::default() };
    // What is missing is what a draft is about.
    let _ = account.keep_secrets(&secrets, before.map(|row| &row.account));
    let place = before.and_then(|row| row.secret.as_ref());
    let secret = store.secrets.put(tenant, &name, place, &secrets, &Fingerprints::of(&account)).await?;
    let over = match config.row {
        Some(row) if row.account.smtp.is_some() => stop_sending(tools, call, row, secret.clone(), &expected).await?,
        Some(row) => row.version,
        None => String::new(),
    };
    let draft = AccountRow { account, version: over, changed_by: call.principal.token.clone(), secret };
    Ok(store.drafts.put(tenant, &draft).await?)
}

/// Takes the sending side off the account: the whole account where there is no other side. Returns its new version.
async fn stop_sending(
    tools: &Tools,
    call: &Call,
    row: AccountRow,
    secret: Option<SecretRef>,
    expected: &Expect,
) -> Result<String, Problem> {
    let (store, tenant) = (&tools.store, call.tenant());
    store.history.keep(tenant, &row).await?;
    if row.account.receive.is_none() {
        store.statuses.delete(tenant, &row.account.account).await?;
        store.accounts.delete(tenant, &row.account.account, expected).await?;
        return Ok(String::new());
    }
    let mut row = AccountRow { secret, changed_by: call.principal.token.clone(), ..row };
    row.account.smtp = None;
    row.account.updated_at = call.now;
    Ok(store.accounts.put(tenant, row, expected).await?.version)
}
