//! IMAP (RFC 3501, RFC 9051) with UIDPLUS (RFC 4315), MOVE (RFC 6851), SASL-IR (RFC 4959), SPECIAL-USE (RFC 6154)
//! and LITERAL+ (RFC 7888).

use secrecy::SecretString;

use super::auth::Credential;
use super::error::Error;
use super::wire::{Deadline, Stream, Wire};

/// A session in the authenticated or selected state (RFC 3501 §3).
#[derive(Debug)]
pub struct Client<S> {
    wire: Wire<S>,
    secret: Option<SecretString>,
    capabilities: Capabilities,
}

/// What the server can do (RFC 3501 §7.2.1), after login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(Vec<String>);

impl Capabilities {
    /// Whether it announces this one; letter case does not matter.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|capability| capability.eq_ignore_ascii_case(name))
    }
}

/// The answer to STATUS (RFC 3501 §7.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Messages in the folder.
    pub messages: u32,
    /// The UID that the next message will have, at least.
    pub uid_next: u32,
    /// The epoch of the UIDs.
    pub uid_validity: u32,
    /// Messages without `\Seen`.
    pub unseen: Option<u32>,
    /// RFC 7162 §3.1.2.1, where the server has CONDSTORE.
    pub highest_mod_seq: Option<u64>,
}

/// An open folder (RFC 3501 §6.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Messages in it.
    pub exists: u32,
    /// The epoch of its UIDs; a server without one is refused.
    pub uid_validity: u32,
    /// The UID that the next message will have, at least; old servers do not say.
    pub uid_next: Option<u32>,
    /// Its flags.
    pub flags: Vec<String>,
    /// Nothing can be changed here: EXAMINE, or `[READ-ONLY]`.
    pub read_only: bool,
    /// UIDs do not outlive the session (RFC 4315 §3, UIDNOTSTICKY).
    pub uid_not_sticky: bool,
    /// RFC 7162 §3.1.2.1.
    pub highest_mod_seq: Option<u64>,
}

/// A folder of LIST (RFC 3501 §7.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its name, decoded from modified UTF-7 (RFC 3501 §5.1.3).
    pub name: String,
    /// Between the levels of the name.
    pub delimiter: Option<char>,
    /// `\Noselect`, `\HasChildren` …, as sent.
    pub attributes: Vec<String>,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
}

/// RFC 6154 §2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialUse {
    /// All messages.
    All,
    /// The archive.
    Archive,
    /// Drafts.
    Drafts,
    /// Flagged messages.
    Flagged,
    /// Spam.
    Junk,
    /// Sent messages.
    Sent,
    /// Deleted messages.
    Trash,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its UID.
    pub uid: u32,
    /// RFC822.SIZE, as the server counts.
    pub size: u64,
    /// Its flags.
    pub flags: Vec<String>,
    /// INTERNALDATE as sent: `17-Jul-1996 02:44:25 -0700`.
    pub internal_date: Option<String>,
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its UID.
    pub uid: u32,
    /// Its flags.
    pub flags: Vec<String>,
    /// INTERNALDATE as sent.
    pub internal_date: Option<String>,
    /// RFC822.SIZE as the server counts; `body.len()` is the truth.
    pub size: Option<u64>,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// Messages on their way.
#[derive(Debug)]
pub struct Fetch<'a, S> {
    client: &'a mut Client<S>,
    max_bytes: u64,
}

/// Signs in over a secured connection whose greeting has been read.
pub async fn login<S: Stream>(wire: Wire<S>, greeting: &[u8], credential: &Credential) -> Result<Client<S>, Error> {
    unimplemented!()
}

impl<S: Stream> Client<S> {
    /// Moves the deadline of everything that follows.
    pub fn set_deadline(&mut self, deadline: Deadline) {
        self.wire.set_deadline(deadline);
    }

    /// What the server can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The state of a folder without opening it (RFC 3501 §6.3.10).
    pub async fn status(&mut self, folder: &str) -> Result<Status, Error> {
        unimplemented!()
    }

