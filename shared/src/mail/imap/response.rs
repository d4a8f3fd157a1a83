//! What a line from the server is, without any input or output.
//!
//! Status lines, codes and literals are taken apart here, tolerantly; FETCH, LIST and STATUS go through imap-proto as
//! a pure function. Nothing else may: it panics on some status texts, and runs out of stack on deep nesting.

use imap_proto::{AttributeValue, MailboxDatum, Response, StatusAttribute};

/// The kinds of a status response (RFC 3501 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Ok,
    No,
    Bad,
    Preauth,
    Bye,
}

/// A status response (RFC 3501 §7.1): `OK [CODE argument] text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatusLine<'a> {
    pub(super) condition: Condition,
    /// The response code without its brackets, arguments included.
    pub(super) code: Option<&'a [u8]>,
    pub(super) text: &'a [u8],
}

impl<'a> StatusLine<'a> {
    /// Takes a line behind its tag or `*`; `None` for data. Text and even the blank before it may be absent.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let (word, rest) = word(line);
        let condition = match word.to_ascii_uppercase().as_slice() {
            b"OK" => Condition::Ok,
            b"NO" => Condition::No,
            b"BAD" => Condition::Bad,
            b"PREAUTH" => Condition::Preauth,
            b"BYE" => Condition::Bye,
            _ => return None,
        };
        let (code, text) = match bracketed(rest) {
            Some((code, text)) => (Some(code), text.trim_ascii_start()),
            None => (None, rest),
        };
        Some(Self { condition, code, text })
    }

    /// The argument of this response code, if that is the one here.
    pub(super) fn argument(&self, name: &str) -> Option<&'a [u8]> {
        let (code, argument) = word(self.code?);
        code.eq_ignore_ascii_case(name.as_bytes()).then_some(argument)
    }
}

/// The first word, and what stands behind the blank.
pub(super) fn word(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', line) {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, &[]),
    }
}

/// A code ends at the `]` before a blank or the end: Gmail's flags have brackets inside.
fn bracketed(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = text.strip_prefix(b"[")?;
    let end = memchr::memchr_iter(b']', inside).find(|&at| matches!(inside.get(at + 1), None | Some(b' ')))?;
    Some((&inside[..end], &inside[end + 1..]))
}

/// An unsigned decimal number, and nothing but digits.
pub(super) fn number<N: std::str::FromStr>(digits: &[u8]) -> Option<N> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

/// Whether a line ends with the announcement of a literal (RFC 3501 §4.3): where it begins, and its length. A length
/// beyond all numbers is the largest.
pub(super) fn literal(line: &[u8]) -> Option<(usize, u64)> {
    let inside = line.strip_suffix(b"}")?;
    let at = memchr::memrchr(b'{', inside)?;
    let digits = &inside[at + 1..];
    let is_length = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_length.then(|| (at, number(digits).unwrap_or(u64::MAX)))
}

/// Whether this is a FETCH response (RFC 3501 §7.4.2), literals aside.
pub(super) fn is_fetch(line: &[u8]) -> bool {
    let (sequence, rest) = word(line.strip_prefix(b"* ").unwrap_or_default());
    number::<u32>(sequence).is_some() && word(rest).0.eq_ignore_ascii_case(b"FETCH")
}

/// Whether the literal behind this text is a message: `BODY[]`, or `BODY[]<origin>` (RFC 3501 §7.4.2).
pub(super) fn announces_body(text: &[u8]) -> bool {
    let item = text.trim_ascii_end();
    let item = match item.strip_suffix(b">").and_then(|item| Some(&item[..memchr::memrchr(b'<', item)?])) {
        Some(without_origin) => without_origin,
        None => item,
    };
    item.len() > 6 && item[item.len() - 6..].eq_ignore_ascii_case(b"BODY[]") && is_fetch(text)
}

/// A parenthesised list of flags (RFC 3501 §7.2.6), as text.
pub(super) fn flags(list: &[u8]) -> Vec<String> {
    let list = list.trim_ascii();
    let inside = list.strip_prefix(b"(").and_then(|list| list.strip_suffix(b")")).unwrap_or(list);
    String::from_utf8_lossy(inside).split_ascii_whitespace().map(str::to_owned).collect()
}

