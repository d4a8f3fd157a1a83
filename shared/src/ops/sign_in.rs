//! A connection to an account's server, signed in with the account's credential.

use secrecy::SecretString;

use super::Tools;
use super::fortunes::Pause;
use crate::mail::connect::{Server, connect};
use crate::mail::{self, BoxedStream, Credential, Deadline, imap, pop3, smtp};
use crate::model::{self, AccountId, Auth, Code, Phase, ProbeCode, Problem, Protocol, Tenant, Timestamp, Verdict};
use crate::net::Network;
use crate::store::{AccountRow, SecretError, Side, StoreError};

/// How we introduce ourselves to sending servers. A Lambda function has no name of its own; RFC 5321 §4.1.3 asks for
/// an address literal then, and its public address is not known to it either.
const HELLO: &str = "127.0.0.1";

/// Why nobody signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The mail server, or the way to it.
    #[error(transparent)]
    Mail(#[from] mail::Error),
    /// No password is stored for these settings: none was given, or the settings changed since.
    #[error("no password is stored for these settings")]
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
        "no password is stored for these settings: give it with PUT",
    )
}

/// A receiving client of either protocol.
pub enum Receiver {
    /// POP3.
    Pop3(pop3::Client<BoxedStream>),
    /// IMAP.
    Imap(imap::Client<BoxedStream>),
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

/// Connects and signs in to a receiving server.
pub async fn open_receiver(
    network: &Network,
    receive: &model::Receive,
    credential: &Credential,
    deadline: Deadline,
) -> Result<Receiver, mail::Error> {
    let connection = connect(network, &place(&receive.server, receive.protocol), deadline).await?;
    match receive.protocol {
        Protocol::Pop3 => Ok(Receiver::Pop3(pop3::login(connection.wire, &connection.greeting, credential).await?)),
        Protocol::Imap | Protocol::Smtp => {
            Ok(Receiver::Imap(imap::login(connection.wire, &connection.greeting, credential).await?))
        }
    }
}

fn place(server: &model::Server, protocol: Protocol) -> Server<'_> {
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
    let keyring = Keyring { tools, tenant, row, side: Side::Smtp, server, protocol: Protocol::Smtp, now };
    let credential = keyring.credential().await?;
    match open_smtp(&tools.network, server, &credential, deadline).await {
        Err(refused) if refused.is_auth_refusal() => {
            let changed = keyring.changed(&credential, refused).await?;
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
    let keyring =
        Keyring { tools, tenant, row, side: Side::Receive, server: &receive.server, protocol: receive.protocol, now };
    let credential = keyring.credential().await?;
    match open_receiver(&tools.network, receive, &credential, deadline).await {
        Err(refused) if refused.is_auth_refusal() => {
            let changed = keyring.changed(&credential, refused).await?;
            Ok(open_receiver(&tools.network, receive, &changed, deadline).await?)
        }
        other => Ok(other?),
    }
}

/// One side of one account, and where its secret is.
struct Keyring<'a> {
    tools: &'a Tools,
    tenant: &'a Tenant,
    row: &'a AccountRow,
    side: Side,
    server: &'a model::Server,
    protocol: Protocol,
    now: Timestamp,
}

impl Keyring<'_> {
    /// The credential, its secret from memory where it is young enough.
    async fn credential(&self) -> Result<Credential, SignInError> {
        match &self.server.auth {
            Auth::Password { username, .. } => {
                Ok(Credential::Password { username: username.clone(), password: self.secret(false).await? })
            }
            Auth::None => Ok(Credential::None),
            Auth::OAuth2(_) | Auth::TokenServer(_) => Err(SignInError::NoPassword),
        }
    }

    /// The server refused a credential that may come from memory: read afresh, once, because somebody may have changed
    /// the password a moment ago. The refusal stands if it is still the same.
    async fn changed(&self, refused: &Credential, refusal: mail::Error) -> Result<Credential, SignInError> {
        let Credential::Password { username, password } = refused else {
            return Err(refusal.into());
        };
        let afresh = self.secret(true).await?;
        if same(password, &afresh) {
            return Err(refusal.into());
        }
        Ok(Credential::Password { username: username.clone(), password: afresh })
    }

    async fn secret(&self, afresh: bool) -> Result<SecretString, SignInError> {
        let place = self.row.secret.as_ref().ok_or(SignInError::NoPassword)?;
        let account: &AccountId = &self.row.account.account;
        let fingerprint = self.server.fingerprint(self.protocol);
        let secrets = &self.tools.store.secrets;
        let found = if afresh {
            secrets.refresh(self.tenant, account, place, self.side, &fingerprint, self.now).await
        } else {
            secrets.get(self.tenant, account, place, self.side, &fingerprint, self.now).await
        };
        found?.password.ok_or(SignInError::NoPassword)
    }
}

fn same(one: &SecretString, other: &SecretString) -> bool {
    use secrecy::ExposeSecret;
    one.expose_secret() == other.expose_secret()
}

/// The account that a path names, or the problem that there is none.
pub async fn account(tools: &Tools, tenant: &Tenant, account: &AccountId) -> Result<AccountRow, Problem> {
    let row = tools.store.accounts.get(tenant, account).await?;
    row.ok_or_else(|| Problem::new(Code::AccountNotFound, format!("there is no account {:?}", account.as_str())))
}