    /// Opens a folder for changes (RFC 3501 §6.3.1).
    pub async fn select(&mut self, folder: &str) -> Result<Selected, Error> {
        unimplemented!()
    }

    /// Opens a folder for reading only (RFC 3501 §6.3.2).
    pub async fn examine(&mut self, folder: &str) -> Result<Selected, Error> {
        unimplemented!()
    }

    /// All folders (RFC 3501 §6.3.8), with their special use where the server tells it.
    pub async fn list_folders(&mut self) -> Result<Vec<Folder>, Error> {
        unimplemented!()
    }

    /// The UIDs of the open folder that are `from` or more, in order.
    pub async fn search_uids(&mut self, from: u32) -> Result<Vec<u32>, Error> {
        unimplemented!()
    }

    /// The UIDs of the messages with this Message-ID header, in order.
    pub async fn search_message_id(&mut self, message_id: &str) -> Result<Vec<u32>, Error> {
        unimplemented!()
    }

    /// The `max` lowest UIDs that are `from` or more, in order, with size, flags and date.
    pub async fn listing(&mut self, from: u32, max: usize) -> Result<Vec<Listed>, Error> {
        unimplemented!()
    }

    /// Fetches whole messages without setting `\Seen`. A message of over `max_bytes` is an error: ask for those by
    /// [`Client::fetch_large`].
    pub fn fetch<'a>(&'a mut self, uids: &[u32], max_bytes: u64) -> Fetch<'a, S> {
        unimplemented!()
    }

    /// Fetches the `length` bytes of a message from `offset` on (RFC 3501 §6.4.5, partial fetch): fewer at its end.
    /// Returns how many came.
    pub async fn fetch_part(&mut self, uid: u32, offset: u64, length: u64, sink: impl FnMut(&[u8])) -> Result<u64, Error> {
        unimplemented!()
    }

    /// Fetches a large message in parts of [`FETCH_PART_BYTES`](super::limits::FETCH_PART_BYTES), whatever size the server announced.
    /// Returns its size; `None` when it is over `max_bytes`, or has vanished.
    pub async fn fetch_large(&mut self, uid: u32, size: u64, max_bytes: u64, sink: impl FnMut(&[u8])) -> Result<Option<u64>, Error> {
        unimplemented!()
    }

    /// Marks messages with `\Deleted` (RFC 3501 §6.4.6).
    pub async fn uid_store_deleted(&mut self, uids: &[u32]) -> Result<(), Error> {
        unimplemented!()
    }

    /// Removes exactly these messages, if marked (RFC 4315 §2.1). `false`: the server has no UIDPLUS, nothing was
    /// sent. A plain EXPUNGE, which removes what others have marked, does not exist here.
    #[must_use = "false means that nothing was done"]
    pub async fn uid_expunge(&mut self, uids: &[u32]) -> Result<bool, Error> {
        unimplemented!()
    }

    /// Moves messages (RFC 6851). `false`: the server has no MOVE, nothing was sent.
    #[must_use = "false means that nothing was done"]
    pub async fn uid_move(&mut self, uids: &[u32], folder: &str) -> Result<bool, Error> {
        unimplemented!()
    }

    /// Stores a message (RFC 3501 §6.3.11); returns UIDVALIDITY and UID where the server has UIDPLUS (RFC 4315 §3).
    pub async fn append(&mut self, folder: &str, flags: &[&str], message: &[u8]) -> Result<Option<(u32, u32)>, Error> {
        unimplemented!()
    }

    /// RFC 3501 §6.1.2.
    pub async fn noop(&mut self) -> Result<(), Error> {
        unimplemented!()
    }

    /// Ends the session (RFC 3501 §6.1.3).
    pub async fn logout(self) -> Result<(), Error> {
        unimplemented!()
    }
}

impl<S: Stream> Fetch<'_, S> {
    /// The next complete message; `None` once the server has said OK to all of it. UIDs that have vanished are left
    /// out. After an error, what was handed out before is whole, but nothing is known about the rest.
    pub async fn next(&mut self) -> Result<Option<Fetched>, Error> {
        unimplemented!()
    }
}
