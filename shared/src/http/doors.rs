//! The routes of the front doors: the same table as [`super::routes`], kept apart so that
//! the native document stays ours alone.
//!
//! EmailEngine's door stands at the root and, whole, under [`PREFIX`]; those of its routes whose path is native too
//! stand only there.

use super::Door;
use super::routes::{Route, route};
use crate::model::principal::Scope;

/// Where EmailEngine's whole door stands.
pub const PREFIX: &str = "/emailengine";

const fn email_engine(
    method: &'static str,
    path: &'static str,
    function: &'static str,
    operation: &'static str,
    scope: Scope,
) -> Route {
    Route {
        door: Door::EmailEngine,
        scope: Some(scope),
        ..route(method, path, function, operation, "A route of EmailEngine v1")
    }
}

const fn email_service(path: &'static str, function: &'static str, operation: &'static str) -> Route {
    Route {
        door: Door::EmailService,
        scope: Some(Scope::Send),
        ..route("POST", path, function, operation, "A route of Email Service 1.0")
    }
}

const fn jet_query(
    method: &'static str,
    path: &'static str,
    function: &'static str,
    operation: &'static str,
    scope: Scope,
) -> Route {
    Route {
        door: Door::JetQuery,
        scope: Some(scope),
        ..route(method, path, function, operation, "A route of jetQuery Emails")
    }
}

/// Where jetQuery's door has a team's account.
const JET_ACCOUNT: &str = "/api/core/mail/account/{account}";

/// Register an account, or update it.
pub const ENGINE_CREATE: Route = email_engine("POST", "/v1/account", "config", "engineCreate", Scope::Admin);
/// Read an account.
pub const ENGINE_GET: Route = email_engine("GET", "/v1/account/{account}", "config", "engineGet", Scope::Read);
/// Update an account.
pub const ENGINE_UPDATE: Route = email_engine("PUT", "/v1/account/{account}", "config", "engineUpdate", Scope::Admin);
/// Remove an account.
pub const ENGINE_DELETE: Route =
    email_engine("DELETE", "/v1/account/{account}", "config", "engineDelete", Scope::Admin);
/// What is settled for all accounts.
pub const ENGINE_SETTINGS: Route = email_engine("GET", "/v1/settings", "config", "engineSettings", Scope::Read);
/// Settle it.
pub const ENGINE_SETTLE: Route = email_engine("POST", "/v1/settings", "config", "engineSettle", Scope::Admin);
/// Probe given settings.
pub const ENGINE_VERIFY: Route = email_engine("POST", "/v1/verifyAccount", "validate", "engineVerify", Scope::Send);

/// [`ENGINE_CREATE`] under the prefix.
pub const PREFIXED_CREATE: Route = Route { path: "/emailengine/v1/account", ..ENGINE_CREATE };
/// [`ENGINE_GET`] under the prefix.
pub const PREFIXED_GET: Route = Route { path: "/emailengine/v1/account/{account}", ..ENGINE_GET };
/// [`ENGINE_UPDATE`] under the prefix.
pub const PREFIXED_UPDATE: Route = Route { path: "/emailengine/v1/account/{account}", ..ENGINE_UPDATE };
/// [`ENGINE_DELETE`] under the prefix.
pub const PREFIXED_DELETE: Route = Route { path: "/emailengine/v1/account/{account}", ..ENGINE_DELETE };
/// [`ENGINE_SETTINGS`] under the prefix.
pub const PREFIXED_SETTINGS: Route = Route { path: "/emailengine/v1/settings", ..ENGINE_SETTINGS };
/// [`ENGINE_SETTLE`] under the prefix.
pub const PREFIXED_SETTLE: Route = Route { path: "/emailengine/v1/settings", ..ENGINE_SETTLE };
/// [`ENGINE_VERIFY`] under the prefix.
pub const PREFIXED_VERIFY: Route = Route { path: "/emailengine/v1/verifyAccount", ..ENGINE_VERIFY };
/// List accounts: `/v1/accounts` itself is ours.
pub const PREFIXED_LIST: Route = email_engine("GET", "/emailengine/v1/accounts", "config", "engineList", Scope::Read);

/// Find the settings of an address: `/v1/autoconfig` itself is ours.
pub const PREFIXED_AUTOCONFIG: Route =
    email_engine("GET", "/emailengine/v1/autoconfig", "validate", "engineAutoconfig", Scope::Read);

/// Send an email (A4.2).
pub const SERVICE_SEND: Route = email_service("/send-email", "send", "serviceSend");
/// Send a test message.
pub const SERVICE_TEST_EMAIL: Route = email_service("/send-test-email", "test-email", "serviceTestEmail");
/// Probe given credentials.
pub const SERVICE_VALIDATE: Route = email_service("/validate-credentials", "validate", "serviceValidate");

