//! From the greeting to the TRANSACTION state (RFC 1939 §4).

use secrecy::{ExposeSecret, SecretString};

use super::Client;
use super::reply::{Reply, Session};
use crate::mail::auth::Credential;
use crate::mail::error::{Error, Refusal};
use crate::mail::limits::{CAPABILITY_LINES, POP3_COMMAND_BYTES};
use crate::mail::sasl::{self, Bearer};
use crate::mail::wire::{Stream, Wire};
use crate::model::{Phase, ProbeCode};

/// The lines of CAPA (RFC 2449 §5). None at all: the server does not know the command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities(Vec<String>);

impl Capabilities {
    pub(super) async fn ask<S: Stream>(session: &mut Session<S>) -> Result<Self, Error> {
        let mut lines = Vec::new();
        let answer = session.list("CAPA", CAPABILITY_LINES, |line| {
            lines.push(String::from_utf8_lossy(line).to_ascii_uppercase());
            Some(())
        });
        // RFC 2449 §5: CAPA is optional, and a server of RFC 1939 alone answers -ERR.
        answer.await?.map_or_else(|_| Ok(Self::default()), |()| Ok(Self(lines)))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|line| line.split_whitespace().next() == Some(name))
    }

    fn has_mechanism(&self, name: &str) -> bool {
        self.0.iter().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some("SASL") && words.any(|word| word == name)
        })
    }
}

/// Opens the maildrop over a secured connection whose greeting has been read.
///
/// # Errors
/// `AuthFailed` is the server's no to these credentials and nothing else; a maildrop in use or a server in trouble
/// says so by its response code (RFC 2449 §8.1, RFC 3206), and [`Error::is_transient`] is true.
pub async fn login<S: Stream>(mut wire: Wire<S>, greeting: &[u8], credential: &Credential) -> Result<Client<S>, Error> {
    wire.phase = Phase::Greeting;
    let mut session = Session::new(wire, credential.secrets());
    greet(&session, greeting)?;
    session.wire.phase = Phase::Capabilities;
    let capabilities = Capabilities::ask(&mut session).await?;
    session.wire.phase = Phase::Auth;
    match credential {
        Credential::None => return Err(unavailable(&session, "POP3 needs a user name and a password or token")),
        Credential::Password { username, password } => {
            by_password(&mut session, &capabilities, username, password).await?;
        }
        Credential::Bearer { username, token } => by_token(&mut session, &capabilities, username, token).await?,
    }
    session.wire.phase = Phase::Select;
    Ok(Client { session, capabilities, asked_again: false })
}

/// RFC 1939 §4: the greeting is a positive response. RFC 2449 §8 lets a refusal carry a code.
fn greet<S: Stream>(session: &Session<S>, greeting: &[u8]) -> Result<(), Error> {
    match session.parse(greeting) {
        Some(Reply::Ok(_)) => Ok(()),
        Some(Reply::Refused(refusal)) => Err(Error::refused(ProbeCode::GreetingFailed, Phase::Greeting, refusal)),
        _ => Err(Error::new(ProbeCode::GreetingFailed, Phase::Greeting, session.garbled(greeting).detail)),
    }
}

async fn by_password<S: Stream>(
    session: &mut Session<S>,
    capabilities: &Capabilities,
    username: &str,
    password: &SecretString,
) -> Result<(), Error> {
    // A line end in an argument would be a second command (RFC 1939 §3), and NUL separates SASL PLAIN (RFC 4616 §2).
    if [username, password.expose_secret()].iter().any(|word| word.contains(['\r', '\n', '\0'])) {
        return Err(unavailable(session, "a user name or password with a line end cannot be sent"));
    }
    if capabilities.has_mechanism("PLAIN") {
        return plain(session, &Credential::plain(username, password)).await;
    }
    if !capabilities.0.is_empty() && !capabilities.has("USER") {
        // RFC 2449 §6.2: without the USER capability the server takes no USER and PASS.
        return Err(unavailable(session, "the server offers neither USER nor AUTH PLAIN"));
    }
    // RFC 1939 §7. The password may contain blanks: PASS has one argument.
    for command in [format!("USER {username}"), format!("PASS {}", password.expose_secret())] {
        let reply = session.exchange(&command).await?;
        accepted(session, reply)?;
    }
    Ok(())
}

