//! What a program wrote: delivery reports (RFC 3464), complaints (RFC 5965), automatic answers (RFC 3834).
//!
//! Everything here is what a stranger says. It is recognised, never believed: [`crate::ops::bounces`] decides whether
//! it is about a message that we sent.

mod fields;
mod free_form;
mod status;
#[cfg(test)]
mod tests;

use super::decode::to_utf8;
use super::header::{self, part_header, tidy};
use super::layout::{Kind, Part, header_end, layout};
use super::{cut, guard, html_to_text, plain, slice};
use crate::mail::compose::is_bare_id;
use crate::model::report::{Action, AutoReply, Report, ReportKind, Reported};

/// What is read of a report: what it says stands before the copy of the message.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// What is read of the copy's header, and of a text.
const MAX_TEXT: usize = 256 * 1024;
/// Message-IDs that a report may mean.
const MAX_ORIGINALS: usize = 8;
/// Longest words of a server that are kept, in characters.
const MAX_WORDS: usize = 200;
/// Longest address that is kept.
const MAX_ADDRESS: usize = 320;

/// What is automatic about a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Automatic {
    /// Whether a program wrote it.
    pub auto_reply: Option<AutoReply>,
    /// What it reports, with up to 100 recipients. `message` is for others to find.
    pub report: Option<Report>,
    /// Message-IDs of what it may be about, with angle brackets, the likeliest first.
    pub originals: Vec<String>,
}

/// Reads whether a program wrote the message, and what it reports. Never fails; ordinary mail costs a look at its
/// header.
pub fn automatic(raw: &[u8]) -> Automatic {
    guard(|| read(raw)).unwrap_or_default()
}

fn read(raw: &[u8]) -> Automatic {
    let raw = raw.get(..MAX_BYTES).unwrap_or(raw);
    let head = Head(header::list(slice(raw, &(0..header_end(raw)))));
    let auto_reply = head.auto_reply();
    if !head.may_report(auto_reply) {
        return Automatic { auto_reply, ..Automatic::default() };
    }
    let mut original = Original::default();
    let recipients = recipients(raw, &head, &mut original);
    let Some(kind) = kind(&recipients) else {
        return Automatic { auto_reply, ..Automatic::default() };
    };
    // RFC 5322 §3.6.4: many writers say here what they answer, and some only here.
    original.add_all(head.values("in-reply-to").chain(head.values("references")));
    let Original(originals) = original;
    let report = Report { kind, message_id: originals.first().cloned(), message: None, recipients };
    Automatic { auto_reply: auto_reply.or(Some(AutoReply::Replied)), report: Some(report), originals }
}

/// A report is as bad as the worst that it says.
fn kind(recipients: &[Reported]) -> Option<ReportKind> {
    let any = |action: Action| recipients.iter().any(|one| one.action == action);
    Some(match recipients {
        [] => return None,
        _ if any(Action::Complained) => ReportKind::Complaint,
        _ if any(Action::Failed) => ReportKind::Bounce,
        _ if any(Action::Delayed) => ReportKind::Delayed,
        _ => ReportKind::Delivered,
    })
}

