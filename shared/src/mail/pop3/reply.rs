//! Commands out, replies in: status lines, response codes and lists.

use bytes::Bytes;
use secrecy::SecretString;

use crate::mail::error::{Error, Refusal, shown};
use crate::mail::limits::POP3_LIST_BYTES;
use crate::mail::wire::{Stream, Wire};
use crate::model::ProbeCode;

/// One status line (RFC 1939 §3; RFC 5034 §4 for the third).
#[derive(Debug)]
pub(super) enum Reply {
    /// `+OK`, and what follows it.
    Ok(Bytes),
    /// `-ERR`.
    Refused(Refusal),
    /// `+`: the server waits for a SASL response; with a challenge, perhaps.
    Continue(Bytes),
}

/// The dialogue. It knows when it is out of step, and says nothing more then.
pub(super) struct Session<S> {
    pub(super) wire: Wire<S>,
    secrets: Vec<SecretString>,
    /// Replies that commands in flight still owe us.
    owed: usize,
    /// A reply was begun and not read to its end: an error, or a caller that stopped waiting.
    torn: bool,
}

impl<S: Stream> Session<S> {
    pub(super) fn new(wire: Wire<S>, secrets: Vec<SecretString>) -> Self {
        Self { wire, secrets, owed: 0, torn: false }
    }

    /// What no words may show.
    pub(super) fn secrets(&self) -> &[SecretString] {
        &self.secrets
    }

    /// Sends one command, whose answer is to be read by [`Session::begin`], [`Session::status`] and [`Session::end`].
    pub(super) async fn ask(&mut self, command: &str) -> Result<(), Error> {
        if self.owed > 0 {
            return Err(self.out_of_step());
        }
        self.send(&format!("{command}\r\n"), 1).await
    }

    /// Sends one command and reads its status line.
    pub(super) async fn exchange(&mut self, command: &str) -> Result<Reply, Error> {
        self.ask(command).await?;
        self.reply().await
    }

    /// Sends what the server waits for after [`Reply::Continue`] (RFC 5034 §4), and reads the next status line.
    pub(super) async fn respond(&mut self, line: &str) -> Result<Reply, Error> {
        self.send(&format!("{line}\r\n"), 1).await?;
        self.reply().await
    }

    async fn reply(&mut self) -> Result<Reply, Error> {
        self.begin()?;
        let reply = self.status().await?;
        self.end();
        Ok(reply)
    }

    /// A command whose refusal is an error.
    pub(super) async fn command(&mut self, command: &str) -> Result<Bytes, Error> {
        match self.exchange(command).await? {
            Reply::Ok(text) => Ok(text),
            Reply::Refused(refusal) => Err(self.refused(refusal)),
            Reply::Continue(_) => Err(self.garbled(b"+")),
        }
    }

    /// A command with a multi-line answer (RFC 1939 §3), line by line without stuffing. A refusal is a value.
    pub(super) async fn list(
        &mut self,
        command: &str,
        most: usize,
        mut each: impl FnMut(&[u8]) -> Option<()>,
    ) -> Result<Result<(), Refusal>, Error> {
        match self.exchange(command).await? {
            Reply::Ok(_) => {}
            Reply::Refused(refusal) => return Ok(Err(refusal)),
            Reply::Continue(_) => return Err(self.garbled(b"+")),
        }
        self.torn = true;
        let mut bytes = 0;
        for _ in 0..=most {
            let line = self.wire.line().await?;
            bytes += line.len();
            if bytes > POP3_LIST_BYTES {
                let detail = format!("the answer to {command} has over {POP3_LIST_BYTES} bytes");
                return Err(self.wire.error(ProbeCode::ProtocolError, detail));
            }
            if line == "." {
                self.torn = false;
                return Ok(Ok(()));
            }
            if each(line.strip_prefix(b".").unwrap_or(&line)).is_none() {
                return Err(self.garbled(&line));
            }
        }
        Err(self.wire.error(ProbeCode::ProtocolError, format!("the answer to {command} has over {most} lines")))
    }

    /// Writes commands that will bring as many replies.
    pub(super) async fn send(&mut self, commands: &str, replies: usize) -> Result<(), Error> {
        self.begin()?;
        self.wire.send(commands.as_bytes()).await?;
        self.owed += replies;
        self.torn = false;
        Ok(())
    }

    /// Before a reply is read: from here to [`Session::end`] nothing else may use the connection.
    pub(super) fn begin(&mut self) -> Result<(), Error> {
        if self.torn {
            return Err(self.out_of_step());
        }
        self.torn = true;
        Ok(())
    }

    /// A reply has been read to its end.
    pub(super) fn end(&mut self) {
        self.torn = false;
        self.owed = self.owed.saturating_sub(1);
    }

    /// The next status line.
    pub(super) async fn status(&mut self) -> Result<Reply, Error> {
        let line = self.wire.line().await?;
        self.parse(&line).ok_or_else(|| self.garbled(&line))
    }

    /// A status line, if it is one.
    pub(super) fn parse(&self, line: &[u8]) -> Option<Reply> {
        if let Some(text) = after(line, b"+OK") {
            return Some(Reply::Ok(Bytes::copy_from_slice(text)));
        }
        if let Some(text) = after(line, b"-ERR") {
            return Some(Reply::Refused(self.refusal(text)));
        }
        after(line, b"+").map(|text| Reply::Continue(Bytes::copy_from_slice(text)))
    }

    /// The words behind `-ERR`; a code in brackets comes first (RFC 2449 §8).
    fn refusal(&self, text: &[u8]) -> Refusal {
        let (code, text) = match bracketed(text) {
            Some((code, text)) => (Some(shown(code, &self.secrets).to_ascii_uppercase()), text),
            None => (None, text),
        };
        Refusal { code: None, enhanced: code, text: shown(text, &self.secrets) }
    }

    /// A refusal of what the dialogue is at.
    pub(super) fn refused(&self, refusal: Refusal) -> Error {
        Error::refused(ProbeCode::ProtocolError, self.wire.phase, refusal)
    }

    /// An answer that is none.
    pub(super) fn garbled(&self, line: &[u8]) -> Error {
        self.wire.error(ProbeCode::ProtocolError, format!("not a POP3 answer: {}", shown(line, &self.secrets)))
    }

    fn out_of_step(&self) -> Error {
        self.wire.error(ProbeCode::ProtocolError, "an earlier answer was not read to its end")
    }
}

/// What follows a status indicator and its blank (RFC 1939 §3: in upper case; some servers differ).
fn after<'a>(line: &'a [u8], indicator: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = line.split_at_checked(indicator.len())?;
    match (head.eq_ignore_ascii_case(indicator), rest) {
        (true, []) => Some(rest),
        (true, [b' ' | b'\t', text @ ..]) => Some(text),
        _ => None,
    }
}

fn bracketed(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = text.strip_prefix(b"[")?;
    let end = memchr::memchr(b']', inside)?;
    Some((&inside[..end], &inside[end + 1..]))
}
