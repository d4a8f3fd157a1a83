//! A probe is total: whatever a server does, there is a verdict within the deadline.
//!
//! Over sixty behaviours in three protocols; each is met with a short deadline, and each verdict is the expected one.

#![allow(clippy::unwrap_used, reason = "what a test takes for granted fails it")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use sandbox::{At, Certificate, Options, Rule, Sandbox, Service, User};
use shared::mail::{Deadline, Timeouts};
use shared::model::views::ValidateInput;
use shared::model::{AccountId, Probe, ProbeCode, Tenant, Timestamp};
use shared::net::Network;
use shared::ops::{Tools, probe};
use shared::settings::Settings;
use shared::store::Store;

const USER: &str = "ada@example.test";
const PASSWORD: &str = "CANARY-pw-51c0";
const DEADLINE: Duration = Duration::from_secs(3);

struct Stage {
    sandbox: Sandbox,
    tools: Tools,
}

/// A setting of every function; a probe of given settings needs no AWS, so that nothing there has to exist.
fn setting(name: &str) -> Option<String> {
    Some(match name {
        "HALFPENNY_ROOT_TOKEN_SHA256" => "ab".repeat(32),
        "HALFPENNY_ROOT_TENANT" => "local".to_owned(),
        "HALFPENNY_ALLOW_NETS" => "127.0.0.0/8,::1/128".to_owned(),
        "HALFPENNY_CA_FILE" => String::new(),
        name if name.starts_with("AWS_") => format!("http://127.0.0.1:{}", 1),
        name if name.ends_with("_SECONDS") => "60".to_owned(),
        _ => "none".to_owned(),
    })
}

impl Stage {
    async fn new() -> Self {
        let users = vec![User { address: USER.to_owned(), password: PASSWORD.to_owned() }];
        let sandbox = Sandbox::start(Options { users, ..Options::default() }).await.unwrap();
        let file = format!("validate-{}.pem", sandbox.port(Service::Smtp));
        let roots = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(file);
        std::fs::write(&roots, sandbox.ca_pem()).unwrap();
        let network = Network::new("127.0.0.0/8,::1/128", &[], Some(&roots), Timeouts::default()).unwrap();
        std::fs::remove_file(&roots).unwrap();
        let settings = Settings::read(setting).unwrap();
        let store = Store::from_settings(&settings).await;
        Self {
            sandbox,
            tools: Tools { settings: settings.into(), store, network: network.into(), trace: Default::default() },
        }
    }

    /// The probe that `POST /v1/validate-credentials` makes of this body.
    async fn validate(&self, service: Service, password: &str) -> Probe {
        let security = if service.implicit_tls() { "tls" } else { "starttls" };
        let mut server = serde_json::json!({"host": "localhost", "port": self.sandbox.port(service), "security": security,
            "auth": {"type": "password", "username": USER, "password": password}});
        let side = match service.protocol() {
            sandbox::Protocol::Smtp => "smtp",
            sandbox::Protocol::Pop3 | sandbox::Protocol::Imap => {
                let pop3 = service.protocol() == sandbox::Protocol::Pop3;
                server["protocol"] = if pop3 { "pop3" } else { "imap" }.into();
                "receive"
            }
        };
        let input: ValidateInput = serde_json::from_value(serde_json::json!({ side: server })).unwrap();
        let now = Timestamp(1_795_246_570_000);
        let (account, secrets) = input.into_account().check(AccountId::nobody(), 0, now).unwrap();
        let tenant = Tenant::new("local").unwrap();
        probe::given(&self.tools, &tenant, &account, &secrets, Deadline::after(DEADLINE), now).await.unwrap()
    }
}