fn recipients(raw: &[u8], head: &Head, original: &mut Original) -> Vec<Reported> {
    let layout = layout(raw);
    let mut parts: Vec<&Part> = layout.text.iter().chain(&layout.html).chain(&layout.files).collect();
    parts.sort_by_key(|part| part.number);
    parts.dedup_by_key(|part| part.number);
    let types: Vec<(&Part, String)> = parts
        .into_iter()
        .map(|part| (part, part_header(slice(raw, &part.header)).content_type.unwrap_or_default()))
        .collect();
    let first = |wanted: &[&str]| types.iter().find(|(_, kind)| wanted.contains(&kind.as_str())).map(|(part, _)| *part);
    // RFC 6522 §3: the third part is the message or its header; RFC 6533 §6.
    let copy = first(&[
        "message/rfc822",
        "text/rfc822-headers",
        "message/rfc822-headers",
        "message/global",
        "message/global-headers",
    ]);
    let copy = copy.map(|part| Head::of_copy(&decoded(raw, part, MAX_TEXT))).unwrap_or_default();
    original.add_all(copy.values("message-id"));
    if let Some(part) = first(&["message/feedback-report"]) {
        return fields::feedback(&decoded(raw, part, fields::MAX_BYTES), copy.complainant());
    }
    if let Some(part) = first(&["message/delivery-status", "message/global-delivery-status"]) {
        return fields::delivery_status(&decoded(raw, part, fields::MAX_BYTES), original);
    }
    let text: Vec<String> = layout.text.iter().map(|part| plain(raw, part, MAX_TEXT, html_to_text)).collect();
    let text = text.join("\n");
    let text = cut(&text, MAX_TEXT);
    original.add_all(ids_in(text));
    free_form::recipients(head, text)
}

fn decoded(raw: &[u8], part: &Part, limit: usize) -> String {
    let head = part_header(slice(raw, &part.header));
    let body = slice(raw, &part.body);
    // An attached message is never encoded (RFC 2046 §5.2.1).
    let body = body.get(..limit).unwrap_or(body);
    let bytes = if part.kind == Kind::Message { body.to_vec() } else { head.encoding.decode(body) };
    to_utf8(&bytes, Some("utf-8")).0
}

/// Message-ID fields in a text, quoted or not, folded or not.
fn ids_in(text: &str) -> impl Iterator<Item = &str> {
    const NAME: &str = "message-id:";
    let lines = text.lines().zip(text.lines().skip(1).chain([""]));
    lines.filter_map(|(line, next)| {
        let line = line.trim_start_matches(['>', ' ', '\t']);
        let value = line
            .get(NAME.len()..)
            .filter(|_| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))?;
        Some(if value.trim().is_empty() { next } else { value })
    })
}

/// Message-IDs that a report names, without repetition.
#[derive(Default)]
struct Original(Vec<String>);

impl Original {
    fn add_all<'a>(&mut self, values: impl Iterator<Item = &'a str>) {
        for id in values.flat_map(|value| value.split('<').skip(1).filter_map(|rest| rest.split('>').next())) {
            let id = format!("<{}>", id.trim());
            let is_one = is_bare_id(id.trim_matches(['<', '>']));
            if is_one && self.0.len() < MAX_ORIGINALS && !self.0.contains(&id) {
                self.0.push(id);
            }
        }
    }
}

/// Header fields.
#[derive(Default)]
struct Head(Vec<(String, String)>);

/// Fields that only answering machines write; `no` takes it back.
const ANSWERING: [&str; 6] =
    ["x-autoreply", "x-auto-reply", "x-autorespond", "x-autoresponder", "x-autoreply-from", "x-mail-autoreply"];

/// Fields that programs write, and some people's programs too: they count together with a subject.
const PROGRAMS: [&str; 3] = ["x-auto-response-suppress", "x-ms-exchange-generated-message-source", "precedence"];

/// How the subjects of answering machines begin, where a header says already that a program wrote them.
const AWAY: [&str; 22] = [
    "auto:",
    "auto reply",
    "auto-reply",
    "autoreply",
    "auto response",
    "autoresponse",
    "automatic reply",
    "automatic response",
    "out of office",
    "out of the office",
    "automatische antwort",
    "abwesenheit",
    "abwesend",
    "réponse automatique",
    "respuesta automática",
    "resposta automática",
    "risposta automatica",
    "automatisch antwoord",
    "odpowiedź automatyczna",
    "automatická odpověď",
    "autosvar",
    "automaattinen vastaus",
];

impl Head {
    fn of_copy(text: &str) -> Self {
        let bytes = text.as_bytes();
        Self(header::list(slice(bytes, &(0..header_end(bytes)))))
    }