/// Read a team's account.
pub const JET_GET: Route = jet_query("GET", JET_ACCOUNT, "config", "jetGet", Scope::Read);
/// Create or replace a team's account.
pub const JET_PUT: Route = jet_query("PUT", JET_ACCOUNT, "config", "jetPut", Scope::Admin);
/// Remove a team's account.
pub const JET_DELETE: Route = jet_query("DELETE", JET_ACCOUNT, "config", "jetDelete", Scope::Admin);

const fn qlik(
    method: &'static str,
    path: &'static str,
    function: &'static str,
    operation: &'static str,
    scope: Scope,
) -> Route {
    Route {
        door: Door::Qlik,
        scope: Some(scope),
        ..route(method, path, function, operation, "A route of Qlik's transports/email-config")
    }
}

/// Where Qlik's door stands.
const QLIK: &str = "/api/v1/transports/email-config";

/// The tenant's email configuration.
pub const QLIK_GET: Route = qlik("GET", QLIK, "config", "qlikGet", Scope::Admin);
/// Change it field by field.
pub const QLIK_PATCH: Route = qlik("PATCH", QLIK, "config", "qlikPatch", Scope::Admin);
/// Create or replace it.
pub const QLIK_PUT: Route = qlik("PUT", QLIK, "config", "qlikPut", Scope::Admin);
/// Remove it.
pub const QLIK_DELETE: Route = qlik("DELETE", QLIK, "config", "qlikDelete", Scope::Admin);
/// Send a test message.
pub const QLIK_TEST_EMAIL: Route = qlik(
    "POST",
    "/api/v1/transports/email-config/actions/send-test-email",
    "test-email",
    "qlikSendTestEmail",
    Scope::Admin,
);
/// Say whether it is valid. The seed names no 403 here (A5.1/3).
pub const QLIK_VALIDATE: Route =
    qlik("POST", "/api/v1/transports/email-config/actions/validate", "validate", "qlikValidate", Scope::Read);
/// Try to connect. The seed names no 403 here either.
pub const QLIK_VERIFY: Route =
    qlik("POST", "/api/v1/transports/email-config/actions/verify-connection", "validate", "qlikVerify", Scope::Send);

/// Send a mail (A1.2/4).
pub const JET_SEND: Route = jet_query("POST", "/api/core/mail/send/{account}", "send", "jetSend", Scope::Send);

/// Put a mail into storage (A1.4/30).
pub const JET_SET: Route = jet_query("POST", "/api/core/mail/mail_set", "send", "jetSet", Scope::Send);
/// Send what is in storage (A1.2/6).
pub const JET_PUSH_ALL: Route = jet_query("POST", "/api/core/mail/push", "send", "jetPushAll", Scope::Send);
/// The same by GET.
pub const JET_PUSH_ALL_GET: Route = Route { method: "GET", operation: "jetPushAllGet", ..JET_PUSH_ALL };
/// The same of one account.
pub const JET_PUSH: Route = jet_query("POST", "/api/core/mail/push/{account}", "send", "jetPush", Scope::Send);
/// The same by GET.
pub const JET_PUSH_GET: Route = Route { method: "GET", operation: "jetPushGet", ..JET_PUSH };

/// Pull all mailboxes (A1.2/5).
pub const JET_PULL_ALL: Route = jet_query("POST", "/api/core/mail/pull", "pull", "jetPullAll", Scope::Send);
/// The same by GET.
pub const JET_PULL_ALL_GET: Route = Route { method: "GET", operation: "jetPullAllGet", ..JET_PULL_ALL };
/// The same of one account.
pub const JET_PULL: Route = jet_query("POST", "/api/core/mail/pull/{account}", "pull", "jetPull", Scope::Send);
/// The same by GET.
pub const JET_PULL_GET: Route = Route { method: "GET", operation: "jetPullGet", ..JET_PULL };
/// Push and pull all accounts (A1.2/7).
pub const JET_SYNC_ALL: Route = jet_query("POST", "/api/core/mail/sync", "pull", "jetSyncAll", Scope::Send);
/// The same by GET.
pub const JET_SYNC_ALL_GET: Route = Route { method: "GET", operation: "jetSyncAllGet", ..JET_SYNC_ALL };
/// The same of one account.
pub const JET_SYNC: Route = jet_query("POST", "/api/core/mail/sync/{account}", "pull", "jetSync", Scope::Send);
/// The same by GET.
pub const JET_SYNC_GET: Route = Route { method: "GET", operation: "jetSyncGet", ..JET_SYNC };
/// What is in storage (A1.4/21).
pub const JET_LIST: Route = jet_query("GET", "/api/core/mail/mail", "messages", "jetList", Scope::Read);
/// One mail of it.
pub const JET_MAIL: Route = jet_query("GET", "/api/core/mail/mail/{id}", "messages", "jetMail", Scope::Read);
/// Its attachments as rows (A1.4/29).
pub const JET_ATTACHMENTS: Route =
    jet_query("GET", "/api/core/mail/mail/{id}/attachments", "messages", "jetAttachments", Scope::Read);
