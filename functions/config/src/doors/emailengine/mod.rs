//! EmailEngine's door to accounts (contracts A3.2, A3.5, A3.6): `/v1/account…`, the list and the settings.

mod input;
mod settings;
mod shown;

use serde_json::json;
use shared::http::engine::in_their_words;
use shared::http::{Call, Reply};
use shared::model::views::AccountView;
use shared::model::{AccountId, Code, FieldError, Problem};
use shared::ops::{Tools, sign_in};
use shared::store::{AccountRow, keys};

pub(crate) use settings::{settings, settle};

use crate::usecase::{self, DEFAULT, Terms, Written};

/// Accounts of one read while all of them are listed.
const PAGE: u32 = 100;

/// `POST /v1/account`: registers an account, or updates the one with this id (A3.2/10, A3.2/11).
pub(crate) async fn create(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let given: input::Given = call.json()?;
    let id = match &given.account {
        None => Err(Problem::invalid(vec![FieldError::new("/account", "missing", "is required")])),
        Some(None) => AccountId::new(keys::random_id().as_str()).map_err(Problem::internal),
        Some(Some(id)) => AccountId::new(id.trim())
            .map_err(|rule| Problem::invalid(vec![FieldError::new("/account", "invalid_name", rule.to_string())])),
    }?;
    if !call.principal.reaches(&id) {
        return Err(Problem::new(Code::Forbidden, "this token does not reach that account"));
    }
    let current = tools.store.accounts.get(call.tenant(), &id).await?;
    let written = save(&tools, &call, given, id.clone(), current).await?;
    Reply::ok(&json!({"account": id, "state": if written.created { "new" } else { "existing" }}))
}

/// `PUT /v1/account/{account}`.
pub(crate) async fn update(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let id = call.account()?;
    let current = sign_in::account(&tools, call.tenant(), &id).await?;
    let given: input::Given = call.json()?;
    save(&tools, &call, given, id.clone(), Some(current)).await?;
    Reply::ok(&json!({"account": id}))
}

async fn save(
    tools: &Tools,
    call: &Call,
    given: input::Given,
    id: AccountId,
    current: Option<AccountRow>,
) -> Result<Written, Problem> {
    let preferences = tools.store.preferences.get(call.tenant(), call.now).await?;
    let before = current.as_ref().map(|row| &row.account);
    let settings = given
        .settings(&id, before, preferences.auth_server, tools.settings.min_poll_seconds)
        .map_err(|errors| in_their_words(Problem::invalid(errors)))?;
    let terms = Terms::new(id.as_str() == DEFAULT);
    let (account, secrets) = usecase::checked(tools, call, id, settings).map_err(in_their_words)?;
    usecase::change(tools, call, current, account, &secrets, terms).await.map_err(in_their_words)
}

/// `GET /v1/account/{account}`.
pub(crate) async fn get(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let row = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    Reply::ok(&shown::account(&usecase::show(&tools, &call, row).await?))
}

/// `DELETE /v1/account/{account}`.
pub(crate) async fn delete(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let id = call.account()?;
    usecase::delete(&tools, &call, &id).await?;
    Reply::ok(&json!({"account": id, "deleted": true}))
}

/// `GET /emailengine/v1/accounts`. It tells a total and jumps to any page: so all accounts are read.
pub(crate) async fn list(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let page = call.number("page", 0, 0, 1 << 20)? as usize;
    let size = call.number("pageSize", 20, 1, 1000)? as usize;
    let state = call.query.get("state").cloned();
    let query = call.query.get("query").cloned();
    if state.as_ref().is_some_and(|state| !shown::STATES.contains(&state.as_str())) {
        let words = format!("must be one of {}", shown::STATES.join(", "));
        return Err(Problem::invalid(vec![FieldError::new("?state", "invalid_value", words)]));
    }
    let mut found: Vec<AccountView> = Vec::new();
    let mut cursor = None;
    loop {
        let accounts = usecase::list(&tools, &call, PAGE, cursor.as_deref()).await?;
        found.extend(accounts.items.into_iter().filter(|view| {
            state.as_deref().is_none_or(|state| shown::state(view) == state)
                && query.as_deref().is_none_or(|query| shown::matches(view, query))
        }));
        cursor = accounts.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let entries: Vec<_> = found.iter().skip(page.saturating_mul(size)).take(size).map(shown::entry).collect();
    Reply::ok(&json!({
        "total": found.len(),
        "page": page,
        "pages": found.len().div_ceil(size),
        "query": query.map_or(json!(false), Into::into),
        "state": state.unwrap_or_else(|| "*".to_owned()),
        "accounts": entries,
    }))
}
