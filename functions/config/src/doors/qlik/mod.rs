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
use shared::model::{Account, AccountId, Code, Poll, Problem, SentCopy, patch};
use shared::ops::Tools;
use shared::ops::email_config::{self, EmailConfig, load, missing, server_missing};
use shared::ops::limits::{QLIK_TIER_1, QLIK_TIER_2, count};
use shared::store::{AccountRow, Accounts, Expect, Fingerprints};

use self::fields::Fields;
use crate::usecase::{self, Base, Terms};

/// How often a PATCH that lost against another one begins anew.
const PATCH_TRIES: u32 = 5;

/// `GET` (A5.2).
pub(crate) async fn get(tools: Tools, call: Call) -> Result<Reply, Problem> {
    count(&tools, call.tenant(), QLIK_TIER_1, call.now).await?;
    let config = load(&tools, &call.principal).await?;
    let reply = Reply::ok(&view::of(call.tenant(), &config))?;
    Ok(match &config.row {
        Some(row) => reply.etag(&row.version),
        None => reply,
    })
}

/// `PATCH` (A5.3): JSON Patch over six flat fields; creates what is not there. Of two at the same time, one reads again
/// what the other one has written.
pub(crate) async fn patch(tools: Tools, call: Call) -> Result<Reply, Problem> {
    count(&tools, call.tenant(), QLIK_TIER_2, call.now).await?;
    let operations: Value = call.json()?;
    for _ in 1..PATCH_TRIES {
        match patch_once(&tools, &call, &operations).await {
            Err(problem) if problem.code == Code::Conflict => {}
            done => return done,
        }
    }
    patch_once(&tools, &call, &operations).await
}

async fn patch_once(tools: &Tools, call: &Call, operations: &Value) -> Result<Reply, Problem> {
    let config = load(tools, &call.principal).await?;
    let mut fields = Fields::of(&config);
    fields.apply(operations)?;
    let draft = drafted(&config, &fields, call)?;
    let complete = draft.smtp.as_ref().is_some_and(|server| missing(&draft, server).is_none());
    if complete {
        let mut document = patch::document(&draft)?;
        if let Some(password) = fields.password() {
            document["smtp"]["auth"]["password"] = password.expose_secret().into();
        }
        let terms = Terms { verify: false, complete: false, forget_smtp: fields.forgets() };
        replace(tools, call, config, document, terms).await?;
    } else {
        keep_draft(tools, call, config, draft, &fields).await?;
    }
    Ok(Reply::no_content())
}

/// `PUT` (A5.3/27): create or replace, validated within the request.
pub(crate) async fn put(tools: Tools, call: Call) -> Result<Reply, Problem> {
    count(&tools, call.tenant(), QLIK_TIER_2, call.now).await?;
    let given: Value = call.json()?;
    let config = load(&tools, &call.principal).await?;
    let settings = provider::settings(&given, config.settings().map(|(_, server)| server))?;
    let stored = config.latest();
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
    let config = load(&tools, &call.principal).await?;
    let name = email_config::name()?;
    if config.settings().is_none() {
        return Err(Problem::new(Code::NotFound, "No email config exists for tenant"));
    }
    let secret = config.drafted.draft.as_ref().and_then(|draft| draft.secret.as_ref());
    tools.store.secrets.delete(call.tenant(), &name, secret).await?;
    match config.row {
        Some(_) => usecase::delete(&tools, &call, &name).await?,
        // The draft, and what the account was before it became one.
        None => tools.store.ledgers.delete(call.tenant(), &name).await?,
    }
    Ok(Reply::no_content())
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
    let base = Base { row: config.row, draft: config.drafted.draft };
    usecase::change(tools, call, base, account, &secrets, terms).await?;
    Ok(())
}

/// The account as it would be, complete or not.
fn drafted(config: &EmailConfig, fields: &Fields, call: &Call) -> Result<Account, Problem> {
    let before = config.latest();
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
    fields: &Fields,
) -> Result<(), Problem> {
    let (store, tenant, name) = (&tools.store, call.tenant(), account.account.clone());
    let expected = usecase::expectation(call, config.row.as_ref())?;
    let before = config.latest();
    let belongs = account.smtp.as_ref().is_some_and(|server| server_missing(server).is_none());
    let secrets = if belongs { fields.secrets() } else { AccountSecrets::default() };
    // What is missing is what a draft is about.
    let _ = account.keep_secrets(&secrets, before.map(|row| &row.account));
    let mut belonging = Fingerprints::of(&account);
    if fields.forgets() {
        belonging.smtp = None;
        usecase::forget(&mut account);
    }
    let place = before.and_then(|row| row.secret.as_ref());
    let secret = store.secrets.put(tenant, &name, place, &secrets, &belonging).await?;
    let changed_by = call.principal.token.clone();
    let mut draft = AccountRow { account, version: String::new(), changed_by: changed_by.clone(), secret };
    // The draft comes first: it counts only once the account has the version that it lies over, or is gone.
    match &config.row {
        Some(row) if row.account.smtp.is_some() => {
            store.history.keep(tenant, row).await?;
            let less = without_sending(row, &draft, call);
            draft.version = less.as_ref().map(|row| row.version.clone()).unwrap_or_default();
            store.drafts.put(tenant, &draft, &config.drafted).await?;
            stop_sending(tools, call, &name, less, &expected).await?;
        }
        row => {
            draft.version = row.as_ref().map(|row| row.version.clone()).unwrap_or_default();
            store.drafts.put(tenant, &draft, &config.drafted).await?;
        }
    }
    usecase::forget_old(tools, tenant, before, &draft).await
}

/// The account without its sending side, under its next version; none where there is no other side.
fn without_sending(row: &AccountRow, draft: &AccountRow, call: &Call) -> Option<AccountRow> {
    row.account.receive.as_ref()?;
    let (secret, changed_by) = (draft.secret.clone(), draft.changed_by.clone());
    let mut row = AccountRow { secret, changed_by, version: Accounts::next_version(), ..row.clone() };
    row.account.smtp = None;
    row.account.updated_at = call.now;
    Some(row)
}

/// Takes the sending side off the account: the whole account where there is no other side.
async fn stop_sending(
    tools: &Tools,
    call: &Call,
    name: &AccountId,
    less: Option<AccountRow>,
    expected: &Expect,
) -> Result<(), Problem> {
    let (store, tenant) = (&tools.store, call.tenant());
    match less {
        Some(row) => {
            store.accounts.put_as(tenant, row, expected).await?;
        }
        None => {
            store.accounts.delete(tenant, name, expected).await?;
            store.statuses.delete(tenant, name).await?;
        }
    }
    Ok(())
}
