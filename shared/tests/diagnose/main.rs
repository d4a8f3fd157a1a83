//! Every cause that `diagnose` knows, from a server that gives rise to it; and every patch, applied and diagnosed again.

#![allow(clippy::unwrap_used, reason = "what a test takes for granted fails it")]

mod cases;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cases::{connection_cases, mailbox_cases, sign_in_cases, tls_cases};
use futures_util::stream::{self, StreamExt};
use sandbox::{At, Options, Rule, Sandbox, Service, User};
use serde_json::{Value, json};
use shared::mail::{Credential, Deadline, Timeouts};
use shared::model::{Auth, Cause, Examined, Protocol, Security, Server, StageName};
use shared::net::Network;
use shared::ops::diagnose::{Access, Ports, Subject, side_of};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const USER: &str = "ada@example.test";
const PASSWORD: &str = "CANARY-pw-51c0";

/// A closed port: one that was free a moment ago.
async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

struct Stage {
    sandbox: Sandbox,
    network: Network,
    ports: Ports,
    patience: Duration,
}

impl Stage {
    async fn new(patience: Duration) -> Self {
        let users = vec![User { address: USER.to_owned(), password: PASSWORD.to_owned() }];
        let sandbox = Sandbox::start(Options { users, ..Options::default() }).await.unwrap();
        let port = |service| sandbox.port(service);
        let ports = Ports {
            relay: 25,
            smtp: [port(Service::Smtps), port(Service::Submission)],
            pop3: [port(Service::Pop3s), port(Service::Pop3)],
            imap: [port(Service::Imaps), port(Service::Imap)],
        };
        let roots = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("diagnose-{}.pem", port(Service::Smtp)));
        std::fs::write(&roots, sandbox.ca_pem()).unwrap();
        let network = Network::new("127.0.0.0/8,::1/128", &[], Some(&roots), Timeouts::default()).unwrap();
        std::fs::remove_file(&roots).unwrap();
        Self { sandbox, network, ports, patience }
    }

    fn subject(&self, service: Service) -> Subject {
        let protocol = match service.protocol() {
            sandbox::Protocol::Smtp => Protocol::Smtp,
            sandbox::Protocol::Pop3 => Protocol::Pop3,
            sandbox::Protocol::Imap => Protocol::Imap,
        };
        let auth = Auth::Password { username: USER.to_owned(), has_password: true };
        let security = if service.implicit_tls() { Security::Tls } else { Security::Starttls };
        let port = self.sandbox.port(service);
        let server = Server { host: "localhost".to_owned(), port, security, verify_certificate: true, auth };
        let folders = if protocol == Protocol::Smtp { Vec::new() } else { vec!["INBOX".to_owned()] };
        Subject { protocol, server, folders, sender: Some(USER.to_owned()) }
    }

    async fn diagnose(&self, subject: Subject, password: &str) -> Examined {
        let credential = match &subject.server.auth {
            Auth::Password { username, has_password: true } => {
                Ok(Credential::Password { username: username.clone(), password: password.into() })
            }
            Auth::None => Ok(Credential::None),
            _ => Err(shared::ops::sign_in::no_password()),
        };
        let access = Access { credential, portable: true };
        side_of(&self.network, &self.ports, &subject, access, Deadline::after(self.patience)).await.examined
    }

    /// Logins that the server has refused.
    fn refused_logins(&self) -> u32 {
        self.sandbox.logins().values().map(|logins| u32::try_from(logins.attempted - logins.accepted).unwrap()).sum()
    }
}

/// What a case changes of the settings.
type Change = Box<dyn Fn(&mut Subject, &Stage) + Send + Sync>;

/// One server's behaviour, and what it has to be called.
struct Case {
    name: &'static str,
    service: Service,
    rules: Vec<Rule>,
    change: Change,
    password: &'static str,
    patience: Duration,
    cause: Cause,
    patch: Patch,
}

enum Patch {
    /// No setting mends it.
    None,
    /// This one, and it was verified with the password.
    Works(Box<dyn Fn(&Stage) -> Value + Send + Sync>),
    /// This one; the password must not be spent on finding out.
    Reaches(Box<dyn Fn(&Stage) -> Value + Send + Sync>),
}

fn case(name: &'static str, service: Service, cause: Cause) -> Case {
    Case {
        name,
        service,
        rules: Vec::new(),
        change: Box::new(|_, _| {}),
        password: PASSWORD,
        patience: Duration::from_secs(15),
        cause,
        patch: Patch::None,
    }
}

impl Case {
    fn rule(mut self, rule: impl Fn(Rule) -> Rule) -> Self {
        self.rules.push(rule(Rule::on(self.service.protocol()).service(self.service)));
        self
    }

    fn reply(self, at: At, reply: &'static str) -> Self {
        self.rule(|rule| rule.at(at).reply(reply))
    }

