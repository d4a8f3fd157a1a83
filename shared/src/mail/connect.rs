//! One way to a mail server, for all three protocols: resolve, filter, TCP, greeting, TLS.
//!
//! No credential exists on this path, so none can leave before the connection is what the account asks for.
//! Opportunistic TLS does not exist: a server that should offer STARTTLS and does not is an error.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lettre::transport::smtp::extension::ClientId;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::error::{Error, Refusal, printable};
use super::smtp::reply;
use super::starttls;
use super::tls::{self, TlsFacts};
use super::trace::Trace;
use super::wire::{BoxedStream, Deadline, Stream, Wire};
use crate::model::{Phase, ProbeCode, Protocol, Security};
use crate::net::{self, Network};

/// A silent port is asked after this time whether it speaks TLS: long enough for most servers that greet late on
/// purpose, short enough to tell a person in time that the security is the wrong one.
const SILENCE: Duration = Duration::from_secs(2);

/// Where to go and how.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// What is spoken there.
    pub protocol: Protocol,
    /// DNS name or IP address.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
    /// How the connection is secured.
    pub security: Security,
    /// Check the certificate's chain and name.
    pub verify_certificate: bool,
}

/// A greeted connection, as secure as it was asked to be. Nothing but the greeting is known about the server:
/// capabilities that it named before TLS are forgotten (RFC 3207 §4.2, RFC 2595 §3.1 and §4).
pub struct Connection {
    /// The stream, ready for the first command.
    pub wire: Wire<BoxedStream>,
    /// The server's first line, as read, without CRLF.
    pub greeting: Bytes,
    /// What the handshake agreed on; `None` without TLS.
    pub tls: Option<TlsFacts>,
    /// The address behind the name.
    pub address: SocketAddr,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { wire: _, greeting, tls, address } = self;
        f.debug_struct("Connection")
            .field("greeting", greeting)
            .field("tls", tls)
            .field("address", address)
            .finish_non_exhaustive()
    }
}

/// Connects. All phases together have until the deadline, and no longer than `timeouts.connect`; what follows on the
/// connection has the deadline alone.
///
/// # Errors
/// Every error names its phase. [`ProbeCode::HostNotAllowed`], `DnsFailed`, `ConnectFailed`, `Timeout`: no TCP.
/// `GreetingFailed`: no greeting, or one that refuses. `TlsFailed`, `CertificateInvalid`, `StarttlsUnavailable`,
/// `ProtocolInjection`: not secure.
pub async fn connect(network: &Network, server: &Server<'_>, deadline: Deadline) -> Result<Connection, Error> {
    traced(network, server, deadline, &Trace::default()).await
}

/// [`connect`], with a record of what is said from here to the end of the connection.
///
/// # Errors
/// As there.
pub async fn traced(
    network: &Network,
    server: &Server<'_>,
    deadline: Deadline,
    trace: &Trace,
) -> Result<Connection, Error> {
    let until = deadline.or_after(network.timeouts.connect);
    let (tcp, address) = dial(network, server, until, trace).await?;
    let (mut wire, greeting, tls) = match server.security {
        // RFC 8314 §3
        Security::Tls => {
            let (stream, facts) = secure(network, server, tcp, until, trace).await?;
            let mut wire = wire(Box::new(stream) as BoxedStream, until, trace);
            let greeting = greeting(&mut wire, server.protocol).await?;
            (wire, greeting, Some(facts))
        }
        Security::Starttls => {
            let hello = literal(&tcp);
            let mut plain = wire(tcp, until, trace);
            let greeting = greeting_or_tls(&mut plain, network, server, address).await?;
            starttls::negotiate(&mut plain, server.protocol, &greeting, &hello).await?;
            let (stream, facts) = secure(network, server, plain.into_stream(), until, trace).await?;
            (wire(Box::new(stream) as BoxedStream, until, trace), greeting, Some(facts))
        }
        Security::None => {
            let mut wire = wire(Box::new(tcp) as BoxedStream, until, trace);
            let greeting = greeting_or_tls(&mut wire, network, server, address).await?;
            (wire, greeting, None)
        }
    };
    trace.tell(Phase::Greeting, printable(&greeting));
    wire.phase = Phase::Capabilities;
    wire.set_deadline(deadline);
    wire.set_patience(network.timeouts.reply);
    Ok(Connection { wire, greeting, tls, address })
}

