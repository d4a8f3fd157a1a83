//! Signing in by OAuth 2.0 (RFC 6749): whose tokens, asked for where and how.

use std::net::IpAddr;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::{Host, Url};
use utoipa::ToSchema;

use super::auth::{check_secret, check_text};
use super::secrets::{SecretKind, SideSecrets};
use crate::model::{FieldError, Protocol, Timestamp};

/// Who gives out the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Microsoft 365 and Outlook.com.
    Microsoft,
    /// Gmail and Google Workspace.
    Google,
    /// Any other; `tokenUrl` says where.
    Generic,
}

/// What is given for an access token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// The refresh token that a person's consent brought (RFC 6749 §6).
    #[default]
    RefreshToken,
    /// The application's own secret (RFC 6749 §4.4).
    ClientCredentials,
}

impl Grant {
    /// Its name in requests and keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
        }
    }
}

/// OAuth 2.0 as given: with the secrets.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OAuth2Input {
    /// The mailbox that the token opens, mostly an address.
    pub username: String,
    /// `microsoft`, `google` or `generic`.
    pub provider: Provider,
    /// The application's id at the provider.
    pub client_id: String,
    /// Write-only; needed with `client_credentials` and at Google.
    #[schema(value_type = Option<String>, write_only)]
    pub client_secret: Option<SecretString>,
    /// When the client secret ends, as the provider's console says: what ends within 30 days is a risk.
    #[serde(default)]
    pub client_secret_expires_at: Option<Timestamp>,
    /// Microsoft's tenant: a GUID or a domain. Needed there with `client_credentials`; else `common`.
    pub tenant_id: Option<String>,
    /// Write-only; needed with `refresh_token`.
    #[schema(value_type = Option<String>, write_only)]
    pub refresh_token: Option<SecretString>,
    /// Scopes to ask for, separated by spaces. Left out: what the provider wants for mail.
    pub scope: Option<String>,
    /// The token endpoint, https. Needed for `generic`.
    pub token_url: Option<String>,
    /// `refresh_token` (default) or `client_credentials`.
    #[serde(default)]
    pub grant: Grant,
}

/// OAuth 2.0 as stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2 {
    /// The mailbox that the token opens.
    pub username: String,
    /// Who gives out the tokens.
    pub provider: Provider,
    /// The application's id at the provider.
    pub client_id: String,
    /// Whether a client secret is stored.
    pub has_client_secret: bool,
    /// When it ends, where that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_expires_at: Option<Timestamp>,
    /// Microsoft's tenant.
    pub tenant_id: Option<String>,
    /// Whether a refresh token is stored.
    pub has_refresh_token: bool,
    /// Scopes to ask for.
    pub scope: Option<String>,
    /// The token endpoint, where it is not the provider's usual one.
    pub token_url: Option<String>,
    /// What is given for an access token.
    pub grant: Grant,
}

/// A server of the caller's, as given. It is asked before each sign-in: `GET url?account=<account>&proto=<smtp|imap|pop3>`,
/// and answers `{"user": "…", "accessToken": "…"}` or `{"user": "…", "pass": "…"}`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenServerInput {
    /// Where to ask, https. A query is kept like a password: it is what such servers know their callers by. Left out on a
    /// change that keeps the rest, it stays.
    #[schema(value_type = String)]
    pub url: SecretString,
    /// The login, where the answer names none.
    pub username: Option<String>,
}

/// A server of the caller's, as stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenServer {
    /// Where to ask, without its query.
    pub url: String,
    /// Whether a query is stored.
    #[serde(default)]
    pub has_query: bool,
    /// The login, where the answer names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

impl TokenServerInput {
    pub(super) fn split(self, pointer: &str, errors: &mut Vec<FieldError>) -> (TokenServer, SideSecrets) {
        if let Some(username) = &self.username {
            check_text(&format!("{pointer}/username"), username, errors);
        }
        check_url(&format!("{pointer}/url"), self.url.expose_secret(), errors);
        let (url, query) = split_query(&self.url);
        let server = TokenServer { url, has_query: query.is_some(), username: self.username };
        (server, SideSecrets { query, ..SideSecrets::default() })
    }
}

/// An address and the query behind it, which may be a secret.
pub fn split_query(given: &SecretString) -> (String, Option<SecretString>) {
    let given = given.expose_secret();
    let (url, query) = given.split_once('?').unwrap_or((given, ""));
    (url.to_owned(), (!query.is_empty()).then(|| query.into()))
}

impl OAuth2 {
    /// The token endpoint (RFC 6749 §3.2).
    pub fn endpoint(&self) -> String {
        match (&self.token_url, self.provider) {
            (Some(url), _) => url.clone(),
            (None, Provider::Google) => "https://oauth2.googleapis.com/token".to_owned(),
            // A generic provider without tokenUrl does not pass the check.
            (None, Provider::Microsoft | Provider::Generic) => {
                let tenant = self.tenant_id.as_deref().unwrap_or("common");
                format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token")
            }
        }
    }

    /// The scopes to ask for (RFC 6749 §3.3); none where the refresh token's own suffice.
    pub fn scope(&self, protocol: Protocol) -> Option<String> {
        let usual = match (self.provider, self.grant, protocol) {
            (Provider::Microsoft, Grant::ClientCredentials, _) => "https://outlook.office365.com/.default",
            (Provider::Microsoft, Grant::RefreshToken, Protocol::Smtp) => {
                "https://outlook.office.com/SMTP.Send offline_access"
            }
            (Provider::Microsoft, Grant::RefreshToken, Protocol::Imap) => {
                "https://outlook.office.com/IMAP.AccessAsUser.All offline_access"
            }
            (Provider::Microsoft, Grant::RefreshToken, Protocol::Pop3) => {
                "https://outlook.office.com/POP.AccessAsUser.All offline_access"
            }
            (Provider::Google | Provider::Generic, ..) => return self.scope.clone(),
        };
        Some(self.scope.clone().unwrap_or_else(|| usual.to_owned()))
    }

