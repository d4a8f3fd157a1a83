//! Whole messages, and large ones in parts.

use std::collections::{BTreeSet, VecDeque};

use super::command::Command;
use super::response::{self, Body, Items};
use super::session::{Answer, Untagged};
use super::{Client, set};
use crate::mail::error::Error;
use crate::mail::limits::FETCH_PART_BYTES;
use crate::mail::wire::Stream;
use crate::model::{Phase, ProbeCode};

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its UID.
    pub uid: u32,
    /// Its flags.
    pub flags: Vec<String>,
    /// INTERNALDATE as sent: `17-Jul-1996 02:44:25 -0700`.
    pub internal_date: Option<String>,
    /// RFC822.SIZE as the server counts; the body's own length is the truth.
    pub size: Option<u64>,
    /// EMAILID (RFC 8474 §5.1), where the server has it.
    pub email_id: Option<String>,
    /// Its bytes.
    pub body: Vec<u8>,
    /// It has more bytes than were asked for, this many: the body is empty, and [`Client::fetch_large`] is for it.
    pub dropped: Option<u64>,
}

/// Why a large message did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is no longer there.
    Vanished,
    /// It has more bytes than the caller takes.
    TooLarge,
}

/// Messages on their way.
pub struct Fetch<'a, S> {
    client: &'a mut Client<S>,
    max_bytes: u64,
    /// UIDs that have not come yet.
    wanted: BTreeSet<u32>,
    /// Sets that have not been asked for yet.
    sets: VecDeque<String>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No command is under way.
    Idle,
    /// A command is.
    Running,
    /// One failed.
    Failed,
}

