//! The transaction state: one session's messages (RFC 1939 §5 and §6).

use std::sync::Arc;

use bytes::Bytes;

use super::{listing, split};
use crate::script::{Origin, Size, Uidl};
use crate::server::Core;
use crate::store::{Folder, Stored};
use crate::wire::Answer;

/// The maildrop of a logged-in session, as it was at login (RFC 1939 §3).
#[derive(Debug)]
pub(super) struct Maildrop {
    core: Arc<Core>,
    address: String,
    messages: Vec<Entry>,
    /// What a script says instead of the truth.
    uidl: Option<Uidl>,
    size: Option<Size>,
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

impl Maildrop {
    /// Takes the mailbox for this session; `None` if another has it (RFC 1939 §4).
    pub(super) fn open(core: Arc<Core>, origin: Origin, address: String) -> Option<Self> {
        if !core.store.take_pop3(&address) {
            return None;
        }
        let messages = core.store.messages(&address, Folder::Inbox).into_iter();
        let messages = messages.map(|message| Entry { message, deleted: false }).collect();
        let (uidl, size) = core.script.listing(origin);
        Some(Self { core, address, messages, uidl, size })
    }

    /// How many messages are not deleted.
    pub(super) fn count(&self) -> usize {
        self.existing().count()
    }

    pub(super) fn command(&mut self, verb: &str, arguments: &str) -> Answer {
        match verb {
            "STAT" => self.stat(),
            "LIST" => self.scan(arguments, |number, message| Some(self.octets(number, message).to_string())),
            // RFC 1939 §7
            "UIDL" => self.scan(arguments, |number, message| match self.uidl {
                Some(uidl) => uidl(number, &message.bytes),
                None => Some(message.uidl.clone()),
            }),
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
        (1..).zip(&self.messages).filter(|(_, entry)| !entry.deleted).map(|(number, entry)| (number, &entry.message))
    }

    fn find(&self, number: &str) -> Option<&Stored> {
        let number: usize = number.parse().ok()?;
        self.messages.get(number.checked_sub(1)?).filter(|entry| !entry.deleted).map(|entry| &entry.message)
    }

    fn octets(&self, number: usize, message: &Stored) -> usize {
        self.size.map_or(message.bytes.len(), |size| size(number, &message.bytes))
    }

    fn stat(&self) -> Answer {
        let octets: usize = self.existing().map(|(number, message)| self.octets(number, message)).sum();
        Answer::line(format!("+OK {} {octets}", self.count()))
    }

    /// LIST and UIDL, of one message or all.
    fn scan(&self, number: &str, show: impl Fn(usize, &Stored) -> Option<String>) -> Answer {
        let mut lines = self.existing().filter_map(|(at, message)| Some((at, format!("{at} {}", show(at, message)?))));
        if number.is_empty() {
            return listing("+OK", lines.map(|(_, line)| line));
        }
        match lines.find(|(at, _)| number.parse() == Ok(*at)) {
            Some((_, line)) => Answer::line(format!("+OK {line}")),
            None => no_such_message(),
        }
    }

    fn retr(&self, number: &str) -> Answer {
        match self.find(number) {
            Some(message) => multiline(format!("+OK {} octets", message.bytes.len()), &message.bytes),
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
        let body = memchr::memmem::find(&message.bytes, b"\r\n\r\n").map_or(message.bytes.len(), |at| at + 4);
        let rest = message.bytes.get(body..).unwrap_or_default();
        let length = match lines.checked_sub(1) {
            Some(last) => memchr::memchr_iter(b'\n', rest).nth(last).map_or(rest.len(), |at| at + 1),
            None => 0,
        };
        multiline("+OK top".to_owned(), &message.bytes.slice(..body + length))
    }

    fn dele(&mut self, number: &str) -> Answer {
        let index = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        match index.and_then(|index| self.messages.get_mut(index)).filter(|entry| !entry.deleted) {
            Some(entry) => {
                entry.deleted = true;
                Answer::line("+OK deleted at QUIT")
            }
            None => no_such_message(),
        }
    }

    pub(super) fn update(&self) -> Result<(), crate::Error> {
        let deleted = self.messages.iter().filter(|entry| entry.deleted);
        let uids: Vec<u32> = deleted.map(|entry| entry.message.uid).collect();
        self.core.store.remove(&self.address, Folder::Inbox, &uids)
    }
}

fn no_such_message() -> Answer {
    Answer::line("-ERR no such message")
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
    let dots: Vec<usize> = message.starts_with(b".").then_some(0).into_iter().chain(inner).collect();
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
        assert_eq!(stuffed(b".a\r\n.\r\n..b\r\n"), &b"..a\r\n..\r\n...b\r\n"[..]);
    }
}
