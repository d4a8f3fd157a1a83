//! A private Dovecot on loopback: IMAP and POP3 with implicit TLS and STARTTLS, LMTP, and SASL for Postfix.
//! Any user logs in with [`PASSWORD`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::guard::{self, Guarded};
use crate::peer::{self, Receive, Way};
use crate::{dir, until};

/// Of every mailbox.
pub const PASSWORD: &str = "pass-of-all";

/// A running Dovecot.
#[derive(Debug)]
pub struct Dovecot {
    folder: PathBuf,
    /// LMTP's port.
    pub lmtp: u16,
    /// The port of the SASL server.
    pub sasl: u16,
    ports: [u16; 4],
    /// Dropped, it ends.
    _process: Guarded,
}

/// Ports that are free now.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    // All at once, so that they differ.
    let listeners: Vec<_> = (0..N).map(|_| std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
    std::array::from_fn(|index| listeners[index].local_addr().unwrap().port())
}

/// Waits until a server answers on a port.
pub(crate) async fn listening(port: u16) {
    until(&format!("a server on port {port}"), async || TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
}

/// A command as root: root's own, or with sudo.
pub(crate) fn as_root(program: &str) -> (String, Vec<String>) {
    if rustix::process::geteuid().is_root() {
        return (program.to_owned(), Vec::new());
    }
    ("sudo".to_owned(), vec!["-n".to_owned(), program.to_owned()])
}

/// A certificate for localhost under the tests' authority. Not a CA itself: rustls refuses an authority as a server.
pub(crate) async fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let (key, request, certificate) = (folder.join("key.pem"), folder.join("request.pem"), folder.join("cert.pem"));
    let authority = peer::ca_dir().await;
    let extensions = folder.join("extensions");
    fs::write(&extensions, "basicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    openssl(
        &["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout"],
        &[&key, Path::new("-out"), &request],
    );
    let signing = [
        request.as_path(),
        Path::new("-CA"),
        &authority.join("ca.pem"),
        Path::new("-CAkey"),
        &authority.join("ca.key"),
        Path::new("-extfile"),
        &extensions,
        Path::new("-out"),
        &certificate,
    ];
    openssl(&["x509", "-req", "-days", "30", "-set_serial", "4711", "-in"], &signing);
    (certificate, key)
}

fn openssl(words: &[&str], paths: &[&Path]) {
    let output =
        Command::new("openssl").args(words).args(paths).output().expect("openssl is installed: ./tests/run prepare");
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
}

impl Dovecot {
    /// Starts one with empty mailboxes.
    pub async fn start() -> Self {
        let folder = dir::create("dovecot");
        let ports = free_ports::<6>();
        let [imap, imaps, pop3, pop3s, lmtp, sasl] = ports;
        let (certificate, key) = certificate(&folder).await;
        // Dovecot gives no mailbox to root.
        let owner =
            if rustix::process::geteuid().is_root() { "mail".to_owned() } else { std::env::var("USER").unwrap() };
        fs::create_dir(folder.join("mail")).unwrap();
        if owner == "mail" {
            assert!(Command::new("chown").arg("mail:mail").arg(folder.join("mail")).status().unwrap().success());
        }
        let config = folder.join("dovecot.conf");
        fs::write(&config, configuration(&folder, &certificate, &key, &owner, ports)).unwrap();
        let (program, arguments) = as_root("dovecot");
        let mut command = guard::command(program);
        let log = fs::File::create(folder.join("terminal.log")).unwrap();
        command.args(arguments).arg("-F").arg("-c").arg(&config).stdout(Stdio::null()).stderr(log);
        let process = Guarded::start(command, &folder.join("pid")).await;
        for port in ports {
            listening(port).await;
        }
        Self { folder, lmtp, sasl, ports: [imap, imaps, pop3, pop3s], _process: process }
    }

    /// `receive` of an account for a mailbox.
    #[must_use]
    pub fn receive(&self, user: &str, receive: Receive, way: Way) -> Value {
        let [imap, imaps, pop3, pop3s] = self.ports;
        let port = match (receive, way) {
            (Receive::Imap, Way::Starttls) => imap,
            (Receive::Imap, Way::Tls) => imaps,
            (Receive::Pop3, Way::Starttls) => pop3,
            (Receive::Pop3, Way::Tls) => pop3s,
        };
        let auth = json!({"type": "password", "username": user, "password": PASSWORD});
        json!({"protocol": receive.name(), "host": "localhost", "port": port, "security": way.name(), "auth": auth})
    }

    /// Puts messages into a mailbox over LMTP's back: as files of its Maildir, in order.
    pub fn deliver(&self, user: &str, messages: &[Vec<u8>]) {
        self.deliver_batch(user, messages, 0);
    }

