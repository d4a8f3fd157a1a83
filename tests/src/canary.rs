//! A secret in every form in which it could leak.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The secret itself, base64 (also as part of longer text, at each of the three alignments), the SASL PLAIN response,
/// percent-encoded, hex in both cases, as a JSON string, and as an array of numbers.
#[must_use]
pub fn forms(username: &str, secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let plain = format!("\0{username}\0{secret}");
    let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
    let mut forms = vec![
        secret.to_owned(),
        STANDARD.encode(&plain),
        STANDARD_NO_PAD.encode(bytes),
        URL_SAFE_NO_PAD.encode(bytes),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        hex::encode(bytes),
        hex::encode_upper(bytes),
        serde_json::to_string(secret).unwrap().trim_matches('"').to_owned(),
        numbers.join(", "),
        numbers.join(","),
    ];
    // Inside longer text its base64 depends on what stands before, and groups at its ends mix with its neighbours.
    for shift in 0..3 {
        let encoded = STANDARD_NO_PAD.encode([&vec![b'x'; shift], bytes].concat());
        let first = if shift == 0 { 0 } else { 4 };
        forms.push(encoded[first..(shift + bytes.len()) / 3 * 4].to_owned());
    }
    forms.sort();
    forms.dedup();
    forms
}

/// The forms that stand in a text.
#[must_use]
pub fn leaks(text: &str, username: &str, secret: &str) -> Vec<String> {
    forms(username, secret).into_iter().filter(|form| text.contains(form.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_found() {
        let (user, secret) = ("ada", "CANARY-pw-7%x");
        for text in [
            "the password CANARY-pw-7%x is here".to_owned(),
            STANDARD.encode("\0ada\0CANARY-pw-7%x"),
            STANDARD.encode("say CANARY-pw-7%x again"),
            STANDARD.encode("to CANARY-pw-7%x again"),
            STANDARD.encode("o CANARY-pw-7%x again"),
            hex::encode("...CANARY-pw-7%x..."),
            "CANARY%2Dpw%2D7%25x".to_owned(),
            format!("{:?}", b"CANARY-pw-7%x"),
        ] {
            assert!(!leaks(&text, user, secret).is_empty(), "{text}");
        }
        assert!(leaks("CANARY-pw-8%x and ada", user, secret).is_empty());
    }
}
