//! Modified UTF-7, in which folder names travel (RFC 3501 §5.1.3).

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

/// Base64 with `,` for `/` and no padding; sloppy last bits are the server's affair.
const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD.with_decode_allow_trailing_bits(true));

/// A folder name as it goes over the wire: printable ASCII only.
pub(super) fn encode(name: &str) -> String {
    let (mut wire, mut shifted) = (String::with_capacity(name.len()), Vec::new());
    for character in name.chars() {
        match character {
            ' '..='~' => {
                unshift(&mut shifted, &mut wire);
                wire.push(character);
                if character == '&' {
                    wire.push('-');
                }
            }
            _ => shifted.extend(character.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes())),
        }
    }
    unshift(&mut shifted, &mut wire);
    wire
}

fn unshift(shifted: &mut Vec<u8>, wire: &mut String) {
    if !shifted.is_empty() {
        wire.push('&');
        BASE64.encode_string(&shifted, wire);
        wire.push('-');
        shifted.clear();
    }
}

/// A folder name from the wire; one that is not modified UTF-7 is taken as it stands.
pub(super) fn decode(wire: &str) -> String {
    decoded(wire).unwrap_or_else(|| wire.to_owned())
}

fn decoded(wire: &str) -> Option<String> {
    let (mut name, mut rest) = (String::with_capacity(wire.len()), wire);
    while let Some((plain, behind)) = rest.split_once('&') {
        let (shifted, after) = behind.split_once('-')?;
        name.push_str(plain);
        if shifted.is_empty() {
            name.push('&');
        } else {
            let bytes = BASE64.decode(shifted).ok().filter(|bytes| bytes.len() % 2 == 0)?;
            let units: Vec<_> = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            name.push_str(&String::from_utf16(&units).ok()?);
        }
        rest = after;
    }
    name.push_str(rest);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        let cases = [
            ("INBOX", "INBOX"),
            ("R&D", "R&-D"),
            ("&&", "&-&-"),
            ("Entw\u{fc}rfe", "Entw&APw-rfe"),
            // RFC 3501 §5.1.3.
            ("~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("\u{1f4e7} in", "&2D3c5w- in"),
            ("a\r\nb", "a&AA0ACg-b"),
            ("", ""),
        ];
        for (name, wire) in cases {
            assert_eq!(encode(name), wire);
            assert_eq!(decode(wire), name);
        }
    }

    #[test]
    fn what_is_no_modified_utf7_stays_as_it_is() {
        for wire in ["R&D", "&", "&!-", "&AP-", "&2AA-", "Entw\u{fc}rfe"] {
            assert_eq!(decode(wire), wire);
        }
    }
}
