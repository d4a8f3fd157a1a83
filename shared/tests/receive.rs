//! Receiving from a real server over real TLS: what is in the mailbox arrives byte for byte, and only what was
//! acknowledged is gone.

#![allow(clippy::unwrap_used, reason = "what a test takes for granted fails it")]

use std::path::PathBuf;
use std::time::Duration;

use sandbox::{At, Options, Rule, Sandbox, Service, User};
use shared::mail::limits::FETCH_PART_BYTES;
use shared::mail::{BoxedStream, Connection, Credential, Deadline, Error, Server, Timeouts, connect, imap, pop3};
use shared::model::{Phase, ProbeCode, Protocol, Security};
use shared::net::Network;

const USER: &str = "ada@example.test";
const PASSWORD: &str = "CANARY \"pw\\ 51c0";
const LIMIT: u64 = 64 << 20;

struct Stage {
    sandbox: Sandbox,
    network: Network,
}

impl Stage {
    async fn new() -> Self {
        let users = vec![User { address: USER.to_owned(), password: PASSWORD.to_owned() }];
        let sandbox = Sandbox::start(Options { users, ..Options::default() }).await.unwrap();
        let file = format!("receive-{}.pem", sandbox.port(Service::Smtp));
        let roots = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(file);
        std::fs::write(&roots, sandbox.ca_pem()).unwrap();
        let network = Network::new("127.0.0.0/8,::1/128", &[], Some(&roots), Timeouts::default()).unwrap();
        Self { sandbox, network }
    }

    async fn connect(&self, service: Service) -> Connection {
        let pop3 = matches!(service, Service::Pop3 | Service::Pop3s);
        let protocol = if pop3 { Protocol::Pop3 } else { Protocol::Imap };
        let security = if service.implicit_tls() { Security::Tls } else { Security::Starttls };
        let port = self.sandbox.port(service);
        let server = Server { protocol, host: "localhost", port, security, verify_certificate: true };
        connect(&self.network, &server, Deadline::after(Duration::from_secs(20))).await.unwrap()
    }

    async fn pop3(&self, service: Service, password: &str) -> Result<pop3::Client<BoxedStream>, Error> {
        let connection = self.connect(service).await;
        pop3::login(connection.wire, &connection.greeting, &ada(password)).await
    }

    async fn imap(&self, service: Service, password: &str) -> Result<imap::Client<BoxedStream>, Error> {
        let connection = self.connect(service).await;
        imap::login(connection.wire, &connection.greeting, &ada(password)).await
    }

    /// Fills the mailbox: stuffing, bare dots, an empty body, bytes that are not ASCII, and one of several parts.
    fn fill(&self) -> Vec<Vec<u8>> {
        let large = "0123456789abcdef\r\n".repeat(usize::try_from(2 * FETCH_PART_BYTES / 18 + 100).unwrap());
        let mut messages = vec![
            b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n \r\n.\r\n".to_vec(),
            b"Subject: none\r\n\r\n".to_vec(),
            b"Subject: 8 bit\r\n\r\n\xe4\xf6\xfc a2 OK {5}\r\n)\r\n".to_vec(),
            format!("Subject: large\r\n\r\n{large}").into_bytes(),
        ];
        messages.extend((0..150).map(|n| format!("Subject: {n}\r\n\r\n{n}\r\n").into_bytes()));
        for message in &messages {
            self.sandbox.deliver(USER, message.clone()).unwrap();
        }
        messages
    }

    fn left(&self) -> usize {
        self.sandbox.messages(USER).len()
    }
}

fn ada(password: &str) -> Credential {
    Credential::Password { username: USER.to_owned(), password: password.into() }
}

fn sizes(messages: &[Vec<u8>]) -> Vec<u64> {
    messages.iter().map(|message| message.len() as u64).collect()
}

#[tokio::test]
async fn a_maildrop_arrives_whole_and_is_emptied_by_quit() {
    for (service, pipelining) in [(Service::Pop3, true), (Service::Pop3s, false)] {
        let stage = Stage::new().await;
        if !pipelining {
            stage.sandbox.script(Rule::on(sandbox::Protocol::Pop3).hide_capability("PIPELINING"));
        }
        let sent = stage.fill();
        let mut client = stage.pop3(service, PASSWORD).await.unwrap();
        let numbers: Vec<u32> = (1..).take(sent.len()).collect();
        assert_eq!(client.stat().await.unwrap().messages as usize, sent.len());
        let uidls = stage.sandbox.messages(USER).into_iter().map(|stored| stored.uidl);
        assert_eq!(client.uidl().await.unwrap().unwrap(), numbers.iter().copied().zip(uidls).collect::<Vec<_>>());
        assert_eq!(client.list().await.unwrap(), numbers.iter().copied().zip(sizes(&sent)).collect::<Vec<_>>());
        let mut retrieval = client.retrieve(&numbers, LIMIT);
        let mut got = Vec::new();
        while let Some((number, message)) = retrieval.next().await.unwrap() {
            assert_eq!(number as usize, got.len() + 1);
            got.push(message.unwrap());
        }
        assert!(got == sent, "bytes differ");
        assert_eq!(client.head(4, 100).await.unwrap(), Ok(b"Subject: large\r\n\r\n".to_vec()));
        client.delete(1).await.unwrap();
        client.delete(3).await.unwrap();
        assert_eq!(stage.left(), sent.len());
        client.quit().await.unwrap();
        assert_eq!(stage.left(), sent.len() - 2);
    }
}

