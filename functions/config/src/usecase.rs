//! What can be done to an account, whoever asks: the native routes and the front doors translate and call this.

use shared::http::{Call, body};
use shared::mail::Deadline;
use shared::model::account::{AccountInput, AccountSecrets};
use shared::model::patch::{self, Patch};
use shared::model::poll::Rhythm;
use shared::model::views::{AccountView, Page};
use shared::model::{Account, AccountId, Code, FieldError, Problem, Tenant, Timestamp};
pub(crate) use shared::ops::email_config::DEFAULT;
use shared::ops::fortunes::{self, Fortune};
use shared::ops::{Tools, guesses, probe, sign_in};
use shared::store::{AccountRow, AccountStatus, Expect, Fingerprints, SecretChange, SecretError, Side, StatusChange};

/// No account may be called like the route beside it (`POST /v1/accounts/import`).
const RESERVED: &str = "import";

/// What became of a change.
pub(crate) struct Written {
    /// The account as it is now.
    pub(crate) row: AccountRow,
    /// Whether there was none before.
    pub(crate) created: bool,
}

/// A page of the accounts that the caller may touch.
pub(crate) async fn list(
    tools: &Tools,
    call: &Call,
    limit: u32,
    cursor: Option<&str>,
) -> Result<Page<AccountView>, Problem> {
    let page = tools.store.accounts.list(call.tenant(), limit, cursor).await?;
    let rows: Vec<AccountRow> =
        page.items.into_iter().filter(|row| call.principal.reaches(&row.account.account)).collect();
    let names: Vec<AccountId> = rows.iter().map(|row| row.account.account.clone()).collect();
    let mut statuses = tools.store.statuses.of(call.tenant(), &names).await?;
    let items = rows
        .into_iter()
        .map(|row| {
            let status = statuses.remove(&row.account.account).unwrap_or_default();
            view(tools, call.tenant(), row, &status, call.now)
        })
        .collect();
    Ok(Page { items, next_cursor: page.next_cursor })
}

/// An account with its status.
pub(crate) async fn show(tools: &Tools, call: &Call, row: AccountRow) -> Result<AccountView, Problem> {
    let status = tools.store.statuses.get(call.tenant(), &row.account.account).await?;
    Ok(view(tools, call.tenant(), row, &status, call.now))
}

/// On which terms an account is changed.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    /// Only if it works.
    pub(crate) verify: bool,
    /// Only if no secret is missing. Otherwise a secret whose server changed is dropped, and the account is incomplete.
    pub(crate) complete: bool,
    /// The stored secrets of the sending side are forgotten, new ones given or not.
    pub(crate) forget_smtp: bool,
}

impl Terms {
    /// The usual ones.
    pub(crate) fn new(verify: bool) -> Self {
        Self { verify, complete: true, forget_smtp: false }
    }
}

/// What is there before a change.
pub(crate) struct Base {
    /// The account.
    pub(crate) row: Option<AccountRow>,
    /// What lies over it while it is incomplete: its secrets are those that are stored.
    pub(crate) draft: Option<AccountRow>,
}

impl From<Option<AccountRow>> for Base {
    fn from(row: Option<AccountRow>) -> Self {
        Self { row, draft: None }
    }
}

/// Creates or replaces an account, if `If-Match` holds, and if `verify` is asked for: only if it works.
pub(crate) async fn put(
    tools: &Tools,
    call: &Call,
    name: AccountId,
    input: AccountInput,
    verify: bool,
) -> Result<Written, Problem> {
    let current = tools.store.accounts.get(call.tenant(), &name).await?;
    let (account, secrets) = checked(tools, call, name, input)?;
    change(tools, call, current, account, &secrets, Terms::new(verify)).await
}

