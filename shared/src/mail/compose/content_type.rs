//! Media types of outgoing files (RFC 2045 §5.1) and file name parameters (RFC 2231).

use mail_builder::headers::content_type::ContentType;
use mail_parser::{MessageParser, MimeHeaders};

/// When nothing better is known (RFC 2046 §4.5.1).
pub(super) const UNKNOWN: &str = "application/octet-stream";

/// Types by extension, for files that come without one.
const BY_EXTENSION: [(&str, &str); 24] = [
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("eml", "message/rfc822"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ics", "text/calendar"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("mp4", "video/mp4"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain"),
    ("vcf", "text/vcard"),
    ("webp", "image/webp"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
];

/// The type for a file name.
pub(super) fn by_extension(filename: &str) -> &'static str {
    let extension = filename.rsplit_once('.').map(|(_, ext)| ext.to_ascii_lowercase()).unwrap_or_default();
    BY_EXTENSION.iter().find(|(known, _)| *known == extension).map_or(UNKNOWN, |(_, kind)| kind)
}

/// Reads `type/subtype; name=value`; `None` if that is not what it is, or if it names a multipart, which a file
/// cannot be. A `name` parameter is dropped: the file name has a field of its own.
pub(super) fn parse(value: &str) -> Option<ContentType<'static>> {
    if value.len() > 500 || !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return None;
    }
    let header = format!("Content-Type: {value}\r\n\r\n");
    let message = MessageParser::new().with_mime_headers().parse_headers(header.as_bytes())?;
    let parsed = message.content_type()?;
    let (kind, subtype) = (parsed.ctype(), parsed.subtype()?);
    if !is_token(kind) || !is_token(subtype) || kind.eq_ignore_ascii_case("multipart") {
        return None;
    }
    let mut result = ContentType::new(format!("{kind}/{subtype}").to_ascii_lowercase());
    for attribute in parsed.attributes().unwrap_or_default() {
        if !is_token(&attribute.name) || attribute.value.chars().any(char::is_control) {
            return None;
        }
        if !attribute.name.eq_ignore_ascii_case("name") {
            result = result.attribute(attribute.name.to_string(), attribute.value.to_string());
        }
    }
    Some(result)
}

/// Whether a file can have this type.
pub(crate) fn is_media_type(value: &str) -> bool {
    parse(value).is_some()
}

/// RFC 2045 §5.1: printable ASCII without tspecials.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b))
}

/// Longest value that the builder writes in one piece.
const MAX_PLAIN: usize = 75;

/// The name for readers that know neither RFC 2231 nor Content-Disposition: ASCII, one piece, extension kept.
/// It stands in Content-Type's `name` only. A second, plain `filename` beside `filename*` would win over the right
/// one in many parsers, RFC 6266 §4.3 notwithstanding.
pub(super) fn plain_name(filename: &str) -> String {
    let ascii: String =
        filename.chars().map(|c| if (' '..='~').contains(&c) && !"\"\\".contains(c) { c } else { '_' }).collect();
    if ascii.len() <= MAX_PLAIN {
        return ascii;
    }
    let (stem, extension) = ascii.rsplit_once('.').filter(|(_, ext)| ext.len() <= 10).unwrap_or((&ascii, ""));
    let dot = if extension.is_empty() { "" } else { "." };
    let room = MAX_PLAIN - extension.len() - dot.len();
    format!("{}{dot}{extension}", stem.get(..room).unwrap_or(stem))
}
