//! From the bytes of a received message to what a list shows and a reader opens.
//!
//! [`parse`] never fails and its result is bounded, whatever a stranger sends: a message that nobody can read still
//! is a row with defects. Everything is a pure function of the bytes; attachments are decoded one at a time.

mod calendar;
mod decode;
mod embedded;
mod filename;
mod header;
mod large;
mod layout;
mod report;
mod subject;
#[cfg(test)]
mod tests;

use crate::model::send::Disposition;
use crate::model::{Address as Mailbox, TextSizes};
pub use calendar::{Appointments, appointments, appointments_in, calendar_method};
use decode::{Charset, to_utf8};
pub use embedded::pictures;
pub use filename::is_safe;
use header::{PartHeader, part_header};
pub use large::{Large, LargeFile, large};
use layout::{Kind, Layout, Part, layout};
use mail_parser::decoders::html::{html_to_text, text_to_html};
pub use report::{Automatic, automatic};
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};
pub use subject::base_subject;
use time::OffsetDateTime;

/// Parts that are looked at; the tree of an honest message has a few dozen.
const MAX_PARTS: usize = 10_000;
/// Levels of multiparts that are followed.
const MAX_DEPTH: u32 = 100;
/// Characters of the preview.
const PREVIEW_CHARS: usize = 200;
/// Encoded bytes of a body that the preview looks at: a newsletter's style sheet comes before its text.
const PREVIEW_BYTES: usize = 256 * 1024;
/// Longest text that is handed out.
const MAX_TEXT: usize = 1024 * 1024;
/// Files in a row, in number and bytes; [`files`] gives all.
const MAX_FILES: usize = 100;
const FILE_BUDGET: usize = 10 * 1024;
/// What a file costs beside its own bytes, in a row.
const FILE_COST: usize = 80;
/// Defects in a row.
const MAX_DEFECTS: usize = 20;

/// The defect of a message of which not all parts were looked at: its source has more than its row.
pub const PARTS_TRUNCATED: &str = "partsTruncated";

/// One file of a message. Field names are those of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartInfo {
    /// Stable number used in URLs: place in the MIME tree, depth first, the root is 0.
    pub part: u32,
    /// Decoded and made safe for a file system, at most 255 bytes.
    pub filename: Option<String>,
    /// `type/subtype` in lower case, without parameters.
    pub content_type: String,
    /// Decoded size in bytes.
    pub size: u64,
    /// As the sender wished it (RFC 2183 §2).
    pub disposition: Disposition,
    /// Content id without angle brackets.
    pub content_id: Option<String>,
    /// False for file types that run code, and for names that hide their type.
    pub safe: bool,
}

/// Something that was wrong with the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defect {
    /// Stable word.
    pub code: String,
    /// Where and how much.
    pub detail: String,
}

/// What a list and a reading pane need; bounded, so that a row stays under 32 KB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parsed {
    /// Decoded subject, at most 998 bytes.
    pub subject: String,
    /// Authors.
    pub from: Vec<Mailbox>,
    /// Recipients.
    pub to: Vec<Mailbox>,
    /// Recipients of copies.
    pub cc: Vec<Mailbox>,
    /// Where answers go.
    pub reply_to: Vec<Mailbox>,
    /// The Date field in UTC.
    #[serde(with = "time::serde::rfc3339::option")]
    pub date: Option<OffsetDateTime>,
    /// With angle brackets.
    pub message_id: Option<String>,
    /// With angle brackets.
    pub in_reply_to: Vec<String>,
    /// With angle brackets, oldest first.
    pub references: Vec<String>,
    /// First 200 characters of the text, white space folded.
    pub preview: String,
    /// Bytes of its texts as they are encoded.
    pub text_sizes: TextSizes,
    /// Whether there is anything to read.
    pub has_text: bool,
    /// Files.
    pub attachments: Vec<PartInfo>,
    /// Header fields of the message itself.
    pub header_count: u32,
    /// Auto-Submitted, if present (RFC 3834 §5).
    pub auto_submitted: Option<String>,
    /// List-Id, if present (RFC 2919 §2).
    pub list_id: Option<String>,
    /// What was wrong with the message.
    pub defects: Vec<Defect>,
}

impl Defect {
    fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { code: code.to_owned(), detail: detail.into() }
    }
}

impl Parsed {
    /// Whether From names different authors (RFC 5322 §3.6.2), in one field or in several.
    pub fn has_many_authors(&self) -> bool {
        let first = self.from.first().map(|author| &author.address);
        self.from.iter().any(|author| Some(&author.address) != first)
    }

    fn defect(&mut self, code: &str, detail: impl Into<String>) {
        if self.defects.len() < MAX_DEFECTS && !self.defects.iter().any(|d| d.code == code && code != "duplicate_field")
        {
            self.defects.push(Defect::new(code, detail));
        }
    }
}

