//! The native routes: one constant each, described where it is defined. See [`super`] for why there is one table.

mod accounts;
mod mail;
mod sending;
mod service;
mod webhooks;

use super::Door;
use crate::model::principal::Scope;

pub use accounts::*;
pub use mail::*;
pub use sending::*;
pub use service::*;
pub use webhooks::*;

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
const FIELDS: Parameter = query("fields", "Only these fields, separated by commas.");
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
    &WEBHOOKS_LIST,
    &WEBHOOK_CREATE,
    &WEBHOOK_MOCK,
    &WEBHOOK_GET,
    &WEBHOOK_PUT,
    &WEBHOOK_PATCH,
    &WEBHOOK_DELETE,
    &WEBHOOK_ROTATE,
    &WEBHOOK_TEST,
    &WEBHOOK_DELIVERIES,
    &WEBHOOK_REPLAY,
    &WEBHOOK_REPLAY_FAILED,
    &VERIFY,
    &VALIDATE,
    &DIAGNOSE_ACCOUNT,
    &DIAGNOSE,
    &AUTOCONFIG,
    &RISKS,
    &TEST_EMAIL,
    &SEND,
    &SEND_BATCH,
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
    &REWIND,
    &REPARSE,
    &ACKNOWLEDGE,
    &PUSH,
    &PUSH_ALL,
    &SYNC,
    &SYNC_ALL,
    &MESSAGES_LIST,
    &THREAD_GET,
    &MESSAGE_GET,
    &AWAIT,
    &MESSAGE_HTML,
    &MESSAGE_CHANGE,
    &MESSAGE_DELETE,
    &FOLDERS_LIST,
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
