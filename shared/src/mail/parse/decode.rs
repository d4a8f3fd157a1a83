//! Transfer encodings (RFC 2045 §6) and character sets (RFC 2046 §4.1.2), lenient: something readable comes out of
//! everything, and the caller learns that it was not clean.

use encoding_rs::WINDOWS_1252;
use mail_parser::decoders::charsets::map::charset_decoder;

/// Content-Transfer-Encoding (RFC 2045 §6.1); 7bit, 8bit, binary and unknown words are all `Identity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    QuotedPrintable,
    Base64,
}

impl Encoding {
    /// The encoding, and whether the word was one of RFC 2045 §6.1.
    pub(super) fn from_word(word: &str) -> (Self, bool) {
        match word.trim().to_ascii_lowercase().as_str() {
            "base64" => (Self::Base64, true),
            "quoted-printable" => (Self::QuotedPrintable, true),
            "" | "7bit" | "8bit" | "binary" => (Self::Identity, true),
            _ => (Self::Identity, false),
        }
    }

    /// The decoded bytes.
    pub(super) fn decode(self, body: &[u8]) -> Vec<u8> {
        match self {
            Self::Identity => body.to_vec(),
            Self::QuotedPrintable => quoted_printable(body),
            Self::Base64 => base64(body),
        }
    }

    /// What [`Self::decode`] would give, in bytes, without the memory for it.
    pub(super) fn decoded_len(self, body: &[u8]) -> u64 {
        let len = match self {
            Self::Identity => body.len(),
            Self::QuotedPrintable => quoted_printable(body).len(),
            Self::Base64 => base64_len(body),
        };
        len as u64
    }

    /// Whether the body keeps to its encoding.
    pub(super) fn is_clean(self, body: &[u8]) -> bool {
        match self {
            Self::Base64 => {
                body.iter().all(|&b| sextet(b).is_some() || matches!(b, b'=' | b'\r' | b'\n' | b' ' | b'\t'))
            }
            _ => true,
        }
    }
}

/// Base64 of mail: line ends anywhere (RFC 2045 §6.8). The quick way takes well-formed bodies at some GB/s.
fn base64(body: &[u8]) -> Vec<u8> {
    let mut stripped = without_line_ends(body);
    match base64_simd::STANDARD.decode_inplace(&mut stripped).map(|decoded| decoded.len()) {
        Ok(len) => {
            stripped.truncate(len);
            stripped
        }
        Err(_) => base64_lenient(body),
    }
}

fn without_line_ends(body: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(body.len());
    let mut start = 0;
    for end in memchr::memchr2_iter(b'\r', b'\n', body) {
        result.extend_from_slice(body.get(start..end).unwrap_or_default());
        start = end + 1;
    }
    result.extend_from_slice(body.get(start..).unwrap_or_default());
    result
}

/// RFC 2045 §6.8: other characters are ignored. Padding ends a group, not the body, because some writers join
/// encoded pieces.
fn base64_lenient(body: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(body.len() / 4 * 3);
    let mut group = Group::default();
    body.iter().for_each(|byte| group.take(*byte, &mut result));
    result
}

/// Four characters of base64 on their way to three bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    bits: u32,
    count: u32,
}

impl Group {
    fn take(&mut self, byte: u8, result: &mut Vec<u8>) {
        if byte == b'=' {
            *self = Self::default();
        } else if let Some(six) = sextet(byte) {
            self.bits = (self.bits << 6) | u32::from(six);
            self.count += 6;
            if self.count >= 8 {
                self.count -= 8;
                result.push(((self.bits >> self.count) & 0xff) as u8);
            }
        }
    }
}

/// A line of quoted-printable that is longer is decoded in pieces (RFC 2045 §6.7: 76 characters).
const LONGEST_LINE: usize = 64 << 10;

/// Decodes a body that comes in pieces. Memory: a few pieces.
#[derive(Debug)]
pub(super) struct Decoder {
    encoding: Encoding,
    group: Group,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
}

