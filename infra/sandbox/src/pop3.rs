//! POP3 (RFC 1939) with CAPA (RFC 2449), STLS (RFC 2595) and AUTH PLAIN (RFC 5034).

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::auth;
use crate::dialogue::{Dialogue, Input, Moment};
use crate::script::Origin;
use crate::server::Core;
use crate::store::{Folder, Stored};
use crate::wire::{Answer, Next, Read, Wire};

/// The maildrop of a logged-in session, as it was at login (RFC 1939 §3).
#[derive(Debug)]
struct Maildrop {
    core: Arc<Core>,
    address: String,
    messages: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    message: Stored,
    deleted: bool,
}

/// The lock goes with the session, however it ends (RFC 1939 §6).
impl Drop for Maildrop {
    fn drop(&mut self) {
        self.core.store.release_pop3(&self.address);
    }
}

/// The state of a POP3 session.
#[derive(Debug)]
pub(crate) struct Pop3 {
    core: Arc<Core>,
    origin: Origin,
    tls: bool,
    user: Option<String>,
    /// The next line answers the AUTH PLAIN challenge.
    in_sasl: bool,
    maildrop: Option<Maildrop>,
}

impl Dialogue for Pop3 {
    fn greeting(&mut self) -> Answer {
        Answer::line("+OK Halfpenny sandbox ready")
    }

    async fn read(&mut self, wire: &mut Wire) -> io::Result<Option<Input>> {
        let (moment, bytes) = match wire.line().await? {
            Read::Line(bytes) if self.in_sasl => (Moment::Sasl, bytes),
            Read::Line(bytes) => (Moment::Command, bytes),
            Read::TooLong => (Moment::Broken, Bytes::new()),
            Read::End => return Ok(None),
        };
        let verb = match moment {
            Moment::Command => split(&String::from_utf8_lossy(bytes.trim_ascii_end()))
                .0
                .to_uppercase(),
            _ => String::new(),
        };
        Ok(Some(Input {
            moment,
            verb,
            tag: String::new(),
            bytes,
        }))
    }

    fn handle(&mut self, input: &Input) -> Answer {
        match input.moment {
            Moment::Command => self.command(input),
            Moment::Sasl => self.sasl(input.bytes.trim_ascii_end()),
            Moment::Data | Moment::Broken => Answer::line("-ERR line too long").then(Next::Close),
        }
    }

    fn secured(&mut self) {
        // RFC 2595 §4
        *self = Self {
            tls: true,
            ..Self::new(Arc::clone(&self.core), self.origin)
        };
    }
}

impl Pop3 {
    pub(crate) fn new(core: Arc<Core>, origin: Origin) -> Self {
        let tls = origin.service.implicit_tls();
        Self {
            core,
            origin,
            tls,
            user: None,
            in_sasl: false,
            maildrop: None,
        }
    }

    fn command(&mut self, input: &Input) -> Answer {
        // RFC 1939 §3: CRLF ends a line.
        let Some(line) = input.bytes.strip_suffix(b"\r\n") else {
            return Answer::line("-ERR lines end with CRLF");
        };
        let text = String::from_utf8_lossy(line);
        let arguments = split(&text).1;
        match input.verb.as_str() {
            "CAPA" => self.capa(),
            "QUIT" => self.quit(),
            verb => match &mut self.maildrop {
                Some(maildrop) => maildrop.command(verb, arguments),
                None => self.authorization(verb, arguments),
            },
        }
    }

    /// RFC 1939 §4, RFC 2595 §4, RFC 5034 §4
    fn authorization(&mut self, verb: &str, arguments: &str) -> Answer {
        match verb {
            "STLS" => self.stls(),
            "USER" | "PASS" | "AUTH" if !self.core.may_log_in(self.tls) => {
                Answer::line("-ERR [SYS/PERM] TLS before a login")
            }
            "USER" => {
                self.user = Some(arguments.to_owned());
                Answer::line("+OK password?")
            }
            "PASS" => match self.user.take() {
                Some(user) => self.judge(&user, arguments),
                None => Answer::line("-ERR USER first"),
            },
            "AUTH" => self.auth(arguments),
            _ => Answer::line("-ERR unknown command, or log in first"),
        }
    }