    fn stalled(self, at: At) -> Self {
        Self { patience: Duration::from_secs(2), ..self }.rule(|rule| rule.at(at).stall_forever())
    }

    fn with(self, change: impl Fn(&mut Subject, &Stage) + Send + Sync + 'static) -> Self {
        Self { change: Box::new(change), ..self }
    }

    fn works(self, patch: impl Fn(&Stage) -> Value + Send + Sync + 'static) -> Self {
        Self { patch: Patch::Works(Box::new(patch)), ..self }
    }

    fn reaches(self, patch: impl Fn(&Stage) -> Value + Send + Sync + 'static) -> Self {
        Self { patch: Patch::Reaches(Box::new(patch)), ..self }
    }

    async fn run(self) -> Cause {
        let stage = Stage::new(self.patience).await;
        for rule in self.rules {
            stage.sandbox.script(rule);
        }
        let mut subject = stage.subject(self.service);
        (self.change)(&mut subject, &stage);
        let begun = Instant::now();
        let found = stage.diagnose(subject.clone(), self.password).await;
        let shown = format!("{}: {found:#?}", self.name);
        assert!(begun.elapsed() < self.patience + Duration::from_secs(1), "{shown}");
        assert_eq!((found.cause, found.verdict.success), (Some(self.cause), false), "{shown}");
        assert!(!shown.contains("CANARY"), "{shown}");
        assert!(found.stages.iter().any(|stage| !stage.success && stage.detail.is_some()), "{shown}");
        assert!(stage.refused_logins() <= 2, "{shown}");
        let fix = found.fix.unwrap();
        assert!(fix.text.len() > 30, "{shown}");
        let (expected, verified) = match &self.patch {
            Patch::None => (None, false),
            Patch::Works(patch) => (Some(patch(&stage)), true),
            Patch::Reaches(patch) => (Some(patch(&stage)), true),
        };
        assert_eq!((&fix.patch, fix.verified), (&expected, verified), "{shown}");
        if let Some(patch) = expected {
            let tried = fix.tried.unwrap();
            let signed_in = tried.phase > shared::model::Phase::Capabilities;
            assert_eq!(signed_in, matches!(self.patch, Patch::Works(_)), "{shown}");
            let again = stage.diagnose(patched(subject, &patch), self.password).await;
            assert!(
                again.verdict.success && again.cause.is_none() && again.fix.is_none(),
                "{} patched: {again:#?}",
                self.name
            );
        }
        self.cause
    }
}

/// What the account would be with the patch: RFC 7396, for the members that patches have.
fn patched(mut subject: Subject, patch: &Value) -> Subject {
    let side = &patch[subject.side()];
    let server = &mut subject.server;
    if let Some(host) = side["host"].as_str() {
        server.host = host.to_owned();
    }
    if let Some(port) = side["port"].as_u64() {
        server.port = u16::try_from(port).unwrap();
    }
    if let Some(security) = side.get("security") {
        server.security = serde_json::from_value(security.clone()).unwrap();
    }
    if let Some(verify) = side["verifyCertificate"].as_bool() {
        server.verify_certificate = verify;
    }
    if let Some(name) = side["auth"]["username"].as_str() {
        server.auth = Auth::Password { username: name.to_owned(), has_password: true };
    }
    if let Some(protocol) = side.get("protocol") {
        subject.protocol = serde_json::from_value(protocol.clone()).unwrap();
    }
    if let Some(folders) = side.get("folders") {
        subject.folders = serde_json::from_value(folders.clone()).unwrap();
    }
    if let Some(sender) = patch["from"]["address"].as_str() {
        subject.sender = Some(sender.to_owned());
    }
    subject
}

/// A port whose queue of connections is full: what is sent there stays unanswered, as behind a firewall.
async fn deaf_port() -> (u16, Vec<TcpStream>, TcpListener) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(stream);
    }
    (address.port(), waiting, listener)
}

async fn run(cases: Vec<Case>) -> Vec<Cause> {
    stream::iter(cases.into_iter().map(Case::run)).buffer_unordered(8).collect().await
}

#[tokio::test]
async fn connections() {
    assert!(run(connection_cases()).await.len() > 15);
}

#[tokio::test]
async fn tls() {
    assert!(run(tls_cases()).await.len() > 8);
}

/// A1.6/47, A1.6/50: POP3 or authentication is switched off. A1.6/54: an app password is needed.
#[tokio::test]
async fn sign_in() {
    assert!(run(sign_in_cases()).await.len() > 25);
}

#[tokio::test]
async fn mailboxes() {
    assert!(run(mailbox_cases()).await.len() > 7);
}

