//! jetQuery's door to accounts (contracts A1.5 to A1.7): `/api/core/mail/account/{account}`. Its seed keeps a team's
//! account in the team's settings and names no route; this one speaks its field names. `mail_imap_server` and
//! `mail_imap_port` are ours.

pub(crate) mod import;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use shared::http::door::renamed;
use shared::http::{Call, Reply, lenient};
use shared::model::account::{AccountInput, AuthInput, ReceiveInput, ServerInput};
use shared::model::{Account, AccountId, Address, Code, FieldError, Poll, Problem, Protocol, Security};
use shared::ops::{Tools, sign_in};

use crate::usecase::{self, DEFAULT, Terms};

/// The account that sends system messages, and only sends (A1.1/2).
const SYSTEM: &str = "system";

/// Before a Gmail login: POP3 then lists the mail of the last 30 days, whoever fetched it before (A1.6/52).
const RECENT: &str = "recent:";

/// Our pointers in jetQuery's words.
const WORDS: &[(&str, &str)] = &[
    ("/smtp/host", "mail_smtp_server"),
    ("/smtp/port", "mail_smtp_port"),
    ("/smtp/auth/username", "mail_username"),
    ("/smtp/auth/password", "mail_password"),
    ("/smtp/auth", "mail_password"),
    ("/smtp", "mail_smtp_server"),
    ("/receive/host", "mail_pop3_server"),
    ("/receive/port", "mail_pop3_port"),
    ("/receive/auth/username", "mail_username"),
    ("/receive/auth/password", "mail_password"),
    ("/receive/auth", "mail_password"),
    ("/from", "mail_from"),
];

/// A team's mail account.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Given {
    account: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    mail_pop3_server: Option<String>,
    #[serde(deserialize_with = "lenient::port")]
    mail_pop3_port: Option<u16>,
    #[serde(deserialize_with = "lenient::text")]
    mail_imap_server: Option<String>,
    #[serde(deserialize_with = "lenient::port")]
    mail_imap_port: Option<u16>,
    #[serde(deserialize_with = "lenient::text")]
    mail_smtp_server: Option<String>,
    #[serde(deserialize_with = "lenient::port")]
    mail_smtp_port: Option<u16>,
    mail_smtp_valid_cert: Option<bool>,
    mail_usessl: Option<bool>,
    mail_starttls: Option<bool>,
    #[serde(deserialize_with = "lenient::text")]
    mail_username: Option<String>,
    #[serde(deserialize_with = "lenient::secret")]
    mail_password: Option<SecretString>,
    #[serde(deserialize_with = "lenient::text")]
    mail_from: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    mail_from_name: Option<String>,
}

/// `app.settings.json` holds the system account under its name (A1.7/56).
#[derive(Debug, Default, Deserialize)]
struct Wrapped {
    system: Option<Given>,
}

/// The same as it is read: never the password.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Shown {
    account: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_pop3_server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_pop3_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_imap_server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_imap_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_smtp_server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_smtp_port: Option<u16>,
    mail_smtp_valid_cert: bool,
    mail_usessl: bool,
    mail_starttls: bool,
    mail_username: String,
    mail_from: String,
    mail_from_name: String,
}

/// Reads a team's account.
pub(crate) async fn get(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let row = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    Reply::ok(&shown(&row.account))
}

