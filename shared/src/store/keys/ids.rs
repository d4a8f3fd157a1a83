//! Names that are derived: of sources, of messages within them, of grants.

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::model::account::{Grant as Kind, OAuth2, SideSecrets};
use crate::model::{AccountId, MessageId, Receive, Tenant};
use crate::store::random;

/// One folder of one mailbox, wherever it may be: what a pulled message is known by begins with it. Another server,
/// user or folder is another source, because equal UIDs there mean other messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceId(pub(super) String);

impl SourceId {
    /// The source that this account's receiving side and folder name.
    pub fn of(receive: &Receive, folder: &str) -> Self {
        let server = &receive.server;
        let parts = [
            receive.protocol.name(),
            &server.host.to_ascii_lowercase(),
            &server.port.to_string(),
            server.auth.username().unwrap_or_default(),
            folder,
        ];
        Self(MessageId::derived(&parts).to_string())
    }

    /// 32 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One chain of refresh tokens: it begins with the token that was given, and has the same id however often that is
/// replaced. Both sides of an account that were given the same token follow the same chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GrantId(pub(super) String);

impl GrantId {
    /// The chain that the refresh token begins at this endpoint, or what the application's own secret brings: another
    /// secret must not live on the tokens, or suffer from the troubles, of the one before. Providers make both, so that
    /// nobody finds them by guessing what this was derived from.
    pub fn of(oauth2: &OAuth2, secrets: &SideSecrets) -> Self {
        let given = match oauth2.grant {
            Kind::RefreshToken => &secrets.refresh_token,
            Kind::ClientCredentials => &secrets.client_secret,
        };
        let given = given.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
        let parts = ["grant", &oauth2.endpoint(), &oauth2.client_id, oauth2.grant.name(), given];
        Self(MessageId::derived(&parts).to_string())
    }
}

/// What identifies a message within its source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MessageKey {
    /// IMAP (RFC 3501 §2.3.1.1): a UID means one message for ever while UIDVALIDITY stays.
    Imap {
        /// UIDVALIDITY of the folder.
        uidvalidity: u32,
        /// UID of the message.
        uid: u32,
    },
    /// POP3 (RFC 1939 §7): the UIDL, with the size because some servers give a UIDL out again.
    Pop3 {
        /// The unique-id.
        uidl: String,
        /// Size that LIST tells.
        octets: u64,
    },
    /// POP3 whose list names one UIDL several times: the content and its ordinal decide.
    Repeated {
        /// The unique-id.
        uidl: String,
        /// SHA-256 of the source, hex.
        sha256: String,
        /// How many messages with this content came before in the list.
        ordinal: u32,
    },
    /// POP3 without UIDL: the content and its ordinal decide.
    Content {
        /// SHA-256 of the source, hex.
        sha256: String,
        /// How many messages with this content came before in the list.
        ordinal: u32,
    },
}

impl MessageKey {
    /// Reads the text of an IMAP message's key.
    pub fn imap(text: &str) -> Option<Self> {
        let (uidvalidity, uid) = text.strip_prefix("I#")?.split_once('#')?;
        Some(Self::Imap { uidvalidity: uidvalidity.parse().ok()?, uid: uid.parse().ok()? })
    }
}

impl std::fmt::Display for MessageKey {
    /// The text that is stored. Parts of the server's choice stand last, so that no two keys have one text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Imap { uidvalidity, uid } => write!(f, "I#{uidvalidity}#{uid}"),
            Self::Pop3 { uidl, octets } => write!(f, "P#{octets}#{uidl}"),
            Self::Repeated { uidl, sha256, ordinal } => write!(f, "R#{sha256}#{ordinal}#{uidl}"),
            Self::Content { sha256, ordinal } => write!(f, "H#{sha256}#{ordinal}"),
        }
    }
}

/// Id of a pulled message: the same message always gets the same id, which is what makes pulling repeatable.
pub fn incoming_id(tenant: &Tenant, account: &AccountId, source: &SourceId, key: &MessageKey) -> MessageId {
    MessageId::derived(&["pull", tenant.as_str(), account.as_str(), source.as_str(), &key.to_string()])
}

/// Id of a message to send under an Idempotency-Key: the same key always gets the same id.
pub fn idempotent_id(tenant: &Tenant, idempotency_key: &str) -> MessageId {
    MessageId::derived(&["idempotency", tenant.as_str(), idempotency_key])
}

/// Id of a message to send without an Idempotency-Key.
pub fn random_id() -> MessageId {
    MessageId::derived(&["random", &random::hex(16)])
}
