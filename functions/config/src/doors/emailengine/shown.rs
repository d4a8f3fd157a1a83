//! From our account to EmailEngine's.

use serde_json::{Value, json};
use shared::http::engine::{MASK, masked_url};
use shared::model::account::{Grant, Provider};
use shared::model::views::{AccountState, AccountView};
use shared::model::{Auth, Protocol, Receive, Security, SentCopy, Server};

use super::input::NO_ADDRESS;

/// EmailEngine's words for an account's state. Nothing connects between uses here: some are never seen.
pub(super) const STATES: &[&str] = &[
    "init",
    "unset",
    "connecting",
    "syncing",
    "connected",
    "authenticationError",
    "connectError",
    "disconnected",
    "paused",
];

/// An account's state in EmailEngine's words.
pub(super) fn state(view: &AccountView) -> &'static str {
    match view.status.state {
        AccountState::Ok => "connected",
        AccountState::Unverified => "init",
        AccountState::AuthFailed => "authenticationError",
        AccountState::ConnectFailed => "connectError",
        AccountState::Disabled => "paused",
    }
}

/// Whether a search for a text finds it.
pub(super) fn matches(view: &AccountView, query: &str) -> bool {
    let settings = &view.settings;
    let query = query.to_lowercase();
    [settings.account.as_str(), settings.name.as_deref().unwrap_or_default(), &settings.from.address]
        .iter()
        .any(|text| text.to_lowercase().contains(&query))
}

/// As it stands in a list.
pub(super) fn entry(view: &AccountView) -> Value {
    let settings = &view.settings;
    let mut entry = json!({
        "account": settings.account,
        "name": settings.name.clone().unwrap_or_default(),
        "type": kind(view),
        "state": state(view),
        "lastError": last_error(view),
    });
    if settings.from.address != NO_ADDRESS {
        entry["email"] = json!(settings.from.address);
    }
    if let Some(at) = view.status.last_pull_at {
        entry["syncTime"] = json!(at);
    }
    entry
}

/// As it is read.
pub(super) fn account(view: &AccountView) -> Value {
    let settings = &view.settings;
    let mut shown = entry(view);
    shown["logs"] = json!(false);
    for absent in ["notifyFrom", "syncFrom", "smtpStatus"] {
        shown[absent] = Value::Null;
    }
    if settings.sent_copy != SentCopy::Auto {
        shown["copy"] = json!(settings.sent_copy == SentCopy::Always);
    }
    if let Some(receive) = imap(view) {
        shown["imap"] = server(&receive.server);
        shown["imap"]["disabled"] = json!(!settings.poll.enabled);
        shown["path"] = json!(receive.folders);
    } else {
        shown["sendOnly"] = json!(true);
    }
    if let Some(smtp) = &settings.smtp {
        shown["smtp"] = server(smtp);
    }
    if let Some(oauth2) = oauth2(view) {
        shown["oauth2"] = oauth2;
    }
    shown
}

/// A POP3 side has no words there.
fn imap(view: &AccountView) -> Option<&Receive> {
    view.settings.receive.as_ref().filter(|receive| receive.protocol == Protocol::Imap)
}

fn auths(view: &AccountView) -> impl Iterator<Item = &Auth> {
    let receive = imap(view).map(|receive| &receive.server.auth);
    receive.into_iter().chain(view.settings.smtp.as_ref().map(|smtp| &smtp.auth))
}

fn kind(view: &AccountView) -> &'static str {
    let provider = auths(view).find_map(|auth| match auth {
        Auth::OAuth2(oauth2) => Some(provider(oauth2.provider, oauth2.grant)),
        _ => None,
    });
    provider.unwrap_or(if imap(view).is_some() { "imap" } else { "sending" })
}

fn provider(provider: Provider, grant: Grant) -> &'static str {
    match (provider, grant) {
        (Provider::Google, _) => "gmail",
        (Provider::Microsoft, Grant::RefreshToken) => "outlook",
        (Provider::Microsoft, Grant::ClientCredentials) => "outlookService",
        (Provider::Generic, _) => "oauth2",
    }
}

fn server(server: &Server) -> Value {
    let mut shown = json!({
        "host": server.host,
        "port": server.port,
        "secure": server.security == Security::Tls,
    });
    match &server.auth {
        Auth::Password { username, has_password } => {
            shown["auth"] = json!({"user": username});
            if *has_password {
                shown["auth"]["pass"] = json!(MASK);
            }
        }
        Auth::TokenServer(token_server) => {
            shown["useAuthServer"] = json!(true);
            shown["authServer"] = json!(masked_url(&token_server.url, token_server.has_query));
        }
        Auth::OAuth2(_) | Auth::None => {}
    }
    if !server.verify_certificate {
        shown["tls"] = json!({"rejectUnauthorized": false});
    }
    shown
}

fn oauth2(view: &AccountView) -> Option<Value> {
    auths(view).find_map(|auth| {
        let Auth::OAuth2(oauth2) = auth else { return None };
        let mut shown = json!({
            "provider": provider(oauth2.provider, oauth2.grant),
            "auth": {"user": oauth2.username},
            "clientId": oauth2.client_id,
        });
        for (field, has) in [("clientSecret", oauth2.has_client_secret), ("refreshToken", oauth2.has_refresh_token)] {
            if has {
                shown[field] = json!(MASK);
            }
        }
        if let Some(tenant) = &oauth2.tenant_id {
            shown["tenantId"] = json!(tenant);
        }
        Some(shown)
    })
}

/// Null while it is connected.
fn last_error(view: &AccountView) -> Value {
    match (&view.status.last_error, view.status.state) {
        (Some(words), AccountState::AuthFailed) => {
            json!({"response": words, "serverResponseCode": "AUTHENTICATIONFAILED"})
        }
        (Some(words), AccountState::ConnectFailed) => json!({"response": words}),
        _ => Value::Null,
    }
}
