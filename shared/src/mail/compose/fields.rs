//! The header: which fields, in which order, with which values (RFC 5322 §3.6).

use super::address::mailbox;
use super::{ComposeError, Draft, Mailbox, Priority};
use mail_builder::headers::HeaderType;
use mail_builder::headers::address::Address;
use mail_builder::headers::date::Date;
use mail_builder::headers::message_id::MessageId;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;

/// Fields that have a place of their own in the request, or that only a mail server may write. `Resent-*`,
/// `Content-*`, `DKIM-*` and `ARC-*` are refused as families.
const RESERVED: [&str; 17] = [
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "received",
    "received-spf",
    "return-path",
    "delivered-to",
    "authentication-results",
    "x-priority",
    "importance",
];
const RESERVED_FAMILIES: [&str; 4] = ["content-", "dkim-", "arc-", "resent-"];

/// Longest field name: with ": " it must leave room on the first line (RFC 5322 §2.1.1).
const MAX_NAME: usize = 76;
/// Longest value; servers commonly refuse more than 64 KB of header in all.
const MAX_VALUE: usize = 8_192;
/// Longest word in a value that is folded at blanks only (RFC 5322 §2.2.3), below 998 with the longest name.
const MAX_WORD: usize = 900;
/// Longest Message-ID: one line with its brackets and the longest field name (RFC 5322 §2.1.1).
const MAX_ID: usize = 900;

/// The checked header.
pub(super) struct Fields {
    pub(super) list: Vec<(String, HeaderType<'static>)>,
    pub(super) smtputf8: bool,
}

impl Fields {
    fn push(&mut self, name: &str, value: impl Into<HeaderType<'static>>) {
        self.list.push((name.to_owned(), value.into()));
    }

    fn mailbox(&mut self, name: &str, pointer: &str, value: &Mailbox) -> Result<(), ComposeError> {
        let (address, smtputf8) = mailbox(pointer, value)?;
        self.smtputf8 |= smtputf8;
        self.push(name, address);
        Ok(())
    }

    fn mailboxes(&mut self, name: &str, pointer: &str, values: &[Mailbox]) -> Result<(), ComposeError> {
        let mut list = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let (address, smtputf8) = mailbox(&format!("{pointer}/{index}"), value)?;
            self.smtputf8 |= smtputf8;
            list.push(address);
        }
        if !list.is_empty() {
            self.push(name, Address::new_list(list));
        }
        Ok(())
    }

    fn ids(&mut self, name: &str, pointer: &str, values: &[String]) -> Result<(), ComposeError> {
        let mut list = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            list.push(message_id(&format!("{pointer}/{index}"), value)?);
        }
        if !list.is_empty() {
            self.push(name, MessageId::new_list(list.into_iter()));
        }
        Ok(())
    }
}

/// All fields but those of MIME.
pub(super) fn fields(draft: &Draft<'_>) -> Result<Fields, ComposeError> {
    let mut fields = Fields { list: Vec::new(), smtputf8: false };
    fields.push("Date", Date::new(draft.date.unix_timestamp()));
    fields.mailbox("From", "/from", draft.from)?;
    if let Some(sender) = draft.sender {
        fields.mailbox("Sender", "/sender", sender)?;
    }
    fields.mailboxes("Reply-To", "/replyTo", draft.reply_to)?;
    fields.mailboxes("To", "/to", draft.to)?;
    fields.mailboxes("Cc", "/cc", draft.cc)?;
    if draft.to.is_empty() && draft.cc.is_empty() {
        // All recipients are blind; an empty group says so (RFC 5322 §3.4, §3.6.3).
        fields.push("To", Raw::new("undisclosed-recipients:;"));
    }
    fields.push("Message-ID", MessageId::new(message_id("/messageId", draft.message_id)?));
    fields.ids("In-Reply-To", "/inReplyTo", draft.in_reply_to)?;
    fields.ids("References", "/references", draft.references)?;
    check_value("/subject", "invalid_subject", draft.subject)?;
    fields.push("Subject", unstructured(draft.subject.trim()));
    if let Some(priority) = draft.priority {
        let (number, word) = priority_words(priority);
        fields.push("X-Priority", Raw::new(number));
        fields.push("Importance", Raw::new(word)); // RFC 2156 §5.3.9
    }
    for (index, (name, values)) in draft.headers.iter().enumerate() {
        check_name(draft, &format!("/headers/{index}/name"), name)?;
        for (place, value) in values.iter().enumerate() {
            fields.push(name, custom_value(&format!("/headers/{index}/values/{place}"), value)?);
        }
    }
    Ok(fields)
}

