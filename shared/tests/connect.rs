//! Connections to a server that misbehaves, over real sockets and real TLS, in all three protocols.
//!
//! Each test looks at both ends: which error the caller gets, and in the server's transcript what went over the wire.

#![allow(clippy::unwrap_used, reason = "what a test takes for granted fails it")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sandbox::{At, Certificate, Options, Rule, Sandbox, Service, User};
use secrecy::SecretString;
use shared::mail::smtp::{Client, Content, Outcome};
use shared::mail::{Connection, Credential, Deadline, Error, Server, Timeouts, connect};
use shared::model::{Phase, ProbeCode, Protocol, Security};
use shared::net::Network;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const USER: &str = "ada@example.test";
const PASSWORD: &str = "CANARY-pw-51c0";

/// Verbs that carry or announce a credential.
const SIGN_IN: [&str; 5] = ["AUTH", "LOGIN", "USER", "PASS", "CANARY"];

/// The services with STARTTLS, with its command and the answer that an attacker would slip in behind it.
const UPGRADES: [(Service, &str, &str); 3] = [
    (Service::Submission, "STARTTLS", "250 injected\r\n"),
    (Service::Pop3, "STLS", "+OK injected\r\n"),
    (Service::Imap, "STARTTLS", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"),
];

struct Stage {
    sandbox: Sandbox,
    network: Network,
}

impl Stage {
    async fn new() -> Self {
        Self::with("127.0.0.0/8,::1/128", &[], Timeouts { connect: Duration::from_secs(10), ..Timeouts::default() })
            .await
    }

    async fn with(allow: &str, denied_ports: &[u16], timeouts: Timeouts) -> Self {
        let users = vec![User { address: USER.to_owned(), password: PASSWORD.to_owned() }];
        let sandbox = Sandbox::start(Options { users, ..Options::default() }).await.unwrap();
        let roots =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("connect-{}.pem", sandbox.port(Service::Smtp)));
        std::fs::write(&roots, sandbox.ca_pem()).unwrap();
        let network = Network::new(allow, denied_ports, Some(&roots), timeouts).unwrap();
        std::fs::remove_file(&roots).unwrap();
        Self { sandbox, network }
    }

    fn server(&self, service: Service) -> Server<'static> {
        let protocol = match service.protocol() {
            sandbox::Protocol::Smtp => Protocol::Smtp,
            sandbox::Protocol::Pop3 => Protocol::Pop3,
            sandbox::Protocol::Imap => Protocol::Imap,
        };
        let security = if service.implicit_tls() { Security::Tls } else { Security::Starttls };
        Server { protocol, host: "localhost", port: self.sandbox.port(service), security, verify_certificate: true }
    }

    async fn connect(&self, server: Server<'_>) -> Result<Connection, Error> {
        connect(&self.network, &server, Deadline::after(Duration::from_secs(15))).await
    }

    /// Connects and expects it to fail.
    async fn refused(&self, server: Server<'_>) -> Error {
        let error = self.connect(server).await.unwrap_err();
        self.assert_no_credential();
        error
    }

    /// The whole way of a sender: with a credential at hand.
    async fn sign_in(&self, server: Server<'_>) -> Result<Client, Error> {
        let credential = Credential::Password { username: USER.to_owned(), password: SecretString::from(PASSWORD) };
        Client::open(self.connect(server).await?, "halfpenny.test", &credential, self.network.timeouts).await
    }

    fn assert_no_credential(&self) {
        for line in self.sandbox.transcript().iter().filter(|line| line.from_client) {
            let text = String::from_utf8_lossy(&line.bytes).to_ascii_uppercase();
            assert!(!SIGN_IN.iter().any(|verb| text.contains(verb)), "seen on the wire: {text}");
        }
    }
}

fn on(service: Service) -> Rule {
    Rule::on(service.protocol()).service(service)
}

#[tokio::test]
async fn every_service_connects_and_nothing_stands_between_the_greeting_and_the_first_command() {
    let stage = Stage::new().await;
    for service in Service::ALL {
        for host in ["localhost", "127.0.0.1", "LOCALHOST."] {
            let mut connection = stage.connect(Server { host, ..stage.server(service) }).await.unwrap();
            let tls = connection.wire.tls().cloned().unwrap();
            assert_eq!((tls.version.as_str(), tls.leaf_sha256.len()), ("TLSv1.3", 64), "{service:?}");
            assert!(tls.cipher.starts_with("TLS13_"), "{}", tls.cipher);
            assert!(connection.greeting.len() > 3 && connection.wire.arrived().unwrap().is_empty());
            assert_eq!(
                (connection.address.port(), connection.wire.phase),
                (stage.sandbox.port(service), Phase::Capabilities)
            );
        }
    }
    stage.assert_no_credential();
}

