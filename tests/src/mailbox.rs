//! A mailbox at a server, the account that pulls it, and what it ever held: where every proof of a pull begins and ends.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sandbox::{At, Folder, Protocol, Rule};
use serde_json::{Value, json};

use crate::aws::Aws;
use crate::checker::{EndState, Verdict, announced, end_state};
use crate::client::{Answer, Client};
use crate::dovecot::Dovecot;
use crate::peer::{Peer, Receive, Way};
use crate::service::Service;
use crate::{PATIENCE, until};

/// The account's name.
pub const ACCOUNT: &str = "mail";

/// Its address and login.
pub const USER: &str = "ada@example.test";

/// How long it may take to come to rest: thousands of messages may be left, on a busy machine.
const REST: Duration = Duration::from_secs(600);

/// Which mailbox, and how it is pulled.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// The protocol.
    pub receive: Receive,
    /// POP3: the server offers UIDL (RFC 1939 §7 makes it optional).
    pub uidl: bool,
    /// Delete at the server what an earlier run stored.
    pub delete: bool,
    /// A real Dovecot instead of the sandbox.
    pub dovecot: bool,
}

impl Kind {
    /// IMAP, mail stays.
    pub const IMAP_KEEP: Self = Self { receive: Receive::Imap, uidl: true, delete: false, dovecot: false };
    /// IMAP, mail is deleted.
    pub const IMAP_DELETE: Self = Self { delete: true, ..Self::IMAP_KEEP };
    /// POP3, mail is deleted.
    pub const POP3_DELETE: Self = Self { receive: Receive::Pop3, ..Self::IMAP_DELETE };
    /// POP3 without UIDL, mail is deleted.
    pub const POP3_WITHOUT_UIDL: Self = Self { uidl: false, ..Self::POP3_DELETE };

    /// The kind that words on a command line name: `imap`, `pop3` or `pop3-no-uidl`; `keep` or `delete`; `sandbox` or
    /// `dovecot`.
    #[must_use]
    pub fn named(protocol: &str, delete: &str, server: &str) -> Self {
        let receive = if protocol == "imap" { Receive::Imap } else { Receive::Pop3 };
        Self { receive, uidl: protocol != "pop3-no-uidl", delete: delete == "delete", dovecot: server == "dovecot" }
    }
}

/// The server behind it.
#[derive(Debug)]
pub enum Server {
    /// That misbehaves on command.
    Sandbox(Box<Peer>),
    /// A real one.
    Dovecot(Box<Dovecot>),
}

impl Server {
    async fn start(kind: Kind) -> Self {
        if kind.dovecot {
            assert!(kind.uidl, "Dovecot always has UIDL");
            return Self::Dovecot(Box::new(Dovecot::start().await));
        }
        let peer = Peer::start().await;
        if !kind.uidl {
            let rule = || Rule::on(Protocol::Pop3);
            peer.sandbox.script(rule().hide_capability("UIDL"));
            peer.sandbox.script(rule().at(At::Command("UIDL")).reply("-ERR unknown command\r\n"));
        }
        Self::Sandbox(Box::new(peer))
    }

    fn receive(&self, receive: Receive) -> Value {
        match self {
            Self::Sandbox(peer) => peer.receive(receive, Way::Tls),
            Self::Dovecot(dovecot) => dovecot.receive(USER, receive, Way::Tls),
        }
    }
}

/// A mailbox and its account, under a tenant of its own.
#[derive(Debug)]
pub struct Mailbox {
    /// The tenant.
    pub tenant: String,
    /// A caller acting for it.
    pub client: Client,
    /// Where it lies.
    pub server: Server,
    /// Everything that was ever delivered.
    pub truth: Vec<Vec<u8>>,
    aws: Aws,
    delete: bool,
    batches: usize,
}

impl Mailbox {
    /// Opens an empty mailbox and makes its account; `poll`: the schedule pulls it as well, each second.
    pub async fn open(service: &Service, kind: Kind, poll: bool) -> Self {
        let server = Server::start(kind).await;
        let (tenant, client) = service.tenant();
        let mut receive = server.receive(kind.receive);
        receive["keepOnServer"] = json!(!kind.delete);
        let settings =
            json!({"from": USER, "receive": receive, "poll": {"enabled": poll, "minSeconds": 1, "maxSeconds": 1}});
        until("the account is made", async || {
            let made = client.put(format!("/v1/accounts/{ACCOUNT}"), &settings).await;
            assert!([200, 201, 503].contains(&made.status), "{}", made.text());
            // 503: on a machine that is this busy, storage is too slow for the deadlines of a call.
            (made.status != 503).then_some(())
        })
        .await;
        let aws = service.aws().await;
        Self { tenant, client, server, truth: Vec::new(), aws, delete: kind.delete, batches: 0 }
    }

