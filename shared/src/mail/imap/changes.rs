//! What has changed in a folder: flags, and messages that are gone (RFC 7162).

use super::command::Command;
use super::response::{self, number, word};
use super::{Client, set};
use crate::mail::error::Error;
use crate::mail::limits::{LISTED_MESSAGES, UNTAGGED_LINES};
use crate::mail::wire::Stream;
use crate::model::Phase;

/// Longest VANISHED line: a UID has at most ten digits and a comma.
const VANISHED_BYTES: usize = 11 * LISTED_MESSAGES;

/// Changes in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// UIDs and flags of the messages whose flags may have changed.
    pub flags: Vec<(u32, Vec<String>)>,
    /// UIDs that are gone, where the server tells; among them may be some that never were.
    pub vanished: Vec<u32>,
}

impl<S: Stream> Client<S> {
    /// Has the server tell from now on which messages are gone (RFC 7162 §3.2.3); true: it does. Has to come before
    /// the first folder is opened (RFC 5161 §3.1); asked again, nothing is sent.
    pub async fn enable_qresync(&mut self) -> Result<bool, Error> {
        if !self.qresync && self.session.has("QRESYNC") {
            self.session.wire.phase = Phase::Select;
            let mut enabled = false;
            self.session
                .ok(Command::new("ENABLE QRESYNC"), |untagged| {
                    let (kind, names) = word(&untagged.text[2..]);
                    enabled |= kind.eq_ignore_ascii_case(b"ENABLED")
                        && names.split(|byte| *byte == b' ').any(|name| name.eq_ignore_ascii_case(b"QRESYNC"));
                })
                .await?;
            self.qresync = enabled;
        }
        Ok(self.qresync)
    }

    /// Whether the server tells which messages are gone.
    pub fn tells_vanished(&self) -> bool {
        self.qresync
    }

    /// What has changed among the UIDs up to `last` since a mod-sequence (RFC 7162 §3.1.4.1, §3.2.6). The server has
    /// CONDSTORE.
    pub async fn changed_since(&mut self, last: u32, since: u64) -> Result<Changes, Error> {
        let vanished = if self.qresync { " VANISHED" } else { "" };
        self.changes(&format!("1:{last}"), &format!(" (CHANGEDSINCE {since}{vanished})"), last).await
    }

    /// The flags of the messages with these UIDs, both ends included.
    pub async fn flags(&mut self, first: u32, last: u32) -> Result<Vec<(u32, Vec<String>)>, Error> {
        Ok(self.changes(&format!("{first}:{last}"), "", last).await?.flags)
    }

    /// The flags of these messages; those that are not there are left out.
    pub async fn flags_of(&mut self, uids: &[u32]) -> Result<Vec<(u32, Vec<String>)>, Error> {
        let mut flags = Vec::new();
        for set in set::render(uids) {
            flags.extend(self.changes(&set, "", u32::MAX).await?.flags);
        }
        Ok(flags)
    }

    async fn changes(&mut self, set: &str, since: &str, last: u32) -> Result<Changes, Error> {
        self.session.wire.phase = Phase::List;
        let command = Command::new(format!("UID FETCH {set} (UID FLAGS){since}")).allowing(|allowed| {
            allowed.lines = LISTED_MESSAGES + UNTAGGED_LINES;
            allowed.line_bytes = VANISHED_BYTES;
        });
        let mut changes = Changes::default();
        self.session
            .ok(command, |untagged| {
                if let Some(items) = response::items(&untagged.text)
                    && let Some((uid, flags)) = items.uid.zip(items.flags).filter(|(uid, _)| *uid <= last)
                {
                    changes.flags.push((uid, flags));
                }
                vanished(&untagged.text[2..], last, &mut changes.vanished);
            })
            .await?;
        Ok(changes)
    }
}

/// `VANISHED (EARLIER) 1:3,7` (RFC 7162 §3.2.10), as far as it concerns UIDs up to `last`.
fn vanished(line: &[u8], last: u32, uids: &mut Vec<u32>) {
    let (kind, rest) = word(line);
    if !kind.eq_ignore_ascii_case(b"VANISHED") {
        return;
    }
    let (first, behind) = word(rest);
    let set = if first.eq_ignore_ascii_case(b"(EARLIER)") { behind } else { first };
    for range in set.trim_ascii().split(|byte| *byte == b',') {
        let mut ends = range.splitn(2, |byte| *byte == b':').map(number::<u32>);
        let (Some(Some(from)), to) = (ends.next(), ends.next()) else { continue };
        let to = to.flatten().unwrap_or(from);
        let room = LISTED_MESSAGES.saturating_sub(uids.len());
        uids.extend((from.min(to)..=from.max(to).min(last)).take(room));
    }
}

#[cfg(test)]
mod tests {
    use crate::mail::imap::tests::opened;

    #[tokio::test]
    async fn changes_and_what_is_gone_come_in_one_answer() {
        let (mut client, peer) = opened(
            "CONDSTORE QRESYNC ENABLE",
            &[
                ("a2 ENABLE QRESYNC\r\n", "* ENABLED QRESYNC\r\na2 OK\r\n"),
                (
                    "a3 UID FETCH 1:9 (UID FLAGS) (CHANGEDSINCE 12 VANISHED)\r\n",
                    "* VANISHED (EARLIER) 3:2,5,8:4294967295\r\n* 1 FETCH (UID 4 FLAGS (\\Seen $x) MODSEQ (13))\r\n\
                     * 7 FETCH (UID 12 FLAGS ())\r\n* 2 EXISTS\r\na3 OK\r\n",
                ),
                ("a4 UID FETCH 7:7 (UID FLAGS)\r\n", "a4 OK\r\n"),
            ],
        )
        .await;
        assert!(client.enable_qresync().await.unwrap() && client.enable_qresync().await.unwrap());
        let changes = client.changed_since(9, 12).await.unwrap();
        assert_eq!(changes.flags, [(4, vec!["\\Seen".to_owned(), "$x".to_owned()])]);
        assert_eq!(changes.vanished, [2, 3, 5, 8, 9]);
        assert_eq!(client.flags(7, 7).await.unwrap(), []);
        drop(client);
        peer.done().await;
    }

    #[tokio::test]
    async fn a_server_without_it_is_not_asked() {
        let (mut client, peer) = opened(
            "CONDSTORE",
            &[("a2 UID FETCH 1:9 (UID FLAGS) (CHANGEDSINCE 12)\r\n", "* 1 FETCH (FLAGS () UID 4)\r\na2 OK\r\n")],
        )
        .await;
        assert!(!client.enable_qresync().await.unwrap());
        assert_eq!(client.changed_since(9, 12).await.unwrap().flags, [(4, vec![])]);
        drop(client);
        peer.done().await;
    }
}
