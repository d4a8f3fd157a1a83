//! The body: which parts, nested how, encoded how (RFC 2045 §6, RFC 2046 §5, RFC 2387).

use super::content_type::{UNKNOWN, by_extension, parse, plain_name};
use super::fields::is_bare_id;
use super::{Attachment, ComposeError, Disposition, Draft, MAX_LINE, crlf};
use mail_builder::headers::content_type::ContentType;
use mail_builder::mime::{BodyPart, MimePart};
use ring::digest::{SHA256, digest};
use std::borrow::Cow;

/// Longest file name in bytes: what file systems take.
const MAX_FILENAME: usize = 255;
/// Longest line of base64 (RFC 2045 §6.8).
const BASE64_LINE: usize = 76;

/// Builds the tree: mixed(alternative(text, related(html, pictures), calendar), files), without the levels that hold
/// one part. Where the bytes of a file belong stands its mark: [`Files::write`] puts them there.
pub(super) fn body<'a>(draft: &'a Draft<'a>) -> Result<(MimePart<'static>, Files<'a>), ComposeError> {
    let mut pictures = Vec::new();
    let mut files = Vec::new();
    let seed = Seed::new(draft);
    for (index, attachment) in draft.attachments.iter().enumerate() {
        let part = file(&format!("/attachments/{index}"), attachment, seed.mark(index))?;
        // A picture without HTML that names it would be lost in a related (RFC 2387 §1).
        let is_picture = attachment.disposition == Disposition::Inline && attachment.content_id.is_some();
        if is_picture && draft.html.is_some() { pictures.push(part) } else { files.push(part) }
    }
    let marks = Files { head: seed.boundary(FILE), attachments: draft.attachments };
    let text = draft.text.map(|text| readable("text/plain", text));
    let html = draft
        .html
        .map(|html| readable("text/html", html))
        .map(|html| if pictures.is_empty() { html } else { seed.related(html, pictures) });
    let calendar = draft.calendar.map(|calendar| {
        // RFC 6047 §2.4: the type names the method, or readers show a file.
        let kind = ContentType::new("text/calendar").attribute("method", calendar.method.to_owned());
        readable_as(kind, calendar.ics)
    });
    // RFC 2046 §5.1.4: the best rendering comes last.
    let mut renderings: Vec<_> = [text, html, calendar].into_iter().flatten().collect();
    let main = match renderings.len() {
        0 => readable("text/plain", ""),
        1 => renderings.remove(0),
        _ => seed.multipart("multipart/alternative", renderings),
    };
    if files.is_empty() {
        return Ok((main, marks));
    }
    files.insert(0, main);
    Ok((seed.multipart("multipart/mixed", files), marks))
}

/// What a mark is derived from, as a boundary from its kind.
const FILE: &str = "file";

/// Files and the marks where they belong. A large file in base64 beside itself, and once more in the message, is what a
/// small machine has no room for.
pub(super) struct Files<'a> {
    head: String,
    attachments: &'a [Attachment],
}

impl Files<'_> {
    /// The message with the files in the places of their marks.
    pub(super) fn write(&self, message: Vec<u8>) -> Vec<u8> {
        // A mark is the whole body of its part: no header can hold what stands before it.
        let start = format!("\r\n\r\n{}-", self.head);
        let mut marks = memchr::memmem::find_iter(&message, start.as_bytes()).peekable();
        if marks.peek().is_none() {
            return message;
        }
        let room: usize = self.attachments.iter().map(|file| lines_len(file.content.len())).sum();
        let mut whole = Vec::with_capacity(message.len() + room + 2);
        let mut from = 0;
        for at in marks {
            let place = at + start.len();
            let digits = message[place..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let index = std::str::from_utf8(&message[place..place + digits]).ok().and_then(|text| text.parse().ok());
            let Some(file) = index.and_then(|index: usize| self.attachments.get(index)) else { continue };
            whole.extend_from_slice(&message[from..at + 4]);
            write_lines(&file.content, &mut whole);
            from = place + digits;
        }
        whole.extend_from_slice(&message[from..]);
        whole
    }
}