/// The parser promises not to panic; a stranger's message must not be the proof of the contrary.
fn guard<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// Reads a message for the list. Never fails.
pub fn parse(raw: &[u8]) -> Parsed {
    guard(|| read(raw)).unwrap_or_else(|| Parsed {
        defects: vec![Defect::new("unreadable", "the message could not be read")],
        ..Parsed::default()
    })
}

fn read(raw: &[u8]) -> Parsed {
    let mut parsed = Parsed::default();
    let layout = layout(raw);
    for defect in &layout.defects {
        parsed.defect(&defect.code, defect.detail.clone());
    }
    if layout.truncated {
        parsed.defect(PARTS_TRUNCATED, "not all parts of the message were looked at");
    }
    header::fill(slice(raw, &layout.header), &mut parsed);
    parsed.preview = preview(raw, &layout);
    parsed.text_sizes = sizes(&layout);
    parsed.has_text = !parsed.preview.is_empty();
    for part in layout.text.iter().chain(&layout.html) {
        check_body(raw, part, &mut parsed);
    }
    let mut room = FILE_BUDGET;
    for part in &layout.files {
        let head = part_header(slice(raw, &part.header));
        check_encoding(&head, slice(raw, &part.body), &mut parsed);
        let info = part_info(raw, part, &head);
        let texts = [info.filename.as_ref(), Some(&info.content_type), info.content_id.as_ref()];
        let cost = FILE_COST + texts.into_iter().flatten().map(String::len).sum::<usize>();
        if parsed.attachments.len() == MAX_FILES || cost > room {
            parsed.defect("cut", "not all attachments are listed");
            break;
        }
        room -= cost;
        parsed.attachments.push(info);
    }
    parsed
}

fn slice<'r>(raw: &'r [u8], range: &std::ops::Range<usize>) -> &'r [u8] {
    raw.get(range.clone()).unwrap_or_default()
}

/// Text without HTML, and HTML without text; in parts of a multipart/alternative there may be both.
fn sizes(layout: &Layout) -> TextSizes {
    let of = |parts: &[Part], html: bool| {
        parts.iter().filter(|part| (part.kind == Kind::Html) == html).map(|part| part.body.len() as u64).sum()
    };
    TextSizes { plain: of(&layout.text, false), html: of(&layout.html, true) }
}

/// Notes what is wrong with a readable part.
fn check_body(raw: &[u8], part: &Part, parsed: &mut Parsed) {
    let head = part_header(slice(raw, &part.header));
    let body = slice(raw, &part.body);
    let body = body.get(..PREVIEW_BYTES).unwrap_or(body);
    check_encoding(&head, body, parsed);
    match to_utf8(&head.encoding.decode(body), head.charset.as_deref()).1 {
        Charset::Known => {}
        Charset::Guessed => parsed.defect("unknown_charset", "the charset is missing or unknown; it was guessed"),
        Charset::Broken => parsed.defect("broken_charset", "some bytes do not fit the charset that is named"),
    }
}

fn check_encoding(head: &PartHeader, body: &[u8], parsed: &mut Parsed) {
    if !head.encoding_known {
        parsed.defect("unknown_encoding", "a Content-Transfer-Encoding is unknown; the bytes are taken as they are");
    }
    if !head.encoding.is_clean(body) {
        parsed.defect("broken_base64", "a base64 body has characters that are none; they are skipped");
    }
}

fn part_text(raw: &[u8], part: &Part, limit: usize) -> String {
    let head = part_header(slice(raw, &part.header));
    let body = slice(raw, &part.body);
    let body = body.get(..limit).unwrap_or(body);
    to_utf8(&head.encoding.decode(body), head.charset.as_deref()).0
}

fn preview(raw: &[u8], layout: &Layout) -> String {
    let mut preview = String::new();
    let mut chars = 0;
    for part in &layout.text {
        let text = part_text(raw, part, PREVIEW_BYTES);
        let text = if part.kind == Kind::Html { html_to_text(&text) } else { text };
        for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
            if !preview.is_empty() {
                preview.push(' ');
                chars += 1;
            }
            let kept: String = word.chars().take(PREVIEW_CHARS.saturating_sub(chars)).collect();
            chars += kept.chars().count();
            preview.push_str(&kept);
            if chars >= PREVIEW_CHARS {
                preview.truncate(preview.trim_end().len());
                return preview;
            }
        }
    }
    preview
}

/// The text of a message with LF line ends, made from the HTML where there is no text; at most 1 MB.
pub fn text(raw: &[u8]) -> Option<String> {
    text_of(raw, usize::MAX, html_to_text)
}

/// The same, where this function makes text of HTML.
pub fn text_by(raw: &[u8], from_html: fn(&str) -> String) -> Option<String> {
    text_of(raw, usize::MAX, from_html)
}

/// The same of the first bytes of each part, as they are encoded.
pub fn text_head(raw: &[u8], bytes: usize) -> Option<String> {
    text_of(raw, bytes, html_to_text)
}

