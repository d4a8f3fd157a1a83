//! An account as given: what `PUT` takes, and its check.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::{Account, AccountSecrets, Auth, AuthInput, Poll, Protocol, Receive, Security, SentCopy, Server, sizes};
use crate::model::{AccountId, Address, FieldError, Timestamp};

/// What a folder can be for (RFC 6154 §2).
const USES: [&str; 7] = [r"\All", r"\Archive", r"\Drafts", r"\Flagged", r"\Junk", r"\Sent", r"\Trash"];

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
    /// IMAP folders to pull: names, special uses such as `\\Junk` (RFC 6154), or `*` for all. Default `["INBOX"]`; POP3 has
    /// only INBOX.
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

/// An account as `PUT /v1/accounts/{account}` takes it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountInput {
    /// Words for people.
    #[serde(default)]
    pub name: Option<String>,
    /// The sender of what this account sends.
    #[serde(deserialize_with = "crate::model::address::given")]
    pub from: Address,
    /// Further addresses that may stand in From.
    #[serde(default, deserialize_with = "crate::model::address::one_or_many")]
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

impl AccountInput {
    /// Checks everything that needs no network, and splits settings from secrets. All wrong fields are named at once.
    pub fn check(
        self,
        id: AccountId,
        min_poll_seconds: u32,
        now: Timestamp,
    ) -> Result<(Account, AccountSecrets), Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut secrets = AccountSecrets::default();
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
                    "give auth: {\"type\": \"password\", …}, oauth2, tokenServer or {\"type\": \"none\"}",
                ));
                AuthInput::None
            });
            check_server("/smtp", &server.host, server.port, &mut errors);
            let (auth, given) = auth.split("/smtp/auth", &mut errors);
            secrets.smtp = given;
            Server {
                host: server.host,
                port: server.port,
                security: server.security,
                verify_certificate: server.verify_certificate,
                auth,
            }
        });
        let receive = self.receive.map(|receive| receive.check(smtp.as_ref(), &mut secrets, &mut errors));
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
        Ok((account, secrets))
    }
}

impl ReceiveInput {
    /// A side with the defaults for everything but the server.
    pub fn new(protocol: Protocol, server: ServerInput) -> Self {
        Self {
            protocol,
            host: server.host,
            port: server.port,
            security: server.security,
            verify_certificate: server.verify_certificate,
            auth: server.auth,
            folders: inbox(),
            keep_on_server: yes(),
            delete_after_days: None,
            max_message_bytes: max_message_bytes(),
        }
    }

    fn check(self, smtp: Option<&Server>, secrets: &mut AccountSecrets, errors: &mut Vec<FieldError>) -> Receive {
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
        for (index, folder) in self.folders.iter().enumerate().filter(|(_, folder)| folder.starts_with('\\')) {
            if !USES.iter().any(|usage| usage.eq_ignore_ascii_case(folder)) {
                let detail = format!("no special use of RFC 6154; known are {}", USES.join(", "));
                errors.push(FieldError::new(format!("/receive/folders/{index}"), "invalid_value", detail));
            }
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
                let (auth, given) = auth.split("/receive/auth", errors);
                secrets.receive = given;
                auth
            }
            (None, Some(smtp)) => {
                secrets.receive = secrets.smtp.clone();
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
