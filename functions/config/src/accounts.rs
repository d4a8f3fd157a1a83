//! `/v1/accounts`.

use shared::http::{Call, Reply};
use shared::mail::Deadline;
use shared::model::account::{AccountInput, Passwords};
use shared::model::poll::Rhythm;
use shared::model::views::{AccountView, Page};
use shared::model::{Account, AccountId, Auth, Code, FieldError, Problem, Protocol, Server, Tenant, Timestamp};
use shared::ops::fortunes::{self, Fortune};
use shared::ops::{Tools, probe, sign_in};
use shared::store::{AccountRow, AccountStatus, Expect, Fingerprints, SecretError, Side};

/// The account that is the tenant's email configuration: it is probed before it is changed, unless told otherwise.
const DEFAULT: &str = "default";

/// A page of accounts.
pub(crate) async fn list(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["limit", "cursor"])?;
    let limit = call.number("limit", 50, 1, 100)?;
    let page = tools.store.accounts.list(call.tenant(), limit, call.query.get("cursor").map(String::as_str)).await?;
    let rows: Vec<AccountRow> =
        page.items.into_iter().filter(|row| call.principal.reaches(&row.account.account)).collect();
    let names: Vec<AccountId> = rows.iter().map(|row| row.account.account.clone()).collect();
    let mut statuses = tools.store.statuses.of(call.tenant(), &names).await?;
    let items: Vec<AccountView> = rows
        .into_iter()
        .map(|row| {
            let status = statuses.remove(&row.account.account).unwrap_or_default();
            view(&tools, call.tenant(), row, &status, call.now)
        })
        .collect();
    Reply::ok(&Page { items, next_cursor: page.next_cursor })
}

/// One account.
pub(crate) async fn get(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let row = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    shown(&tools, &call, row, Reply::ok).await
}

/// Creates or replaces an account. The secret is written first, then the row that names its version.
pub(crate) async fn put(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["verify"])?;
    let name = call.new_account()?;
    let verify = call.flag("verify")?.unwrap_or(name.as_str() == DEFAULT);
    let input: AccountInput = call.json()?;
    let (mut account, passwords) =
        input.check(name.clone(), tools.settings.min_poll_seconds, call.now).map_err(Problem::invalid)?;
    let current = tools.store.accounts.get(call.tenant(), &name).await?;
    let expected = expectation(&call, current.as_ref())?;
    keep_passwords(&mut account, &passwords, current.as_ref())?;
    if verify {
        try_out(&tools, &call, &account, &passwords, current.as_ref()).await?;
    }
    if let Some(current) = &current {
        account.created_at = current.account.created_at;
    }
    let place = current.as_ref().and_then(|row| row.secret.as_ref());
    let secret = tools.store.secrets.put(call.tenant(), &name, place, &passwords, &fingerprints(&account)).await?;
    let row = AccountRow { account, version: String::new(), secret };
    let row = tools.store.accounts.put(call.tenant(), row, &expected).await?;
    begin_afresh(&tools, call.tenant(), &row, verify, call.now).await?;
    match current {
        Some(_) => shown(&tools, &call, row, Reply::ok).await,
        None => shown(&tools, &call, row, |view| Reply::created(view, &format!("/v1/accounts/{name}"))).await,
    }
}

/// Removes an account and everything that keeps it going; the row goes last, so that a DELETE that was cut off can be
/// repeated. Stored mail stays until it is deleted itself.
pub(crate) async fn delete(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let name = call.account()?;
    let row = sign_in::account(&tools, call.tenant(), &name).await?;
    expectation(&call, Some(&row))?;
    tools.store.polls.remove(call.tenant(), &name).await?;
    if let Some(secret) = &row.secret {
        tools.store.secrets.delete(call.tenant(), &name, secret).await?;
    }
    tools.store.ledgers.delete(call.tenant(), &name).await?;
    tools.store.statuses.delete(call.tenant(), &name).await?;
    // Whatever came in between: without its secret the row would be an account that only looks as if it worked.
    tools.store.accounts.delete(call.tenant(), &name, &Expect::Any).await?;
    Ok(Reply::no_content())
}

/// If-Match is optional (RFC 9110 §13.1.1). Without it a change still loses against one that came in between.
fn expectation(call: &Call, current: Option<&AccountRow>) -> Result<Expect, Problem> {
    let version = current.map(|row| row.version.clone());
    let stale = || {
        Problem::new(
            Code::PreconditionFailed,
            "If-Match names another version than the current one: read the account again",
        )
    };
    match (call.header("If-Match")?, version) {
        (None, Some(version)) => Ok(Expect::Version(version)),
        (None, None) => Ok(Expect::Absent),
        (Some("*"), Some(version)) => Ok(Expect::Version(version)),
        (Some(wanted), Some(version)) if wanted.trim_matches('"') == version => Ok(Expect::Version(version)),
        (Some(_), _) => Err(stale()),
    }
}