/// Where boundaries come from: the same message has the same ones, and none stands in an unencoded text.
struct Seed<'a> {
    message_id: &'a str,
    salt: u32,
}

impl<'a> Seed<'a> {
    fn new(draft: &'a Draft<'a>) -> Self {
        let mut seed = Self { message_id: draft.message_id, salt: 0 };
        // Only what may go out as it is can hold a boundary: base64 has no underscore, and quoted-printable encodes "=".
        let calendar = draft.calendar.map(|calendar| calendar.ics);
        let texts = [draft.text, draft.html, calendar].into_iter().flatten().map(str::as_bytes);
        let messages = draft.attachments.iter().map(|a| a.content.as_ref());
        let plain: Vec<&[u8]> = texts.chain(messages).collect();
        let kinds = ["multipart/mixed", "multipart/alternative", "multipart/related", FILE];
        while kinds.iter().any(|kind| {
            let boundary = seed.boundary(kind);
            plain.iter().any(|text| memchr::memmem::find(text, boundary.as_bytes()).is_some())
        }) {
            seed.salt += 1;
        }
        seed
    }

    /// Each kind occurs once in a message, so that the kind is the part's path. `=_` can stand in no encoded body
    /// (RFC 2045 §6.7).
    fn boundary(&self, kind: &str) -> String {
        let hash = digest(&SHA256, format!("{} {kind} {}", self.message_id, self.salt).as_bytes());
        let mut boundary = hex::encode(hash);
        boundary.truncate(32);
        format!("=_{boundary}")
    }

    /// What stands for a file until it is written.
    fn mark(&self, index: usize) -> String {
        format!("{}-{index}", self.boundary(FILE))
    }

    fn multipart(&self, kind: &'static str, parts: Vec<MimePart<'static>>) -> MimePart<'static> {
        MimePart::new(ContentType::new(kind).attribute("boundary", self.boundary(kind)), parts)
    }

    /// RFC 2387 §3.1: the type of the root has to be named.
    fn related(&self, html: MimePart<'static>, mut pictures: Vec<MimePart<'static>>) -> MimePart<'static> {
        let kind = "multipart/related";
        pictures.insert(0, html);
        let header = ContentType::new(kind).attribute("type", "text/html").attribute("boundary", self.boundary(kind));
        MimePart::new(header, pictures)
    }
}

