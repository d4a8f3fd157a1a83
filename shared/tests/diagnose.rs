//! Every cause that `diagnose` knows, from a server that gives rise to it; and every patch, applied and diagnosed again.

#![allow(clippy::unwrap_used, reason = "what a test takes for granted fails it")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use sandbox::{At, Certificate, Options, Rule, Sandbox, Service, User};
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
        side_of(&self.network, &self.ports, &subject, access, Deadline::after(self.patience)).await
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

fn insecure(subject: &mut Subject, _: &Stage) {
    subject.server.security = Security::None;
}

fn connection_cases() -> Vec<Case> {
    use Service::{Imap, Imaps, Pop3s, Smtps, Submission};
    vec![
        case("a name that is none", Smtps, Cause::HostUnknown)
            .with(|subject, _| subject.server.host = "no..name".into()),
        case("a private address", Imaps, Cause::HostNotAllowed)
            .with(|subject, _| subject.server.host = "10.0.0.1".into()),
        case("a greeting that never comes", Smtps, Cause::TimeoutGreeting)
            .stalled(At::Connect)
            .with(|_, _| {})
            .works(|stage| json!({"smtp": {"port": stage.ports.smtp[1], "security": "starttls"}})),
        case("a handshake that never ends", Pop3s, Cause::TimeoutTls).stalled(At::Handshake),
        case("no answer to EHLO", Smtps, Cause::TimeoutCapabilities).stalled(At::Command("EHLO")),
        case("no answer to AUTH", Smtps, Cause::TimeoutAuth).stalled(At::Command("AUTH")),
        case("no answer to LOGIN", Imaps, Cause::TimeoutAuth).stalled(At::Command("AUTHENTICATE")),
        case("no answer to MAIL", Submission, Cause::TimeoutMail).stalled(At::Command("MAIL")),
        case("no answer to STAT", Pop3s, Cause::TimeoutSelect).stalled(At::Command("STAT")),
        case("starttls on a TLS port", Smtps, Cause::TlsExpected)
            .with(|subject, _| subject.server.security = Security::Starttls)
            .works(|_| json!({"smtp": {"security": "tls"}})),
        case("no security on a TLS port", Imaps, Cause::TlsExpected)
            .with(insecure)
            .works(|_| json!({"receive": {"security": "tls"}})),
        case("tls on a plain port", Submission, Cause::TlsNotSpoken)
            .with(|subject, _| subject.server.security = Security::Tls)
            .works(|_| json!({"smtp": {"security": "starttls"}})),
        case("IMAP where POP3 is asked for", Imaps, Cause::WrongProtocol)
            .with(|subject, _| subject.protocol = Protocol::Pop3)
            .works(|_| json!({"receive": {"protocol": "imap"}})),
        case("POP3 where mail is to be sent", Pop3s, Cause::WrongProtocol)
            .with(|subject, stage| *subject = Subject { server: subject.server.clone(), ..stage.subject(Smtps) })
            .works(|stage| json!({"smtp": {"port": stage.ports.smtp[0]}})),
        case("a web server", Imap, Cause::NotAMailServer)
            .reply(At::Connect, "HTTP/1.1 400 Bad Request\r\n")
            .works(|stage| json!({"receive": {"port": stage.ports.imap[0], "security": "tls"}})),
        case("too many connections, by Postfix", Smtps, Cause::TooManyConnections)
            .reply(At::Connect, "421 4.7.0 mx.example.test Error: too many connections from 192.0.2.1\r\n"),
        case("an address that is refused", Smtps, Cause::AddressRefused).reply(At::Connect, "554 5.7.1 go away\r\n"),
        case("a server in maintenance", Imaps, Cause::ServerBusy).reply(At::Connect, "* BYE [UNAVAILABLE] later\r\n"),
        case("a connection that is closed", Imaps, Cause::ConnectionClosed)
            .rule(|rule| rule.at(At::Connect).drop_connection()),
        case("closed in the middle", Smtps, Cause::ConnectionClosed)
            .rule(|rule| rule.at(At::Command("AUTH")).drop_connection()),
        case("words of no protocol", Smtps, Cause::ProtocolViolation).reply(At::Command("EHLO"), "hello!\r\n"),
    ]
}

