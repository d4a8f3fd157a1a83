//! P9: agreement with those who have pulled mail for decades. getmail6, fetchmail, mpop and isync (mbsync) pull the same
//! Dovecot mailbox as the service, which pulls it over both protocols: each has to find the same multiset of messages.
//!
//! The service is held to the byte. The others write LF in place of CRLF and add fields of their own, so of them is
//! compared what is left without that ([`normal`]). getmail and fetchmail also mend what they take for broken (no header,
//! an endless line, a multipart that is never closed): such messages are compared with mpop and mbsync alone.
//!
//! It needs `apt-get install getmail6 fetchmail mpop isync`, and is no part of CI.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::process::Command;

use crate::checker::{Verdict, end_state};
use crate::corpus;
use crate::dir;
use crate::dovecot::{Dovecot, PASSWORD};
use crate::mailbox::{ACCOUNT, USER};
use crate::peer::{self, Receive, Way};
use crate::random::Random;
use crate::service::{Options, Service};
use crate::sha256;
use crate::within;

/// Fields that a puller may add.
const ADDED: [&str; 5] = ["return-path", "received", "delivered-to", "x-tuid", "x-getmail-retrieved-from-mailbox"];

/// A longer line is broken by some (RFC 5322 §2.1.1).
const LINE: usize = 998;

/// In words and settings: the folder of whoever pulls.
const FOLDER: &str = "FOLDER";

/// Runs after which a puller that fails is given up: each goes on where the one before ended. getmail waits in vain for
/// one of its own processes now and then, on a busy machine once in a hundred messages.
const RUNS: usize = 20;

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Messages in the mailbox, and those that everybody leaves as they are.
    pub messages: (usize, usize),
    /// The service, over IMAP and over POP3.
    pub service: [Verdict; 2],
    /// Each of the others: messages that it found, and how many of those that count are not there as often as they
    /// should be.
    pub others: BTreeMap<&'static str, (usize, usize)>,
    /// All agree.
    pub kept: bool,
}

/// One of the others.
struct Other {
    name: &'static str,
    /// Its words. Its folder holds the file `rc`.
    command: &'static [&'static str],
    settings: String,
    /// It leaves also odd messages as they are.
    exact: bool,
}

/// Runs it on a service of its own.
pub async fn run(messages: usize, mut random: Random) -> Report {
    let service = Service::start(Options::default()).await;
    let dovecot = Dovecot::start().await;
    let truth: Vec<Vec<u8>> = corpus::odd().into_iter().chain(corpus::mixed(messages, &mut random)).collect();
    dovecot.deliver(USER, &truth);
    let mut verdicts = Vec::new();
    for receive in Receive::BOTH {
        verdicts.push(pulled(&service, &dovecot, receive, &truth).await);
    }
    let ordinary: Vec<Vec<u8>> = truth.iter().filter(|message| is_ordinary(message)).cloned().collect();
    let mut others = BTreeMap::new();
    for other in all(&dovecot).await {
        let found = other.pull().await;
        let wanted = if other.exact { &truth } else { &ordinary };
        others.insert(other.name, (found.len(), disagreement(wanted, &found)));
    }
    let service: [Verdict; 2] = verdicts.try_into().unwrap();
    let agreed = others.values().all(|(_, wrong)| *wrong == 0);
    let kept = agreed && service.iter().all(|verdict| *verdict == Verdict::default());
    Report { messages: (truth.len(), ordinary.len()), service, others, kept }
}

/// What the service has of the mailbox.
async fn pulled(service: &Service, dovecot: &Dovecot, receive: Receive, truth: &[Vec<u8>]) -> Verdict {
    let (tenant, client) = service.tenant();
    let settings = json!({"from": USER, "receive": dovecot.receive(USER, receive, Way::Tls)});
    let _ = client.put(format!("/v1/accounts/{ACCOUNT}"), &settings).await.is(201);
    within(crate::PATIENCE * 10, "everything is pulled", async || {
        let answer = client.post_empty(format!("/v1/accounts/{ACCOUNT}/pull")).await;
        (answer.status == 200 && answer.json()["new"] == 0 && answer.json()["more"] == false).then_some(())
    })
    .await;
    // What the server still has would excuse what is missing: here nothing may be.
    end_state(&service.aws().await, &client, &tenant, ACCOUNT, truth, &[]).await.verdict()
}