/// A text in UTF-8: as it is if it is short ASCII lines, else quoted-printable or base64, whichever is shorter.
fn readable(kind: &'static str, text: &str) -> MimePart<'static> {
    readable_as(ContentType::new(kind), text)
}

fn readable_as(kind: ContentType<'static>, text: &str) -> MimePart<'static> {
    let content_type = kind.attribute("charset", "utf-8");
    // Only line ends change, which are ASCII: it is UTF-8 as before.
    let text = String::from_utf8_lossy(&crlf(text.as_bytes())).into_owned();
    // The builder would write a NUL or an escape in a short line as it is (RFC 5322 §3.5 allows no NUL).
    if text.bytes().any(|b| b.is_ascii_control() && !matches!(b, b'\t' | b'\r' | b'\n')) {
        return encoded(content_type, text.as_bytes());
    }
    MimePart::new(content_type, BodyPart::Text(Cow::Owned(text)))
}

fn encoded(content_type: ContentType<'static>, content: &[u8]) -> MimePart<'static> {
    let body = BodyPart::Binary(Cow::Owned(base64_lines(content)));
    MimePart::new(content_type, body).transfer_encoding("base64")
}

fn base64_lines(content: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(lines_len(content.len()));
    write_lines(content, &mut lines);
    lines
}

/// Writes base64 in lines, the last one without its end (RFC 2045 §6.8).
fn write_lines(content: &[u8], out: &mut Vec<u8>) {
    for (index, line) in content.chunks(BASE64_LINE / 4 * 3).enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\r\n");
        }
        let start = out.len();
        out.resize(start + base64_simd::STANDARD.encoded_length(line.len()), 0);
        let _ = base64_simd::STANDARD.encode(line, base64_simd::Out::from_slice(&mut out[start..]));
    }
}

/// The length of what [`write_lines`] writes.
fn lines_len(content: usize) -> usize {
    let encoded = base64_simd::STANDARD.encoded_length(content);
    encoded + encoded.saturating_sub(1) / BASE64_LINE * 2
}

/// One file as a part.
fn file(pointer: &str, file: &Attachment, mark: String) -> Result<MimePart<'static>, ComposeError> {
    let content_type = file_type(pointer, file)?;
    let name = file.filename.as_str();
    if name.len() > MAX_FILENAME || name.chars().any(char::is_control) {
        let detail = "a file name has at most 255 bytes and no line breaks or control characters";
        return Err(ComposeError::new(format!("{pointer}/filename"), "invalid_attachment", detail));
    }
    let content_id = file.content_id.as_deref().map(|id| id.trim_start_matches('<').trim_end_matches('>'));
    if content_id.is_some_and(|id| !is_bare_id(id)) {
        let detail = "a content id is printable ASCII without blanks and angle brackets";
        return Err(ComposeError::new(format!("{pointer}/contentId"), "invalid_attachment", detail));
    }
    let disposition = ContentType::new(match file.disposition {
        Disposition::Attachment => "attachment",
        Disposition::Inline => "inline",
    });
    let (content_type, disposition) = if name.is_empty() {
        (content_type, disposition)
    } else {
        // RFC 2231 §3 and §4 in Content-Disposition; a plain name for older readers.
        (content_type.attribute("name", plain_name(name)), disposition.attribute("filename", name.to_owned()))
    };
    let part = file_part(content_type, &file.content, mark).header("Content-Disposition", disposition);
    Ok(match content_id {
        Some(id) => part.cid(id.to_owned()),
        None => part,
    })
}

fn file_type(pointer: &str, file: &Attachment) -> Result<ContentType<'static>, ComposeError> {
    let given = file.content_type.as_str();
    let named = || Some(by_extension(&file.filename)).filter(|kind| *kind != UNKNOWN);
    let seen = || infer::get(&file.content).map(|kind| kind.mime_type());
    let given = if given.is_empty() { named().or_else(seen).unwrap_or(UNKNOWN) } else { given };
    parse(given).ok_or_else(|| {
        let detail = "give a media type such as application/pdf; multipart types cannot be attached";
        ComposeError::new(format!("{pointer}/contentType"), "invalid_content_type", detail)
    })
}

/// Base64, but for an attached message, which must not be encoded (RFC 2046 §5.2.1). If it cannot go out as it is,
/// it goes as a file of unknown type: that arrives through every server.
fn file_part(mut content_type: ContentType<'static>, content: &[u8], mark: String) -> MimePart<'static> {
    let marked = |content_type| {
        MimePart::new(content_type, BodyPart::Binary(Cow::Owned(mark.into_bytes()))).transfer_encoding("base64")
    };
    if !content_type.c_type.starts_with("message/") {
        return marked(content_type);
    }
    match String::from_utf8(crlf(content)).ok().filter(|text| is_7bit(text)) {
        Some(text) => {
            let body = BodyPart::Binary(Cow::Owned(text.into_bytes()));
            MimePart::new(content_type, body).transfer_encoding("7bit")
        }
        None => {
            content_type.c_type = UNKNOWN.into();
            marked(content_type)
        }
    }
}

/// RFC 2045 §2.7, for a text whose line ends are CR LF.
fn is_7bit(text: &str) -> bool {
    text.is_ascii() && !text.contains('\0') && text.split("\r\n").all(|line| line.len() <= MAX_LINE)
}
