//! Enhanced status codes (RFC 3463), and which of them are about the address.

use crate::model::report::BounceKind;

/// An enhanced status code: class, subject, detail (RFC 3463 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    class: u8,
    subject: u16,
    detail: u16,
}

impl Status {
    /// Reads `5.1.1`, whatever follows behind a blank.
    pub(super) fn read(text: &str) -> Option<Self> {
        let word = text.trim().split([' ', '\t', '(', ';']).next()?;
        let mut numbers = word.split('.').map(number);
        let status =
            Self { class: u8::try_from(numbers.next()??).ok()?, subject: numbers.next()??, detail: numbers.next()?? };
        // RFC 3463 §3: classes 2, 4, 5; subjects 0 to 7. Anything else is the version of a program.
        let is_one = matches!(status.class, 2 | 4 | 5) && status.subject <= 7 && numbers.next().is_none();
        is_one.then_some(status)
    }

    /// The first code of a failure in somebody's words: `550-5.1.1 …`, `(#5.1.1)`, `mx #5.1.1 smtp;…`.
    pub(super) fn find(text: &str) -> Option<Self> {
        let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
        words.filter_map(|word| Self::read(word.trim_end_matches('.'))).find(|status| status.class != 2)
    }

    /// It succeeded, failed for now or for good (RFC 3463 §3.1).
    pub(super) fn class(self) -> u8 {
        self.class
    }

    /// It says no more than its class (RFC 3463 §3.1, X.0.0).
    pub(super) fn is_general(self) -> bool {
        self.subject == 0
    }

    /// Whether the address is dead, or only this message was not delivered.
    ///
    /// Hard is what names the recipient's address as the reason, and for good: RFC 3463 §3.2 X.1.1 (no such mailbox),
    /// X.1.2 (no such system), X.1.3 (no address), X.1.4 (ambiguous), X.1.6 (moved), RFC 7505 §4.2 X.1.10 (the domain
    /// takes no mail; with Exchange: no such recipient), and §3.3 X.2.1 (mailbox switched off).
    ///
    /// Everything else is soft, because a suppressed address gets nothing any more, and that must be right: X.1.0,
    /// X.1.7 and X.1.8 are said about senders too; X.2.2 is a full mailbox, X.2.3 a large message; X.4 is the way there
    /// (Exchange Online says 5.4.1 of unknown recipients and of tenants in trouble alike); X.7 is a policy, mostly
    /// against the sender's address or the content; and whatever has class 4 may be gone tomorrow.
    pub(super) fn kind(self) -> BounceKind {
        match (self.class, self.subject, self.detail) {
            (5, 1, 1..=4 | 6 | 10) | (5, 2, 1) => BounceKind::Hard,
            _ => BounceKind::Soft,
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// At most three digits (RFC 3463 §2).
fn number(digits: &str) -> Option<u16> {
    let fits = (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| digits.parse().ok())?
}

/// The first reply code of a failure (RFC 5321 §4.2) that stands where a reply begins: three digits by themselves.
pub(super) fn reply_code(text: &str) -> Option<u16> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    words.filter(|word| word.len() == 3).filter_map(number).find(|code| (400..=599).contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_is_what_names_the_address_and_soft_all_else() {
        let hard = ["5.1.1", "5.1.2", "5.1.3", "5.1.4", "5.1.6", "5.1.10", "5.2.1"];
        let soft = [
            "5.0.0", "5.1.0", "5.1.5", "5.1.7", "5.1.8", "5.1.9", "5.2.0", "5.2.2", "5.2.3", "5.2.4", "5.3.0", "5.3.4",
            "5.4.0", "5.4.1", "5.4.4", "5.4.6", "5.4.7", "5.5.0", "5.5.3", "5.6.0", "5.7.0", "5.7.1", "5.7.26",
            "5.7.509", "4.1.1", "4.2.1", "4.2.2", "4.3.2", "4.4.1", "4.4.7", "4.7.0", "4.7.1",
        ];
        for (codes, kind) in [(&hard[..], BounceKind::Hard), (&soft[..], BounceKind::Soft)] {
            for code in codes {
                assert_eq!(Status::read(code).unwrap().kind(), kind, "{code}");
            }
        }
    }

    #[test]
    fn codes_are_found_in_the_words_of_servers_and_nothing_else_is_taken_for_one() {
        for (text, code) in [
            ("550-5.1.1 The email account", Some("5.1.1")),
            ("no mailbox here by that name. (#5.1.1)", Some("5.1.1")),
            ("<mx.example.com #5.1.10 smtp;550 5.1.10 RESOLVER.ADR>", Some("5.1.10")),
            ("delivered 2.0.0 then 4.4.7.", Some("4.4.7")),
            ("host mx[5.1.1.10] said: 550 no", None),
            ("by Exim 4.94.2 and Postfix 2.11.0", None),
            ("5.1 and 5.1.1.1 and 5.1.1000 and 9.1.1", None),
        ] {
            assert_eq!(Status::find(text).map(|status| status.to_string()).as_deref(), code, "{text}");
        }
        assert_eq!(Status::read(" 5.0.0 (permanent failure)").map(Status::is_general), Some(true));
        assert_eq!(reply_code("host mx[192.0.2.1] said: 550 no such user"), Some(550));
        assert_eq!(reply_code("550-No such user"), Some(550));
        assert_eq!(reply_code("port 1550, 10.0.0.550 and x550"), None);
    }
}
