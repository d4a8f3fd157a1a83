//! Reading SMTP replies (RFC 5321 §4.2), as servers really send them.

use bytes::Bytes;
use secrecy::SecretString;

use crate::mail::error::{Error, Refusal, shown};
use crate::mail::limits::REPLY_BYTES;
use crate::mail::wire::{Stream, Wire};
use crate::model::ProbeCode;

/// A server's reply: one code, and words that are safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The basic code, 200 to 599.
    pub code: u16,
    /// The enhanced status code (RFC 3463), where the server gave one of the same class.
    pub enhanced: Option<String>,
    /// The words without the codes, lines joined by blanks, cut and cleaned.
    pub text: String,
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.code)?;
        let words = [self.enhanced.as_deref().unwrap_or_default(), &self.text];
        words.into_iter().filter(|word| !word.is_empty()).try_for_each(|word| write!(f, " {word}"))
    }
}

impl From<Reply> for Refusal {
    fn from(reply: Reply) -> Self {
        Self { code: Some(reply.code), enhanced: reply.enhanced, text: reply.text }
    }
}

/// A reply before its words were made safe: the code and the text of each line behind it.
#[derive(Debug)]
pub(in crate::mail) struct Raw {
    pub(in crate::mail) code: u16,
    pub(in crate::mail) lines: Vec<Bytes>,
}

impl Raw {
    /// The first digit says what to do (RFC 5321 §4.2.1): 2 done, 3 go on, 4 come back, 5 no.
    pub(in crate::mail) fn class(&self) -> u16 {
        self.code / 100
    }

    /// Splits off the enhanced code and cleans the words; secrets that the server echoed are taken out first,
    /// because a cut in the middle of one would hide it from the search.
    pub(in crate::mail) fn cleaned(&self, secrets: &[SecretString]) -> Reply {
        let enhanced = self.lines.first().and_then(|line| enhanced(line, self.class()));
        let mut words = Vec::new();
        for line in &self.lines {
            // RFC 2034 §4: each line of a multi-line reply repeats the enhanced code.
            let text = enhanced.as_deref().and_then(|code| line.strip_prefix(code.as_bytes())).unwrap_or(line);
            words.extend_from_slice(text.trim_ascii());
            words.push(b' ');
        }
        Reply { code: self.code, enhanced, text: shown(&words, secrets) }
    }
}

/// Reads one reply, all its lines.
///
/// Tolerated, because real servers do it: a code without text (RFC 5321 §4.2 asks clients to), bytes that are not
/// ASCII, a lone LF, differing codes of one class (the last line counts).
///
/// # Errors
/// [`ProbeCode::ProtocolError`] for anything else that is no reply, and for one of over [`REPLY_BYTES`].
pub(in crate::mail) async fn read<S: Stream>(wire: &mut Wire<S>) -> Result<Raw, Error> {
    let (mut lines, mut size, mut class) = (Vec::new(), 0, None);
    loop {
        let line = wire.line().await?;
        size += line.len() + 2;
        if size > REPLY_BYTES {
            return Err(wire.error(ProbeCode::ProtocolError, format!("a reply of over {REPLY_BYTES} bytes")));
        }
        let Some((code, last)) = head(&line) else {
            return Err(wire.error(ProbeCode::ProtocolError, format!("no SMTP reply: {:?}", shown(&line, &[]))));
        };
        if class.is_some_and(|class| class != code / 100) {
            return Err(wire.error(ProbeCode::ProtocolError, "one reply with codes of two classes"));
        }
        class = Some(code / 100);
        lines.push(line.slice(line.len().min(4)..));
        if last {
            return Ok(Raw { code, lines });
        }
    }
}

/// `250-more`, `250 last`, `250`: the code, and whether the reply ends here (RFC 5321 §4.2.1).
fn head(line: &[u8]) -> Option<(u16, bool)> {
    let (digits, rest) = line.split_at_checked(3)?;
    let known = matches!(digits, [b'2'..=b'5', second, third] if second.is_ascii_digit() && third.is_ascii_digit());
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit.wrapping_sub(b'0')));
    match rest.first() {
        _ if !known => None,
        Some(b'-') => Some((code, false)),
        None | Some(b' ' | b'\t' | b'\r') => Some((code, true)),
        Some(_) => None,
    }
}

/// An enhanced status code at the head of a line: `class.subject.detail` (RFC 3463 §2), of the reply's own class
/// (RFC 2034 §4).
fn enhanced(line: &[u8], class: u16) -> Option<String> {
    let word = line.split(|byte| byte.is_ascii_whitespace()).next()?;
    let numbers: Vec<_> = word.split(|&byte| byte == b'.').collect();
    let numeric = |part: &&[u8]| (1..=3).contains(&part.len()) && part.iter().all(u8::is_ascii_digit);
    let right_class = numbers.first().is_some_and(|first| *first == class.to_string().as_bytes());
    (numbers.len() == 3 && right_class && numbers.iter().all(numeric))
        .then(|| String::from_utf8_lossy(word).into_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::mail::wire::Deadline;
    use crate::model::Phase;

    async fn parsed(bytes: &[u8]) -> Result<Reply, ProbeCode> {
        let (ours, mut theirs) = tokio::io::duplex(1 << 18);
        theirs.write_all(bytes).await.unwrap();
        drop(theirs);
        let mut wire = Wire::new(ours, Phase::Data, Deadline::after(Duration::from_secs(5)), Duration::from_secs(5));
        read(&mut wire).await.map(|raw| raw.cleaned(&[])).map_err(|error| error.code)
    }

    #[tokio::test]
    async fn words_lose_their_codes_and_everything_that_does_not_print() {
        for (bytes, code, enhanced, text) in [
            (&b"250 2.1.5 ok\r\n"[..], 250, Some("2.1.5"), "ok"),
            (b"550-5.1.1 one\r\n550-5.1.1 two\r\n550 5.1.1 three\r\n", 550, Some("5.1.1"), "one two three"),
            (b"250\r\n", 250, None, ""),
            (b"250 \r\n", 250, None, ""),
            (b"250-\r\n250\r\n", 250, None, ""),
            (b"250 2.0.0\r\n", 250, Some("2.0.0"), ""),
            (b"450 5.1.1 of another class\r\n", 450, None, "5.1.1 of another class"),
            (b"550 5.1 short\r\n", 550, None, "5.1 short"),
            (b"550 5.1234.1 long\r\n", 550, None, "5.1234.1 long"),
            (b"550 f\xfcr\x1b[31m\tSie\n", 550, None, "f?r?[31m?Sie"),
            (b"250-first\r\n251 last\r\n", 251, None, "first last"),
        ] {
            let expected = Reply { code, enhanced: enhanced.map(str::to_owned), text: text.to_owned() };
            assert_eq!(parsed(bytes).await, Ok(expected), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[tokio::test]
    async fn the_cap_holds_at_n_and_n_plus_one() {
        let reply = |size: usize| {
            let lines = "250-xxxx\r\n".repeat(size / 10 - 2);
            format!("{lines}250 {}\r\n", "x".repeat(size - lines.len() - 6)).into_bytes()
        };
        assert_eq!((reply(REPLY_BYTES).len(), reply(REPLY_BYTES + 1).len()), (REPLY_BYTES, REPLY_BYTES + 1));
        assert_eq!(parsed(&reply(REPLY_BYTES)).await.map(|reply| reply.code), Ok(250));
        assert_eq!(parsed(&reply(REPLY_BYTES + 1)).await, Err(ProbeCode::ProtocolError));
    }
}
