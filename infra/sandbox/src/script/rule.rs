//! What a rule says: when it holds, and what it does.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;

use super::engine::Event;
use super::{At, Certificate, Protocol, Service};
use crate::dialogue::Moment;

/// What a rule does for as long as it stands, instead of at an event.
#[derive(Debug, Clone)]
pub(super) enum Setting {
    Hide(String),
    Capabilities(Vec<String>),
    Offer(String),
    Certificate(Certificate),
    Uidls(Uidl),
    Sizes(Size),
}

/// What UIDL says of a message, from its number and bytes; `None` leaves its line out.
pub(crate) type Uidl = fn(usize, &[u8]) -> Option<String>;

/// What STAT and LIST take for the size of a message, from its number and bytes.
pub(crate) type Size = fn(usize, &[u8]) -> usize;

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

/// One rule; see the [module](crate::script) for examples. Replies are raw bytes, line ends included;
/// in IMAP `{tag}` stands for the tag of the command.
#[derive(Debug, Clone)]
#[must_use = "a rule does nothing before Sandbox::script"]
pub struct Rule {
    protocol: Protocol,
    service: Option<Service>,
    pub(super) session: Option<usize>,
    pub(super) at: Option<At>,
    matching: Option<String>,
    pub(super) skip: usize,
    pub(super) times: Option<usize>,
    pub(super) setting: Option<Setting>,
    pub(super) plan: Plan,
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
        self.plan.bytes_per_second = Some(NonZeroU32::new(bytes_per_second).unwrap_or(NonZeroU32::MIN));
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

    /// Offers a capability that it has and does not offer by itself: `OBJECTID` (RFC 8474), which few servers have.
    pub fn offer_capability(mut self, name: impl Into<String>) -> Self {
        self.setting = Some(Setting::Offer(name.into()));
        self
    }

    /// Offers exactly these capabilities, as lines of EHLO or CAPA or as words of CAPABILITY.
    /// What the server can do does not change, except that STARTTLS is refused where it is not offered.
    pub fn capabilities<I: IntoIterator<Item = S>, S: Into<String>>(mut self, names: I) -> Self {
        self.setting = Some(Setting::Capabilities(names.into_iter().map(Into::into).collect()));
        self
    }

    /// POP3: gives messages other unique ids, from their number and bytes: numbers are given again once they are free
    /// (`|number, _| Some(number.to_string())`), one for all is repeated, `None` is missing in the list.
    pub fn uidls(mut self, uidl: fn(usize, &[u8]) -> Option<String>) -> Self {
        self.setting = Some(Setting::Uidls(uidl));
        self
    }

    /// POP3: tells other sizes in STAT and LIST, from number and bytes of a message.
    pub fn sizes(mut self, size: fn(usize, &[u8]) -> usize) -> Self {
        self.setting = Some(Setting::Sizes(size));
        self
    }

    /// Shows another certificate.
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.setting = Some(Setting::Certificate(certificate));
        self
    }

    pub(super) fn wants(&self, service: Service) -> bool {
        self.protocol == service.protocol() && self.service.is_none_or(|wanted| wanted == service)
    }

    pub(super) fn takes(&self, event: &Event<'_>) -> bool {
        let at = match (self.at, event) {
            (Some(At::Handshake), Event::Handshake)
            | (Some(At::Connect), Event::Connect)
            | (Some(At::AfterTls), Event::AfterTls) => true,
            (Some(at), Event::Input(input)) => match (at, input.moment) {
                (At::AnyCommand, Moment::Command) | (At::Sasl, Moment::Sasl) | (At::Data, Moment::Data) => true,
                (At::Command(verb), Moment::Command) => input.verb.eq_ignore_ascii_case(verb),
                _ => false,
            },
            _ => false,
        };
        at && self.matching.as_ref().is_none_or(|text| event.contains(text))
    }
}