fn priority_words(priority: Priority) -> (&'static str, &'static str) {
    match priority {
        Priority::High => ("1", "high"),
        Priority::Normal => ("3", "normal"),
        Priority::Low => ("5", "low"),
    }
}

/// A field name is made of ftext: printable ASCII without the colon (RFC 5322 §3.6.8).
fn check_name(draft: &Draft<'_>, pointer: &str, name: &str) -> Result<(), ComposeError> {
    let refuse = |detail: &str| Err(ComposeError::new(pointer, "invalid_header", detail));
    if !is_field_name(name) {
        return refuse("a header name has 1 to 76 printable ASCII characters and neither colon nor blank");
    }
    let lower = name.to_ascii_lowercase();
    if RESERVED.contains(&lower.as_str()) || RESERVED_FAMILIES.iter().any(|family| lower.starts_with(family)) {
        return refuse("this header is written by the service or by mail servers; use the field of the request");
    }
    // At most one of each (RFC 5322 §3.6).
    let taken = match lower.as_str() {
        "in-reply-to" => !draft.in_reply_to.is_empty(),
        "references" => !draft.references.is_empty(),
        _ => false,
    };
    if taken { refuse("this header is already set by the message that is answered") } else { Ok(()) }
}

/// RFC 5322 §2.2, in ASCII and of a length that leaves room for the value.
pub(super) fn is_field_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
}

/// No CR, LF, NUL or other control character in any value: what would split a field is refused, not repaired.
fn check_value(pointer: &str, code: &'static str, value: &str) -> Result<(), ComposeError> {
    if value.chars().any(char::is_control) {
        return Err(ComposeError::new(pointer, code, "remove line breaks, tabs and control characters"));
    }
    if value.len() > MAX_VALUE {
        return Err(ComposeError::new(pointer, code, "shorten the value to 8,192 bytes"));
    }
    Ok(())
}

/// ASCII goes out as it is, folded at blanks (RFC 5322 §2.2.3); the rest becomes encoded words (RFC 2047 §5).
fn unstructured(value: &str) -> HeaderType<'static> {
    if value.is_ascii() && !has_long_word(value) {
        Raw::new(value.to_owned()).into()
    } else {
        Text::new(value.to_owned()).into()
    }
}

fn has_long_word(value: &str) -> bool {
    value.split(' ').any(|word| word.len() > MAX_WORD)
}

/// The value of a field that may be structured, so that a long ASCII word cannot become an encoded word.
fn custom_value(pointer: &str, value: &str) -> Result<HeaderType<'static>, ComposeError> {
    check_value(pointer, "invalid_header", value)?;
    if value.is_ascii() && has_long_word(value) {
        let detail = "a word of more than 900 bytes cannot be folded; put a blank in it";
        return Err(ComposeError::new(pointer, "invalid_header", detail));
    }
    Ok(unstructured(value.trim()))
}

/// Without its angle brackets. Looser than RFC 5322 §3.6.4, because the ids of strangers have to be quoted as they
/// are, but nothing that could end the field.
fn message_id(pointer: &str, id: &str) -> Result<String, ComposeError> {
    let bare = id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id);
    if is_bare_id(bare) {
        return Ok(bare.to_owned());
    }
    let detail = "a message id has the form <left@right>, printable ASCII, no blank, at most 900 characters";
    Err(ComposeError::new(pointer, "invalid_message_id", detail))
}

/// What may stand between the angle brackets of an id that we write, be it of a message or of a part.
pub(crate) fn is_bare_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>')
}
