//! What a client signs in with, whatever the protocol.

use secrecy::{ExposeSecret, SecretString};

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
