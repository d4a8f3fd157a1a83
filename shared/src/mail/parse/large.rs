//! Messages that are too large for memory, read from a file.
//!
//! One parser for all: a *skeleton* of the message is made in one pass and read like any other message. It has the
//! first [`HEAD`] bytes, and behind them of every part the delimiter (RFC 2046 §5.1.1), the header and the first bytes
//! of the body. What it leaves out are the middles of bodies, and those are decoded from the file, piece by piece.
//!
//! Memory: [`MOST`] for the skeleton, and one piece.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use super::decode::{Decoder, Encoding};
use super::header::part_header;
use super::layout::layout;
use super::{Parsed, PartInfo, guard, part_info, slice};

/// Bytes that are kept from the beginning: the header, and mostly all that is read.
const HEAD: u64 = 1 << 20;
/// Bytes kept from a delimiter on: longer headers of parts are cut.
const PART: u64 = 16 << 10;
/// Bytes of a body that are kept behind its header.
const BODY: usize = 1 << 10;
/// Bytes kept in all.
const MOST: usize = 12 << 20;
/// Delimiters that are looked at.
const DELIMITERS: usize = 20_000;
/// Longest line that can be a delimiter: RFC 2046 §5.1.1 allows 70 characters and blanks behind them.
const LINE: usize = 256;
/// Most boundaries of one message.
const BOUNDARIES: usize = 1_000;
/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;

/// A message that was read from a file.
#[derive(Debug)]
pub struct Large {
    /// What a list needs.
    pub parsed: Parsed,
    /// Its files, in order.
    pub files: Vec<LargeFile>,
}

/// One file of it.
#[derive(Clone, Debug)]
pub struct LargeFile {
    /// What is known of it; `size` is not, before it was decoded.
    pub info: PartInfo,
    body: Range<u64>,
    encoding: Encoding,
}

impl LargeFile {
    /// Its decoded bytes, piece by piece.
    pub fn pieces(&self, file: Arc<File>) -> impl Iterator<Item = io::Result<Bytes>> + Send + Sync + 'static {
        let (mut at, end, mut decoder) = (self.body.start, self.body.end, Decoder::new(self.encoding));
        let mut ended = false;
        std::iter::from_fn(move || {
            while !ended {
                let mut decoded = Vec::new();
                match piece(&file, at, end) {
                    Ok(bytes) if bytes.is_empty() => {
                        ended = true;
                        decoder.finish(&mut decoded);
                    }
                    Ok(bytes) => {
                        at += bytes.len() as u64;
                        decoder.feed(&bytes, &mut decoded);
                    }
                    Err(error) => {
                        ended = true;
                        return Some(Err(error));
                    }
                }
                if !decoded.is_empty() {
                    return Some(Ok(decoded.into()));
                }
            }
            None
        })
    }
}

/// Reads a message of `size` bytes for the list, and finds its files. What a stranger wrote never makes it fail: only
/// reading the file can.
pub fn large(file: &File, size: u64) -> io::Result<Large> {
    let skeleton = Skeleton::of(file, size)?;
    let mut parsed = super::parse(&skeleton.bytes);
    if skeleton.cut {
        parsed.defect(super::PARTS_TRUNCATED, "not all parts of the message were looked at");
    }
    let files = guard(|| skeleton.files()).unwrap_or_default();
    Ok(Large { parsed, files })
}

#[derive(Debug, Default)]
struct Skeleton {
    bytes: Vec<u8>,
    /// Where stretches of it begin, and where they stood in the message.
    stretches: Vec<(usize, u64)>,
    /// Boundaries that were declared so far.
    boundaries: HashSet<Vec<u8>>,
    /// Not everything that belongs into it is there.
    cut: bool,
    /// Size of the message.
    size: u64,
}

impl Skeleton {
    fn of(file: &File, size: u64) -> io::Result<Self> {
        let mut skeleton = Self { size, ..Self::default() };
        skeleton.keep(file, 0..size.min(HEAD))?;
        // The header of a part may reach over the end of what is kept.
        let (mut at, mut seen) = (size.min(HEAD).saturating_sub(PART), 0);
        while at < size && !skeleton.cut {
            let bytes = piece(file, at, size)?;
            let last = at + bytes.len() as u64 >= size;
            // What stands at the very end of a piece is looked at with the next one.
            let sure = if last { bytes.len() } else { bytes.len().saturating_sub(LINE) };
            for found in memchr::memmem::find_iter(&bytes, b"\n--").take_while(|found| *found < sure) {
                if skeleton.is_delimiter(&bytes[found + 1..]) {
                    seen += 1;
                    skeleton.cut |= seen > DELIMITERS;
                    let crlf = found > 0 && bytes[found - 1] == b'\r';
                    skeleton.part(file, at + found as u64 - u64::from(crlf), size)?;
                }
            }
            at += if last { bytes.len() as u64 } else { sure.max(1) as u64 };
        }
        Ok(skeleton)
    }

