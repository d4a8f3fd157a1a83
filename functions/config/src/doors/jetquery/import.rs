//! `POST /v1/accounts/import`: jetQuery's configuration files as they are (A1.5 to A1.7): a team's account, a list of
//! them, and `app.settings.json` with the account `system`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use shared::http::door::renamed;
use shared::http::{Call, Reply, body};
use shared::model::views::{Imported, ImportedAccount};
use shared::model::{AccountId, FieldError, Problem};
use shared::ops::Tools;

use super::{Given, SYSTEM, WORDS, plain, usual_poll};
use crate::usecase::{self, Prepared, Terms};

/// Accounts of one import: their secrets fit into one version of the tenant's secret.
const ACCOUNTS: usize = 100;

/// Creates or replaces all of them or, where one is wrong, none. Files that were exported without passwords are taken:
/// such an account says that it is incomplete, unless its password is here already.
pub(crate) async fn import(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let entries = entries(document(&call)?)?;
    let (mut ready, mut errors): (Vec<Prepared>, Vec<FieldError>) = (Vec::new(), Vec::new());
    let mut names = BTreeSet::new();
    for entry in entries {
        let place = entry.place.clone();
        if entry.name.as_ref().is_some_and(|name| !names.insert(name.clone())) {
            errors.push(FieldError::new(format!("{place}/account"), "invalid_name", "the file names it twice"));
            continue;
        }
        match prepare(&tools, &call, entry).await {
            Ok(prepared) => ready.push(prepared),
            Err(problem) if problem.errors.is_empty() => return Err(problem),
            Err(problem) => errors.extend(problem.errors.into_iter().map(|error| placed(&place, error))),
        }
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let written = usecase::write(&tools, &call, ready).await?;
    let accounts = written
        .into_iter()
        .map(|written| ImportedAccount {
            incomplete: shared::ops::fortunes::lacks_secret(&written.row),
            account: written.row.account.account,
            created: written.created,
        })
        .collect();
    Reply::ok(&Imported { accounts })
}

/// One account of the file.
struct Entry {
    /// Its pointer in the file.
    place: String,
    name: Option<String>,
    settings: Value,
}

/// The file as JSON. The documentation shows `"system": {…}` as it stands in the middle of a file.
fn document(call: &Call) -> Result<Value, Problem> {
    let text = plain(call)?;
    let fragment = text.trim_start().starts_with('"');
    let text = if fragment { format!("{{{}}}", text.trim_end().trim_end_matches(',')) } else { text };
    body::json(call.header("content-type")?, text.as_bytes())
}

/// Every account of the file; what else it holds is none of ours.
fn entries(document: Value) -> Result<Vec<Entry>, Problem> {
    let mut found = Vec::new();
    match document {
        Value::Array(list) => found.extend(list.into_iter().enumerate().map(|(at, one)| team(format!("/{at}"), one))),
        Value::Object(mut fields) => {
            if let Some(settings) = fields.remove(SYSTEM) {
                found.push(Entry { place: format!("/{SYSTEM}"), name: Some(SYSTEM.to_owned()), settings });
            }
            if let Some(Value::Array(list)) = fields.remove("accounts") {
                found.extend(list.into_iter().enumerate().map(|(at, one)| team(format!("/accounts/{at}"), one)));
            }
            if is_account(&fields) {
                found.push(team(String::new(), Value::Object(fields)));
            }
        }
        _ => {}
    }
    if found.is_empty() || found.len() > ACCOUNTS {
        let words = format!(
            "expected an account with \"account\" and \"mail_…\" fields, a list of them, or \"system\"; at most {ACCOUNTS}"
        );
        return Err(Problem::invalid(vec![FieldError::new("", "invalid_value", words)]));
    }
    Ok(found)
}

fn is_account(fields: &Map<String, Value>) -> bool {
    fields.contains_key("account") || fields.keys().any(|name| name.starts_with("mail_"))
}

fn team(place: String, settings: Value) -> Entry {
    Entry { place, name: settings["account"].as_str().map(str::to_owned), settings }
}

async fn prepare(tools: &Tools, call: &Call, entry: Entry) -> Result<Prepared, Problem> {
    let named = |code: &str, words: String| Problem::invalid(vec![FieldError::new("account", code, words)]);
    let name = entry.name.ok_or_else(|| named("missing", "give the account a name".to_owned()))?;
    let name = AccountId::new(name).map_err(|rule| named("invalid_name", rule.to_string()))?;
    if !call.principal.reaches(&name) {
        return Err(named("invalid_name", "your token does not reach it".to_owned()));
    }
    let given: Given = body::value(entry.settings)?;
    let row = tools.store.accounts.get(call.tenant(), &name).await?;
    let before = row.as_ref().map(|row| &row.account);
    let settings = given.settings(&name, before, usual_poll(tools)).map_err(Problem::invalid)?;
    let in_their_words = |problem| renamed(problem, WORDS);
    let (account, secrets) = usecase::checked(tools, call, name, settings).map_err(in_their_words)?;
    let terms = Terms { complete: false, ..Terms::new(false) };
    usecase::prepare(tools, call, row.into(), account, &secrets, terms).await.map_err(in_their_words)
}

fn placed(place: &str, error: FieldError) -> FieldError {
    let field = error.pointer.trim_start_matches('/');
    FieldError { pointer: format!("{place}/{field}"), ..error }
}