#[tokio::test]
async fn plaintext_is_used_only_where_it_is_chosen() {
    let stage = Stage::new().await;
    for service in [Service::Smtp, Service::Pop3, Service::Imap] {
        let connection = stage.connect(Server { security: Security::None, ..stage.server(service) }).await.unwrap();
        assert!(connection.wire.tls().is_none());
    }
    assert!(stage.sandbox.transcript().iter().all(|line| !line.tls));
}

#[tokio::test]
async fn plaintext_behind_the_answer_to_starttls_ends_the_connection() {
    let stage = Stage::new().await;
    for (service, command, injected) in UPGRADES {
        let fired = stage.sandbox.script(on(service).at(At::Command(command)).append(injected));
        let error = stage.refused(stage.server(service)).await;
        assert_eq!((error.code, error.phase, error.is_transient()), (ProbeCode::ProtocolInjection, Phase::Tls, false));
        assert_eq!(fired.count(), 1);
    }
    assert!(
        stage.sandbox.transcript().iter().all(|line| !line.tls || !line.from_client),
        "nothing was said inside TLS"
    );
}

#[tokio::test]
async fn an_answer_before_its_question_is_not_taken_for_it() {
    let stage = Stage::new().await;
    for (service, question, early) in
        [(Service::Submission, "EHLO", "220 go ahead\r\n"), (Service::Pop3, "CAPA", "+OK begin\r\n")]
    {
        stage.sandbox.script(on(service).at(At::Command(question)).append(early));
        let error = stage.refused(stage.server(service)).await;
        assert_eq!((error.code, error.phase), (ProbeCode::ProtocolError, Phase::Tls), "{service:?}");
    }
}

#[tokio::test]
async fn a_stripped_starttls_is_never_replaced_by_plaintext() {
    let stage = Stage::new().await;
    for (service, command, _) in UPGRADES {
        stage.sandbox.script(on(service).hide_capability(command));
        let error = stage.refused(stage.server(service)).await;
        assert_eq!(
            (error.code, error.phase, error.is_transient()),
            (ProbeCode::StarttlsUnavailable, Phase::Tls, false)
        );
    }
    let transcript = stage.sandbox.transcript();
    let asked = transcript.iter().filter(|line| {
        line.from_client
            && UPGRADES
                .iter()
                .any(|(_, command, _)| line.bytes.windows(command.len()).any(|word| word == command.as_bytes()))
    });
    assert_eq!(asked.count(), 0, "what is not offered is not asked for");
    let error = stage.sign_in(stage.server(Service::Submission)).await.unwrap_err();
    assert_eq!(error.code, ProbeCode::StarttlsUnavailable);
    stage.assert_no_credential();
}

#[tokio::test]
async fn a_refused_starttls_keeps_the_servers_words() {
    let stage = Stage::new().await;
    for (service, command, reply, transient, words) in [
        (Service::Submission, "STARTTLS", "454 4.7.0 TLS not available\r\n", true, "454 4.7.0 TLS not available"),
        (Service::Smtp, "STARTTLS", "501 5.5.4 no\r\n", false, "501 5.5.4 no"),
        (Service::Pop3, "STLS", "-ERR [SYS/TEMP] not now\r\n", true, "SYS/TEMP not now"),
        (Service::Imap, "STARTTLS", "{tag} NO [ALERT] never\r\n", false, "ALERT never"),
    ] {
        stage.sandbox.script(on(service).at(At::Command(command)).reply(reply));
        let error = stage.refused(stage.server(service)).await;
        assert_eq!(
            (error.code, error.is_transient(), error.detail.as_str()),
            (ProbeCode::StarttlsUnavailable, transient, words)
        );
    }
}

#[tokio::test]
async fn a_preauth_greeting_rules_starttls_out() {
    let stage = Stage::new().await;
    stage.sandbox.script(on(Service::Imap).at(At::Connect).reply("* PREAUTH ready\r\n").and_continue());
    assert_eq!(stage.refused(stage.server(Service::Imap)).await.code, ProbeCode::StarttlsUnavailable);
}

