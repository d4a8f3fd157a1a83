//! What FETCH asks for, and its response (RFC 3501 §6.4.5 and §7.4.2).

use bytes::Bytes;
use imap_codec::imap_types::core::AString;
use imap_codec::imap_types::fetch::{Macro, MacroOrMessageDataItemNames, MessageDataItemName, Section};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::store::Stored;

/// RFC 3501 §9, date-time
const INTERNAL_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[day padding:space]-[month repr:short]-[year] [hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
);

/// One item of a response.
#[derive(Debug)]
enum Item {
    Uid,
    Flags,
    InternalDate,
    Size,
    ModSeq,
    EmailId,
    Bytes { name: String, part: Part, partial: Option<(usize, usize)> },
}

/// Which bytes of a message.
#[derive(Debug)]
enum Part {
    Whole,
    Header,
    Text,
    Fields { names: Vec<Vec<u8>>, except: bool },
}

/// The items of one FETCH.
#[derive(Debug)]
pub(super) struct Items {
    items: Vec<Item>,
    mark_seen: bool,
}

impl Items {
    /// `None` if something is asked for that the sandbox does not have: ENVELOPE, BODYSTRUCTURE, MIME parts.
    pub(super) fn new(
        names: MacroOrMessageDataItemNames<'_>,
        uid: bool,
        changed: bool,
        email_id: bool,
    ) -> Option<Self> {
        let names = match names {
            MacroOrMessageDataItemNames::MessageDataItemNames(names) => names,
            MacroOrMessageDataItemNames::Macro(Macro::Fast) => {
                vec![MessageDataItemName::Flags, MessageDataItemName::InternalDate, MessageDataItemName::Rfc822Size]
            }
            MacroOrMessageDataItemNames::Macro(_) => return None,
        };
        // RFC 3501 §6.4.8: a UID command answers with the UID.
        let implied = uid && !names.contains(&MessageDataItemName::Uid);
        let mark_seen = names.iter().any(marks_seen);
        let mut items: Vec<Item> = implied.then_some(Item::Uid).into_iter().collect();
        for name in names {
            items.push(item(name)?);
        }
        if changed && !items.iter().any(|item| matches!(item, Item::ModSeq)) {
            // RFC 7162 §3.1.4.1
            items.push(Item::ModSeq);
        }
        if email_id {
            items.push(Item::EmailId);
        }
        Some(Self { items, mark_seen })
    }

    /// Whether the message counts as read by this.
    pub(super) fn mark_seen(&self) -> bool {
        self.mark_seen
    }

    /// The untagged FETCH of one message; its bytes are not copied. With `marked` the changed flags are told.
    pub(super) fn response(&self, number: usize, message: &Stored, marked: bool) -> Vec<Bytes> {
        let mut segments = Vec::new();
        let mut text = format!("* {number} FETCH (");
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                text.push(' ');
            }
            match item {
                Item::Uid => text.push_str(&format!("UID {}", message.uid)),
                Item::Flags => text.push_str(&flags(message)),
                Item::InternalDate => text.push_str(&internal_date(message.internal_date)),
                Item::ModSeq => text.push_str(&format!("MODSEQ ({})", message.mod_seq)),
                Item::EmailId => text.push_str(&format!("EMAILID ({})", message.email_id)),
                Item::Size => text.push_str(&format!("RFC822.SIZE {}", message.bytes.len())),
                Item::Bytes { name, part, partial } => {
                    let bytes = slice(part.of(&message.bytes), *partial);
                    text.push_str(&format!("{name} {{{}}}\r\n", bytes.len()));
                    segments.extend([Bytes::from(std::mem::take(&mut text)), bytes]);
                }
            }
        }
        if marked && !self.items.iter().any(|item| matches!(item, Item::Flags)) {
            text.push_str(&format!(" {}", flags(message)));
        }
        text.push_str(")\r\n");
        segments.push(text.into());
        segments
    }
}

fn marks_seen(name: &MessageDataItemName<'_>) -> bool {
    matches!(
        name,
        MessageDataItemName::BodyExt { peek: false, .. }
            | MessageDataItemName::Rfc822
            | MessageDataItemName::Rfc822Text
    )
}

fn item(name: MessageDataItemName<'_>) -> Option<Item> {
    let whole = |name: &str, part| Item::Bytes { name: name.to_owned(), part, partial: None };
    Some(match name {
        MessageDataItemName::Uid => Item::Uid,
        MessageDataItemName::Flags => Item::Flags,
        MessageDataItemName::InternalDate => Item::InternalDate,
        MessageDataItemName::Rfc822Size => Item::Size,
        MessageDataItemName::ModSeq => Item::ModSeq,
        MessageDataItemName::Rfc822 => whole("RFC822", Part::Whole),
        MessageDataItemName::Rfc822Header => whole("RFC822.HEADER", Part::Header),
        MessageDataItemName::Rfc822Text => whole("RFC822.TEXT", Part::Text),
        MessageDataItemName::BodyExt { section, partial, .. } => {
            let (label, part) = part(section)?;
            // RFC 3501 §7.4.2: the response names the origin, not the length.
            let origin = partial.map(|(from, _)| format!("<{from}>")).unwrap_or_default();
            let partial = partial.map(|(from, length)| (from as usize, length.get() as usize));
            Item::Bytes { name: format!("BODY[{label}]{origin}"), part, partial }
        }
        _ => return None,
    })
}

