//! Rules: where they take hold and what they do to the wire.
//!
//! A rule says on which sessions ([`Rule::on`], [`Rule::service`], [`Rule::session`]) and at which event
//! ([`Rule::at`], [`Rule::matching`], [`Rule::skip`], [`Rule::times`]) it holds, then what happens. Actions combine:
//!
//! ```
//! use sandbox::{At, Protocol, Rule};
//! // The second recipient of every message is greylisted.
//! let greylisted = Rule::on(Protocol::Smtp).at(At::Command("RCPT")).matching("bob@")
//!     .reply("451 4.7.1 Try again later\r\n");
//! // The mail is accepted, its reply is lost.
//! let lost = Rule::on(Protocol::Smtp).at(At::Data).times(1).swallow_then_drop();
//! // One endless literal, a byte at a time.
//! let slow = Rule::on(Protocol::Imap).at(At::Command("UID FETCH"))
//!     .reply("* 1 FETCH (UID 1 BODY[] {99999999999}\r\n").endless("x").drip(1);
//! # drop((greylisted, lost, slow));
//! ```

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use crate::dialogue::{Input, Moment};
use crate::store::lock;

/// A mail protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// RFC 5321.
    Smtp,
    /// RFC 1939.
    Pop3,
    /// RFC 3501.
    Imap,
}

/// A listening port, see [`crate::Ports`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum Service {
    /// SMTP with STARTTLS.
    Smtp,
    /// Submission with STARTTLS.
    Submission,
    /// Submission over implicit TLS.
    Smtps,
    /// POP3 with STLS.
    Pop3,
    /// POP3 over implicit TLS.
    Pop3s,
    /// IMAP with STARTTLS.
    Imap,
    /// IMAP over implicit TLS.
    Imaps,
}

impl Service {
    /// All services.
    pub const ALL: [Self; 7] = [
        Self::Smtp,
        Self::Submission,
        Self::Smtps,
        Self::Pop3,
        Self::Pop3s,
        Self::Imap,
        Self::Imaps,
    ];

    /// What is spoken there.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Smtp | Self::Submission | Self::Smtps => Protocol::Smtp,
            Self::Pop3 | Self::Pop3s => Protocol::Pop3,
            Self::Imap | Self::Imaps => Protocol::Imap,
        }
    }

    /// Whether the TLS handshake comes first (RFC 8314 §3).
    #[must_use]
    pub const fn implicit_tls(self) -> bool {
        matches!(self, Self::Smtps | Self::Pop3s | Self::Imaps)
    }
}

/// The event at which a rule takes hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Before the TLS handshake, implicit or after STARTTLS. A reply is sent instead of the handshake.
    Handshake,
    /// The greeting.
    Connect,
    /// STARTTLS or STLS has secured the connection; normally nothing is sent here.
    AfterTls,
    /// Any command.
    AnyCommand,
    /// A command: `RCPT`, `AUTH`, `RETR`, `UID FETCH`; letter case does not matter.
    /// A literal that a client sends belongs to its IMAP command.
    Command(&'static str),
    /// A client's answer to a SASL challenge (`AUTH`, `AUTHENTICATE` without initial response).
    Sasl,
    /// SMTP: the message has arrived with its final dot.
    Data,
}

/// The certificate that a session shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certificate {
    /// Valid for `localhost`, 127.0.0.1 and ::1, signed by the sandbox's authority.
    Valid,
    /// For the right names, signed by itself.
    SelfSigned,
    /// As the valid one, but over since 2021.
    Expired,
    /// Signed by the authority, but for `elsewhere.test`.
    WrongName,
    /// For the right names, signed by an authority that nobody knows.
    Untrusted,
}

/// What a rule does for as long as it stands, instead of at an event.
#[derive(Debug, Clone)]
enum Setting {
    Hide(String),
    Capabilities(Vec<String>),
    Certificate(Certificate),
}

/// How long an answer is held back.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stall {
    For(Duration),
    Forever,
}

