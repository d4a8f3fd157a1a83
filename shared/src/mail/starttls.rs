//! STARTTLS: the dialogue before the handshake, in each protocol (RFC 3207, RFC 2595, RFC 3501 §6.2.1).
//!
//! Everything here is said in the clear, and may come from an attacker in the middle. So nothing of it is kept; the
//! server's offer only decides between going on and giving up, and going on means TLS.

use bytes::Bytes;
use lettre::transport::smtp::commands::{Ehlo, Starttls};
use lettre::transport::smtp::extension::ClientId;

use super::connect::{begins, coded_refusal};
use super::error::Error;
use super::limits::REPLY_BYTES;
use super::smtp::{Capabilities, reply};
use super::wire::{Stream, Wire};
use crate::model::{Phase, ProbeCode, Protocol};

/// Brings the server to the point where the next byte is ours and belongs to the TLS handshake.
///
/// # Errors
/// [`ProbeCode::StarttlsUnavailable`]: not offered, or refused. [`ProbeCode::ProtocolInjection`]: bytes stand behind
/// the answer; inside TLS they would pass for the server's (CVE-2011-0411).
pub(super) async fn negotiate<S: Stream>(
    wire: &mut Wire<S>,
    protocol: Protocol,
    greeting: &[u8],
    hello: &ClientId,
) -> Result<(), Error> {
    wire.phase = Phase::Tls;
    match protocol {
        Protocol::Smtp => smtp(wire, hello).await?,
        Protocol::Pop3 => pop3(wire).await?,
        Protocol::Imap => imap(wire, greeting).await?,
    }
    if wire.arrived()?.is_empty() {
        return Ok(());
    }
    Err(wire.error(
        ProbeCode::ProtocolInjection,
        "the server, or somebody before it, sent plaintext behind its answer to STARTTLS",
    ))
}

fn not_offered<S: Stream>(wire: &Wire<S>) -> Error {
    wire.error(ProbeCode::StarttlsUnavailable, "the server does not offer STARTTLS on this port")
}

/// The server may only speak when asked: what arrived early would be taken for the answer to STARTTLS.
fn in_step<S: Stream>(wire: &mut Wire<S>) -> Result<(), Error> {
    if wire.arrived()?.is_empty() {
        return Ok(());
    }
    Err(wire.error(ProbeCode::ProtocolError, "the server sent a reply that nobody asked for"))
}

/// RFC 3207 §4: EHLO, STARTTLS, 220.
async fn smtp<S: Stream>(wire: &mut Wire<S>, hello: &ClientId) -> Result<(), Error> {
    in_step(wire)?;
    wire.send(Ehlo::new(hello.clone()).to_string().as_bytes()).await?;
    let answer = reply::read(wire).await?;
    if answer.class() == 4 {
        return Err(Error::refused(ProbeCode::GreetingFailed, wire.phase, answer.cleaned(&[]).into()));
    }
    // A server that only knows HELO cannot offer anything.
    if answer.class() != 2 || !Capabilities::read(&answer.lines).starttls {
        return Err(not_offered(wire));
    }
    in_step(wire)?;
    wire.send(Starttls.to_string().as_bytes()).await?;
    let answer = reply::read(wire).await?;
    match answer.class() {
        2 => Ok(()),
        // RFC 3207 §4: 454 TLS not available for a while, 501 syntax
        4 | 5 => Err(Error::refused(ProbeCode::StarttlsUnavailable, wire.phase, answer.cleaned(&[]).into())),
        _ => Err(wire.error(ProbeCode::ProtocolError, format!("unexpected reply {} to STARTTLS", answer.code))),
    }
}