    fn capabilities(&self) -> Vec<String> {
        let mut lines: Vec<String> = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"]
            .map(Into::into)
            .to_vec();
        if self.core.may_log_in(self.tls) {
            lines.extend(["USER".to_owned(), "SASL PLAIN".to_owned()]);
        }
        if !self.tls && self.maildrop.is_none() {
            lines.push("STLS".to_owned());
        }
        lines.push("IMPLEMENTATION Halfpenny sandbox".to_owned());
        self.core.script.capabilities(self.origin, self.tls, lines)
    }

    /// RFC 2449 §5
    fn capa(&self) -> Answer {
        listing("+OK capabilities", self.capabilities())
    }

    fn stls(&self) -> Answer {
        if self.tls
            || !self
                .capabilities()
                .iter()
                .any(|line| line.eq_ignore_ascii_case("STLS"))
        {
            return Answer::line("-ERR STLS is not offered");
        }
        Answer::line("+OK ready for TLS").then(Next::Secure)
    }

    /// RFC 5034 §4: with or without an initial response, which is `=` if empty.
    fn auth(&mut self, arguments: &str) -> Answer {
        let (mechanism, initial) = split(arguments);
        if mechanism.is_empty() {
            return listing("+OK mechanisms", ["PLAIN".to_owned()]);
        }
        if !mechanism.eq_ignore_ascii_case("PLAIN") {
            return Answer::line("-ERR PLAIN only");
        }
        if initial.is_empty() {
            self.in_sasl = true;
            return Answer::line("+ ");
        }
        self.sasl(initial.as_bytes())
    }

    fn sasl(&mut self, response: &[u8]) -> Answer {
        self.in_sasl = false;
        match auth::plain(response) {
            Some((user, password)) => self.judge(&user, &password),
            // RFC 5034 §4: also for `*`, with which the client cancels.
            None => Answer::line("-ERR not a PLAIN message in base64"),
        }
    }

    fn judge(&mut self, user: &str, password: &str) -> Answer {
        let Some(address) = self.core.store.login(user, password) else {
            // RFC 3206 §4
            return Answer::line("-ERR [AUTH] wrong user name or password");
        };
        if !self.core.store.take_pop3(&address) {
            // RFC 2449 §8.1.1
            return Answer::line("-ERR [IN-USE] another session has the mailbox");
        }
        let messages = self.core.store.messages(&address, Folder::Inbox);
        let maildrop = Maildrop {
            core: Arc::clone(&self.core),
            address,
            messages: messages
                .into_iter()
                .map(|message| Entry {
                    message,
                    deleted: false,
                })
                .collect(),
        };
        let answer = Answer::line(format!("+OK {} messages", maildrop.messages.len()));
        self.maildrop = Some(maildrop);
        answer
    }

    /// RFC 1939 §6: only QUIT deletes.
    fn quit(&mut self) -> Answer {
        let removed = self
            .maildrop
            .take()
            .map_or(Ok(()), |maildrop| maildrop.update());
        match removed {
            Ok(()) => Answer::line("+OK bye").then(Next::Close),
            Err(error) => {
                tracing::error!(%error, "cannot delete messages");
                Answer::line("-ERR [SYS/TEMP] some deleted messages not removed").then(Next::Close)
            }
        }
    }
}

impl Maildrop {
    fn command(&mut self, verb: &str, arguments: &str) -> Answer {
        match verb {
            "STAT" => self.stat(),
            "LIST" => self.scan(arguments, |message| message.bytes.len().to_string()),
            // RFC 1939 §7
            "UIDL" => self.scan(arguments, |message| message.uidl.clone()),
            "RETR" => self.retr(arguments),
            "TOP" => self.top(arguments),
            "DELE" => self.dele(arguments),
            "NOOP" => Answer::line("+OK"),
            "RSET" => {
                for entry in &mut self.messages {
                    entry.deleted = false;
                }
                Answer::line("+OK")
            }
            _ => Answer::line("-ERR unknown command"),
        }
    }

    /// Message numbers count from 1; deleted messages keep theirs (RFC 1939 §5, DELE).
    fn existing(&self) -> impl Iterator<Item = (usize, &Stored)> {
        (1..)
            .zip(&self.messages)
            .filter(|(_, entry)| !entry.deleted)
            .map(|(number, entry)| (number, &entry.message))
    }

    fn find(&self, number: &str) -> Option<&Stored> {
        let number: usize = number.parse().ok()?;
        self.messages
            .get(number.checked_sub(1)?)
            .filter(|entry| !entry.deleted)
            .map(|entry| &entry.message)
    }

    fn stat(&self) -> Answer {
        let octets: usize = self
            .existing()
            .map(|(_, message)| message.bytes.len())
            .sum();
        Answer::line(format!("+OK {} {octets}", self.existing().count()))
    }

