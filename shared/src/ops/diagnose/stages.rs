//! One side of an account, stage by stage, with everything written down on the way.

use std::time::{Duration, Instant};

use crate::mail::trace::Line;
use crate::mail::{self, BoxedStream, Connection, Credential, Deadline, Error, TlsFacts, Trace, imap, pop3, smtp};
use crate::model::{Phase, ProbeCode, Protocol, Server, Stage, StageName, Verdict};
use crate::net::Network;
use crate::ops::pull::folders::which;
use crate::ops::sign_in::{HELLO, place};

/// What is examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What is spoken there.
    pub protocol: Protocol,
    /// Where and how.
    pub server: Server,
    /// IMAP folders to look into.
    pub folders: Vec<String>,
    /// Whom MAIL is tried with; none: it is not.
    pub sender: Option<String>,
}

impl Subject {
    /// The member of an account that it is.
    pub fn side(&self) -> &'static str {
        if self.protocol == Protocol::Smtp { "smtp" } else { "receive" }
    }
}

/// What came to light.
pub(super) struct Examination {
    /// What stopped it.
    pub(super) error: Option<Error>,
    /// How far it came, and with which words, where nothing stopped it.
    reached: Reached,
    pub(super) stages: Vec<Stage>,
    pub(super) lines: Vec<Line>,
    /// SASL mechanisms (and `LOGIN`, `USER`) that the server offers.
    pub(super) offered: Vec<String>,
    pub(super) tls: Option<TlsFacts>,
    /// The folders that there are, where one was not found.
    pub(super) folders: Vec<String>,
    duration: Duration,
}

/// How far a side came.
#[derive(Debug)]
struct Reached {
    phase: Phase,
    code: Option<u16>,
    words: String,
}

impl Examination {
    /// The verdict, as of a probe.
    pub(super) fn verdict(&self) -> Verdict {
        let duration_ms = millis(self.duration);
        match &self.error {
            Some(error) => error.verdict(duration_ms),
            None => Verdict {
                success: true,
                code: ProbeCode::Ok,
                smtp_response_code: self.reached.code,
                message: self.reached.words.clone(),
                connection_failed: false,
                phase: self.reached.phase,
                duration_ms,
                consent_needed: false,
            },
        }
    }

    /// It came as far as it could, and that is not far enough.
    pub(super) fn fail(&mut self, subject: &Subject, error: Error) {
        self.stages.push(Stage {
            side: subject.side().to_owned(),
            stage: error.phase.into(),
            success: false,
            duration_ms: 0,
            detail: Some(error.detail.clone()),
        });
        self.error = Some(error);
    }

    /// The server's first line.
    pub(super) fn first_line(&self) -> Option<&str> {
        self.lines.iter().find(|line| !line.ours).map(|line| line.text.as_str())
    }

    /// For people.
    pub(super) fn transcript(&self) -> Vec<String> {
        self.lines.iter().map(ToString::to_string).collect()
    }
}

/// Goes as far as it comes. Without a credential it ends before the sign-in, and says whether one would be possible.
pub(super) async fn examine(
    network: &Network,
    subject: &Subject,
    credential: Option<&Credential>,
    deadline: Deadline,
) -> Examination {
    let started = Instant::now();
    let trace = Trace::recording(credential.map(Credential::secrets).unwrap_or_default());
    let mut examination = Examination {
        error: None,
        reached: Reached { phase: Phase::Capabilities, code: None, words: "connected; nobody signed in".to_owned() },
        stages: Vec::new(),
        lines: Vec::new(),
        offered: Vec::new(),
        tls: None,
        folders: Vec::new(),
        duration: Duration::ZERO,
    };
    let place = place(&subject.server, subject.protocol);
    let result = match mail::traced(network, &place, deadline, &trace).await {
        Ok(connection) => {
            examination.tls = connection.wire.tls().cloned();
            talk(network, subject, connection, credential, &mut examination).await
        }
        Err(error) => Err(error),
    };
    examination.lines = trace.lines();
    examination.offered = offered(subject.protocol, &examination.lines);
    examination.error = result.err().filter(|error| credential.is_some() || error.phase < Phase::Auth);
    examination.stages = stages(subject, &trace, &examination);
    examination.duration = started.elapsed();
    examination
}

