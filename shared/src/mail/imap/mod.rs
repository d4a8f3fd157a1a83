//! IMAP (RFC 3501, RFC 9051) with UIDPLUS (RFC 4315), MOVE (RFC 6851), SASL-IR (RFC 4959), SPECIAL-USE (RFC 6154),
//! CONDSTORE and QRESYNC (RFC 7162), OBJECTID (RFC 8474), LITERAL+ (RFC 7888) and the response codes of RFC 5530.
//!
//! [`login`] signs in over a connection that is already secured. One command is under way at a time. Its answer is
//! limited in lines and bytes and is over only with its own tag; messages of a [`Fetch`] are handed out as they
//! complete, and only the tagged OK says that they are all. A plain EXPUNGE does not exist here.

mod change;
mod changes;
mod command;
mod fetch;
mod folders;
mod listing;
mod login;
pub mod places;
mod response;
mod session;
mod set;
#[cfg(test)]
mod tests;
mod utf7;

pub use change::{Marking, Moved};
pub use changes::Changes;
pub use fetch::{Fetch, Fetched, Missing};
pub use folders::{Folder, Selected, SpecialUse, Status};
pub use listing::{Flagging, Listed};
pub use login::login;

use self::command::Command;
use self::session::Session;
use super::error::Error;
use super::tls::TlsFacts;
use super::wire::{Deadline, Stream};

/// A session in the authenticated or selected state (RFC 3501 §3).
pub struct Client<S> {
    session: Session<S>,
    /// UIDNEXT of the open folder, as it was when it was opened.
    uid_next: Option<u32>,
    /// QRESYNC is enabled: the server tells which messages are gone.
    qresync: bool,
}

/// What a server can do (RFC 3501 §7.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(Vec<String>);

impl Capabilities {
    fn parse(names: &[u8]) -> Self {
        Self(String::from_utf8_lossy(names).split_ascii_whitespace().map(str::to_owned).collect())
    }

    /// Whether it announces this one; letter case does not matter.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|capability| capability.eq_ignore_ascii_case(name))
    }
}

/// Shows nothing of what went over the wire.
impl<S> std::fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("imap::Client").finish_non_exhaustive()
    }
}

impl<S: Stream> Client<S> {
    /// Moves the deadline of everything that follows.
    pub fn set_deadline(&mut self, deadline: Deadline) {
        self.session.wire.set_deadline(deadline);
    }

    /// How the connection is secured; none: not at all.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.session.wire.tls()
    }

    /// What the server can do, now that somebody has signed in.
    pub fn capabilities(&self) -> &Capabilities {
        &self.session.capabilities
    }

    /// Asks whether the server is still there (RFC 3501 §6.1.2).
    pub async fn noop(&mut self) -> Result<(), Error> {
        self.session.ok(Command::new("NOOP"), drop).await.map(drop)
    }

    /// Ends the session (RFC 3501 §6.1.3). A server that has said BYE need not say more.
    pub async fn logout(mut self) -> Result<(), Error> {
        let mut bye = false;
        let outcome = self.session.ok(Command::new("LOGOUT"), |untagged| bye |= untagged.is_bye()).await;
        if bye { Ok(()) } else { outcome.map(drop) }
    }
}
