//! Accounts: one mailbox of a tenant, as it is given, stored and shown.

mod sizes;

use secrecy::{ExposeSecret, SecretString};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{Address, FieldError, Timestamp};

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
    /// No sign-in.
    None,
}

/// A server as given.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerInput {
    /// DNS name or IP address.
    pub host: String,
    /// TCP port, 1 to 65535.
    #[serde(deserialize_with = "port")]
    pub port: u16,
    /// `tls`, `starttls` or `none`.
    pub security: Security,
    /// Check the certificate and the host's name in it. Default true.
    #[serde(default = "yes")]
    pub verify_certificate: bool,
    /// How to sign in; in `receive` it may be left out: as in `smtp`.
    pub auth: Option<AuthInput>,
}

/// The receiving side as given.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiveInput {
    /// `pop3` or `imap`.
    pub protocol: Protocol,
    /// DNS name or IP address.
    pub host: String,
    /// TCP port, 1 to 65535.
    #[serde(deserialize_with = "port")]
    pub port: u16,
    /// `tls`, `starttls` or `none`.
    pub security: Security,
    /// Check the certificate and the host's name in it. Default true.
    #[serde(default = "yes")]
    pub verify_certificate: bool,
    /// How to sign in; left out: as in `smtp`.
    pub auth: Option<AuthInput>,
    /// IMAP folders to pull. Default `["INBOX"]`; POP3 has only INBOX.
    #[serde(default = "inbox")]
    pub folders: Vec<String>,
    /// Leave mail on the server. Default true. False deletes in the run after the one that stored it.
    #[serde(default = "yes")]
    pub keep_on_server: bool,
    /// With `keepOnServer`: delete this many days after it was stored.
    #[serde(default)]
    pub delete_after_days: Option<u32>,
    /// Larger messages are left on the server and marked. Default 67108864, at most 157286400.
    #[serde(default = "max_message_bytes")]
    pub max_message_bytes: u64,
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

/// An account as `PUT /v1/accounts/{account}` takes it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountInput {
    /// Words for people.
    #[serde(default)]
    pub name: Option<String>,
    /// The sender of what this account sends.
    #[serde(deserialize_with = "super::address::given")]
    pub from: Address,
    /// Further addresses that may stand in From.
    #[serde(default, deserialize_with = "super::address::one_or_many")]
    #[schema(value_type = Vec<Address>)]
    pub identities: Vec<Address>,
    /// The sending side.
    #[serde(default)]
    pub smtp: Option<ServerInput>,
    /// The receiving side.
    #[serde(default)]
    pub receive: Option<ReceiveInput>,
    /// Scheduled pulling.
    #[serde(default)]
    pub poll: Poll,
    /// Copies in the Sent folder.
    #[serde(default)]
    pub sent_copy: SentCopy,
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
    /// No sign-in.
    None,
}

impl Auth {
    /// The login, if there is one.
    pub fn username(&self) -> Option<&str> {
        match self {
            Self::Password { username, .. } => Some(username),
            Self::None => None,
        }
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
    /// IMAP folders to pull.
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

/// A secret per side of an account, as it goes to Secrets Manager. `Debug` shows nothing.
#[derive(Clone, Debug, Default)]
pub struct Passwords {
    /// For `smtp`.
    pub smtp: Option<SecretString>,
    /// For `receive`.
    pub receive: Option<SecretString>,
}

impl Passwords {
    /// Pointers of the passwords that an account's settings ask for and that were not given.
    pub fn missing(&self, account: &Account) -> Vec<&'static str> {
        let wants = |server: &Server| matches!(server.auth, Auth::Password { .. });
        let smtp = account.smtp.as_ref().is_some_and(wants) && self.smtp.is_none();
        let receive = account.receive.as_ref().is_some_and(|receive| wants(&receive.server)) && self.receive.is_none();
        [(smtp, "/smtp/auth/password"), (receive, "/receive/auth/password")]
            .into_iter()
            .filter_map(|(missing, pointer)| missing.then_some(pointer))
            .collect()
    }
}

impl Server {
    /// What a password belongs to: it is never sent to a server with another fingerprint.
    pub fn fingerprint(&self, protocol: Protocol) -> String {
        let auth = self.auth.username().unwrap_or_default();
        let port = self.port.to_string();
        let parts = [
            protocol.name(),
            &self.host.to_ascii_lowercase(),
            &port,
            self.security.name(),
            auth,
            if self.verify_certificate { "verify" } else { "any" },
        ];
        super::MessageId::derived(&parts).to_string()
    }
}

impl AccountInput {
    /// Checks everything that needs no network, and splits settings from secrets. All wrong fields are named at once.
    pub fn check(
        self,
        id: super::AccountId,
        min_poll_seconds: u32,
        now: Timestamp,
    ) -> Result<(Account, Passwords), Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut passwords = Passwords::default();
        if self.smtp.is_none() && self.receive.is_none() {
            errors.push(FieldError::new("/smtp", "missing", "give smtp (to send), receive (to pull) or both"));
        }
        check_poll(&self.poll, self.receive.is_some(), min_poll_seconds, &mut errors);
        sizes::check(&self, &mut errors);
        let smtp = self.smtp.map(|server| {
            let auth = server.auth.clone().unwrap_or_else(|| {
                errors.push(FieldError::new(
                    "/smtp/auth",
                    "missing",
                    "give auth: {\"type\": \"password\", …} or {\"type\": \"none\"}",
                ));
                AuthInput::None
            });
            check_server("/smtp", &server.host, server.port, &mut errors);
            let (auth, password) = auth.split("/smtp/auth", &mut errors);
            passwords.smtp = password;
            Server {
                host: server.host,
                port: server.port,
                security: server.security,
                verify_certificate: server.verify_certificate,
                auth,
            }
        });
        let receive = self.receive.map(|receive| receive.check(smtp.as_ref(), &mut passwords, &mut errors));
        if !errors.is_empty() {
            return Err(errors);
        }
        let account = Account {
            account: id,
            name: self.name,
            from: self.from,
            identities: self.identities,
            smtp,
            receive,
            poll: self.poll,
            sent_copy: self.sent_copy,
            created_at: now,
            updated_at: now,
        };
        Ok((account, passwords))
    }
}

