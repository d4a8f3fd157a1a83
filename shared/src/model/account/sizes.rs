//! How long the texts of an account may be: what would not fit into a row (400 KB) or a secret (64 KB) is refused where
//! it can still be said why.

use secrecy::{ExposeSecret, SecretString};

use super::{AccountInput, AuthInput};
use crate::model::{Address, FieldError};

/// Longest name, address, user name, scope or folder name in bytes.
const TEXT_BYTES: usize = 512;

/// Longest password, client secret or refresh token in bytes; real tokens have some 2,000.
const PASSWORD_BYTES: usize = 4096;

/// Most identities or folders of an account.
const LISTED: usize = 200;

/// Names everything that is too long or too many.
pub(super) fn check(account: &AccountInput, errors: &mut Vec<FieldError>) {
    text("/name", account.name.as_deref().unwrap_or_default(), errors);
    address("/from", &account.from, errors);
    list("/identities", account.identities.len(), errors);
    for (index, identity) in account.identities.iter().enumerate() {
        address(&format!("/identities/{index}"), identity, errors);
    }
    let smtp = account.smtp.as_ref().and_then(|server| server.auth.as_ref());
    let receive = account.receive.as_ref().and_then(|receive| receive.auth.as_ref());
    for (pointer, given) in [("/smtp/auth", smtp), ("/receive/auth", receive)] {
        if let Some(given) = given {
            auth(pointer, given, errors);
        }
    }
    let folders = account.receive.as_ref().map(|receive| receive.folders.as_slice()).unwrap_or_default();
    list("/receive/folders", folders.len(), errors);
    for (index, folder) in folders.iter().enumerate() {
        text(&format!("/receive/folders/{index}"), folder, errors);
    }
}

fn auth(pointer: &str, given: &AuthInput, errors: &mut Vec<FieldError>) {
    let (texts, secrets): (Vec<(&str, &str)>, _) = match given {
        AuthInput::Password { username, password } => {
            (vec![("username", username)], vec![("password", password.as_ref())])
        }
        AuthInput::OAuth2(given) => {
            let scope = given.scope.as_deref().unwrap_or_default();
            let texts = vec![("username", given.username.as_str()), ("clientId", &given.client_id), ("scope", scope)];
            let client_secret = ("clientSecret", given.client_secret.as_ref());
            (texts, vec![client_secret, ("refreshToken", given.refresh_token.as_ref())])
        }
        // A URL has a limit of its own.
        AuthInput::TokenServer(given) => (vec![("username", given.username.as_deref().unwrap_or_default())], vec![]),
        AuthInput::None => return,
    };
    texts.into_iter().for_each(|(field, given)| text(&format!("{pointer}/{field}"), given, errors));
    secrets.into_iter().for_each(|(field, given)| password(&format!("{pointer}/{field}"), given, errors));
}

fn address(pointer: &str, address: &Address, errors: &mut Vec<FieldError>) {
    text(&format!("{pointer}/name"), address.name.as_deref().unwrap_or_default(), errors);
    text(&format!("{pointer}/address"), &address.address, errors);
}

fn text(pointer: &str, text: &str, errors: &mut Vec<FieldError>) {
    if text.len() > TEXT_BYTES {
        let detail = format!("{} bytes; the limit textBytes is {TEXT_BYTES}", text.len());
        errors.push(FieldError::new(pointer, "too_long", detail));
    }
}

/// How long a password is, is nobody's business either.
fn password(pointer: &str, password: Option<&SecretString>, errors: &mut Vec<FieldError>) {
    if password.is_some_and(|password| password.expose_secret().len() > PASSWORD_BYTES) {
        errors.push(FieldError::new(pointer, "too_long", format!("the limit passwordBytes is {PASSWORD_BYTES}")));
    }
}

fn list(pointer: &str, count: usize, errors: &mut Vec<FieldError>) {
    if count > LISTED {
        errors.push(FieldError::new(pointer, "too_many", format!("{count}; the limit listed is {LISTED}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AccountId, Timestamp};

    #[test]
    fn what_would_not_fit_into_a_row_or_a_secret_is_named() {
        let check = |text: usize, password: usize, listed: usize| {
            let long = "x".repeat(text);
            let auth = serde_json::json!({"type": "password", "username": long, "password": "p".repeat(password)});
            let mut folders = vec!["INBOX"; listed];
            folders[0] = &long;
            let account = serde_json::json!({
                "name": long, "from": {"name": long, "address": "a@example.com"},
                "identities": vec!["b@example.com"; listed],
                "receive": {
                    "protocol": "imap", "host": "h", "port": 993, "security": "tls", "auth": auth, "folders": folders,
                },
            });
            let input: AccountInput = serde_json::from_value(account).unwrap();
            let checked = input.check(AccountId::new("box").unwrap(), 60, Timestamp(0));
            checked.err().into_iter().flatten().map(|error| error.pointer).collect::<Vec<_>>()
        };
        assert!(check(TEXT_BYTES, PASSWORD_BYTES, LISTED).is_empty());
        let long = ["/name", "/from/name", "/receive/auth/username", "/receive/folders/0"];
        assert_eq!(check(TEXT_BYTES + 1, 1, 1), long);
        assert_eq!(check(1, PASSWORD_BYTES + 1, 1), ["/receive/auth/password"]);
        assert_eq!(check(1, 1, LISTED + 1), ["/identities", "/receive/folders"]);
    }

    #[test]
    fn oauth_has_the_same_limits() {
        let named = |long: usize, secret: usize| {
            let (long, secret) = ("x".repeat(long), "s".repeat(secret));
            let auth = serde_json::json!({"type": "oauth2", "provider": "google", "username": long, "clientId": long,
                "scope": long, "clientSecret": secret, "refreshToken": secret});
            let mut errors = Vec::new();
            super::auth("", &serde_json::from_value(auth).unwrap(), &mut errors);
            errors.into_iter().map(|error| error.pointer).collect::<Vec<_>>()
        };
        assert!(named(TEXT_BYTES, PASSWORD_BYTES).is_empty());
        assert_eq!(named(TEXT_BYTES + 1, 1), ["/username", "/clientId", "/scope"]);
        assert_eq!(named(1, PASSWORD_BYTES + 1), ["/clientSecret", "/refreshToken"]);
    }
}
