//! The MIME tree (RFC 2046 §5) as byte ranges: which parts there are, which of them are read and which are files.
//!
//! `mail-parser` runs without decoding: it is told to ignore Content-Transfer-Encoding, so that it only finds the
//! ranges; each part is decoded when it is wanted.

use super::{Defect, MAX_DEPTH, MAX_PARTS, guard};
use mail_parser::{HeaderName, Message, MessageParser, MimeHeaders, PartType};
use std::ops::Range;
use std::sync::LazyLock;

/// `new().with_mime_headers()` first: on `default()` a single `ignore_header` turns all MIME headers off.
static STRUCTURE: LazyLock<MessageParser> = LazyLock::new(|| {
    MessageParser::new().with_mime_headers().ignore_header(HeaderName::ContentTransferEncoding).default_header_ignore()
});

/// A boundary that never comes is sought up to the end of the message. Beyond this number, or this many bytes in all
/// (some seconds), a message is read as one part.
const MAX_BOUNDARIES: usize = 1_000;
const MAX_SOUGHT: usize = 8_000_000_000;

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Html,
    Message,
    Other,
}

/// A leaf of the tree. An attached message is a leaf too (RFC 2046 §5.2.1): it is kept as one file.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Place in the tree, depth first; the root is 0.
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) header: Range<usize>,
    pub(super) body: Range<usize>,
}

/// The tree of one message.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Header of the message.
    pub(super) header: Range<usize>,
    /// What a reader of plain text is shown, in order; HTML where there is nothing else (RFC 8621 §4.1.4).
    pub(super) text: Vec<Part>,
    /// What a reader of HTML is shown, in order.
    pub(super) html: Vec<Part>,
    /// Everything else, in order.
    pub(super) files: Vec<Part>,
    pub(super) defects: Vec<Defect>,
    /// There is more than was looked at.
    pub(super) truncated: bool,
}

/// Finds the parts. Never fails: what cannot be understood is one text.
pub(super) fn layout(raw: &[u8]) -> Layout {
    if u32::try_from(raw.len()).is_err() || has_too_many_boundaries(raw) {
        let one = single(raw, "too_many_parts", "the message is read as one text");
        return Layout { truncated: true, ..one };
    }
    match guard(|| STRUCTURE.parse(raw).map(|message| from_message(raw, message))) {
        Some(Some(layout)) => layout,
        Some(None) => single(raw, "no_header", "no header field was found"),
        None => single(raw, "unreadable", "the MIME structure could not be read"),
    }
}

/// Counts `boundary` in any case; names of parameters are never encoded (RFC 2231 §7).
fn has_too_many_boundaries(raw: &[u8]) -> bool {
    const REST: &[u8] = b"boundar";
    let ends_word = |&at: &usize| {
        at.checked_sub(REST.len()).and_then(|start| raw.get(start..at)).is_some_and(|w| w.eq_ignore_ascii_case(REST))
    };
    let limit = MAX_BOUNDARIES.min(MAX_SOUGHT / raw.len().max(1));
    memchr::memchr2_iter(b'y', b'Y', raw).filter(ends_word).nth(limit).is_some()
}

/// Header up to the first empty line (RFC 5322 §2.1), all the rest one text.
fn single(raw: &[u8], code: &'static str, detail: &str) -> Layout {
    let is_header = code != "no_header";
    let end = if is_header { header_end(raw) } else { 0 };
    let body = Part { number: 0, kind: Kind::Text, header: 0..0, body: end..raw.len() };
    Layout { header: 0..end, text: vec![body], defects: vec![Defect::new(code, detail)], ..Layout::default() }
}

/// Where the body begins (RFC 5322 §2.1).
pub(super) fn header_end(raw: &[u8]) -> usize {
    let crlf = memchr::memmem::find(raw, b"\r\n\r\n").map(|at| at + 4);
    let lf = memchr::memmem::find(raw, b"\n\n").map(|at| at + 2);
    [crlf, lf].into_iter().flatten().min().unwrap_or(raw.len())
}

