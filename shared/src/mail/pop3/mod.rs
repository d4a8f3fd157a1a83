//! POP3 (RFC 1939) with CAPA and response codes (RFC 2449, RFC 3206), PIPELINING (RFC 2449 §6.6) and AUTH PLAIN
//! (RFC 5034).
//!
//! [`login`] opens a maildrop over a connection that is already secured. A [`Client`] never deletes behind the
//! caller's back: marks count only when [`Client::quit`] returns [`Committed`].

mod login;
mod reply;
mod retrieve;
#[cfg(test)]
mod tests;

pub use login::login;
pub use retrieve::{Missing, Retrieval};

use self::login::Capabilities;
use self::reply::Session;
use super::error::Error;
use super::limits::POP3_LISTED;

use super::tls::TlsFacts;
use super::wire::{Deadline, Stream};
use crate::model::Phase;

/// A maildrop, opened (RFC 1939 §5, the TRANSACTION state).
pub struct Client<S> {
    session: Session<S>,
    capabilities: Capabilities,
    /// CAPA was asked for in the TRANSACTION state.
    asked_again: bool,
}

/// The answer to STAT (RFC 1939 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Messages in the maildrop.
    pub messages: u32,
    /// Their size in octets, together.
    pub octets: u64,
}

/// The server said `+OK` to QUIT: what was marked is deleted (RFC 1939 §6, the UPDATE state).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed;

/// Shows nothing of what went over the wire.
impl<S> std::fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("pop3::Client").finish_non_exhaustive()
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

    /// How many messages there are (RFC 1939 §5, STAT).
    pub async fn stat(&mut self) -> Result<Stat, Error> {
        self.session.wire.phase = Phase::Select;
        let text = self.session.command("STAT").await?;
        let stat = pair(&text).map(|(messages, octets)| Stat { messages, octets });
        stat.ok_or_else(|| self.session.garbled(&text))
    }

    /// Message numbers and their unique ids (RFC 1939 §7, UIDL), in the server's order; `None` when the server has
    /// no UIDL. An id may be there twice and a number be missing. Bytes that are not ASCII count as Latin-1, so that
    /// different ids stay different.
    ///
    /// # Errors
    /// A refusal is "no UIDL" only where the server never promised it: a moment's trouble must not make a caller
    /// change how it recognises messages.
    pub async fn uidl(&mut self) -> Result<Option<Vec<(u32, String)>>, Error> {
        self.session.wire.phase = Phase::List;
        let mut ids = Vec::new();
        let answer = self.session.list("UIDL", POP3_LISTED, |line| {
            let (number, id) = numbered(line)?;
            if !id.is_empty() {
                ids.push((number, id.iter().copied().map(char::from).collect()));
            }
            Some(())
        });
        match answer.await? {
            Ok(()) => Ok(Some(ids)),
            Err(refusal) => {
                // RFC 2449 §6.8: the UIDL capability says that the command is there.
                if refusal.is_transient() || self.capabilities.has("UIDL") {
                    Err(self.session.refused(refusal))
                } else {
                    Ok(None)
                }
            }
        }
    }

    /// Message numbers and sizes in octets as the server counts them (RFC 1939 §5, LIST).
    pub async fn list(&mut self) -> Result<Vec<(u32, u64)>, Error> {
        self.session.wire.phase = Phase::List;
        let mut sizes = Vec::new();
        let answer = self.session.list("LIST", POP3_LISTED, |line| {
            sizes.push(pair(line).filter(|&(number, _)| number > 0)?);
            Some(())
        });
        answer.await?.map_err(|refusal| self.session.refused(refusal))?;
        Ok(sizes)
    }

    /// Fetches messages (RFC 1939 §5, RETR) by number, pipelined where the server allows it; those of over
    /// `max_bytes` are reported as [`Missing::TooLarge`]. One that is not read to its end leaves the session unusable.
    pub fn retrieve<'a>(&'a mut self, numbers: &'a [u32], max_bytes: u64) -> Retrieval<'a, S> {
        self.session.wire.phase = Phase::List;
        Retrieval::new(self, numbers, max_bytes)
    }

    /// Marks a message as deleted (RFC 1939 §5, DELE). Nothing is deleted before [`Client::quit`] says so.
    pub async fn delete(&mut self, number: u32) -> Result<(), Error> {
        self.session.wire.phase = Phase::List;
        self.session.command(&format!("DELE {number}")).await.map(drop)
    }

    /// Takes all marks back (RFC 1939 §5, RSET).
    pub async fn reset(&mut self) -> Result<(), Error> {
        self.session.command("RSET").await.map(drop)
    }

    /// Asks whether the server is still there (RFC 1939 §5, NOOP).
    pub async fn noop(&mut self) -> Result<(), Error> {
        self.session.command("NOOP").await.map(drop)
    }

    /// Ends the session (RFC 1939 §6, QUIT). Only `Ok` says that the marked messages are gone: after an error, all,
    /// some or none of them are, and the next listing tells.
    pub async fn quit(mut self) -> Result<Committed, Error> {
        self.session.command("QUIT").await.map(|_| Committed)
    }
}

/// A message number and what follows it. RFC 1939 §3: numbers begin with 1.
fn numbered(line: &[u8]) -> Option<(u32, &[u8])> {
    let line = line.trim_ascii();
    let (number, rest) = line.split_at(memchr::memchr(b' ', line).unwrap_or(line.len()));
    Some((decimal(number).filter(|&number| number > 0)?, rest.trim_ascii()))
}

/// Two numbers; RFC 1939 §5 allows more behind them.
fn pair(text: &[u8]) -> Option<(u32, u64)> {
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    Some((decimal(words.next()?)?, decimal(words.next()?)?))
}

/// An unsigned decimal number: digits only, where `parse` would take a plus sign.
fn decimal<N: std::str::FromStr>(digits: &[u8]) -> Option<N> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}