fn text_of(raw: &[u8], bytes: usize, from_html: fn(&str) -> String) -> Option<String> {
    guard(|| {
        let layout = layout(raw);
        let texts: Vec<String> = layout.text.iter().map(|part| plain(raw, part, bytes, from_html)).collect();
        let text = texts.join("\n");
        (!text.trim().is_empty()).then(|| cut(&text, MAX_TEXT).to_owned())
    })?
}

fn plain(raw: &[u8], part: &Part, bytes: usize, from_html: fn(&str) -> String) -> String {
    let text = part_text(raw, part, bytes);
    let text = if part.kind == Kind::Html { from_html(&text) } else { text };
    let text = text.replace("\r\n", "\n");
    text.trim_end_matches('\n').to_owned()
}

/// The HTML of a message as it came: **unsafe to show** before [`super::sanitize::html`]. Plain parts between HTML
/// parts are escaped. `None` if there is no HTML.
pub fn html(raw: &[u8]) -> Option<String> {
    guard(|| {
        let layout = layout(raw);
        if !layout.html.iter().any(|part| part.kind == Kind::Html) {
            return None;
        }
        let part = |part: &Part| {
            let text = part_text(raw, part, usize::MAX);
            if part.kind == Kind::Html { text } else { text_to_html(&text) }
        };
        Some(layout.html.iter().map(part).collect::<Vec<_>>().join("\n"))
    })?
}

/// Header fields of the message in order: at most 500, decoded, unfolded, values of at most 8 KB.
pub fn headers(raw: &[u8]) -> Vec<(String, String)> {
    guard(|| header::list(slice(raw, &layout(raw).header))).unwrap_or_default()
}

/// One attachment by its number, decoded.
pub fn attachment(raw: &[u8], part: u32) -> Option<(PartInfo, Vec<u8>)> {
    guard(|| layout(raw).files.iter().find(|found| found.number == part).map(|found| file(raw, found)))?
}

/// The file name in a Content-Disposition, also that of HTTP (RFC 6266 §4.3): read and cleaned. `None` if there is
/// none.
pub fn disposition_name(value: &[u8]) -> Option<String> {
    // What could end the header is not looked behind.
    let line = value.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    // Where both are given, the name in all of Unicode wins over the one for old readers (RFC 6266 §4.3).
    let lower = line.to_ascii_lowercase();
    let wanted = match lower.windows(10).position(|word| word == b"filename*=") {
        Some(at) => [b"attachment; ", line[at..].split(|byte| *byte == b';').next().unwrap_or_default()].concat(),
        None => line.to_vec(),
    };
    let header = [b"Content-Disposition: ", &wanted[..], b"\r\n\r\n"].concat();
    filename::clean(&guard(|| part_header(&header))?.filename?)
}

/// A file name of somebody else's choice, made safe: no path, no control characters, no direction overrides, nothing
/// that Windows forbids, at most 255 bytes. `None` if nothing is left.
pub fn safe_name(name: &str) -> Option<String> {
    filename::clean(name)
}

/// All attachments, each decoded when it is asked for: memory holds one at a time.
pub fn files(raw: &[u8]) -> impl Iterator<Item = (PartInfo, Vec<u8>)> {
    layout(raw).files.into_iter().filter_map(move |part| guard(|| file(raw, &part)))
}

fn file(raw: &[u8], part: &Part) -> (PartInfo, Vec<u8>) {
    let head = part_header(slice(raw, &part.header));
    (part_info(raw, part, &head), head.encoding.decode(slice(raw, &part.body)))
}

/// First bytes that tell what a file is; enough encoded ones for eight decoded ones and some line ends.
const START: usize = 64;

fn part_info(raw: &[u8], part: &Part, head: &PartHeader) -> PartInfo {
    let body = slice(raw, &part.body);
    let content_type = head.content_type.clone().unwrap_or_else(|| default_type(part.kind).to_owned());
    let given = head.filename.as_deref().unwrap_or_default();
    let filename = filename::clean(given).or_else(|| (part.kind == Kind::Message).then(|| "message.eml".to_owned()));
    let start = head.encoding.decode(body.get(..START).unwrap_or(body));
    // RFC 2183 §2: without Content-Disposition it is the reader's choice; a picture with an id is for the HTML.
    let inline = head.inline.unwrap_or(head.content_id.is_some() && content_type.starts_with("image/"));
    PartInfo {
        part: part.number,
        filename,
        size: head.encoding.decoded_len(body),
        disposition: if inline { Disposition::Inline } else { Disposition::Attachment },
        content_id: head.content_id.clone(),
        safe: is_safe(given, &content_type, &start),
        content_type,
    }
}

/// RFC 2045 §5.2, and RFC 2046 §5.1.5 for digests.
fn default_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Message => "message/rfc822",
        Kind::Text | Kind::Html | Kind::Other => "text/plain",
    }
}

/// At most `max` bytes, and no half character.
fn cut(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or(text)
}
