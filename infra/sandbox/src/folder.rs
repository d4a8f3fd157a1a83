//! One folder of a mailbox: messages by UID, in memory, and on disk where a directory is given.
//!
//! On disk a message is `<uid>.eml` and, written after it, `<uid>.json`: only with the second does it exist.
//! `folder.json` is written before both, so that no UID is given twice (RFC 3501 §2.3.1.1).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{Error, disk};

/// The folders of every mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Folder {
    /// Where mail arrives, and all that POP3 sees.
    Inbox,
    /// `\Sent` (RFC 6154 §2).
    Sent,
    /// `\Junk`.
    Junk,
    /// `\Trash`.
    Trash,
    /// `\Drafts`.
    Drafts,
}

impl Folder {
    /// All folders.
    pub const ALL: [Self; 5] = [Self::Inbox, Self::Sent, Self::Junk, Self::Trash, Self::Drafts];

    /// The IMAP name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbox => "INBOX",
            Self::Sent => "Sent",
            Self::Junk => "Junk",
            Self::Trash => "Trash",
            Self::Drafts => "Drafts",
        }
    }

    /// The folder of an IMAP name; INBOX in any letter case (RFC 3501 §5.1).
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|folder| match folder {
            Self::Inbox => name.eq_ignore_ascii_case(b"INBOX"),
            _ => name == folder.name().as_bytes(),
        })
    }
}

/// A message in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its UID in the folder, from 1.
    pub uid: u32,
    /// Its POP3 unique id (RFC 1939 §7), which does not change.
    pub uidl: String,
    /// The message, byte for byte as it came.
    pub bytes: Bytes,
    /// IMAP flags such as `\Seen`; `\Deleted` until the next expunge.
    pub flags: BTreeSet<String>,
    /// When it arrived, or the date that APPEND gave.
    pub internal_date: OffsetDateTime,
    /// The mod-sequence of its last change (RFC 7162 §3.1).
    pub mod_seq: u64,
    /// EMAILID (RFC 8474 §5.1): kept when it is moved, copied or renumbered.
    pub email_id: String,
}

impl Stored {
    /// Marked for deletion over IMAP, not yet expunged.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.flags.contains("\\Deleted")
    }
}

/// `folder.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    uid_validity: u32,
    uid_next: u32,
    /// The mod-sequence of the folder's last change.
    #[serde(default = "first")]
    mod_seq: u64,
    /// UIDs of removed messages, with the mod-sequence of their removal (RFC 7162 §3.2).
    #[serde(default)]
    removed: Vec<(u32, u64)>,
}

impl State {
    fn fresh(uid_validity: u32) -> Self {
        Self { uid_validity, uid_next: 1, mod_seq: first(), removed: Vec::new() }
    }
}

/// RFC 7162 §3.1.2.1: a mod-sequence is never 0.
fn first() -> u64 {
    1
}

/// `<uid>.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Meta {
    uidl: String,
    flags: BTreeSet<String>,
    #[serde(with = "time::serde::rfc3339")]
    internal_date: OffsetDateTime,
    #[serde(default = "first")]
    mod_seq: u64,
    #[serde(default = "new_email_id")]
    email_id: String,
}

/// A name that no other message has.
fn new_email_id() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    format!("M{:x}-{:x}", OffsetDateTime::now_utc().unix_timestamp_nanos(), LAST.fetch_add(1, Ordering::Relaxed))
}

/// A folder's messages and counters.
#[derive(Debug)]
pub(crate) struct Messages {
    state: State,
    by_uid: BTreeMap<u32, Stored>,
    /// Counts arrivals and removals since the start.
    changes: u64,
    dir: Option<PathBuf>,
}

impl Messages {
    /// Reads a folder, or begins one.
    pub(crate) fn open(dir: Option<PathBuf>) -> Result<Self, Error> {
        // A new folder must not look like an earlier one of the same name (RFC 3501 §2.3.1.1).
        let fresh = State::fresh(seconds(OffsetDateTime::now_utc()));
        let mut folder = Self { state: fresh, by_uid: BTreeMap::new(), changes: 0, dir };
        let Some(dir) = folder.dir.clone() else {
            return Ok(folder);
        };
        disk::make_dir(&dir)?;
        match disk::read_json(&dir.join("folder.json"))? {
            Some(state) => folder.state = state,
            None => disk::write_json(&dir.join("folder.json"), &folder.state)?,
        }
        for uid in disk::numbered(&dir)? {
            if let Some(message) = read_message(&dir, uid)? {
                folder.by_uid.insert(uid, message);
            }
        }
        Ok(folder)
    }

    pub(crate) fn uid_validity(&self) -> u32 {
        self.state.uid_validity
    }

    pub(crate) fn uid_next(&self) -> u32 {
        self.state.uid_next
    }

    pub(crate) fn mod_seq(&self) -> u64 {
        self.state.mod_seq
    }