/// Creates an account where there is none.
pub(crate) async fn create(
    tools: &Tools,
    call: &Call,
    name: AccountId,
    input: AccountInput,
    verify: bool,
) -> Result<Written, Problem> {
    let (account, secrets) = checked(tools, call, name, input)?;
    if tools.store.accounts.get(call.tenant(), &account.account).await?.is_some() {
        let words = format!("there is an account {:?} already: change it with PUT or PATCH", account.account.as_str());
        return Err(Problem::new(Code::Conflict, words));
    }
    change(tools, call, None, account, &secrets, Terms::new(verify)).await
}

/// Changes an account in parts, from its current settings or from earlier ones.
pub(crate) async fn patch(
    tools: &Tools,
    call: &Call,
    current: AccountRow,
    from: &Account,
    changes: Option<&Patch>,
    verify: bool,
) -> Result<Written, Problem> {
    expectation(call, Some(&current))?;
    let document = patch::document(from)?;
    let document = changes.map_or(Ok(document.clone()), |changes| patch::apply(document, changes))?;
    let input: AccountInput = body::value(document)?;
    let (account, secrets) = checked(tools, call, from.account.clone(), input)?;
    change(tools, call, Some(current), account, &secrets, Terms::new(verify)).await
}

/// Checks settings that are given, and splits them from their secrets.
pub(crate) fn checked(
    tools: &Tools,
    call: &Call,
    name: AccountId,
    input: AccountInput,
) -> Result<(Account, AccountSecrets), Problem> {
    input.check(name, tools.settings.min_poll_seconds, call.now).map_err(Problem::invalid)
}

/// A change that was checked, ready to be written.
pub(crate) struct Prepared {
    base: Base,
    account: Account,
    secrets: AccountSecrets,
    belonging: Fingerprints,
    expected: Expect,
    verified: bool,
}

impl Prepared {
    fn secret_change(&self) -> SecretChange<'_> {
        let before = self.base.draft.as_ref().or(self.base.row.as_ref());
        SecretChange {
            account: &self.account.account,
            at: before.and_then(|row| row.secret.as_ref()),
            secrets: &self.secrets,
            fingerprints: self.belonging.clone(),
        }
    }
}

/// Writes an account over the current one, if `If-Match` holds.
pub(crate) async fn change(
    tools: &Tools,
    call: &Call,
    base: impl Into<Base>,
    account: Account,
    secrets: &AccountSecrets,
    terms: Terms,
) -> Result<Written, Problem> {
    let prepared = prepare(tools, call, base.into(), account, secrets, terms).await?;
    let mut written = write(tools, call, vec![prepared]).await?;
    written.pop().ok_or_else(|| Problem::internal("a prepared change was not written"))
}

/// Checks a change against what is there; writes nothing.
pub(crate) async fn prepare(
    tools: &Tools,
    call: &Call,
    base: Base,
    mut account: Account,
    secrets: &AccountSecrets,
    terms: Terms,
) -> Result<Prepared, Problem> {
    let current = base.row.as_ref();
    if current.is_none() && account.account.as_str() == RESERVED {
        let words = format!("{RESERVED:?} is the name of a route: choose another one");
        return Err(Problem::invalid(vec![FieldError::new("{account}", "invalid_name", words)]));
    }
    let expected = expectation(call, current)?;
    let before = base.draft.as_ref().or(current);
    let kept = account.keep_secrets(secrets, before.map(|row| &row.account));
    if terms.complete {
        kept.map_err(Problem::invalid)?;
    }
    if terms.verify {
        try_out(tools, call, &account, secrets, before).await?;
    }
    if let Some(current) = current {
        account.created_at = current.account.created_at;
    }
    let mut belonging = Fingerprints::of(&account);
    if terms.forget_smtp {
        belonging.smtp = None;
        forget(&mut account);
    }
    Ok(Prepared { base, account, secrets: secrets.clone(), belonging, expected, verified: terms.verify })
}

