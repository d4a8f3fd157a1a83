//! The dialogue: tags, literals, limits, and what a server may say at any time.

use bytes::Bytes;
use secrecy::SecretString;

use super::Capabilities;
use super::command::{Allowed, Command};
use super::response::{self, Condition, StatusLine};
use crate::mail::error::{Error, Refusal, shown};
use crate::mail::limits::{AFTER_BYE, EAGER_LITERAL_BYTES, LINE_BYTES, WRITE_BYTES};
use crate::mail::wire::{Stream, Wire};
use crate::model::{Phase, ProbeCode};

const OUT_OF_STEP: &str = "an earlier answer was not read to its end";

/// A connection that knows which command is under way, and when it is out of step.
pub(super) struct Session<S> {
    pub(super) wire: Wire<S>,
    secrets: Vec<SecretString>,
    /// What the server said last about its capabilities (RFC 3501 §7.1, §7.2.1), and whether it did so since login.
    pub(super) capabilities: Capabilities,
    pub(super) told: bool,
    tags: u32,
    /// The command under way, if any, and what its answer may still bring. After an error, or when a caller stopped
    /// waiting, it stays under way, and no other can be sent.
    running: Option<Allowed>,
    /// What the server said when it took its leave.
    bye: Option<Error>,
}

/// One response to the command under way.
#[derive(Debug)]
pub(super) enum Answer {
    /// `*` and data or status.
    Untagged(Untagged),
    /// `+`: go on; with a challenge, perhaps.
    Continue(Bytes),
    /// Our tag: the command is done.
    Done(Outcome),
}

/// An untagged response. The text begins with `* `; it has no line end, small literals are in it, and the literal of
/// `BODY[]` is replaced by `{0}` there.
#[derive(Debug)]
pub(super) struct Untagged {
    pub(super) text: Vec<u8>,
    /// The literal of `BODY[]`, complete.
    pub(super) body: Option<Vec<u8>>,
    /// It was longer than allowed: its length. The body is empty then.
    pub(super) dropped: Option<u64>,
}

impl Untagged {
    pub(super) fn is_bye(&self) -> bool {
        StatusLine::parse(&self.text[2..]).is_some_and(|status| status.condition == Condition::Bye)
    }
}

/// The tagged status of a command (RFC 3501 §7.1).
#[derive(Debug)]
pub(super) struct Outcome {
    line: Bytes,
    condition: Condition,
}

impl Outcome {
    pub(super) fn is_ok(&self) -> bool {
        self.condition == Condition::Ok
    }

    pub(super) fn is_no(&self) -> bool {
        self.condition == Condition::No
    }

    pub(super) fn status(&self) -> StatusLine<'_> {
        let unreadable = StatusLine { condition: self.condition, code: None, text: &self.line };
        StatusLine::parse(&self.line).unwrap_or(unreadable)
    }
}

impl<S: Stream> Session<S> {
    pub(super) fn new(wire: Wire<S>, secrets: Vec<SecretString>) -> Self {
        Self { wire, secrets, capabilities: Capabilities::default(), told: false, tags: 0, running: None, bye: None }
    }

    /// What no words may show.
    pub(super) fn secrets(&self) -> &[SecretString] {
        &self.secrets
    }

    pub(super) fn has(&self, capability: &str) -> bool {
        self.capabilities.has(capability)
    }

    /// Runs a command to its tagged status; every untagged response goes to `each`.
    pub(super) async fn run(&mut self, command: Command<'_>, mut each: impl FnMut(Untagged)) -> Result<Outcome, Error> {
        if let Some(outcome) = self.start(command).await? {
            return Ok(outcome);
        }
        loop {
            match self.answer().await? {
                Answer::Untagged(untagged) => each(untagged),
                Answer::Done(outcome) => return Ok(outcome),
                Answer::Continue(_) => return Err(self.unexpected(b"+")),
            }
        }
    }

    /// The same where NO and BAD are errors.
    pub(super) async fn ok(&mut self, command: Command<'_>, each: impl FnMut(Untagged)) -> Result<Outcome, Error> {
        let outcome = self.run(command, each).await?;
        if outcome.is_ok() { Ok(outcome) } else { Err(self.refused(ProbeCode::ProtocolError, &outcome.status())) }
    }