async fn all(dovecot: &Dovecot) -> Vec<Other> {
    let ca = peer::ca_file().await.display().to_string();
    let port = |receive| dovecot.receive(USER, receive, Way::Tls)["port"].as_u64().unwrap();
    let (imap, pop3) = (port(Receive::Imap), port(Receive::Pop3));
    let getmail = |kind: &str, port: u64| {
        format!(
            "[retriever]\ntype = Simple{kind}SSLRetriever\nserver = localhost\nport = {port}\nusername = {USER}\n\
             password = {PASSWORD}\nca_certs = {ca}\n{}[destination]\ntype = Maildir\npath = FOLDER/box/\n\
             [options]\nread_all = false\ndelete = false\ndelivered_to = false\nreceived = false\n",
            if kind == "IMAP" { "mailboxes = (\"INBOX\",)\n" } else { "" }
        )
    };
    let fetchmail = |protocol: &str, port: u64| {
        format!(
            "set no bouncemail\nset invisible\npoll localhost protocol {protocol} service {port} timeout 120 user \"{USER}\" \
             password \"{PASSWORD}\" ssl sslcertck sslcertfile \"{ca}\" fetchall keep no rewrite \
             mda \"sh -c 'exec cat > $(mktemp FOLDER/box/new/XXXXXXXXXX)'\"\n"
        )
    };
    let mpop = format!(
        "account default\nhost localhost\nport {pop3}\nuser {USER}\npassword {PASSWORD}\nauth user\ntls on\ntls_starttls off\n\
         tls_trust_file {ca}\ndelivery maildir FOLDER/box\nreceived_header off\nkeep on\nuidls_file FOLDER/uidls\n"
    );
    let mbsync = format!(
        "IMAPAccount a\nHost localhost\nPort {imap}\nUser {USER}\nPass {PASSWORD}\nSSLType IMAPS\nCertificateFile {ca}\n\n\
         IMAPStore far\nAccount a\n\nMaildirStore near\nPath FOLDER/\nInbox FOLDER/box\n\n\
         Channel c\nFar :far:INBOX\nNear :near:INBOX\nCreate Near\nSync Pull\nSyncState *\n"
    );
    let getmail_words: &[&str] = &["getmail", "--getmaildir", "FOLDER", "--rcfile", "FOLDER/rc"];
    let fetchmail_words: &[&str] = &["fetchmail", "-f", "FOLDER/rc", "--nosyslog", "--pidfile", "FOLDER/pid"];
    let other = |name, command, settings, exact| Other { name, command, settings, exact };
    vec![
        other("getmail6 over IMAP", getmail_words, getmail("IMAP", imap), false),
        other("getmail6 over POP3", getmail_words, getmail("POP3", pop3), false),
        other("fetchmail over IMAP", fetchmail_words, fetchmail("imap", imap), false),
        other("fetchmail over POP3", fetchmail_words, fetchmail("pop3", pop3), false),
        other("mpop", &["mpop", "--file=FOLDER/rc"], mpop, true),
        other("mbsync", &["mbsync", "-c", "FOLDER/rc", "c"], mbsync, true),
    ]
}

