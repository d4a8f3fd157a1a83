//! The native routes: one constant each, described where it is defined. See [`super`] for why there is one table.

use super::Door;
use crate::model::principal::Scope;

/// A shape in the document: the name under `components/schemas`.
pub type Shape = &'static str;

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum In {
    /// In the path.
    Path,
    /// Behind the question mark.
    Query,
    /// In a header.
    Header,
}

/// A parameter of a route.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Where it stands.
    pub place: In,
    /// What it does.
    pub about: &'static str,
}

/// An answer of a route beside the problems that any route may give.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// When.
    pub about: &'static str,
    /// Its shape; none where there is no JSON body.
    pub shape: Option<Shape>,
}

/// A route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// HTTP method.
    pub method: &'static str,
    /// Path with `{parameters}`.
    pub path: &'static str,
    /// The function that serves it (package, binary, folder and template resource share that name).
    pub function: &'static str,
    /// Unique name in the document.
    pub operation: &'static str,
    /// Whose wire format it speaks.
    pub door: Door,
    /// The right that it needs; none: no token at all.
    pub scope: Option<Scope>,
    /// What it does.
    pub summary: &'static str,
    /// Parameters beside those of the path.
    pub parameters: &'static [Parameter],
    /// Shape of the request body.
    pub request: Option<Shape>,
    /// What it answers.
    pub answers: &'static [Answer],
    /// Statuses of the problems that are special to it.
    pub problems: &'static [u16],
}

const fn answer(status: u16, about: &'static str, shape: Shape) -> Answer {
    Answer { status, about, shape: Some(shape) }
}

const fn bare(status: u16, about: &'static str) -> Answer {
    Answer { status, about, shape: None }
}

const fn query(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, place: In::Query, about }
}

const fn header(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, place: In::Header, about }
}

const LIMIT: Parameter = query("limit", "Items per page, 1 to 100. Default 50.");
const CURSOR: Parameter = query("cursor", "nextCursor of the page before.");
const VERIFY_FIRST: Parameter =
    query("verify", "true: probe first and change nothing if the probe fails (the default for `default`).");
const INLINE: Parameter = query("inline", "true: the bytes themselves, up to 4 MB, instead of a redirect.");

pub(super) const fn route(
    method: &'static str,
    path: &'static str,
    function: &'static str,
    operation: &'static str,
    summary: &'static str,
) -> Route {
    Route {
        method,
        path,
        function,
        operation,
        door: Door::Native,
        scope: Some(Scope::Read),
        summary,
        parameters: &[],
        request: None,
        answers: &[],
        problems: &[],
    }
}

/// Whether the service answers.
pub const HEALTH: Route = Route {
    scope: None,
    answers: &[answer(200, "It does.", "Health")],
    ..route("GET", "/health", "config", "health", "Whether the service answers")
};

/// This document.
pub const OPENAPI: Route = Route {
    scope: None,
    answers: &[bare(200, "OpenAPI 3.1.")],
    ..route("GET", "/openapi.json", "config", "openapi", "This document")
};

/// This document for people.
pub const DOCS: Route = Route {
    scope: None,
    answers: &[bare(200, "An HTML page.")],
    ..route("GET", "/docs", "config", "docs", "This document as a page")
};

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
    problems: &[404, 412],
    ..route("DELETE", "/v1/accounts/{account}", "config", "deleteAccount", "Delete an account")
};

/// Make a token.
pub const TOKEN_CREATE: Route = Route {
    scope: Some(Scope::Admin),
    request: Some("TokenInput"),
    answers: &[answer(201, "The only answer that shows the token.", "TokenCreated")],
    problems: &[400, 403, 413, 415, 422],
    ..route("POST", "/v1/tokens", "config", "createToken", "Make a token for this tenant")
};

/// All tokens.
pub const TOKENS_LIST: Route = Route {
    scope: Some(Scope::Admin),
    answers: &[answer(200, "All tokens, without the tokens themselves.", "TokenPage")],
    ..route("GET", "/v1/tokens", "config", "listTokens", "List the tokens of this tenant")
};

