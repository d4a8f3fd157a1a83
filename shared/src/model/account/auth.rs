//! How an account signs in, as given and as stored.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::oauth2::{OAuth2, OAuth2Input, TokenServer, TokenServerInput};
use super::secrets::{SecretKind, SideSecrets};
use crate::model::FieldError;

/// How to sign in, as given: with the secret.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum AuthInput {
    /// User name and password.
    Password {
        /// The login.
        username: String,
        /// Write-only; may be left out on a change that keeps host, port, security and username.
        #[schema(value_type = Option<String>, write_only)]
        password: Option<SecretString>,
    },
    /// OAuth 2.0 (RFC 6749): we ask for access tokens ourselves.
    #[serde(rename = "oauth2")]
    OAuth2(OAuth2Input),
    /// A server of the caller's gives out access tokens or passwords.
    TokenServer(TokenServerInput),
    /// No sign-in.
    None,
}

/// How to sign in, as stored and shown: never the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Auth {
    /// User name and password.
    Password {
        /// The login.
        username: String,
        /// Whether a password is stored.
        #[serde(rename = "hasPassword")] // by name: the schema does not read `rename_all_fields`
        has_password: bool,
    },
    /// OAuth 2.0 (RFC 6749): we ask for access tokens ourselves.
    #[serde(rename = "oauth2")]
    OAuth2(OAuth2),
    /// A server of the caller's gives out access tokens or passwords.
    TokenServer(TokenServer),
    /// No sign-in.
    None,
}

impl Auth {
    /// The login, if one is known beforehand.
    pub fn username(&self) -> Option<&str> {
        match self {
            Self::Password { username, .. } => Some(username),
            Self::OAuth2(oauth2) => Some(&oauth2.username),
            Self::TokenServer(server) => server.username.as_deref(),
            Self::None => None,
        }
    }

    /// The secrets that belong to this way of signing in, and whether it cannot do without.
    pub fn secrets(&self) -> &'static [(SecretKind, bool)] {
        match self {
            Self::Password { .. } => &[(SecretKind::Password, true)],
            Self::OAuth2(oauth2) => oauth2.secrets(),
            Self::TokenServer(_) => &[(SecretKind::Query, false)],
            Self::None => &[],
        }
    }

    /// Whether this secret is stored.
    pub fn has(&self, kind: SecretKind) -> bool {
        match (self, kind) {
            (Self::Password { has_password, .. }, SecretKind::Password) => *has_password,
            (Self::OAuth2(oauth2), SecretKind::ClientSecret) => oauth2.has_client_secret,
            (Self::OAuth2(oauth2), SecretKind::RefreshToken) => oauth2.has_refresh_token,
            (Self::TokenServer(server), SecretKind::Query) => server.has_query,
            _ => false,
        }
    }

    /// Notes whether this secret is stored.
    pub fn set_has(&mut self, kind: SecretKind, has: bool) {
        match (self, kind) {
            (Self::Password { has_password, .. }, SecretKind::Password) => *has_password = has,
            (Self::OAuth2(oauth2), SecretKind::ClientSecret) => oauth2.has_client_secret = has,
            (Self::OAuth2(oauth2), SecretKind::RefreshToken) => oauth2.has_refresh_token = has,
            (Self::TokenServer(server), SecretKind::Query) => server.has_query = has,
            _ => {}
        }
    }

    /// Whether any secret is stored.
    pub fn has_secret(&self) -> bool {
        self.secrets().iter().any(|(kind, _)| self.has(*kind))
    }

    /// Whether a secret is missing without which nobody can sign in.
    pub fn lacks_secret(&self) -> bool {
        self.secrets().iter().any(|(kind, required)| *required && !self.has(*kind))
    }
}

impl From<&Auth> for AuthInput {
    /// The same way, its secrets left out.
    fn from(auth: &Auth) -> Self {
        match auth {
            Auth::Password { username, .. } => Self::Password { username: username.clone(), password: None },
            Auth::OAuth2(oauth2) => Self::OAuth2(oauth2.into()),
            Auth::TokenServer(server) => Self::TokenServer(TokenServerInput {
                url: server.url.as_str().into(),
                username: server.username.clone(),
            }),
            Auth::None => Self::None,
        }
    }
}

impl AuthInput {
    /// Checks, and splits settings from secrets.
    pub(super) fn split(self, pointer: &str, errors: &mut Vec<FieldError>) -> (Auth, SideSecrets) {
        match self {
            Self::Password { username, password } => {
                check_text(&format!("{pointer}/username"), &username, errors);
                check_secret(&format!("{pointer}/password"), password.as_ref(), errors);
                let auth = Auth::Password { username, has_password: password.is_some() };
                (auth, SideSecrets { password, ..SideSecrets::default() })
            }
            Self::OAuth2(input) => {
                let (oauth2, secrets) = input.split(pointer, errors);
                (Auth::OAuth2(oauth2), secrets)
            }
            Self::TokenServer(input) => {
                let (server, secrets) = input.split(pointer, errors);
                (Auth::TokenServer(server), secrets)
            }
            Self::None => (Auth::None, SideSecrets::default()),
        }
    }
}

/// A line break would end the command and start another one (RFC 4616 §2 forbids NUL as well, RFC 7628 §3.1 %x01).
pub(super) fn check_text(pointer: &str, text: &str, errors: &mut Vec<FieldError>) {
    if text.is_empty() || text.chars().any(char::is_control) {
        errors.push(FieldError::new(pointer, "invalid_value", "must not be empty or hold control characters"));
    }
}

pub(super) fn check_secret(pointer: &str, secret: Option<&SecretString>, errors: &mut Vec<FieldError>) {
    if let Some(secret) = secret {
        check_text(pointer, secret.expose_secret(), errors);
    }
}
