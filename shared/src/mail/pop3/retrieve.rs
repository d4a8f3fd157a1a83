//! RETR, one by one or pipelined, and the un-stuffing of what it brings.

use super::Client;
use super::login::Capabilities;
use super::reply::{Reply, Session};
use crate::mail::error::{Error, Refusal};
use crate::mail::limits::{POP3_EXCESS_BYTES, POP3_PIPELINE};
use crate::mail::wire::Stream;
use crate::model::Phase;

/// Why one message of a [`Retrieval`] did not come, while the others do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The server answered `-ERR`.
    Refused(Refusal),
    /// It has more bytes than the caller takes; they were read and dropped.
    TooLarge,
    /// The same, and it did not end for long: it was not read any further, and the session is of no use behind it.
    Endless,
}

/// Messages on their way, in the order asked for.
pub struct Retrieval<'a, S> {
    client: &'a mut Client<S>,
    numbers: &'a [u32],
    max_bytes: u64,
    /// How many have been asked for, and how many of those were answered.
    asked: usize,
    answered: usize,
}

impl<'a, S: Stream> Retrieval<'a, S> {
    pub(super) fn new(client: &'a mut Client<S>, numbers: &'a [u32], max_bytes: u64) -> Self {
        Self { client, numbers, max_bytes, asked: 0, answered: 0 }
    }

    /// The next message, whole and un-stuffed, with its number; `None` after the last. An error ends the session,
    /// and the message that it cuts off is not handed out. Between two calls the caller may take its time.
    pub async fn next(&mut self) -> Result<Option<(u32, Result<Vec<u8>, Missing>)>, Error> {
        let mut message = Vec::new();
        let next = self.next_into(|piece| message.extend_from_slice(piece)).await?;
        Ok(next.map(|(number, size)| (number, size.map(|_| message))))
    }

    /// The same in pieces, for large messages; `Ok` carries the size. What the sink got is a message only when the
    /// result is `Ok(Some((_, Ok(_))))`.
    pub async fn next_into(&mut self, sink: impl FnMut(&[u8])) -> Result<Option<(u32, Result<u64, Missing>)>, Error> {
        let Some(&number) = self.numbers.get(self.answered) else { return Ok(None) };
        self.ask().await?;
        let size = message(&mut self.client.session, self.max_bytes, sink).await?;
        self.answered += 1;
        Ok(Some((number, size)))
    }

    /// Keeps commands in flight, as many as the server allows (RFC 2449 §6.6); refilled when half of them are
    /// answered, so that the commands travel in few packets.
    async fn ask(&mut self) -> Result<(), Error> {
        if self.answered == 0 && self.numbers.len() > 1 {
            self.client.learn_pipelining().await?;
        }
        let depth = if self.client.capabilities.has("PIPELINING") { POP3_PIPELINE } else { 1 };
        if self.asked - self.answered > depth / 2 {
            return Ok(());
        }
        let until = self.numbers.len().min(self.answered + depth);
        let commands: String =
            self.numbers[self.asked..until].iter().map(|number| format!("RETR {number}\r\n")).collect();
        self.client.session.send(&commands, until - self.asked).await?;
        self.asked = until;
        Ok(())
    }
}

/// Reads the answer to RETR or TOP.
async fn message<S: Stream>(
    session: &mut Session<S>,
    max_bytes: u64,
    sink: impl FnMut(&[u8]),
) -> Result<Result<u64, Missing>, Error> {
    session.begin()?;
    let size = match session.status().await? {
        Reply::Ok(_) => match content(session, max_bytes, sink).await? {
            // The session stays torn.
            Err(Missing::Endless) => return Ok(Err(Missing::Endless)),
            size => size,
        },
        Reply::Refused(refusal) => Err(Missing::Refused(refusal)),
        Reply::Continue(_) => return Err(session.garbled(b"+")),
    };
    session.end();
    Ok(size)
}

/// Reads one message to its terminator. Beyond the limit it is read on for a while, because the next answer stands behind
/// it, but nothing is kept.
async fn content<S: Stream>(
    session: &mut Session<S>,
    max_bytes: u64,
    mut sink: impl FnMut(&[u8]),
) -> Result<Result<u64, Missing>, Error> {
    let (mut unstuff, mut size) = (Unstuff::default(), 0_u64);
    loop {
        let mut chunk = session.wire.some().await?;
        let end = unstuff.feed(&chunk, |piece| {
            size += piece.len() as u64;
            if size <= max_bytes {
                sink(piece);
            }
        });
        if let Some(end) = end {
            session.wire.unread(chunk.split_off(end));
            return Ok(if size <= max_bytes { Ok(size) } else { Err(Missing::TooLarge) });
        }
        if size > max_bytes.saturating_add(POP3_EXCESS_BYTES) {
            return Ok(Err(Missing::Endless));
        }
    }
}

impl<S: Stream> Client<S> {
    /// The header of a message, with the empty line behind it (RFC 1939 §7, TOP, which is optional): for messages
    /// that are too large to be fetched. Memory: `max_bytes`.
    pub async fn head(&mut self, number: u32, max_bytes: u64) -> Result<Result<Vec<u8>, Missing>, Error> {
        self.session.wire.phase = Phase::List;
        self.session.ask(&format!("TOP {number} 0")).await?;
        let mut head = Vec::new();
        let size = message(&mut self.session, max_bytes, |piece| head.extend_from_slice(piece)).await?;
        Ok(size.map(|_| head))
    }