#[tokio::test]
async fn closed_and_blocked_ports_lead_to_the_usual_ones() {
    let stage = Stage::new(Duration::from_secs(6)).await;
    let tls_port = |port: u16| json!({"smtp": {"port": port}});
    let mut subject = stage.subject(Service::Smtps);
    subject.server.port = closed_port().await;
    let found = stage.diagnose(subject.clone(), PASSWORD).await;
    assert_eq!((found.cause, found.fix.unwrap().patch), (Some(Cause::PortClosed), Some(tls_port(stage.ports.smtp[0]))));

    let (deaf, _waiting, _listener) = deaf_port().await;
    subject.server.host = "127.0.0.1".into();
    subject.server.port = deaf;
    for (relay, cause) in [(25, Cause::TimeoutConnect), (deaf, Cause::PortBlocked)] {
        let ports = Ports { relay, ..stage.ports };
        let access = Access {
            credential: Ok(Credential::Password { username: USER.into(), password: PASSWORD.into() }),
            portable: true,
        };
        let deadline = Deadline::after(Duration::from_secs(3));
        let found = side_of(&stage.network, &ports, &subject, access, deadline).await.examined;
        let fix = found.fix.unwrap();
        assert_eq!((found.cause, fix.verified, fix.patch), (Some(cause), true, Some(tls_port(ports.smtp[0]))));
    }
}

#[tokio::test]
async fn a_working_side_passes_every_stage_and_its_transcript_shows_no_secret() {
    use StageName::{Auth, Capabilities, Connect, Dns, Greeting, Mail, Mechanisms, Rcpt, Select, Tls};
    let stage = Stage::new(Duration::from_secs(10)).await;
    for (service, expected) in [
        (Service::Submission, &[Dns, Connect, Greeting, Tls, Capabilities, Mechanisms, Auth, Mail, Rcpt][..]),
        (Service::Pop3s, &[Dns, Connect, Tls, Greeting, Capabilities, Mechanisms, Auth, Select]),
        (Service::Imap, &[Dns, Connect, Greeting, Tls, Capabilities, Mechanisms, Auth, Select]),
    ] {
        let found = stage.diagnose(stage.subject(service), PASSWORD).await;
        let names: Vec<_> = found.stages.iter().map(|stage| stage.stage).collect();
        assert_eq!(names, expected, "{found:#?}");
        assert!(found.verdict.success && found.stages.iter().all(|stage| stage.success), "{found:#?}");
        let shown = serde_json::to_string(&found).unwrap();
        assert!(!shown.contains("CANARY") && !shown.contains("Q0FOQVJZ"), "{shown}");
        assert!(found.transcript.iter().any(|line| line.contains("***")), "{shown}");
        let detail = |name| {
            found.stages.iter().find(|stage| stage.stage == name).and_then(|stage| stage.detail.clone()).unwrap()
        };
        assert!(
            detail(Tls).contains("TLSv1.3")
                && detail(Tls).contains("good until")
                && detail(Mechanisms).contains("PLAIN")
        );
    }
    assert!(stage.sandbox.received().is_empty(), "no message is ever begun");
}

#[tokio::test]
async fn a_stored_password_is_not_sent_to_other_settings() {
    let stage = Stage::new(Duration::from_secs(10)).await;
    let mut subject = stage.subject(Service::Smtps);
    subject.server.security = Security::None;
    let access = Access {
        credential: Ok(Credential::Password { username: USER.into(), password: PASSWORD.into() }),
        portable: false,
    };
    let found = side_of(&stage.network, &stage.ports, &subject, access, Deadline::after(stage.patience)).await.examined;
    let fix = found.fix.unwrap();
    assert_eq!((found.cause, fix.verified), (Some(Cause::TlsExpected), true));
    assert_eq!(fix.tried.unwrap().phase, shared::model::Phase::Capabilities);
    assert!(stage.sandbox.logins().is_empty());
}

#[tokio::test]
async fn without_a_token_the_way_to_the_sign_in_is_shown_all_the_same() {
    use shared::mail::Error;
    use shared::model::{Phase, ProbeCode};
    let stage = Stage::new(Duration::from_secs(10)).await;
    for (code, cause) in [
        (ProbeCode::AuthFailed, Cause::TokenRefused),
        (ProbeCode::ConnectFailed, Cause::TokenUnavailable),
        (ProbeCode::Timeout, Cause::TokenUnavailable),
        (ProbeCode::AuthUnavailable, Cause::PasswordMissing),
    ] {
        let access = Access { credential: Err(Error::new(code, Phase::Auth, "no token")), portable: true };
        let subject = stage.subject(Service::Imaps);
        let found = side_of(&stage.network, &stage.ports, &subject, access, Deadline::after(stage.patience)).await;
        let found = found.examined;
        assert_eq!((found.cause, found.verdict.code, found.verdict.phase), (Some(cause), code, Phase::Auth));
        let passed = found.stages.iter().filter(|stage| stage.success).map(|stage| stage.stage);
        assert!(passed.into_iter().any(|name| name == StageName::Mechanisms) && found.fix.unwrap().patch.is_none());
    }
    assert!(stage.sandbox.logins().is_empty());
}
