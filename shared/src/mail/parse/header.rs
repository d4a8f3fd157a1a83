//! Header fields of strangers: decoded (RFC 2047, RFC 2231, RFC 6532), cleaned and cut to size.

use super::decode::{Charset, Encoding, to_utf8};
use super::{Mailbox, Parsed, cut};
use crate::mail::compose::is_bare_id;
use mail_parser::{Address, HeaderName, HeaderValue, Message, MessageParser, MimeHeaders};
use std::borrow::Cow;
use std::sync::LazyLock;
use time::OffsetDateTime;

/// What is read of a header; servers commonly take 64 KB.
const MAX_BLOCK: usize = 256 * 1024;
/// Longest subject (RFC 5322 §2.1.1: one line).
const MAX_SUBJECT: usize = 998;
/// Longest display name that is kept.
const MAX_NAME: usize = 256;
/// Longest address that is kept; longer ones are no paths (RFC 5321 §4.5.3.1.3) but occur.
const MAX_ADDRESS: usize = 320;
/// Addresses of all fields together, in number and bytes.
const MAX_ADDRESSES: usize = 200;
const ADDRESS_BUDGET: usize = 8 * 1024;
/// What an address costs beside its own bytes, in a row.
const ADDRESS_COST: usize = 24;
/// Bytes of References and of In-Reply-To.
const REFERENCE_BUDGET: usize = 4 * 1024;
/// Fields that are handed out, and the longest value.
const MAX_FIELDS: usize = 500;
const MAX_VALUE: usize = 8 * 1024;

static FIELDS: LazyLock<MessageParser> = LazyLock::new(|| {
    MessageParser::new()
        .with_minimal_headers()
        .with_message_ids()
        .header_text(HeaderName::AutoSubmitted)
        .header_text(HeaderName::ListId)
});
/// The map must not be empty, or the default for all fields is not used.
static DECODED: LazyLock<MessageParser> =
    LazyLock::new(|| MessageParser::new().header_text(HeaderName::Subject).default_header_text());
static PART: LazyLock<MessageParser> = LazyLock::new(|| MessageParser::new().with_mime_headers());

/// A header in UTF-8: lines that are not are read in the charset that the
/// message names, or as windows-1252.
fn block(header: &[u8]) -> Cow<'_, [u8]> {
    let header = header.get(..MAX_BLOCK).unwrap_or(header);
    if !is_raw_8bit(header) {
        // The parser loses a last line that has no end.
        return if header.ends_with(b"\n") { header.into() } else { [header, b"\n"].concat().into() };
    }
    let message = PART.parse_headers(header);
    let label = message.as_ref().and_then(|m| m.content_type()).and_then(|ct| ct.attribute("charset"));
    let mut result = Vec::with_capacity(header.len() * 2);
    for line in header.split_inclusive(|&b| b == b'\n') {
        match std::str::from_utf8(line) {
            Ok(_) => result.extend_from_slice(line),
            Err(_) => result.extend_from_slice(legacy(line, label).as_bytes()),
        }
    }
    result.push(b'\n');
    result.into()
}

/// RFC 6532 §3.1: a header is UTF-8 or nothing.
fn is_raw_8bit(header: &[u8]) -> bool {
    std::str::from_utf8(header).is_err()
}

fn legacy(line: &[u8], label: Option<&str>) -> String {
    match to_utf8(line, label) {
        (text, Charset::Known) => text,
        _ => to_utf8(line, Some("windows-1252")).0,
    }
}

/// What the header of one part says about its body.
#[derive(Debug)]
pub(super) struct PartHeader {
    pub(super) content_type: Option<String>,
    pub(super) charset: Option<String>,
    pub(super) filename: Option<String>,
    /// Content-Disposition, if it is there: whether it is `inline`.
    pub(super) inline: Option<bool>,
    pub(super) content_id: Option<String>,
    pub(super) encoding: Encoding,
    /// Content-Transfer-Encoding is one of RFC 2045 §6.1 or absent.
    pub(super) encoding_known: bool,
}

