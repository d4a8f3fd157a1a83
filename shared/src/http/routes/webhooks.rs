//! Where a tenant wants to be told what happened.

use super::{CURSOR, LIMIT, Route, answer, bare, query, route};
use crate::model::principal::Scope;

/// All webhooks.
pub const WEBHOOKS_LIST: Route = Route {
    scope: Some(Scope::Admin),
    answers: &[answer(200, "All webhooks, without their secrets.", "WebhookPage")],
    ..route("GET", "/v1/webhooks", "config", "listWebhooks", "List the webhooks of this tenant")
};

/// Make a webhook.
pub const WEBHOOK_CREATE: Route = Route {
    scope: Some(Scope::Admin),
    request: Some("WebhookInput"),
    answers: &[answer(201, "The only answer that shows the secret.", "WebhookSecret")],
    problems: &[400, 403, 409, 413, 415, 422],
    ..route("POST", "/v1/webhooks", "config", "createWebhook", "Make a webhook")
};

/// An example of what is sent.
pub const WEBHOOK_MOCK: Route = Route {
    scope: Some(Scope::Admin),
    parameters: &[
        query("type", "The kind of event. Default message.received."),
        query("format", "standard, emailengine or jetquery. Default standard."),
    ],
    answers: &[answer(200, "Headers and body; nothing is sent.", "MockPayload")],
    problems: &[422],
    ..route("GET", "/v1/webhooks/mock", "config", "mockWebhook", "Show what a webhook would be sent")
};

/// One webhook.
pub const WEBHOOK_GET: Route = Route {
    scope: Some(Scope::Admin),
    answers: &[answer(200, "The webhook.", "WebhookView")],
    ..route("GET", "/v1/webhooks/{webhook}", "config", "getWebhook", "Read a webhook")
};

/// Replace a webhook's settings.
pub const WEBHOOK_PUT: Route = Route {
    scope: Some(Scope::Admin),
    request: Some("WebhookInput"),
    answers: &[answer(200, "The webhook; its secret stays.", "WebhookView")],
    problems: &[400, 409, 413, 415, 422],
    ..route(
        "PUT",
        "/v1/webhooks/{webhook}",
        "config",
        "putWebhook",
        "Replace a webhook's settings, or switch it on again",
    )
};

/// Change a webhook's settings.
pub const WEBHOOK_PATCH: Route = Route {
    scope: Some(Scope::Admin),
    request: Some("WebhookPatch"),
    answers: &[answer(200, "The webhook; its secret stays.", "WebhookView")],
    problems: &[400, 409, 413, 415, 422],
    ..route("PATCH", "/v1/webhooks/{webhook}", "config", "patchWebhook", "Change some of a webhook's settings")
};

/// Remove a webhook.
pub const WEBHOOK_DELETE: Route = Route {
    scope: Some(Scope::Admin),
    answers: &[bare(204, "Gone; what was on its way to it is dropped.")],
    ..route("DELETE", "/v1/webhooks/{webhook}", "config", "deleteWebhook", "Remove a webhook")
};

/// A new secret.
pub const WEBHOOK_ROTATE: Route = Route {
    scope: Some(Scope::Admin),
    request: Some("RotateInput"),
    answers: &[answer(200, "The only answer that shows the new secret.", "WebhookSecret")],
    problems: &[400, 409, 413, 415, 422],
    ..route("POST", "/v1/webhooks/{webhook}/rotate", "config", "rotateWebhook", "Give a webhook a new secret")
};

/// Send a test event.
pub const WEBHOOK_TEST: Route = Route {
    scope: Some(Scope::Admin),
    request: Some("WebhookTestInput"),
    answers: &[answer(200, "What the receiver answered.", "WebhookTest")],
    problems: &[400, 413, 415, 422],
    ..route(
        "POST",
        "/v1/webhooks/{webhook}/test",
        "config",
        "testWebhook",
        "Send an example to a webhook, now and once",
    )
};

/// What was delivered.
pub const WEBHOOK_DELIVERIES: Route = Route {
    scope: Some(Scope::Admin),
    parameters: &[LIMIT, CURSOR, query("state", "pending, delivered or failed. Default: all.")],
    answers: &[answer(200, "Newest first, of the last 14 days.", "DeliveryPage")],
    problems: &[422],
    ..route(
        "GET",
        "/v1/webhooks/{webhook}/deliveries",
        "config",
        "listDeliveries",
        "List what a webhook was told, and what came of it",
    )
};

/// Deliver once more.
pub const WEBHOOK_REPLAY: Route = Route {
    scope: Some(Scope::Admin),
    answers: &[answer(202, "It is tried again from now on, with the same id.", "Delivery")],
    problems: &[409],
    ..route(
        "POST",
        "/v1/webhooks/{webhook}/deliveries/{delivery}/replay",
        "config",
        "replayDelivery",
        "Tell a webhook of an event once more",
    )
};

/// Deliver once more what failed.
pub const WEBHOOK_REPLAY_FAILED: Route = Route {
    scope: Some(Scope::Admin),
    request: Some("ReplayInput"),
    answers: &[answer(200, "How many are tried again, with the same ids.", "Replayed")],
    problems: &[400, 413, 415, 422],
    ..route(
        "POST",
        "/v1/webhooks/{webhook}/replay",
        "config",
        "replayFailed",
        "Try all that failed since a time once more",
    )
};