    /// Sends a command. `Some`: the server refused it before its literal.
    pub(super) async fn start(&mut self, command: Command<'_>) -> Result<Option<Outcome>, Error> {
        if self.running.is_some() {
            return Err(self.broken(OUT_OF_STEP));
        }
        self.tags += 1;
        self.running = Some(command.allowed);
        let mut out = format!("a{} ", self.tags).into_bytes();
        for (text, literal) in &command.literals {
            out.extend_from_slice(text.as_bytes());
            if let Some(outcome) = self.announce(&mut out, literal.len()).await? {
                return Ok(Some(outcome));
            }
            if out.is_empty() {
                // A message of 50 MB is not copied once more for the wire.
                self.send(literal).await?;
            } else {
                out.extend_from_slice(literal);
            }
        }
        out.extend_from_slice(command.text.as_bytes());
        out.extend_from_slice(b"\r\n");
        self.send(&out).await?;
        Ok(None)
    }

    /// Announces a literal (RFC 3501 §4.3), and waits for the server's `+` unless it is small and the server has
    /// LITERAL+ or LITERAL- (RFC 7888 §4, §5).
    async fn announce(&mut self, out: &mut Vec<u8>, length: usize) -> Result<Option<Outcome>, Error> {
        let eager = length <= EAGER_LITERAL_BYTES && (self.has("LITERAL+") || self.has("LITERAL-"));
        let plus = if eager { "+" } else { "" };
        out.extend_from_slice(format!("{{{length}{plus}}}\r\n").as_bytes());
        if eager {
            return Ok(None);
        }
        self.send(out).await?;
        out.clear();
        loop {
            match self.answer().await? {
                Answer::Continue(_) => return Ok(None),
                Answer::Untagged(_) => {}
                Answer::Done(outcome) if outcome.is_ok() => return Err(self.unexpected(b"OK before its literal")),
                Answer::Done(outcome) => return Ok(Some(outcome)),
            }
        }
    }

