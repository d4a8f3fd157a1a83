//! SASL as all three protocols use it: PLAIN (RFC 4616), LOGIN for SMTP, and access tokens by XOAUTH2 and OAUTHBEARER
//! (RFC 7628).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// User name and password of a PLAIN message, base64 encoded (RFC 4616 §2).
/// `None` if it is malformed, or asks to act as somebody else.
pub(crate) fn plain(encoded: &[u8]) -> Option<(String, String)> {
    let message = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    plain_message(&message)
}

/// The same, decoded: authorization identity, NUL, user, NUL, password.
pub(crate) fn plain_message(message: &str) -> Option<(String, String)> {
    let mut fields = message.split('\0');
    let (identity, user, password) = (fields.next()?, fields.next()?, fields.next()?);
    let own = identity.is_empty() || identity.eq_ignore_ascii_case(user);
    (own && fields.next().is_none()).then(|| (user.to_owned(), password.to_owned()))
}

/// The mechanisms for access tokens.
pub(crate) const BEARER: [&str; 2] = ["XOAUTH2", "OAUTHBEARER"];

/// `{"status":"401","schemes":"bearer","scope":"mail"}`: why a token is refused, before it is (RFC 7628 §3.2.2).
pub(crate) const REFUSED_TOKEN: &str = "eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIiwic2NvcGUiOiJtYWlsIn0=";

/// User and token of an XOAUTH2 or OAUTHBEARER message, base64 encoded.
pub(crate) fn bearer(encoded: &[u8]) -> Option<(String, String)> {
    bearer_message(&text(encoded)?)
}

/// The same, decoded: fields ended by `%x01`, the first of which names the user (RFC 7628 §3.1).
pub(crate) fn bearer_message(message: &str) -> Option<(String, String)> {
    let mut fields = message.strip_suffix("\x01\x01")?.split('\x01');
    let head = fields.next()?;
    let user = head.strip_prefix("user=").or_else(|| head.strip_prefix("n,a=")?.strip_suffix(','))?;
    let token = fields.find_map(|field| field.strip_prefix("auth=Bearer "))?;
    Some((user.to_owned(), token.to_owned()))
}

/// One base64 answer of the LOGIN mechanism (draft-murchison-sasl-login-00).
pub(crate) fn text(encoded: &[u8]) -> Option<String> {
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::{bearer_message, plain_message};

    #[test]
    fn plain_needs_three_fields_and_ones_own_identity() {
        let ada = Some(("ada".to_owned(), "pw".to_owned()));
        assert_eq!(plain_message("\0ada\0pw"), ada);
        assert_eq!(plain_message("ADA\0ada\0pw"), ada);
        assert_eq!(plain_message("bob\0ada\0pw"), None);
        assert_eq!(plain_message("\0ada"), None);
        assert_eq!(plain_message("\0ada\0pw\0more"), None);
    }
    #[test]
    fn a_token_comes_in_either_message() {
        let ada = Some(("ada".to_owned(), "t".to_owned()));
        assert_eq!(bearer_message("user=ada\x01auth=Bearer t\x01\x01"), ada);
        assert_eq!(bearer_message("n,a=ada,\x01host=h\x01auth=Bearer t\x01\x01"), ada);
        assert_eq!(bearer_message("user=ada\x01auth=Bearer t"), None);
        assert_eq!(bearer_message("ada\x01auth=Bearer t\x01\x01"), None);
        assert_eq!(bearer_message("user=ada\x01auth=Basic t\x01\x01"), None);
    }
}