/// How a connection ends after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With TLS close_notify and FIN.
    Orderly,
    /// With FIN alone: to a TLS client a truncation (RFC 8446 §6.1).
    Dropped,
}

/// What happens to one answer. The default leaves it alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// The input has no effect (nothing is accepted, stored, deleted, logged in).
    pub(crate) without_effect: bool,
    pub(crate) reply: Option<Bytes>,
    pub(crate) prepend: Bytes,
    pub(crate) append: Bytes,
    pub(crate) completion: Option<Bytes>,
    pub(crate) reversed: bool,
    pub(crate) stall: Option<Stall>,
    pub(crate) bytes_per_second: Option<NonZeroU32>,
    pub(crate) cut_after: Option<usize>,
    pub(crate) endless: Option<Bytes>,
    pub(crate) ending: Option<Ending>,
}

/// One rule; see the [module](self) for examples. Replies are raw bytes, line ends included;
/// in IMAP `{tag}` stands for the tag of the command.
#[derive(Debug, Clone)]
#[must_use = "a rule does nothing before Sandbox::script"]
pub struct Rule {
    protocol: Protocol,
    service: Option<Service>,
    session: Option<usize>,
    at: Option<At>,
    matching: Option<String>,
    skip: usize,
    times: Option<usize>,
    setting: Option<Setting>,
    plan: Plan,
}

impl Rule {
    /// A rule for all sessions of a protocol.
    pub fn on(protocol: Protocol) -> Self {
        Self {
            protocol,
            service: None,
            session: None,
            at: None,
            matching: None,
            skip: 0,
            times: None,
            setting: None,
            plan: Plan::default(),
        }
    }

