//! The TLS handshake of a mail connection, and what its failures mean.

use std::net::SocketAddr;

use rustls::CertificateError;
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_rustls::client::TlsStream;

use super::connect::Server;
use super::error::{Error, printable};
use super::wire::Deadline;
use crate::model::{Phase, ProbeCode, Security};
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
    TlsFacts { version: version.to_owned(), cipher: cipher.to_owned(), leaf_sha256 }
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
