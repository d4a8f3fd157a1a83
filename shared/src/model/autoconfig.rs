//! The settings that a mail address needs, as far as its domain or we know them.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Protocol, Security};

/// Where settings were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// In our table of providers, by the address's domain.
    Provider,
    /// In the domain's SRV records (RFC 6186, RFC 8314 §5.1).
    Srv,
    /// In the document that the domain publishes for mail programs.
    Autoconfig,
    /// In our table of providers, by the server that takes the domain's mail.
    Mx,
}

/// A way to sign in, to be completed with the password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SuggestedAuth {
    /// Always `password`; where `oauth2` is named, that is the better way.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The user name.
    pub username: String,
}

/// A server: `smtp` or `receive` of an account, to be completed with the password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SuggestedServer {
    /// `imap` or `pop3`; absent of a sending server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// DNS name.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// `tls` or `starttls`: what has neither is not suggested.
    pub security: Security,
    /// How to sign in.
    pub auth: SuggestedAuth,
}

/// A provider that we know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KnownProvider {
    /// Stable id.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Where to make the app password that it asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_password_url: Option<&'static str>,
    /// The `provider` of `auth.type` `oauth2` that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<&'static str>,
    /// What else there is to know.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub note: &'static str,
}

/// The settings that an address needs. Nothing of it has been tried: `diagnose` does that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Autoconfig {
    /// The address.
    pub email: String,
    /// Where the settings come from; null: none were found.
    pub source: Option<Source>,
    /// The provider, where it is one that we know.
    pub provider: Option<KnownProvider>,
    /// For `smtp` of the account.
    pub smtp: Option<SuggestedServer>,
    /// For `receive` of the account.
    pub receive: Option<SuggestedServer>,
    /// What would do as well, best first.
    pub alternatives: Vec<SuggestedServer>,
}
