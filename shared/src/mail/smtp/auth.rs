//! Signing in (RFC 4954), by PLAIN (RFC 4616), LOGIN, XOAUTH2 or OAUTHBEARER (RFC 7628).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};

use super::{Client, reply};
use crate::mail::auth::Credential;
use crate::mail::error::Error;
use crate::mail::sasl::{self, Bearer};
use crate::mail::wire::Stream;
use crate::model::{Phase, ProbeCode};

/// A command line with its CRLF (RFC 5321 §4.5.3.1.4). A longer initial response goes out as an answer of its own
/// (RFC 4954 §4).
const COMMAND_LINE_BYTES: usize = 512;

impl<S: Stream> Client<S> {
    /// Signs in with the best of the mechanisms offered, once: a second try with the same password would count
    /// twice against the account.
    pub(super) async fn sign_in(&mut self, credential: &Credential) -> Result<(), Error> {
        self.wire.phase = Phase::Auth;
        let (answer, challenge) = match credential {
            Credential::None => return Ok(()),
            Credential::Password { username, password } => (self.by_password(username, password).await?, None),
            Credential::Bearer { username, token } => self.by_token(username, token).await?,
        };
        // RFC 4954 §6: 235.
        if answer.class() == 2 {
            self.signed_in = Some(answer.cleaned(&self.secrets));
            Ok(())
        } else {
            let error = self.refused(failure(&answer, &self.refusal(&answer).enhanced), &answer);
            Err(sasl::explained(error, challenge.as_deref(), &self.secrets))
        }
    }

    async fn by_password(&mut self, username: &str, password: &SecretString) -> Result<reply::Raw, Error> {
        if username.contains('\0') || password.expose_secret().contains('\0') {
            return Err(self
                .wire
                .error(ProbeCode::AuthUnavailable, "user name and password cannot hold NUL (RFC 4616 §2)"));
        }
        if self.offers("PLAIN") {
            self.plain(username, password).await
        } else if self.offers("LOGIN") {
            self.login(username, password).await
        } else {
            Err(self.wire.error(ProbeCode::AuthUnavailable, self.nothing_usable("PLAIN or LOGIN")))
        }
    }

    /// XOAUTH2 or OAUTHBEARER (RFC 7628 §3.1): the last reply, and the challenge that explains it, if there was one.
    async fn by_token(&mut self, username: &str, token: &SecretString) -> Result<(reply::Raw, Option<Bytes>), Error> {
        if !sasl::is_clean(username, token) {
            return Err(self.wire.error(
                ProbeCode::AuthUnavailable,
                "user name and token cannot hold control characters (RFC 7628 §3.1)",
            ));
        }
        let Some(bearer) = Bearer::choose(username, token, |mechanism| self.offers(mechanism)) else {
            return Err(self.wire.error(ProbeCode::AuthUnavailable, self.nothing_usable("XOAUTH2 or OAUTHBEARER")));
        };
        let answer = self.begin(bearer.mechanism, &bearer.response, |answer| {
            answer.lines.iter().all(|line| line.trim_ascii().is_empty())
        });
        let mut answer = answer.await?;
        let mut challenge = None;
        // RFC 7628 §3.2.3: an error comes as a challenge first, and is final once that is answered.
        if answer.code == 334 {
            challenge = answer.lines.first().cloned();
            answer = self.respond(SecretString::from(bearer.acknowledgement)).await?;
        }
        Ok((answer, challenge))
    }

    fn offers(&self, mechanism: &str) -> bool {
        self.capabilities.auth.iter().any(|offer| offer == mechanism)
    }

    /// AUTH with the initial response (RFC 4954 §4), where it fits into a command; else, and where a server asks although
    /// the response came with the command, the response follows the challenge.
    async fn begin(
        &mut self,
        mechanism: &str,
        response: &SecretString,
        asks: impl Fn(&reply::Raw) -> bool,
    ) -> Result<reply::Raw, Error> {
        let command = SecretString::from(format!("AUTH {mechanism} {}\r\n", response.expose_secret()));
        let fits = command.expose_secret().len() <= COMMAND_LINE_BYTES;
        let alone = format!("AUTH {mechanism}\r\n");
        let answer = self.command(if fits { command.expose_secret() } else { &alone }).await?;
        if answer.code == 334 && (!fits || asks(&answer)) { self.respond(response.clone()).await } else { Ok(answer) }
    }

    /// RFC 4616: one message, so that whatever a challenge says, it asks for it.
    async fn plain(&mut self, username: &str, password: &SecretString) -> Result<reply::Raw, Error> {
        self.begin("PLAIN", &Credential::plain(username, password), |_| true).await
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

    fn nothing_usable(&self, needed: &str) -> String {
        let offers = &self.capabilities.auth;
        if offers.is_empty() {
            "the server offers no sign-in on this connection; many offer it only with security tls or starttls"
                .to_owned()
        } else {
            let shown = crate::mail::error::printable(offers.join(" ").as_bytes());
            format!("the server offers {shown}; {needed} is needed")
        }
    }
}

/// Only 535, or the enhanced code that says the same, is about the credential (RFC 4954 §6). 4yz may pass; 500, 504,
/// 530, 534, 538 and the like are about the mechanism.
fn failure(answer: &reply::Raw, enhanced: &Option<String>) -> ProbeCode {
    let refused = answer.code == 535 || (answer.class() == 5 && enhanced.as_deref() == Some("5.7.8"));
    if refused { ProbeCode::AuthFailed } else { ProbeCode::AuthUnavailable }
}