/// Revoke a token.
pub const TOKEN_DELETE: Route = Route {
    scope: Some(Scope::Admin),
    answers: &[bare(204, "Revoked; API Gateway may let it pass for up to its cache time of 300 s.")],
    problems: &[404],
    ..route("DELETE", "/v1/tokens/{id}", "config", "deleteToken", "Revoke a token")
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

/// Send a mail.
pub const SEND: Route = Route {
    scope: Some(Scope::Send),
    parameters: &[
        header(
            "Idempotency-Key",
            "1 to 255 printable ASCII characters: the same key and body is sent once, however often it is asked for.",
        ),
        query("wait", "Seconds to wait for the outcome, 0 to 25. Default 20; 0 only queues."),
    ],
    request: Some("SendRequest"),
    answers: &[
        answer(200, "Sent, or sent to some (partial). With dryRun: what would be sent, as DryRun.", "Outgoing"),
        answer(202, "Durable and under way; Location says where to look.", "Outgoing"),
    ],
    problems: &[400, 404, 409, 413, 415, 422, 503],
    ..route("POST", "/v1/accounts/{account}/messages", "send", "sendMessage", "Send a mail")
};

/// An outgoing message's delivery.
pub const OUTBOX_GET: Route = Route {
    answers: &[answer(200, "The message with its recipients' states.", "Outgoing")],
    problems: &[404],
    ..route("GET", "/v1/outbox/{id}", "send", "getOutgoing", "Read an outgoing message's delivery")
};

/// Suppressed addresses.
pub const SUPPRESSIONS_LIST: Route = Route {
    parameters: &[LIMIT, CURSOR],
    answers: &[answer(200, "A page of addresses, in alphabetical order.", "SuppressionPage")],
    problems: &[422],
    ..route("GET", "/v1/suppressions", "send", "listSuppressions", "List the addresses that are not sent to")
};

/// Suppress an address.
pub const SUPPRESSION_ADD: Route = Route {
    scope: Some(Scope::Send),
    request: Some("SuppressionInput"),
    answers: &[
        answer(201, "Suppressed from now on.", "Suppression"),
        answer(200, "It was suppressed before, and says this now.", "Suppression"),
    ],
    problems: &[400, 413, 415, 422],
    ..route("POST", "/v1/suppressions", "send", "addSuppression", "Send nothing more to an address")
};

/// One suppressed address.
pub const SUPPRESSION_GET: Route = Route {
    answers: &[answer(200, "It is suppressed.", "Suppression")],
    problems: &[404, 422],
    ..route("GET", "/v1/suppressions/{address}", "send", "getSuppression", "Whether an address is suppressed, and why")
};

/// Send to an address again.
pub const SUPPRESSION_DELETE: Route = Route {
    scope: Some(Scope::Send),
    answers: &[bare(204, "It is sent to again.")],
    problems: &[404, 422],
    ..route("DELETE", "/v1/suppressions/{address}", "send", "deleteSuppression", "Send to an address again")
};

/// What waits.
pub const OUTBOX_LIST: Route = Route {
    parameters: &[
        query("account", "Only this account."),
        query("state", "Only this state: queued, deferred, sending or unknown."),
        LIMIT,
        CURSOR,
    ],
    answers: &[answer(200, "A page of what is not settled, by account, oldest first.", "OutboxPage")],
    problems: &[422],
    ..route("GET", "/v1/outbox", "send", "listOutgoing", "List the messages that wait, are being sent, or are unknown")
};

/// Edit or reschedule what waits.
pub const OUTBOX_PATCH: Route = Route {
    scope: Some(Scope::Send),
    request: Some("OutboxPatch"),
    answers: &[answer(200, "Changed.", "Outgoing")],
    problems: &[400, 404, 409, 413, 415, 422],
    ..route(
        "PATCH",
        "/v1/outbox/{id}",
        "send",
        "patchOutgoing",
        "Edit or reschedule what is not handed over, by JSON Merge Patch (RFC 7396) of the send request",
    )
};

/// Take back what waits.
pub const OUTBOX_DELETE: Route = Route {
    scope: Some(Scope::Send),
    answers: &[answer(200, "It will not be sent: canceled, or partial where some have it already.", "Outgoing")],
    problems: &[404, 409],
    ..route("DELETE", "/v1/outbox/{id}", "send", "cancelOutgoing", "Take a message back that is not handed over")
};

/// Try again, now.
pub const OUTBOX_RETRY: Route = Route {
    scope: Some(Scope::Send),
    answers: &[answer(202, "It is tried again now; Location says where to look.", "Outgoing")],
    problems: &[404, 409],
    ..route(
        "POST",
        "/v1/outbox/{id}/retry",
        "send",
        "retryOutgoing",
        "Try a message again now; one that is unknown may arrive twice",
    )
};

/// Pull one mailbox.
pub const PULL: Route = Route {
    scope: Some(Scope::Send),
    answers: &[answer(200, "What was stored.", "Pulled")],
    problems: &[404, 409, 422, 502, 503, 504],
    ..route("POST", "/v1/accounts/{account}/pull", "pull", "pullAccount", "Pull a mailbox now")
};

/// Pull all mailboxes.
pub const PULL_ALL: Route = Route {
    scope: Some(Scope::Send),
    answers: &[answer(200, "Every receiving account was queued.", "QueuedPulls")],
    problems: &[503],
    ..route("POST", "/v1/pull", "pull", "pullAll", "Queue a pull of every mailbox")
};

/// Stored mail of an account.
pub const MESSAGES_LIST: Route = Route {
    parameters: &[
        LIMIT,
        CURSOR,
        query("folder", "Only this folder."),
        query("direction", "incoming or outgoing."),
        query("from", "From contains this, without regard to case."),
        query("to", "To or Cc contains this."),
        query("subject", "Subject contains this."),
        query("since", "Received at or after (RFC 3339)."),
        query("before", "Received before (RFC 3339)."),
        query("hasAttachments", "true or false."),
        query("unseen", "true: without the flag \\Seen when it was pulled."),
        query("thread", "Only this threadId."),
        query("fields", "Only these fields, separated by commas."),
    ],
    answers: &[answer(200, "A page of messages, newest first.", "MessagePage")],
    problems: &[404, 422],
    ..route("GET", "/v1/accounts/{account}/messages", "messages", "listMessages", "List stored mail")
};

/// One stored message.
pub const MESSAGE_GET: Route = Route {
    answers: &[answer(200, "The message with its bodies and headers.", "MessageDetail")],
    problems: &[404],
    ..route("GET", "/v1/accounts/{account}/messages/{id}", "messages", "getMessage", "Read a stored message")
};

/// The source of a stored message.
pub const MESSAGE_SOURCE: Route = Route {
    parameters: &[INLINE],
    answers: &[bare(302, "A presigned URL, good for 15 minutes."), bare(200, "With inline: message/rfc822.")],
    problems: &[404, 413, 422],
    ..route(
        "GET",
        "/v1/accounts/{account}/messages/{id}/source",
        "messages",
        "getMessageSource",
        "Read a message's source, byte for byte",
    )
};

/// An attachment of a stored message.
pub const MESSAGE_ATTACHMENT: Route = Route {
    parameters: &[INLINE],
    answers: &[bare(302, "A presigned URL, good for 15 minutes."), bare(200, "With inline: the decoded bytes.")],
    problems: &[404, 413, 422],
    ..route(
        "GET",
        "/v1/accounts/{account}/messages/{id}/attachments/{part}",
        "messages",
        "getAttachment",
        "Read an attachment, decoded",
    )
};

/// Upload a file.
pub const FILE_CREATE: Route = Route {
    scope: Some(Scope::Send),
    request: Some("FileInput"),
    answers: &[
        answer(200, "It is there already.", "FileTicket"),
        answer(201, "A presigned PUT, good for 15 minutes, that takes this content only.", "FileTicket"),
    ],
    problems: &[400, 413, 415, 422],
    ..route("POST", "/v1/files", "send", "createFile", "Upload a file by a presigned URL, for attachments of any size")
};

/// Download a file.
pub const FILE_GET: Route = Route {
    parameters: &[INLINE, query("filename", "The name to save it under; left out: that of its upload.")],
    answers: &[bare(302, "A presigned URL, good for 15 minutes."), bare(200, "With inline: the bytes.")],
    problems: &[404, 422],
    ..route("GET", "/v1/files/{id}", "messages", "getFile", "Download a file")
};

/// All templates.
pub const TEMPLATES_LIST: Route = Route {
    parameters: &[LIMIT, CURSOR],
    answers: &[answer(200, "A page of templates, by name.", "TemplatePage")],
    problems: &[422],
    ..route("GET", "/v1/templates", "send", "listTemplates", "List the templates")
};

/// Create or replace a template.
pub const TEMPLATE_PUT: Route = Route {
    scope: Some(Scope::Admin),
    request: Some("TemplateInput"),
    answers: &[answer(200, "Replaced.", "Template"), answer(201, "Created.", "Template")],
    problems: &[400, 413, 415, 422],
    ..route("PUT", "/v1/templates/{template}", "send", "putTemplate", "Create or replace a template (Jinja)")
};

/// One template.
pub const TEMPLATE_GET: Route = Route {
    answers: &[answer(200, "The template.", "Template")],
    problems: &[404],
    ..route("GET", "/v1/templates/{template}", "send", "getTemplate", "Read a template")
};

/// Remove a template.
pub const TEMPLATE_DELETE: Route = Route {
    scope: Some(Scope::Admin),
    answers: &[bare(204, "It is gone; messages that were accepted with it are not touched.")],
    problems: &[404],
    ..route("DELETE", "/v1/templates/{template}", "send", "deleteTemplate", "Delete a template")
};

/// Render a template.
pub const TEMPLATE_RENDER: Route = Route {
    request: Some("RenderInput"),
    answers: &[answer(200, "What a message with it would say.", "Rendered")],
    problems: &[400, 404, 413, 415, 422],
    ..route("POST", "/v1/templates/{template}/render", "send", "renderTemplate", "Render a template; nothing is sent")
};

/// A file for whoever has the link.
pub const LINK: Route = Route {
    scope: None,
    answers: &[bare(302, "A presigned URL, good for 15 minutes.")],
    problems: &[404],
    ..route("GET", "/f/{token}", "messages", "followLink", "Download a file that was too large for its message")
};

/// Keep personal data.
pub const PII_TOKEN_CREATE: Route = Route {
    scope: Some(Scope::Send),
    request: Some("PiiTokenInput"),
    answers: &[answer(201, "The token that stands for the value from now on.", "PiiToken")],
    problems: &[400, 413, 415, 422],
    ..route("POST", "/v1/pii-tokens", "send", "createPiiToken", "Keep personal data, encrypted, under a token")
};

/// Whether a token is known.
pub const PII_TOKEN_GET: Route = Route {
    answers: &[answer(200, "It is known; its value is never shown.", "PiiToken")],
    problems: &[404],
    ..route("GET", "/v1/pii-tokens/{token}", "send", "getPiiToken", "Read whether a PII token is known")
};

/// Forget personal data.
pub const PII_TOKEN_DELETE: Route = Route {
    scope: Some(Scope::Send),
    answers: &[bare(204, "The value is forgotten; messages that wait and name it fail.")],
    problems: &[404],
    ..route("DELETE", "/v1/pii-tokens/{token}", "send", "deletePiiToken", "Forget what a PII token stands for")
};

/// Who knows the other tokens.
pub const PII_RESOLVER_PUT: Route = Route {
    scope: Some(Scope::Admin),
    request: Some("PiiResolverInput"),
    answers: &[answer(200, "It is asked for tokens that are not kept here.", "PiiResolver")],
    problems: &[400, 413, 415, 422],
    ..route("PUT", "/v1/pii-resolver", "send", "putPiiResolver", "Say who resolves PII tokens that are not kept here")
};

/// Who knows the other tokens.
pub const PII_RESOLVER_GET: Route = Route {
    answers: &[answer(200, "The resolver, without its secret.", "PiiResolver")],
    problems: &[404],
    ..route("GET", "/v1/pii-resolver", "send", "getPiiResolver", "Read who resolves PII tokens")
};

/// Nobody knows the other tokens.
pub const PII_RESOLVER_DELETE: Route = Route {
    scope: Some(Scope::Admin),
    answers: &[bare(204, "Only tokens that are kept here are resolved.")],
    problems: &[404],
    ..route("DELETE", "/v1/pii-resolver", "send", "deletePiiResolver", "Ask no resolver any more")
};

/// All native routes.
pub const ALL: &[&Route] = &[
    &HEALTH,
    &OPENAPI,
    &DOCS,
    &ACCOUNTS_LIST,
    &ACCOUNT_CREATE,
    &ACCOUNT_PUT,
    &ACCOUNT_PATCH,
    &ACCOUNTS_IMPORT,
    &ACCOUNT_GET,
    &ACCOUNT_DELETE,
    &ACCOUNT_HISTORY,
    &ACCOUNT_RESTORE,
    &TOKEN_CREATE,
    &TOKENS_LIST,
    &TOKEN_DELETE,
    &VERIFY,
    &VALIDATE,
    &DIAGNOSE_ACCOUNT,
    &DIAGNOSE,
    &AUTOCONFIG,
    &RISKS,
    &TEST_EMAIL,
    &SEND,
    &OUTBOX_GET,
    &SUPPRESSIONS_LIST,
    &SUPPRESSION_ADD,
    &SUPPRESSION_GET,
    &SUPPRESSION_DELETE,
    &OUTBOX_LIST,
    &OUTBOX_PATCH,
    &OUTBOX_DELETE,
    &OUTBOX_RETRY,
    &PULL,
    &PULL_ALL,
    &MESSAGES_LIST,
    &MESSAGE_GET,
    &MESSAGE_SOURCE,
    &MESSAGE_ATTACHMENT,
    &FILE_CREATE,
    &FILE_GET,
    &LINK,
    &PII_TOKEN_CREATE,
    &PII_TOKEN_GET,
    &PII_TOKEN_DELETE,
    &PII_RESOLVER_PUT,
    &PII_RESOLVER_GET,
    &PII_RESOLVER_DELETE,
    &TEMPLATES_LIST,
    &TEMPLATE_PUT,
    &TEMPLATE_GET,
    &TEMPLATE_DELETE,
    &TEMPLATE_RENDER,
];
