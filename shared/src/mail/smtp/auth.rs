//! Signing in (RFC 4954), by PLAIN (RFC 4616) or LOGIN.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

use super::{Client, reply};
use crate::mail::auth::Credential;
use crate::mail::error::Error;
use crate::mail::wire::Stream;
use crate::model::{Phase, ProbeCode};

/// A command line with its CRLF (RFC 5321 §4.5.3.1.4). A longer initial response goes out as an answer of its own
/// (RFC 4954 §4).
const COMMAND_LINE_BYTES: usize = 512;

/// What must never be shown: the password and its forms on the wire. The longest first: once the shorter one is cut
/// out of it, it would not be found.
pub(super) fn secrets(credential: &Credential) -> Vec<SecretString> {
    match credential {
        Credential::None => Vec::new(),
        Credential::Password { username, password } => vec![Credential::plain(username, password), password.clone()],
    }
}

impl<S: Stream> Client<S> {
    /// Signs in with the best of the mechanisms offered, once: a second try with the same password would count
    /// twice against the account.
    pub(super) async fn sign_in(&mut self, credential: &Credential) -> Result<(), Error> {
        let Credential::Password { username, password } = credential else {
            return Ok(());
        };
        self.wire.phase = Phase::Auth;
        if username.contains('\0') || password.expose_secret().contains('\0') {
            return Err(self
                .wire
                .error(ProbeCode::AuthUnavailable, "user name and password cannot hold NUL (RFC 4616 §2)"));
        }
        let offered = |mechanism: &str| self.capabilities.auth.iter().any(|offer| offer == mechanism);
        let answer = if offered("PLAIN") {
            self.plain(username, password).await?
        } else if offered("LOGIN") {
            self.login(username, password).await?
        } else {
            return Err(self.wire.error(ProbeCode::AuthUnavailable, self.nothing_usable()));
        };
        // RFC 4954 §6: 235.
        if answer.class() == 2 {
            self.signed_in = Some(answer.cleaned(&self.secrets));
            Ok(())
        } else {
            Err(self.refused(failure(&answer, &self.refusal(&answer).enhanced), &answer))
        }
    }

    /// RFC 4616, with the initial response (RFC 4954 §4) where it fits into a command.
    async fn plain(&mut self, username: &str, password: &SecretString) -> Result<reply::Raw, Error> {
        let response = Credential::plain(username, password);
        let command = SecretString::from(format!("AUTH PLAIN {}\r\n", response.expose_secret()));
        let fits = command.expose_secret().len() <= COMMAND_LINE_BYTES;
        let answer = self.command(if fits { command.expose_secret() } else { "AUTH PLAIN\r\n" }).await?;
        // Some servers ask although the response came with the command.
        if answer.code == 334 { self.respond(response).await } else { Ok(answer) }
    }

    /// The LOGIN mechanism (draft-murchison-sasl-login-00): two challenges, whose words differ from server to server.
    async fn login(&mut self, username: &str, password: &SecretString) -> Result<reply::Raw, Error> {
        let mut answer = self.command("AUTH LOGIN\r\n").await?;
        for word in [username, password.expose_secret()] {
            if answer.code != 334 {
                break;
            }
            answer = self.respond(STANDARD.encode(word).into()).await?;
        }
        Ok(answer)
    }

    async fn respond(&mut self, response: SecretString) -> Result<reply::Raw, Error> {
        let line = SecretString::from(format!("{}\r\n", response.expose_secret()));
        self.command(line.expose_secret()).await
    }

    fn nothing_usable(&self) -> String {
        let offers = &self.capabilities.auth;
        if offers.is_empty() {
            "the server offers no sign-in on this connection; many offer it only with security tls or starttls"
                .to_owned()
        } else {
            let shown = crate::mail::error::printable(offers.join(" ").as_bytes());
            format!("the server offers {shown}; PLAIN or LOGIN is needed")
        }
    }
}

/// Only 535, or the enhanced code that says the same, is about the credential (RFC 4954 §6). 4yz may pass; 500, 504,
/// 530, 534, 538 and the like are about the mechanism.
fn failure(answer: &reply::Raw, enhanced: &Option<String>) -> ProbeCode {
    let refused = answer.code == 535 || (answer.class() == 5 && enhanced.as_deref() == Some("5.7.8"));
    if refused { ProbeCode::AuthFailed } else { ProbeCode::AuthUnavailable }
}
