//! Webhooks: where a tenant wants to be told what happened.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;
use utoipa::ToSchema;

use super::{AccountId, FieldError, Timestamp, event::EventType};

/// Most webhooks of one tenant: every event is compared with all of them.
pub const WEBHOOKS: usize = 50;

/// Most accounts that one webhook names.
pub const ACCOUNTS: usize = 1_000;

/// Longest URL in bytes.
const URL_BYTES: usize = 2_048;

/// Longest name in bytes.
const NAME_BYTES: usize = 200;

/// In whose words a webhook speaks. All of them carry the headers of Standard Webhooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `{"type", "timestamp", "data"}` (Standard Webhooks).
    #[default]
    Standard,
    /// EmailEngine's: `{"account", "path", "event", "date", "data"}`. It has no words for `risk.raised`.
    EmailEngine,
    /// jetQuery's `mail_onComplete`: a mail as its storage shows it. It tells of mails that were sent, failed or came.
    JetQuery,
}

impl Format {
    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        serde_json::from_value(Value::String(name.to_owned())).ok()
    }
}

/// A webhook as it is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookInput {
    /// Words for people, at most 200 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// https without user name and fragment; http only into the operator's own networks.
    pub url: String,
    /// The kinds of events; left out: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<EventType>>,
    /// The accounts; left out: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<AccountId>>,
    /// In whose words.
    #[serde(default)]
    pub format: Format,
    /// false: nothing is sent, and what happens meanwhile is not sent later.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

impl WebhookInput {
    /// What the shape alone does not say. `inside`: whether there are networks that http may lead into.
    pub fn check(&self, inside: bool) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if !fits(&self.url, inside) {
            let words = "an https URL without user name, password and fragment, at most 2048 bytes";
            errors.push(FieldError::new("/url", "invalid_value", words));
        }
        if self.name.as_ref().is_some_and(|name| name.len() > NAME_BYTES) {
            errors.push(FieldError::new("/name", "too_long", format!("at most {NAME_BYTES} bytes")));
        }
        if self.events.as_ref().is_some_and(Vec::is_empty) {
            errors.push(FieldError::new("/events", "missing", "name at least one, or leave it out for all"));
        }
        let accounts = self.accounts.as_ref().map(Vec::len);
        if accounts == Some(0) {
            errors.push(FieldError::new("/accounts", "missing", "name at least one, or leave it out for all"));
        }
        if accounts.is_some_and(|count| count > ACCOUNTS) {
            errors.push(FieldError::new("/accounts", "out_of_range", format!("at most {ACCOUNTS}")));
        }
        errors
    }
}

/// Where it leads to is settled when it is connected to; this is about its form.
fn fits(given: &str, inside: bool) -> bool {
    let Ok(url) = Url::parse(given) else { return false };
    let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let scheme = url.scheme() == "https" || (inside && url.scheme() == "http");
    bare && scheme && url.has_host() && given.len() <= URL_BYTES
}

/// Why a webhook is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum DisabledReason {
    /// Somebody said so.
    Manual,
    /// The receiver answered 410.
    Gone,
    /// Nothing has arrived there for days.
    Failing,
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookView {
    /// Its id.
    pub id: String,
    /// As it was given.
    #[serde(flatten)]
    pub settings: WebhookInput,
    /// Why it is switched off, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<DisabledReason>,
    /// Since when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
    /// Since when nothing has arrived there, where the last try failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// Until when the secret before the last one signs, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_secret_until: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its settings changed last.
    pub updated_at: Timestamp,
}

/// A webhook with its new secret: the only answer that shows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSecret {
    /// What signatures are checked with (Standard Webhooks): `whsec_` and base64.
    pub secret: String,
    /// The webhook.
    #[serde(flatten)]
    pub webhook: WebhookView,
}

/// How a secret is to be replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotateInput {
    /// How long the old secret signs beside the new one, 0 to 604800. Left out: a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_seconds: Option<u32>,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Tried and tried again.
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// Given up.
    Failed,
}

/// One event on its way to one webhook. It is listed from its first try on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Its id.
    pub id: String,
    /// The event's id: the receiver's `webhook-id`.
    pub event: String,
    /// The event's kind.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// The account that the event is about.
    pub account: AccountId,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// HTTP status of the last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why the last try brought none, or why it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When the event happened.
    pub at: Timestamp,
    /// When it was tried last.
    pub last_attempt_at: Timestamp,
    /// When it is tried next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
}

/// What a test event met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookTest {
    /// Whether the receiver answered 2xx.
    pub success: bool,
    /// HTTP status of its answer; null where none came.
    pub status: Option<u16>,
    /// Why not.
    pub error: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
}

/// Which kind of event to test with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookTestInput {
    /// The kind; left out: `message.received`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<EventType>,
}

/// Which failed deliveries to try again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplayInput {
    /// Those of events not older than this.
    pub since: Timestamp,
}

/// What is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// How many deliveries.
    pub replayed: u32,
    /// There may be more: ask again.
    pub more: bool,
}

/// An event in the words of a format, as an example.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MockPayload {
    /// The headers, as signed with a secret that nobody has.
    pub headers: std::collections::BTreeMap<String, String>,
    /// The body.
    pub body: Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(url: &str) -> WebhookInput {
        let (events, accounts) = (None, None);
        WebhookInput { name: None, url: url.to_owned(), events, accounts, format: Format::Standard, enabled: true }
    }

    #[test]
    fn urls_are_https_and_bare() {
        for (url, outside, inside) in [
            ("https://example.com/hook?key=1", true, true),
            ("http://10.0.0.7/hook", false, true),
            ("https://user@example.com/", false, false),
            ("https://example.com/#x", false, false),
            ("ftp://example.com/", false, false),
            ("example.com", false, false),
            ("", false, false),
        ] {
            assert_eq!(input(url).check(false).is_empty(), outside, "{url}");
            assert_eq!(input(url).check(true).is_empty(), inside, "{url}");
        }
        assert!(!input(&format!("https://example.com/{}", "a".repeat(2048))).check(true).is_empty());
    }

    #[test]
    fn lists_that_would_match_nothing_are_refused() {
        let none = WebhookInput { events: Some(vec![]), accounts: Some(vec![]), ..input("https://example.com/") };
        let pointers: Vec<_> = none.check(false).into_iter().map(|error| error.pointer).collect();
        assert_eq!(pointers, ["/events", "/accounts"]);
    }
}
