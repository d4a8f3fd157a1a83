//! A finished message of the caller's, held to the rules of our own: no field that splits, none that only a mail server
//! may write, no Bcc, canonical line ends.

use mail_parser::{Address, HeaderName, HeaderValue, Message, MessageParser};
use time::OffsetDateTime;

use super::fields::{is_bare_id, is_field_name};
use super::{ComposeError, MAX_LINE, Mailbox, addr_spec, crlf};

/// Fields that only a mail server writes; `Resent-*`, `DKIM-*` and `ARC-*` are refused as families.
const FOREIGN: [&str; 5] = ["received", "received-spf", "return-path", "delivered-to", "authentication-results"];
const FOREIGN_FAMILIES: [&str; 3] = ["dkim-", "arc-", "resent-"];

/// Fields that may stand once (RFC 5322 §3.6).
const ONCE: [&str; 13] = [
    "date",
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "message-id",
    "in-reply-to",
    "references",
    "subject",
    "mime-version",
    "content-type",
];

/// Longest header; servers commonly refuse more.
const MAX_HEADER: usize = 64 << 10;

/// A message that may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// CR LF lines of at most 998 bytes, without Bcc, with Date and Message-ID.
    pub bytes: Vec<u8>,
    /// Its one author.
    pub from: Mailbox,
    /// Who sends for the author, if the message says so.
    pub sender: Option<Mailbox>,
    /// Whom it names: To, Cc and Bcc, each mailbox once.
    pub recipients: Vec<Mailbox>,
    /// With its angle brackets.
    pub message_id: String,
    /// Decoded.
    pub subject: Option<String>,
}

fn wrong(code: &'static str, detail: impl Into<String>) -> ComposeError {
    ComposeError::new("/raw", code, detail)
}

/// Checks and completes a message. `own_id` gives the Message-ID where it has none.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn raw(given: &[u8], own_id: impl FnOnce(&Mailbox) -> String, date: OffsetDateTime) -> Result<Raw, ComposeError> {
    if given.contains(&0) {
        return Err(wrong("invalid_message", "a message holds no NUL (RFC 5322 §2.1)"));
    }
    let mut text = crlf(given);
    if !text.ends_with(b"\r\n") {
        text.extend_from_slice(b"\r\n");
    }
    if let Some(line) = text.split(|byte| *byte == b'\n').find(|line| line.len() > MAX_LINE + 1) {
        let detail = format!("a line has {} bytes; encode the part, a line has at most {MAX_LINE}", line.len() - 1);
        return Err(wrong("invalid_message", detail));
    }
    let end = memchr::memmem::find(&text, b"\r\n\r\n").map_or(text.len(), |at| at + 2);
    let (header, body) = text.split_at(end);
    let fields = fields(header)?;
    let read = MessageParser::default().parse_headers(header).unwrap_or_default();
    let from = one(mailboxes(&read, &HeaderName::From)?).filter(|_| is_plain(&fields, "from"));
    let from = from.ok_or_else(|| wrong("invalid_address", "From names exactly one address"))?;
    let sender = one(mailboxes(&read, &HeaderName::Sender)?).filter(|_| is_plain(&fields, "sender"));
    if sender.is_none() && fields.iter().any(|field| field.name == "sender") {
        return Err(wrong("invalid_address", "Sender names exactly one address (RFC 5322 §3.6.2)"));
    }
    let mut recipients: Vec<Mailbox> = Vec::new();
    for name in [HeaderName::To, HeaderName::Cc, HeaderName::Bcc] {
        for mailbox in mailboxes(&read, &name)? {
            if !recipients.iter().any(|known| known.same_mailbox(&mailbox.address)) {
                recipients.push(mailbox);
            }
        }
    }
    let given_id = given_id(&fields)?;
    let message_id = given_id.clone().unwrap_or_else(|| own_id(&from));
    let mut bytes = Vec::with_capacity(text.len() + 200);
    for field in fields.iter().filter(|field| field.name != "bcc") {
        bytes.extend_from_slice(field.text);
    }
    if !fields.iter().any(|field| field.name == "date") {
        let date = mail_builder::headers::date::Date::new(date.unix_timestamp()).to_rfc822();
        bytes.extend_from_slice(format!("Date: {date}\r\n").as_bytes());
    }
    if given_id.is_none() {
        bytes.extend_from_slice(format!("Message-ID: {message_id}\r\n").as_bytes());
    }
    bytes.extend_from_slice(if body.is_empty() { b"\r\n" } else { body });
    let subject = read.subject().map(str::to_owned);
    Ok(Raw { bytes, from, sender, recipients, message_id, subject })
}

/// One field as it stands, with its line ends.
struct Field<'a> {
    /// In lower case.
    name: String,
    value: &'a str,
    text: &'a [u8],
}

