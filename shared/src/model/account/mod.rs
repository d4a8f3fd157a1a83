//! Accounts: one mailbox of a tenant, as it is given, stored and shown.

mod auth;
mod input;
mod kept;
mod oauth2;
mod secrets;
mod sizes;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Address, Timestamp};

pub use auth::{Auth, AuthInput};
pub use input::{AccountInput, MAX_MESSAGE_BYTES, ReceiveInput, ServerInput};
pub use oauth2::{Grant, OAuth2, OAuth2Input, Provider, TokenServer, TokenServerInput, check_url, split_query};
pub use secrets::{AccountSecrets, SecretKind, SideSecrets};

/// Protocol of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Sending (RFC 5321, RFC 6409).
    Smtp,
    /// Receiving by POP3 (RFC 1939).
    Pop3,
    /// Receiving by IMAP4rev1 (RFC 3501).
    Imap,
}

impl Protocol {
    /// Its name in JSON, keys and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Pop3 => "pop3",
            Self::Imap => "imap",
        }
    }
}

/// How a connection is secured. Opportunistic TLS does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// STARTTLS, required (RFC 3207, RFC 2595).
    Starttls,
    /// Nothing: explicitly chosen, and flagged wherever the account is shown.
    None,
}

impl Security {
    /// What a port implies where a front door leaves it open. Never opportunistic: what is not TLS from the first byte
    /// (RFC 8314 §7.3: 465, 993, 995) has to be upgraded.
    pub fn by_port(port: u16) -> Self {
        match port {
            465 | 993 | 995 => Self::Tls,
            _ => Self::Starttls,
        }
    }

    /// Its name in JSON and keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Starttls => "starttls",
            Self::None => "none",
        }
    }
}

/// When a copy of what was sent is put into the Sent folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SentCopy {
    /// Unless the server does so itself.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// When a mailbox is pulled without a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Poll {
    /// Whether at all. Default false.
    pub enabled: bool,
    /// Shortest interval in seconds, right after activity. Default 60.
    pub min_seconds: u32,
    /// Longest interval in seconds, for a dormant mailbox. Default 900.
    pub max_seconds: u32,
}

impl Default for Poll {
    fn default() -> Self {
        Self { enabled: false, min_seconds: 60, max_seconds: 900 }
    }
}

/// A server, as stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// DNS name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How the connection is secured.
    pub security: Security,
    /// Whether the certificate is checked.
    pub verify_certificate: bool,
    /// How to sign in.
    pub auth: Auth,
}

/// The receiving side, as stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Receive {
    /// `pop3` or `imap`.
    pub protocol: Protocol,
    /// Where and how.
    #[serde(flatten)]
    pub server: Server,
    /// IMAP folders to pull: names, special uses such as `\\Junk` (RFC 6154), or `*` for all.
    pub folders: Vec<String>,
    /// Leave mail on the server.
    pub keep_on_server: bool,
    /// With `keepOnServer`: delete this many days after it was stored.
    pub delete_after_days: Option<u32>,
    /// Larger messages are left on the server and marked.
    pub max_message_bytes: u64,
}

/// An account, as stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Its name in paths.
    pub account: super::AccountId,
    /// Words for people.
    pub name: Option<String>,
    /// The sender of what this account sends.
    pub from: Address,
    /// Further addresses that may stand in From.
    pub identities: Vec<Address>,
    /// The sending side.
    pub smtp: Option<Server>,
    /// The receiving side.
    pub receive: Option<Receive>,
    /// Scheduled pulling.
    pub poll: Poll,
    /// Copies in the Sent folder.
    pub sent_copy: SentCopy,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its settings changed last.
    pub updated_at: Timestamp,
}

impl Account {
    /// Whether mail may be written in this name: the account's address, or one of its identities.
    pub fn speaks_for(&self, who: &Address) -> bool {
        std::iter::once(&self.from).chain(&self.identities).any(|identity| identity.same_mailbox(&who.address))
    }

    /// [`Server::fingerprint`] of the sending side, if it has secrets.
    pub fn smtp_fingerprint(&self) -> Option<String> {
        let server = self.smtp.as_ref()?;
        (!server.auth.secrets().is_empty()).then(|| server.fingerprint(Protocol::Smtp))
    }

    /// [`Server::fingerprint`] of the receiving side, if it has secrets.
    pub fn receive_fingerprint(&self) -> Option<String> {
        let Receive { protocol, server, .. } = self.receive.as_ref()?;
        (!server.auth.secrets().is_empty()).then(|| server.fingerprint(*protocol))
    }
}

impl Server {
    /// What a secret belongs to: it is never used for a server with another fingerprint. With OAuth, that is the token
    /// endpoint and the application too.
    pub fn fingerprint(&self, protocol: Protocol) -> String {
        let username = self.auth.username().unwrap_or_default();
        let port = self.port.to_string();
        let host = self.host.to_ascii_lowercase();
        let verify = if self.verify_certificate { "verify" } else { "any" };
        let mut parts = vec![protocol.name(), &host, &port, self.security.name(), username, verify];
        let endpoint;
        if let Auth::OAuth2(oauth2) = &self.auth {
            endpoint = oauth2.endpoint();
            parts.extend([endpoint.as_str(), &oauth2.client_id, oauth2.grant.name()]);
        }
        if let Auth::TokenServer(server) = &self.auth {
            parts.push(&server.url);
        }
        super::MessageId::derived(&parts).to_string()
    }
}