    /// A delimiter is a line of its own (RFC 2046 §5.1.1): two hyphens, the boundary, two hyphens more at the end of
    /// its multipart, and blanks.
    fn is_delimiter(&self, rest: &[u8]) -> bool {
        let rest = rest.get(..LINE).unwrap_or(rest);
        let line = memchr::memchr(b'\n', rest).map_or(rest, |end| &rest[..end]).trim_ascii_end();
        let name = line.strip_prefix(b"--").unwrap_or_default();
        let is = |name: &[u8]| self.boundaries.contains(name);
        is(name) || name.strip_suffix(b"--").is_some_and(is)
    }

    /// Keeps what a part begins with.
    fn part(&mut self, file: &File, from: u64, size: u64) -> io::Result<()> {
        let mut head = vec![0; usize::try_from(PART.min(size - from)).unwrap_or_default()];
        file.read_exact_at(&mut head, from)?;
        let line = memchr::memchr_iter(b'\n', &head).nth(1).map_or(head.len(), |end| end + 1);
        let header = &head[line..];
        let crlf = memchr::memmem::find(header, b"\r\n\r\n").map(|at| at + 4);
        let lf = memchr::memmem::find(header, b"\n\n").map(|at| at + 2);
        // A part without a header begins with an empty line.
        let none = if header.starts_with(b"\r\n") { Some(2) } else { header.starts_with(b"\n").then_some(1) };
        let end = [crlf, lf, none].into_iter().flatten().min().unwrap_or(header.len());
        let length = (line + end + BODY).min(head.len());
        self.keep(file, from..from + length as u64)
    }

    /// Adds a stretch of the message, without what is there already.
    fn keep(&mut self, file: &File, range: Range<u64>) -> io::Result<()> {
        let kept = self.stretches.last().map_or(0, |(start, at)| at + (self.bytes.len() - start) as u64);
        let from = range.start.max(kept);
        let length = usize::try_from(range.end.saturating_sub(from)).unwrap_or(usize::MAX);
        if length == 0 {
            return Ok(());
        }
        if self.bytes.len().saturating_add(length) > MOST {
            self.cut = true;
            return Ok(());
        }
        let start = self.bytes.len();
        if from > kept || self.stretches.is_empty() {
            self.stretches.push((start, from));
        }
        self.bytes.resize(start + length, 0);
        file.read_exact_at(&mut self.bytes[start..], from)?;
        // A parameter may have begun in the stretch before.
        let declared = boundaries(&self.bytes[start.saturating_sub(LINE)..]);
        self.boundaries.extend(declared.into_iter().take(BOUNDARIES.saturating_sub(self.boundaries.len())));
        Ok(())
    }

    /// Where a byte of the skeleton stood in the message. A body that ends with the skeleton ends with the message.
    fn place(&self, at: usize) -> u64 {
        if at == self.bytes.len() {
            return self.size;
        }
        let stretch = self.stretches.partition_point(|(start, _)| *start <= at);
        let (start, from) = stretch.checked_sub(1).and_then(|last| self.stretches.get(last)).copied().unwrap_or((0, 0));
        from + at.saturating_sub(start) as u64
    }

    fn files(&self) -> Vec<LargeFile> {
        let raw = &self.bytes;
        let file = |part: &super::layout::Part| {
            let head = part_header(slice(raw, &part.header));
            let body = self.place(part.body.start)..self.place(part.body.end);
            LargeFile { info: part_info(raw, part, &head), body, encoding: head.encoding }
        };
        layout(raw).files.iter().map(file).collect()
    }
}