/// Reads and checks the header.
fn fields(header: &[u8]) -> Result<Vec<Field<'_>>, ComposeError> {
    if header.len() > MAX_HEADER {
        return Err(wrong("invalid_header", format!("the header has over {MAX_HEADER} bytes")));
    }
    let header = std::str::from_utf8(header)
        .map_err(|_| wrong("invalid_header", "the header is ASCII or UTF-8 (RFC 6532 §3.2)"))?;
    let mut fields: Vec<Field<'_>> = Vec::new();
    let mut rest = header;
    while !rest.is_empty() {
        let (text, later) = rest.split_at(field_end(rest));
        rest = later;
        let field = field(text)?;
        if ONCE.contains(&field.name.as_str()) && fields.iter().any(|earlier| earlier.name == field.name) {
            return Err(wrong("invalid_header", format!("{} may stand once (RFC 5322 §3.6)", field.name)));
        }
        fields.push(field);
    }
    Ok(fields)
}

/// Behind the first line that the next one does not continue (RFC 5322 §2.2.3).
fn field_end(text: &str) -> usize {
    memchr::memmem::find_iter(text.as_bytes(), b"\r\n")
        .map(|at| at + 2)
        .find(|end| !matches!(text.as_bytes().get(*end), Some(b' ' | b'\t')))
        .unwrap_or(text.len())
}

fn field(text: &str) -> Result<Field<'_>, ComposeError> {
    let no_field =
        || wrong("invalid_header", "the header ends at its first empty line, and each line of it is a field");
    let (name, value) = text.split_once(':').ok_or_else(no_field)?;
    if !is_field_name(name) {
        return Err(no_field());
    }
    let name = name.to_ascii_lowercase();
    if FOREIGN.contains(&name.as_str()) || FOREIGN_FAMILIES.iter().any(|family| name.starts_with(family)) {
        return Err(wrong("invalid_header", format!("{name} is written by mail servers; leave it out")));
    }
    let unfolded = value.replace("\r\n", "");
    let blank = value.split("\r\n").skip(1).any(|line| !line.is_empty() && line.trim().is_empty());
    if blank || unfolded.chars().any(|c| c.is_control() && c != '\t') {
        return Err(wrong("invalid_header", format!("{name} holds control characters or an empty line")));
    }
    Ok(Field { name, value, text: text.as_bytes() })
}

/// The Message-ID that the message has.
fn given_id(fields: &[Field<'_>]) -> Result<Option<String>, ComposeError> {
    let Some(field) = fields.iter().find(|field| field.name == "message-id") else {
        return Ok(None);
    };
    let id = field.value.replace("\r\n", "");
    let id = id.trim();
    let bare = id.strip_prefix('<').and_then(|id| id.strip_suffix('>'));
    match bare.filter(|id| is_bare_id(id)) {
        Some(_) => Ok(Some(id.to_owned())),
        None => Err(wrong("invalid_message_id", "Message-ID has the form <left@right>, or leave it out")),
    }
}

/// Whether a field can be read in one way only: beside quoted names it holds one `@`, and nothing behind its `>`.
/// Readers differ in what they take from two addresses and in comments (RFC 5322 §3.2.2), and one of them decides
/// whose name a reader sees.
fn is_plain(fields: &[Field<'_>], name: &str) -> bool {
    let Some(field) = fields.iter().find(|field| field.name == name) else {
        return false;
    };
    let (mut bare, mut quoted, mut escaped) = (String::new(), false, false);
    for c in field.value.replace("\r\n", "").chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if !quoted => bare.push(c),
            _ => {}
        }
    }
    let (bare, count) = (bare.trim(), |c| bare.matches(c).count());
    let pointed = count('<') == 1 && count('>') == 1 && bare.ends_with('>');
    let unpointed = count('<') == 0 && count('>') == 0;
    !quoted && (pointed || unpointed) && count('@') == 1 && !bare.contains(['(', ')', ',', ';', ':', '\\'])
}

fn one(mut mailboxes: Vec<Mailbox>) -> Option<Mailbox> {
    mailboxes.pop().filter(|_| mailboxes.is_empty())
}

/// The mailboxes of a field, groups resolved (RFC 5322 §3.4).
fn mailboxes(message: &Message<'_>, name: &HeaderName<'_>) -> Result<Vec<Mailbox>, ComposeError> {
    let lists =
        message.headers().iter().filter(|header| header.name == *name).filter_map(|header| match &header.value {
            HeaderValue::Address(list) => Some(list),
            _ => None,
        });
    lists.flat_map(Address::iter).map(|found| mailbox(name, found)).collect()
}

fn mailbox(name: &HeaderName<'_>, found: &mail_parser::Addr<'_>) -> Result<Mailbox, ComposeError> {
    let address = found.address().unwrap_or_default();
    if let Err(detail) = addr_spec(address) {
        return Err(wrong("invalid_address", format!("{}: {address}: {detail}", name.as_str())));
    }
    let display = found.name().map(|name| name.chars().filter(|c| !c.is_control()).collect::<String>());
    let display = display.map(|name| name[..name.floor_char_boundary(256)].to_owned());
    Ok(Mailbox { name: display.filter(|name| !name.is_empty()), address: address.to_owned() })
}
