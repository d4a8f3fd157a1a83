//! A private Postfix on loopback: submission with STARTTLS and with implicit TLS, SASL by Dovecot, delivery to Dovecot
//! by LMTP; and Postfix's `smtp-sink`, which can lose its reply to the final dot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::dir;
use crate::dovecot::{self, Dovecot, PASSWORD, as_root, free_ports, listening};
use crate::guard::{self, Guarded};
use crate::peer::Way;

/// A running Postfix.
#[derive(Debug)]
pub struct Postfix {
    submission: u16,
    smtps: u16,
    /// Dropped, it ends.
    _process: Guarded,
}

impl Postfix {
    /// Starts one that delivers everything for `example.test` to this Dovecot.
    pub async fn start(dovecot: &Dovecot) -> Self {
        let folder = dir::create("postfix");
        let [submission, smtps] = free_ports();
        let (certificate, key) = dovecot::certificate(&folder).await;
        let config = folder.join("config");
        for name in ["config", "queue", "data"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        run("chown", &["postfix"], &folder.join("data"));
        fs::write(config.join("main.cf"), main_cf(&folder, &certificate, &key, dovecot)).unwrap();
        fs::write(config.join("master.cf"), master_cf(submission, smtps)).unwrap();
        let (program, arguments) = as_root("postfix");
        let mut command = guard::command(program);
        let log = fs::File::create(folder.join("terminal.log")).unwrap();
        command.args(arguments).arg("-c").arg(&config).arg("start-fg").stdout(log.try_clone().unwrap()).stderr(log);
        let process = Guarded::start(command, &folder.join("pid")).await;
        listening(submission).await;
        listening(smtps).await;
        Self { submission, smtps, _process: process }
    }

    /// `smtp` of an account for a mailbox.
    #[must_use]
    pub fn smtp(&self, user: &str, way: Way) -> Value {
        let port = if way == Way::Tls { self.smtps } else { self.submission };
        json!({"host": "localhost", "port": port, "security": way.name(), "auth": {"type": "password", "username": user, "password": PASSWORD}})
    }
}

fn run(program: &str, words: &[&str], path: &Path) {
    let (program, arguments) = as_root(program);
    assert!(Command::new(program).args(arguments).args(words).arg(path).status().unwrap().success());
}

fn main_cf(folder: &Path, certificate: &Path, key: &Path, dovecot: &Dovecot) -> String {
    let (folder, certificate, key) = (folder.display(), certificate.display(), key.display());
    let Dovecot { lmtp, sasl, .. } = dovecot;
    format!(
        "compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = localhost.example.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps =
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{sasl}
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
virtual_mailbox_domains = example.test
virtual_mailbox_maps = static:all
virtual_transport = lmtp:inet:127.0.0.1:{lmtp}
default_transport = error:nothing leaves this machine
"
    )
}

fn master_cf(submission: u16, smtps: u16) -> String {
    let mut lines = vec![
        format!("127.0.0.1:{submission} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt"),
        format!("127.0.0.1:{smtps} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes"),
        "pickup unix n - n 60 1 pickup".to_owned(),
        "cleanup unix n - n - 0 cleanup".to_owned(),
        "qmgr unix n - n 300 1 qmgr".to_owned(),
        "tlsmgr unix - - n 1000? 1 tlsmgr".to_owned(),
        "rewrite unix - - n - - trivial-rewrite".to_owned(),
        "proxymap unix - - n - - proxymap".to_owned(),
        "anvil unix - - n - 1 anvil".to_owned(),
        "scache unix - - n - 1 scache".to_owned(),
        "postlog unix-dgram n - n - 1 postlogd".to_owned(),
        "lmtp unix - - n - - lmtp".to_owned(),
        "error unix - - n - - error".to_owned(),
        "retry unix - - n - - error".to_owned(),
    ];
    lines.extend(["bounce", "defer", "trace"].map(|name| format!("{name} unix - - n - 0 bounce")));
    lines.join("\n") + "\n"
}

/// A running `smtp-sink`: takes mail without TLS and writes each message into a file.
#[derive(Debug)]
pub struct Sink {
    port: u16,
    folder: PathBuf,
    /// Dropped, it ends.
    _process: Guarded,
}

impl Sink {
    /// Starts one with further options: `-q .` closes after the final dot and loses its reply.
    pub async fn start(options: &[&str]) -> Self {
        let folder = dir::create("sink");
        let [port] = free_ports();
        let mut command = guard::command("smtp-sink");
        if rustix::process::geteuid().is_root() {
            // As root it wants to give up root.
            command.args(["-u", "nobody"]);
            run("chmod", &["777"], &folder);
        }
        command.current_dir(&folder).args(options).arg("-d").arg("mail.").arg(format!("127.0.0.1:{port}")).arg("100");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let note = dir::create("sink-pid").join("pid");
        let process = Guarded::start(command, &note).await;
        listening(port).await;
        Self { port, folder, _process: process }
    }

    /// `smtp` of an account.
    #[must_use]
    pub fn smtp(&self) -> Value {
        json!({"host": "localhost", "port": self.port, "security": "none", "auth": {"type": "none"}})
    }

    /// What it took, with the lines `X-Client-Addr` and so on that it adds at the top.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        let read = |path: &PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        dir::files(&self.folder).iter().map(read).filter(|text| text.contains("X-Rcpt-Args")).collect()
    }
}
