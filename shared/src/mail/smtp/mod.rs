//! The SMTP client (RFC 5321, RFC 6409).
//!
//! lettre gives the vocabulary: addresses and commands, which it validates and writes. Replies we read ourselves;
//! lettre's connection layer stays out, because it (0.11.23, all seen) ends a transaction at the first refused
//! recipient, takes `250\r\n`, a Latin-1 byte or a lone LF in a reply for an error (behind the final dot that makes a
//! delivered message an unknown one), takes a 3yz behind the dot for success and a surplus reply for the answer to
//! the next command, has no time-outs and no cap on an endless line, and writes a message in three pieces, each of
//! which may wait 40 ms for an acknowledgement.
//!
//! The order of a transaction is kept by types: [`Client::envelope`] gives a [`Transaction`] only if the server took
//! a recipient, [`Transaction::start`] gives a [`Ready`] only after 354, and the caller makes its durable mark
//! between that and [`Ready::finish`], which alone can write the final dot. What is written is a [`Content`], which
//! only exists for bytes that cannot be smuggled.

mod auth;
mod capabilities;
mod content;
mod dsn;
pub(in crate::mail) mod reply;
#[cfg(test)]
mod tests;
mod transaction;

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use lettre::transport::smtp::commands::{Ehlo, Noop, Quit, Rset};
use lettre::transport::smtp::extension::ClientId;
use secrecy::SecretString;

use super::auth::Credential;
use super::connect::Connection;
use super::error::{Error, Refusal};
use super::limits::Timeouts;
use super::tls::TlsFacts;
use super::wire::{BoxedStream, Deadline, Stream, Wire};
use crate::model::{Phase, ProbeCode};

pub use capabilities::Capabilities;
pub use content::Content;
pub use reply::Reply;
pub use transaction::{Envelope, Outcome, Ready, Terms, Transaction};

/// How long QUIT may take: the mail is delivered or lost already, and nobody waits for courtesy.
const QUIT_PATIENCE: Duration = Duration::from_secs(2);

/// A session that may send: greeted, and signed in where a credential was given.
#[derive(Debug)]
pub struct Client<S = BoxedStream> {
    wire: Wire<S>,
    capabilities: Capabilities,
    timeouts: Timeouts,
    signed_in: Option<Reply>,
    /// What no reply may show: the password, and the form it had on the wire.
    secrets: Vec<SecretString>,
    /// The dialogue is out of step or inside a message: nothing can be sent any more.
    broken: bool,
}

impl Client<BoxedStream> {
    /// Introduces us as `hello` (our domain name) and signs in. The greeting has been read by
    /// [`connect`](super::connect::connect).
    ///
    /// # Errors
    /// [`ProbeCode::GreetingFailed`]: EHLO and HELO are refused. [`ProbeCode::AuthUnavailable`]: no mechanism of ours
    /// is offered, or signing in is impossible right now (`is_transient` tells which). [`ProbeCode::AuthFailed`]:
    /// the server refused the credential. Besides, what any wait can end in.
    pub async fn open(
        connection: Connection,
        hello: &str,
        credential: &Credential,
        timeouts: Timeouts,
    ) -> Result<Self, Error> {
        Self::greeted(connection.wire, hello, credential, timeouts).await
    }
}

impl<S: Stream> Client<S> {
    /// [`Client::open`] over any stream whose greeting has been read.
    ///
    /// # Errors
    /// As there.
    pub async fn greeted(
        wire: Wire<S>,
        hello: &str,
        credential: &Credential,
        timeouts: Timeouts,
    ) -> Result<Self, Error> {
        let secrets = credential.secrets();
        let mut client =
            Self { wire, capabilities: Capabilities::default(), timeouts, signed_in: None, secrets, broken: false };
        client.wire.set_patience(timeouts.reply);
        client.capabilities = client.hello(hello).await?;
        client.sign_in(credential).await?;
        Ok(client)
    }

    /// Words that no reply may show from now on.
    pub fn hide(&mut self, secrets: Vec<SecretString>) {
        self.secrets.extend(secrets);
    }

    /// What the server said to the credential; none where nobody signed in.
    pub fn signed_in(&self) -> Option<&Reply> {
        self.signed_in.as_ref()
    }