/// Values of `boundary` parameters, wherever they stand (RFC 2045 §5.1): quoted or a token. One too many does no harm.
fn boundaries(text: &[u8]) -> Vec<Vec<u8>> {
    const REST: &[u8] = b"boundar";
    let mut found = Vec::new();
    for at in memchr::memchr2_iter(b'y', b'Y', text) {
        let word = at.checked_sub(REST.len()).map(|start| &text[start..at]);
        if !word.is_some_and(|word| word.eq_ignore_ascii_case(REST)) {
            continue;
        }
        let rest = text[at + 1..].trim_ascii_start();
        let Some(value) = rest.strip_prefix(b"=").map(<[u8]>::trim_ascii_start) else { continue };
        let value = match value.strip_prefix(b"\"") {
            Some(quoted) => quoted.split(|byte| *byte == b'"').next(),
            None => value.split(|byte| byte.is_ascii_whitespace() || *byte == b';').next(),
        };
        found.extend(value.filter(|value| !value.is_empty() && value.len() < LINE).map(<[u8]>::to_vec));
    }
    found
}

fn piece(file: &File, from: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX).min(PIECE)];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};

    fn on_disk(raw: &[u8]) -> Arc<File> {
        let path = std::env::temp_dir().join(format!("halfpenny-large-{}-{:p}", std::process::id(), raw.as_ptr()));
        std::fs::write(&path, raw).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.into()
    }

    fn read_both(raw: &[u8]) -> Large {
        let file = on_disk(raw);
        let large = large(&file, raw.len() as u64).unwrap();
        let whole: Vec<_> = super::super::files(raw).collect();
        assert_eq!(large.files.len(), whole.len());
        for (found, (info, bytes)) in large.files.iter().zip(&whole) {
            let pieces: Vec<Bytes> = found.pieces(Arc::clone(&file)).map(Result::unwrap).collect();
            assert!(pieces.concat() == *bytes, "{info:?}");
            assert_eq!(PartInfo { size: info.size, ..found.info.clone() }, *info);
        }
        let parsed = super::super::parse(raw);
        assert_eq!((&large.parsed.subject, &large.parsed.preview), (&parsed.subject, &parsed.preview));
        large
    }

    fn lines(bytes: &[u8]) -> String {
        let text = STANDARD.encode(bytes);
        text.as_bytes().chunks(76).map(|line| format!("{}\r\n", std::str::from_utf8(line).unwrap())).collect()
    }

    #[test]
    fn a_large_message_is_read_like_a_small_one() {
        let noise: Vec<u8> = (0..3_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let text = "a soft=20line =\r\n--no delimiter  \r\n".repeat(60_000);
        let inner = format!(
            "Subject: inner\r\nContent-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n\r\nhi\r\n--in\r\nContent-Disposition: attachment\r\n\r\n{}--in--\r\n",
            lines(&noise[..900_000])
        );
        let raw = format!(
            "Subject: large\r\nContent-Type: multipart/mixed;\r\n boundary=\"=_out er\"\r\n\r\npreamble\r\n\
             --=_out er\r\nContent-Type: multipart/alternative; boundary=alt\r\n\r\n--alt\r\n\r\nHello there\r\n\
             --alt\r\nContent-Type: text/html\r\n\r\n<p>Hello there</p>\r\n--alt--\r\n\
             --=_out er  \r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\
             --=_out er\r\nContent-Type: message/rfc822\r\n\r\n{inner}\
             \r\n--=_out er\r\nContent-Disposition: attachment; filename=b.txt\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{text}\
             \r\n--=_out er\r\nContent-Disposition: attachment; filename=c.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\
             --=_out er--\r\n",
            lines(&noise),
            lines(&noise[..2_000_001]),
        );
        let large = read_both(raw.as_bytes());
        let names: Vec<_> = large.files.iter().map(|file| file.info.filename.as_deref().unwrap()).collect();
        assert_eq!(names, ["a.pdf", "message.eml", "b.txt", "c.bin"]);
        assert!(
            large.parsed.defects.iter().all(|defect| defect.code == "missing_date" || defect.code == "missing_from")
        );
        // One whose end never came.
        read_both(&raw.as_bytes()[..raw.len() - 1_000_000]);
        read_both(raw.replace("\r\n", "\n").as_bytes());
    }

    #[test]
    fn a_large_message_of_countless_parts_is_cut_and_says_so() {
        let part = format!("--b\r\nContent-Disposition: attachment\r\n\r\n{}\r\n", "x".repeat(300));
        let raw = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", part.repeat(30_000));
        let large = large(&on_disk(raw.as_bytes()), raw.len() as u64).unwrap();
        assert!(large.parsed.defects.iter().any(|defect| defect.code == super::super::PARTS_TRUNCATED));
        assert!(large.files.len() <= super::super::MAX_PARTS);
        let line = vec![b'x'; 5 << 20];
        assert!(super::large(&on_disk(&line), line.len() as u64).unwrap().files.is_empty());
    }
}
