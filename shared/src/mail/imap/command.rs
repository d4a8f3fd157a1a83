//! Commands as the server must get them: words, quoted strings and literals (RFC 3501 §4.3, §9).

use std::borrow::Cow;

use crate::mail::limits::{LINE_BYTES, UNTAGGED_LINES};

/// A command without its tag, and what its answer may bring.
#[derive(Clone, Debug)]
pub(super) struct Command<'a> {
    /// Literals, each with the text before it.
    pub(super) literals: Vec<(String, Cow<'a, [u8]>)>,
    /// The text behind the last literal, or all of it.
    pub(super) text: String,
    pub(super) allowed: Allowed,
}

/// Limits of one answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    /// Untagged responses.
    pub(super) lines: usize,
    /// Bytes of one response, message literals aside.
    pub(super) line_bytes: usize,
    /// Bytes of the literal of `BODY[]`.
    pub(super) body_bytes: u64,
    /// A longer one of up to this many bytes is read and dropped.
    pub(super) dropped_bytes: u64,
}

impl<'a> Command<'a> {
    pub(super) fn new(words: impl Into<String>) -> Self {
        let allowed = Allowed { lines: UNTAGGED_LINES, line_bytes: LINE_BYTES, body_bytes: 0, dropped_bytes: 0 };
        Self { literals: Vec::new(), text: words.into(), allowed }
    }

    /// Adds a blank and words that are safe: our own, or numbers.
    pub(super) fn word(mut self, word: &str) -> Self {
        self.text.push(' ');
        self.text.push_str(word);
        self
    }

    /// Adds a string: quoted where all of it is printable ASCII, else as a literal. A CR or LF can never end the
    /// command early.
    pub(super) fn string(mut self, bytes: &[u8]) -> Self {
        if !bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return self.literal(Cow::Owned(bytes.to_vec()));
        }
        self.text.push_str(" \"");
        for &byte in bytes {
            if matches!(byte, b'"' | b'\\') {
                self.text.push('\\');
            }
            self.text.push(char::from(byte));
        }
        self.text.push('"');
        self
    }

    /// Adds a literal.
    pub(super) fn literal(mut self, bytes: Cow<'a, [u8]>) -> Self {
        self.text.push(' ');
        self.literals.push((std::mem::take(&mut self.text), bytes));
        self
    }

    pub(super) fn allowing(mut self, allowed: impl FnOnce(&mut Allowed)) -> Self {
        allowed(&mut self.allowed);
        self
    }
}