    /// LIST and UIDL, of one message or all.
    fn scan(&self, number: &str, show: impl Fn(&Stored) -> String) -> Answer {
        if number.is_empty() {
            return listing(
                "+OK",
                self.existing()
                    .map(|(number, message)| format!("{number} {}", show(message))),
            );
        }
        match self.find(number) {
            Some(message) => Answer::line(format!("+OK {number} {}", show(message))),
            None => no_such_message(),
        }
    }

    fn retr(&self, number: &str) -> Answer {
        match self.find(number) {
            Some(message) => multiline(
                format!("+OK {} octets", message.bytes.len()),
                &message.bytes,
            ),
            None => no_such_message(),
        }
    }

    /// RFC 1939 §7: the header, the empty line, and n lines of the body.
    fn top(&self, arguments: &str) -> Answer {
        let (number, lines) = split(arguments);
        let Ok(lines) = lines.parse::<usize>() else {
            return Answer::line("-ERR TOP message lines");
        };
        let Some(message) = self.find(number) else {
            return no_such_message();
        };
        let body = memchr::memmem::find(&message.bytes, b"\r\n\r\n")
            .map_or(message.bytes.len(), |at| at + 4);
        let rest = message.bytes.get(body..).unwrap_or_default();
        let length = match lines.checked_sub(1) {
            Some(last) => memchr::memchr_iter(b'\n', rest)
                .nth(last)
                .map_or(rest.len(), |at| at + 1),
            None => 0,
        };
        multiline("+OK top".to_owned(), &message.bytes.slice(..body + length))
    }

    fn dele(&mut self, number: &str) -> Answer {
        let index = number
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_sub(1));
        match index
            .and_then(|index| self.messages.get_mut(index))
            .filter(|entry| !entry.deleted)
        {
            Some(entry) => {
                entry.deleted = true;
                Answer::line("+OK deleted at QUIT")
            }
            None => no_such_message(),
        }
    }

    fn update(&self) -> Result<(), crate::Error> {
        let deleted = self.messages.iter().filter(|entry| entry.deleted);
        let uids: Vec<u32> = deleted.map(|entry| entry.message.uid).collect();
        self.core.store.remove(&self.address, Folder::Inbox, &uids)
    }
}

fn no_such_message() -> Answer {
    Answer::line("-ERR no such message")
}

fn split(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

/// A multi-line response of short lines (RFC 1939 §3); each line is a part that a rule may reverse, the first is not.
fn listing(first: &str, lines: impl IntoIterator<Item = String>) -> Answer {
    let mut answer = Answer::line(".");
    let lines = lines
        .into_iter()
        .map(|line| vec![Bytes::from(line + "\r\n")]);
    answer.head = format!("{first}\r\n").into();
    answer.parts = lines.collect();
    answer
}

/// A multi-line response with a message, its dots stuffed (RFC 1939 §3).
fn multiline(first: String, message: &Bytes) -> Answer {
    let mut answer = Answer::line(".");
    answer.head = (first + "\r\n").into();
    answer.parts.push(vec![stuff(message)]);
    if !message.is_empty() && !message.ends_with(b"\n") {
        answer.parts.push(vec![Bytes::from_static(b"\r\n")]);
    }
    answer
}

fn stuff(message: &Bytes) -> Bytes {
    let inner = memchr::memmem::find_iter(message, b"\n.").map(|at| at + 1);
    let dots: Vec<usize> = message
        .starts_with(b".")
        .then_some(0)
        .into_iter()
        .chain(inner)
        .collect();
    if dots.is_empty() {
        return message.clone();
    }
    let mut stuffed = Vec::with_capacity(message.len() + dots.len());
    let mut from = 0;
    for dot in dots {
        stuffed.extend_from_slice(message.get(from..dot).unwrap_or_default());
        stuffed.push(b'.');
        from = dot;
    }
    stuffed.extend_from_slice(message.get(from..).unwrap_or_default());
    stuffed.into()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::stuff;

    #[test]
    fn dots_at_line_starts_are_doubled() {
        let stuffed = |message: &'static [u8]| stuff(&Bytes::from_static(message));
        assert_eq!(stuffed(b"a.b\r\n"), &b"a.b\r\n"[..]);
        assert_eq!(
            stuffed(b".a\r\n.\r\n..b\r\n"),
            &b"..a\r\n..\r\n...b\r\n"[..]
        );
    }
}
