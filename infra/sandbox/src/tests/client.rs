//! A client that sends what it is told and reads lines.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{ADA, PASSWORD};
use crate::{Sandbox, Service};

/// No test waits longer for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub(crate) struct Client {
    stream: Box<dyn Duplex>,
    buffer: Vec<u8>,
}

pub(crate) fn connector(ca_pem: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

impl Client {
    /// Connects without TLS and without reading anything.
    pub(crate) async fn plain(sandbox: &Sandbox, service: Service) -> Self {
        let tcp = TcpStream::connect(("127.0.0.1", sandbox.port(service))).await.unwrap();
        Self { stream: Box::new(tcp), buffer: Vec::new() }
    }

    /// Connects, over TLS where the service begins with it, and reads the greeting.
    pub(crate) async fn connect(sandbox: &Sandbox, service: Service) -> Self {
        let mut client = Self::plain(sandbox, service).await;
        if service.implicit_tls() {
            client = client.secure(sandbox).await.unwrap();
        }
        client.line().await;
        client
    }

    /// Connects to an IMAP or POP3 service over TLS and logs in as Ada.
    pub(crate) async fn logged_in(sandbox: &Sandbox, service: Service) -> Self {
        let mut client = Self::connect(sandbox, service).await;
        if service == Service::Imaps {
            let answer = client.command(&format!("l LOGIN {ADA} \"{PASSWORD}\"")).await;
            assert!(answer.contains("l OK"), "{answer}");
        } else {
            assert_eq!(client.ask(&format!("USER {ADA}")).await, "+OK password?\r\n");
            assert!(client.ask(&format!("PASS {PASSWORD}")).await.starts_with("+OK"));
        }
        client
    }

    /// The TLS handshake for the name `localhost`.
    pub(crate) async fn secure(self, sandbox: &Sandbox) -> io::Result<Self> {
        assert!(self.buffer.is_empty(), "bytes before TLS: {:?}", String::from_utf8_lossy(&self.buffer));
        let name = ServerName::try_from("localhost").unwrap();
        let handshake = connector(sandbox.ca_pem()).connect(name, self.stream);
        let tls = timeout(PATIENCE, handshake).await.expect("a handshake in time")?;
        Ok(Self { stream: Box::new(tls), buffer: Vec::new() })
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends a line and reads one.
    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.line().await
    }

    /// Reads a line with its end; what there is, if the server closes before.
    pub(crate) async fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(at + 1);
                return String::from_utf8(std::mem::replace(&mut self.buffer, rest)).unwrap();
            }
            if !self.fill().await {
                return String::from_utf8(std::mem::take(&mut self.buffer)).unwrap();
            }
        }
    }

    /// Sends an IMAP command and reads to its tagged line.
    pub(crate) async fn command(&mut self, command: &str) -> String {
        let tag = command.split(' ').next().unwrap().to_owned() + " ";
        self.send(format!("{command}\r\n")).await;
        self.until(|line| line.starts_with(&tag)).await
    }

    /// Sends an SMTP command and reads to the last line of the reply.
    pub(crate) async fn reply(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n")).await;
        self.until(|line| line.as_bytes().get(3) == Some(&b' ')).await
    }

    /// Sends a POP3 command and reads to the dot.
    pub(crate) async fn listing(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n")).await;
        self.until(|line| line == ".\r\n").await
    }

    async fn until(&mut self, last: impl Fn(&str) -> bool) -> String {
        let mut all = String::new();
        loop {
            let line = self.line().await;
            all.push_str(&line);
            if last(&line) || line.is_empty() {
                return all;
            }
        }
    }

    /// Everything to the end of the stream, and whether it ended in order.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, io::Result<()>) {
        let mut all = std::mem::take(&mut self.buffer);
        let ended = timeout(PATIENCE, self.stream.read_to_end(&mut all)).await.expect("an end in time");
        (all, ended.map(drop))
    }

    /// Reads what comes next; false at the end of the stream.
    pub(crate) async fn fill(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
        read.expect("an answer in time").is_ok_and(|n| n > 0)
    }

    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    pub(crate) fn buffered(&self) -> usize {
        self.buffer.len()
    }
}