fn tls_cases() -> Vec<Case> {
    use Service::{Imap, Imaps, Pop3, Smtps, Submission};
    let unchecked = |side: &'static str| move |_: &Stage| json!({side: {"verifyCertificate": false}});
    vec![
        case("self-signed", Smtps, Cause::CertificateSelfSigned)
            .rule(|rule| rule.certificate(Certificate::SelfSigned))
            .reaches(unchecked("smtp")),
        case("an unknown authority", Imaps, Cause::CertificateUnknownIssuer)
            .rule(|rule| rule.certificate(Certificate::Untrusted))
            .reaches(unchecked("receive")),
        case("expired", Submission, Cause::CertificateExpired).rule(|rule| rule.certificate(Certificate::Expired)),
        case("another name", Imaps, Cause::CertificateWrongName).rule(|rule| rule.certificate(Certificate::WrongName)),
        case("the name that the certificate is for", Imaps, Cause::CertificateWrongName)
            .with(|subject, _| subject.server.host = "mail.localhost".into())
            .reaches(|_| json!({"receive": {"host": "localhost"}})),
        case("an alert instead of a handshake", Smtps, Cause::TlsTooOld)
            .reply(At::Handshake, "\u{15}\u{3}\u{3}\u{0}\u{2}\u{2}F"),
        case("a broken handshake", Smtps, Cause::TlsFailed).rule(|rule| rule.at(At::Handshake).drop_connection()),
        case("STARTTLS is not offered", Submission, Cause::StarttlsMissing)
            .rule(|rule| rule.hide_capability("STARTTLS"))
            .works(|stage| json!({"smtp": {"port": stage.ports.smtp[0], "security": "tls"}})),
        case("STLS is refused", Pop3, Cause::StarttlsRefused)
            .reply(At::Command("STLS"), "-ERR not today\r\n")
            .works(|stage| json!({"receive": {"port": stage.ports.pop3[0], "security": "tls"}})),
        case("an injection behind STARTTLS", Imap, Cause::ProtocolInjection)
            .rule(|rule| rule.at(At::Command("STARTTLS")).append("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n")),
    ]
}

fn sign_in_cases() -> Vec<Case> {
    use Service::{Imap, Imaps, Pop3s, Smtps, Submission};
    let auth = At::Command("AUTH");
    let login = At::Command("AUTHENTICATE");
    vec![
        case("AUTH is offered under TLS only", Submission, Cause::AuthNeedsTls)
            .with(insecure)
            .works(|_| json!({"smtp": {"security": "starttls"}})),
        case("LOGINDISABLED before TLS", Imap, Cause::AuthNeedsTls)
            .with(insecure)
            .works(|_| json!({"receive": {"security": "starttls"}})),
        case("OAuth and nothing else", Smtps, Cause::OauthRequired)
            .rule(|rule| rule.capabilities(["PIPELINING", "AUTH XOAUTH2 OAUTHBEARER"])),
        case("basic authentication has ended", Smtps, Cause::OauthRequired)
            .reply(auth, "550 5.7.30 Basic authentication is not supported for Client Submission.\r\n"),
        case("a mechanism that is not ours", Smtps, Cause::MechanismUnsupported)
            .rule(|rule| rule.capabilities(["PIPELINING", "AUTH GSSAPI NTLM"])),
        case("Gmail wants an app password (534)", Smtps, Cause::AppPasswordRequired).reply(
            auth,
            "534-5.7.9 Application-specific password required. For more information, go to\r\n534 5.7.9  https://support.google.com/mail/?p=InvalidSecondFactor x - gsmtp\r\n",
        ),
        case("Gmail refuses the account's password (535)", Smtps, Cause::AppPasswordRequired).reply(
            auth,
            "535-5.7.8 Username and Password not accepted. For more information, go to\r\n535 5.7.8  https://support.google.com/mail/?p=BadCredentials x - gsmtp\r\n",
        ),
        case("Gmail's IMAP wants an app password", Imaps, Cause::AppPasswordRequired).reply(
            login,
            "{tag} NO [ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)\r\n",
        ),
        case("SMTP AUTH is off for the tenant", Submission, Cause::SmtpAuthDisabledTenant).reply(
            auth,
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.\r\n",
        ),
        case("SMTP AUTH is off for the mailbox", Submission, Cause::SmtpAuthDisabledMailbox).reply(
            auth,
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information.\r\n",
        ),
        case("Microsoft's 5.7.139 without more", Submission, Cause::SmtpAuthDisabled)
            .reply(auth, "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria\r\n"),
        case("Microsoft's 5.7.3", Submission, Cause::SmtpAuthDisabled)
            .reply(auth, "535 5.7.3 Authentication unsuccessful\r\n"),
        case("locked by a policy", Submission, Cause::AccountLocked).reply(
            auth,
            "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy.\r\n",
        ),
        case("POP3 is switched off", Pop3s, Cause::PopDisabled)
            .reply(auth, "-ERR [SYS/PERM] Your account is not enabled for POP access. Please visit your settings.\r\n"),
        case("IMAP is switched off", Imaps, Cause::ImapDisabled)
            .reply(login, "{tag} NO [ALERT] Your account is not enabled for IMAP use. Please visit your settings.\r\n"),
        case("Gmail wants a browser", Smtps, Cause::WebLoginRequired).reply(
            auth,
            "534-5.7.14 <https://accounts.google.com/signin/continue?x> Please log in via\r\n534 5.7.14 your web browser\r\n",
        ),
        case("Gmail's IMAP wants a browser", Imaps, Cause::WebLoginRequired)
            .reply(login, "{tag} NO [WEBALERT https://accounts.google.com/signin] Web login required.\r\n"),
        case("a disabled account (RFC 5248)", Smtps, Cause::AccountDisabled).reply(auth, "525 5.7.13 disabled\r\n"),
        case("only the administrator can help", Imaps, Cause::AccountDisabled).reply(login, "{tag} NO [CONTACTADMIN] no\r\n"),
        case("an expired password", Imaps, Cause::PasswordExpired).reply(login, "{tag} NO [EXPIRED] no\r\n"),
        case("a password in transition", Smtps, Cause::PasswordExpired).reply(auth, "432 4.7.12 transition\r\n"),
        case("somebody else's mailbox", Imaps, Cause::NotAuthorized).reply(login, "{tag} NO [AUTHORIZATIONFAILED] no\r\n"),
        case("a maildrop in use", Pop3s, Cause::MailboxInUse).reply(auth, "-ERR [IN-USE] locked\r\n"),
        case("too many sign-ins", Pop3s, Cause::LoginThrottled).reply(auth, "-ERR [LOGIN-DELAY] slowly\r\n"),
        case("too many sign-ins at Gmail", Smtps, Cause::LoginThrottled)
            .reply(auth, "454 4.7.0 Too many login attempts, please try again later. x - gsmtp\r\n"),
        case("too many sessions (RFC 5530)", Imaps, Cause::TooManyConnections).reply(login, "{tag} NO [LIMIT] no\r\n"),
        case("too many sessions at Dovecot", Imaps, Cause::TooManyConnections).reply(
            login,
            "{tag} NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)\r\n",
        ),
        case("the password service is down", Smtps, Cause::AuthTemporarilyUnavailable)
            .reply(auth, "454 4.7.0 Temporary authentication failure\r\n"),
        case("the user name lacks its domain", Imaps, Cause::UsernameForm)
            .with(|subject, _| subject.server.auth = Auth::Password { username: "ada".into(), has_password: true })
            .works(|_| json!({"receive": {"auth": {"username": USER}}})),
        case("no password is stored", Smtps, Cause::PasswordMissing)
            .with(|subject, _| subject.server.auth = Auth::Password { username: USER.into(), has_password: false }),
        Case { password: "wrong", ..case("a wrong password", Imaps, Cause::CredentialsRefused) },
        Case { password: "wrong", ..case("a wrong password for a short name", Smtps, Cause::CredentialsRefused) }
            .with(|subject, _| subject.server.auth = Auth::Password { username: "ada".into(), has_password: true }),
    ]
}