/// Creates or replaces a team's account. What jetQuery has no words for stays as it is.
pub(crate) async fn put(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let name = call.new_account().map_err(|problem| renamed(problem, WORDS))?;
    let given = read(&call, &name)?;
    if given.account.as_deref().is_some_and(|account| account != name.as_str()) {
        let words = "account: path and body name different accounts";
        return Err(Problem::new(Code::AmbiguousAccount, words));
    }
    let current = tools.store.accounts.get(call.tenant(), &name).await?;
    let before = current.as_ref().map(|row| &row.account);
    let settings = given.settings(&name, before, usual_poll(&tools)).map_err(Problem::invalid)?;
    let terms = Terms::new(name.as_str() == DEFAULT);
    let in_their_words = |problem| renamed(problem, WORDS);
    let (account, secrets) = usecase::checked(&tools, &call, name.clone(), settings).map_err(in_their_words)?;
    let written = usecase::change(&tools, &call, current, account, &secrets, terms).await.map_err(in_their_words)?;
    let shown = shown(&written.row.account);
    if written.created { Reply::created(&shown, &format!("/api/core/mail/account/{name}")) } else { Reply::ok(&shown) }
}

/// Removes a team's account.
pub(crate) async fn delete(tools: Tools, call: Call) -> Result<Reply, Problem> {
    usecase::delete(&tools, &call, &call.account()?).await?;
    Ok(Reply::no_content())
}

/// Their files hold comments and trailing commas (A1.7/58), and the system account inside `"system"`.
fn read(call: &Call, name: &AccountId) -> Result<Given, Problem> {
    let text = plain(call)?;
    let kind = call.header("content-type")?;
    if name.as_str() == SYSTEM {
        let wrapped: Wrapped = shared::http::body::json(kind, text.as_bytes())?;
        if let Some(given) = wrapped.system {
            return Ok(given);
        }
    }
    shared::http::body::json(kind, text.as_bytes())
}

/// The body without comments and trailing commas.
fn plain(call: &Call) -> Result<String, Problem> {
    let mut text = String::from_utf8(call.body.to_vec())
        .map_err(|error| Problem::new(Code::MalformedJson, format!("the body is no UTF-8: {error}")))?;
    json_strip_comments::strip(&mut text)
        .map_err(|error| Problem::new(Code::MalformedJson, format!("the body is no JSON: {error}")))?;
    Ok(text)
}

/// When a mailbox that is new to us is pulled.
fn usual_poll(tools: &Tools) -> Poll {
    Poll { min_seconds: Poll::default().min_seconds.max(tools.settings.min_poll_seconds), ..Poll::default() }
}

/// How a connection is secured where one pair of flags serves two protocols (decision 21). Flags that are both false say
/// so; else what a port implies wins over a flag that cannot be meant for it.
fn security(usessl: Option<bool>, starttls: Option<bool>, port: u16) -> Security {
    match (usessl, starttls) {
        (Some(false), Some(false)) => Security::None,
        (Some(true), _) if !matches!(port, 25 | 110 | 143 | 587) => Security::Tls,
        (_, Some(true)) if !matches!(port, 465 | 993 | 995) => Security::Starttls,
        _ => Security::by_port(port),
    }
}

/// The login of one protocol (A1.6/53).
fn login(username: &str, protocol: Protocol) -> &str {
    match protocol {
        Protocol::Pop3 => username,
        Protocol::Smtp | Protocol::Imap => bare(username),
    }
}

fn bare(username: &str) -> &str {
    username.strip_prefix(RECENT).unwrap_or(username)
}