impl<S: Stream> Client<S> {
    /// Fetches whole messages of the open folder without setting `\Seen` (RFC 3501 §6.4.5, BODY.PEEK). Of one that has
    /// over `max_bytes`, whatever the server said before, only the size comes; what no message can have ends the session.
    pub fn fetch<'a>(&'a mut self, uids: &[u32], max_bytes: u64) -> Fetch<'a, S> {
        self.session.wire.phase = Phase::List;
        let (wanted, sets) = (uids.iter().copied().collect(), set::render(uids).into());
        Fetch { client: self, max_bytes, wanted, sets, state: State::Idle }
    }

    /// Fetches up to `length` bytes of a message from `offset` on (RFC 3501 §6.4.5, partial fetch), and hands them to
    /// the sink once they are complete. Returns how many they are: fewer than asked for at the end of the message, 0
    /// behind it. `None`: the message is no longer there. Memory: `length`.
    pub async fn fetch_part(
        &mut self,
        uid: u32,
        offset: u64,
        length: u64,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<Option<u64>, Error> {
        self.session.wire.phase = Phase::List;
        let command = Command::new(format!("UID FETCH {uid} (UID BODY.PEEK[]<{offset}.{length}>)"))
            .allowing(|allowed| allowed.body_bytes = length);
        let (mut part, mut unreadable) = (None, None);
        self.session
            .ok(command, |untagged| match message(untagged) {
                Ok(Some((items, origin, body))) if items.uid == Some(uid) => {
                    part = part.take().or(Some((origin, body)))
                }
                Ok(_) => {}
                Err(text) => unreadable = Some(text),
            })
            .await?;
        match (part, unreadable) {
            (_, Some(line)) => Err(self.session.unexpected(&line)),
            (None, None) => Ok(None),
            // RFC 3501 §7.4.2: the origin is part of the answer. Bytes from elsewhere must not get in.
            (Some((origin, _)), None) if origin.map_or(0, u64::from) != offset => {
                Err(self.session.broken("a part of another place of the message"))
            }
            (Some((_, body)), None) if body.len() as u64 > length => {
                Err(self.session.broken("a part that is too long"))
            }
            (Some((_, body)), None) => {
                sink(&body);
                Ok(Some(body.len() as u64))
            }
        }
    }

    /// Fetches a message in parts of [`FETCH_PART_BYTES`], so that memory is bounded whatever the server announces.
    /// `size` is what the listing said; what counts is what comes. Returns the size; the sink has a message only then.
    pub async fn fetch_large(
        &mut self,
        uid: u32,
        size: u64,
        max_bytes: u64,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<Result<u64, Missing>, Error> {
        let (mut offset, mut ended) = (0, false);
        loop {
            let Some(came) = self.fetch_part(uid, offset, FETCH_PART_BYTES, &mut sink).await? else {
                return Ok(Err(Missing::Vanished));
            };
            offset += came;
            if offset > max_bytes {
                return Ok(Err(Missing::TooLarge));
            }
            // RFC 2180 §4.1: what vanishes under way may come as nothing.
            if came == 0 && offset < size && !ended {
                return Ok(Err(Missing::Vanished));
            }
            // RFC 3501 §6.4.5: a short part is the last. Where the listing said more, which some servers only
            // estimate, an empty one behind it has to confirm that.
            ended = came < FETCH_PART_BYTES;
            if came == 0 || (ended && offset >= size) {
                return Ok(Ok(offset));
            }
        }
    }
}

impl<S: Stream> Fetch<'_, S> {
    /// The next complete message; `None` once the server has said OK to all of it. UIDs that have vanished are left
    /// out. After an error, what was handed out before is whole, but nothing is known about the rest; NO and BAD
    /// leave the session usable.
    pub async fn next(&mut self) -> Result<Option<Fetched>, Error> {
        loop {
            match self.state {
                State::Failed => return Err(self.client.session.broken("the fetch has failed")),
                State::Idle => match self.sets.pop_front() {
                    Some(set) => self.ask(&set).await?,
                    None => return Ok(None),
                },
                State::Running => {
                    if let Some(fetched) = self.step().await? {
                        return Ok(Some(fetched));
                    }
                }
            }
        }
    }

    async fn ask(&mut self, set: &str) -> Result<(), Error> {
        self.state = State::Failed;
        let max_bytes = self.max_bytes;
        let email_id = self.client.email_id();
        let words = format!("UID FETCH {set} (UID FLAGS INTERNALDATE RFC822.SIZE{email_id} BODY.PEEK[])");
        let command = Command::new(words).allowing(|allowed| {
            allowed.body_bytes = max_bytes;
            allowed.dropped_bytes = u32::MAX.into();
            allowed.lines += self.wanted.len();
        });
        self.client.session.start(command).await?;
        self.state = State::Running;
        Ok(())
    }

    /// Reads one response.
    async fn step(&mut self) -> Result<Option<Fetched>, Error> {
        self.state = State::Failed;
        let session = &mut self.client.session;
        let fetched = match session.answer().await? {
            Answer::Continue(_) => return Err(session.unexpected(b"+")),
            Answer::Done(outcome) if outcome.is_ok() => {
                self.state = State::Idle;
                return Ok(None);
            }
            Answer::Done(outcome) => return Err(session.refused(ProbeCode::ProtocolError, &outcome.status())),
            Answer::Untagged(untagged) => {
                let dropped = untagged.dropped;
                message(untagged).map_err(|text| session.unexpected(&text))?.map(|message| (message, dropped))
            }
        };
        self.state = State::Running;
        Ok(fetched.and_then(|((items, _, body), dropped)| self.wanted_message(items, body, dropped)))
    }

    /// A message that was asked for and has not come yet.
    fn wanted_message(&mut self, items: Items, body: Vec<u8>, dropped: Option<u64>) -> Option<Fetched> {
        // RFC 2180 §4.1: a message that another client has expunged may come empty.
        let vanished = body.is_empty() && dropped.is_none() && items.size.is_some_and(|size| size > 0);
        let uid = items.uid.filter(|uid| !vanished && self.wanted.remove(uid))?;
        let Items { size, flags, internal_date, email_id, .. } = items;
        Some(Fetched { uid, flags: flags.unwrap_or_default(), internal_date, size, email_id, body, dropped })
    }
}

/// The message in a response, put together once all of it is there: the UID may follow the literal. `None`: something
/// else, such as flags that somebody changed. An error is a message that cannot be read, and its line.
#[expect(clippy::type_complexity, reason = "used twice, right here")]
fn message(untagged: Untagged) -> Result<Option<(Items, Option<u32>, Vec<u8>)>, Vec<u8>> {
    let Untagged { text, body: literal, .. } = untagged;
    let Some(mut items) = response::items(&text) else {
        // What we did not ask for may be beyond us. What announces a message may not.
        return if literal.is_some() { Err(text) } else { Ok(None) };
    };
    // RFC 3501 §6.4.8: an answer to UID FETCH has the UID.
    match (items.body.take(), items.uid) {
        (Some(_), None) => Err(text),
        (Some(Body { origin, quoted }), Some(_)) => Ok(literal.or(quoted).map(|body| (items, origin, body))),
        (None, _) => Ok(None),
    }
}