/// RFC 2595 §4: CAPA (RFC 2449 §5), STLS, `+OK`.
async fn pop3<S: Stream>(wire: &mut Wire<S>) -> Result<(), Error> {
    in_step(wire)?;
    wire.send(b"CAPA\r\n").await?;
    let (mut offered, mut size) = (false, 0);
    if !begins(&wire.line().await?, "+OK") {
        return Err(not_offered(wire));
    }
    loop {
        let line = wire.line().await?;
        size += line.len() + 2;
        match &line[..] {
            b"." => break,
            _ if size > REPLY_BYTES => {
                return Err(wire.error(ProbeCode::ProtocolError, "an endless list of capabilities"));
            }
            line => offered |= begins(line, "STLS"),
        }
    }
    if !offered {
        return Err(not_offered(wire));
    }
    in_step(wire)?;
    wire.send(b"STLS\r\n").await?;
    let answer = wire.line().await?;
    if begins(&answer, "+OK") {
        return Ok(());
    }
    if begins(&answer, "-ERR") {
        return Err(Error::refused(ProbeCode::StarttlsUnavailable, wire.phase, coded_refusal(&answer["-ERR".len()..])));
    }
    Err(wire.error(ProbeCode::ProtocolError, "neither +OK nor -ERR to STLS"))
}

/// RFC 3501 §6.2.1. Untagged lines may come at any time (§7) and are skipped.
async fn imap<S: Stream>(wire: &mut Wire<S>, greeting: &[u8]) -> Result<(), Error> {
    // RFC 3501 §7.1.4, RFC 9051 §7.1.4: already signed in, so that STARTTLS is no longer possible (CVE-2020-12398).
    if begins(greeting, "* PREAUTH") {
        return Err(
            wire.error(ProbeCode::StarttlsUnavailable, "the server greets with PREAUTH, which rules STARTTLS out")
        );
    }
    let mut offered = lists_starttls(greeting);
    if !offered {
        imap_command(wire, "s1", "CAPABILITY", |line| offered |= begins(line, "* CAPABILITY") && lists_starttls(line))
            .await?;
    }
    if !offered {
        return Err(not_offered(wire));
    }
    imap_command(wire, "s2", "STARTTLS", |_| {}).await
}

/// One command up to its tagged answer.
async fn imap_command<S: Stream>(
    wire: &mut Wire<S>,
    tag: &str,
    command: &str,
    mut untagged: impl FnMut(&Bytes),
) -> Result<(), Error> {
    wire.send(format!("{tag} {command}\r\n").as_bytes()).await?;
    let mut size = 0;
    loop {
        let line = wire.line().await?;
        size += line.len() + 2;
        if size > REPLY_BYTES {
            return Err(wire.error(ProbeCode::ProtocolError, format!("an endless answer to {command}")));
        }
        if begins(&line, "* BYE") {
            return Err(Error::refused(ProbeCode::GreetingFailed, wire.phase, coded_refusal(&line["* BYE".len()..])));
        }
        if !begins(&line, tag) {
            untagged(&line);
            continue;
        }
        let status = line.slice((tag.len() + 1).min(line.len())..);
        return match () {
            () if begins(&status, "OK") => Ok(()),
            () if begins(&status, "NO") || begins(&status, "BAD") => {
                let words = status.iter().position(|&byte| byte == b' ').unwrap_or(status.len());
                Err(Error::refused(ProbeCode::StarttlsUnavailable, wire.phase, coded_refusal(&status[words..])))
            }
            () => Err(wire.error(ProbeCode::ProtocolError, format!("neither OK nor NO nor BAD to {command}"))),
        };
    }
}

/// In `* CAPABILITY …`, or in the `[CAPABILITY …]` of a greeting (RFC 3501 §7.1).
fn lists_starttls(line: &[u8]) -> bool {
    let line = line.to_ascii_uppercase();
    let list = memchr::memmem::find(&line, b"CAPABILITY ").map_or(&[][..], |at| &line[at..]);
    let list = list.split(|&byte| byte == b']').next().unwrap_or_default();
    list.split(|&byte| byte == b' ').any(|word| word == b"STARTTLS")
}