    /// Only on this port.
    pub fn service(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    /// Only on the n-th session, from 1, of the protocol (and port) after the rule was added.
    pub fn session(mut self, nth: usize) -> Self {
        self.session = Some(nth);
        self
    }

    /// The event. Capabilities with [`At::Connect`] hold before TLS only, with [`At::AfterTls`] under TLS only.
    pub fn at(mut self, at: At) -> Self {
        self.at = Some(at);
        self
    }

    /// Only where the input contains this text: an address in RCPT, a UID, a header in a message.
    pub fn matching(mut self, text: impl Into<String>) -> Self {
        self.matching = Some(text.into());
        self
    }

    /// Lets the first n matching events pass (counted over all sessions).
    pub fn skip(mut self, n: usize) -> Self {
        self.skip = n;
        self
    }

    /// Is used up after n events; without it the rule stands.
    pub fn times(mut self, n: usize) -> Self {
        self.times = Some(n);
        self
    }

    /// Sends these bytes instead of the normal answer. The input takes no effect: no mail is accepted, no login
    /// made, nothing deleted, no TLS begun; with [`Rule::and_continue`] it does.
    pub fn reply(mut self, bytes: impl Into<Bytes>) -> Self {
        self.plan.reply = Some(bytes.into());
        self.plan.without_effect = true;
        self
    }

    /// After [`Rule::reply`]: the input takes its normal effect, only the answer differs.
    pub fn and_continue(mut self) -> Self {
        self.plan.without_effect = false;
        self
    }

    /// Sends these bytes before the normal answer, in the same write.
    pub fn prepend(mut self, bytes: impl Into<Bytes>) -> Self {
        self.plan.prepend = bytes.into();
        self
    }

    /// Sends these bytes behind the normal answer, in the same write: behind the answer to STARTTLS
    /// this is the injection of CVE-2011-0411.
    pub fn append(mut self, bytes: impl Into<Bytes>) -> Self {
        self.plan.append = bytes.into();
        self
    }

    /// Replaces the end of the normal answer: the tagged line in IMAP (`{tag} NO failed` behind a whole FETCH),
    /// the final dot of a POP3 listing, the last line of an SMTP reply. Empty bytes leave the answer open.
    pub fn completion(mut self, bytes: impl Into<Bytes>) -> Self {
        self.plan.completion = Some(bytes.into());
        self
    }

    /// Sends the parts of the normal answer (the untagged IMAP responses) in reverse order, the end still last.
    pub fn reversed(mut self) -> Self {
        self.plan.reversed = true;
        self
    }

    /// Closes without an answer, and without effect.
    pub fn drop_connection(mut self) -> Self {
        self.plan.ending = Some(Ending::Dropped);
        self.reply(Bytes::new())
    }

    /// Takes effect, sends the first n bytes of the answer and closes.
    pub fn drop_after(mut self, n: usize) -> Self {
        self.plan.cut_after = Some(n);
        self.plan.ending = Some(Ending::Dropped);
        self
    }

    /// Takes effect (the mail is accepted, the deletions are made) and closes without an answer.
    pub fn swallow_then_drop(self) -> Self {
        self.drop_connection().and_continue()
    }

    /// Closes after the answer, as a 421 or BYE demands; TLS is closed in order.
    pub fn then_close(mut self) -> Self {
        self.plan.ending = Some(Ending::Orderly);
        self
    }

    /// Takes effect, and answers only after this time.
    pub fn stall(mut self, time: Duration) -> Self {
        self.plan.stall = Some(Stall::For(time));
        self
    }

    /// Takes effect, never answers, and reads until the client closes.
    pub fn stall_forever(mut self) -> Self {
        self.plan.stall = Some(Stall::Forever);
        self
    }

    /// Answers at this speed; 0 is taken as 1.
    pub fn drip(mut self, bytes_per_second: u32) -> Self {
        self.plan.bytes_per_second =
            Some(NonZeroU32::new(bytes_per_second).unwrap_or(NonZeroU32::MIN));
        self
    }

    /// Repeats these bytes behind the answer until the client closes: an endless line, literal or list.
    pub fn endless(mut self, bytes: impl Into<Bytes>) -> Self {
        self.plan.endless = Some(bytes.into());
        self
    }

    /// Does not offer, and refuses, a capability: `STARTTLS`, `PIPELINING`, `AUTH` (the whole line), `AUTH=PLAIN`, `UIDL`.
    pub fn hide_capability(mut self, name: impl Into<String>) -> Self {
        self.setting = Some(Setting::Hide(name.into()));
        self
    }

    /// Offers exactly these capabilities, as lines of EHLO or CAPA or as words of CAPABILITY.
    /// What the server can do does not change, except that STARTTLS is refused where it is not offered.
    pub fn capabilities<I: IntoIterator<Item = S>, S: Into<String>>(mut self, names: I) -> Self {
        self.setting = Some(Setting::Capabilities(
            names.into_iter().map(Into::into).collect(),
        ));
        self
    }

    /// Shows another certificate.
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.setting = Some(Setting::Certificate(certificate));
        self
    }

    fn wants(&self, service: Service) -> bool {
        self.protocol == service.protocol() && self.service.is_none_or(|wanted| wanted == service)
    }

    fn takes(&self, event: &Event<'_>) -> bool {
        let at = match (self.at, event) {
            (Some(At::Handshake), Event::Handshake)
            | (Some(At::Connect), Event::Connect)
            | (Some(At::AfterTls), Event::AfterTls) => true,
            (Some(at), Event::Input(input)) => match (at, input.moment) {
                (At::AnyCommand, Moment::Command)
                | (At::Sasl, Moment::Sasl)
                | (At::Data, Moment::Data) => true,
                (At::Command(verb), Moment::Command) => input.verb.eq_ignore_ascii_case(verb),
                _ => false,
            },
            _ => false,
        };
        at && self
            .matching
            .as_ref()
            .is_none_or(|text| event.contains(text))
    }
}

/// How often a rule was applied.
#[derive(Debug, Clone, Default)]
pub struct Fired(Arc<AtomicUsize>);

impl Fired {
    /// Uses so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Something a rule may take hold of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event<'a> {
    Handshake,
    Connect,
    AfterTls,
    Input(&'a Input),
}

impl Event<'_> {
    fn contains(&self, text: &str) -> bool {
        match self {
            Self::Input(input) => memchr::memmem::find(&input.bytes, text.as_bytes()).is_some(),
            Self::Handshake | Self::Connect | Self::AfterTls => false,
        }
    }
}