/// A password that is left out stays, if it goes to the same server as before; otherwise it has to be given again.
fn keep_passwords(account: &mut Account, passwords: &Passwords, current: Option<&AccountRow>) -> Result<(), Problem> {
    let before = current.map(|row| fingerprints(&row.account)).unwrap_or_default();
    let had = |auth: Option<&Auth>| matches!(auth, Some(Auth::Password { has_password: true, .. }));
    let smtp_before = current.and_then(|row| row.account.smtp.as_ref());
    let receive_before = current.and_then(|row| row.account.receive.as_ref());
    let now = fingerprints(account);
    let mut errors = Vec::new();
    for pointer in passwords.missing(account) {
        let (same, had) = if pointer.starts_with("/smtp") {
            (now.smtp == before.smtp, had(smtp_before.map(|server| &server.auth)))
        } else {
            (now.receive == before.receive, had(receive_before.map(|receive| &receive.server.auth)))
        };
        match (same && had, had) {
            (true, _) => {}
            (false, true) => errors.push(FieldError::new(
                pointer,
                "missing",
                "host, port, security, certificate check or username changed: give the password again",
            )),
            (false, false) => errors.push(FieldError::new(pointer, "missing", "give the password")),
        }
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let sides = [account.smtp.as_mut(), account.receive.as_mut().map(|receive| &mut receive.server)];
    for server in sides.into_iter().flatten() {
        if let Auth::Password { has_password, .. } = &mut server.auth {
            *has_password = true;
        }
    }
    Ok(())
}

fn fingerprints(account: &Account) -> Fingerprints {
    let of = |server: &Server, protocol: Protocol| {
        matches!(server.auth, Auth::Password { .. }).then(|| server.fingerprint(protocol))
    };
    Fingerprints {
        smtp: account.smtp.as_ref().and_then(|server| of(server, Protocol::Smtp)),
        receive: account.receive.as_ref().and_then(|receive| of(&receive.server, receive.protocol)),
    }
}

/// Probes before anything is changed.
async fn try_out(
    tools: &Tools,
    call: &Call,
    account: &Account,
    passwords: &Passwords,
    current: Option<&AccountRow>,
) -> Result<(), Problem> {
    let mut passwords = passwords.clone();
    let now = fingerprints(account);
    if let Some((row, place)) = current.and_then(|row| Some((row, row.secret.as_ref()?))) {
        let sides = [(&mut passwords.smtp, Side::Smtp, now.smtp), (&mut passwords.receive, Side::Receive, now.receive)];
        for (password, side, fingerprint) in sides {
            let Some(fingerprint) = fingerprint.filter(|_| password.is_none()) else {
                continue;
            };
            *password = match tools
                .store
                .secrets
                .get(call.tenant(), &row.account.account, place, side, &fingerprint, call.now)
                .await
            {
                Ok(stored) => Some(stored),
                Err(SecretError::Store(error)) => return Err(error.into()),
                Err(SecretError::NotFound | SecretError::FingerprintMismatch) => None,
            };
        }
    }
    let deadline = Deadline::after(tools.settings.probe).min(call.deadline);
    let probe = probe::given(&tools.network, account, &passwords, deadline).await;
    if probe.success {
        return Ok(());
    }
    let mut problem = Problem::new(
        Code::VerificationFailed,
        "the settings do not work and nothing was changed; smtp and receive say why",
    );
    problem.probe = Some(Box::new(probe));
    Err(problem)
}

/// New settings: old failures count no more, and the scheduler knows.
async fn begin_afresh(
    tools: &Tools,
    tenant: &Tenant,
    row: &AccountRow,
    verified: bool,
    now: Timestamp,
) -> Result<(), Problem> {
    let name = &row.account.account;
    tools.store.statuses.delete(tenant, name).await?;
    if verified {
        fortunes::record(tools, tenant, row, Fortune::SignedIn, now).await?;
    }
    let poll = row.account.poll;
    if poll.enabled {
        tools.store.polls.put(tenant, name, poll.min_seconds, poll.max_seconds).await?;
    } else {
        tools.store.polls.remove(tenant, name).await?;
    }
    Ok(())
}

async fn shown(
    tools: &Tools,
    call: &Call,
    row: AccountRow,
    reply: impl FnOnce(&AccountView) -> Result<Reply, Problem>,
) -> Result<Reply, Problem> {
    let status = tools.store.statuses.get(call.tenant(), &row.account.account).await?;
    let version = row.version.clone();
    Ok(reply(&view(tools, call.tenant(), row, &status, call.now))?.etag(&version))
}

fn view(tools: &Tools, tenant: &Tenant, row: AccountRow, status: &AccountStatus, now: Timestamp) -> AccountView {
    let poll = row.account.poll.enabled.then(|| Rhythm {
        poll: row.account.poll,
        tick_seconds: tools.settings.tick_seconds,
        last_arrival: status.last_pull_at,
        hash: shared::ops::schedule::slot(tenant, &row.account.account),
    });
    let status = fortunes::view(&row, status, poll, now);
    AccountView::new(row.account, status)
}