impl Decoder {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self { encoding, group: Group::default(), line: Vec::new() }
    }

    /// Adds what a piece decodes to.
    pub(super) fn feed(&mut self, piece: &[u8], result: &mut Vec<u8>) {
        match self.encoding {
            Encoding::Identity => result.extend_from_slice(piece),
            Encoding::Base64 => self.base64(piece, result),
            Encoding::QuotedPrintable => {
                self.line.extend_from_slice(piece);
                let end = memchr::memrchr(b'\n', &self.line).map_or(0, |at| at + 1);
                let end = if self.line.len() - end > LONGEST_LINE { self.line.len() } else { end };
                let rest = self.line.split_off(end);
                result.append(&mut quoted_printable(&self.line));
                self.line = rest;
            }
        }
    }

    /// Adds what is left behind the last piece.
    pub(super) fn finish(&mut self, result: &mut Vec<u8>) {
        result.append(&mut quoted_printable(&std::mem::take(&mut self.line)));
    }

    /// The quick way from one whole group to another, the lenient one for the rest and where it does not go.
    fn base64(&mut self, piece: &[u8], result: &mut Vec<u8>) {
        let mut stripped = &without_line_ends(piece)[..];
        while self.group.count > 0
            && let Some((first, rest)) = stripped.split_first()
        {
            self.group.take(*first, result);
            stripped = rest;
        }
        let (whole, rest) = stripped.split_at(stripped.len() / 4 * 4);
        let rest = match base64_simd::STANDARD.decode_to_vec(whole) {
            Ok(mut decoded) => {
                result.append(&mut decoded);
                rest
            }
            Err(_) => stripped,
        };
        rest.iter().for_each(|byte| self.group.take(*byte, result));
    }
}

/// Length of what [`base64`] gives.
fn base64_len(body: &[u8]) -> usize {
    let group = |part: &[u8]| part.iter().filter(|&&b| sextet(b).is_some()).count() * 6 / 8;
    body.split(|&b| b == b'=').map(group).sum()
}

/// RFC 4648 §4.
fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// RFC 2045 §6.7. What is no valid escape stays as it is, as the note at its end advises.
fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(body.len());
    for line in body.split_inclusive(|&b| b == b'\n') {
        let (text, end) = match (line.strip_suffix(b"\r\n"), line.strip_suffix(b"\n")) {
            (Some(text), _) => (text, &b"\r\n"[..]),
            (None, Some(text)) => (text, &b"\n"[..]),
            (None, None) => (line, &b""[..]),
        };
        // Rule 3: white space at the end of a line was added on the way.
        let text = text.trim_ascii_end();
        // Rule 5: a last "=" is a soft line break.
        let (text, end) = text.strip_suffix(b"=").map_or((text, end), |soft| (soft, &b""[..]));
        unescape_line(text, &mut result);
        result.extend_from_slice(end);
    }
    result
}

fn unescape_line(mut text: &[u8], result: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'=', text) {
        let (head, tail) = text.split_at(at);
        result.extend_from_slice(head);
        let byte = tail.get(1).zip(tail.get(2)).and_then(|(&high, &low)| Some(nibble(high)? << 4 | nibble(low)?));
        let (written, used) = byte.map_or((b'=', 1), |byte| (byte, 3));
        result.push(written);
        text = tail.get(used..).unwrap_or_default();
    }
    result.extend_from_slice(text);
}

/// Rule 1 asks for capitals; small letters are common.
fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// How a text came to be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    /// As labelled.
    Known,
    /// The label is missing or unknown and some byte is above 127: UTF-8 if it reads as such, else windows-1252.
    Guessed,
    /// The bytes do not fit the label.
    Broken,
}

/// Text in UTF-8, without byte order mark.
pub(super) fn to_utf8(bytes: &[u8], label: Option<&str>) -> (String, Charset) {
    let label = label.unwrap_or_default().trim().to_ascii_lowercase();
    let (text, charset) = match label.as_str() {
        // The parser's tables leave out what needs no table.
        "utf-8" | "utf8" | "unicode-1-1-utf-8" | "cp65001" | "x-utf-8" => utf8(bytes),
        // Not known to the tables; the rest of the names are IANA's and their usual misspellings.
        "unicode-1-1-utf-7" => labelled(bytes, "utf-7"),
        // RFC 2046 §4.1.2: US-ASCII is the default, and a lie where a byte is above 127.
        "" | "us-ascii" | "ascii" | "unknown-8bit" | "x-unknown" | "binary" | "8bit" | "7bit" => guess(bytes),
        label => labelled(bytes, label),
    };
    match text.strip_prefix('\u{feff}') {
        Some(rest) => (rest.to_owned(), charset),
        None => (text, charset),
    }
}

fn labelled(bytes: &[u8], label: &str) -> (String, Charset) {
    let Some(decoder) = charset_decoder(label.as_bytes()) else {
        let (text, _) = guess(bytes);
        return (text, Charset::Guessed);
    };
    let text = decoder(bytes);
    let broken = text.contains('\u{fffd}') && memchr::memmem::find(bytes, "\u{fffd}".as_bytes()).is_none();
    (text, if broken { Charset::Broken } else { Charset::Known })
}

/// RFC 3629 §3: what is no UTF-8 is shown as such.
fn utf8(bytes: &[u8]) -> (String, Charset) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), Charset::Known),
        Err(_) => (String::from_utf8_lossy(bytes).into_owned(), Charset::Broken),
    }
}

fn guess(bytes: &[u8]) -> (String, Charset) {
    let charset = if bytes.is_ascii() { Charset::Known } else { Charset::Guessed };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    };
    (text, charset)
}
