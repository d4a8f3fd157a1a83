//! The only way out: resolve, filter, then connect to what was filtered.
//!
//! Mail and HTTP leave through one [`Network`], so that the egress policy cannot be by-passed: a name is resolved
//! once, every address it has is checked, and the connection goes to one of the checked addresses and not to the
//! name, which defeats DNS rebinding.

mod dial;
mod download;
mod egress;
pub mod http;
#[cfg(test)]
pub(crate) mod name_server;
mod records;
mod resolve;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use url::Host;

use crate::mail::Timeouts;

pub use download::{DownloadError, Downloaded};
pub use egress::Egress;
pub use records::Service;
use resolve::Resolver;

/// Most addresses of one host that are tried: real hosts have a handful.
const TRIED_ADDRESSES: usize = 8;

/// Why no connection came about. The texts are safe to show.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host is neither a name nor an address.
    #[error("{0:?} is no host name")]
    Malformed(String),
    /// The name has no address, or the name servers do not answer.
    #[error("the host name does not resolve")]
    Unresolved(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The policy refuses it. One text for all reasons, so that nobody maps our network with it.
    #[error("this host or port is not allowed")]
    NotAllowed,
    /// Every address refused the connection; the last answer.
    #[error("no connection: {}", reason(.0))]
    Unreachable(#[source] std::io::Error),
    /// The deadline passed while resolving.
    #[error("the name servers did not answer in time")]
    ResolveTimeout,
    /// The deadline passed while connecting.
    #[error("no connection in time")]
    ConnectTimeout,
}

/// What made [`Network::new`] fail: the operator's settings are wrong.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The allow list.
    #[error("environment variable HALFPENNY_ALLOW_NETS: {0}")]
    Allow(String),
    /// The file of additional roots.
    #[error("CA file {file}: {reason}")]
    Roots {
        /// Its path.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The TLS library refuses the protocol versions; it cannot with the provider that is built in.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Addresses that the policy has admitted: only [`Network::resolve`] makes them.
#[derive(Debug)]
pub(crate) struct Vetted(Vec<SocketAddr>);

impl Vetted {
    /// The addresses.
    pub(crate) fn ips(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().map(SocketAddr::ip)
    }
}

/// Everything that a connection to the outside needs. Built once per process, and cheap to build: names are not
/// resolved, and the name server's settings not read, before the first name needs it.
#[derive(Debug)]
pub struct Network {
    egress: Egress,
    resolver: Resolver,
    verified: Arc<ClientConfig>,
    unverified: Arc<ClientConfig>,
    /// How long mail servers may take.
    pub timeouts: Timeouts,
}

impl Network {
    /// `allow`: private networks that may be reached, a comma list of CIDRs. `denied_ports`: never reached in them.
    /// `ca_file`: PEM with roots beside those of Mozilla; an empty path means none.
    ///
    /// # Errors
    /// A network or the file cannot be read.
    pub fn new(
        allow: &str,
        denied_ports: &[u16],
        ca_file: Option<&Path>,
        timeouts: Timeouts,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            egress: Egress::new(allow, denied_ports).map_err(SetupError::Allow)?,
            resolver: Resolver::default(),
            verified: Arc::new(tls::verified(ca_file.filter(|file| !file.as_os_str().is_empty()))?),
            unverified: Arc::new(tls::unverified()?),
            timeouts,
        })
    }

    /// TCP to a host: resolved, vetted, connected, without Nagle's delay.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn connect(&self, host: &str, port: u16, until: Instant) -> Result<(TcpStream, SocketAddr), Error> {
        self.dial(&self.resolve(host, port, until).await?, until).await
    }

    /// The same into the operator's allowed networks only: for what goes unencrypted.
    async fn connect_inside(&self, host: &str, port: u16, until: Instant) -> Result<(TcpStream, SocketAddr), Error> {
        let vetted = self.resolve(host, port, until).await?;
        if !vetted.ips().all(|address| self.egress.allows(address)) {
            return Err(Error::NotAllowed);
        }
        self.dial(&vetted, until).await
    }

    /// The first half of [`Network::connect`]: addresses that the policy admits.
    pub(crate) async fn resolve(&self, host: &str, port: u16, until: Instant) -> Result<Vetted, Error> {
        timeout_at(until, self.vetted(host, port)).await.map_err(|_| Error::ResolveTimeout)?.map(Vetted)
    }

    /// The second half: TCP to the first of them that answers.
    pub(crate) async fn dial(&self, vetted: &Vetted, until: Instant) -> Result<(TcpStream, SocketAddr), Error> {
        timeout_at(until, dial::first(&vetted.0)).await.map_err(|_| Error::ConnectTimeout)?.map_err(Error::Unreachable)
    }

    /// TCP to an address that [`Network::connect`] has been to: its policy has been asked.
    pub(crate) async fn reconnect(&self, address: SocketAddr) -> std::io::Result<TcpStream> {
        Ok(dial::first(&[address]).await?.0)
    }

    /// The client side of TLS (1.2 or newer, ring). Without `verify` only name and chain of the certificate go
    /// unchecked; the peer still has to own the key that it shows.
    pub fn tls(&self, verify: bool) -> tokio_rustls::TlsConnector {
        Arc::clone(if verify { &self.verified } else { &self.unverified }).into()
    }

    async fn vetted(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let (name, addresses) = match parse_host(host)? {
            Host::Ipv4(address) => (None, vec![IpAddr::V4(address)]),
            Host::Ipv6(address) => (None, vec![IpAddr::V6(address)]),
            Host::Domain(name) if self.egress.admits_name(&name) => {
                (Some(name.clone()), self.resolver.addresses(&name).await?)
            }
            Host::Domain(_) => return Err(Error::NotAllowed),
        };
        if !self.egress.admits(name.as_deref(), &addresses, port) {
            return Err(Error::NotAllowed);
        }
        Ok(addresses.into_iter().take(TRIED_ADDRESSES).map(|address| SocketAddr::new(address, port)).collect())
    }
}

/// The name that a certificate must carry to prove this host.
///
/// # Errors
/// [`Error::Malformed`].
pub fn server_name(host: &str) -> Result<ServerName<'static>, Error> {
    match parse_host(host)? {
        Host::Ipv4(address) => Ok(IpAddr::V4(address).into()),
        Host::Ipv6(address) => Ok(IpAddr::V6(address).into()),
        Host::Domain(name) => {
            ServerName::try_from(name.trim_end_matches('.').to_owned()).map_err(|_| Error::Malformed(host.to_owned()))
        }
    }
}

/// Reads a host as the WHATWG URL standard does: international names become ASCII, and addresses in disguise
/// (`0x7f.1`, `2130706433`) become what the system's resolver would make of them.
fn parse_host(host: &str) -> Result<Host, Error> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return Ok(Host::Ipv6(address));
    }
    Host::parse(host).map_err(|_| Error::Malformed(host.to_owned()))
}

/// The system's words for a failed connection.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::TimedOut => "timed out".to_owned(),
        kind => kind.to_string(),
    }
}

/// How long one address may keep the next one waiting (RFC 8305 §5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
