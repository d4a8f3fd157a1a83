//! The authority, the good certificate and four bad ones.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::Error;
use crate::disk;
use crate::script::Certificate;

/// The names of the valid certificate.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The authority and an acceptor for each certificate.
pub(crate) struct Identities {
    ca_pem: String,
    acceptors: BTreeMap<Certificate, TlsAcceptor>,
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identities").finish_non_exhaustive()
    }
}

impl Identities {
    /// Takes the authority from the directory, or makes one and keeps it there; the leaves are new at each start.
    pub(crate) fn new(ca_dir: Option<&Path>) -> Result<Self, Error> {
        let (ca_pem, authority) = match ca_dir {
            Some(dir) => kept_authority(dir)?,
            None => new_authority()?,
        };
        let (_, stranger) = new_authority()?;
        let mut acceptors = BTreeMap::new();
        for certificate in [
            Certificate::Valid,
            Certificate::SelfSigned,
            Certificate::Expired,
            Certificate::WrongName,
            Certificate::Untrusted,
        ] {
            acceptors.insert(certificate, acceptor(certificate, &authority, &stranger)?);
        }
        Ok(Self { ca_pem, acceptors })
    }

    pub(crate) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// `new` has made one for every certificate, so there always is one.
    pub(crate) fn acceptor(&self, certificate: Certificate) -> Option<&TlsAcceptor> {
        self.acceptors.get(&certificate)
    }
}

/// TLS as the servers here have it, for a server of the tests' own under the authority in this directory.
///
/// # Errors
/// The directory cannot be read or written, or holds no authority.
pub fn acceptor_for(ca_dir: &Path, certificate: Certificate) -> Result<TlsAcceptor, Error> {
    let ((_, authority), (_, stranger)) = (kept_authority(ca_dir)?, new_authority()?);
    acceptor(certificate, &authority, &stranger)
}

type Authority = Issuer<'static, KeyPair>;

fn kept_authority(dir: &Path) -> Result<(String, Authority), Error> {
    disk::make_dir(dir)?;
    let (certificate, key) = (dir.join("ca.pem"), dir.join("ca.key"));
    if let (Some(pem), Some(key)) = (disk::read_text(&certificate)?, disk::read_text(&key)?) {
        let key = KeyPair::from_pem(&key)?;
        let params = authority_params(&key);
        return Ok((pem, Issuer::new(params, key)));
    }
    let pair = KeyPair::generate()?;
    // The key first: a certificate without its key would be trusted and useless.
    disk::write_secret(&key, pair.serialize_pem().as_bytes())?;
    let (pem, authority) = authority_from(pair)?;
    disk::write(&certificate, pem.as_bytes())?;
    Ok((pem, authority))
}

fn new_authority() -> Result<(String, Authority), Error> {
    authority_from(KeyPair::generate()?)
}

fn authority_from(key: KeyPair) -> Result<(String, Authority), Error> {
    let params = authority_params(&key);
    let pem = params.self_signed(&key)?.pem();
    Ok((pem, Issuer::new(params, key)))
}

/// The same for a kept key as for a new one, so that the leaves name the kept certificate as their issuer.
/// The subject names the key, because two authorities of one name confuse clients that trust both.
fn authority_params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    let id = hex::encode(params.key_identifier(key).get(..4).unwrap_or_default());
    params.distinguished_name.push(DnType::CommonName, format!("Halfpenny sandbox {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A leaf without CA:TRUE: rustls refuses an authority as a server's certificate (`CaUsedAsEndEntity`).
fn acceptor(certificate: Certificate, authority: &Authority, stranger: &Authority) -> Result<TlsAcceptor, Error> {
    let issuer = match certificate {
        Certificate::SelfSigned => None,
        Certificate::Untrusted => Some(stranger),
        Certificate::Valid | Certificate::Expired | Certificate::WrongName => Some(authority),
    };
    let names: Vec<String> = match certificate {
        Certificate::WrongName => vec!["elsewhere.test".to_owned()],
        _ => NAMES.map(str::to_owned).to_vec(),
    };
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "Halfpenny sandbox server");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    if certificate == Certificate::Expired {
        params.not_after = date_time_ymd(2021, 1, 1);
    }
    let key = KeyPair::generate()?;
    let leaf = match issuer {
        Some(issuer) => params.signed_by(&key, issuer)?,
        None => params.self_signed(&key)?,
    };
    server_config(leaf.der().clone(), key.serialize_der())
}

fn server_config(leaf: CertificateDer<'static>, key: Vec<u8>) -> Result<TlsAcceptor, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
