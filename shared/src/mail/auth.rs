//! What a client signs in with, whatever the protocol.

use secrecy::{ExposeSecret, SecretString};

use super::error::printable;

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
}

impl Credential {
    /// The initial response of SASL PLAIN (RFC 4616 §2), base64: `\0user\0password`.
    pub fn plain(username: &str, password: &SecretString) -> SecretString {
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("\0{username}\0{}", password.expose_secret())).into()
    }
}

/// What must never be shown: a password, in every form in which it goes over a wire.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Vec<SecretString>);

impl Secrets {
    /// Every form of this credential's password: clear, quoted (RFC 3501 §4.3), base64, and inside SASL PLAIN.
    pub fn of(credential: &Credential) -> Self {
        let Credential::Password { username, password } = credential else { return Self::default() };
        let clear = password.expose_secret();
        let coded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, clear);
        let quoted = clear.replace('\\', "\\\\").replace('"', "\\\"");
        Self(vec![Credential::plain(username, password), coded.into(), quoted.into(), password.clone()])
    }

    /// A server's words made safe by [`printable`], without these secrets: they go before anything is cut off, so
    /// that no cut leaves half of one. Below four bytes a secret is no more than a coincidence, and stays.
    pub fn printable(&self, words: &[u8]) -> String {
        let mut words = words.to_vec();
        for secret in self.0.iter().map(|secret| secret.expose_secret().as_bytes()).filter(|secret| secret.len() > 3) {
            while let Some(at) = memchr::memmem::find(&words, secret) {
                words.splice(at..at + secret.len(), *b"?");
            }
        }
        printable(&words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_password_survives_not_even_one_that_the_cut_would_halve() {
        let password = "CANARY\"pw\u{e4}";
        let secrets = Secrets::of(&Credential::Password { username: "bob".into(), password: password.into() });
        let long = format!("{}{password}", "x".repeat(195));
        let coded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, password);
        let plain = Credential::plain("bob", &password.into());
        for echoed in [password, "CANARY\\\"pw\u{e4}", &coded, plain.expose_secret(), &long] {
            let shown = secrets.printable(format!("LOGIN {echoed} {echoed} failed").as_bytes());
            assert!(!shown.contains("CANARY") && !shown.contains(&coded[..6]) && !shown.contains(&plain.expose_secret()[..8]), "{shown}");
        }
        assert_eq!(secrets.printable(b"Mailbox \xe4 locked\r\n"), "Mailbox ? locked??");
    }
}
