//! Folders: their list, their state, and opening them.

use imap_proto::{MailboxDatum, NameAttribute, StatusAttribute};

use super::command::Command;
use super::response::{self, StatusLine, mailbox_datum, number, status_items, word};
use super::{Client, utf7};
use crate::mail::error::Error;
use crate::mail::wire::Stream;
use crate::model::Phase;

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
    /// The highest mod-sequence (RFC 7162 §3.1.2.1), where the server has CONDSTORE.
    pub highest_mod_seq: Option<u64>,
}

/// An open folder (RFC 3501 §6.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Messages in it.
    pub exists: u32,
    /// The epoch of its UIDs; a server that does not name one is refused, for its UIDs mean nothing.
    pub uid_validity: u32,
    /// The UID that the next message will have, at least; old servers do not say.
    pub uid_next: Option<u32>,
    /// Its flags.
    pub flags: Vec<String>,
    /// Nothing can be changed here: EXAMINE, or `[READ-ONLY]`.
    pub read_only: bool,
    /// UIDs do not outlive the session (RFC 4315 §3, UIDNOTSTICKY).
    pub uid_not_sticky: bool,
    /// The highest mod-sequence (RFC 7162 §3.1.2.1).
    pub highest_mod_seq: Option<u64>,
}

/// A folder of LIST (RFC 3501 §7.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its name, decoded from modified UTF-7 (RFC 3501 §5.1.3).
    pub name: String,
    /// What stands between the levels of the name.
    pub delimiter: Option<char>,
    /// `\Noselect`, `\HasChildren` …
    pub attributes: Vec<String>,
    /// What it is for, where the server says so.
    pub special_use: Option<SpecialUse>,
}

/// What a folder is for (RFC 6154 §2).
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

impl<S: Stream> Client<S> {
    /// The state of a folder without opening it (RFC 3501 §6.3.10).
    pub async fn status(&mut self, folder: &str) -> Result<Status, Error> {
        self.session.wire.phase = Phase::Select;
        // RFC 7162 §3.1.8: the last item exists with CONDSTORE only.
        let highest = if self.session.has("CONDSTORE") { " HIGHESTMODSEQ" } else { "" };
        let wanted = format!("(MESSAGES UIDNEXT UIDVALIDITY UNSEEN{highest})");
        let command = Command::new("STATUS").string(utf7::encode(folder).as_bytes()).word(&wanted);
        let mut items = Vec::new();
        self.session.ok(command, |untagged| items.extend(status_items(&untagged.text).unwrap_or_default())).await?;
        let find = |pick: fn(&StatusAttribute) -> Option<u32>| items.iter().find_map(pick);
        let status = || {
            Some(Status {
                messages: find(|item| if let StatusAttribute::Messages(n) = item { Some(*n) } else { None })?,
                uid_next: find(|item| if let StatusAttribute::UidNext(n) = item { Some(*n) } else { None })?,
                uid_validity: find(|item| if let StatusAttribute::UidValidity(n) = item { Some(*n) } else { None })?,
                unseen: find(|item| if let StatusAttribute::Unseen(n) = item { Some(*n) } else { None }),
                highest_mod_seq: items
                    .iter()
                    .find_map(|item| if let StatusAttribute::HighestModSeq(n) = item { Some(*n) } else { None })
                    // RFC 7162 §3.1.2.2: 0 is a folder that keeps none.
                    .filter(|highest| *highest > 0),
            })
        };
        status().ok_or_else(|| self.session.broken("STATUS without all that was asked for"))
    }

    /// Opens a folder for changes (RFC 3501 §6.3.1).
    pub async fn select(&mut self, folder: &str) -> Result<Selected, Error> {
        self.open("SELECT", folder).await
    }

    /// Opens a folder for reading only (RFC 3501 §6.3.2).
    pub async fn examine(&mut self, folder: &str) -> Result<Selected, Error> {
        self.open("EXAMINE", folder).await
    }

