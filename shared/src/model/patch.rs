//! Changing an account in parts: RFC 6902 (JSON Patch) and RFC 7396 (JSON Merge Patch).
//!
//! A patch works on the account as its owner would write it down: without its name, its times, and without secrets.
//! So nothing that a patch tests, copies or moves can be a stored secret; a secret can only be given. The result is
//! checked like any account that is given whole ([`AccountInput::check`](super::account::AccountInput::check)).

use json_patch::jsonptr::Pointer;
use json_patch::{PatchErrorKind, PatchOperation};
use serde_json::Value;

use super::{Account, Code, FieldError, Problem};

/// Operations of one patch.
pub const OPERATIONS: usize = 50;

/// Levels of a path and of a value: an account has five.
pub const DEPTH: usize = 8;

/// Size of a patched account: a few `copy` would double it each time.
const DOCUMENT_BYTES: usize = 65_536;

/// What of an account may be changed.
const FIELDS: [&str; 7] = ["name", "from", "identities", "smtp", "receive", "poll", "sentCopy"];

/// Fields of `auth` that are given and never shown.
const SECRETS: [&str; 3] = ["password", "clientSecret", "refreshToken"];

/// Fields of `auth` that say whether a secret is stored.
const MARKS: [&str; 4] = ["hasPassword", "hasClientSecret", "hasRefreshToken", "hasQuery"];

/// A patch of either kind.
#[derive(Clone, PartialEq)]
pub enum Patch {
    /// RFC 6902: operations in order, all or none.
    Operations(Vec<PatchOperation>),
    /// RFC 7396: what it names is replaced, null removes.
    Merge(Value),
}

impl std::fmt::Debug for Patch {
    /// It may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Operations(_) => "Operations(..)",
            Self::Merge(_) => "Merge(..)",
        })
    }
}

/// An account as its owner would write it down, without secrets.
pub fn document(account: &Account) -> Result<Value, Problem> {
    let mut document = serde_json::to_value(account).map_err(Problem::internal)?;
    if let Some(fields) = document.as_object_mut() {
        fields.retain(|name, _| FIELDS.contains(&name.as_str()));
    }
    for side in ["/smtp/auth", "/receive/auth"] {
        if let Some(auth) = document.pointer_mut(side).and_then(Value::as_object_mut) {
            auth.retain(|name, _| !MARKS.contains(&name.as_str()));
        }
    }
    Ok(document)
}

/// Applies a patch: the whole account, to be checked.
///
/// # Errors
/// Names the first operation that is refused or fails by its pointer in the patch; a `test` that fails is a conflict
/// (RFC 5789 §2.2). Nothing was changed then.
pub fn apply(mut document: Value, patch: &Patch) -> Result<Value, Problem> {
    match patch {
        Patch::Operations(operations) => {
            if operations.len() > OPERATIONS {
                return Err(refused(String::new(), "out_of_range", format!("at most {OPERATIONS} operations")));
            }
            for (index, operation) in operations.iter().enumerate() {
                let operation = allowed(operation).map_err(|refusal| refusal.of(index))?;
                perform(&mut document, &operation, index)?;
            }
        }
        Patch::Merge(changes) => {
            merge_allowed(changes)?;
            json_patch::merge(&mut document, changes);
        }
    }
    Ok(document)
}

