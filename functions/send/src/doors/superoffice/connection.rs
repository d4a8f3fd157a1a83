//! A connection given in the call (A2.3/14 to A2.3/18): its password is used for this call and stored nowhere.

use secrecy::SecretString;
use serde_json::Value;
use shared::model::account::{AccountInput, AuthInput, ServerInput, SideSecrets};
use shared::model::{
    Account, AccountId, Address, FieldError, Poll, Problem, Protocol, Security, SentCopy, Server, Timestamp,
};
use shared::store::AccountRow;

use super::mail::text;
use super::read::Properties;

/// A mail server and a login.
#[derive(Debug)]
pub(super) struct Connection {
    host: String,
    port: Option<u16>,
    user: Option<String>,
    password: Option<SecretString>,
    ssl: bool,
}

/// A sending side made of a connection.
#[derive(Debug)]
pub(super) struct Sender {
    /// An account that exists for this call only.
    pub(super) row: AccountRow,
    /// What it signs in with.
    pub(super) secrets: SideSecrets,
}

impl Connection {
    /// Takes a connection out of the request; none where nothing is given: then the stored settings hold (A2.3/18).
    pub(super) fn take(request: &mut Properties, name: &str) -> Result<Option<Self>, Problem> {
        let Some(Value::Object(given)) = request.remove(name) else { return Ok(None) };
        let wrong = |property: &str, code: &str, words: &str| {
            Problem::invalid(vec![FieldError::new(format!("/{name}/{property}"), code, words)])
        };
        if given.get("UseGraphApi") == Some(&Value::Bool(true)) {
            return Err(wrong("UseGraphApi", "invalid_value", "mail goes by SMTP and IMAP here: set it to false"));
        }
        let user = text(&given, "UserName").map(str::to_owned);
        let Some(server) = text(&given, "ServerName").map(str::trim) else {
            let nothing = user.is_none() && text(&given, "Password").is_none() && text(&given, "Folder").is_none();
            return if nothing { Ok(None) } else { Err(wrong("ServerName", "missing", "name the server")) };
        };
        let (host, port) = place(server);
        Ok(Some(Self {
            host: host.to_owned(),
            port,
            user,
            password: text(&given, "Password").map(SecretString::from),
            ssl: given.get("UseSSL") == Some(&Value::Bool(true)),
        }))
    }

    /// The sending side, for a mail from this address; without one, from the login.
    pub(super) fn sender(&self, from: Option<&Address>, now: Timestamp) -> Result<Sender, Problem> {
        let user = || self.user.as_deref().and_then(Address::parse);
        let from = from.cloned().or_else(user).ok_or_else(|| {
            let words = "name the sender: no stored account is used, and UserName is no address";
            Problem::invalid(vec![FieldError::new("/From", "missing", words)])
        })?;
        let input = AccountInput {
            name: None,
            from,
            identities: Vec::new(),
            smtp: Some(self.server(Protocol::Smtp)),
            receive: None,
            poll: Poll { enabled: false, ..Poll::default() },
            sent_copy: SentCopy::Never,
        };
        let (account, secrets) = input.check(AccountId::nobody(), 0, now).map_err(Problem::invalid)?;
        let account = Account { account: name(account.smtp.as_ref())?, ..account };
        let row = AccountRow { account, version: String::new(), changed_by: String::new(), secret: None };
        Ok(Sender { row, secrets: secrets.smtp })
    }

    /// Nothing says how to secure the connection but `UseSSL`, and nothing names a port: TLS from the first byte, or
    /// else STARTTLS, at the port that it is usual at. A port that was given all the same says the rest itself.
    fn server(&self, protocol: Protocol) -> ServerInput {
        let usual = match (protocol, self.ssl) {
            (Protocol::Smtp, true) => 465,
            (Protocol::Smtp, false) => 587,
            (_, true) => 993,
            (_, false) => 143,
        };
        let security = match self.port {
            Some(port @ (25 | 143 | 465 | 587 | 993)) => Security::by_port(port),
            _ if self.ssl => Security::Tls,
            _ => Security::Starttls,
        };
        let auth = match &self.user {
            Some(username) => AuthInput::Password { username: username.clone(), password: self.password.clone() },
            None => AuthInput::None,
        };
        ServerInput {
            host: self.host.clone(),
            port: self.port.unwrap_or(usual),
            security,
            verify_certificate: true,
            auth: Some(auth),
        }
    }
}

/// `mail.example.com` or `mail.example.com:2525`.
fn place(server: &str) -> (&str, Option<u16>) {
    match server.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => port.parse().map_or((server, None), |port| (host, Some(port))),
        _ => (server, None),
    }
}

/// What is sent through given servers belongs to no account; messages of one server and login share a name.
fn name(server: Option<&Server>) -> Result<AccountId, Problem> {
    let server = server.ok_or_else(|| Problem::internal("a checked sending side is missing"))?;
    AccountId::new(format!("given-{}", server.fingerprint(Protocol::Smtp))).map_err(Problem::internal)
}