impl Given {
    fn settings(self, name: &AccountId, before: Option<&Account>, poll: Poll) -> Result<AccountInput, Vec<FieldError>> {
        let mut errors = Vec::new();
        let from = self.from(&mut errors);
        let mailbox = match (&self.mail_pop3_server, &self.mail_imap_server) {
            (Some(_), Some(_)) => {
                errors.push(FieldError::new(
                    "mail_imap_server",
                    "invalid_value",
                    "give it or mail_pop3_server, not both",
                ));
                None
            }
            (Some(host), None) => Some((Protocol::Pop3, "mail_pop3_port", host, self.mail_pop3_port)),
            (None, Some(host)) => Some((Protocol::Imap, "mail_imap_port", host, self.mail_imap_port)),
            (None, None) => None,
        };
        if mailbox.is_some() && name.as_str() == SYSTEM {
            errors.push(FieldError::new("mail_pop3_server", "invalid_value", "the account system only sends"));
        }
        let smtp = self.mail_smtp_server.as_ref().and_then(|host| {
            let verify = self.mail_smtp_valid_cert.unwrap_or(true);
            self.server(Protocol::Smtp, "mail_smtp_port", host, self.mail_smtp_port, verify, &mut errors)
        });
        let receive = mailbox.and_then(|(protocol, field, host, port)| {
            let server = self.server(protocol, field, host, port, true, &mut errors)?;
            let kept = before.and_then(|account| account.receive.as_ref()).map(ReceiveInput::from);
            Some(kept.unwrap_or_else(|| ReceiveInput::new(protocol, server.clone())).moved(protocol, server))
        });
        let Some(from) = from.filter(|_| errors.is_empty()) else { return Err(errors) };
        let mut poll = before.map_or(poll, |account| account.poll);
        poll.enabled = poll.enabled && receive.is_some();
        Ok(AccountInput {
            name: from.name.clone(),
            from,
            identities: before.map(|account| account.identities.clone()).unwrap_or_default(),
            smtp,
            receive,
            poll,
            sent_copy: before.map(|account| account.sent_copy).unwrap_or_default(),
        })
    }

    /// `mail_from` may differ from the login: a shared mailbox (A1.6/48). Left out, the login itself.
    fn from(&self, errors: &mut Vec<FieldError>) -> Option<Address> {
        let given = self.mail_from.as_deref().or(self.mail_username.as_deref().map(bare));
        let address = given.and_then(Address::parse);
        if address.is_none() {
            errors.push(FieldError::new("mail_from", "invalid_address", "give an address such as \"a@example.com\""));
        }
        let address = address?;
        Some(Address { name: self.mail_from_name.clone().or(address.name), address: address.address })
    }

    fn server(
        &self,
        protocol: Protocol,
        field: &str,
        host: &str,
        port: Option<u16>,
        verify_certificate: bool,
        errors: &mut Vec<FieldError>,
    ) -> Option<ServerInput> {
        let Some(port) = port else {
            errors.push(FieldError::new(field, "missing", "give the port"));
            return None;
        };
        let auth = self.mail_username.as_deref().map_or(AuthInput::None, |username| AuthInput::Password {
            username: login(username, protocol).to_owned(),
            password: self.mail_password.clone(),
        });
        let security = security(self.mail_usessl, self.mail_starttls, port);
        Some(ServerInput { host: host.to_owned(), port, security, verify_certificate, auth: Some(auth) })
    }
}

/// The flags are those of the sending side; read back by [`security`] they give both sides' modes again.
fn shown(account: &Account) -> Shown {
    let smtp = account.smtp.as_ref();
    let receive = account.receive.as_ref();
    let any = smtp.or(receive.map(|receive| &receive.server));
    let is = |security| any.is_some_and(|server| server.security == security);
    let of = |protocol| receive.filter(|receive| receive.protocol == protocol).map(|receive| &receive.server);
    let (pop3, imap) = (of(Protocol::Pop3), of(Protocol::Imap));
    let username = pop3.or(any).and_then(|server| server.auth.username()).unwrap_or_default();
    Shown {
        account: account.account.to_string(),
        mail_pop3_server: pop3.map(|server| server.host.clone()),
        mail_pop3_port: pop3.map(|server| server.port),
        mail_imap_server: imap.map(|server| server.host.clone()),
        mail_imap_port: imap.map(|server| server.port),
        mail_smtp_server: smtp.map(|server| server.host.clone()),
        mail_smtp_port: smtp.map(|server| server.port),
        mail_smtp_valid_cert: smtp.is_none_or(|server| server.verify_certificate),
        mail_usessl: is(Security::Tls),
        mail_starttls: is(Security::Starttls),
        mail_username: username.to_owned(),
        mail_from: account.from.address.clone(),
        mail_from_name: account.from.name.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