fn from_message(raw: &[u8], message: Message<'_>) -> Layout {
    let mut layout = Layout::default();
    if let Some(root) = message.parts.first() {
        layout.header = root.offset_header as usize..root.offset_body as usize;
    }
    let depths = depths(&message);
    if message.parts.len() > MAX_PARTS {
        let detail = format!("{} parts, the first {MAX_PARTS} are read", message.parts.len());
        layout.defects.push(Defect::new("too_many_parts", detail));
        layout.truncated = true;
    }
    if depths.iter().any(|&depth| depth > MAX_DEPTH) {
        let detail = format!("parts more than {MAX_DEPTH} levels deep are left out");
        layout.defects.push(Defect::new("too_deep", detail));
        layout.truncated = true;
    }
    let leaf = |&id: &u32| {
        let within = (id as usize) < MAX_PARTS && depths.get(id as usize).is_some_and(|&d| d <= MAX_DEPTH);
        if within { leaf(raw, &message, id) } else { None }
    };
    layout.text = message.text_body.iter().filter_map(leaf).filter(is_readable).collect();
    layout.html = message.html_body.iter().filter_map(leaf).filter(is_readable).collect();
    layout.files = message.attachments.iter().filter_map(leaf).collect();
    layout.files.sort_by_key(|part| part.number);
    layout.files.dedup_by_key(|part| part.number);
    adopt_broken_multipart(&mut layout, &message);
    find_unclosed(raw, &message, &mut layout.defects);
    dismantle(message);
    layout
}

fn is_readable(part: &Part) -> bool {
    matches!(part.kind, Kind::Text | Kind::Html)
}

fn leaf(raw: &[u8], message: &Message<'_>, id: u32) -> Option<Part> {
    let part = message.parts.get(id as usize)?;
    let kind = match &part.body {
        PartType::Text(_) => Kind::Text,
        PartType::Html(_) => Kind::Html,
        PartType::Message(_) => Kind::Message,
        PartType::Binary(_) | PartType::InlineBinary(_) => Kind::Other,
        PartType::Multipart(_) => return None,
    };
    let (start, body, end) = (part.offset_header as usize, part.offset_body as usize, part.offset_end as usize);
    let end = end.clamp(body, raw.len().max(body));
    Some(Part { number: id, kind, header: start..body, body: body..end })
}

/// Parents stand before their children, so one pass is enough.
fn depths(message: &Message<'_>) -> Vec<u32> {
    let mut depths = vec![0_u32; message.parts.len()];
    for (parent, part) in message.parts.iter().enumerate() {
        let PartType::Multipart(children) = &part.body else {
            continue;
        };
        let depth = depths.get(parent).copied().unwrap_or_default() + 1;
        for &child in children {
            if let Some(slot) = depths.get_mut(child as usize).filter(|_| child as usize > parent) {
                *slot = depth;
            }
        }
    }
    depths
}

/// A multipart whose boundary never comes (RFC 2046 §5.1.1) is a leaf that nobody would show: if there is nothing
/// else to read, it is read as text.
fn adopt_broken_multipart(layout: &mut Layout, message: &Message<'_>) {
    let is_broken = |part: &Part| {
        let content_type = message.parts.get(part.number as usize).and_then(|p| p.content_type());
        content_type.is_some_and(|ct| ct.ctype().eq_ignore_ascii_case("multipart"))
    };
    let Some(at) = layout.files.iter().position(is_broken) else {
        return;
    };
    layout.defects.push(Defect::new("missing_boundary", "a multipart has no boundary, or its boundary never comes"));
    if layout.text.is_empty() {
        let part = layout.files.remove(at);
        layout.text.push(part);
    }
}

/// RFC 2046 §5.1.1: the last boundary has two hyphens more. Without them the message was probably cut.
fn find_unclosed(raw: &[u8], message: &Message<'_>, defects: &mut Vec<Defect>) {
    let Some(root) = message.parts.first().filter(|root| matches!(root.body, PartType::Multipart(_))) else {
        return;
    };
    let Some(boundary) = root.content_type().and_then(|ct| ct.attribute("boundary")) else {
        return;
    };
    if memchr::memmem::rfind(raw, format!("--{boundary}--").as_bytes()).is_none() {
        defects.push(Defect::new("unclosed_multipart", "the last boundary is missing; the message may be cut off"));
    }
}

/// Frees messages in messages one after the other: dropped as they are, a hundred thousand levels end the stack.
fn dismantle(message: Message<'_>) {
    let mut open = vec![message];
    while let Some(message) = open.pop() {
        for part in message.parts {
            if let PartType::Message(inner) = part.body {
                open.push(inner);
            }
        }
    }
}
