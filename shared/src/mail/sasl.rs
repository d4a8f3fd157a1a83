//! SASL with an access token: XOAUTH2, which Google and Microsoft defined before there was a standard, and OAUTHBEARER
//! (RFC 7628). Both are one message, and an error that the server explains in a challenge before it refuses.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::error::{Error, shown};

/// A sign-in by access token, by the mechanism that the server offers.
#[derive(Debug)]
pub(super) struct Bearer {
    /// Its name (RFC 4422 §3.1).
    pub(super) mechanism: &'static str,
    /// The message, base64.
    pub(super) response: SecretString,
    /// What the challenge that explains an error is answered with: XOAUTH2 wants an empty line, OAUTHBEARER `%x01`
    /// (RFC 7628 §3.2.3), base64.
    pub(super) acknowledgement: &'static str,
}

impl Bearer {
    /// XOAUTH2 goes first where both are offered: it is what the large providers document for mail clients.
    pub(super) fn choose(username: &str, token: &SecretString, offered: impl Fn(&str) -> bool) -> Option<Self> {
        if offered("XOAUTH2") {
            Some(Self { mechanism: "XOAUTH2", response: xoauth2(username, token), acknowledgement: "" })
        } else if offered("OAUTHBEARER") {
            Some(Self { mechanism: "OAUTHBEARER", response: oauthbearer(username, token), acknowledgement: "AQ==" })
        } else {
            None
        }
    }
}

/// Whether these could end a field (RFC 7628 §3.1: `%x01`) or a line.
pub(super) fn is_clean(username: &str, token: &SecretString) -> bool {
    ![username, token.expose_secret()].iter().any(|word| word.chars().any(char::is_control))
}

/// `user=…^Aauth=Bearer …^A^A` (Google: "OAuth 2.0 Mechanism", Microsoft: "SASL XOAUTH2").
pub(super) fn xoauth2(username: &str, token: &SecretString) -> SecretString {
    STANDARD.encode(format!("user={username}\x01auth=Bearer {}\x01\x01", token.expose_secret())).into()
}

/// RFC 7628 §3.1, with the GS2 header's authorization identity in its escapes (RFC 5801 §4).
pub(super) fn oauthbearer(username: &str, token: &SecretString) -> SecretString {
    let identity = username.replace('=', "=3D").replace(',', "=2C");
    STANDARD.encode(format!("n,a={identity},\x01auth=Bearer {}\x01\x01", token.expose_secret())).into()
}

/// A refusal that a challenge explained (RFC 7628 §3.2.2: JSON with `status`): the status in our words, before the
/// server's.
pub(super) fn explained(mut error: Error, challenge: Option<&[u8]>, secrets: &[SecretString]) -> Error {
    let status = challenge
        .and_then(|encoded| STANDARD.decode(encoded.trim_ascii()).ok())
        .and_then(|json| serde_json::from_slice::<Value>(&json).ok())
        .and_then(|json| match json.get("status")? {
            Value::String(status) => Some(status.clone()),
            Value::Number(status) => Some(status.to_string()),
            _ => None,
        });
    if let Some(status) = status {
        let status = shown(status.as_bytes(), secrets);
        error.detail = format!("the server refuses the access token (status {status}): {}", error.detail);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Phase, ProbeCode};

    #[test]
    fn messages_are_those_of_their_specifications() {
        // Microsoft's own example, and that of RFC 7628 §4.1 without host and port.
        let token = SecretString::from("EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA");
        assert_eq!(
            xoauth2("test@contoso.onmicrosoft.com", &token).expose_secret(),
            "dXNlcj10ZXN0QGNvbnRvc28ub25taWNyb3NvZnQuY29tAWF1dGg9QmVhcmVyIEV3QkFBbDNCQUFVRkZwVUFvN0ozVmUwYmpMQldaV0NjbFJDM0VvQUEBAQ=="
        );
        let token = SecretString::from("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
        let message = STANDARD.decode(oauthbearer("user@example.com", &token).expose_secret()).unwrap();
        assert_eq!(message, b"n,a=user@example.com,\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01");
        let message = STANDARD.decode(oauthbearer("a=b,c", &"t".into()).expose_secret()).unwrap();
        assert!(message.starts_with(b"n,a=a=3Db=2Cc,\x01"));
    }

    #[test]
    fn only_what_a_challenge_says_is_told() {
        let told = |challenge: &[u8]| {
            let error = Error::new(ProbeCode::AuthFailed, Phase::Auth, "535 no");
            explained(error, Some(STANDARD.encode(challenge).as_bytes()), &["CANARY".to_owned().into()]).detail
        };
        assert_eq!(told(br#"{"status":"401"}"#), "the server refuses the access token (status 401): 535 no");
        assert_eq!(told(br#"{"status":400}"#), "the server refuses the access token (status 400): 535 no");
        assert_eq!(told(br#"{"status":"CANARY\r\n"}"#), "the server refuses the access token (status ***??): 535 no");
        assert_eq!(told(b"{}"), "535 no");
        assert_eq!(told(b"\xff"), "535 no");
    }
}