fn mailbox_cases() -> Vec<Case> {
    use Service::{Imaps, Smtps, Submission};
    let (mail, rcpt) = (At::Command("MAIL"), At::Command("RCPT"));
    vec![
        case("nobody signs in", Submission, Cause::AuthRequired).with(|subject, _| subject.server.auth = Auth::None),
        case("Exchange: may not send as", Smtps, Cause::FromNotAllowed)
            .rule(|rule| {
                rule.at(mail)
                    .matching("sales@")
                    .reply("550 5.7.60 SMTP; Client does not have permissions to send as this sender\r\n")
            })
            .with(|subject, _| subject.sender = Some("sales@example.test".into()))
            .works(|_| json!({"from": {"address": USER}})),
        case("Postfix: not owned by user", Submission, Cause::FromNotAllowed)
            .rule(|rule| {
                rule.at(rcpt)
                    .matching("sales@")
                    .reply("553 5.7.1 <sales@example.test>: Sender address rejected: not owned by user\r\n")
            })
            .with(|subject, _| subject.sender = Some("sales@example.test".into()))
            .works(|_| json!({"from": {"address": USER}})),
        case("greylisting", Smtps, Cause::Greylisted).reply(rcpt, "451 4.7.1 Try again later\r\n"),
        case("an unknown recipient", Smtps, Cause::RecipientRejected).reply(rcpt, "550 5.1.1 unknown\r\n"),
        case("no relaying", Smtps, Cause::RelayDenied).reply(rcpt, "554 5.7.1 Relay access denied\r\n"),
        case("a full mailbox", Smtps, Cause::MailboxFull).reply(rcpt, "452 4.2.2 full\r\n"),
        case("a folder in other letters", Imaps, Cause::FolderMissing)
            .with(|subject, _| subject.folders = vec!["INBOX".into(), "junk".into()])
            .works(|_| json!({"receive": {"folders": ["INBOX", "Junk"]}})),
        case("a folder that may not be read", Imaps, Cause::FolderNotAllowed)
            .reply(At::Command("STATUS"), "{tag} NO [NOPERM] no\r\n"),
    ]
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
        let found = side_of(&stage.network, &ports, &subject, access, deadline).await;
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
    let found = side_of(&stage.network, &stage.ports, &subject, access, Deadline::after(stage.patience)).await;
    let fix = found.fix.unwrap();
    assert_eq!((found.cause, fix.verified), (Some(Cause::TlsExpected), true));
    assert_eq!(fix.tried.unwrap().phase, shared::model::Phase::Capabilities);
    assert!(stage.sandbox.logins().is_empty());
}