#[tokio::test]
async fn a_bad_certificate_is_refused_with_its_reason_unless_checking_is_off() {
    let stage = Stage::new().await;
    for service in Service::ALL {
        for (certificate, reason) in [
            (Certificate::SelfSigned, "issuer is unknown"),
            (Certificate::Untrusted, "issuer is unknown"),
            (Certificate::Expired, "expired"),
            (Certificate::WrongName, "another name"),
        ] {
            stage.sandbox.script(on(service).certificate(certificate));
            let server = stage.server(service);
            let error = stage.refused(server).await;
            assert_eq!(
                (error.code, error.phase, error.is_transient()),
                (ProbeCode::CertificateInvalid, Phase::Tls, false)
            );
            assert!(error.detail.contains(reason), "{certificate:?}: {}", error.detail);
            stage.connect(Server { verify_certificate: false, ..server }).await.unwrap();
            stage.sandbox.clear_script();
        }
    }
}

#[tokio::test]
async fn the_wrong_security_is_named_with_the_right_one() {
    let stage = Stage::new().await;
    for (service, _, _) in UPGRADES {
        let error = stage.refused(Server { security: Security::Tls, ..stage.server(service) }).await;
        assert_eq!((error.code, error.phase), (ProbeCode::TlsFailed, Phase::Tls));
        assert!(error.detail.contains("starttls"), "{}", error.detail);
    }
    let begun = Instant::now();
    let cases = [Service::Smtps, Service::Pop3s, Service::Imaps].map(|service| {
        [Security::Starttls, Security::None].map(|security| Server { security, ..stage.server(service) })
    });
    for error in join_all(cases.into_iter().flatten().map(|server| stage.refused(server))).await {
        assert_eq!((error.code, error.phase), (ProbeCode::GreetingFailed, Phase::Greeting));
        assert!(error.detail.contains("security tls"), "{}", error.detail);
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "long before the deadline");
}

#[tokio::test]
async fn a_greeting_that_refuses_or_is_none_keeps_the_servers_words() {
    let stage = Stage::new().await;
    for (service, reply, transient, words) in [
        (Service::Smtps, "421 4.3.2 closing\r\n", true, "421 4.3.2 closing"),
        (Service::Smtps, "554-5.7.1 blocked\r\n554 5.7.1 see our page\r\n", false, "554 5.7.1 blocked see our page"),
        (Service::Smtps, "* OK IMAP ready\r\n", true, "IMAP ready"),
        (Service::Smtps, "354 go\r\n", true, "354 go"),
        (Service::Pop3s, "-ERR [SYS/TEMP] busy\r\n", true, "SYS/TEMP busy"),
        (Service::Pop3s, "220 smtp ready\r\n", true, "220 smtp"),
        (Service::Imaps, "* BYE [UNAVAILABLE] down\r\n", true, "UNAVAILABLE down"),
        (Service::Imaps, "HTTP/1.1 400 Bad Request\r\n", true, "HTTP/1.1 400"),
    ] {
        stage.sandbox.script(on(service).at(At::Connect).reply(reply).then_close());
        let error = stage.refused(stage.server(service)).await;
        assert_eq!(
            (error.code, error.phase, error.is_transient()),
            (ProbeCode::GreetingFailed, Phase::Greeting, transient),
            "{reply}"
        );
        assert!(error.detail.contains(words) && error.is_connection_failure(), "{}", error.detail);
        stage.sandbox.clear_script();
    }
    stage.sandbox.script(on(Service::Smtps).at(At::Connect).drop_connection());
    assert_eq!(stage.refused(stage.server(Service::Smtps)).await.code, ProbeCode::GreetingFailed);
}

#[tokio::test]
async fn a_greeting_of_many_lines_is_read_whole() {
    let stage = Stage::new().await;
    stage.sandbox.script(
        on(Service::Submission)
            .at(At::Connect)
            .reply("220-mail.test ESMTP\r\n220-no spam\n220 please\r\n")
            .and_continue(),
    );
    let connection = stage.connect(stage.server(Service::Submission)).await.unwrap();
    assert_eq!(connection.greeting, "220-mail.test ESMTP");
}

