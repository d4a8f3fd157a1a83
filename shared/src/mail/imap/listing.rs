//! Which messages there are: UID SEARCH and UID FETCH without bodies.

use std::collections::BTreeMap;

use super::Client;
use super::command::Command;
use super::response::{self, Items, number, word};
use crate::mail::error::Error;
use crate::mail::limits::{LISTED_MESSAGES, UNTAGGED_LINES};
use crate::mail::wire::Stream;
use crate::model::Phase;
use crate::model::change::is_flag;

/// A message of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its UID.
    pub uid: u32,
    /// RFC822.SIZE in bytes, as the server counts (some estimate).
    pub size: u64,
    /// Its flags.
    pub flags: Vec<String>,
    /// INTERNALDATE as sent: `17-Jul-1996 02:44:25 -0700`.
    pub internal_date: Option<String>,
    /// EMAILID (RFC 8474 §5.1), where the server has it: the same for every copy of the message, in whatever folder.
    pub email_id: Option<String>,
}

/// What of a message's flags a search asks for (RFC 3501 §6.4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flagging {
    /// Without `\Seen`: fewer than with it.
    Unseen,
    /// With `\Answered`.
    Answered,
    /// With `\Flagged`.
    Flagged,
    /// With `\Deleted`.
    Deleted,
    /// With this keyword.
    Keyword(String),
}

impl Flagging {
    /// Whether a message with these flags is found.
    pub fn finds(&self, flags: &[String]) -> bool {
        let has = |wanted: &str| flags.iter().any(|flag| flag.eq_ignore_ascii_case(wanted));
        match self {
            Self::Unseen => !has(r"\Seen"),
            Self::Answered => has(r"\Answered"),
            Self::Flagged => has(r"\Flagged"),
            Self::Deleted => has(r"\Deleted"),
            Self::Keyword(keyword) => has(keyword),
        }
    }
}

impl std::fmt::Display for Flagging {
    /// As the search key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unseen => f.write_str("UNSEEN"),
            Self::Answered => f.write_str("ANSWERED"),
            Self::Flagged => f.write_str("FLAGGED"),
            Self::Deleted => f.write_str("DELETED"),
            Self::Keyword(keyword) => write!(f, "KEYWORD {keyword}"),
        }
    }
}

/// Longest SEARCH answer: all UIDs come in one line (RFC 3501 §7.2.5), each with at most ten digits and a blank.
const SEARCH_BYTES: usize = 11 * LISTED_MESSAGES;

impl<S: Stream> Client<S> {
    /// The UIDs of the open folder that are `from` or more, in order.
    pub async fn search_uids(&mut self, from: u32) -> Result<Vec<u32>, Error> {
        let from = from.max(1);
        let mut uids = self.search(Command::new(format!("UID SEARCH UID {from}:*"))).await?;
        // RFC 3501 §6.4.8: `n:*` always includes the last message, even when its UID is below n.
        uids.retain(|&uid| uid >= from);
        Ok(uids)
    }

    /// The UIDs of the messages in the open folder that have a flag, or lack it (RFC 3501 §6.4.4), in order.
    ///
    /// # Errors
    /// A keyword that is none is an error of ours.
    pub async fn search_flag(&mut self, flag: &Flagging) -> Result<Vec<u32>, Error> {
        if let Flagging::Keyword(keyword) = flag
            && (!is_flag(keyword) || keyword.starts_with('\\'))
        {
            return Err(self.session.broken(format!("{keyword:?} is no keyword")));
        }
        self.search(Command::new(format!("UID SEARCH {flag}"))).await
    }

    /// The UIDs of the messages in the open folder whose header has this Message-ID, in order. Servers find parts of
    /// words, too (RFC 3501 §6.4.4).
    pub async fn search_message_id(&mut self, message_id: &str) -> Result<Vec<u32>, Error> {
        let charset = if message_id.is_ascii() { "" } else { " CHARSET UTF-8" };
        self.search(Command::new(format!("UID SEARCH{charset} HEADER Message-ID")).string(message_id.as_bytes())).await
    }

