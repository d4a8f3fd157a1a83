//! What a client signs in with, whatever the protocol.

use secrecy::{ExposeSecret, SecretString};

use super::sasl;

/// A credential, complete.
#[derive(Clone, Debug)]
pub enum Credential {
    /// Do not sign in (an open relay inside the customer's network).
    None,
    /// User name and password.
    Password {
        /// The login.
        username: String,
        /// Its secret; `Debug` shows nothing.
        password: SecretString,
    },
    /// User name and OAuth 2.0 access token (RFC 6750).
    Bearer {
        /// The mailbox.
        username: String,
        /// The token; `Debug` shows nothing.
        token: SecretString,
    },
}

impl Credential {
    /// The initial response of SASL PLAIN (RFC 4616 §2), base64: `\0user\0password`.
    pub fn plain(username: &str, password: &SecretString) -> SecretString {
        base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            format!("\0{username}\0{}", password.expose_secret()),
        )
        .into()
    }

    /// What must never be shown: the secret, in every form in which it goes over a wire (the base64 of it alone is known
    /// to [`shown`](super::error::shown)). The longest first: once a shorter one is cut out of it, it would not be found.
    pub fn secrets(&self) -> Vec<SecretString> {
        match self {
            Self::None => Vec::new(),
            Self::Password { username, password } => {
                // RFC 3501 §4.3: IMAP's quoted string.
                let quoted = password.expose_secret().replace('\\', "\\\\").replace('"', "\\\"");
                vec![Self::plain(username, password), quoted.into(), password.clone()]
            }
            Self::Bearer { username, token } => {
                vec![sasl::xoauth2(username, token), sasl::oauthbearer(username, token), token.clone()]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::error::shown;

    #[test]
    fn no_form_of_a_password_survives_not_even_one_that_the_cut_would_halve() {
        let password = "CANARY\"pw\u{e4}";
        let credential = Credential::Password { username: "bob".into(), password: password.into() };
        let long = format!("{}{password}", "x".repeat(195));
        let coded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, password);
        let plain = Credential::plain("bob", &password.into());
        for echoed in [password, "CANARY\\\"pw\u{e4}", &coded, plain.expose_secret(), &long] {
            let shown = shown(format!("LOGIN {echoed} {echoed} failed").as_bytes(), &credential.secrets());
            assert!(
                !shown.contains("CANARY")
                    && !shown.contains(&coded[..6])
                    && !shown.contains(&plain.expose_secret()[..8]),
                "{shown}"
            );
        }
    }
}