/// A file of the storage (A1.4/27).
pub const JET_FILE: Route = jet_query("GET", "/api/core/mail/files/{uuid}", "messages", "jetFile", Scope::Read);

/// Send a message (A3.4).
pub const ENGINE_SUBMIT: Route =
    email_engine("POST", "/v1/account/{account}/submit", "send", "engineSubmit", Scope::Send);
/// [`ENGINE_SUBMIT`] under the prefix.
pub const PREFIXED_SUBMIT: Route = Route { path: "/emailengine/v1/account/{account}/submit", ..ENGINE_SUBMIT };
/// Read a queued message: `/v1/outbox` itself is ours.
pub const PREFIXED_OUTBOX_GET: Route =
    email_engine("GET", "/emailengine/v1/outbox/{id}", "send", "engineQueued", Scope::Read);
/// List what is queued.
pub const PREFIXED_OUTBOX_LIST: Route =
    email_engine("GET", "/emailengine/v1/outbox", "send", "engineOutbox", Scope::Read);
/// Take a queued message back.
pub const PREFIXED_OUTBOX_DELETE: Route =
    email_engine("DELETE", "/emailengine/v1/outbox/{id}", "send", "engineUnqueue", Scope::Send);

/// List messages of a folder (A3.3).
pub const ENGINE_MESSAGES: Route =
    email_engine("GET", "/v1/account/{account}/messages", "messages", "engineMessages", Scope::Read);
/// [`ENGINE_MESSAGES`] under the prefix.
pub const PREFIXED_MESSAGES: Route = Route { path: "/emailengine/v1/account/{account}/messages", ..ENGINE_MESSAGES };
/// Read a message.
pub const ENGINE_MESSAGE: Route =
    email_engine("GET", "/v1/account/{account}/message/{id}", "messages", "engineMessage", Scope::Read);
/// [`ENGINE_MESSAGE`] under the prefix.
pub const PREFIXED_MESSAGE: Route = Route { path: "/emailengine/v1/account/{account}/message/{id}", ..ENGINE_MESSAGE };
/// The source of a message.
pub const ENGINE_SOURCE: Route =
    email_engine("GET", "/v1/account/{account}/message/{id}/source", "messages", "engineSource", Scope::Read);
/// [`ENGINE_SOURCE`] under the prefix.
pub const PREFIXED_SOURCE: Route =
    Route { path: "/emailengine/v1/account/{account}/message/{id}/source", ..ENGINE_SOURCE };
/// The texts of a message.
pub const ENGINE_TEXT: Route =
    email_engine("GET", "/v1/account/{account}/text/{id}", "messages", "engineText", Scope::Read);
/// [`ENGINE_TEXT`] under the prefix.
pub const PREFIXED_TEXT: Route = Route { path: "/emailengine/v1/account/{account}/text/{id}", ..ENGINE_TEXT };
/// An attachment.
pub const ENGINE_ATTACHMENT: Route =
    email_engine("GET", "/v1/account/{account}/attachment/{attachment}", "messages", "engineAttachment", Scope::Read);
/// [`ENGINE_ATTACHMENT`] under the prefix.
pub const PREFIXED_ATTACHMENT: Route =
    Route { path: "/emailengine/v1/account/{account}/attachment/{attachment}", ..ENGINE_ATTACHMENT };
/// Search messages.
pub const ENGINE_SEARCH: Route =
    email_engine("POST", "/v1/account/{account}/search", "messages", "engineSearch", Scope::Read);
/// [`ENGINE_SEARCH`] under the prefix.
pub const PREFIXED_SEARCH: Route = Route { path: "/emailengine/v1/account/{account}/search", ..ENGINE_SEARCH };

/// Change a message's flags.
pub const ENGINE_CHANGE: Route =
    email_engine("PUT", "/v1/account/{account}/message/{id}", "messages", "engineChange", Scope::Send);
/// [`ENGINE_CHANGE`] under the prefix.
pub const PREFIXED_CHANGE: Route = Route { path: "/emailengine/v1/account/{account}/message/{id}", ..ENGINE_CHANGE };
/// Move a message.
pub const ENGINE_MOVE: Route =
    email_engine("PUT", "/v1/account/{account}/message/{id}/move", "messages", "engineMove", Scope::Send);
/// [`ENGINE_MOVE`] under the prefix.
pub const PREFIXED_MOVE: Route = Route { path: "/emailengine/v1/account/{account}/message/{id}/move", ..ENGINE_MOVE };
/// Delete a message.
pub const ENGINE_REMOVE: Route =
    email_engine("DELETE", "/v1/account/{account}/message/{id}", "messages", "engineRemove", Scope::Send);
