//! What changes a folder: flags, removal, moving, storing.

use std::borrow::Cow;

use super::command::Command;
use super::response::number;
use super::{Client, set, utf7};
use crate::mail::error::Error;
use crate::mail::wire::Stream;
use crate::model::Phase;

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

    /// Moves messages to another folder (RFC 6851 §3.2). `false`: the server has no MOVE, and nothing was sent.
    pub async fn uid_move(&mut self, uids: &[u32], folder: &str) -> Result<bool, Error> {
        if !self.session.has("MOVE") {
            return Ok(false);
        }
        let folder = utf7::encode(folder);
        self.on_each_set(uids, |set| Command::new(format!("UID MOVE {set}")).string(folder.as_bytes()))
            .await
            .map(|()| true)
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
            let (validity, uid) = super::response::word(place);
            Some((number(validity)?, number(uid)?))
        });
        Ok(place)
    }
}

/// A flag is an atom, perhaps behind a backslash (RFC 3501 §9, `flag`).
fn is_flag(flag: &str) -> bool {
    let atom = flag.strip_prefix('\\').unwrap_or(flag);
    !atom.is_empty() && atom.bytes().all(|byte| byte.is_ascii_graphic() && !br#"(){%*"\]"#.contains(&byte))
}
