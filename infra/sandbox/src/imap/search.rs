//! What SEARCH asks for (RFC 3501 §6.4.4).

use std::num::NonZeroU32;

use imap_codec::imap_types::datetime::NaiveDate;
use imap_codec::imap_types::search::SearchKey;
use imap_codec::imap_types::sequence::SequenceSet;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::fetch::{body_start, header_fields};
use super::view::{View, contains};
use crate::store::Stored;

/// A message to be judged.
pub(super) struct Candidate<'a> {
    pub(super) number: usize,
    pub(super) message: &'a Stored,
    pub(super) view: &'a View,
}

impl Candidate<'_> {
    /// Whether the message fits a key.
    pub(super) fn fits(&self, key: &SearchKey<'_>) -> bool {
        match key {
            SearchKey::And(keys) => keys.as_ref().iter().all(|key| self.fits(key)),
            SearchKey::Or(a, b) => self.fits(a) || self.fits(b),
            SearchKey::Not(key) => !self.fits(key),
            // No message is ever recent here, as in SELECT.
            SearchKey::All | SearchKey::Old => true,
            SearchKey::New | SearchKey::Recent => false,
            SearchKey::SequenceSet(set) => self.in_numbers(set),
            SearchKey::Uid(set) => self.in_uids(set),
            SearchKey::Larger(size) => self.message.bytes.len() > *size as usize,
            SearchKey::Smaller(size) => self.message.bytes.len() < *size as usize,
            other => self.fits_flag(other) || self.fits_date(other) || self.fits_text(other),
        }
    }

    fn fits_flag(&self, key: &SearchKey<'_>) -> bool {
        let has = |flag: &str| self.message.flags.contains(flag);
        match key {
            SearchKey::Answered => has("\\Answered"),
            SearchKey::Deleted => has("\\Deleted"),
            SearchKey::Draft => has("\\Draft"),
            SearchKey::Flagged => has("\\Flagged"),
            SearchKey::Seen => has("\\Seen"),
            SearchKey::Keyword(name) => has(name.as_ref()),
            SearchKey::Unanswered => !has("\\Answered"),
            SearchKey::Undeleted => !has("\\Deleted"),
            SearchKey::Undraft => !has("\\Draft"),
            SearchKey::Unflagged => !has("\\Flagged"),
            SearchKey::Unseen => !has("\\Seen"),
            SearchKey::Unkeyword(name) => !has(name.as_ref()),
            _ => false,
        }
    }

    fn fits_date(&self, key: &SearchKey<'_>) -> bool {
        let arrived = Some(self.message.internal_date);
        match key {
            SearchKey::Before(date) => day(arrived) < Some(text(date)),
            SearchKey::On(date) => day(arrived) == Some(text(date)),
            SearchKey::Since(date) => day(arrived) >= Some(text(date)),
            SearchKey::SentBefore(date) => self.sent().is_some_and(|sent| sent < text(date)),
            SearchKey::SentOn(date) => self.sent().is_some_and(|sent| sent == text(date)),
            SearchKey::SentSince(date) => self.sent().is_some_and(|sent| sent >= text(date)),
            _ => false,
        }
    }

    fn fits_text(&self, key: &SearchKey<'_>) -> bool {
        let message = &self.message.bytes;
        match key {
            SearchKey::Header(name, part) => self.header_has(name.as_ref(), part.as_ref()),
            SearchKey::Bcc(part) => self.header_has(b"Bcc", part.as_ref()),
            SearchKey::Cc(part) => self.header_has(b"Cc", part.as_ref()),
            SearchKey::From(part) => self.header_has(b"From", part.as_ref()),
            SearchKey::Subject(part) => self.header_has(b"Subject", part.as_ref()),
            SearchKey::To(part) => self.header_has(b"To", part.as_ref()),
            SearchKey::Body(part) => has(message.get(body_start(message)..).unwrap_or_default(), part.as_ref()),
            SearchKey::Text(part) => has(message, part.as_ref()),
            _ => false,
        }
    }

    fn in_numbers(&self, set: &SequenceSet) -> bool {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        NonZeroU32::new(number(self.view.uids.len())).is_some_and(|largest| contains(set, number(self.number), largest))
    }

    fn in_uids(&self, set: &SequenceSet) -> bool {
        let largest = self.view.uids.last().copied().and_then(NonZeroU32::new);
        largest.is_some_and(|largest| contains(set, self.message.uid, largest))
    }

    /// Whether a field of that name contains the text; an empty text asks for the field alone.
    fn header_has(&self, name: &[u8], part: &[u8]) -> bool {
        header_fields(&self.message.bytes)
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .any(|(field, whole)| has(whole.get(field.len()..).unwrap_or_default(), part))
    }

    /// The day of the Date field, if it can be read.
    fn sent(&self) -> Option<String> {
        let (name, field) = header_fields(&self.message.bytes).find(|(name, _)| name.eq_ignore_ascii_case(b"Date"))?;
        let value = std::str::from_utf8(field.get(name.len() + 1..)?).ok()?;
        day(OffsetDateTime::parse(value.trim(), &Rfc2822).ok())
    }
}

/// RFC 3501 §6.4.4: days are compared without time and zone. As `2026-11-21` they compare as text.
fn day(moment: Option<OffsetDateTime>) -> Option<String> {
    moment.map(|moment| moment.date().to_string())
}

fn text(date: &NaiveDate) -> String {
    date.as_ref().to_string()
}

/// Whether a text contains another, without regard to ASCII letter case.
fn has(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(&text.to_ascii_lowercase(), &part.to_ascii_lowercase()).is_some()
}
