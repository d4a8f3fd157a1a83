//! The TLS handshake of a mail connection, and what its failures mean.

use std::net::{IpAddr, SocketAddr};

use rustls::{AlertDescription, CertificateError};
use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_rustls::client::TlsStream;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use super::connect::Server;
use super::error::{Error, printable};
use super::wire::Deadline;
use crate::model::{Phase, ProbeCode, Security, Timestamp};
use crate::net::{Network, server_name};

/// What a handshake agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The cipher suite, by its IANA name.
    pub cipher: String,
    /// SHA-256 of the server's own certificate (DER), in hex.
    pub leaf_sha256: String,
    /// What that certificate says; none where it cannot be read.
    pub certificate: Option<Certificate>,
}

/// What a server's certificate says about itself (RFC 5280 §4.1). Nothing of it is proven where checking is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whom it is for.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Its last moment.
    pub not_after: Timestamp,
    /// Host names and addresses that it is for (RFC 9525 §6.1), at most 20.
    pub names: Vec<String>,
    /// Certificates that the server sent, this one included.
    pub chain: usize,
}

impl Certificate {
    fn read(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
        let words = |name: &X509Name<'_>| printable(name.to_string().as_bytes());
        let names = leaf.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|extension| &extension.value.general_names).filter_map(host_name);
        Some(Self {
            subject: words(leaf.subject()),
            issuer: words(leaf.issuer()),
            not_after: Timestamp(leaf.validity().not_after.timestamp().saturating_mul(1_000)),
            names: names.take(SHOWN_NAMES).collect(),
            chain: chain.len(),
        })
    }

    /// Signed by whom it is for: nobody else vouches for it.
    pub fn is_self_signed(&self) -> bool {
        self.subject == self.issuer
    }
}

/// Large providers put hundreds of names into one certificate.
const SHOWN_NAMES: usize = 20;

fn host_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(printable(name.as_bytes())),
        GeneralName::IPAddress(octets) => match <[u8; 4]>::try_from(*octets) {
            Ok(four) => Some(IpAddr::from(four).to_string()),
            Err(_) => <[u8; 16]>::try_from(*octets).ok().map(|sixteen| IpAddr::from(sixteen).to_string()),
        },
        _ => None,
    }
}

impl std::fmt::Display for TlsFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { version, cipher, leaf_sha256, certificate } = self;
        write!(f, "{version}, {cipher}; SHA-256 {leaf_sha256}")?;
        let Some(Certificate { subject, issuer, not_after, names, chain }) = certificate else {
            return Ok(());
        };
        let names = names.join(", ");
        write!(f, "; for {names} ({subject}); issued by {issuer}; good until {not_after}; chain of {chain}")
    }
}

/// Makes the connection secure. The certificate must be for `server.host` unless its checking is off.
///
/// # Errors
/// [`ProbeCode::CertificateInvalid`] with the reason, [`ProbeCode::TlsFailed`], [`ProbeCode::Timeout`].
pub(super) async fn handshake(
    network: &Network,
    server: &Server<'_>,
    tcp: TcpStream,
    until: Deadline,
) -> Result<(TlsStream<TcpStream>, TlsFacts), Error> {
    let name =
        server_name(server.host).map_err(|error| Error::new(ProbeCode::TlsFailed, Phase::Tls, error.to_string()))?;
    let connected = timeout_at(until.instant(), network.tls(server.verify_certificate).connect(name, tcp)).await;
    let stream = connected
        .map_err(|_| Error::new(ProbeCode::Timeout, Phase::Tls, "the server did not finish the TLS handshake in time"))?
        .map_err(|error| failure(error, server.security))?;
    let facts = facts(&stream);
    Ok((stream, facts))
}

/// Whether a TLS server listens there. Nothing is sent but the handshake.
pub(super) async fn is_spoken_at(network: &Network, server: &Server<'_>, address: SocketAddr) -> bool {
    let (Ok(name), Ok(tcp)) = (server_name(server.host), network.reconnect(address).await) else {
        return false;
    };
    match network.tls(false).connect(name, tcp).await {
        Ok(_) => true,
        Err(error) => {
            matches!(cause(&error), Some(rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_)))
        }
    }
}

