//! Commands about folders: SELECT, EXAMINE, LIST, STATUS, APPEND.

use std::collections::BTreeSet;

use bytes::Bytes;
use imap_codec::imap_types::core::IString;
use imap_codec::imap_types::datetime::DateTime;
use imap_codec::imap_types::extensions::binary::LiteralOrLiteral8;
use imap_codec::imap_types::flag::Flag;
use imap_codec::imap_types::mailbox::{ListMailbox, Mailbox};
use imap_codec::imap_types::status::StatusDataItemName;
use time::{OffsetDateTime, UtcOffset};

use super::session::{Outcome, Session};
use super::view::View;
use crate::store::{Folder, Stored};

/// RFC 3501 §2.3.2
const FLAGS: &str = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";

/// The folder of a command's argument.
pub(super) fn named(mailbox: &Mailbox<'_>) -> Option<Folder> {
    match mailbox {
        Mailbox::Inbox => Some(Folder::Inbox),
        Mailbox::Other(other) => Folder::named(other.as_ref()),
    }
}

/// RFC 5530 §3
pub(super) fn no_such_folder() -> Outcome {
    Outcome::new("NO [NONEXISTENT] No such folder")
}

impl Session<'_> {
    /// RFC 3501 §6.3.1 and §6.3.2
    pub(super) fn select(&mut self, mailbox: &Mailbox<'_>, read_only: bool) -> Outcome {
        // A SELECT that fails leaves nothing selected.
        *self.selected = None;
        let Some(folder) = named(mailbox) else {
            return no_such_folder();
        };
        let Some(state) = self.core.store.view(self.address, folder) else {
            return no_such_folder();
        };
        let seen = |message: &Stored| message.flags.contains("\\Seen");
        let unseen = state.messages.iter().position(|message| !seen(message));
        let uids: Vec<u32> = state.messages.iter().map(|message| message.uid).collect();
        let status = if read_only { "OK [READ-ONLY] Examined" } else { "OK [READ-WRITE] Selected" };
        // RFC 3501 §7.2.6: keywords that are in use.
        let flags = state.messages.iter().flat_map(|message| &message.flags);
        let keywords: BTreeSet<_> =
            flags.filter(|flag| !flag.starts_with('\\')).map(|flag| format!(" {flag}")).collect();
        let keywords: String = keywords.into_iter().collect();
        let mut outcome = Outcome::new(status)
            .untagged(format!("FLAGS ({FLAGS}{keywords})"))
            .untagged(format!("{} EXISTS", uids.len()))
            .untagged("0 RECENT")
            .untagged(format!("OK [UIDVALIDITY {}] UIDs valid", state.uid_validity))
            .untagged(format!("OK [UIDNEXT {}] Next UID", state.uid_next))
            .untagged(format!("OK [HIGHESTMODSEQ {}] Highest", state.mod_seq));
        if let Some(index) = unseen {
            outcome = outcome.untagged(format!("OK [UNSEEN {}] First unseen", index + 1));
        }
        let permanent = if read_only { String::new() } else { format!("{FLAGS} \\*") };
        *self.selected = Some(View { folder, read_only, uids, changes: state.changes });
        outcome.untagged(format!("OK [PERMANENTFLAGS ({permanent})] Kept flags"))
    }

    /// RFC 3501 §6.3.8 and §6.3.9, with the attributes of RFC 6154 §2.
    pub(super) fn list(&self, kind: &str, reference: &Mailbox<'_>, pattern: &ListMailbox<'_>) -> Outcome {
        let pattern: &[u8] = match pattern {
            ListMailbox::Token(token) => token.as_ref(),
            ListMailbox::String(IString::Literal(literal)) => literal.as_ref(),
            ListMailbox::String(IString::Quoted(quoted)) => quoted.as_ref().as_bytes(),
        };
        if pattern.is_empty() {
            // The question for the delimiter alone.
            return Outcome::new("OK Done").untagged(format!("{kind} (\\Noselect) \"/\" \"\""));
        }
        let reference: &[u8] = match reference {
            Mailbox::Inbox => b"INBOX",
            Mailbox::Other(other) => other.as_ref(),
        };
        let pattern = [reference, pattern].concat();
        let mut outcome = Outcome::new("OK Done");
        for folder in Folder::ALL.into_iter().filter(|folder| matches(&pattern, *folder)) {
            let special = match folder {
                Folder::Inbox => String::new(),
                _ => format!(" \\{}", folder.name()),
            };
            let line = format!("{kind} (\\HasNoChildren{special}) \"/\" {}", folder.name());
            outcome = outcome.untagged(line);
        }
        outcome
    }

    /// RFC 3501 §6.3.10
    pub(super) fn status(&self, mailbox: &Mailbox<'_>, items: &[StatusDataItemName]) -> Outcome {
        let Some(folder) = named(mailbox) else {
            return no_such_folder();
        };
        let Some(state) = self.core.store.view(self.address, folder) else {
            return no_such_folder();
        };
        let count = |wanted: &dyn Fn(&Stored) -> bool| state.messages.iter().filter(|one| wanted(one)).count();
        let mut values = Vec::new();
        for item in items {
            values.push(match item {
                StatusDataItemName::Messages => format!("MESSAGES {}", state.messages.len()),
                StatusDataItemName::Recent => "RECENT 0".to_owned(),
                StatusDataItemName::UidNext => format!("UIDNEXT {}", state.uid_next),
                StatusDataItemName::UidValidity => format!("UIDVALIDITY {}", state.uid_validity),
                StatusDataItemName::Unseen => {
                    format!("UNSEEN {}", count(&|one| !one.flags.contains("\\Seen")))
                }
                StatusDataItemName::Deleted => format!("DELETED {}", count(&Stored::is_deleted)),
                StatusDataItemName::HighestModSeq => format!("HIGHESTMODSEQ {}", state.mod_seq),
                StatusDataItemName::DeletedStorage => return Outcome::new("BAD Unknown item"),
            });
        }
        Outcome::new("OK Done").untagged(format!("STATUS {} ({})", folder.name(), values.join(" ")))
    }

    /// RFC 3501 §6.3.11, with the response code of RFC 4315 §3.
    pub(super) fn append(
        &self,
        mailbox: &Mailbox<'_>,
        flags: &[Flag<'_>],
        date: Option<DateTime>,
        message: &LiteralOrLiteral8<'_>,
    ) -> Outcome {
        let Some(folder) = named(mailbox) else {
            return Outcome::new("NO [TRYCREATE] No such folder");
        };
        let LiteralOrLiteral8::Literal(message) = message else {
            return Outcome::new("NO [CANNOT] BINARY is not offered");
        };
        let bytes = Bytes::copy_from_slice(message.as_ref());
        let flags: BTreeSet<String> = flags.iter().map(ToString::to_string).collect();
        let date = date.and_then(|date| moment(&date)).unwrap_or_else(OffsetDateTime::now_utc);
        match self.core.store.append(self.address, folder, bytes, flags, date) {
            Ok(uid) => {
                let validity = self.core.store.view(self.address, folder).map_or(0, |state| state.uid_validity);
                Outcome::new(format!("OK [APPENDUID {validity} {uid}] Stored"))
            }
            Err(error) => Outcome::from(error),
        }
    }
}

fn moment(date: &DateTime) -> Option<OffsetDateTime> {
    let date = date.as_ref();
    let offset = UtcOffset::from_whole_seconds(date.offset().local_minus_utc()).ok()?;
    Some(OffsetDateTime::from_unix_timestamp(date.timestamp()).ok()?.to_offset(offset))
}

/// Whether a folder's name fits a LIST pattern; there are no levels, so `%` is `*`.
fn matches(pattern: &[u8], folder: Folder) -> bool {
    let name = folder.name().as_bytes();
    match folder {
        Folder::Inbox => fits(&pattern.to_ascii_uppercase(), name),
        _ => fits(pattern, name),
    }
}

fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*' | b'%', rest)) => (0..=name.len()).any(|from| fits(rest, name.get(from..).unwrap_or_default())),
        Some((first, rest)) => name.split_first().is_some_and(|(byte, name)| byte == first && fits(rest, name)),
    }
}