    fn values<'h>(&'h self, name: &'static str) -> impl Iterator<Item = &'h str> {
        self.0.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn first(&self, name: &'static str) -> Option<String> {
        self.values(name).next().map(|value| value.trim().to_lowercase())
    }

    /// RFC 3834 §5, and what was written before it. A subject alone proves nothing: people write them too.
    fn auto_reply(&self) -> Option<AutoReply> {
        let submitted = self.first("auto-submitted").filter(|value| !value.is_empty());
        let submitted = submitted.as_deref().map(|value| value.split([';', ' ', '(']).next().unwrap_or_default());
        let answers = |name: &&'static str| self.first(name).is_some_and(|value| value != "no");
        let precedence = self.first("precedence").unwrap_or_default();
        if submitted == Some("auto-replied")
            || ANSWERING.iter().any(answers)
            || matches!(precedence.as_str(), "auto_reply" | "auto-reply")
        {
            return Some(AutoReply::Replied);
        }
        let generated = submitted.is_some_and(|value| value != "no");
        let is_program = generated || self.has_null_sender() || PROGRAMS.iter().any(answers);
        let subject = self.first("subject").unwrap_or_default();
        let says_away = AWAY.iter().any(|words| subject.starts_with(words));
        // RFC 3834 §3.3: an answer leaves with an empty return path.
        if is_program && says_away || self.has_null_sender() {
            return Some(AutoReply::Replied);
        }
        generated.then_some(AutoReply::Generated)
    }

    /// RFC 5321 §4.5.5: reports leave with an empty return path, which the last server notes (§4.4).
    fn has_null_sender(&self) -> bool {
        self.values("return-path").next().is_some_and(|path| path.replace([' ', '\t'], "") == "<>")
    }

    /// Whether it is worth looking into the body.
    fn may_report(&self, auto_reply: Option<AutoReply>) -> bool {
        auto_reply.is_some()
            || self.is_from_mail_system()
            || self.first("content-type").is_some_and(|kind| kind.starts_with("multipart/report"))
            || self.values("x-failed-recipients").next().is_some()
    }

    /// RFC 2142 §5 and custom: nobody else may use these names.
    fn is_from_mail_system(&self) -> bool {
        let from = self.first("from").unwrap_or_default();
        let address = from.rsplit_once('<').map_or(from.as_str(), |(_, rest)| rest);
        let local = address.split('@').next().unwrap_or_default().trim_matches(['"', ' ']);
        matches!(local, "mailer-daemon" | "mailerdaemon" | "mail-daemon" | "postmaster" | "mdaemon")
            || local.starts_with("microsoftexchange329e71ec88ae4615bbc36ab6ce41109e")
    }

    /// Exim's field, which Gmail has taken over.
    fn failed_recipients(&self) -> Vec<String> {
        let values = self.values("x-failed-recipients").flat_map(|value| value.split(','));
        values.filter_map(clean_address).take(fields::MAX_RECIPIENTS).collect()
    }

    /// Who got the message that is complained about: Microsoft's field, or its only recipient.
    fn complainant(&self) -> Option<String> {
        let mut to = self.values("to").flat_map(|value| value.split(','));
        let only = to.next().filter(|_| to.next().is_none());
        let only = only.map(|one| one.rsplit_once('<').map_or(one, |(_, rest)| rest));
        self.values("x-hmxmroriginalrecipient").next().or(only).and_then(clean_address)
    }
}

/// An address without its brackets; none where it is none.
fn clean_address(text: &str) -> Option<String> {
    let address = tidy(text.trim().trim_start_matches('<').trim_end_matches('>'), MAX_ADDRESS);
    let is_one = address.contains('@') && !address.contains(char::is_whitespace);
    is_one.then_some(address)
}

/// A server's words in one line of bounded length.
fn words(text: &str) -> Option<String> {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let line: String = words.join(" ").chars().take(MAX_WORDS).collect();
    (!line.is_empty()).then_some(line)
}
