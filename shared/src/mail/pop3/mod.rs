//! POP3 (RFC 1939) with CAPA (RFC 2449), AUTH PLAIN (RFC 5034) and response codes (RFC 2449 §8, RFC 3206).

use secrecy::SecretString;

use super::auth::Credential;
use super::error::{Error, Refusal};
use super::wire::{Deadline, Stream, Wire};

/// A maildrop, opened (RFC 1939 §5: the TRANSACTION state).
#[derive(Debug)]
pub struct Client<S> {
    wire: Wire<S>,
    secret: Option<SecretString>,
}

/// The answer to STAT (RFC 1939 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Messages in the maildrop.
    pub messages: u32,
    /// Their size in octets, together.
    pub octets: u64,
}

/// The server said `+OK` to QUIT: what was marked is deleted (RFC 1939 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Committed;

/// Why one message of a [`Retrieval`] did not come, while the others do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The server answered `-ERR`.
    Refused(Refusal),
    /// It has more bytes than the caller takes; the rest was read and dropped.
    TooLarge,
}

/// Messages on their way, in the order asked for.
#[derive(Debug)]
pub struct Retrieval<'a, S> {
    client: &'a mut Client<S>,
    numbers: &'a [u32],
    max_bytes: u64,
}

/// Opens the maildrop over a secured connection whose greeting has been read.
pub async fn login<S: Stream>(wire: Wire<S>, greeting: &[u8], credential: &Credential) -> Result<Client<S>, Error> {
    unimplemented!()
}

impl<S: Stream> Client<S> {
    /// Moves the deadline of everything that follows.
    pub fn set_deadline(&mut self, deadline: Deadline) {
        self.wire.set_deadline(deadline);
    }

    /// How many messages there are (RFC 1939 §5, STAT).
    pub async fn stat(&mut self) -> Result<Stat, Error> {
        unimplemented!()
    }

    /// Message numbers and their unique ids (RFC 1939 §7, UIDL); `None` when the server has no UIDL. An id may be
    /// listed twice, and a number may be missing.
    pub async fn uidl(&mut self) -> Result<Option<Vec<(u32, String)>>, Error> {
        unimplemented!()
    }

    /// Message numbers and sizes in octets (RFC 1939 §5, LIST).
    pub async fn list(&mut self) -> Result<Vec<(u32, u64)>, Error> {
        unimplemented!()
    }

    /// Fetches messages; those of over `max_bytes` are reported as [`Missing::TooLarge`].
    pub fn retrieve<'a>(&'a mut self, numbers: &'a [u32], max_bytes: u64) -> Retrieval<'a, S> {
        Retrieval { client: self, numbers, max_bytes }
    }

    /// Marks a message as deleted (RFC 1939 §5, DELE). Nothing is deleted before [`Client::quit`] says so.
    pub async fn delete(&mut self, number: u32) -> Result<(), Error> {
        unimplemented!()
    }

    /// Takes all marks back (RFC 1939 §5, RSET).
    pub async fn reset(&mut self) -> Result<(), Error> {
        unimplemented!()
    }

    /// RFC 1939 §5, NOOP.
    pub async fn noop(&mut self) -> Result<(), Error> {
        unimplemented!()
    }

    /// Ends the session. Only `Ok` says that the marked messages are gone: after an error some, all or none are.
    pub async fn quit(self) -> Result<Committed, Error> {
        unimplemented!()
    }
}

impl<S: Stream> Retrieval<'_, S> {
    /// The next message, whole and un-stuffed, with its number; `None` after the last. An error ends the session,
    /// and the message it cut off is not handed out. Between two calls the caller may take its time.
    pub async fn next(&mut self) -> Result<Option<(u32, Result<Vec<u8>, Missing>)>, Error> {
        unimplemented!()
    }

    /// The same in pieces, for large messages: `Ok` carries the size. What the sink got is worth nothing unless the
    /// result is `Ok(Some((_, Ok(_))))`.
    pub async fn next_into(&mut self, sink: impl FnMut(&[u8])) -> Result<Option<(u32, Result<u64, Missing>)>, Error> {
        unimplemented!()
    }
}