async fn talk(
    network: &Network,
    subject: &Subject,
    connection: Connection,
    credential: Option<&Credential>,
    examination: &mut Examination,
) -> Result<(), Error> {
    // Without a credential the receiving protocols end where they would sign in, which is as far as we want to go.
    let nobody = credential.unwrap_or(&Credential::None);
    match subject.protocol {
        Protocol::Smtp => {
            let client = smtp::Client::open(connection, HELLO, nobody, network.timeouts).await?;
            envelope(client, subject, credential.is_some(), &mut examination.reached).await
        }
        Protocol::Pop3 => {
            let mut client = pop3::login(connection.wire, &connection.greeting, nobody).await?;
            let messages = client.stat().await?.messages;
            examination.reached = opened(messages);
            // Nothing was marked: whether QUIT is answered changes nothing.
            let _ = client.quit().await;
            Ok(())
        }
        Protocol::Imap => {
            let mut client = imap::login(connection.wire, &connection.greeting, nobody).await?;
            let looked = look(&mut client, subject, examination).await;
            let _ = client.logout().await;
            looked
        }
    }
}

/// MAIL and RCPT with the account's own address, and RSET: no message is begun (RFC 5321 §4.1.1.5).
async fn envelope(
    mut client: smtp::Client<BoxedStream>,
    subject: &Subject,
    signed: bool,
    reached: &mut Reached,
) -> Result<(), Error> {
    if let Some(reply) = client.signed_in() {
        *reached = Reached { phase: Phase::Auth, code: Some(reply.code), words: reply.to_string() };
    }
    if let Some(sender) = subject.sender.as_deref().filter(|_| signed) {
        let envelope = client.envelope(sender, &[sender.to_owned()], smtp::Terms::default()).await?;
        let refusal = envelope.verdicts.into_iter().find_map(Result::err);
        if let Some(refusal) = refusal {
            client.quit().await;
            return Err(Error::refused(ProbeCode::RecipientRejected, Phase::Rcpt, refusal));
        }
        client.reset().await?;
        reached.phase = Phase::Rcpt;
    }
    client.quit().await;
    Ok(())
}

/// STATUS of every folder (RFC 3501 §6.3.10), and LIST where one is not found.
async fn look(
    client: &mut imap::Client<BoxedStream>,
    subject: &Subject,
    examination: &mut Examination,
) -> Result<(), Error> {
    let mut messages = 0_u32;
    for choice in which(client, &subject.folders).await? {
        let looked = match choice.found() {
            Ok(folder) => client.status(&folder).await,
            Err(error) => Err(error),
        };
        match looked {
            Ok(status) => messages = messages.saturating_add(status.messages),
            Err(error) => {
                if error.refusal.is_some() || error.phase == Phase::List {
                    let folders = client.list_folders().await.unwrap_or_default();
                    examination.folders = folders.into_iter().map(|folder| folder.name).collect();
                }
                return Err(error);
            }
        }
    }
    examination.reached = opened(messages);
    Ok(())
}

fn opened(messages: u32) -> Reached {
    Reached { phase: Phase::Select, code: None, words: format!("signed in; {messages} messages") }
}

