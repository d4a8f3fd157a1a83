//! Messages to be pulled. All have CRLF line ends, as mail servers store and serve them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::random::Random;

/// A message, and what its reader has to find in it.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// The charset's name in the message.
    pub charset: &'static str,
    /// The subject, decoded.
    pub subject: &'static str,
    /// The text, decoded.
    pub text: &'static str,
    /// The message.
    pub source: Vec<u8>,
}

fn foreign(
    charset: &'static str,
    subject: &'static str,
    encoded_subject: &str,
    text: &'static str,
    body: &[u8],
) -> Foreign {
    let head = format!(
        "From: Ada <ada@example.test>\r\nTo: Grace <grace@example.test>\r\nSubject: {encoded_subject}\r\nDate: Sat, 21 Nov 2026 08:00:00 +0000\r\n\
         Message-ID: <{charset}@example.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    );
    let source = [head.as_bytes(), body, b"\r\n"].concat();
    Foreign { charset, subject, text, source }
}

/// One message in each of eight charsets, 8bit, the bytes written out by hand.
#[must_use]
pub fn charsets() -> Vec<Foreign> {
    vec![
        foreign(
            "utf-8",
            "Grüße",
            "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=",
            "Grüße aus Köln",
            b"Gr\xc3\xbc\xc3\x9fe aus K\xc3\xb6ln",
        ),
        foreign(
            "iso-8859-2",
            "Łódź",
            "=?iso-8859-2?Q?=A3=F3d=BC?=",
            "Zażółć Łódź",
            b"Za\xbf\xf3\xb3\xe6 \xa3\xf3d\xbc",
        ),
        foreign(
            "windows-1251",
            "Привет",
            "=?windows-1251?B?z/Do4uXy?=",
            "Привет, мир",
            b"\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0",
        ),
        foreign("windows-1252", "Preis €", "=?windows-1252?Q?Preis_=80?=", "10 € – gut", b"10 \x80 \x96 gut"),
        foreign("koi8-r", "Привет", "=?koi8-r?B?8NLJ18XU?=", "Привет", b"\xf0\xd2\xc9\xd7\xc5\xd4"),
        foreign("iso-2022-jp", "日本", "=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本", b"\x1b$BF|K\\\x1b(B"),
        foreign("gb18030", "中文", "=?gb18030?B?1tDOxA==?=", "中文", b"\xd6\xd0\xce\xc4"),
        foreign("big5", "中文", "=?big5?B?pKSk5Q==?=", "中文", b"\xa4\xa4\xa4\xe5"),
    ]
}

/// A plain message that differs from all others by its number.
#[must_use]
pub fn plain(number: usize) -> Vec<u8> {
    format!(
        "From: Ada <ada@example.test>\r\nTo: Grace <grace@example.test>\r\nSubject: Message {number}\r\nDate: Sat, 21 Nov 2026 08:00:00 +0000\r\n\
         Message-ID: <{number}@example.test>\r\n\r\nThis is number {number}.\r\n"
    )
    .into_bytes()
}

/// A message with one attachment.
#[must_use]
pub fn with_attachment(number: usize, filename: &str, content: &[u8]) -> Vec<u8> {
    let encoded = STANDARD.encode(content);
    let lines: Vec<_> = encoded.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!(
        "From: Ada <ada@example.test>\r\nTo: Grace <grace@example.test>\r\nSubject: File {number}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee the file.\r\n--b\r\n\
         Content-Type: application/pdf; name=\"{filename}\"\r\nContent-Disposition: attachment; filename=\"{filename}\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}\r\n--b--\r\n",
        lines.join("\r\n")
    )
    .into_bytes()
}

/// Odd but legal or often seen: what a pull must not change by a byte.
#[must_use]
pub fn odd() -> Vec<Vec<u8>> {
    let long_line = [b"Subject: long\r\n\r\n".as_slice(), &b"x".repeat(20_000), b"\r\n"].concat();
    vec![
        b"Subject: dots\r\n\r\n.\r\n..\r\n.leading\r\nmiddle . dot\r\n...\r\n".to_vec(),
        b"Subject: no body\r\n\r\n".to_vec(),
        b"\r\nno header at all\r\n".to_vec(),
        b"no colon in the first line\r\nSubject: late\r\n\r\nbody\r\n".to_vec(),
        b"Subject: trailing blanks  \r\n\r\nline with blank \r\n\ttab\t\r\n\r\n\r\n\r\n".to_vec(),
        b"Subject: eight bits \xff\xfe\r\n\r\n\x80\x81\xfe\xff raw\r\n".to_vec(),
        b"Subject: same\r\nMessage-ID: <twice@example.test>\r\n\r\nThe same words.\r\n".to_vec(),
        b"Subject: same\r\nMessage-ID: <twice@example.test>\r\n\r\nThe same words.\r\n".to_vec(),
        b"Subject: same id, other words\r\nMessage-ID: <twice@example.test>\r\n\r\nOther words.\r\n".to_vec(),
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nnever closed\r\n".to_vec(),
        b"Content-Type: text/html\r\n\r\n<p onclick=alert(1)>Hi<script>alert(1)</script></p>\r\n".to_vec(),
        b"Content-Transfer-Encoding: base64\r\n\r\n!!! not base64 !!!\r\n".to_vec(),
        long_line,
    ]
}

/// `count` messages of many sizes and kinds; some of them byte-identical.
#[must_use]
pub fn mixed(count: usize, random: &mut Random) -> Vec<Vec<u8>> {
    let (odd, foreign) = (odd(), charsets());
    let mut messages = Vec::with_capacity(count);
    for number in 0..count {
        let message = match random.below(10) {
            0 => odd[usize::try_from(random.number() % odd.len() as u64).unwrap()].clone(),
            1 => foreign[usize::try_from(random.number() % foreign.len() as u64).unwrap()].source.clone(),
            2 | 3 => {
                let size = usize::try_from(random.below(60_000)).unwrap();
                with_attachment(number, "data.pdf", &random.bytes(size))
            }
            _ => plain(number),
        };
        messages.push(message);
    }
    messages
}
