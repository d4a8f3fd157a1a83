//! Sending mail, and what belongs to it.

use super::{CURSOR, LIMIT, Route, answer, bare, header, query, route};
use crate::model::principal::Scope;

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

/// Send many mails.
pub const SEND_BATCH: Route = Route {
    scope: Some(Scope::Send),
    parameters: &[
        header("Idempotency-Key", "As for one; the key of item n (from 0) is this key, `#` and n."),
        query("wait", "Seconds to wait for the outcomes, 0 to 25. Default 20; 0 only queues."),
    ],
    request: Some("BatchInput"),
    answers: &[answer(200, "One answer for each item, in order: what it would have been alone.", "BatchAnswer")],
    problems: &[400, 413, 415, 422],
    ..route("POST", "/v1/messages/batch", "send", "sendBatch", "Send up to 500 mails")
};

/// An outgoing message's delivery.
pub const OUTBOX_GET: Route = Route {
    answers: &[answer(200, "The message with its recipients' states.", "Outgoing")],
    problems: &[404],
    ..route("GET", "/v1/outbox/{id}", "send", "getOutgoing", "Read an outgoing message's delivery")
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