    async fn search(&mut self, command: Command<'_>) -> Result<Vec<u32>, Error> {
        self.session.wire.phase = Phase::List;
        let command = command.allowing(|allowed| allowed.line_bytes = SEARCH_BYTES);
        let (mut uids, mut extended) = (Vec::new(), false);
        self.session
            .ok(command, |untagged| {
                let (kind, numbers) = word(&untagged.text[2..]);
                if kind.eq_ignore_ascii_case(b"SEARCH") {
                    // RFC 7162 §3.1.5: `(MODSEQ n)` may stand at the end.
                    uids.extend(numbers.split(|&byte| byte == b' ').map_while(number::<u32>));
                }
                extended |= kind.eq_ignore_ascii_case(b"ESEARCH");
            })
            .await?;
        if extended {
            // RFC 4731 §3.1: only those who ask for RETURN get it. Read as nothing found, it would lose messages.
            return Err(self.session.broken("ESEARCH where SEARCH was asked for"));
        }
        uids.sort_unstable();
        uids.dedup();
        Ok(uids)
    }

    /// The messages of the open folder with the `max` lowest UIDs that are `from` or more, in order of UID. Costs
    /// about as many lines as `max`, however many messages lie behind.
    pub async fn listing(&mut self, from: u32, max: usize) -> Result<Vec<Listed>, Error> {
        self.session.wire.phase = Phase::List;
        let (mut from, mut width) = (from.max(1), u32::try_from(max.saturating_mul(2)).unwrap_or(u32::MAX));
        let mut listed = BTreeMap::new();
        loop {
            // Behind UIDNEXT only what has arrived since can be: the rest is asked for in one go, without an end.
            let end = from.checked_add(width).filter(|&end| self.uid_next.is_some_and(|next| end < next));
            self.list_range(from, end, max, &mut listed).await?;
            let Some(end) = end.filter(|_| listed.len() < max) else { break };
            // UIDs have gaps (RFC 3501 §2.3.1.1) of any size: few steps lead over them all.
            (from, width) = (end + 1, width.saturating_mul(4));
        }
        Ok(listed.into_values().collect())
    }

    /// What asks for EMAILID beside other items (RFC 8474 §5.1).
    pub(super) fn email_id(&self) -> &'static str {
        if self.session.has("OBJECTID") { " EMAILID" } else { "" }
    }

    /// Lists one range; without an end it goes to the last message, and `n:*` always includes that one (RFC 3501
    /// §6.4.8).
    async fn list_range(
        &mut self,
        from: u32,
        end: Option<u32>,
        max: usize,
        listed: &mut BTreeMap<u32, Listed>,
    ) -> Result<(), Error> {
        let end = end.map_or_else(|| "*".to_owned(), |end| end.to_string());
        let email_id = self.email_id();
        let command = Command::new(format!("UID FETCH {from}:{end} (UID RFC822.SIZE FLAGS INTERNALDATE{email_id})"))
            .allowing(|allowed| allowed.lines = LISTED_MESSAGES + UNTAGGED_LINES);
        let mut unreadable = None;
        self.session
            .ok(command, |untagged| match response::items(&untagged.text) {
                Some(items) => note(listed, items, from, max),
                None if response::is_fetch(&untagged.text) => unreadable = Some(untagged.text),
                None => {}
            })
            .await?;
        // Left out, the message behind it would be lost in silence.
        unreadable.map_or(Ok(()), |line| Err(self.session.unexpected(&line)))
    }
}

/// Notes a message that is listed for the first time, or the changed flags of one that was (RFC 3501 §7.4.2: FETCH
/// may come unasked). Memory stays within `max`.
fn note(listed: &mut BTreeMap<u32, Listed>, items: Items, from: u32, max: usize) {
    let Some(uid) = items.uid.filter(|&uid| uid >= from) else { return };
    if let Some(known) = listed.get_mut(&uid) {
        known.flags = items.flags.unwrap_or_else(|| std::mem::take(&mut known.flags));
        return;
    }
    let Some(size) = items.size else { return };
    let Items { flags, internal_date, email_id, .. } = items;
    listed.insert(uid, Listed { uid, size, flags: flags.unwrap_or_default(), internal_date, email_id });
    if listed.len() > max {
        listed.pop_last();
    }
}