fn wire<S: Stream>(stream: S, until: Deadline, trace: &Trace) -> Wire<S> {
    Wire::new(stream, Phase::Greeting, until, until.left()).traced(trace)
}

/// Name and TCP.
async fn dial(
    network: &Network,
    server: &Server<'_>,
    until: Deadline,
    trace: &Trace,
) -> Result<(TcpStream, SocketAddr), Error> {
    trace.enter(Phase::Dns);
    let addresses = network.resolve(server.host, server.port, until.instant()).await.map_err(unconnected)?;
    let shown: Vec<_> = addresses.ips().map(|address| address.to_string()).collect();
    trace.tell(Phase::Dns, shown.join(", "));
    trace.enter(Phase::Connect);
    let (tcp, address) = network.dial(&addresses, until.instant()).await.map_err(unconnected)?;
    trace.tell(Phase::Connect, address.to_string());
    Ok((tcp, address))
}

/// The handshake.
async fn secure(
    network: &Network,
    server: &Server<'_>,
    tcp: TcpStream,
    until: Deadline,
    trace: &Trace,
) -> Result<(TlsStream<TcpStream>, TlsFacts), Error> {
    trace.enter(Phase::Tls);
    let (stream, facts) = tls::handshake(network, server, tcp, until).await?;
    trace.tell(Phase::Tls, facts.to_string());
    Ok((stream, facts))
}

fn unconnected(error: net::Error) -> Error {
    let (code, phase) = match error {
        net::Error::Malformed(_) | net::Error::Unresolved(_) => (ProbeCode::DnsFailed, Phase::Dns),
        net::Error::NotAllowed => (ProbeCode::HostNotAllowed, Phase::Dns),
        net::Error::ResolveTimeout => (ProbeCode::Timeout, Phase::Dns),
        net::Error::Unreachable(_) => (ProbeCode::ConnectFailed, Phase::Connect),
        net::Error::ConnectTimeout => (ProbeCode::Timeout, Phase::Connect),
    };
    Error::new(code, phase, error.to_string()).because(error)
}

/// Our own name before TLS, where it does not matter: the address literal (RFC 5321 §4.1.4).
fn literal(tcp: &TcpStream) -> ClientId {
    match tcp.local_addr() {
        Ok(SocketAddr::V4(address)) => ClientId::Ipv4(*address.ip()),
        Ok(SocketAddr::V6(address)) => ClientId::Ipv6(*address.ip()),
        Err(_) => ClientId::default(),
    }
}

/// The greeting of a connection without TLS. A server that waits for a TLS handshake says nothing at all; so that
/// this does not end in a time-out that explains nothing, silence is answered with a handshake on another connection.
async fn greeting_or_tls<S: Stream>(
    wire: &mut Wire<S>,
    network: &Network,
    server: &Server<'_>,
    address: SocketAddr,
) -> Result<Bytes, Error> {
    tokio::select! {
        biased;
        greeting = greeting(wire, server.protocol) => greeting,
        () = turns_out_tls(network, server, address) => {
            Err(Error::new(ProbeCode::GreetingFailed, Phase::Greeting, TlsExpected.to_string()).because(TlsExpected))
        }
    }
}

/// The source of the error that says: this port speaks TLS from the first byte, and was asked to do without.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the server waits for a TLS handshake: use security tls on this port")]
pub struct TlsExpected;