fn part(section: Option<Section<'_>>) -> Option<(String, Part)> {
    Some(match section {
        None => (String::new(), Part::Whole),
        Some(Section::Header(None)) => ("HEADER".to_owned(), Part::Header),
        Some(Section::Text(None)) => ("TEXT".to_owned(), Part::Text),
        Some(Section::HeaderFields(None, names)) => fields("HEADER.FIELDS", names.as_ref(), false),
        Some(Section::HeaderFieldsNot(None, names)) => fields("HEADER.FIELDS.NOT", names.as_ref(), true),
        Some(_) => return None,
    })
}

fn fields(label: &str, names: &[AString<'_>], except: bool) -> (String, Part) {
    let names: Vec<Vec<u8>> = names.iter().map(|name| name.as_ref().to_vec()).collect();
    let shown: Vec<_> = names.iter().map(|name| String::from_utf8_lossy(name)).collect();
    (format!("{label} ({})", shown.join(" ")), Part::Fields { names, except })
}

impl Part {
    fn of(&self, message: &Bytes) -> Bytes {
        let body = body_start(message);
        match self {
            Self::Whole => message.clone(),
            Self::Header => message.slice(..body),
            Self::Text => message.slice(body..),
            Self::Fields { names, except } => {
                let chosen = header_fields(message)
                    .filter(|(name, _)| names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)) != *except);
                let mut bytes: Vec<u8> = chosen.flat_map(|(_, field)| field).copied().collect();
                bytes.extend_from_slice(b"\r\n");
                bytes.into()
            }
        }
    }
}

/// The part from an origin on; nothing behind the end (RFC 3501 §6.4.5).
fn slice(bytes: Bytes, partial: Option<(usize, usize)>) -> Bytes {
    match partial {
        Some((from, length)) => {
            let from = from.min(bytes.len());
            bytes.slice(from..from.saturating_add(length).min(bytes.len()))
        }
        None => bytes,
    }
}

/// Where the body begins, behind the empty line; the end of the message if there is none (RFC 5322 §2.1).
pub(super) fn body_start(message: &[u8]) -> usize {
    if message.starts_with(b"\r\n") {
        return 2;
    }
    memchr::memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at + 4)
}

/// The header fields with their names, folded lines included (RFC 5322 §2.2.3).
pub(super) fn header_fields(message: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = message.get(..body_start(message)).unwrap_or_default();
    std::iter::from_fn(move || {
        let ends = memchr::memchr_iter(b'\n', rest);
        let folded = |at: &usize| !matches!(rest.get(at + 1), Some(b' ' | b'\t'));
        let (field, after) = rest.split_at(ends.into_iter().find(folded)? + 1);
        rest = after;
        let name = field.split(|byte| *byte == b':').next().unwrap_or_default();
        (field != b"\r\n").then_some((name.trim_ascii_end(), field))
    })
}

fn flags(message: &Stored) -> String {
    format!("FLAGS ({})", Vec::from_iter(message.flags.iter().map(String::as_str)).join(" "))
}

fn internal_date(date: OffsetDateTime) -> String {
    // Formatting to a string can only fail for a field that the format asks for and a date lacks.
    format!("INTERNALDATE \"{}\"", date.format(INTERNAL_DATE).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"Subject: a\r\n b\r\nTo: x\r\n\r\nbody\r\n\r\nmore\r\n";

    #[test]
    fn header_and_body_are_found() {
        assert_eq!(body_start(MESSAGE), MESSAGE.len() - b"body\r\n\r\nmore\r\n".len());
        assert_eq!(body_start(b"\r\nbody"), 2);
        assert_eq!(body_start(b"To: x\r\n"), 7);
        let fields: Vec<_> = header_fields(MESSAGE).collect();
        assert_eq!(fields, [(&b"Subject"[..], &b"Subject: a\r\n b\r\n"[..]), (&b"To"[..], &b"To: x\r\n"[..])]);
    }

    #[test]
    fn partials_end_with_the_message() {
        let bytes = Bytes::from_static(b"0123456789");
        assert_eq!(slice(bytes.clone(), Some((8, 4))), &b"89"[..]);
        assert_eq!(slice(bytes.clone(), Some((10, 4))), &b""[..]);
        assert_eq!(slice(bytes, Some((99, 4))), &b""[..]);
    }

    #[test]
    fn dates_have_a_padded_day() {
        let date = OffsetDateTime::from_unix_timestamp(0).unwrap();
        assert_eq!(internal_date(date), "INTERNALDATE \" 1-Jan-1970 00:00:00 +0000\"");
    }
}
