//! What changes a folder: flags, removal, moving, storing.

use std::borrow::Cow;

use super::command::Command;
use super::response::{StatusLine, number, word};
use super::{Client, set, utf7};
use crate::mail::error::Error;
use crate::mail::wire::Stream;
use crate::model::Phase;
use crate::model::change::is_flag;

impl<S: Stream> Client<S> {
    /// Marks messages with `\Deleted` (RFC 3501 §6.4.6).
    pub async fn uid_store_deleted(&mut self, uids: &[u32]) -> Result<(), Error> {
        self.on_each_set(uids, |set| Command::new(format!(r"UID STORE {set} +FLAGS.SILENT (\Deleted)"))).await
    }

    /// Adds a flag to messages (RFC 3501 §6.4.6). Those that are no longer there are no error of the server's.
    pub async fn uid_store_flag(&mut self, uids: &[u32], flag: &str) -> Result<(), Error> {
        self.session.wire.phase = Phase::List;
        if !is_flag(flag) {
            return Err(self.session.broken(format!("{flag:?} is no IMAP flag")));
        }
        self.on_each_set(uids, |set| Command::new(format!("UID STORE {set} +FLAGS.SILENT ({flag})"))).await
    }

    /// Makes a folder (RFC 3501 §6.3.3).
    pub async fn create(&mut self, folder: &str) -> Result<(), Error> {
        self.session.wire.phase = Phase::List;
        let command = Command::new("CREATE").string(utf7::encode(folder).as_bytes());
        self.session.ok(command, drop).await.map(drop)
    }

    /// Removes exactly these messages, if marked (RFC 4315 §2.1). `false`: the server has no UIDPLUS, and nothing was
    /// sent. A plain EXPUNGE, which removes what others have marked as well, does not exist here.
    pub async fn uid_expunge(&mut self, uids: &[u32]) -> Result<bool, Error> {
        if !self.session.has("UIDPLUS") {
            return Ok(false);
        }
        self.on_each_set(uids, |set| Command::new(format!("UID EXPUNGE {set}"))).await.map(|()| true)
    }

    /// Changes the flags of one message (RFC 3501 §6.4.6). One that is no longer there is no error of the server's.
    pub async fn uid_mark(&mut self, uid: u32, marking: Marking, flags: &[String]) -> Result<(), Error> {
        self.session.wire.phase = Phase::List;
        if let Some(flag) = flags.iter().find(|flag| !is_flag(flag)) {
            return Err(self.session.broken(format!("{flag:?} is no IMAP flag")));
        }
        let item = match marking {
            Marking::Add => "+FLAGS.SILENT",
            Marking::Remove => "-FLAGS.SILENT",
            Marking::Set => "FLAGS.SILENT",
        };
        let command = Command::new(format!("UID STORE {uid} {item} ({})", flags.join(" ")));
        self.session.ok(command, drop).await.map(drop)
    }

    /// Moves a message to another folder (RFC 6851 §3.2); where the server has no MOVE, by COPY, `\Deleted` and UID
    /// EXPUNGE (RFC 4315 §2.1). With neither, nothing is sent.
    pub async fn uid_move(&mut self, uid: u32, folder: &str) -> Result<Moved, Error> {
        if self.session.has("MOVE") {
            return self.transfer("MOVE", uid, folder).await.map(Moved::Done);
        }
        if !self.session.has("UIDPLUS") {
            return Ok(Moved::Unsupported);
        }
        let place = self.transfer("COPY", uid, folder).await?;
        self.uid_store_deleted(&[uid]).await?;
        self.uid_expunge(&[uid]).await?;
        Ok(Moved::Done(place))
    }

    /// MOVE or COPY; where the message is now, if the server says so (RFC 4315 §3, COPYUID).
    async fn transfer(&mut self, verb: &str, uid: u32, folder: &str) -> Result<Option<(u32, u32)>, Error> {
        self.session.wire.phase = Phase::List;
        let command = Command::new(format!("UID {verb} {uid}")).string(utf7::encode(folder).as_bytes());
        let mut place = None;
        // RFC 6851 §4.3: MOVE tells it in an untagged OK, COPY in its tagged one.
        let outcome = self
            .session
            .ok(command, |untagged| place = place.or(StatusLine::parse(&untagged.text[2..]).and_then(copied)))
            .await?;
        Ok(place.or_else(|| copied(outcome.status())))
    }

    async fn on_each_set(&mut self, uids: &[u32], command: impl Fn(&str) -> Command<'static>) -> Result<(), Error> {
        self.session.wire.phase = Phase::List;
        for set in set::render(uids) {
            self.session.ok(command(&set), drop).await?;
        }
        Ok(())
    }

    /// Stores a message with these flags (RFC 3501 §6.3.11). Returns UIDVALIDITY and UID where the server has UIDPLUS
    /// (RFC 4315 §3).
    ///
    /// # Errors
    /// A refusal `[TRYCREATE]` says that the folder has to be made first; a flag that is none is an error of ours.
    pub async fn append(&mut self, folder: &str, flags: &[&str], message: &[u8]) -> Result<Option<(u32, u32)>, Error> {
        self.session.wire.phase = Phase::List;
        if let Some(flag) = flags.iter().find(|flag| !is_flag(flag)) {
            return Err(self.session.broken(format!("{flag:?} is no IMAP flag")));
        }
        let command = Command::new("APPEND")
            .string(utf7::encode(folder).as_bytes())
            .word(&format!("({})", flags.join(" ")))
            .literal(Cow::Borrowed(message));
        let outcome = self.session.ok(command, drop).await?;
        let place = outcome.status().argument("APPENDUID").and_then(|place| {
            let (validity, uid) = word(place);
            Some((number(validity)?, number(uid)?))
        });
        Ok(place)
    }
}

/// What is done with flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marking {
    /// These too.
    Add,
    /// Not these.
    Remove,
    /// These alone.
    Set,
}

/// What came of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The server can move no single message, and nothing was sent.
    Unsupported,
    /// Done; UIDVALIDITY and UID of its new place, where the server says so.
    Done(Option<(u32, u32)>),
}

/// The new place of one message (RFC 4315 §3): `COPYUID 38505 304 3956`.
fn copied(status: StatusLine<'_>) -> Option<(u32, u32)> {
    let (validity, sets) = word(status.argument("COPYUID")?);
    Some((number(validity)?, number(word(sets).1)?))
}