/// Why an operation may not be: the field of it, and words.
struct Refusal(&'static str, String);

impl Refusal {
    fn of(self, index: usize) -> Problem {
        refused(format!("/{index}/{}", self.0), "invalid_value", self.1)
    }
}

fn refused(pointer: String, code: &str, words: String) -> Problem {
    Problem::invalid(vec![FieldError::new(pointer, code, words)])
}

/// Checks one operation. Writing over a secret is adding it: the document does not show the old one.
fn allowed(operation: &PatchOperation) -> Result<PatchOperation, Refusal> {
    check_path("path", operation.path())?;
    let secret = is_secret(operation.path());
    match operation {
        PatchOperation::Add(add) => check_value(&add.value)?,
        PatchOperation::Replace(replace) => {
            check_value(&replace.value)?;
            if secret {
                let add = json_patch::AddOperation { path: replace.path.clone(), value: replace.value.clone() };
                return Ok(PatchOperation::Add(add));
            }
        }
        PatchOperation::Test(test) => {
            check_value(&test.value)?;
            write_only("path", secret, "tested")?;
        }
        PatchOperation::Remove(_) => write_only("path", secret, "removed; give another one, or another type of auth")?,
        PatchOperation::Copy(copy) => check_from(&copy.from, "copied")?,
        PatchOperation::Move(from) => check_from(&from.from, "moved")?,
    }
    Ok(operation.clone())
}

fn check_from(from: &Pointer, verb: &str) -> Result<(), Refusal> {
    check_path("from", from)?;
    write_only("from", is_secret(from), verb)
}

fn write_only(field: &'static str, secret: bool, verb: &str) -> Result<(), Refusal> {
    if secret { Err(Refusal(field, format!("a secret is write-only: it cannot be {verb}"))) } else { Ok(()) }
}

fn check_path(field: &'static str, path: &Pointer) -> Result<(), Refusal> {
    let first = path.first().map(|token| token.decoded().into_owned()).unwrap_or_default();
    if !FIELDS.contains(&first.as_str()) {
        let fields = FIELDS.map(|field| format!("/{field}")).join(", ");
        return Err(Refusal(field, format!("only {fields} and what is below them can be changed")));
    }
    if path.count() > DEPTH {
        return Err(Refusal(field, format!("at most {DEPTH} levels")));
    }
    Ok(())
}

fn check_value(value: &Value) -> Result<(), Refusal> {
    if depth(value) > DEPTH { Err(Refusal("value", format!("at most {DEPTH} levels"))) } else { Ok(()) }
}

/// Levels of a value; serde_json itself reads no more than 128, so that this ends.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

fn is_secret(path: &Pointer) -> bool {
    let tokens: Vec<_> = path.tokens().map(|token| token.decoded().into_owned()).collect();
    tokens.get(1).is_some_and(|auth| auth == "auth")
        && tokens.get(2).is_some_and(|field| SECRETS.contains(&field.as_str()))
}

/// Performs one operation on what is a copy already: none of it is kept if a later one fails.
fn perform(document: &mut Value, operation: &PatchOperation, index: usize) -> Result<(), Problem> {
    json_patch::patch(document, std::slice::from_ref(operation)).map_err(|error| match error.kind {
        PatchErrorKind::TestFailed => {
            Problem::new(Code::Conflict, format!("the test of operation {index} fails: read the account again"))
        }
        PatchErrorKind::InvalidFromPointer => missing(index, "from"),
        PatchErrorKind::CannotMoveInsideItself => {
            Refusal("path", "nothing can be moved into itself".to_owned()).of(index)
        }
        _ => missing(index, "path"),
    })?;
    if document.to_string().len() > DOCUMENT_BYTES {
        return Err(Refusal("path", format!("the account would be larger than {DOCUMENT_BYTES} bytes")).of(index));
    }
    Ok(())
}

fn missing(index: usize, field: &'static str) -> Problem {
    Refusal(field, "the account has nothing there".to_owned()).of(index)
}

fn merge_allowed(changes: &Value) -> Result<(), Problem> {
    let Some(fields) = changes.as_object() else {
        let words = "a merge patch is an object; send operations as application/json-patch+json";
        return Err(refused(String::new(), "invalid_value", words.to_owned()));
    };
    let mut errors: Vec<FieldError> = fields
        .keys()
        .filter(|name| !FIELDS.contains(&name.as_str()))
        .map(|name| FieldError::new(format!("/{name}"), "unknown_field", "this cannot be changed"))
        .collect();
    if depth(changes) > DEPTH {
        errors.push(FieldError::new("", "out_of_range", format!("at most {DEPTH} levels")));
    }
    for (side, secret) in ["smtp", "receive"].into_iter().flat_map(|side| SECRETS.map(|secret| (side, secret))) {
        let pointer = format!("/{side}/auth/{secret}");
        if changes.pointer(&pointer).is_some_and(Value::is_null) {
            let words = "a secret cannot be removed: give another one, or another type of auth";
            errors.push(FieldError::new(pointer, "invalid_value", words));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
}

#[cfg(test)]
mod tests;