/// The items of a FETCH response that we know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Items {
    pub(super) uid: Option<u32>,
    pub(super) size: Option<u64>,
    pub(super) flags: Option<Vec<String>>,
    pub(super) internal_date: Option<String>,
    pub(super) email_id: Option<String>,
    /// `BODY[]` was there; what was no literal is inside.
    pub(super) body: Option<Body>,
}

/// The item `BODY[]` or `BODY[]<origin>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) origin: Option<u32>,
    /// A quoted string's bytes (RFC 3501 §4.3); `None` for NIL. Empty where a literal stood.
    pub(super) quoted: Option<Vec<u8>>,
}

/// Items may nest this deep: `(FLAGS (…))` are two levels, and what we do not ask for is no business of ours.
const FETCH_DEPTH: usize = 4;

/// Reads a FETCH response whose message literal was replaced by `{0}`. Bytes that are not ASCII become `?`: they can
/// only stand in flags and in items we do not know.
pub(super) fn items(text: &[u8]) -> Option<Items> {
    if depth(text) > FETCH_DEPTH {
        return None;
    }
    let mut line: Vec<u8> = text.iter().map(|&byte| if byte.is_ascii() { byte } else { b'?' }).collect();
    line.extend_from_slice(b"\r\n");
    let Ok((_, Response::Fetch(_, attributes))) = Response::parse(&line) else { return None };
    let mut items = Items::default();
    for attribute in attributes {
        match attribute {
            AttributeValue::Uid(uid) => items.uid = Some(uid),
            AttributeValue::Rfc822Size(size) => items.size = Some(size.into()),
            // RFC 3501 §2.3.2: \Recent is the session's and no message's.
            AttributeValue::Flags(flags) => {
                let flags = flags.into_iter().map(String::from);
                items.flags = Some(flags.filter(|flag| !flag.eq_ignore_ascii_case(r"\Recent")).collect());
            }
            AttributeValue::InternalDate(date) => items.internal_date = Some(date.into_owned()),
            AttributeValue::EmailId(id) => items.email_id = Some(id.into_owned()),
            AttributeValue::BodySection { section: None, index, data } => {
                items.body = Some(Body { origin: index, quoted: data.map(|data| unquoted(&data)) });
            }
            _ => {}
        }
    }
    items.size = items.size.or_else(|| giant_size(text));
    Some(items)
}

/// RFC822.SIZE beyond 32 bits (RFC 9051 §9 has `number64`), which the parser drops.
fn giant_size(text: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"RFC822.SIZE ";
    let behind = &text[memchr::memmem::find(text, NAME)? + NAME.len()..];
    number(&behind[..behind.iter().position(|byte| !byte.is_ascii_digit())?])
}

/// How deep the parentheses nest outside quoted strings.
fn depth(text: &[u8]) -> usize {
    let (mut now, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'(' if !quoted => now += 1,
            b')' if !quoted => now = now.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(now);
    }
    deepest
}

/// The bytes of a quoted string's inside (RFC 3501 §4.3).
fn unquoted(inside: &[u8]) -> Vec<u8> {
    let mut escaped = false;
    let is_content = |byte: &&u8| {
        escaped = **byte == b'\\' && !escaped;
        !escaped
    };
    inside.iter().filter(is_content).copied().collect()
}

/// The items of a STATUS response (RFC 3501 §7.2.4).
pub(super) fn status_items(text: &[u8]) -> Option<Vec<StatusAttribute>> {
    match mailbox_datum(text, b"STATUS")? {
        MailboxDatum::Status { status, .. } => Some(status),
        _ => None,
    }
}

/// Reads a line of this kind with the parser, and hands it over as owned data.
pub(super) fn mailbox_datum(text: &[u8], kind: &[u8]) -> Option<MailboxDatum<'static>> {
    if !word(text.strip_prefix(b"* ")?).0.eq_ignore_ascii_case(kind) {
        return None;
    }
    match Response::parse(&[text, b"\r\n"].concat()) {
        Ok((_, Response::MailboxData(datum))) => Some(datum.into_owned()),
        _ => None,
    }
}
