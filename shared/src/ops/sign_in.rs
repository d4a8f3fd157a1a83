//! A connection to an account's server, signed in with the account's credential.

use super::Tools;
use super::fortunes::{self, Fortune, Pause};
use super::keyring::{Keyring, Source};
use crate::mail::connect::{Server, connect, traced};
use crate::mail::trace::Trace;
use crate::mail::{self, BoxedStream, Credential, Deadline, TlsFacts, imap, pop3, smtp};
use crate::model::{self, AccountId, Code, Phase, ProbeCode, Problem, Protocol, Tenant, Timestamp, Verdict};
use crate::net::Network;
use crate::store::{AccountRow, SecretError, Side, StoreError};

/// How we introduce ourselves to sending servers. A Lambda function has no name of its own; RFC 5321 §4.1.3 asks for
/// an address literal then, and its public address is not known to it either.
pub(super) const HELLO: &str = "127.0.0.1";

/// Why nobody signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The mail server, or the way to it.
    #[error(transparent)]
    Mail(#[from] mail::Error),
    /// No password or other secret is stored for these settings: none was given, or the settings changed since.
    #[error("no password or other secret is stored for these settings")]
    NoPassword,
    /// The server refused the last logins, and none is made now.
    #[error("{}", .0.words)]
    Paused(Pause),
    /// Our own storage.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<SecretError> for SignInError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::NotFound | SecretError::FingerprintMismatch => Self::NoPassword,
            SecretError::Store(error) => Self::Store(error),
        }
    }
}

impl SignInError {
    /// As a probe tells it. Storage failures are no verdict about the server.
    pub fn verdict(self, duration_ms: u64) -> Result<Verdict, StoreError> {
        match self {
            Self::Mail(error) => Ok(error.verdict(duration_ms)),
            Self::NoPassword => Ok(no_password().verdict(duration_ms)),
            Self::Paused(pause) => Ok(pause.error().verdict(duration_ms)),
            Self::Store(error) => Err(error),
        }
    }

    /// As a caller is told who asked for more than a verdict.
    pub fn into_problem(self, receive: bool) -> Problem {
        let pause = if let Self::Paused(pause) = &self { Some(pause.until) } else { None };
        match self.verdict(0) {
            Ok(verdict) => {
                let problem = crate::http::problem::from_verdict(&verdict, receive);
                let left = pause.map(|until| until.seconds() - Timestamp::now().seconds());
                match left.and_then(|left| u64::try_from(left).ok()) {
                    Some(left) => problem.retry_after(left),
                    None => problem,
                }
            }
            Err(error) => error.into(),
        }
    }
}

/// The same as a failure of the dialogue that never began.
pub fn no_password() -> mail::Error {
    mail::Error::new(
        ProbeCode::AuthUnavailable,
        Phase::Auth,
        "no password or other secret is stored for these settings: give it with PUT",
    )
}

/// A receiving client of either protocol.
pub enum Receiver {
    /// POP3.
    Pop3(pop3::Client<BoxedStream>),
    /// IMAP.
    Imap(imap::Client<BoxedStream>),
}

impl Receiver {
    /// How the connection is secured; none: not at all.
    pub fn tls(&self) -> Option<&TlsFacts> {
        match self {
            Self::Pop3(client) => client.tls(),
            Self::Imap(client) => client.tls(),
        }
    }
}

/// Connects and signs in to a sending server.
pub async fn open_smtp(
    network: &Network,
    server: &model::Server,
    credential: &Credential,
    deadline: Deadline,
) -> Result<smtp::Client<BoxedStream>, mail::Error> {
    let connection = connect(network, &place(server, Protocol::Smtp), deadline).await?;
    smtp::Client::open(connection, HELLO, credential, network.timeouts).await
}

/// Connects and signs in to a receiving server, and records what is said.
pub async fn open_receiver(
    network: &Network,
    receive: &model::Receive,
    credential: &Credential,
    deadline: Deadline,
    trace: &Trace,
) -> Result<Receiver, mail::Error> {
    trace.hide(credential.secrets());
    let connection = traced(network, &place(&receive.server, receive.protocol), deadline, trace).await?;
    match receive.protocol {
        Protocol::Pop3 => Ok(Receiver::Pop3(pop3::login(connection.wire, &connection.greeting, credential).await?)),
        Protocol::Imap | Protocol::Smtp => {
            Ok(Receiver::Imap(imap::login(connection.wire, &connection.greeting, credential).await?))
        }
    }
}

