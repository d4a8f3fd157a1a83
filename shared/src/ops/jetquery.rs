//! A mail as jetQuery's storage has it (A1.4/21 to 24): its storage shows it so, and `mail_onComplete` tells it so.

use serde::Serialize;

use super::files::uuid_of;
use crate::model::{AccountId, Address, Attachment, Direction, Message, Timestamp};

/// A1.4/23: `extension` is a varchar(10), with its dot.
const EXTENSION_CHARS: usize = 10;

/// A1.4/23: `name` is a varchar(5000).
const NAME_CHARS: usize = 5000;

/// A row of its table, without the texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mail {
    /// Key of the row.
    pub mail_id: String,
    /// The account that it came or left through.
    pub mail_account: AccountId,
    /// `incoming` or `outgoing` (A1.4/21).
    pub mail_direction: Direction,
    /// As natively.
    pub mail_state: String,
    /// Subject.
    pub mail_subject: Option<String>,
    /// Address of the (first) sender.
    pub mail_from: Option<String>,
    /// His name.
    pub mail_from_name: Option<String>,
    /// As `mail_to` of a send takes it.
    pub mail_to: String,
    /// The same.
    pub mail_cc: String,
    /// Message-ID with its angle brackets.
    pub mail_message_id: Option<String>,
    /// The Date header.
    pub mail_date: Option<Timestamp>,
    /// When it was received or accepted.
    pub mail_created: Timestamp,
    /// Size of the source.
    pub mail_bytes: u64,
    /// The caller's object, by its id.
    pub mail_remote_id: Option<String>,
    /// And by its type.
    pub mail_remote_source: Option<String>,
    /// The XML field (A1.4/22). Null where only the source knows them: of mail that was sent with files.
    pub mail_attachments: Option<String>,
}

/// A row of the seed's query (A1.4/29), and a `file` of the XML field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    /// The `file_uuid`.
    pub hash: String,
    /// Its name; a made-up one where it has none.
    pub name: String,
    /// Decoded size.
    pub bytes: u64,
    /// Of the name, in lower case and with the dot; empty where there is none that fits.
    pub extension: String,
}

/// The row of a mail.
pub fn mail(message: &Message) -> Mail {
    let knows_files = message.direction == Direction::Incoming || !message.has_attachments;
    let (source, id) = message.correlation.clone().map_or((None, None), |pair| (Some(pair.source), Some(pair.id)));
    Mail {
        mail_id: message.id.to_string(),
        mail_account: message.account.clone(),
        mail_direction: message.direction,
        mail_state: message.state.clone(),
        mail_subject: message.subject.clone(),
        mail_from: message.from.as_ref().map(|from| from.address.clone()),
        mail_from_name: message.from.as_ref().and_then(|from| from.name.clone()),
        mail_to: people(&message.to),
        mail_cc: people(&message.cc),
        mail_message_id: message.message_id.clone(),
        mail_date: message.date,
        mail_created: message.received_at,
        mail_bytes: message.size,
        mail_remote_id: id,
        mail_remote_source: source,
        mail_attachments: knows_files.then(|| array_of_file(&files(&message.attachments))),
    }
}

/// A list as `mail_to` takes it (A1.3/20): names that would end an entry stand in quotes (RFC 5322 §3.2.4).
fn people(list: &[Address]) -> String {
    let one = |person: &Address| match &person.name {
        Some(name) => format!("\"{}\" <{}>", name.replace('\\', "\\\\").replace('"', "\\\""), person.address),
        None => person.address.clone(),
    };
    list.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The attachments of a mail.
pub fn files(attachments: &[Attachment]) -> Vec<File> {
    let file = |attachment: &Attachment| {
        let name = attachment.filename.clone().unwrap_or_else(|| format!("attachment-{}", attachment.part));
        let name: String = name.chars().take(NAME_CHARS).collect();
        File { hash: uuid_of(&attachment.file_id), extension: extension(&name), bytes: attachment.size, name }
    };
    attachments.iter().map(file).collect()
}

/// A1.4/23: `.pdf`.
fn extension(name: &str) -> String {
    let found = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, end)| format!(".{end}"));
    found.filter(|end| (2..=EXTENSION_CHARS).contains(&end.chars().count())).unwrap_or_default().to_lowercase()
}

/// The XML field (A1.4/22).
pub fn array_of_file(files: &[File]) -> String {
    let file = |File { hash, name, bytes, extension }: &File| {
        let (name, extension) = (text(name), text(extension));
        format!(
            "<file><name>{name}</name><bytes>{bytes}</bytes><hash>{hash}</hash><extension>{extension}</extension></file>"
        )
    };
    format!("<ArrayOfFile>{}</ArrayOfFile>", files.iter().map(file).collect::<String>())
}

/// Character data (XML 1.0 §2.2, §2.4): what stands for markup is escaped, what no document may hold is left out.
fn text(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')).collect();
    quick_xml::escape::partial_escape(clean.as_str()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::send::Disposition;

    fn attachment(part: u32, filename: Option<&str>) -> Attachment {
        Attachment {
            part,
            filename: filename.map(str::to_owned),
            content_type: "application/pdf".to_owned(),
            size: 29223,
            file_id: "5283dce81041da715362134ba3dc7dfe".to_owned() + &"0".repeat(32),
            disposition: Disposition::Attachment,
            content_id: None,
            safe: true,
        }
    }

    /// A1.4/22, A1.4/23: the example of the seed, its two names for one content (A1.4/24).
    #[test]
    fn a_1_4_22_the_xml_field_is_as_in_the_example() {
        let hash = "5283dce8-1041-da71-5362-134ba3dc7dfe";
        let one = |name: &str, extension: &str| {
            format!(
                "<file><name>{name}</name><bytes>29223</bytes><hash>{hash}</hash><extension>{extension}</extension></file>"
            )
        };
        let xml = |list: &[Attachment]| array_of_file(&files(list));
        assert_eq!(
            xml(&[attachment(2, Some("TEST 7.pdf")), attachment(3, Some("TEST 1.PDF"))]),
            format!("<ArrayOfFile>{}{}</ArrayOfFile>", one("TEST 7.pdf", ".pdf"), one("TEST 1.PDF", ".pdf"))
        );
        assert_eq!(xml(&[attachment(4, None)]), format!("<ArrayOfFile>{}</ArrayOfFile>", one("attachment-4", "")));
        assert_eq!(xml(&[]), "<ArrayOfFile></ArrayOfFile>");
        assert_eq!(text("a<b>&\u{0}\"c"), "a&lt;b&gt;&amp;\"c");
        for (name, end) in [("a.tar.gz", ".gz"), ("a", ""), (".profile", ""), ("a.", ""), ("a.something-long", "")] {
            assert_eq!(extension(name), end, "{name}");
        }
    }

    #[test]
    fn people_are_listed_as_mail_to_takes_them() {
        let named = Address { name: Some("Kowalski, \"Jan\"".into()), address: "jan@example.com".into() };
        assert_eq!(
            people(&[named, Address::bare("b@example.com")]),
            "\"Kowalski, \\\"Jan\\\"\" <jan@example.com>, b@example.com"
        );
    }
}
