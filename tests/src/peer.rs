//! The sandbox as the tests' mail server, which misbehaves on command, and account settings that point at it.

use std::path::{Path, PathBuf};

use sandbox::{Options, Sandbox, Service, User};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::dir;

/// The one authority of all test servers.
static AUTHORITY: OnceCell<PathBuf> = OnceCell::const_new();

/// Its directory: `ca.pem` and `ca.key`.
pub async fn ca_dir() -> &'static Path {
    AUTHORITY
        .get_or_init(|| async {
            let path = dir::create("ca");
            let options = Options { ca_dir: Some(path.clone()), ..Options::default() };
            Sandbox::start(options).await.unwrap().shutdown().await;
            path
        })
        .await
}

/// Its certificate.
pub async fn ca_file() -> PathBuf {
    ca_dir().await.join("ca.pem")
}

/// How a connection is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the first byte.
    Tls,
    /// After STARTTLS.
    Starttls,
}

/// A receiving protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receive {
    /// RFC 3501.
    Imap,
    /// RFC 1939.
    Pop3,
}

impl Way {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Tls, Self::Starttls];

    /// As settings name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Starttls => "starttls",
        }
    }
}

impl Receive {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Imap, Self::Pop3];

    /// As settings name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
        }
    }
}

/// A sandbox with one mailbox.
#[derive(Debug)]
pub struct Peer {
    /// The server.
    pub sandbox: Sandbox,
    /// The mailbox's address and login.
    pub user: String,
    /// Its password.
    pub password: String,
}

impl Peer {
    /// A server with the mailbox `ada@example.test`.
    pub async fn start() -> Self {
        Self::with_password("s3cret of Ada").await
    }

    /// The same with a password of one's own.
    pub async fn with_password(password: &str) -> Self {
        let user = User { address: "ada@example.test".to_owned(), password: password.to_owned() };
        let options =
            Options { ca_dir: Some(ca_dir().await.to_owned()), users: vec![user.clone()], ..Options::default() };
        let sandbox = Sandbox::start(options).await.unwrap();
        Self { sandbox, user: user.address, password: user.password }
    }

    /// `auth` with the mailbox's login.
    #[must_use]
    pub fn auth(&self) -> Value {
        json!({"type": "password", "username": self.user, "password": self.password})
    }

    /// `smtp` of an account.
    #[must_use]
    pub fn smtp(&self, way: Way) -> Value {
        let service = if way == Way::Tls { Service::Smtps } else { Service::Submission };
        json!({"host": "localhost", "port": self.sandbox.port(service), "security": way.name(), "auth": self.auth()})
    }

    /// `receive` of an account.
    #[must_use]
    pub fn receive(&self, receive: Receive, way: Way) -> Value {
        let service = match (receive, way) {
            (Receive::Imap, Way::Tls) => Service::Imaps,
            (Receive::Imap, Way::Starttls) => Service::Imap,
            (Receive::Pop3, Way::Tls) => Service::Pop3s,
            (Receive::Pop3, Way::Starttls) => Service::Pop3,
        };
        json!({"protocol": receive.name(), "host": "localhost", "port": self.sandbox.port(service), "security": way.name(), "auth": self.auth()})
    }

    /// A whole account that sends and receives. It makes no copies in its Sent folder: what is not asked for would
    /// only log in behind the back of whoever counts.
    #[must_use]
    pub fn account(&self, receive: Receive, way: Way) -> Value {
        json!({"name": "Ada's mail", "from": {"name": "Ada", "address": self.user}, "sentCopy": "never", "smtp": self.smtp(way), "receive": self.receive(receive, way)})
    }

    /// Whether the password was seen on the wire, plain or as SASL wraps it, outside TLS.
    #[must_use]
    pub fn saw_credential_in_clear(&self) -> bool {
        let forms = crate::canary::forms(&self.user, &self.password);
        self.sandbox.transcript().iter().filter(|line| !line.tls && line.from_client).any(|line| {
            let text = String::from_utf8_lossy(&line.bytes).into_owned();
            forms.iter().any(|form| text.contains(form.as_str()))
        })
    }

    /// How often somebody tried to log in.
    #[must_use]
    pub fn logins(&self) -> usize {
        self.sandbox.logins().values().map(|logins| logins.attempted).sum()
    }
}