#[tokio::test]
async fn a_folder_arrives_whole() {
    for service in [Service::Imap, Service::Imaps] {
        let stage = Stage::new().await;
        let sent = stage.fill();
        let mut client = stage.imap(service, PASSWORD).await.unwrap();
        let status = client.status("INBOX").await.unwrap();
        let selected = client.examine("INBOX").await.unwrap();
        assert_eq!((status.messages as usize, status.uid_validity), (sent.len(), selected.uid_validity));
        assert_eq!((selected.exists as usize, selected.read_only), (sent.len(), true));

        let listed = client.listing(1, 1_000).await.unwrap();
        assert_eq!(listed.iter().map(|message| message.size).collect::<Vec<_>>(), sizes(&sent));
        let uids: Vec<u32> = listed.iter().map(|message| message.uid).collect();
        assert_eq!(client.search_uids(1).await.unwrap(), uids);
        assert_eq!(client.listing(1, 10).await.unwrap(), listed[..10]);
        assert_eq!(client.listing(status.uid_next, 10).await.unwrap(), []);

        let mut fetch = client.fetch(&uids, LIMIT);
        let mut got = Vec::new();
        while let Some(message) = fetch.next().await.unwrap() {
            assert_eq!(message.uid, uids[got.len()]);
            got.push(message.body);
        }
        assert!(got == sent, "bytes differ");
        let (size, mut large) = (listed[3].size, Vec::new());
        let came = client.fetch_large(uids[3], size, LIMIT, |piece| large.extend_from_slice(piece)).await.unwrap();
        assert!(came == Ok(size) && large == sent[3]);
        // Reading left no trace.
        assert_eq!(client.listing(1, 1_000).await.unwrap(), listed);
    }
}

