//! A scriptable SMTP, POP3 and IMAP server on 127.0.0.1 with a certificate authority of its own.
//!
//! It has two users. `cargo run` gives a newcomer a mailbox: what is sent to `ada@example.test`
//! appears in her mailbox over IMAP and POP3, and nothing ever leaves the machine. The tests get a
//! peer that misbehaves on command: [`Rule`]s replace, cut, delay, drip or drop any answer.
//!
//! # Map
//!
//! | room | holds |
//! |---|---|
//! | [`script`] | rules: where they take hold ([`At`]) and what they do to the wire |
//! | `server` | listeners, the TLS handshakes, one task per session |
//! | `dialogue` | the one loop of all protocols: read, ask the script, take effect, answer |
//! | `wire` | the byte stream of a session, its transcript, and every way of answering badly |
//! | `smtp`, `pop3`, `imap` | correct protocol behaviour as plain state machines: input in, answer out |
//! | `auth` | SASL, and what a login is |
//! | `store`, `folder`, `disk` | mailboxes, what SMTP accepted, and the files that survive `kill -9` |
//! | `tls` | the authority, the good certificate and four bad ones |
//!
//! # The walk of one command
//!
//! `server` accepts and secures the stream; `dialogue` reads an input (`wire`), asks the script for
//! a plan, lets the protocol take effect unless the plan forbids it, and hands answer and plan to
//! `wire`, which alone knows how to misbehave. So every fault works in every protocol.
//!
//! # Absences
//!
//! Nothing is relayed. No trace headers are added (against RFC 5321 §4.4), so that what was sent and
//! what is stored compare byte for byte. A changed UIDVALIDITY is [`Sandbox::renumber`].

mod auth;
mod dialogue;
mod disk;
mod folder;
mod imap;
mod pop3;
pub mod script;
mod server;
mod smtp;
mod store;
#[cfg(test)]
mod tests;
mod tls;
mod transcript;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use crate::script::{At, Certificate, Fired, Protocol, Rule, Service};
pub use crate::store::{Folder, Logins, Received, Stored};
pub use crate::tls::acceptor_for;
pub use crate::transcript::Line;

use crate::server::Core;

/// What to start.
#[derive(Debug, Default, Clone)]
pub struct Options {
    /// The ports on 127.0.0.1 (and ::1 where the machine has it).
    pub ports: Ports,
    /// Where the authority's certificate (`ca.pem`) and key (`ca.key`) are kept and found again.
    /// Without it every start has a new authority.
    pub ca_dir: Option<PathBuf>,
    /// Where mail is kept. What was accepted survives `kill -9`. Without it mail lives in memory.
    pub data: Option<PathBuf>,
    /// The mailboxes.
    pub users: Vec<User>,
    /// Offer and accept logins on a connection without TLS (RFC 4954 §4 and RFC 3501 §6.2.3 advise against it).
    pub plain_auth: bool,
}

/// A port for each service; 0 (the default) takes any free one, see [`Sandbox::port`].
#[derive(Debug, Default, Clone, Copy)]
pub struct Ports {
    /// SMTP without TLS, STARTTLS offered; takes mail without a login.
    pub smtp: u16,
    /// Submission (RFC 6409) with STARTTLS; a login is required.
    pub submission: u16,
    /// Submission over implicit TLS (RFC 8314 §3.3); a login is required.
    pub smtps: u16,
    /// POP3 with STLS (RFC 2595 §4).
    pub pop3: u16,
    /// POP3 over implicit TLS.
    pub pop3s: u16,
    /// IMAP with STARTTLS.
    pub imap: u16,
    /// IMAP over implicit TLS.
    pub imaps: u16,
}

/// A mailbox and its login.
#[derive(Clone)]
pub struct User {
    /// The mail address, which is the user name as well; letter case does not matter.
    pub address: String,
    /// The password, compared exactly.
    pub password: String,
}

/// Prints the address only.
impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why the sandbox could not start or could not keep a message.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port is taken or may not be used: choose another.
    #[error("{service:?} cannot listen on port {port}: {source}")]
    Bind {
        /// The service that wanted the port.
        service: Service,
        /// The port asked for; 0 for any.
        port: u16,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A file of the data directory is not what the sandbox wrote: remove it.
    #[error("{path} is damaged: {source}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: serde_json::Error,
    },
    /// A certificate could not be made, or the kept authority key is unreadable.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library refused the certificate or key.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// There is no such mailbox.
    #[error("no mailbox {0}")]
    NoMailbox(String),
}

/// A running sandbox. Dropping it closes its ports and sessions.
#[derive(Debug)]
pub struct Sandbox {
    core: Arc<Core>,
    ports: BTreeMap<Service, u16>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Sandbox {
    /// Opens every port and serves until [`Sandbox::shutdown`] or drop. Needs a tokio runtime.
    ///
    /// # Errors
    /// A port is taken, the kept mail or authority cannot be read or written.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let core = Arc::new(Core::new(&options)?);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let ports = server::listen(&core, options.ports, &tasks, &stop).await?;
        Ok(Self { core, ports, tasks, stop })
    }

    /// The port of a service on 127.0.0.1 (and ::1).
    #[must_use]
    pub fn port(&self, service: Service) -> u16 {
        self.ports.get(&service).copied().unwrap_or_default()
    }