impl ReceiveInput {
    fn check(self, smtp: Option<&Server>, passwords: &mut Passwords, errors: &mut Vec<FieldError>) -> Receive {
        check_server("/receive", &self.host, self.port, errors);
        if self.protocol == Protocol::Smtp {
            errors.push(FieldError::new(
                "/receive/protocol",
                "invalid_value",
                "mail is received by \"pop3\" or \"imap\"",
            ));
        }
        if self.folders.is_empty()
            || self.folders.iter().any(|folder| folder.is_empty() || folder.chars().any(char::is_control))
        {
            errors.push(FieldError::new(
                "/receive/folders",
                "invalid_value",
                "name at least one folder, such as \"INBOX\"; no control characters",
            ));
        }
        if self.protocol == Protocol::Pop3 && self.folders != inbox() {
            errors.push(FieldError::new(
                "/receive/folders",
                "invalid_value",
                "POP3 has no folders: leave folders out or give [\"INBOX\"]",
            ));
        }
        if self.max_message_bytes == 0 || self.max_message_bytes > MAX_MESSAGE_BYTES {
            errors.push(FieldError::new(
                "/receive/maxMessageBytes",
                "out_of_range",
                format!("1 to {MAX_MESSAGE_BYTES}"),
            ));
        }
        let auth = match (self.auth, smtp) {
            (Some(auth), _) => {
                let (auth, password) = auth.split("/receive/auth", errors);
                passwords.receive = password;
                auth
            }
            (None, Some(smtp)) => {
                passwords.receive = passwords.smtp.clone();
                smtp.auth.clone()
            }
            (None, None) => {
                errors.push(FieldError::new("/receive/auth", "missing", "give auth here, or smtp with auth to share"));
                Auth::None
            }
        };
        Receive {
            protocol: self.protocol,
            server: Server {
                host: self.host,
                port: self.port,
                security: self.security,
                verify_certificate: self.verify_certificate,
                auth,
            },
            folders: self.folders,
            keep_on_server: self.keep_on_server,
            delete_after_days: self.delete_after_days,
            max_message_bytes: self.max_message_bytes,
        }
    }
}

impl AuthInput {
    fn split(self, pointer: &str, errors: &mut Vec<FieldError>) -> (Auth, Option<SecretString>) {
        let Self::Password { username, password } = self else {
            return (Auth::None, None);
        };
        // A line break would end the command and start another one (RFC 4616 §2 forbids NUL as well).
        let unclean = |text: &str| text.is_empty() || text.chars().any(char::is_control);
        if unclean(&username) {
            errors.push(FieldError::new(
                format!("{pointer}/username"),
                "invalid_value",
                "must not be empty or hold control characters",
            ));
        }
        if password.as_ref().is_some_and(|password| unclean(password.expose_secret())) {
            errors.push(FieldError::new(
                format!("{pointer}/password"),
                "invalid_value",
                "must not be empty or hold control characters",
            ));
        }
        (Auth::Password { username, has_password: password.is_some() }, password)
    }
}

fn check_server(pointer: &str, host: &str, port: u16, errors: &mut Vec<FieldError>) {
    let clean =
        !host.is_empty() && host.len() <= 253 && host.chars().all(|c| c.is_alphanumeric() || ".-:_".contains(c));
    if !clean {
        errors.push(FieldError::new(
            format!("{pointer}/host"),
            "invalid_value",
            "a DNS name such as \"mail.example.com\", or an IP address; no scheme, no path",
        ));
    }
    if port == 0 {
        errors.push(FieldError::new(format!("{pointer}/port"), "out_of_range", "1 to 65535"));
    }
}

fn check_poll(poll: &Poll, receives: bool, min_poll_seconds: u32, errors: &mut Vec<FieldError>) {
    if poll.enabled && !receives {
        errors.push(FieldError::new("/poll/enabled", "invalid_value", "there is no receive side to poll"));
    }
    if poll.min_seconds < min_poll_seconds {
        errors.push(FieldError::new("/poll/minSeconds", "out_of_range", format!("at least {min_poll_seconds}")));
    }
    if poll.max_seconds < poll.min_seconds || poll.max_seconds > 86_400 {
        errors.push(FieldError::new("/poll/maxSeconds", "out_of_range", "between minSeconds and 86400"));
    }
}

/// No account may ask for larger messages than this (150 MB).
pub const MAX_MESSAGE_BYTES: u64 = 150 << 20;

fn yes() -> bool {
    true
}

fn inbox() -> Vec<String> {
    vec!["INBOX".to_owned()]
}

fn max_message_bytes() -> u64 {
    64 << 20
}

/// Reads a port, and says what one is.
fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    u16::deserialize(deserializer).map_err(|_| D::Error::custom("expected a number from 1 to 65535"))
}