#[tokio::test]
async fn a_peer_that_stalls_ends_in_a_time_out_that_names_the_phase() {
    let stage = Stage::with(
        "127.0.0.0/8,::1/128",
        &[],
        Timeouts { connect: Duration::from_millis(400), ..Timeouts::default() },
    )
    .await;
    for (service, at, phase) in [
        (Service::Imaps, At::Handshake, Phase::Tls),
        (Service::Imaps, At::Connect, Phase::Greeting),
        (Service::Pop3, At::Connect, Phase::Greeting),
        (Service::Pop3, At::Command("CAPA"), Phase::Tls),
        (Service::Submission, At::Command("STARTTLS"), Phase::Tls),
        (Service::Submission, At::Handshake, Phase::Tls),
    ] {
        stage.sandbox.script(on(service).at(at).stall_forever());
        let begun = Instant::now();
        let error = stage.refused(stage.server(service)).await;
        assert_eq!(
            (error.code, error.phase, error.is_transient()),
            (ProbeCode::Timeout, phase, true),
            "{service:?} {at:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(3));
        stage.sandbox.clear_script();
    }
    // A byte now and then is no answer either.
    stage.sandbox.script(on(Service::Imaps).at(At::Connect).drip(20));
    assert_eq!(stage.refused(stage.server(Service::Imaps)).await.code, ProbeCode::Timeout);
}

#[tokio::test]
async fn endless_answers_end_at_their_caps() {
    let stage = Stage::new().await;
    for (service, at, reply, endless) in [
        (Service::Submission, At::Connect, "220-", "x"),
        (Service::Submission, At::Connect, "220-x\r\n", "220-x\r\n"),
        (Service::Submission, At::Command("EHLO"), "250-x\r\n", "250-x\r\n"),
        (Service::Pop3, At::Command("CAPA"), "+OK\r\n", "X\r\n"),
        (Service::Imap, At::Command("STARTTLS"), "* OK\r\n", "* OK still\r\n"),
    ] {
        stage.sandbox.script(on(service).at(at).reply(reply).endless(endless));
        let error = stage.refused(stage.server(service)).await;
        assert!(
            matches!(error.code, ProbeCode::ProtocolError | ProbeCode::GreetingFailed),
            "{service:?} {at:?}: {error}"
        );
        stage.sandbox.clear_script();
    }
}

#[tokio::test]
async fn what_was_offered_before_tls_is_forgotten() {
    let stage = Stage::new().await;
    stage.sandbox.script(on(Service::Submission).at(At::Connect).capabilities([
        "STARTTLS",
        "AUTH PLAIN LOGIN",
        "PIPELINING",
    ]));
    stage.sandbox.script(on(Service::Submission).at(At::AfterTls).capabilities(["SIZE 1000"]));
    let error = stage.sign_in(stage.server(Service::Submission)).await.unwrap_err();
    assert_eq!((error.code, error.phase), (ProbeCode::AuthUnavailable, Phase::Auth));
    stage.assert_no_credential();
}

#[tokio::test]
async fn a_refused_address_is_never_connected_to() {
    let stage = Stage::with("", &[], Timeouts::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in [
        "127.0.0.1",
        "localhost",
        "::1",
        "[::1]",
        "0.0.0.0",
        "::ffff:127.0.0.1",
        "2130706433",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "１２７.0.0.1",
    ] {
        let error = stage.refused(Server { host, port, ..stage.server(Service::Smtp) }).await;
        assert_eq!((error.code, error.phase), (ProbeCode::HostNotAllowed, Phase::Dns), "{host}");
        assert_eq!(error.detail, "this host or port is not allowed", "one text for all");
    }
    let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(accepted.is_err(), "somebody connected");

    let stage = Stage::with("127.0.0.0/8", &[port], Timeouts::default()).await;
    let error = stage.refused(Server { host: "127.0.0.1", port, ..stage.server(Service::Smtp) }).await;
    assert_eq!(error.code, ProbeCode::HostNotAllowed, "a denied port");
}

#[tokio::test]
async fn no_listener_is_a_failed_connection() {
    let stage = Stage::new().await;
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let error = stage.refused(Server { port, ..stage.server(Service::Smtp) }).await;
    assert_eq!(
        (error.code, error.phase, error.detail.as_str()),
        (ProbeCode::ConnectFailed, Phase::Connect, "no connection: connection refused")
    );
}

/// A server that says nothing and speaks no TLS is a time-out, and the handshake that asks does not disturb it.
#[tokio::test]
async fn a_late_greeting_is_waited_for() {
    let stage = Stage::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        // The second connection is the question whether this is a TLS port.
        let (mut second, _) = listener.accept().await.unwrap();
        let asked = second.read_u8().await.unwrap();
        second.write_all(b"+OK what?\r\n").await.unwrap();
        first.write_all(format!("+OK asked with {asked}\r\n").as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    });
    let server =
        Server { port: address.port(), host: "127.0.0.1", security: Security::None, ..stage.server(Service::Pop3) };
    assert_eq!(
        stage.connect(server).await.unwrap().greeting,
        "+OK asked with 22",
        "22 is the type of a TLS handshake record"
    );
}

#[tokio::test]
async fn a_message_arrives_byte_for_byte_and_each_recipient_has_its_verdict() {
    let stage = Stage::new().await;
    stage
        .sandbox
        .script(on(Service::Submission).at(At::Command("RCPT")).matching("grey@").reply("451 4.7.1 later\r\n"));
    stage
        .sandbox
        .script(on(Service::Submission).at(At::Command("RCPT")).matching("gone@").reply("550 5.1.1 unknown\r\n"));
    let mut client = stage.sign_in(stage.server(Service::Submission)).await.unwrap();
    let message = format!("Subject: x\r\n\r\n.\r\n..\r\n{}\r\n.end\r\n", "0123456789\r\n".repeat(20_000));
    let content = Content::check(message.as_bytes()).unwrap();
    let recipients = ["ada@example.test", "grey@example.test", "gone@example.test"].map(str::to_owned);
    let envelope = client.envelope(USER, &recipients, content.terms()).await.unwrap();
    let verdicts: Vec<_> = envelope
        .verdicts
        .iter()
        .map(|verdict| verdict.as_ref().map_err(|refusal| (refusal.code, refusal.is_transient())).err())
        .collect();
    assert_eq!(verdicts, [None, Some((Some(451), true)), Some((Some(550), false))]);
    let outcome = envelope.transaction.unwrap().start().await.unwrap().finish(content).await;
    assert!(matches!(outcome, Outcome::Sent(ref reply) if reply.code == 250), "{outcome:?}");
    client.quit().await;
    let received = stage.sandbox.received();
    assert_eq!((received.len(), &received[0].bytes[..]), (1, message.as_bytes()));
    assert_eq!((received[0].login.as_deref(), received[0].tls), (Some(USER), true));
    assert_eq!(received[0].recipients, ["ada@example.test"]);
}

#[tokio::test]
async fn a_lost_reply_is_unknown_although_the_message_arrived() {
    let stage = Stage::new().await;
    stage.sandbox.script(on(Service::Smtps).at(At::Data).times(1).swallow_then_drop());
    let mut client = stage.sign_in(stage.server(Service::Smtps)).await.unwrap();
    let content = Content::check(b"Subject: x\r\n\r\nbody\r\n").unwrap();
    let envelope = client.envelope(USER, &[USER.to_owned()], content.terms()).await.unwrap();
    let outcome = envelope.transaction.unwrap().start().await.unwrap().finish(content).await;
    assert!(matches!(outcome, Outcome::Unknown(ref error) if error.phase == Phase::Data), "{outcome:?}");
    assert_eq!(stage.sandbox.received().len(), 1);
}

/// To give up behind the dot is to not know: only `timeouts.dot` ends that wait.
#[tokio::test]
async fn the_reply_to_the_dot_is_waited_for_beyond_the_deadline() {
    let stage = Stage::new().await;
    stage.sandbox.script(on(Service::Smtps).at(At::Data).stall(Duration::from_millis(2500)));
    let mut client = stage.sign_in(stage.server(Service::Smtps)).await.unwrap();
    client.set_deadline(Deadline::after(Duration::from_secs(2)));
    let content = Content::check(b"Subject: x\r\n\r\nbody\r\n").unwrap();
    let envelope = client.envelope(USER, &[USER.to_owned()], content.terms()).await.unwrap();
    let outcome = envelope.transaction.unwrap().start().await.unwrap().finish(content).await;
    assert!(matches!(outcome, Outcome::Sent(_)), "{outcome:?}");
    assert_eq!(client.noop().await.unwrap_err().code, ProbeCode::Timeout, "the deadline holds again");
}

#[tokio::test]
async fn a_wrong_password_is_an_auth_refusal_and_sent_once() {
    let stage = Stage::new().await;
    let wrong = Credential::Password { username: USER.to_owned(), password: SecretString::from("CANARY-wrong") };
    let connection = stage.connect(stage.server(Service::Submission)).await.unwrap();
    let error = Client::open(connection, "halfpenny.test", &wrong, stage.network.timeouts).await.unwrap_err();
    assert!(error.is_auth_refusal() && !error.is_transient() && error.phase == Phase::Auth);
    assert!(!format!("{error} {error:?}").contains("CANARY"));
    let logins = stage.sandbox.logins();
    assert_eq!((logins[USER].attempted, logins[USER].accepted), (1, 0));
}