/// Reads the header of a part.
pub(super) fn part_header(header: &[u8]) -> PartHeader {
    let block = block(header);
    let message = PART.parse_headers(block.as_ref()).unwrap_or_default();
    let root = message.parts.first();
    let content_type = root.and_then(|p| p.content_type());
    let word = root.and_then(|p| p.content_transfer_encoding()).unwrap_or_default();
    let (encoding, encoding_known) = Encoding::from_word(word);
    PartHeader {
        content_type: content_type.map(|ct| media_type(ct.ctype(), ct.subtype())),
        charset: content_type.and_then(|ct| ct.attribute("charset")).map(str::to_owned),
        filename: root.and_then(|p| p.attachment_name()).map(str::to_owned),
        // RFC 2183 §2.8: an unknown word means attachment.
        inline: root.and_then(|p| p.content_disposition()).map(|cd| cd.is_inline()),
        content_id: root.and_then(|p| p.content_id()).map(|id| tidy(id, MAX_NAME)).filter(|id| !id.is_empty()),
        encoding,
        encoding_known,
    }
}

fn media_type(kind: &str, subtype: Option<&str>) -> String {
    let text = format!("{kind}/{}", subtype.unwrap_or("plain"));
    tidy(&text, 127).to_ascii_lowercase() // RFC 6838 §4.2: 127 characters
}

/// Fills what the header of the message says.
pub(super) fn fill(header: &[u8], parsed: &mut Parsed) {
    let block = block(header);
    if is_raw_8bit(header) {
        parsed.defect("raw_8bit_header", "a header field has bytes that are not UTF-8");
    }
    let Some(message) = FIELDS.parse_headers(block.as_ref()) else {
        return;
    };
    let text = |name: &HeaderName<'_>| first(&message, name).and_then(HeaderValue::as_text);
    parsed.header_count = u32::try_from(message.headers().len()).unwrap_or(u32::MAX);
    parsed.subject = tidy(text(&HeaderName::Subject).unwrap_or_default(), MAX_SUBJECT);
    parsed.auto_submitted = text(&HeaderName::AutoSubmitted).map(|value| tidy(value, 100));
    parsed.list_id = text(&HeaderName::ListId).map(list_id);
    fill_date(&message, parsed);
    fill_addresses(&message, parsed);
    fill_ids(&message, parsed);
    find_duplicates(&message, parsed);
}

/// The first of a field that may occur once (RFC 5322 §3.6): what most readers show.
fn first<'m>(message: &'m Message<'_>, name: &HeaderName<'_>) -> Option<&'m HeaderValue<'m>> {
    message.headers().iter().find(|header| header.name == *name).map(|header| &header.value)
}

/// RFC 2919 §3: the id stands between angle brackets, behind a description.
fn list_id(value: &str) -> String {
    let id = value.rsplit_once('<').and_then(|(_, rest)| rest.split('>').next()).unwrap_or(value);
    tidy(id, 255)
}

fn fill_date(message: &Message<'_>, parsed: &mut Parsed) {
    let Some(value) = first(message, &HeaderName::Date) else {
        return parsed.defect("missing_date", "there is no Date field");
    };
    // RFC 5322 §3.3
    let date = value.as_datetime().filter(|date| date.is_valid());
    parsed.date = date.and_then(|date| OffsetDateTime::from_unix_timestamp(date.to_timestamp()).ok());
    if parsed.date.is_none() {
        parsed.defect("invalid_date", "the Date field is no date");
    }
}

fn fill_addresses(message: &Message<'_>, parsed: &mut Parsed) {
    let mut budget = Budget { count: MAX_ADDRESSES, bytes: ADDRESS_BUDGET, dropped: 0 };
    let mut take = |name: HeaderName<'_>| {
        let values = message.headers().iter().filter(|header| header.name == name);
        let lists = values.filter_map(|header| match &header.value {
            HeaderValue::Address(list) => Some(list),
            _ => None,
        });
        let mut result = Vec::new();
        for list in lists {
            budget.add(list, &mut result);
        }
        result
    };
    parsed.from = take(HeaderName::From);
    parsed.reply_to = take(HeaderName::ReplyTo);
    parsed.to = take(HeaderName::To);
    parsed.cc = take(HeaderName::Cc);
    let dropped = budget.dropped;
    if dropped > 0 {
        parsed.defect("cut", format!("{dropped} addresses are left out"));
    }
    if parsed.from.is_empty() {
        parsed.defect("missing_from", "there is no From field with an address");
    }
}