    /// Asks for the capabilities once more when they did not name PIPELINING before login: some servers tell all of
    /// them only now (RFC 2449 §5), and one round trip is little beside one for each message.
    async fn learn_pipelining(&mut self) -> Result<(), Error> {
        if !self.capabilities.has("PIPELINING") && !self.asked_again {
            self.asked_again = true;
            let now = Capabilities::ask(&mut self.session).await?;
            if now != Capabilities::default() {
                self.capabilities = now;
            }
        }
        Ok(())
    }
}

/// Takes the stuffing out of a multi-line answer and finds its end (RFC 1939 §3), over any boundaries of reads.
///
/// The first line decides what ends a line. With CRLF, a lone LF inside is the message's own byte, and a dot behind
/// it means nothing: otherwise whoever wrote the mail could end it early and forge the next one. Servers that store
/// and send lone LFs are taken at their word, too.
#[derive(Debug, Default)]
struct Unstuff {
    place: Place,
    /// Whether lines end with CRLF; unknown before the first has ended.
    crlf: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// At the start of a line.
    #[default]
    Start,
    /// Behind a dot at the start of a line.
    Dot,
    /// Behind a dot at the start of a line and a CR.
    DotCr,
    /// Inside a line, behind a CR or not.
    Inside { cr: bool },
}

impl Unstuff {
    /// Hands the message's bytes in `chunk` over; returns where the chunk goes on behind the terminator, if it came.
    fn feed(&mut self, chunk: &[u8], mut sink: impl FnMut(&[u8])) -> Option<usize> {
        let mut at = 0;
        while at < chunk.len() {
            match (self.place, chunk[at]) {
                (Place::Start, b'.') => {
                    self.place = Place::Dot;
                    at += 1;
                }
                (Place::Start, _) => self.place = Place::Inside { cr: false },
                (Place::Dot, b'\r') => {
                    self.place = Place::DotCr;
                    at += 1;
                }
                (Place::Dot | Place::DotCr, b'\n') => return Some(at + 1),
                // Any other octet behind the dot: only the dot goes.
                (Place::Dot, _) => self.place = Place::Inside { cr: false },
                (Place::DotCr, _) => {
                    sink(b"\r");
                    self.place = Place::Inside { cr: true };
                }
                (Place::Inside { cr }, _) => at += self.line(&chunk[at..], cr, &mut sink),
            }
        }
        None
    }

    /// Hands over the rest of a line, or as much of it as there is; returns its length.
    fn line(&mut self, rest: &[u8], cr: bool, sink: &mut impl FnMut(&[u8])) -> usize {
        let Some(lf) = memchr::memchr(b'\n', rest) else {
            sink(rest);
            self.place = Place::Inside { cr: rest.last() == Some(&b'\r') };
            return rest.len();
        };
        let ended_by_crlf = if lf == 0 { cr } else { rest[lf - 1] == b'\r' };
        let crlf = *self.crlf.get_or_insert(ended_by_crlf);
        self.place = if ended_by_crlf || !crlf { Place::Start } else { Place::Inside { cr: false } };
        sink(&rest[..=lf]);
        lf + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unstuffed(pieces: &[&[u8]]) -> (Vec<u8>, Option<Vec<u8>>) {
        let (mut unstuff, mut message) = (Unstuff::default(), Vec::new());
        for (at, piece) in pieces.iter().enumerate() {
            if let Some(end) = unstuff.feed(piece, |bytes| message.extend_from_slice(bytes)) {
                return (message, Some([&piece[end..], &pieces[at + 1..].concat()].concat()));
            }
        }
        (message, None)
    }

    #[test]
    fn stuffing_goes_and_the_end_is_found_at_every_split() {
        let cases: [(&[u8], &[u8]); 9] = [
            (b"A: b\r\n\r\n..\r\n...x\r\ny\r\n.\r\n", b"A: b\r\n\r\n.\r\n..x\r\ny\r\n"),
            (b".\r\n", b""),
            (b".\n", b""),
            (b"\r\n.\r\n", b"\r\n"),
            (b"A: b\n\n..x\n.\n", b"A: b\n\n.x\n"),
            (b"A: b\n\nx\n.\r\n", b"A: b\n\nx\n"),
            // A dot behind a lone LF is content where lines end with CRLF.
            (b"A: b\r\n\r\nx\n.\ny\n.\r\n..z\r\n.\r\n", b"A: b\r\n\r\nx\n.\ny\n.\r\n.z\r\n"),
            (b".\rx\r\n.\r\n", b"\rx\r\n"),
            (b"A: b\r\n.\r\r\n.\r\n", b"A: b\r\n\r\r\n"),
        ];
        for (wire, message) in cases {
            let stream = [wire, b"+OK next"].concat();
            for first in 0..=wire.len() {
                for second in first..=wire.len() {
                    let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                    let (got, rest) = unstuffed(&pieces);
                    assert_eq!((got.as_slice(), rest.as_deref()), (message, Some(&b"+OK next"[..])), "{pieces:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_before_the_terminator_is_an_end() {
        let wire = b"A: b\r\n\r\n..\r\n.x\r\n.\r\n";
        for cut in 0..wire.len() {
            assert_eq!(unstuffed(&[&wire[..cut]]).1, None, "cut at {cut}");
        }
    }
}