/// Writes what was prepared: the secrets first, under one version for all, then the rows that name it; what a row
/// replaces is kept before.
pub(crate) async fn write(tools: &Tools, call: &Call, changes: Vec<Prepared>) -> Result<Vec<Written>, Problem> {
    let (store, tenant) = (&tools.store, call.tenant());
    let secrets: Vec<_> = changes.iter().map(Prepared::secret_change).collect();
    let places = store.secrets.put_all(tenant, &secrets).await?;
    let mut written = Vec::with_capacity(changes.len());
    for (change, secret) in changes.into_iter().zip(places) {
        let Prepared { base, account, secrets, expected, verified, .. } = change;
        let current = base.row.as_ref();
        let given = !secrets.smtp.is_empty() || !secrets.receive.is_empty();
        if let Some(current) = current {
            store.history.keep(tenant, current).await?;
        }
        let row = AccountRow { account, version: String::new(), changed_by: call.principal.token.clone(), secret };
        if let Some(before) = current.filter(|before| !signs_in_alike(before, &row)) {
            // Before the row as well: who repeats this call after a failure behind the row finds nothing changed.
            let name = &before.account.account;
            forgive(tools, tenant, name, &store.statuses.get(tenant, name).await?).await?;
        }
        let row = store.accounts.put(tenant, row, &expected).await?;
        forget_old(tools, tenant, current, &row).await?;
        begin_afresh(tools, tenant, &Change { before: current, verified, given }, &row, call.now).await?;
        written.push(Written { row, created: current.is_none() });
    }
    Ok(written)
}

/// A secret that was taken away goes for good once the row says so.
pub(crate) async fn forget_old(
    tools: &Tools,
    tenant: &Tenant,
    before: Option<&AccountRow>,
    row: &AccountRow,
) -> Result<(), Problem> {
    let secrets = |row: &AccountRow| {
        let receive = row.account.receive.as_ref().map(|receive| &receive.server);
        let sides = [row.account.smtp.as_ref(), receive].into_iter().flatten();
        sides.filter(|server| server.auth.has_secret()).count()
    };
    let Some(before) = before.filter(|before| secrets(before) > secrets(row)) else { return Ok(()) };
    match row.secret.as_ref().or(before.secret.as_ref()) {
        Some(at) => Ok(tools.store.secrets.settle(tenant, &row.account.account, at).await?),
        None => Ok(()),
    }
}

/// The sending side has no secret any more.
pub(crate) fn forget(account: &mut Account) {
    if let Some(server) = &mut account.smtp {
        server.auth.secrets().iter().for_each(|(kind, _)| server.auth.set_has(*kind, false));
    }
}

/// Removes an account and everything that keeps it going, if `If-Match` holds; the row goes last, so that a DELETE
/// that was cut off can be repeated. Its version moves first: whoever is about to change the account loses from then on,
/// and what somebody changes nevertheless is not deleted. Stored mail stays until it is deleted itself.
pub(crate) async fn delete(tools: &Tools, call: &Call, name: &AccountId) -> Result<(), Problem> {
    let row = sign_in::account(tools, call.tenant(), name).await?;
    let expected = expectation(call, Some(&row))?;
    let row = tools.store.accounts.put(call.tenant(), row, &expected).await?;
    tools.store.polls.remove(call.tenant(), name).await?;
    tools.store.secrets.delete(call.tenant(), name, row.secret.as_ref()).await?;
    tools.store.ledgers.delete(call.tenant(), name).await?;
    tools.store.statuses.delete(call.tenant(), name).await?;
    tools.store.accounts.delete(call.tenant(), name, &Expect::Version(row.version)).await?;
    Ok(())
}

/// If-Match is optional (RFC 9110 §13.1.1). Without it a change still loses against one that came in between.
pub(crate) fn expectation(call: &Call, current: Option<&AccountRow>) -> Result<Expect, Problem> {
    let version = current.map(|row| row.version.clone());
    let stale = || {
        Problem::new(
            Code::PreconditionFailed,
            "If-Match names another version than the current one: read the account again",
        )
    };
    match (call.header("if-match")?, version) {
        (None, Some(version)) => Ok(Expect::Version(version)),
        (None, None) => Ok(Expect::Absent),
        (Some("*"), Some(version)) => Ok(Expect::Version(version)),
        (Some(wanted), Some(version)) if wanted.trim_matches('"') == version => Ok(Expect::Version(version)),
        (Some(_), _) => Err(stale()),
    }
}