    /// The secrets that belong to it, and whether it cannot do without. A public client has no secret of its own
    /// (RFC 6749 §2.1); Google gives one to every application.
    pub(super) fn secrets(&self) -> &'static [(SecretKind, bool)] {
        match (self.grant, self.provider) {
            (Grant::ClientCredentials, _) => &[(SecretKind::ClientSecret, true)],
            (Grant::RefreshToken, Provider::Google) => {
                &[(SecretKind::ClientSecret, true), (SecretKind::RefreshToken, true)]
            }
            (Grant::RefreshToken, _) => &[(SecretKind::ClientSecret, false), (SecretKind::RefreshToken, true)],
        }
    }
}

impl From<&OAuth2> for OAuth2Input {
    fn from(oauth2: &OAuth2) -> Self {
        Self {
            username: oauth2.username.clone(),
            provider: oauth2.provider,
            client_id: oauth2.client_id.clone(),
            client_secret: None,
            client_secret_expires_at: oauth2.client_secret_expires_at,
            tenant_id: oauth2.tenant_id.clone(),
            refresh_token: None,
            scope: oauth2.scope.clone(),
            token_url: oauth2.token_url.clone(),
            grant: oauth2.grant,
        }
    }
}

impl OAuth2Input {
    pub(super) fn split(self, pointer: &str, errors: &mut Vec<FieldError>) -> (OAuth2, SideSecrets) {
        self.check(pointer, errors);
        let oauth2 = OAuth2 {
            username: self.username,
            provider: self.provider,
            client_id: self.client_id,
            has_client_secret: self.client_secret.is_some(),
            client_secret_expires_at: self.client_secret_expires_at,
            tenant_id: self.tenant_id,
            has_refresh_token: self.refresh_token.is_some(),
            scope: self.scope,
            token_url: self.token_url,
            grant: self.grant,
        };
        let secrets = SideSecrets {
            client_secret: self.client_secret,
            refresh_token: self.refresh_token,
            ..SideSecrets::default()
        };
        (oauth2, secrets)
    }

    fn check(&self, pointer: &str, errors: &mut Vec<FieldError>) {
        let at = |field: &str| format!("{pointer}/{field}");
        check_text(&at("username"), &self.username, errors);
        check_text(&at("clientId"), &self.client_id, errors);
        check_secret(&at("clientSecret"), self.client_secret.as_ref(), errors);
        check_secret(&at("refreshToken"), self.refresh_token.as_ref(), errors);
        if let Some(scope) = &self.scope {
            check_text(&at("scope"), scope, errors);
        }
        match &self.token_url {
            Some(url) => check_url(&at("tokenUrl"), url, errors),
            None if self.provider == Provider::Generic => {
                errors.push(FieldError::new(at("tokenUrl"), "missing", "give the token endpoint of the provider"));
            }
            None => {}
        }
        let credentials = self.grant == Grant::ClientCredentials;
        if credentials && self.provider == Provider::Google {
            let words = "Google opens mailboxes with \"refresh_token\" only";
            errors.push(FieldError::new(at("grant"), "invalid_value", words));
        }
        if credentials && self.refresh_token.is_some() {
            let words = "belongs to the grant \"refresh_token\": leave one of the two out";
            errors.push(FieldError::new(at("refreshToken"), "invalid_value", words));
        }
        match &self.tenant_id {
            Some(_) if self.provider != Provider::Microsoft => {
                errors.push(FieldError::new(at("tenantId"), "invalid_value", "only Microsoft has tenants"));
            }
            Some(tenant) if !is_tenant(tenant) => {
                errors.push(FieldError::new(at("tenantId"), "invalid_value", "a GUID or a domain"));
            }
            None if self.provider == Provider::Microsoft && credentials && self.token_url.is_none() => {
                errors.push(FieldError::new(at("tenantId"), "missing", "an application's own grant is for one tenant"));
            }
            _ => {}
        }
    }
}

/// It becomes a part of a path.
fn is_tenant(tenant: &str) -> bool {
    (1..=100).contains(&tenant.len())
        && tenant.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        && tenant.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// https, or http to a private address that is written as one: that only operators' own networks answer there is
/// settled when it is connected to. A user name or password in it would be shown with the settings.
pub fn check_url(pointer: &str, given: &str, errors: &mut Vec<FieldError>) {
    let url = Url::parse(given).ok().filter(|_| given.len() <= 2048);
    let fits = url.is_some_and(|url| {
        let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        let secure = url.scheme() == "https" && url.has_host();
        let private = url.scheme() == "http"
            && match url.host() {
                Some(Host::Ipv4(address)) => is_private(address.into()),
                Some(Host::Ipv6(address)) => is_private(address.into()),
                _ => false,
            };
        bare && (secure || private)
    });
    if !fits {
        errors.push(FieldError::new(
            pointer,
            "invalid_value",
            "an https URL without user name, password and fragment; http only to a private address",
        ));
    }
}

/// RFC 1918 §3, RFC 4193 §3, and loopback.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_loopback(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_loopback(),
    }
}