pub(super) fn place(server: &model::Server, protocol: Protocol) -> Server<'_> {
    Server {
        protocol,
        host: &server.host,
        port: server.port,
        security: server.security,
        verify_certificate: server.verify_certificate,
    }
}

/// Signs in to an account's sending server with the stored credential.
pub async fn smtp(
    tools: &Tools,
    tenant: &Tenant,
    row: &AccountRow,
    deadline: Deadline,
    now: Timestamp,
) -> Result<smtp::Client<BoxedStream>, SignInError> {
    let server = row.account.smtp.as_ref().ok_or(SignInError::NoPassword)?;
    let (account, source) = (&row.account.account, Source::Stored(row.secret.as_ref()));
    let protocol = Protocol::Smtp;
    smtp_by(&Keyring { tools, tenant, account, side: Side::Smtp, server, protocol, source, deadline, now }).await
}

/// Signs in to a sending server with what a keyring holds.
pub async fn smtp_by(keyring: &Keyring<'_>) -> Result<smtp::Client<BoxedStream>, SignInError> {
    let Keyring { tools, server, deadline, .. } = *keyring;
    let key = keyring.key().await?;
    match open_smtp(&tools.network, server, &key.credential, deadline).await {
        Err(refused) if refused.is_auth_refusal() => {
            let changed = keyring.afresh(&key, refused).await?;
            Ok(open_smtp(&tools.network, server, &changed, deadline).await?)
        }
        other => Ok(other?),
    }
}

/// Signs in to an account's receiving server with the stored credential.
pub async fn receiver(
    tools: &Tools,
    tenant: &Tenant,
    row: &AccountRow,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Receiver, SignInError> {
    let receive = row.account.receive.as_ref().ok_or(SignInError::NoPassword)?;
    let (account, source) = (&row.account.account, Source::Stored(row.secret.as_ref()));
    let (server, protocol) = (&receive.server, receive.protocol);
    let keyring = Keyring { tools, tenant, account, side: Side::Receive, server, protocol, source, deadline, now };
    receiver_by(&keyring, receive).await
}

/// Signs in to a receiving server with what a keyring holds.
pub async fn receiver_by(keyring: &Keyring<'_>, receive: &model::Receive) -> Result<Receiver, SignInError> {
    let Keyring { tools, deadline, .. } = *keyring;
    let key = keyring.key().await?;
    match open_receiver(&tools.network, receive, &key.credential, deadline, &tools.trace).await {
        Err(refused) if refused.is_auth_refusal() => {
            let changed = keyring.afresh(&key, refused).await?;
            Ok(open_receiver(&tools.network, receive, &changed, deadline, &tools.trace).await?)
        }
        other => Ok(other?),
    }
}

/// The same for whoever is not the first to come: not while the server has refused the last logins, and how it fares is
/// noted in the account's status.
pub async fn admitted(
    tools: &Tools,
    tenant: &Tenant,
    row: &AccountRow,
    deadline: Deadline,
) -> Result<Receiver, SignInError> {
    let now = Timestamp::now();
    let status = fortunes::admit(tools, tenant, &row.account.account, Side::Receive, now).await?;
    let before = status.map_err(SignInError::Paused)?;
    let connecting = deadline.or_after(tools.settings.connect + tools.settings.reply);
    let opened = receiver(tools, tenant, row, connecting, now).await;
    let verdict;
    let fortune = match &opened {
        Err(SignInError::Mail(error)) => {
            verdict = error.verdict(0);
            Some(Fortune::Failed(Side::Receive, &verdict))
        }
        Ok(_) if !fortunes::is_well(&before, Side::Receive) => Some(Fortune::Entered(Side::Receive)),
        _ => None,
    };
    if let Some(fortune) = fortune {
        fortunes::record(tools, tenant, row, fortune, now).await?;
    }
    let mut opened = opened?;
    match &mut opened {
        Receiver::Imap(client) => client.set_deadline(deadline),
        Receiver::Pop3(client) => client.set_deadline(deadline),
    }
    Ok(opened)
}

/// The account that a path names, or the problem that there is none.
pub async fn account(tools: &Tools, tenant: &Tenant, account: &AccountId) -> Result<AccountRow, Problem> {
    let row = tools.store.accounts.get(tenant, account).await?;
    row.ok_or_else(|| Problem::new(Code::AccountNotFound, format!("there is no account {:?}", account.as_str())))
}
