//! Accounts, and whether they work.

use super::{CURSOR, LIMIT, Route, VERIFY_FIRST, answer, bare, header, query, route};
use crate::model::principal::Scope;

/// All accounts of the tenant.
pub const ACCOUNTS_LIST: Route = Route {
    parameters: &[LIMIT, CURSOR],
    answers: &[answer(200, "A page of accounts.", "AccountPage")],
    problems: &[422],
    ..route("GET", "/v1/accounts", "config", "listAccounts", "List the accounts")
};

/// Create an account.
pub const ACCOUNT_CREATE: Route = Route {
    scope: Some(Scope::Admin),
    parameters: &[VERIFY_FIRST],
    request: Some("AccountCreate"),
    answers: &[answer(201, "Created.", "AccountView")],
    problems: &[400, 409, 413, 415, 422],
    ..route("POST", "/v1/accounts", "config", "createAccount", "Create an account, its name in the body")
};

/// Take over jetQuery's configuration.
pub const ACCOUNTS_IMPORT: Route = Route {
    scope: Some(Scope::Admin),
    request: Some("JetQueryConfiguration"),
    answers: &[answer(200, "All were created or replaced.", "Imported")],
    problems: &[400, 409, 413, 415, 422],
    ..route("POST", "/v1/accounts/import", "config", "importAccounts", "Import accounts from jetQuery's JSON files")
};

/// Change an account in parts.
pub const ACCOUNT_PATCH: Route = Route {
    scope: Some(Scope::Admin),
    parameters: &[VERIFY_FIRST, header("If-Match", "Change only this version (ETag).")],
    request: Some("AccountPatch"),
    answers: &[answer(200, "Changed.", "AccountView")],
    problems: &[400, 404, 409, 412, 413, 415, 422],
    ..route(
        "PATCH",
        "/v1/accounts/{account}",
        "config",
        "patchAccount",
        "Change an account by JSON Patch (RFC 6902) or JSON Merge Patch (RFC 7396)",
    )
};

/// What an account was.
pub const ACCOUNT_HISTORY: Route = Route {
    answers: &[answer(200, "The last 20 versions, the current one first, without secrets.", "AccountVersionPage")],
    problems: &[404],
    ..route("GET", "/v1/accounts/{account}/history", "config", "listAccountVersions", "List an account's versions")
};

/// Go back to what an account was.
pub const ACCOUNT_RESTORE: Route = Route {
    scope: Some(Scope::Admin),
    parameters: &[VERIFY_FIRST, header("If-Match", "Change only this version (ETag).")],
    answers: &[answer(200, "Restored, as a new version.", "AccountView")],
    problems: &[400, 404, 409, 412, 413, 415, 422],
    ..route(
        "POST",
        "/v1/accounts/{account}/history/{version}/restore",
        "config",
        "restoreAccountVersion",
        "Go back to an earlier version; a merge patch as the body gives the secrets that it needs again",
    )
};

/// Create or replace an account.
pub const ACCOUNT_PUT: Route = Route {
    scope: Some(Scope::Admin),
    parameters: &[VERIFY_FIRST, header("If-Match", "Replace only this version (ETag).")],
    request: Some("AccountInput"),
    answers: &[answer(200, "Replaced.", "AccountView"), answer(201, "Created.", "AccountView")],
    problems: &[400, 409, 412, 413, 415, 422],
    ..route("PUT", "/v1/accounts/{account}", "config", "putAccount", "Create or replace an account")
};

/// One account.
pub const ACCOUNT_GET: Route = Route {
    answers: &[answer(200, "The account, without its secrets.", "AccountView")],
    problems: &[404],
    ..route("GET", "/v1/accounts/{account}", "config", "getAccount", "Read an account")
};

/// Remove an account.
pub const ACCOUNT_DELETE: Route = Route {
    scope: Some(Scope::Admin),
    parameters: &[header("If-Match", "Delete only this version (ETag).")],
    answers: &[bare(204, "Settings, credential, ledger and schedule are gone; stored mail stays.")],
    problems: &[404, 409, 412],
    ..route("DELETE", "/v1/accounts/{account}", "config", "deleteAccount", "Delete an account")
};

/// Probe the stored settings.
pub const VERIFY: Route = Route {
    scope: Some(Scope::Send),
    answers: &[answer(200, "Whether it works, per side; failure is an answer too.", "Probe")],
    problems: &[404, 422],
    ..route("POST", "/v1/accounts/{account}/verify", "validate", "verifyAccount", "Probe an account's settings")
};

/// Probe given settings.
pub const VALIDATE: Route = Route {
    scope: Some(Scope::Send),
    request: Some("ValidateInput"),
    answers: &[answer(200, "Whether it works, per side; failure is an answer too.", "Probe")],
    problems: &[400, 413, 415, 422, 429],
    ..route(
        "POST",
        "/v1/validate-credentials",
        "validate",
        "validateCredentials",
        "Probe given settings; nothing is stored",
    )
};

/// Diagnose the stored settings.
pub const DIAGNOSE_ACCOUNT: Route = Route {
    scope: Some(Scope::Send),
    answers: &[answer(200, "How far each side came, what stopped it, and how to mend it.", "Diagnosis")],
    problems: &[404, 422],
    ..route(
        "POST",
        "/v1/accounts/{account}/diagnose",
        "validate",
        "diagnoseAccount",
        "Find out why an account does not work, and how to mend it",
    )
};

/// Diagnose given settings.
pub const DIAGNOSE: Route = Route {
    scope: Some(Scope::Send),
    request: Some("DiagnoseInput"),
    answers: &[answer(200, "How far each side came, what stopped it, and how to mend it.", "Diagnosis")],
    problems: &[400, 413, 415, 422, 429],
    ..route("POST", "/v1/diagnose", "validate", "diagnose", "Diagnose given settings; nothing is stored")
};

/// The settings that an address needs.
pub const AUTOCONFIG: Route = Route {
    parameters: &[query("email", "The mail address.")],
    answers: &[answer(200, "The settings, as far as they are known; nothing has been tried.", "Autoconfig")],
    problems: &[422],
    ..route("GET", "/v1/autoconfig", "validate", "autoconfig", "Find the settings that a mail address needs")
};

/// What will stop working soon.
pub const RISKS: Route = Route {
    parameters: &[query("limit", "Accounts per page, 1 to 100. Default 50."), CURSOR],
    answers: &[answer(200, "The risks of a page of accounts; an account without risks has no item.", "RiskPage")],
    problems: &[422],
    ..route("GET", "/v1/risks", "validate", "listRisks", "What will stop working soon, or works and should not")
};

/// Send a test message.
pub const TEST_EMAIL: Route = Route {
    scope: Some(Scope::Send),
    request: Some("TestEmailInput"),
    answers: &[answer(200, "Whether it was sent; failure is an answer too.", "Probe")],
    problems: &[400, 404, 413, 415, 422, 429],
    ..route("POST", "/v1/accounts/{account}/test-email", "test-email", "sendTestEmail", "Send a test message")
};