/// The ways to sign in that stand in the server's lines.
fn offered(protocol: Protocol, lines: &[Line]) -> Vec<String> {
    let of = |phase: Phase| lines.iter().filter(move |line| !line.ours && line.phase == phase);
    let words =
        |line: &Line| line.text.to_ascii_uppercase().split([' ', '=', '[', ']']).map(str::to_owned).collect::<Vec<_>>();
    let mut found: Vec<String> = match protocol {
        // RFC 4954 §3: `250-AUTH PLAIN LOGIN`, and `AUTH=LOGIN` of old servers.
        Protocol::Smtp => of(Phase::Capabilities)
            .filter(|line| line.text.get(4..8).is_some_and(|verb| verb.eq_ignore_ascii_case("AUTH")))
            .flat_map(|line| words(line).into_iter().skip(1))
            .filter(|word| word != "AUTH" && !word.ends_with("-AUTH"))
            .collect(),
        // RFC 2449 §6.3 and §6.2. A server without CAPA is one of RFC 1939, which has USER.
        Protocol::Pop3 => {
            let lines: Vec<_> = of(Phase::Capabilities).map(words).collect();
            let plain = lines.first().is_none_or(|first| first.first().is_some_and(|word| word == "-ERR"));
            let listed =
                lines.into_iter().filter(|words| words.first().is_some_and(|word| word == "SASL" || word == "USER"));
            let named = listed.flat_map(|words| if words[0] == "USER" { words } else { words[1..].to_vec() });
            named.chain(plain.then(|| "USER".to_owned())).collect()
        }
        // RFC 3501 §7.2.1: `AUTH=PLAIN`; LOGIN unless LOGINDISABLED (§6.2.3). What the greeting says counts if nobody asked again.
        Protocol::Imap => {
            let lists = |line: &&Line| line.text.to_ascii_uppercase().contains("CAPABILITY ");
            let line = of(Phase::Capabilities).find(lists).or_else(|| of(Phase::Greeting).find(lists));
            let text = line.map(|line| line.text.to_ascii_uppercase()).unwrap_or_default();
            let names = || text.split([' ', ']']).filter(|word| !word.is_empty());
            let login = line.is_some() && !names().any(|word| word == "LOGINDISABLED");
            names()
                .filter_map(|word| word.strip_prefix("AUTH="))
                .chain(login.then_some("LOGIN"))
                .map(str::to_owned)
                .collect()
        }
    };
    found.sort_unstable();
    found.dedup();
    found
}

/// The phases that were gone through, with the one that failed marked.
fn stages(subject: &Subject, trace: &Trace, examination: &Examination) -> Vec<Stage> {
    let stage = |name, success, duration, detail| Stage {
        side: subject.side().to_owned(),
        stage: name,
        success,
        duration_ms: millis(duration),
        detail,
    };
    let failed = examination.error.as_ref();
    let mut stages: Vec<Stage> = Vec::new();
    for passed in trace.phases() {
        let name = StageName::from(passed.phase);
        let failure = failed.filter(|error| StageName::from(error.phase) == name);
        if let Some(known) = stages.iter_mut().find(|stage| stage.stage == name) {
            // A phase that is come back to: EHLO and STARTTLS, then the handshake.
            known.duration_ms += millis(passed.duration);
            known.detail = known.detail.take().or(passed.detail);
            continue;
        }
        let detail =
            failure.map(|error| error.detail.clone()).or(passed.detail).or_else(|| said(passed.phase, examination));
        stages.push(stage(name, failure.is_none(), passed.duration, detail));
    }
    // An IMAP server may say what it offers in its greeting, so that nobody asks.
    let at = |name: StageName| stages.iter().position(|stage| stage.stage == name);
    let asked = at(StageName::Capabilities).map(|at| at + 1);
    let told = (!examination.offered.is_empty()).then(|| at(StageName::Auth).unwrap_or(stages.len()));
    if let Some(place) = asked.or(told) {
        let detail = if examination.offered.is_empty() { "none".to_owned() } else { examination.offered.join(" ") };
        let usable = failed.is_none_or(|error| error.code != ProbeCode::AuthUnavailable || error.refusal.is_some());
        stages.insert(place, stage(StageName::Mechanisms, usable, Duration::ZERO, Some(detail)));
    }
    // Where MAIL and RCPT went out together (RFC 2920), their replies came together too.
    if examination.reached.phase == Phase::Rcpt && !stages.iter().any(|stage| stage.stage == StageName::Rcpt) {
        stages.push(stage(StageName::Rcpt, true, Duration::ZERO, said(Phase::Mail, examination)));
    }
    if let Some(error) = failed.filter(|error| !stages.iter().any(|stage| stage.stage == StageName::from(error.phase)))
    {
        stages.push(stage(error.phase.into(), false, Duration::ZERO, Some(error.detail.clone())));
    }
    stages
}

/// What the server said in a phase: all of its capabilities, otherwise its last line. Its farewell is no part of it.
fn said(phase: Phase, examination: &Examination) -> Option<String> {
    let lines = examination.lines.iter().filter(|line| line.phase == phase);
    let before_quit = lines.take_while(|line| !(line.ours && line.text == "QUIT"));
    let texts: Vec<&str> = before_quit.filter(|line| !line.ours).map(|line| line.text.as_str()).collect();
    if phase == Phase::Capabilities { Some(texts.join("; ")) } else { texts.last().map(|text| (*text).to_owned()) }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