    /// Sends bytes of the command under way.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        for piece in bytes.chunks(WRITE_BYTES) {
            self.wire.send(piece).await.map_err(|error| self.bye.take().unwrap_or(error))?;
        }
        Ok(())
    }

    /// Reads the next response to the command under way. A server that has said BYE (RFC 3501 §7.1.5) is read on,
    /// for the command's own status may follow; when the connection ends instead, BYE is the error.
    pub(super) async fn answer(&mut self) -> Result<Answer, Error> {
        let answer = self.read().await.map_err(|error| self.bye.take().unwrap_or(error))?;
        if matches!(answer, Answer::Done(_)) {
            self.running = None;
        }
        Ok(answer)
    }

    async fn read(&mut self) -> Result<Answer, Error> {
        let Some(allowed) = self.running.as_mut() else { return Err(self.broken(OUT_OF_STEP)) };
        let limits = *allowed;
        let line = self.wire.line_up_to(limits.line_bytes).await?;
        if !line.starts_with(b"* ") {
            return self.tagged(line);
        }
        allowed.lines = match allowed.lines.checked_sub(1) {
            Some(left) => left,
            None => return Err(self.broken("too many untagged responses")),
        };
        // RFC 3501 §7.1: status text runs to the end of its line, whatever it looks like.
        if let Some(status) = StatusLine::parse(&line[2..]) {
            self.notice(&status);
            return Ok(Answer::Untagged(Untagged { text: line.to_vec(), body: None, dropped: None }));
        }
        let untagged = self.with_literals(line, limits).await?;
        if let (word, names) = response::word(&untagged.text[2..])
            && word.eq_ignore_ascii_case(b"CAPABILITY")
        {
            self.can(names);
        }
        Ok(Answer::Untagged(untagged))
    }

    /// A line with a tag, or `+`. Tags are compared exactly: the status of another command is never taken as ours.
    fn tagged(&mut self, line: Bytes) -> Result<Answer, Error> {
        if line.first() == Some(&b'+') {
            return Ok(Answer::Continue(line.slice(1..)));
        }
        let (tag, rest) = response::word(&line);
        let Some(status) = StatusLine::parse(rest).filter(|_| tag == format!("a{}", self.tags).as_bytes()) else {
            return Err(self.unexpected(&line));
        };
        let condition = match status.condition {
            condition @ (Condition::Ok | Condition::No | Condition::Bad) => condition,
            // RFC 3501 §7.1: these two are never tagged.
            Condition::Preauth | Condition::Bye => return Err(self.unexpected(&line)),
        };
        if let Some(names) = status.argument("CAPABILITY").filter(|_| condition == Condition::Ok) {
            self.can(names);
        }
        Ok(Answer::Done(Outcome { line: line.slice_ref(rest), condition }))
    }

    /// Reads the literals that a data response announces at the end of its lines (RFC 3501 §4.3).
    async fn with_literals(&mut self, mut line: Bytes, limits: Allowed) -> Result<Untagged, Error> {
        let (mut text, mut body, mut dropped) = (line.to_vec(), None, None);
        while let Some((at, length)) = response::literal(&line) {
            let begin = text.len() - line.len() + at;
            if response::announces_body(&text[..begin]) && body.is_none() {
                if (limits.body_bytes + 1..=limits.dropped_bytes).contains(&length) {
                    self.wire.exactly(length, |_| {}).await?;
                    (body, dropped) = (Some(Vec::new()), Some(length));
                } else {
                    body = Some(self.literal(length, limits.body_bytes).await?);
                }
                text.truncate(begin);
                text.extend_from_slice(b"{0}\r\n");
            } else {
                let literal = self.literal(length, LINE_BYTES as u64).await?;
                text.extend_from_slice(b"\r\n");
                text.extend_from_slice(&literal);
            }
            line = self.wire.line().await?;
            text.extend_from_slice(&line);
            if text.len() > limits.line_bytes {
                return Err(self.broken("a response that does not end"));
            }
        }
        Ok(Untagged { text, body, dropped })
    }

    /// Reads a literal. Memory grows with what arrives, never with what was announced.
    async fn literal(&mut self, length: u64, most: u64) -> Result<Vec<u8>, Error> {
        if length > most {
            let detail = format!("a literal of {length} bytes, where {most} are the most");
            return Err(self.broken(detail));
        }
        let mut literal = Vec::new();
        self.wire.exactly(length, |piece| literal.extend_from_slice(piece)).await?;
        Ok(literal)
    }

    /// What an untagged status says about the connection itself.
    fn notice(&mut self, status: &StatusLine<'_>) {
        if let Some(names) = status.argument("CAPABILITY") {
            self.can(names);
        }
        if status.condition == Condition::Bye {
            self.bye = Some(self.farewell(status));
            self.wire.set_patience(AFTER_BYE);
        }
    }

    /// The server's BYE. Unless it says otherwise, it speaks of the moment, not of the account.
    fn farewell(&self, status: &StatusLine<'_>) -> Error {
        let refusal = self.refusal(status);
        match refusal.enhanced.as_deref() {
            Some("AUTHENTICATIONFAILED" | "AUTHORIZATIONFAILED") if self.wire.phase == Phase::Auth => {
                Error::refused(ProbeCode::AuthFailed, self.wire.phase, refusal)
            }
            _ if refusal.is_transient() => Error::refused(ProbeCode::ProtocolError, self.wire.phase, refusal),
            _ => Error { refusal: None, ..Error::refused(ProbeCode::ProtocolError, self.wire.phase, refusal) },
        }
    }

    /// Takes a new list of capabilities.
    fn can(&mut self, names: &[u8]) {
        self.capabilities = Capabilities::parse(names);
        self.told = true;
    }

    /// The server's words without our secrets, and its response code (RFC 3501 §7.1, RFC 5530).
    pub(super) fn refusal(&self, status: &StatusLine<'_>) -> Refusal {
        let code = status.code.map(|code| shown(response::word(code).0, &self.secrets).to_ascii_uppercase());
        Refusal { code: None, enhanced: code, text: shown(status.text, &self.secrets) }
    }

    pub(super) fn refused(&self, code: ProbeCode, status: &StatusLine<'_>) -> Error {
        Error::refused(code, self.wire.phase, self.refusal(status))
    }

    /// The server broke a rule or a limit, or we are out of step with it.
    pub(super) fn broken(&self, detail: impl Into<String>) -> Error {
        self.wire.error(ProbeCode::ProtocolError, detail)
    }

    /// Something that may not come here.
    pub(super) fn unexpected(&self, line: &[u8]) -> Error {
        self.broken(format!("not expected from an IMAP server here: {}", shown(line, &self.secrets)))
    }
}