impl Other {
    /// Pulls into a Maildir of its own; what is in there then.
    async fn pull(&self) -> Vec<Vec<u8>> {
        let folder = dir::create("agreement");
        let here = |text: &str| text.replace(FOLDER, &folder.display().to_string());
        for name in ["new", "cur", "tmp"] {
            fs::create_dir_all(folder.join("box").join(name)).unwrap();
        }
        fs::write(folder.join("rc"), here(&self.settings)).unwrap();
        fs::set_permissions(folder.join("rc"), fs::Permissions::from_mode(0o600)).unwrap();
        let words: Vec<String> = self.command.iter().map(|word| here(word)).collect();
        for run in 1..=RUNS {
            let output = command(&words, &folder).output().await.unwrap_or_else(|error| {
                panic!("{}: {error}; apt-get install getmail6 fetchmail mpop isync", self.name)
            });
            if output.status.success() {
                break;
            }
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(run < RUNS, "{}: {said}{}", self.name, String::from_utf8_lossy(&output.stdout));
        }
        let files = ["new", "cur"].into_iter().flat_map(|name| dir::files(&folder.join("box").join(name)));
        files.map(|path: PathBuf| fs::read(path).unwrap()).collect()
    }
}

/// getmail delivers nothing as root.
fn command(words: &[String], folder: &Path) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let owned = std::process::Command::new("chown").args(["-R", "mail:mail"]).arg(folder).status().unwrap();
        assert!(owned.success());
        let mut command = Command::new("setpriv");
        command.args(["--reuid=mail", "--regid=mail", "--clear-groups"]).arg(&words[0]);
        command
    } else {
        Command::new(&words[0])
    };
    command.args(&words[1..]).env("HOME", folder).env("FETCHMAILHOME", folder).kill_on_drop(true);
    command
}

/// How many of these messages are found more or less often than they are there.
fn disagreement(truth: &[Vec<u8>], found: &[Vec<u8>]) -> usize {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    truth.iter().for_each(|message| counts.entry(sha256(&normal(message))).or_default().0 += 1);
    for message in found {
        if let Some(count) = counts.get_mut(&sha256(&normal(message))) {
            count.1 += 1;
        }
    }
    counts.values().map(|(there, found)| there.abs_diff(*found)).sum()
}

/// Whether everybody leaves it as it is.
fn is_ordinary(message: &[u8]) -> bool {
    let text = String::from_utf8_lossy(message);
    let first = text.lines().next().unwrap_or_default();
    let closed = !text.contains("multipart/mixed") || text.contains("--\r\n");
    first.contains(": ") && closed && text.lines().all(|line| line.len() <= LINE)
}

/// A message without what a puller may change: line ends, added fields, line ends behind the end.
fn normal(message: &[u8]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> =
        message.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let end = lines.iter().position(|line| line.is_empty()).unwrap_or(lines.len());
    let mut header = Vec::new();
    let mut added = false;
    for line in &lines[..end] {
        let folded = line.first().is_some_and(|byte| b" \t".contains(byte));
        if !folded {
            let name =
                String::from_utf8_lossy(line.split(|byte| *byte == b':').next().unwrap_or_default()).to_lowercase();
            added = ADDED.contains(&name.trim_end());
        }
        if !added {
            header.push(*line);
        }
    }
    header.extend(&lines[end..]);
    header.join(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_fields_and_line_ends_make_no_difference_and_all_else_does() {
        let truth = b"Subject: a\r\nX: b\r\n\tc\r\n\r\nReceived: in the text\r\n".to_vec();
        let same = b"Return-Path: <x>\nReceived: from y\n\tby z\nSubject: a\nX: b\n\tc\nX-TUID: 1\n\nReceived: in the text\n\n";
        assert_eq!(disagreement(std::slice::from_ref(&truth), &[same.to_vec()]), 0);
        for other in [b"Subject: a\n\nReceived: in the text\n".to_vec(), b"Subject: a\nX: b\n\tc\n\n".to_vec()] {
            assert_eq!(disagreement(std::slice::from_ref(&truth), &[other]), 1);
        }
        assert_eq!(disagreement(&[truth.clone(), truth.clone()], std::slice::from_ref(&truth)), 1);
        assert_eq!(disagreement(std::slice::from_ref(&truth), &[truth.clone(), truth.clone()]), 1);
    }
}