    /// The sandbox, for its script.
    #[must_use]
    pub fn sandbox(&self) -> &sandbox::Sandbox {
        match &self.server {
            Server::Sandbox(peer) => &peer.sandbox,
            Server::Dovecot(_) => panic!("Dovecot has no script"),
        }
    }

    /// Delivers messages, behind those before.
    pub fn deliver(&mut self, messages: &[Vec<u8>]) {
        match &self.server {
            Server::Sandbox(peer) => messages.iter().for_each(|message| {
                peer.sandbox.deliver(USER, message.clone()).unwrap();
            }),
            Server::Dovecot(dovecot) => dovecot.deliver_batch(USER, messages, self.batches),
        }
        self.batches += 1;
        self.truth.extend_from_slice(messages);
    }

    /// What the server holds now.
    #[must_use]
    pub fn remaining(&self) -> Vec<Vec<u8>> {
        match &self.server {
            Server::Sandbox(peer) => peer.sandbox.messages(USER).iter().map(|message| message.bytes.to_vec()).collect(),
            Server::Dovecot(dovecot) => dovecot.messages(USER),
        }
    }

    /// The same messages under another UIDVALIDITY; `number` is a new one.
    pub fn change_epoch(&self, number: u32) {
        match &self.server {
            Server::Sandbox(peer) => drop(peer.sandbox.renumber(USER, Folder::Inbox).unwrap()),
            Server::Dovecot(dovecot) => dovecot.change_epoch(USER, number),
        }
    }

    /// Asks the service for a pull, whatever the answer.
    pub async fn pull(&self) -> Answer {
        self.client.post_empty(format!("/v1/accounts/{ACCOUNT}/pull")).await
    }

    /// Lets it come to rest: two pulls in a row without news, and nothing left that is to be deleted.
    pub async fn settle(&self) {
        let (mut quiet, started) = (0, Instant::now());
        while quiet < 2 {
            let answer = self.pull().await;
            let idle = answer.status == 200 && answer.json()["new"] == 0 && answer.json()["more"] == false;
            let left = if self.delete { self.remaining().len() } else { 0 };
            quiet = if idle && left == 0 { quiet + 1 } else { 0 };
            assert!(started.elapsed() < REST, "no rest: {left} to be deleted, {}", answer.text());
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// What there is now.
    pub async fn end_state(&self) -> EndState {
        end_state(&self.aws, &self.client, &self.tenant, ACCOUNT, &self.truth, &self.remaining()).await
    }

    /// Lets it come to rest, and judges.
    pub async fn judge(&self) -> Judgement {
        self.settle().await;
        let state = self.end_state().await;
        Judgement {
            verdict: state.verdict(),
            stored: state.rows.len(),
            remaining: state.remaining.len(),
            announced: self.announced(state.rows.len()).await,
        }
    }

    /// Distinct ids of the events that told of received messages, once that many messages have been told of or nothing
    /// more is told for long.
    async fn announced(&self, messages: usize) -> usize {
        let (mut known, mut since) = (0, Instant::now());
        loop {
            let ids = announced(&self.aws, &self.tenant).await;
            if ids.len() >= messages || since.elapsed() > PATIENCE {
                return ids.values().flatten().collect::<BTreeSet<_>>().len();
            }
            if ids.len() > known {
                (known, since) = (ids.len(), Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Holds the cursor of an IMAP folder to what is stored (I10).
    pub async fn watch(&self, watch: &mut crate::checker::Cursors) {
        watch.look(&self.aws, &self.tenant, ACCOUNT).await;
    }
}

/// The end of a proof.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// What is wrong.
    pub verdict: Verdict,
    /// Rows stored, each with an id of its own.
    pub stored: usize,
    /// Messages left at the server.
    pub remaining: usize,
    /// Events with ids of their own that told of them.
    pub announced: usize,
}

impl Judgement {
    /// Whether everything is stored once, byte for byte, and announced under one id, and the server holds what it has
    /// to.
    #[must_use]
    pub fn is_kept(&self, mailbox: &Mailbox) -> bool {
        let left = if mailbox.delete { 0 } else { mailbox.truth.len() };
        let all = mailbox.truth.len();
        let counts = (self.stored, self.remaining, self.announced);
        self.verdict == Verdict::default() && counts == (all, left, all)
    }
}