fn facts(stream: &TlsStream<TcpStream>) -> TlsFacts {
    let (_, session) = stream.get_ref();
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "TLSv1.2",
    };
    let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or_default();
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    let leaf_sha256 =
        leaf.map(|leaf| hex::encode(ring::digest::digest(&ring::digest::SHA256, leaf))).unwrap_or_default();
    let certificate = session.peer_certificates().and_then(Certificate::read);
    TlsFacts { version: version.to_owned(), cipher: cipher.to_owned(), leaf_sha256, certificate }
}

/// What a failed handshake comes from, for whoever has to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The server spoke in the clear (RFC 8314 §3 asks for TLS from the first byte).
    NotTls,
    /// No version or cipher in common: it knows no TLS 1.2 (RFC 8996).
    TooOld,
    /// The certificate is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// Nobody we know signed it.
    UnknownIssuer,
    /// It is for other names.
    WrongName,
    /// Something else is wrong with the certificate.
    Certificate,
    /// Something else is wrong.
    Other,
}

/// The trouble behind an error of the phase TLS; none for an error that no handshake made.
pub fn trouble(error: &Error) -> Option<Trouble> {
    let source = error.source.as_deref()?.downcast_ref::<std::io::Error>()?;
    Some(match cause(source) {
        Some(rustls::Error::InvalidMessage(_)) => Trouble::NotTls,
        Some(rustls::Error::PeerIncompatible(_)) => Trouble::TooOld,
        // RFC 8446 §6.2: protocol_version; handshake_failure is what a server without a common cipher says.
        Some(rustls::Error::AlertReceived(AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure)) => {
            Trouble::TooOld
        }
        Some(rustls::Error::InvalidCertificate(reason)) => match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Trouble::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Trouble::NotYetValid,
            CertificateError::UnknownIssuer => Trouble::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Trouble::WrongName,
            _ => Trouble::Certificate,
        },
        _ => Trouble::Other,
    })
}

fn cause(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

fn failure(error: std::io::Error, security: Security) -> Error {
    let (code, words) = match cause(&error) {
        Some(rustls::Error::InvalidCertificate(reason)) => (ProbeCode::CertificateInvalid, certificate_reason(reason)),
        // RFC 8314 §3: not the first byte of a TLS record, most likely a greeting in the clear.
        Some(rustls::Error::InvalidMessage(_)) if security == Security::Tls => (
            ProbeCode::TlsFailed,
            "the server answers without TLS: use security starttls on this port (or none)".to_owned(),
        ),
        Some(rustls::Error::PeerIncompatible(_)) => {
            (ProbeCode::TlsFailed, "the server does not support TLS 1.2 or newer with a usable cipher".to_owned())
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            (ProbeCode::TlsFailed, format!("the server ended the TLS handshake: {alert:?}"))
        }
        Some(other) => (ProbeCode::TlsFailed, format!("TLS handshake: {}", printable(other.to_string().as_bytes()))),
        None => (ProbeCode::TlsFailed, "the server closed the connection during the TLS handshake".to_owned()),
    };
    Error::new(code, Phase::Tls, words).because(error)
}

/// Why a certificate does not prove the host (RFC 5280 §6, RFC 9525 §6).
fn certificate_reason(reason: &CertificateError) -> String {
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the certificate has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "the certificate's issuer is unknown (self-signed, or the chain is not complete)".to_owned()
        }
        CertificateError::NotValidForName => "the certificate is for another name".to_owned(),
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("the certificate is for another name: {}", printable(presented.join(", ").as_bytes()))
        }
        CertificateError::Revoked => "the certificate is revoked".to_owned(),
        other => format!("the certificate is not acceptable: {}", printable(other.to_string().as_bytes())),
    }
}