/// Probes before anything is changed.
async fn try_out(
    tools: &Tools,
    call: &Call,
    account: &Account,
    secrets: &AccountSecrets,
    current: Option<&AccountRow>,
) -> Result<(), Problem> {
    let mut secrets = secrets.clone();
    let now = Fingerprints::of(account);
    if let Some((row, place)) = current.and_then(|row| Some((row, row.secret.as_ref()?))) {
        let sides = [(&mut secrets.smtp, Side::Smtp, now.smtp), (&mut secrets.receive, Side::Receive, now.receive)];
        for (given, side, fingerprint) in sides {
            let Some(fingerprint) = fingerprint else { continue };
            let store = &tools.store.secrets;
            match store.get(call.tenant(), &row.account.account, place, side, &fingerprint, call.now).await {
                Ok(stored) => *given = std::mem::take(given).or(stored),
                Err(SecretError::Store(error)) => return Err(error.into()),
                Err(SecretError::NotFound | SecretError::FingerprintMismatch) => {}
            }
        }
    }
    let admitted = guesses::admit(tools, call.tenant(), account, None, call.now).await?;
    let deadline = Deadline::after(tools.settings.probe).min(call.deadline);
    let probe = probe::given(tools, call.tenant(), account, &secrets, deadline, call.now).await?;
    admitted.probed(&probe).await?;
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

/// Tells the scheduler, and where servers or credentials changed, begins afresh: old failures count no more, and what
/// waited for their end is sent now. Repeated after a failure in its middle, it does what was not done.
async fn begin_afresh(
    tools: &Tools,
    tenant: &Tenant,
    change: &Change<'_>,
    row: &AccountRow,
    now: Timestamp,
) -> Result<(), Problem> {
    let name = &row.account.account;
    let poll = row.account.poll;
    if poll.enabled {
        tools.store.polls.put(tenant, name, poll.min_seconds, poll.max_seconds).await?;
    } else {
        tools.store.polls.remove(tenant, name).await?;
    }
    let status = tools.store.statuses.get(tenant, name).await?;
    if change.before.is_some_and(|before| signs_in_alike(before, row)) && !change.verified {
        let until = status.receive.quiet_until();
        if poll.enabled && until.is_some() {
            tools.store.polls.block(tenant, name, until).await?;
        }
        if change.given && status.smtp.pause.is_none() {
            fortunes::hasten(tools, tenant, name, now).await?;
        }
        return Ok(());
    }
    forgive(tools, tenant, name, &status).await?;
    if change.verified {
        fortunes::record(tools, tenant, row, Fortune::SignedIn, now).await?;
    }
    if change.before.is_some() {
        fortunes::hasten(tools, tenant, name, now).await?;
    }
    Ok(())
}

/// Old failures count no more.
async fn forgive(tools: &Tools, tenant: &Tenant, name: &AccountId, status: &AccountStatus) -> Result<(), Problem> {
    if *status != AccountStatus::default() {
        tools.store.statuses.change(tenant, name, &StatusChange::afresh()).await?;
    }
    Ok(())
}

/// What is known of a change that is being written.
struct Change<'a> {
    before: Option<&'a AccountRow>,
    verified: bool,
    /// A secret came with it.
    given: bool,
}

/// Whether nothing changed that a login depends on: then a pause after refused ones goes on.
fn signs_in_alike(before: &AccountRow, after: &AccountRow) -> bool {
    let receiver = |row: &AccountRow| row.account.receive.as_ref().map(|receive| receive.server.clone());
    before.secret == after.secret && before.account.smtp == after.account.smtp && receiver(before) == receiver(after)
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