    /// UIDs that were removed after a mod-sequence, ascending.
    pub(crate) fn removed_since(&self, mod_seq: u64) -> Vec<u32> {
        let mut uids: Vec<u32> =
            self.state.removed.iter().filter(|(_, at)| *at > mod_seq).map(|(uid, _)| *uid).collect();
        uids.sort_unstable();
        uids
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Stored> {
        self.by_uid.values()
    }

    pub(crate) fn get(&self, uid: u32) -> Option<&Stored> {
        self.by_uid.get(&uid)
    }

    /// Adds a message and returns its UID.
    pub(crate) fn add(&mut self, bytes: Bytes, flags: BTreeSet<String>, date: OffsetDateTime) -> Result<u32, Error> {
        let of = Stored {
            uid: 0,
            uidl: String::new(),
            bytes,
            flags,
            internal_date: date,
            mod_seq: 0,
            email_id: new_email_id(),
        };
        self.add_copy(of)
    }

    /// Adds a message that is the same as this one, under numbers of its own; returns its UID.
    pub(crate) fn add_copy(&mut self, of: Stored) -> Result<u32, Error> {
        let uid = self.state.uid_next;
        self.state.uid_next += 1;
        self.state.mod_seq += 1;
        let uidl = format!("{:08x}{uid:08x}", self.state.uid_validity);
        let message = Stored { uid, uidl, mod_seq: self.state.mod_seq, ..of };
        if let Some(dir) = &self.dir {
            disk::write_json(&dir.join("folder.json"), &self.state)?;
            disk::write(&dir.join(format!("{uid}.eml")), &message.bytes)?;
            write_meta(dir, &message)?;
        }
        self.by_uid.insert(uid, message);
        self.changes += 1;
        Ok(uid)
    }

    /// Sets the flags of a message; false if there is none.
    pub(crate) fn set_flags(&mut self, uid: u32, flags: BTreeSet<String>) -> Result<bool, Error> {
        let Some(message) = self.by_uid.get_mut(&uid) else {
            return Ok(false);
        };
        if message.flags == flags {
            return Ok(true);
        }
        self.state.mod_seq += 1;
        (message.flags, message.mod_seq) = (flags, self.state.mod_seq);
        if let Some(dir) = &self.dir {
            disk::write_json(&dir.join("folder.json"), &self.state)?;
            write_meta(dir, message)?;
        }
        Ok(true)
    }

    /// Removes messages; those that are gone already are no error.
    pub(crate) fn remove(&mut self, uids: &[u32]) -> Result<(), Error> {
        for uid in uids {
            if let Some(dir) = &self.dir {
                disk::remove(&dir.join(format!("{uid}.json")))?;
                disk::remove(&dir.join(format!("{uid}.eml")))?;
            }
            if self.by_uid.remove(uid).is_some() {
                self.state.mod_seq += 1;
                self.state.removed.push((*uid, self.state.mod_seq));
            }
            self.changes += 1;
        }
        match &self.dir {
            Some(dir) => disk::write_json(&dir.join("folder.json"), &self.state),
            None => Ok(()),
        }
    }

    /// Gives every message a new UID, in their order and from 1 on, under another UIDVALIDITY: as after a restored
    /// backup. Returns the new one.
    pub(crate) fn renumber(&mut self) -> Result<u32, Error> {
        let old = std::mem::take(&mut self.by_uid);
        if let Some(dir) = &self.dir {
            for uid in old.keys() {
                disk::remove(&dir.join(format!("{uid}.json")))?;
                disk::remove(&dir.join(format!("{uid}.eml")))?;
            }
        }
        self.state = State::fresh(self.state.uid_validity + 1);
        self.changes += 1;
        for message in old.into_values() {
            self.add_copy(message)?;
        }
        Ok(self.state.uid_validity)
    }
}

fn write_meta(dir: &Path, message: &Stored) -> Result<(), Error> {
    let (uidl, flags, internal_date) = (message.uidl.clone(), message.flags.clone(), message.internal_date);
    let meta = Meta { uidl, flags, internal_date, mod_seq: message.mod_seq, email_id: message.email_id.clone() };
    disk::write_json(&dir.join(format!("{}.json", message.uid)), &meta)
}

fn read_message(dir: &Path, uid: u32) -> Result<Option<Stored>, Error> {
    let meta: Option<Meta> = disk::read_json(&dir.join(format!("{uid}.json")))?;
    let bytes = disk::read(&dir.join(format!("{uid}.eml")))?;
    let (Some(meta), Some(bytes)) = (meta, bytes) else {
        return Ok(None);
    };
    let Meta { uidl, flags, internal_date, mod_seq, email_id } = meta;
    Ok(Some(Stored { uid, uidl, bytes: bytes.into(), flags, internal_date, mod_seq, email_id }))
}

/// The seconds of a time as a UIDVALIDITY, which ends in 2106.
fn seconds(time: OffsetDateTime) -> u32 {
    u32::try_from(time.unix_timestamp()).unwrap_or(1).max(1)
}