#[tokio::test]
async fn a_folder_changes_only_where_it_was_told_to() {
    let stage = Stage::new().await;
    let sent = stage.fill();
    let mut client = stage.imap(Service::Imaps, PASSWORD).await.unwrap();
    let folders = client.list_folders().await.unwrap();
    assert!(folders.iter().any(|folder| folder.special_use == Some(imap::SpecialUse::Sent)), "{folders:?}");
    client.select("INBOX").await.unwrap();
    let uids = client.search_uids(1).await.unwrap();
    client.uid_store_deleted(&uids[..3]).await.unwrap();
    assert!(client.uid_expunge(&uids[..2]).await.unwrap());
    assert_eq!(stage.left(), sent.len() - 2, "only what was named");

    let copy = b"Message-ID: <copy@example.test>\r\n\r\nx\r\n";
    let place = client.append("Sent", &["\\Seen"], copy).await.unwrap();
    client.examine("Sent").await.unwrap();
    let found = client.search_message_id("<copy@example.test>").await.unwrap();
    assert_eq!(found, [place.unwrap().1]);
    client.noop().await.unwrap();
    client.logout().await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_told_apart_from_a_server_in_trouble() {
    let stage = Stage::new().await;
    let pop3 = stage.pop3(Service::Pop3s, "CANARY wrong").await;
    let imap = stage.imap(Service::Imaps, "CANARY wrong").await;
    for error in [pop3.unwrap_err(), imap.unwrap_err()] {
        assert!(error.is_auth_refusal() && !error.is_transient() && error.phase == Phase::Auth, "{error}");
        assert!(!error.detail.contains("CANARY"));
    }
    let (in_use, bye) = ("-ERR [IN-USE] locked\r\n", "* BYE [UNAVAILABLE] later\r\n");
    stage.sandbox.script(Rule::on(sandbox::Protocol::Pop3).at(At::Command("AUTH")).reply(in_use));
    stage.sandbox.script(Rule::on(sandbox::Protocol::Imap).at(At::Command("AUTHENTICATE")).reply(bye).then_close());
    let pop3 = stage.pop3(Service::Pop3s, PASSWORD).await;
    let imap = stage.imap(Service::Imaps, PASSWORD).await;
    for (error, code) in [(pop3.unwrap_err(), "IN-USE"), (imap.unwrap_err(), "UNAVAILABLE")] {
        assert!(error.is_transient() && !error.is_auth_refusal(), "{error}");
        assert_eq!(error.refusal.unwrap().enhanced.as_deref(), Some(code));
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_brings_whole_messages_only() {
    let stage = Stage::new().await;
    let sent = stage.fill();
    let cut = Rule::on(sandbox::Protocol::Pop3).at(At::Command("RETR"));
    stage.sandbox.script(cut.skip(1).drop_after(30).times(1));
    let mut client = stage.pop3(Service::Pop3s, PASSWORD).await.unwrap();
    let mut retrieval = client.retrieve(&[1, 2, 3], LIMIT);
    assert_eq!(retrieval.next().await.unwrap(), Some((1, Ok(sent[0].clone()))));
    assert_eq!(retrieval.next().await.unwrap_err().code, ProbeCode::ProtocolError);
    assert_eq!(stage.left(), sent.len());

    stage.sandbox.script(Rule::on(sandbox::Protocol::Imap).at(At::Command("UID FETCH")).drop_after(1_000).times(1));
    let mut client = stage.imap(Service::Imaps, PASSWORD).await.unwrap();
    client.examine("INBOX").await.unwrap();
    let uids: Vec<u32> = stage.sandbox.messages(USER).iter().map(|stored| stored.uid).collect();
    let mut fetch = client.fetch(&uids[4..], LIMIT);
    let mut came = 0;
    let error = loop {
        match fetch.next().await {
            Ok(message) => {
                assert_eq!(message.unwrap().body, sent[4 + came]);
                came += 1;
            }
            Err(error) => break error,
        }
    };
    assert!((1..20).contains(&came) && error.is_transient(), "{came} {error}");
}

#[tokio::test]
async fn a_lost_answer_to_quit_commits_nothing_that_we_know_of() {
    let stage = Stage::new().await;
    let sent = stage.fill();
    let lost = Rule::on(sandbox::Protocol::Pop3).at(At::Command("QUIT")).swallow_then_drop();
    let fired = stage.sandbox.script(lost);
    let mut client = stage.pop3(Service::Pop3s, PASSWORD).await.unwrap();
    client.delete(1).await.unwrap();
    assert!(client.quit().await.is_err());
    // This server did delete; the next listing tells.
    assert_eq!((fired.count(), stage.left()), (1, sent.len() - 1));
}

#[tokio::test]
async fn a_server_that_drips_or_never_ends_runs_into_the_deadline_or_a_cap() {
    let rules = [
        Rule::on(sandbox::Protocol::Pop3).at(At::Command("UIDL")).drip(3),
        Rule::on(sandbox::Protocol::Pop3).at(At::Command("UIDL")).stall_forever(),
        Rule::on(sandbox::Protocol::Pop3).at(At::Command("UIDL")).completion("").endless("1 x\r\n"),
        Rule::on(sandbox::Protocol::Imap).at(At::Command("UID FETCH")).drip(3),
        Rule::on(sandbox::Protocol::Imap).at(At::Command("UID FETCH")).stall_forever(),
        Rule::on(sandbox::Protocol::Imap).at(At::Command("UID FETCH")).completion("").endless("* 1 EXISTS\r\n"),
    ];
    for rule in rules {
        let stage = Stage::new().await;
        stage.fill();
        let fired = stage.sandbox.script(rule.clone());
        let soon = || Deadline::after(Duration::from_millis(300));
        let error = if format!("{rule:?}").contains("Pop3") {
            let mut client = stage.pop3(Service::Pop3s, PASSWORD).await.unwrap();
            client.set_deadline(soon());
            client.uidl().await.unwrap_err()
        } else {
            let mut client = stage.imap(Service::Imaps, PASSWORD).await.unwrap();
            client.examine("INBOX").await.unwrap();
            client.set_deadline(soon());
            client.listing(1, 1_000).await.unwrap_err()
        };
        // What never ends meets the cap on lines first where the machine is fast.
        let capped = error.code == ProbeCode::ProtocolError && format!("{rule:?}").contains("endless: Some");
        assert!(error.code == ProbeCode::Timeout || capped, "{rule:?}: {error}");
        assert_eq!((error.phase, fired.count()), (Phase::List, 1), "{rule:?}: {error}");
        assert!(error.is_transient());
    }
}

#[tokio::test]
async fn clients_may_move_between_threads() {
    let stage = Stage::new().await;
    stage.fill();
    let mut pop3 = stage.pop3(Service::Pop3s, PASSWORD).await.unwrap();
    let mut imap = stage.imap(Service::Imaps, PASSWORD).await.unwrap();
    let receiving = tokio::spawn(async move {
        let message = pop3.retrieve(&[1], 100).next().await.unwrap().unwrap().1.unwrap();
        imap.examine("INBOX").await.unwrap();
        let uid = imap.listing(1, 1).await.unwrap()[0].uid;
        let fetched = imap.fetch(&[uid], 100).next().await.unwrap().unwrap();
        message == fetched.body
    });
    assert!(receiving.await.unwrap());
}