/// A behaviour of a server: where, what, and the verdict.
type Behaviour = (&'static str, Service, Box<dyn Fn(Rule) -> Rule + Send>, ProbeCode);

fn does(
    name: &'static str,
    service: Service,
    rule: impl Fn(Rule) -> Rule + Send + 'static,
    code: ProbeCode,
) -> Behaviour {
    (name, service, Box::new(rule), code)
}

fn says(name: &'static str, service: Service, at: At, reply: &'static str, code: ProbeCode) -> Behaviour {
    does(name, service, move |rule| rule.at(at).reply(reply), code)
}

fn of_any_server() -> Vec<Behaviour> {
    use ProbeCode::{CertificateInvalid, GreetingFailed, StarttlsUnavailable, Timeout, TlsFailed};
    let mut all = Vec::new();
    for service in [Service::Smtps, Service::Pop3s, Service::Imaps] {
        all.extend([
            does("never greets", service, |rule| rule.at(At::Connect).stall_forever(), Timeout),
            does("greets a byte at a time", service, |rule| rule.at(At::Connect).drip(2), Timeout),
            does("hangs up", service, |rule| rule.at(At::Connect).drop_connection(), GreetingFailed),
            does("hangs up in its greeting", service, |rule| rule.at(At::Connect).drop_after(3), GreetingFailed),
            does("stalls the handshake", service, |rule| rule.at(At::Handshake).stall_forever(), Timeout),
            does("hangs up in the handshake", service, |rule| rule.at(At::Handshake).drop_connection(), TlsFailed),
            says("speaks in the clear", service, At::Handshake, "220 +OK * OK\r\n", TlsFailed),
            says("is a web server", service, At::Connect, "HTTP/1.1 400 Bad Request\r\n\r\n", GreetingFailed),
            says("greets with nothing", service, At::Connect, "\r\n", GreetingFailed),
            says("greets with noise", service, At::Connect, "\u{0}\u{7f}\u{1b}[31m\r\n", GreetingFailed),
            does("greets without end", service, |rule| rule.at(At::Connect).reply("x").endless("x"), GreetingFailed),
            does("has expired", service, |rule| rule.certificate(Certificate::Expired), CertificateInvalid),
            does("vouches for itself", service, |rule| rule.certificate(Certificate::SelfSigned), CertificateInvalid),
            does("is somebody else", service, |rule| rule.certificate(Certificate::WrongName), CertificateInvalid),
        ]);
    }
    for (service, verb) in [(Service::Submission, "STARTTLS"), (Service::Pop3, "STLS"), (Service::Imap, "STARTTLS")] {
        all.extend([
            does("offers no TLS", service, move |rule| rule.hide_capability(verb), StarttlsUnavailable),
            does("never begins TLS", service, move |rule| rule.at(At::Command(verb)).stall_forever(), Timeout),
            does(
                "injects behind STARTTLS",
                service,
                move |rule| rule.at(At::Command(verb)).append("250 +OK * OK\r\n"),
                ProbeCode::ProtocolInjection,
            ),
        ]);
    }
    all
}

fn of_smtp_servers() -> Vec<Behaviour> {
    use ProbeCode::{AuthFailed, AuthUnavailable, GreetingFailed, Ok, ProtocolError, Timeout};
    use Service::Smtps;
    let (ehlo, auth) = (At::Command("EHLO"), At::Command("AUTH"));
    vec![
        does("works", Smtps, |rule| rule.at(At::Connect).prepend(""), Ok),
        says("refuses service", Smtps, At::Connect, "554 no\r\n", GreetingFailed),
        says("closes at once", Smtps, At::Connect, "421 4.3.2 closing\r\n", GreetingFailed),
        does("answers EHLO never", Smtps, move |rule| rule.at(ehlo).stall_forever(), Timeout),
        does(
            "answers EHLO without end",
            Smtps,
            move |rule| rule.at(ehlo).reply("250-x\r\n").endless("250-x\r\n"),
            ProtocolError,
        ),
        says("answers EHLO in two classes", Smtps, ehlo, "250-a\r\n500 b\r\n", ProtocolError),
        says("refuses EHLO and is busy", Smtps, ehlo, "451 later\r\n", GreetingFailed),
        does("offers no AUTH", Smtps, |rule| rule.hide_capability("AUTH"), AuthUnavailable),
        does("offers GSSAPI only", Smtps, |rule| rule.capabilities(["AUTH GSSAPI"]), AuthUnavailable),
        says("refuses the password", Smtps, auth, "535 5.7.8 no\r\n", AuthFailed),
        says("refuses without words", Smtps, auth, "535\r\n", AuthFailed),
        says("refuses for now", Smtps, auth, "454 4.7.0 later\r\n", AuthUnavailable),
        says("asks without end", Smtps, auth, "334 \r\n", AuthUnavailable),
        says("answers beside the question", Smtps, auth, "354 go ahead\r\n", ProtocolError),
        says("answers with half a code", Smtps, auth, "23\r\n", ProtocolError),
        says("answers with too large a code", Smtps, auth, "999 ?\r\n", ProtocolError),
        does("hangs up on the password", Smtps, move |rule| rule.at(auth).drop_connection(), ProtocolError),
        does("swallows the password", Smtps, move |rule| rule.at(auth).stall_forever(), Timeout),
    ]
}

fn of_receiving_servers() -> Vec<Behaviour> {
    use ProbeCode::{AuthFailed, AuthUnavailable, GreetingFailed, Ok, ProtocolError, Timeout};
    use Service::{Imap, Imaps, Pop3s};
    let (auth, login, stat, status) =
        (At::Command("AUTH"), At::Command("AUTHENTICATE"), At::Command("STAT"), At::Command("STATUS"));
    vec![
        does("works", Pop3s, |rule| rule.at(At::Connect).prepend(""), Ok),
        says("refuses service", Pop3s, At::Connect, "-ERR [SYS/TEMP] down\r\n", GreetingFailed),
        does("answers CAPA never", Pop3s, |rule| rule.at(At::Command("CAPA")).stall_forever(), Timeout),
        does(
            "answers CAPA without end",
            Pop3s,
            |rule| rule.at(At::Command("CAPA")).reply("+OK\r\n").endless("X\r\n"),
            ProtocolError,
        ),
        says("knows no CAPA", Pop3s, At::Command("CAPA"), "-ERR what?\r\n", Ok),
        says("refuses the password", Pop3s, auth, "-ERR [AUTH] no\r\n", AuthFailed),
        says("is in use", Pop3s, auth, "-ERR [IN-USE] locked\r\n", ProtocolError),
        says("asks for what it was told", Pop3s, auth, "+ \r\n", AuthFailed),
        says("answers AUTH with noise", Pop3s, auth, "\u{1}\u{2}\r\n", ProtocolError),
        does("swallows the password", Pop3s, move |rule| rule.at(auth).stall_forever(), Timeout),
        says("counts in words", Pop3s, stat, "+OK many messages\r\n", ProtocolError),
        says("counts beyond all numbers", Pop3s, stat, "+OK 99999999999999999999 1\r\n", ProtocolError),
        does("hangs up after the password", Pop3s, move |rule| rule.at(stat).drop_connection(), ProtocolError),
        does("works", Imaps, |rule| rule.at(At::Connect).prepend(""), Ok),
        says("takes its leave", Imaps, At::Connect, "* BYE [UNAVAILABLE] down\r\n", GreetingFailed),
        does("answers CAPABILITY never", Imap, |rule| rule.at(At::Command("CAPABILITY")).stall_forever(), Timeout),
        says("answers CAPABILITY with BAD", Imap, At::Command("CAPABILITY"), "{tag} BAD what?\r\n", ProtocolError),
        does("forbids LOGIN", Imaps, |rule| rule.capabilities(["IMAP4rev1", "LOGINDISABLED"]), AuthUnavailable),
        says("refuses the password", Imaps, login, "{tag} NO [AUTHENTICATIONFAILED] no\r\n", AuthFailed),
        says("refuses without a code", Imaps, login, "{tag} NO no\r\n", AuthFailed),
        says("wants privacy", Imaps, login, "{tag} NO [PRIVACYREQUIRED] no\r\n", AuthUnavailable),
        says("answers another's tag", Imaps, login, "zz9 OK done\r\n", ProtocolError),
        says("asks without end", Imaps, login, "+ \r\n+ \r\n+ \r\n", ProtocolError),
        does("swallows the password", Imaps, move |rule| rule.at(login).stall_forever(), Timeout),
        says("has no such folder", Imaps, status, "{tag} NO [NONEXISTENT] no\r\n", ProtocolError),
        says("announces a literal of all memory", Imaps, status, "* STATUS {99999999999}\r\n", ProtocolError),
        does(
            "talks of other things",
            Imaps,
            move |rule| rule.at(status).reply("* OK x\r\n").endless("* OK still here\r\n"),
            ProtocolError,
        ),
        says("answers STATUS with nothing", Imaps, status, "{tag} OK done\r\n", ProtocolError),
        does("hangs up after the password", Imaps, move |rule| rule.at(status).drop_connection(), ProtocolError),
    ]
}

/// Meets a behaviour; the difference to what was expected, if there is one.
async fn meets(behaviour: Behaviour) -> Option<String> {
    let (name, service, rule, expected) = behaviour;
    let stage = Stage::new().await;
    let fired = stage.sandbox.script(rule(Rule::on(service.protocol()).service(service)));
    let begun = Instant::now();
    let probe = stage.validate(service, PASSWORD).await;
    let took = begun.elapsed();
    let verdict = [&probe.smtp, &probe.receive].into_iter().flatten().next().unwrap();
    let works = expected == ProbeCode::Ok;
    let as_expected = verdict.code == expected && (probe.success, verdict.success) == (works, works);
    let in_time = took < DEADLINE + Duration::from_millis(1_500);
    let clean = !verdict.message.is_empty() && !verdict.message.contains("CANARY");
    let met = fired.count() > 0;
    (!(as_expected && in_time && clean && met))
        .then(|| format!("{service:?} {name}: wanted {expected:?}, met {met}, took {took:?}, got {verdict:?}"))
}

#[tokio::test]
async fn any_behaviour_of_a_server_gives_a_verdict_in_time() {
    let behaviours: Vec<_> =
        [of_any_server(), of_smtp_servers(), of_receiving_servers()].into_iter().flatten().collect();
    assert!(behaviours.len() >= 60, "{}", behaviours.len());
    let met: Vec<_> = stream::iter(behaviours.into_iter().map(meets)).buffer_unordered(12).collect().await;
    let wrong: Vec<String> = met.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_wrong_password_is_a_verdict_too() {
    let stage = Stage::new().await;
    for service in [Service::Submission, Service::Pop3, Service::Imap] {
        let probe = stage.validate(service, "wrong").await;
        let verdict = [probe.smtp, probe.receive].into_iter().flatten().next().unwrap();
        assert_eq!((verdict.success, verdict.code), (false, ProbeCode::AuthFailed), "{service:?}");
    }
}
