//! Lines, paths, parameters and messages as RFC 5321 writes them.

use bytes::Bytes;

use super::SIZE;

/// RFC 5321 §4.5.3.1.6: a text line with its CRLF.
const TEXT_LINE: usize = 1_000;

/// The first word, and what follows the blank behind it.
pub(super) fn split(text: &str) -> (&str, &str) {
    text.split_once(' ').map_or((text, ""), |(word, rest)| (word, rest.trim_ascii_end()))
}

/// A line as text; what is not UTF-8 shows as U+FFFD and so fails every check.
pub(super) fn text_of(line: &[u8]) -> String {
    String::from_utf8_lossy(line.trim_ascii_end()).into_owned()
}

/// `FROM:<path> parameters` or `TO:<path> parameters`, without source route (RFC 5321 §4.1.2).
pub(super) fn path<'a>(arguments: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (head, rest) = arguments.split_at_checked(keyword.len())?;
    if !head.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let (path, parameters) = rest.strip_prefix('<')?.split_once('>')?;
    match parameters {
        "" => Some((path, "")),
        _ => Some((path, parameters.strip_prefix(' ')?)),
    }
}

/// A mailbox as far as a sandbox must know (RFC 5321 §4.1.2); without SMTPUTF8 in ASCII (RFC 6531 §3.3).
pub(super) fn is_address(address: &str) -> bool {
    let printable = address.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>'));
    printable && address.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

/// MAIL parameters: SIZE (RFC 1870 §6.1), BODY (RFC 6152 §2), AUTH (RFC 4954 §5).
pub(super) fn refuse_parameter(parameter: &str) -> Option<&'static str> {
    match parameter.split_once('=') {
        Some(("SIZE", size)) => match size.parse::<u64>() {
            Ok(size) if size > SIZE as u64 => Some("552 5.3.4 Message too big"),
            Ok(_) => None,
            Err(_) => Some("501 5.5.4 SIZE is a number"),
        },
        Some(("BODY", "7BIT" | "8BITMIME")) | Some(("AUTH", _)) => None,
        // RFC 5321 §4.1.1.11
        _ => Some("555 5.5.4 Unknown parameter"),
    }
}

/// Takes away the final dot and the dots that the client doubled (RFC 5321 §4.5.2).
pub(super) fn unstuff(wire: &Bytes) -> Bytes {
    let content = wire.slice(..wire.len().saturating_sub(b".\r\n".len()));
    let stuffed: Vec<usize> = memchr::memmem::find_iter(&content, b"\r\n.").map(|at| at + 2).collect();
    if stuffed.is_empty() && !content.starts_with(b".") {
        return content;
    }
    let mut plain = Vec::with_capacity(content.len());
    let mut from = usize::from(content.starts_with(b"."));
    for dot in stuffed {
        plain.extend_from_slice(content.get(from..dot).unwrap_or_default());
        from = dot + 1;
    }
    plain.extend_from_slice(content.get(from..).unwrap_or_default());
    plain.into()
}

/// What a client must not send (RFC 5321 §2.3.8, §4.1.1.4 and §4.5.3.1.6; NUL: RFC 5322 §2.1).
pub(super) fn fault(message: &[u8]) -> Option<&'static str> {
    let mut start = 0;
    for at in memchr::memchr3_iter(b'\r', b'\n', 0, message) {
        match message.get(at..at + 2) {
            Some(b"\r\n") => {
                if at + 2 - start > TEXT_LINE {
                    return Some("Line of more than 998 bytes");
                }
                start = at + 2;
            }
            // The LF of the pair just seen.
            _ if message.get(at) == Some(&b'\n') && start == at + 1 => {}
            _ => return Some("Bare CR, bare LF or NUL"),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{fault, path, unstuff};

    #[test]
    fn dots_are_unstuffed_at_line_starts_only() {
        let plain = |wire: &'static [u8]| unstuff(&Bytes::from_static(wire));
        assert_eq!(plain(b".\r\n"), &b""[..]);
        assert_eq!(plain(b"a\r\n.\r\n"), &b"a\r\n"[..]);
        assert_eq!(plain(b"..\r\n..a.b\r\n.c\r\n.\r\n"), &b".\r\n.a.b\r\nc\r\n"[..]);
        assert_eq!(plain(b"\r\n....\r\n.\r\n"), &b"\r\n...\r\n"[..]);
    }

    #[test]
    fn only_crlf_ends_a_line() {
        assert_eq!(fault(b"a\r\n\r\nb\r\n"), None);
        for bad in [&b"a\nb\r\n"[..], b"a\rb\r\n", b"a\r\r\n", b"\n", b"a\r\n\n", b"a\0b\r\n", b"a\r"] {
            assert!(fault(bad).is_some(), "{bad:?}");
        }
        let longest = [&[b'x'; 998][..], b"\r\n"].concat();
        assert_eq!(fault(&longest), None);
        assert!(fault(&[&b"x"[..], &longest].concat()).is_some());
    }

    #[test]
    fn paths_are_exact() {
        assert_eq!(path("FROM:<a@b.c> SIZE=1", "FROM:"), Some(("a@b.c", "SIZE=1")));
        assert_eq!(path("from:<>", "FROM:"), Some(("", "")));
        for bad in ["FROM: <a@b.c>", "FROM:a@b.c", "FROM:<a@b.c>SIZE=1", "TO:<a@b.c>", "FR"] {
            assert_eq!(path(bad, "FROM:"), None, "{bad}");
        }
    }
}
