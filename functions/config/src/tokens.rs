//! `/v1/tokens`.

use shared::http::{Call, Reply};
use shared::model::principal::Scope;
use shared::model::views::{Page, TokenCreated, TokenInput, TokenView};
use shared::model::{AccountId, Code, FieldError, Problem};
use shared::ops::{Tools, tokens};
use shared::store::TokenRow;

/// Tokens of one page.
const PAGE: u32 = 100;

/// Makes a token; the only answer that shows it.
pub(crate) async fn create(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let input: TokenInput = call.json()?;
    check(&input, &call)?;
    let token = tokens::mint(call.tenant())?;
    let row = TokenRow {
        hash: tokens::hash(&token),
        name: input.name,
        scopes: input.scopes,
        accounts: input.accounts,
        created_at: call.now,
        expires_at: input.expires_at,
    };
    tools.store.tokens.put(call.tenant(), &row).await?;
    let location = format!("/v1/tokens/{}", row.hash);
    Reply::created(&TokenCreated { token, view: view(row) }, &location)
}

/// Nobody gives away more than he has.
fn check(input: &TokenInput, call: &Call) -> Result<(), Problem> {
    let mut errors = Vec::new();
    if input.name.is_empty() || input.name.len() > 200 {
        errors.push(FieldError::new("/name", "invalid_value", "1 to 200 characters"));
    }
    if input.scopes.is_empty() {
        errors.push(FieldError::new("/scopes", "missing", "name at least one of read, send, admin"));
    }
    if input.expires_at.is_some_and(|end| end <= call.now) {
        errors.push(FieldError::new("/expiresAt", "invalid_value", "lies in the past"));
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let lacking: Vec<&str> =
        input.scopes.iter().filter(|scope| !call.principal.may(**scope)).map(|scope| Scope::name(*scope)).collect();
    if !lacking.is_empty() {
        return Err(Problem::new(Code::Forbidden, format!("your own token lacks the scope {}", lacking.join(", "))));
    }
    if within(input.accounts.as_deref(), call) {
        Ok(())
    } else {
        Err(Problem::new(Code::Forbidden, "your own token reaches fewer accounts: name some of those in accounts"))
    }
}

/// All tokens, without the tokens themselves.
pub(crate) async fn list(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["cursor"])?;
    let page = tools.store.tokens.list(call.tenant(), PAGE, call.query.get("cursor").map(String::as_str)).await?;
    let items: Vec<TokenView> =
        page.items.into_iter().filter(|row| within(row.accounts.as_deref(), &call)).map(view).collect();
    Reply::ok(&Page { items, next_cursor: page.next_cursor })
}

/// Revokes a token.
pub(crate) async fn delete(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let missing = || Problem::new(Code::NotFound, "there is no such token");
    let id = call.path.get("id").filter(|id| is_hash(id)).ok_or_else(missing)?;
    let row = tools.store.tokens.get(call.tenant(), id).await?;
    row.filter(|row| within(row.accounts.as_deref(), &call)).ok_or_else(missing)?;
    tools.store.tokens.delete(call.tenant(), id).await?;
    Ok(Reply::no_content())
}

/// A caller that may touch some accounts makes, sees and revokes tokens for some of these: others are none of his
/// business.
fn within(accounts: Option<&[AccountId]>, call: &Call) -> bool {
    match accounts {
        Some(accounts) => accounts.iter().all(|account| call.principal.reaches(account)),
        None => call.principal.accounts.is_none(),
    }
}

fn is_hash(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn view(row: TokenRow) -> TokenView {
    TokenView {
        id: row.hash,
        name: row.name,
        scopes: row.scopes,
        accounts: row.accounts,
        created_at: row.created_at,
        expires_at: row.expires_at,
    }
}