    /// The authority that signed the server's certificate, as PEM: the client's trust root.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.core.identities.ca_pem()
    }

    /// Opens a mailbox (or gives an existing one a new password) with the folders INBOX, Sent, Junk, Trash, Drafts.
    ///
    /// # Errors
    /// Kept mail cannot be read, or the directory cannot be made.
    pub fn add_user(&self, address: &str, password: &str) -> Result<(), Error> {
        self.core.store.add_user(address, password)
    }

    /// Takes this access token for the mailbox from now on. Once there is one, XOAUTH2 and OAUTHBEARER are offered.
    pub fn add_token(&self, address: &str, token: &str) {
        self.core.store.add_token(address, token);
    }

    /// Takes none of the mailbox's access tokens any more.
    pub fn drop_tokens(&self, address: &str) {
        self.core.store.drop_tokens(address);
    }

    /// Files a copy of what somebody sends who has logged in, from now on or no more, in his Sent folder: as Gmail and
    /// Microsoft 365 do.
    pub fn files_sent(&self, files: bool) {
        self.core.store.files_sent(files);
    }

    /// Puts a message into the INBOX without SMTP, byte for byte, and returns its UID.
    /// POP3 and IMAP want CRLF line ends; others are stored and served as they are.
    ///
    /// # Errors
    /// No such mailbox, or the message cannot be written.
    pub fn deliver(&self, address: &str, message: impl Into<Bytes>) -> Result<u32, Error> {
        self.core.store.deliver(address, message.into())
    }

    /// What the INBOX holds now, by ascending UID; empty for an unknown address.
    #[must_use]
    pub fn messages(&self, address: &str) -> Vec<Stored> {
        self.folder(address, Folder::Inbox)
    }

    /// What a folder holds now, by ascending UID; empty for an unknown address.
    #[must_use]
    pub fn folder(&self, address: &str, folder: Folder) -> Vec<Stored> {
        self.core.store.messages(address, folder)
    }

    /// Puts a message with these flags into a folder, byte for byte, and returns its UID.
    ///
    /// # Errors
    /// No such mailbox, or the message cannot be written.
    pub fn append(
        &self,
        address: &str,
        folder: Folder,
        message: impl Into<Bytes>,
        flags: &[&str],
    ) -> Result<u32, Error> {
        let now = time::OffsetDateTime::now_utc();
        self.core.store.append(&address.to_lowercase(), folder, message.into(), named(flags), now)
    }

    /// Sets a message's flags, as another client would.
    ///
    /// # Errors
    /// The change cannot be written.
    pub fn set_flags(&self, address: &str, folder: Folder, uid: u32, flags: &[&str]) -> Result<(), Error> {
        self.core.store.set_flags(&address.to_lowercase(), folder, uid, named(flags)).map(drop)
    }

    /// Removes messages for good, as another client would.
    ///
    /// # Errors
    /// The change cannot be written.
    pub fn remove(&self, address: &str, folder: Folder, uids: &[u32]) -> Result<(), Error> {
        self.core.store.remove(&address.to_lowercase(), folder, uids)
    }

    /// Moves a message to another folder, as another client would; returns its UID there.
    ///
    /// # Errors
    /// No such mailbox or message, or the change cannot be written.
    pub fn move_to(&self, address: &str, folder: Folder, uid: u32, to: Folder) -> Result<u32, Error> {
        let copy = self.copy_to(address, folder, uid, to)?;
        self.remove(address, folder, &[uid])?;
        Ok(copy)
    }

    /// Copies a message to another folder, as another client would; returns its UID there.
    ///
    /// # Errors
    /// No such mailbox or message, or the copy cannot be written.
    pub fn copy_to(&self, address: &str, folder: Folder, uid: u32, to: Folder) -> Result<u32, Error> {
        let address = address.to_lowercase();
        let store = &self.core.store;
        let message = store.message(&address, folder, uid).ok_or_else(|| Error::NoMailbox(address.clone()))?;
        store.copy(&address, message, to)
    }

    /// Changes a folder's UIDVALIDITY (RFC 3501 §2.3.1.1) and numbers its messages from 1 on, in their order: what a
    /// server does whose indexes were lost. Returns the new UIDVALIDITY.
    ///
    /// # Errors
    /// No such mailbox, or the change cannot be written.
    pub fn renumber(&self, address: &str, folder: Folder) -> Result<u32, Error> {
        self.core.store.renumber(&address.to_lowercase(), folder)
    }

    /// Every message that SMTP accepted (also for other domains, which is kept nowhere else), in order.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.core.store.received()
    }

    /// Adds a rule. At each event the first rule that matches, and is not used up, is applied.
    /// The handle counts its uses, so that a test can tell that its fault took place.
    pub fn script(&self, rule: Rule) -> Fired {
        self.core.script.add(rule)
    }

    /// Removes all rules; open sessions go on correctly with their next command.
    pub fn clear_script(&self) {
        self.core.script.clear();
    }

    /// What went over the wires, decrypted: one entry per line, literal, message or answer, oldest first.
    /// The last 100,000 entries are kept, of each the first 1,024 bytes.
    #[must_use]
    pub fn transcript(&self) -> Vec<Line> {
        self.core.transcript.lines()
    }

    /// Logins by user name as it was given in the attempt, in lower case.
    #[must_use]
    pub fn logins(&self) -> BTreeMap<String, Logins> {
        self.core.store.logins()
    }

    /// Closes ports and sessions, and returns when all are closed. Open sessions are cut.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn named(flags: &[&str]) -> std::collections::BTreeSet<String> {
    flags.iter().map(|flag| (*flag).to_owned()).collect()
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