    /// How the connection is secured; none: not at all.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.wire.tls()
    }

    /// What the server offers.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Moves the deadline: signing in belongs to one budget, a message to another.
    pub fn set_deadline(&mut self, deadline: Deadline) {
        self.wire.set_deadline(deadline);
    }

    /// Whether the connection can take another message.
    pub fn is_usable(&self) -> bool {
        !self.broken
    }

    /// Forgets the transaction (RFC 5321 §4.1.1.5).
    ///
    /// # Errors
    /// The connection failed or the server does not agree; it is of no use any more.
    pub async fn reset(&mut self) -> Result<(), Error> {
        self.wire.phase = Phase::Mail;
        self.simple(Rset).await
    }

    /// Asks whether the server is still there (RFC 5321 §4.1.1.9).
    ///
    /// # Errors
    /// It is not.
    pub async fn noop(&mut self) -> Result<(), Error> {
        self.wire.phase = Phase::Mail;
        self.simple(Noop).await
    }

    /// Says goodbye (RFC 5321 §4.1.1.10), as far as the server cares; nothing depends on it.
    pub async fn quit(mut self) {
        if !self.broken {
            self.wire.set_deadline(self.wire.deadline().or_after(QUIT_PATIENCE));
            if let Err(error) = self.command(Quit).await {
                tracing::debug!(code = ?error.code, "QUIT was not answered");
            }
        }
    }

    /// EHLO, or HELO where it is unknown (RFC 5321 §3.2).
    async fn hello(&mut self, name: &str) -> Result<Capabilities, Error> {
        self.wire.phase = Phase::Capabilities;
        let id = client_id(name)
            .ok_or_else(|| self.wire.error(ProbeCode::MessageRejected, "our name for EHLO is no domain name"))?;
        let answer = self.command(Ehlo::new(id.clone())).await?;
        if answer.class() == 2 {
            return Ok(Capabilities::read(&answer.lines));
        }
        if answer.class() == 5 && self.command(format!("HELO {id}\r\n")).await?.class() == 2 {
            return Ok(Capabilities::default());
        }
        Err(self.refused(ProbeCode::GreetingFailed, &answer))
    }

    async fn simple(&mut self, command: impl Display) -> Result<(), Error> {
        let answer = self.command(command).await?;
        if answer.class() == 2 {
            return Ok(());
        }
        self.broken = true;
        Err(self.refused(ProbeCode::ProtocolError, &answer))
    }

    /// One command, one reply.
    async fn command(&mut self, command: impl Display) -> Result<reply::Raw, Error> {
        self.send(command.to_string().as_bytes()).await?;
        self.reply().await
    }

    /// Sends commands, unless the dialogue is out of step.
    async fn send(&mut self, commands: &[u8]) -> Result<(), Error> {
        if self.broken {
            return Err(self.wire.error(ProbeCode::ProtocolError, "this connection cannot be used any more"));
        }
        self.in_step().await?;
        self.broken = true;
        self.wire.send(commands).await?;
        self.broken = false;
        Ok(())
    }

    /// A reply that arrived before its command would be taken for the answer to it, and shift all that follow.
    async fn in_step(&mut self) -> Result<(), Error> {
        self.broken = true;
        if self.wire.arrived()?.is_empty() {
            self.broken = false;
            return Ok(());
        }
        let surplus = reply::read(&mut self.wire).await?;
        // RFC 5321 §3.8: a server that must close says 421 at any time. Anything else was not asked for.
        if surplus.code == 421 {
            return Err(self.refused(ProbeCode::ProtocolError, &surplus));
        }
        Err(self.wire.error(ProbeCode::ProtocolError, "the server sent a reply that nobody asked for"))
    }

    /// Reads a reply. After an error, and after 421 (RFC 5321 §4.2.2: closing), the connection is of no use.
    async fn reply(&mut self) -> Result<reply::Raw, Error> {
        let answer = reply::read(&mut self.wire).await;
        self.broken = answer.as_ref().map_or(true, |answer| answer.code == 421);
        answer
    }

    fn refusal(&self, answer: &reply::Raw) -> Refusal {
        answer.cleaned(&self.secrets).into()
    }

    /// The error for a reply that refuses what was asked, or that is no answer to it (RFC 5321 §4.2.1).
    fn refused(&self, code: ProbeCode, answer: &reply::Raw) -> Error {
        if answer.class() >= 4 {
            return Error::refused(code, self.wire.phase, self.refusal(answer));
        }
        let words = answer.cleaned(&self.secrets);
        self.wire.error(ProbeCode::ProtocolError, format!("unexpected reply {} {}", words.code, words.text))
    }
}

/// Our name in EHLO: a domain name, in its ASCII form (RFC 6531 §3.2), or an address literal (RFC 5321 §4.1.3).
fn client_id(name: &str) -> Option<ClientId> {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    match (bare.parse(), url::Host::parse(bare)) {
        (Ok(IpAddr::V4(address)), _) => Some(ClientId::Ipv4(address)),
        (Ok(IpAddr::V6(address)), _) => Some(ClientId::Ipv6(address)),
        (Err(_), Ok(url::Host::Domain(name))) => Some(ClientId::Domain(name)),
        (Err(_), _) => None,
    }
}
