//! From a checked [`Draft`] to the bytes of a message (RFC 5322, MIME of RFC 2045 to 2049).
//!
//! One validating layer over `mail-builder`: what a tenant hands in is checked *before* a byte is written, because
//! the builder itself writes a CR LF in a header name or Message-ID as it comes. Pure: the same draft gives the same
//! bytes, so a retry after a crash sends what was stored. Bcc is not a field here; it belongs to the envelope only
//! (RFC 5322 §3.6.3).

mod address;
mod body;
mod content_type;
mod fields;
mod raw;
#[cfg(test)]
mod tests;

pub use address::{AddrSpec, addr_spec};
pub(crate) use content_type::is_media_type;
pub(crate) use fields::is_bare_id;
pub use raw::{Raw, raw};

use crate::model::Address as Mailbox;
use crate::model::send::{Disposition, Priority};
use bytes::Bytes;
use mail_builder::MessageBuilder;
use time::OffsetDateTime;

/// A file that goes with the message.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Name as the reader shall see it, at most 255 bytes; may be empty.
    pub filename: String,
    /// Media type, parameters allowed; empty = by the file name's extension, else by its first bytes, else `application/octet-stream`.
    pub content_type: String,
    /// The decoded bytes.
    pub content: Bytes,
    /// Beside the message or in it.
    pub disposition: Disposition,
    /// Content id without angle brackets (RFC 2392 §2).
    pub content_id: Option<String>,
}

/// What a message is made of. Only the subject, one body and one recipient field may be empty.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// Author.
    pub from: &'a Mailbox,
    /// Who sends for the author, if another (RFC 5322 §3.6.2).
    pub sender: Option<&'a Mailbox>,
    /// Where answers go.
    pub reply_to: &'a [Mailbox],
    /// Recipients.
    pub to: &'a [Mailbox],
    /// Recipients of copies.
    pub cc: &'a [Mailbox],
    /// Subject in clear text.
    pub subject: &'a str,
    /// Plain text body.
    pub text: Option<&'a str>,
    /// HTML body.
    pub html: Option<&'a str>,
    /// Further header fields, each with its values in order.
    pub headers: &'a [(String, Vec<String>)],
    /// Priority, if the sender named one.
    pub priority: Option<Priority>,
    /// Files.
    pub attachments: &'a [Attachment],
    /// With or without angle brackets. Also the seed of the MIME boundaries.
    pub message_id: &'a str,
    /// Value of the Date field, written in UTC.
    pub date: OffsetDateTime,
    /// Message-IDs of what this message answers.
    pub in_reply_to: &'a [String],
    /// Message-IDs of the thread, oldest first.
    pub references: &'a [String],
    /// An invitation that calendars read beside the bodies (RFC 6047 §2.4).
    pub calendar: Option<Calendar<'a>>,
}

/// A calendar as one of the renderings of a message.
#[derive(Clone, Copy, Debug)]
pub struct Calendar<'a> {
    /// METHOD of the calendar, which the part's type has to repeat (RFC 6047 §2.4): letters and hyphens.
    pub method: &'a str,
    /// VCALENDAR (RFC 5545 §3.4).
    pub ics: &'a str,
}

/// A finished message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composed {
    /// CR LF lines of at most 998 bytes, no bare CR or LF, no NUL.
    pub bytes: Vec<u8>,
    /// Some byte is above 127: the server has to offer 8BITMIME (RFC 6152 §3).
    pub needs_8bit: bool,
    /// Some address has a non-ASCII local part: the server has to offer SMTPUTF8 (RFC 6531 §3.2).
    pub needs_smtputf8: bool,
}

/// What a caller has to change before the draft can be a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct ComposeError {
    /// JSON pointer (RFC 6901 §3) into the send request, such as `/headers/0/name`.
    pub pointer: String,
    /// `invalid_header`, `invalid_address`, `invalid_subject`, `invalid_message_id`, `invalid_attachment`,
    /// `invalid_content_type`.
    pub code: &'static str,
    /// What to change.
    pub detail: String,
}

impl ComposeError {
    fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, detail: detail.into() }
    }
}

/// Longest line without its CR LF (RFC 5322 §2.1.1).
const MAX_LINE: usize = 998;

/// Writes the message.
///
/// # Errors
/// The first thing that the caller has to change, by its place in the request.
pub fn compose(draft: &Draft<'_>) -> Result<Composed, ComposeError> {
    let fields = fields::fields(draft)?;
    let mut builder = MessageBuilder::new();
    for (name, value) in fields.list {
        builder = builder.header(name, value);
    }
    let (body, files) = body::body(draft)?;
    let mut bytes = Vec::new();
    builder.body(body).serialize(&mut bytes);
    let mut bytes = files.write(bytes);
    // Every line of a message ends in CR LF, the last one too (RFC 5322 §2.3).
    if !bytes.ends_with(b"\r\n") {
        bytes.extend_from_slice(b"\r\n");
    }
    check_wire(&bytes)?;
    let needs_8bit = !bytes.is_ascii();
    Ok(Composed { bytes, needs_8bit, needs_smtputf8: fields.smtputf8 })
}

/// The net under all checks before: no byte sequence leaves that a server could read as another message
/// (RFC 5321 §2.3.8 forbids bare CR and LF, RFC 5322 §2.1.1 long lines).
fn check_wire(bytes: &[u8]) -> Result<(), ComposeError> {
    let clean = bytes.split_inclusive(|&b| b == b'\n').all(|line| {
        line.strip_suffix(b"\r\n")
            .is_some_and(|text| text.len() <= MAX_LINE && !text.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')))
    });
    if clean {
        return Ok(());
    }
    Err(ComposeError::new("", "invalid_header", "some value cannot be written in lines of 998 bytes; shorten it"))
}

/// Every kind of line end becomes CR LF (RFC 2046 §4.1.1).
fn crlf(text: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len() + text.len() / 32);
    let mut after_cr = false;
    for &byte in text {
        match byte {
            b'\n' if after_cr => {}
            b'\r' | b'\n' => result.extend_from_slice(b"\r\n"),
            byte => result.push(byte),
        }
        after_cr = byte == b'\r';
    }
    result
}