/// Who is talking.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    /// Counts all sessions of the sandbox, from 1.
    pub(crate) session: u64,
    pub(crate) service: Service,
}

#[derive(Debug)]
struct Entry {
    rule: Rule,
    /// Sessions seen since the rule was added, and the one that `Rule::session` names.
    sessions: usize,
    chosen: Option<u64>,
    skipped: usize,
    fired: Fired,
}

impl Entry {
    fn holds(&self, origin: Origin) -> bool {
        self.rule.wants(origin.service)
            && (self.rule.session.is_none() || self.chosen == Some(origin.session))
    }

    /// Counts a matching event; true if the rule is applied to it.
    fn fire(&mut self) -> bool {
        if self
            .rule
            .times
            .is_some_and(|times| self.fired.count() >= times)
        {
            return false;
        }
        if self.skipped < self.rule.skip {
            self.skipped += 1;
            return false;
        }
        self.fired.0.fetch_add(1, Ordering::SeqCst);
        true
    }
}

/// All rules of a sandbox.
#[derive(Debug, Default)]
pub(crate) struct Script(Mutex<Vec<Entry>>);

impl Script {
    pub(crate) fn add(&self, rule: Rule) -> Fired {
        let fired = Fired::default();
        let entry = Entry {
            rule,
            sessions: 0,
            chosen: None,
            skipped: 0,
            fired: fired.clone(),
        };
        lock(&self.0).push(entry);
        fired
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }

    /// Counts a new session for the rules that name one.
    pub(crate) fn open(&self, origin: Origin) {
        for entry in lock(&self.0)
            .iter_mut()
            .filter(|entry| entry.rule.wants(origin.service))
        {
            entry.sessions += 1;
            if entry.rule.session == Some(entry.sessions) {
                entry.chosen = Some(origin.session);
            }
        }
    }

    /// What to do at an event.
    pub(crate) fn plan(&self, origin: Origin, event: Event<'_>) -> Plan {
        lock(&self.0)
            .iter_mut()
            .filter(|entry| {
                entry.rule.setting.is_none() && entry.holds(origin) && entry.rule.takes(&event)
            })
            .find_map(|entry| entry.fire().then(|| entry.rule.plan.clone()))
            .unwrap_or_default()
    }

    /// The capabilities to offer, where `normal` is the truth.
    pub(crate) fn capabilities(
        &self,
        origin: Origin,
        tls: bool,
        normal: Vec<String>,
    ) -> Vec<String> {
        let phase = if tls { At::AfterTls } else { At::Connect };
        let mut offered = normal;
        for entry in lock(&self.0).iter() {
            if !entry.holds(origin) || entry.rule.at.is_some_and(|at| at != phase) {
                continue;
            }
            match &entry.rule.setting {
                Some(Setting::Capabilities(names)) => names.clone_into(&mut offered),
                Some(Setting::Hide(name)) => offered.retain(|line| !names(line, name)),
                Some(Setting::Certificate(_)) | None => continue,
            }
            entry.fired.0.fetch_add(1, Ordering::SeqCst);
        }
        offered
    }

    /// The certificate to show.
    pub(crate) fn certificate(&self, origin: Origin) -> Certificate {
        lock(&self.0)
            .iter()
            .filter(|entry| entry.holds(origin))
            .find_map(|entry| match entry.rule.setting {
                Some(Setting::Certificate(certificate)) => {
                    entry.fired.0.fetch_add(1, Ordering::SeqCst);
                    Some(certificate)
                }
                _ => None,
            })
            .unwrap_or(Certificate::Valid)
    }
}

/// Whether a capability line is the one named: the whole line or its first word.
fn names(line: &str, name: &str) -> bool {
    line.eq_ignore_ascii_case(name)
        || line
            .split(' ')
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case(name))
}
