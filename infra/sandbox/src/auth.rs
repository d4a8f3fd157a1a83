//! SASL as all three protocols use it: PLAIN (RFC 4616), and LOGIN for SMTP.

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

/// One base64 answer of the LOGIN mechanism (draft-murchison-sasl-login-00).
pub(crate) fn text(encoded: &[u8]) -> Option<String> {
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::plain_message;

    #[test]
    fn plain_needs_three_fields_and_ones_own_identity() {
        let ada = Some(("ada".to_owned(), "pw".to_owned()));
        assert_eq!(plain_message("\0ada\0pw"), ada);
        assert_eq!(plain_message("ADA\0ada\0pw"), ada);
        assert_eq!(plain_message("bob\0ada\0pw"), None);
        assert_eq!(plain_message("\0ada"), None);
        assert_eq!(plain_message("\0ada\0pw\0more"), None);
    }
}