    /// The same, behind the batches before.
    pub fn deliver_batch(&self, user: &str, messages: &[Vec<u8>], batch: usize) {
        let maildir = self.folder.join("mail").join(user).join("Maildir");
        for name in ["cur", "new", "tmp"] {
            fs::create_dir_all(maildir.join(name)).unwrap();
        }
        for (number, message) in messages.iter().enumerate() {
            fs::write(
                maildir
                    .join("new")
                    .join(format!("{:010}.M{batch}P{number}.test", 1_700_000_000 + batch * 10_000 + number)),
                message,
            )
            .unwrap();
        }
        if rustix::process::geteuid().is_root() {
            assert!(
                Command::new("chown")
                    .args(["-R", "mail:mail"])
                    .arg(self.folder.join("mail"))
                    .status()
                    .unwrap()
                    .success()
            );
        }
    }

    /// Gives a mailbox's INBOX another UIDVALIDITY (RFC 3501 §2.3.1.1).
    pub fn change_epoch(&self, user: &str, uid_validity: u32) {
        let (program, arguments) = as_root("doveadm");
        let mut command = Command::new(program);
        command.args(arguments).arg("-c").arg(self.folder.join("dovecot.conf"));
        command.args(["mailbox", "update", "-u", user, "--uid-validity", &uid_validity.to_string(), "INBOX"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "doveadm: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs a command of doveadm on a user's messages: `move Archive`, and which (doveadm-search-query(7)).
    pub fn doveadm(&self, user: &str, command: &[&str], query: &[String]) {
        let (program, arguments) = as_root("doveadm");
        let mut doveadm = Command::new(program);
        doveadm.args(arguments).arg("-c").arg(self.folder.join("dovecot.conf"));
        // `flags add` are two words before the user, `move` is one.
        let words = if command[0] == "flags" { 2 } else { 1 };
        doveadm.args(&command[..words]).args(["-u", user]).args(&command[words..]).args(query);
        let output = doveadm.output().unwrap();
        assert!(output.status.success(), "doveadm: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// What a folder holds now (`""` is INBOX): the names of its files, which end with their flags, and its messages.
    #[must_use]
    pub fn folder(&self, user: &str, folder: &str) -> Vec<(String, Vec<u8>)> {
        let maildir = self.folder.join("mail").join(user).join("Maildir");
        let maildir = if folder.is_empty() { maildir } else { maildir.join(format!(".{folder}")) };
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        loop {
            let files = ["cur", "new"].into_iter().flat_map(|name| dir::files(&maildir.join(name)));
            let read: io::Result<Vec<_>> = files.map(|path| Ok((name(&path), crlf(&fs::read(&path)?)))).collect();
            match read {
                Ok(messages) => return messages,
                // A session has renamed or removed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => panic!("{}: {error}", maildir.display()),
            }
        }
    }

    /// What a mailbox holds now, in no order, each message with CRLF as it goes over the wire.
    #[must_use]
    pub fn messages(&self, user: &str) -> Vec<Vec<u8>> {
        self.folder(user, "").into_iter().map(|(_, message)| message).collect()
    }
}

/// Line ends as they go over the wire (RFC 5322 §2.1); Dovecot stores LF.
#[must_use]
pub fn crlf(stored: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(stored.len());
    for (index, byte) in stored.iter().enumerate() {
        if *byte == b'\n' && (index == 0 || stored[index - 1] != b'\r') {
            bytes.push(b'\r');
        }
        bytes.push(*byte);
    }
    bytes
}

fn configuration(folder: &Path, certificate: &Path, key: &Path, owner: &str, ports: [u16; 6]) -> String {
    let [imap, imaps, pop3, pop3s, lmtp, sasl] = ports;
    let (folder, certificate, key) = (folder.display(), certificate.display(), key.display());
    format!(
        r"base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
instance_name = tests
listen = 127.0.0.1
protocols = imap pop3 lmtp
ssl = required
ssl_cert = <{certificate}
ssl_key = <{key}
auth_mechanisms = plain login
auth_failure_delay = 0
first_valid_uid = 1
mail_uid = {owner}
mail_gid = {owner}
mail_home = {folder}/mail/%u
mail_location = maildir:~/Maildir
mail_max_userip_connections = 100
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={owner} gid={owner} home={folder}/mail/%u
}}
namespace inbox {{
  inbox = yes
  mailbox Gesendet {{
    special_use = \Sent
    auto = create
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  inet_listener sasl {{
    port = {sasl}
  }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_become_crlf_once() {
        assert_eq!(crlf(b"\na\nb\r\nc"), b"\r\na\r\nb\r\nc");
    }
}