struct Budget {
    count: usize,
    bytes: usize,
    dropped: usize,
}

impl Budget {
    /// Groups (RFC 5322 §3.4) give their members.
    fn add(&mut self, list: &Address<'_>, result: &mut Vec<Mailbox>) {
        for addr in list.iter() {
            let name = addr.name().map(display_name).filter(|name| !name.is_empty());
            let mailbox = Mailbox { name, address: tidy(addr.address().unwrap_or_default(), MAX_ADDRESS) };
            let cost = ADDRESS_COST + mailbox.address.len() + mailbox.name.as_ref().map_or(0, String::len);
            if mailbox.address.is_empty() && mailbox.name.is_none() {
                continue;
            }
            if self.count == 0 || cost > self.bytes {
                self.dropped += 1;
                continue;
            }
            self.count -= 1;
            self.bytes -= cost;
            result.push(mailbox);
        }
    }
}

/// Without direction overrides, which make one name look like another.
fn display_name(name: &str) -> String {
    let plain: String =
        name.chars().filter(|c| !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')).collect();
    tidy(&plain, MAX_NAME)
}

/// RFC 5322 §3.6.4. Ids that could not be written into an answer are left out.
fn fill_ids(message: &Message<'_>, parsed: &mut Parsed) {
    let mut bad = 0_usize;
    let mut take = |name: HeaderName<'_>| {
        let mut ids = Vec::new();
        let listed: Vec<&str> = match first(message, &name) {
            Some(HeaderValue::Text(id)) => vec![id.as_ref()],
            Some(HeaderValue::TextList(list)) => list.iter().map(AsRef::as_ref).collect(),
            _ => Vec::new(),
        };
        for id in listed {
            if is_bare_id(id) { ids.push(format!("<{id}>")) } else { bad += 1 }
        }
        ids
    };
    parsed.message_id = take(HeaderName::MessageId).into_iter().next();
    parsed.in_reply_to = newest(take(HeaderName::InReplyTo));
    parsed.references = newest(take(HeaderName::References));
    if bad > 0 {
        parsed.defect("invalid_message_id", format!("{bad} message ids are left out"));
    }
}

/// The first id, which names the thread, and as many of the last as fit.
fn newest(mut ids: Vec<String>) -> Vec<String> {
    let mut room = REFERENCE_BUDGET.saturating_sub(ids.first().map_or(0, String::len));
    let fits = |id: &&String| {
        let fits = id.len() <= room;
        room = room.saturating_sub(id.len());
        fits
    };
    let kept = ids.iter().skip(1).rev().take_while(fits).count();
    if kept + 1 < ids.len() {
        ids.drain(1..ids.len() - kept);
    }
    ids
}

/// RFC 5322 §3.6: at most one of each.
fn find_duplicates(message: &Message<'_>, parsed: &mut Parsed) {
    let single = [
        HeaderName::Date,
        HeaderName::From,
        HeaderName::Subject,
        HeaderName::MessageId,
        HeaderName::To,
        HeaderName::Cc,
        HeaderName::ReplyTo,
        HeaderName::InReplyTo,
        HeaderName::References,
    ];
    for name in single {
        let count = message.headers().iter().filter(|header| header.name == name).count();
        if count > 1 {
            parsed.defect("duplicate_field", format!("{} stands {count} times", name.as_str()));
        }
    }
}

/// All fields in order, names as they were written, values unfolded and decoded.
pub(super) fn list(header: &[u8]) -> Vec<(String, String)> {
    let block = block(header);
    let Some(message) = DECODED.parse_headers(block.as_ref()) else {
        return Vec::new();
    };
    let field = |header: &mail_parser::Header<'_>| {
        let range = header.offset_field as usize..header.offset_start as usize;
        let name = String::from_utf8_lossy(block.get(range).unwrap_or_default());
        (tidy(name.trim_end_matches(':'), 255), tidy(header.value.as_text().unwrap_or_default(), MAX_VALUE))
    };
    message.headers().iter().take(MAX_FIELDS).map(field).collect()
}

/// Without control characters and outer white space, at most `max` bytes.
pub(super) fn tidy(text: &str, max: usize) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    cut(text.trim(), max).to_owned()
}
