//! The one loop of all protocols: read an input, ask the script, take effect, answer.

use std::future::Future;
use std::io;

use bytes::Bytes;

use crate::script::{Event, Origin};
use crate::server::Core;
use crate::wire::{Answer, Fate, Next, Wire};

/// What kind of input the client gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Command,
    /// The answer to a SASL challenge.
    Sasl,
    /// A message behind DATA.
    Data,
    /// What no longer follows the protocol: an endless line or a literal beyond the limit.
    Broken,
}

/// One input of the client.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) moment: Moment,
    /// The command in capitals, in IMAP with its UID; empty for what is not a command.
    pub(crate) verb: String,
    /// The IMAP tag.
    pub(crate) tag: String,
    /// The whole input as it came, IMAP literals included.
    pub(crate) bytes: Bytes,
}

/// A protocol: a state machine without a stream.
pub(crate) trait Dialogue: Send {
    /// The greeting.
    fn greeting(&mut self) -> Answer;

    /// Reads the next whole input; `None` when the client has closed.
    fn read(&mut self, wire: &mut Wire) -> impl Future<Output = io::Result<Option<Input>>> + Send;

    /// Takes effect, and says what to answer.
    fn handle(&mut self, input: &Input) -> Answer;

    /// A rule has answered in place of `handle`: nothing takes effect, but what the input ends is over,
    /// so that the next line is a command again.
    fn passed_over(&mut self, input: &Input);

    /// TLS has begun after STARTTLS: whatever was learnt before is forgotten (RFC 3207 §4.2).
    fn secured(&mut self);
}

/// Talks until one side closes.
pub(crate) async fn converse(
    mut dialogue: impl Dialogue,
    core: &Core,
    origin: Origin,
    wire: &mut Wire,
) -> io::Result<()> {
    let plan = core.script.plan(origin, Event::Connect);
    if wire.answer(dialogue.greeting(), &plan, "*").await? == Fate::Closed {
        return Ok(());
    }
    while let Some(input) = dialogue.read(wire).await? {
        let plan = core.script.plan(origin, Event::Input(&input));
        let answer = if plan.without_effect {
            dialogue.passed_over(&input);
            Answer::default()
        } else {
            dialogue.handle(&input)
        };
        let next = answer.next;
        if wire.answer(answer, &plan, &input.tag).await? == Fate::Closed {
            return Ok(());
        }
        if next == Next::Secure {
            if secure(core, origin, wire).await? == Fate::Closed {
                return Ok(());
            }
            dialogue.secured();
            let plan = core.script.plan(origin, Event::AfterTls);
            if wire.answer(Answer::default(), &plan, "*").await? == Fate::Closed {
                return Ok(());
            }
        }
    }
    wire.close().await
}

/// The TLS handshake, as the script wants it.
pub(crate) async fn secure(core: &Core, origin: Origin, wire: &mut Wire) -> io::Result<Fate> {
    let plan = core.script.plan(origin, Event::Handshake);
    let without_handshake = plan.without_effect;
    if wire.answer(Answer::default(), &plan, "*").await? == Fate::Closed {
        return Ok(Fate::Closed);
    }
    if without_handshake {
        wire.close().await?;
        return Ok(Fate::Closed);
    }
    match core.identities.acceptor(core.script.certificate(origin)) {
        Some(acceptor) => wire.secure(acceptor).await.map(|()| Fate::Open),
        None => Ok(Fate::Closed),
    }
}
