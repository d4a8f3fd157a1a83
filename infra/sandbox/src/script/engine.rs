//! All rules of a sandbox, and which of them holds now.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::rule::{Plan, Rule, Setting, Size, Uidl};
use super::{At, Certificate, Service};
use crate::dialogue::Input;
use crate::store::lock;

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
    pub(super) fn contains(&self, text: &str) -> bool {
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
        self.rule.wants(origin.service) && (self.rule.session.is_none() || self.chosen == Some(origin.session))
    }

    /// Counts a matching event; true if the rule is applied to it.
    fn fire(&mut self) -> bool {
        if self.rule.times.is_some_and(|times| self.fired.count() >= times) {
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
        let entry = Entry { rule, sessions: 0, chosen: None, skipped: 0, fired: fired.clone() };
        lock(&self.0).push(entry);
        fired
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }

    /// Counts a new session for the rules that name one.
    pub(crate) fn open(&self, origin: Origin) {
        for entry in lock(&self.0).iter_mut().filter(|entry| entry.rule.wants(origin.service)) {
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
            .filter(|entry| entry.rule.setting.is_none() && entry.holds(origin) && entry.rule.takes(&event))
            .find_map(|entry| entry.fire().then(|| entry.rule.plan.clone()))
            .unwrap_or_default()
    }

    /// The capabilities to offer, where `normal` is the truth.
    pub(crate) fn capabilities(&self, origin: Origin, tls: bool, normal: Vec<String>) -> Vec<String> {
        let phase = if tls { At::AfterTls } else { At::Connect };
        let mut offered = normal;
        for entry in lock(&self.0).iter() {
            if !entry.holds(origin) || entry.rule.at.is_some_and(|at| at != phase) {
                continue;
            }
            match &entry.rule.setting {
                Some(Setting::Capabilities(names)) => names.clone_into(&mut offered),
                Some(Setting::Offer(name)) => offered.push(name.clone()),
                Some(Setting::Hide(name)) => offered.retain(|line| !names(line, name)),
                Some(Setting::Certificate(_) | Setting::Uidls(_) | Setting::Sizes(_)) | None => continue,
            }
            entry.fired.0.fetch_add(1, Ordering::SeqCst);
        }
        offered
    }

    /// How POP3 names messages and tells their sizes, where it does not tell the truth.
    pub(crate) fn listing(&self, origin: Origin) -> (Option<Uidl>, Option<Size>) {
        let (mut uidls, mut sizes) = (None, None);
        for entry in lock(&self.0).iter().filter(|entry| entry.holds(origin)) {
            match entry.rule.setting {
                Some(Setting::Uidls(uidl)) => uidls = Some(uidl),
                Some(Setting::Sizes(size)) => sizes = Some(size),
                _ => continue,
            }
            entry.fired.0.fetch_add(1, Ordering::SeqCst);
        }
        (uidls, sizes)
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
    line.eq_ignore_ascii_case(name) || line.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case(name))
}