    async fn open(&mut self, verb: &str, folder: &str) -> Result<Selected, Error> {
        self.session.wire.phase = Phase::Select;
        let command = Command::new(verb).string(utf7::encode(folder).as_bytes());
        let mut opening = Opening::default();
        let outcome = self.session.ok(command, |untagged| opening.take(&untagged.text)).await?;
        let read_only = verb == "EXAMINE" || outcome.status().argument("READ-ONLY").is_some();
        // RFC 3501 §2.3.1.1: without UIDVALIDITY there are no unique identifiers.
        let uid_validity = opening.uid_validity.ok_or_else(|| self.session.broken("a folder without UIDVALIDITY"))?;
        self.uid_next = opening.uid_next;
        Ok(Selected {
            exists: opening.exists,
            uid_validity,
            uid_next: opening.uid_next,
            flags: opening.flags,
            read_only,
            uid_not_sticky: opening.uid_not_sticky,
            highest_mod_seq: opening.highest_mod_seq,
        })
    }

    /// All folders (RFC 3501 §6.3.8), with their special use where the server tells it.
    pub async fn list_folders(&mut self) -> Result<Vec<Folder>, Error> {
        self.session.wire.phase = Phase::List;
        // RFC 6154 §2: a server may tell only those who ask, and RFC 5258 says how to.
        let asks = self.session.has("SPECIAL-USE") && self.session.has("LIST-EXTENDED");
        let command = Command::new(if asks { r#"LIST "" "*" RETURN (SPECIAL-USE)"# } else { r#"LIST "" "*""# });
        let mut folders = Vec::new();
        self.session
            .ok(command, |untagged| {
                if let Some(MailboxDatum::List(entry)) = mailbox_datum(&untagged.text, b"LIST") {
                    folders.push(Folder {
                        name: utf7::decode(&entry.name),
                        delimiter: entry.delimiter.and_then(|delimiter| delimiter.chars().next()),
                        special_use: entry.name_attributes.iter().find_map(special_use),
                        attributes: entry.name_attributes.iter().map(attribute).collect(),
                    });
                }
            })
            .await?;
        Ok(folders)
    }
}

/// What SELECT brings, line by line (RFC 3501 §6.3.1).
#[derive(Debug, Default)]
struct Opening {
    exists: u32,
    uid_validity: Option<u32>,
    uid_next: Option<u32>,
    flags: Vec<String>,
    uid_not_sticky: bool,
    highest_mod_seq: Option<u64>,
}

impl Opening {
    fn take(&mut self, text: &[u8]) {
        let line = &text[2..];
        if let Some(status) = StatusLine::parse(line) {
            self.uid_validity = status.argument("UIDVALIDITY").and_then(number).or(self.uid_validity);
            self.uid_next = status.argument("UIDNEXT").and_then(number).or(self.uid_next);
            self.highest_mod_seq = status.argument("HIGHESTMODSEQ").and_then(number).or(self.highest_mod_seq);
            self.uid_not_sticky |= status.argument("UIDNOTSTICKY").is_some();
            return;
        }
        let (first, rest) = word(line);
        if first.eq_ignore_ascii_case(b"FLAGS") {
            self.flags = response::flags(rest);
        } else if rest.trim_ascii_end().eq_ignore_ascii_case(b"EXISTS") {
            // RFC 3501 §7.3.1: the last one counts.
            self.exists = number(first).unwrap_or(self.exists);
        }
    }
}

/// An attribute's text (RFC 3501 §7.2.2, RFC 6154 §2).
fn attribute(attribute: &NameAttribute<'_>) -> String {
    match attribute {
        NameAttribute::NoInferiors => r"\Noinferiors",
        NameAttribute::NoSelect => r"\Noselect",
        NameAttribute::Marked => r"\Marked",
        NameAttribute::Unmarked => r"\Unmarked",
        NameAttribute::All => r"\All",
        NameAttribute::Archive => r"\Archive",
        NameAttribute::Drafts => r"\Drafts",
        NameAttribute::Flagged => r"\Flagged",
        NameAttribute::Junk => r"\Junk",
        NameAttribute::Sent => r"\Sent",
        NameAttribute::Trash => r"\Trash",
        NameAttribute::Extension(text) => text,
        _ => "",
    }
    .to_owned()
}

fn special_use(attribute: &NameAttribute<'_>) -> Option<SpecialUse> {
    match attribute {
        NameAttribute::All => Some(SpecialUse::All),
        NameAttribute::Archive => Some(SpecialUse::Archive),
        NameAttribute::Drafts => Some(SpecialUse::Drafts),
        NameAttribute::Flagged => Some(SpecialUse::Flagged),
        NameAttribute::Junk => Some(SpecialUse::Junk),
        NameAttribute::Sent => Some(SpecialUse::Sent),
        NameAttribute::Trash => Some(SpecialUse::Trash),
        _ => None,
    }
}