/// Ends when the port is known to speak TLS, otherwise never.
async fn turns_out_tls(network: &Network, server: &Server<'_>, address: SocketAddr) {
    tokio::time::sleep(SILENCE).await;
    if !tls::is_spoken_at(network, server, address).await {
        std::future::pending::<()>().await;
    }
}

/// Reads the greeting whole, and gives its first line.
async fn greeting<S: Stream>(wire: &mut Wire<S>, protocol: Protocol) -> Result<Bytes, Error> {
    let read = match protocol {
        Protocol::Smtp => smtp_greeting(wire).await,
        Protocol::Pop3 | Protocol::Imap => line_greeting(wire, protocol).await,
    };
    // A line that is none, or an end of the stream, orderly or not: at this point the peer has not shown that it is a mail server.
    read.map_err(|mut error| {
        if matches!(error.code, ProbeCode::ProtocolError | ProbeCode::ConnectFailed) {
            error.code = ProbeCode::GreetingFailed;
        }
        error
    })
}

/// RFC 5321 §3.1: 220, perhaps on several lines; 554 or 421 refuse (§3.8, §4.3.2).
async fn smtp_greeting<S: Stream>(wire: &mut Wire<S>) -> Result<Bytes, Error> {
    let first = wire.line().await?;
    let mut again = BytesMut::from(&first[..]);
    again.extend_from_slice(b"\r\n");
    wire.unread(again);
    let reply = reply::read(wire).await.map_err(|error| with_hint(error, Protocol::Smtp))?;
    match reply.class() {
        2 => Ok(first),
        3 => Err(no_greeting(wire, &first, Protocol::Smtp)),
        _ => Err(Error::refused(ProbeCode::GreetingFailed, wire.phase, reply.cleaned(&[]).into())),
    }
}

/// RFC 1939 §4: `+OK` or `-ERR`. RFC 3501 §7.1: `* OK`, `* PREAUTH` or `* BYE`.
async fn line_greeting<S: Stream>(wire: &mut Wire<S>, protocol: Protocol) -> Result<Bytes, Error> {
    let first = wire.line().await?;
    let (accepts, refuses): (&[&str], &str) =
        if protocol == Protocol::Pop3 { (&["+OK"], "-ERR") } else { (&["* OK", "* PREAUTH"], "* BYE") };
    if accepts.iter().any(|word| begins(&first, word)) {
        return Ok(first);
    }
    if begins(&first, refuses) {
        return Err(Error::refused(ProbeCode::GreetingFailed, wire.phase, coded_refusal(&first[refuses.len()..])));
    }
    Err(no_greeting(wire, &first, protocol))
}

fn no_greeting<S: Stream>(wire: &Wire<S>, line: &[u8], protocol: Protocol) -> Error {
    with_hint(wire.error(ProbeCode::GreetingFailed, format!("the server greets with {:?}", printable(line))), protocol)
}

fn with_hint(mut error: Error, protocol: Protocol) -> Error {
    error.detail = format!("{}; is this the port of {}?", error.detail, protocol.name().to_ascii_uppercase());
    error
}

/// Whether a line begins with these words, whatever their letter case, and ends there or goes on behind a blank.
pub(super) fn begins(line: &[u8], words: &str) -> bool {
    line.split_at_checked(words.len()).is_some_and(|(head, rest)| {
        head.eq_ignore_ascii_case(words.as_bytes()) && rest.first().is_none_or(|&byte| byte == b' ')
    })
}

/// The words behind `-ERR`, `NO`, `BAD` or `BYE`: a response code in brackets, perhaps (RFC 2449 §8, RFC 3501 §7.1),
/// and text.
pub(super) fn coded_refusal(words: &[u8]) -> Refusal {
    let text = printable(words);
    let code = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match code {
        Some((code, text)) => {
            let enhanced = code.split(' ').next().map(str::to_ascii_uppercase).filter(|code| !code.is_empty());
            Refusal { code: None, enhanced, text: text.trim().to_owned() }
        }
        None => Refusal { code: None, enhanced: None, text },
    }
}