/// [`ENGINE_REMOVE`] under the prefix.
pub const PREFIXED_REMOVE: Route = Route { path: "/emailengine/v1/account/{account}/message/{id}", ..ENGINE_REMOVE };
/// List the folders.
pub const ENGINE_MAILBOXES: Route =
    email_engine("GET", "/v1/account/{account}/mailboxes", "messages", "engineMailboxes", Scope::Read);
/// [`ENGINE_MAILBOXES`] under the prefix.
pub const PREFIXED_MAILBOXES: Route = Route { path: "/emailengine/v1/account/{account}/mailboxes", ..ENGINE_MAILBOXES };

/// Send mails (A2.1/1).
pub const OFFICE_SEND: Route = Route {
    door: Door::SuperOffice,
    scope: Some(Scope::Send),
    ..route(
        "POST",
        "/api/v1/Agents/EMail/SendEMails",
        "send",
        "officeSend",
        "Send e-mails as SuperOffice's EMail agent does",
    )
};
/// [`OFFICE_SEND`] behind the folder of an installation (A2.5/50b).
pub const OFFICE_SEND_BEHIND: Route = Route { path: "/{installation}/api/v1/Agents/EMail/SendEMails", ..OFFICE_SEND };

/// All routes of front doors.
pub const ALL: &[&Route] = &[
    &ENGINE_CREATE,
    &ENGINE_GET,
    &ENGINE_UPDATE,
    &ENGINE_DELETE,
    &ENGINE_SETTINGS,
    &ENGINE_SETTLE,
    &ENGINE_VERIFY,
    &PREFIXED_CREATE,
    &PREFIXED_GET,
    &PREFIXED_UPDATE,
    &PREFIXED_DELETE,
    &PREFIXED_SETTINGS,
    &PREFIXED_SETTLE,
    &PREFIXED_VERIFY,
    &PREFIXED_LIST,
    &PREFIXED_AUTOCONFIG,
    &SERVICE_SEND,
    &SERVICE_TEST_EMAIL,
    &SERVICE_VALIDATE,
    &JET_GET,
    &JET_PUT,
    &JET_DELETE,
    &QLIK_GET,
    &QLIK_PATCH,
    &QLIK_PUT,
    &QLIK_DELETE,
    &QLIK_TEST_EMAIL,
    &QLIK_VALIDATE,
    &QLIK_VERIFY,
    &JET_SEND,
    &JET_SET,
    &JET_PUSH_ALL,
    &JET_PUSH_ALL_GET,
    &JET_PUSH,
    &JET_PUSH_GET,
    &JET_PULL_ALL,
    &JET_PULL_ALL_GET,
    &JET_PULL,
    &JET_PULL_GET,
    &JET_SYNC_ALL,
    &JET_SYNC_ALL_GET,
    &JET_SYNC,
    &JET_SYNC_GET,
    &JET_LIST,
    &JET_MAIL,
    &JET_ATTACHMENTS,
    &JET_FILE,
    &ENGINE_SUBMIT,
    &PREFIXED_SUBMIT,
    &PREFIXED_OUTBOX_LIST,
    &PREFIXED_OUTBOX_GET,
    &PREFIXED_OUTBOX_DELETE,
    &ENGINE_MESSAGES,
    &PREFIXED_MESSAGES,
    &ENGINE_MESSAGE,
    &PREFIXED_MESSAGE,
    &ENGINE_SOURCE,
    &PREFIXED_SOURCE,
    &ENGINE_TEXT,
    &PREFIXED_TEXT,
    &ENGINE_ATTACHMENT,
    &PREFIXED_ATTACHMENT,
    &ENGINE_SEARCH,
    &PREFIXED_SEARCH,
    &ENGINE_CHANGE,
    &PREFIXED_CHANGE,
    &ENGINE_MOVE,
    &PREFIXED_MOVE,
    &ENGINE_REMOVE,
    &PREFIXED_REMOVE,
    &ENGINE_MAILBOXES,
    &PREFIXED_MAILBOXES,
    &OFFICE_SEND,
    &OFFICE_SEND_BEHIND,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::routes;

    /// Decision 25: a native path wins at the root.
    #[test]
    fn no_door_stands_on_a_native_path_and_all_of_email_engines_stands_under_its_prefix() {
        for door in ALL {
            assert!(routes::ALL.iter().all(|native| native.path != door.path), "{}", door.path);
            assert_ne!(door.door, Door::Native, "{}", door.path);
            if door.door == Door::EmailEngine && !door.path.starts_with(PREFIX) {
                let prefixed = format!("{PREFIX}{}", door.path);
                assert!(ALL.iter().any(|other| other.path == prefixed && other.method == door.method), "{prefixed}");
            }
        }
    }
}
