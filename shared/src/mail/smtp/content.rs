//! The bytes of a message on their way to the wire (RFC 5321 §4.5.2).

use super::Terms;
use crate::mail::error::Error;
use crate::model::{Phase, ProbeCode};

/// How much of a message is copied and written at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A message that may be sent: every line ends in CRLF, there is no bare CR, no bare LF and no NUL. What a server
/// takes for the end of the message is then the same wherever it looks (no SMTP smuggling). Nothing is converted in
/// silence; only a missing CRLF at the very end is added, because the final dot needs it.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    message: &'a [u8],
    eight_bit: bool,
    international: bool,
}

impl<'a> Content<'a> {
    /// Checks a message.
    ///
    /// # Errors
    /// [`ProbeCode::MessageRejected`] with the place of the first byte that must not be sent.
    pub fn check(message: &'a [u8]) -> Result<Self, Error> {
        let wrong = |at: usize, what: &str| {
            Error::new(ProbeCode::MessageRejected, Phase::Data, format!("the message holds {what} at byte {at}"))
        };
        for at in memchr::memchr3_iter(b'\r', b'\n', 0, message) {
            match message[at] {
                0 => return Err(wrong(at, "NUL")),
                b'\r' if message.get(at + 1) != Some(&b'\n') => return Err(wrong(at, "a bare CR")),
                b'\n' if at == 0 || message[at - 1] != b'\r' => return Err(wrong(at, "a bare LF")),
                _ => {}
            }
        }
        let header = memchr::memmem::find(message, b"\r\n\r\n").map_or(message, |end| &message[..end]);
        Ok(Self { message, eight_bit: !message.is_ascii(), international: !header.is_ascii() })
    }

    /// What MAIL says about it.
    pub fn terms(&self) -> Terms<'static> {
        Terms { size: self.size(), eight_bit: self.eight_bit, international: self.international, dsn: None }
    }

    /// What SIZE counts: all bytes, with the CRLF that may be added, without dots (RFC 1870 §3).
    pub fn size(&self) -> u64 {
        self.message.len() as u64 + if self.is_terminated() { 0 } else { 2 }
    }

    fn is_terminated(&self) -> bool {
        self.message.is_empty() || self.message.ends_with(b"\r\n")
    }

    /// The message as it stands on the wire, in pieces of about 64 KB; the last one ends in the final dot. A line
    /// that begins with a dot gets another one (RFC 5321 §4.5.2).
    pub(super) fn pieces(self) -> impl Iterator<Item = Vec<u8>> {
        let mut rest = Some((self.message, true));
        std::iter::from_fn(move || {
            let (message, line_begins) = rest.take()?;
            let (now, later) = message.split_at(message.len().min(CHUNK_BYTES));
            let mut piece = Vec::with_capacity(now.len() + now.len() / 64 + 8);
            stuff(now, line_begins, &mut piece);
            if later.is_empty() {
                piece.extend_from_slice(if self.is_terminated() { b".\r\n" } else { b"\r\n.\r\n" });
            } else {
                rest = Some((later, now.ends_with(b"\n")));
            }
            Some(piece)
        })
    }
}

fn stuff(mut text: &[u8], mut line_begins: bool, out: &mut Vec<u8>) {
    while !text.is_empty() {
        if line_begins && text.first() == Some(&b'.') {
            out.push(b'.');
        }
        let line = memchr::memchr(b'\n', text).map_or(text.len(), |at| at + 1);
        out.extend_from_slice(&text[..line]);
        text = &text[line..];
        line_begins = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clean_lines_are_content() {
        for bad in [
            "a\rb\r\n",
            "a\nb\r\n",
            "\n",
            "a\r",
            "\r",
            "a\0b\r\n",
            "x\r\n.\n\r\n",
            "x\n.\r\n",
            "x\r.\r\n",
            "x\r\r\n",
            "\r\n\0.\r\n",
        ] {
            let error = Content::check(bad.as_bytes()).unwrap_err();
            assert!(error.code == ProbeCode::MessageRejected && !error.is_transient(), "{bad:?}");
        }
        for good in ["", "\r\n", "a", "a\r\n", "a\r\n.\r\n", "\r\n\r\n"] {
            assert!(Content::check(good.as_bytes()).is_ok(), "{good:?}");
        }
        assert!(Content::check("ä\r\n".as_bytes()).unwrap().eight_bit && !Content::check(b"a").unwrap().eight_bit);
        let international = ["x: ä\r\n\r\n", "x: a\r\n\r\nä", "a"];
        let international = international.map(|text| Content::check(text.as_bytes()).unwrap().terms().international);
        assert_eq!(international, [true, false, false]);
        assert_eq!(["", "a", "a\r\n"].map(|text| Content::check(text.as_bytes()).unwrap().size()), [0, 3, 3]);
    }

    /// What a server does to get the message back (RFC 5321 §4.5.2).
    fn unstuffed(wire: &[u8]) -> Vec<u8> {
        let body = wire.strip_suffix(b".\r\n").unwrap();
        body.split_inclusive(|&byte| byte == b'\n')
            .flat_map(|line| line.strip_prefix(b".").unwrap_or(line).to_vec())
            .collect()
    }

    #[test]
    fn dots_are_stuffed_wherever_the_pieces_are_cut() {
        let edge = CHUNK_BYTES;
        let cases =
            [".", "..", ".\r\n", "a\r\n.\r\n.b\r\n..\r\n", "", "\r\n", "a\r\n\r\n.", "no end"].map(str::to_owned);
        // A line break and a dot around the edge of a piece, at every offset.
        let around = (edge - 4..edge + 4).map(|at| format!("{}\r\n.\r\n..x\r\ny", "z".repeat(at)));
        for message in cases.into_iter().chain(around) {
            let pieces: Vec<_> = Content::check(message.as_bytes()).unwrap().pieces().collect();
            assert_eq!(pieces.len(), message.len().div_ceil(edge).max(1));
            let wire = pieces.concat();
            let whole = if message.is_empty() || message.ends_with("\r\n") {
                message.clone()
            } else {
                format!("{message}\r\n")
            };
            assert_eq!(unstuffed(&wire), whole.as_bytes());
            assert_eq!(
                memchr::memmem::find_iter(&[b"\r\n", &wire[..]].concat(), b"\r\n.\r\n").count(),
                1,
                "one end: {message:.20?}"
            );
        }
    }
}