/// XOAUTH2 or OAUTHBEARER, always in two steps: no token fits into a line of 255 bytes (RFC 2449 §4), and Microsoft
/// takes no initial response. An error is explained by a challenge before it is final (RFC 7628 §3.2.3).
async fn by_token<S: Stream>(
    session: &mut Session<S>,
    capabilities: &Capabilities,
    username: &str,
    token: &SecretString,
) -> Result<(), Error> {
    if !sasl::is_clean(username, token) {
        return Err(unavailable(session, "a user name or token with control characters cannot be sent"));
    }
    let Some(bearer) = Bearer::choose(username, token, |mechanism| capabilities.has_mechanism(mechanism)) else {
        return Err(unavailable(session, "the server offers neither XOAUTH2 nor OAUTHBEARER"));
    };
    match session.exchange(&format!("AUTH {}", bearer.mechanism)).await? {
        Reply::Continue(_) => {}
        // Nothing was refused yet but the mechanism.
        Reply::Refused(refusal) => return Err(Error::refused(ProbeCode::AuthUnavailable, Phase::Auth, refusal)),
        Reply::Ok(words) => return Err(session.garbled(&words)),
    }
    let mut reply = session.respond(bearer.response.expose_secret()).await?;
    let mut challenge = None;
    if let Reply::Continue(words) = reply {
        challenge = Some(words);
        reply = session.respond(bearer.acknowledgement).await?;
    }
    accepted(session, reply).map_err(|error| sasl::explained(error, challenge.as_deref(), session.secrets()))
}

/// AUTH PLAIN (RFC 5034 §4, RFC 4616): the SASL capability says that an initial response is understood (RFC 2449
/// §6.3), but a line has at most 255 bytes; above that, and where the server asks all the same, the response follows
/// the `+`.
async fn plain<S: Stream>(session: &mut Session<S>, response: &SecretString) -> Result<(), Error> {
    let response = response.expose_secret();
    let at_once = format!("AUTH PLAIN {response}");
    let fits = at_once.len() + 2 <= POP3_COMMAND_BYTES;
    let mut reply = session.exchange(if fits { &at_once } else { "AUTH PLAIN" }).await?;
    if !fits && let Reply::Refused(refusal) = reply {
        // Nothing was refused yet but the mechanism.
        return Err(Error::refused(ProbeCode::AuthUnavailable, Phase::Auth, refusal));
    }
    if matches!(reply, Reply::Continue(_)) {
        reply = session.respond(response).await?;
    }
    if matches!(reply, Reply::Continue(_)) {
        // PLAIN has one message (RFC 4616 §2): `*` cancels what this is (RFC 5034 §4).
        reply = session.respond("*").await?;
        if let Reply::Refused(refusal) = reply {
            return Err(session.refused(refusal));
        }
        return Err(session.garbled(b"+"));
    }
    accepted(session, reply)
}

/// What a refused login means. RFC 2449 §8.1 and RFC 3206: [IN-USE], [LOGIN-DELAY] and [SYS/TEMP] ask to come back,
/// [SYS/PERM] speaks of the server; [AUTH], and a refusal without a code, of the credentials.
fn accepted<S: Stream>(session: &Session<S>, reply: Reply) -> Result<(), Error> {
    match reply {
        Reply::Ok(_) => Ok(()),
        Reply::Continue(_) => Err(session.garbled(b"+")),
        Reply::Refused(refusal) => Err(Error::refused(login_code(&refusal), Phase::Auth, refusal)),
    }
}

fn login_code(refusal: &Refusal) -> ProbeCode {
    if refusal.is_transient() || refusal.enhanced.as_deref() == Some("SYS/PERM") {
        ProbeCode::ProtocolError
    } else {
        ProbeCode::AuthFailed
    }
}

fn unavailable<S: Stream>(session: &Session<S>, detail: &str) -> Error {
    session.wire.error(ProbeCode::AuthUnavailable, detail)
}
