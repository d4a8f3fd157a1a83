//! From the greeting to the authenticated state (RFC 3501 §3.2, §6.2).

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};

use super::command::Command;
use super::response::{Condition, StatusLine};
use super::session::{Answer, Outcome, Session};
use super::{Capabilities, Client};
use crate::mail::auth::Credential;
use crate::mail::error::{Error, Refusal};
use crate::mail::sasl::{self, Bearer};
use crate::mail::wire::{Stream, Wire};
use crate::model::{Phase, ProbeCode};

/// Signs in over a secured connection whose greeting has been read.
///
/// # Errors
/// `AuthFailed` is the server's no to these credentials and nothing else: a response code that asks to come back (RFC
/// 5530 §3), or BYE, makes an error for which [`Error::is_transient`] is true.
pub async fn login<S: Stream>(mut wire: Wire<S>, greeting: &[u8], credential: &Credential) -> Result<Client<S>, Error> {
    wire.phase = Phase::Greeting;
    let mut session = Session::new(wire, credential.secrets());
    let signed_in = greet(&mut session, greeting)?;
    session.wire.phase = Phase::Capabilities;
    if !signed_in {
        know_capabilities(&mut session).await?;
        session.wire.phase = Phase::Auth;
        // RFC 3501 §6.2: what is offered changes now. A server that does not say so in its answer is asked.
        session.told = false;
        sign_in(&mut session, credential).await?;
    }
    know_capabilities(&mut session).await?;
    session.wire.phase = Phase::Select;
    Ok(Client { session, uid_next: None, qresync: false })
}

/// RFC 3501 §7.1: OK, PREAUTH or BYE. True when there is nothing to sign in to; whether PREAUTH is acceptable,
/// connect has decided.
fn greet<S: Stream>(session: &mut Session<S>, greeting: &[u8]) -> Result<bool, Error> {
    let status = greeting.strip_prefix(b"* ").and_then(StatusLine::parse);
    let Some(status) = status.filter(|status| !matches!(status.condition, Condition::No | Condition::Bad)) else {
        let detail = session.unexpected(greeting).detail;
        return Err(Error::new(ProbeCode::GreetingFailed, Phase::Greeting, detail));
    };
    if status.condition == Condition::Bye {
        return Err(session.refused(ProbeCode::GreetingFailed, &status));
    }
    // RFC 3501 §6.2.1: what was said before STARTTLS is void. Such a greeting offers STARTTLS or forbids LOGIN.
    if let Some(capabilities) = status.argument("CAPABILITY").map(Capabilities::parse) {
        session.told = !capabilities.has("STARTTLS") && !capabilities.has("LOGINDISABLED");
        session.capabilities = capabilities;
    }
    Ok(status.condition == Condition::Preauth)
}

/// Asks what the server can do (RFC 3501 §6.1.1), unless it has told.
async fn know_capabilities<S: Stream>(session: &mut Session<S>) -> Result<(), Error> {
    if !session.told {
        session.capabilities = Capabilities::default();
        session.ok(Command::new("CAPABILITY"), drop).await?;
    }
    Ok(())
}

async fn sign_in<S: Stream>(session: &mut Session<S>, credential: &Credential) -> Result<(), Error> {
    match credential {
        Credential::None => unavailable(session, "IMAP needs a user name and a password or token"),
        Credential::Password { username, password } => by_password(session, username, password).await,
        Credential::Bearer { username, token } => by_token(session, username, token).await,
    }
}

fn unavailable<S: Stream>(session: &Session<S>, detail: &str) -> Result<(), Error> {
    Err(session.wire.error(ProbeCode::AuthUnavailable, detail))
}

async fn by_password<S: Stream>(
    session: &mut Session<S>,
    username: &str,
    password: &SecretString,
) -> Result<(), Error> {
    // Literals could carry line ends, but no server has such passwords; NUL separates SASL PLAIN (RFC 4616 §2).
    if [username, password.expose_secret()].iter().any(|word| word.contains(['\r', '\n', '\0'])) {
        return unavailable(session, "a user name or password with a line end cannot be sent");
    }
    let outcome = if session.has("AUTH=PLAIN") {
        // PLAIN has one message; a second `+` is answered by `*`, which cancels (RFC 3501 §6.2.2).
        authenticate(session, "PLAIN", &Credential::plain(username, password), "*").await?.0
    } else if session.has("LOGINDISABLED") {
        // RFC 3501 §6.2.3: a client must not send LOGIN then.
        return unavailable(session, "the server offers neither LOGIN nor AUTHENTICATE PLAIN");
    } else {
        let login = Command::new("LOGIN").string(username.as_bytes()).string(password.expose_secret().as_bytes());
        session.run(login, drop).await?
    };
    accepted(session, &outcome)
}

/// XOAUTH2 or OAUTHBEARER; an error is explained by a challenge before it is final (RFC 7628 §3.2.3).
async fn by_token<S: Stream>(session: &mut Session<S>, username: &str, token: &SecretString) -> Result<(), Error> {
    if !sasl::is_clean(username, token) {
        return unavailable(session, "a user name or token with control characters cannot be sent");
    }
    let Some(bearer) = Bearer::choose(username, token, |mechanism| session.has(&format!("AUTH={mechanism}"))) else {
        return unavailable(session, "the server offers neither XOAUTH2 nor OAUTHBEARER");
    };
    let (outcome, challenge) =
        authenticate(session, bearer.mechanism, &bearer.response, bearer.acknowledgement).await?;
    accepted(session, &outcome).map_err(|error| sasl::explained(error, challenge.as_deref(), session.secrets()))
}

/// AUTHENTICATE (RFC 3501 §6.2.2), with the response in the command where the server takes it (RFC 4959 §3), else after
/// its `+`. A challenge behind that is answered by `then`, and comes back with the outcome.
async fn authenticate<S: Stream>(
    session: &mut Session<S>,
    mechanism: &str,
    response: &SecretString,
    then: &str,
) -> Result<(Outcome, Option<Bytes>), Error> {
    let command = Command::new(format!("AUTHENTICATE {mechanism}"));
    let mut response = Some(response.expose_secret());
    let command = match response.take_if(|_| session.has("SASL-IR")) {
        Some(response) => command.word(response),
        None => command,
    };
    session.start(command).await?;
    let mut challenge = None;
    loop {
        match session.answer().await? {
            Answer::Untagged(_) => {}
            Answer::Done(outcome) => return Ok((outcome, challenge)),
            Answer::Continue(_) if challenge.is_some() => return Err(session.unexpected(b"+")),
            Answer::Continue(text) => {
                let line = response.take().unwrap_or_else(|| {
                    challenge = Some(text);
                    then
                });
                session.send(format!("{line}\r\n").as_bytes()).await?;
            }
        }
    }
}

/// What a refused login means. NO speaks of the credentials unless its code says otherwise (RFC 5530 §3); BAD is
/// about our command.
fn accepted<S: Stream>(session: &Session<S>, outcome: &Outcome) -> Result<(), Error> {
    if outcome.is_ok() {
        return Ok(());
    }
    let refusal = session.refusal(&outcome.status());
    let code = if outcome.is_no() { login_code(&refusal) } else { ProbeCode::ProtocolError };
    Err(Error::refused(code, Phase::Auth, refusal))
}

fn login_code(refusal: &Refusal) -> ProbeCode {
    match refusal.enhanced.as_deref() {
        Some("PRIVACYREQUIRED") => ProbeCode::AuthUnavailable,
        _ if refusal.is_transient() => ProbeCode::ProtocolError,
        _ => ProbeCode::AuthFailed,
    }
}
