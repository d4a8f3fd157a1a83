//! What was said on a connection, for a person who looks for a fault: the lines of both sides without their secrets,
//! and how long each phase took.
//!
//! A trace stands at the wire: what passes there is recorded, whichever protocol speaks. Secrets are kept out twice.
//! While signing in, only verbs, mechanisms and user names of known commands are recorded of what we say; and every
//! form of the credential is taken out of all lines, because servers echo what they were sent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};

use super::error::cleaned;
use super::limits::{TRACE_LINE_CHARS, TRACE_LINES};
use crate::model::Phase;

/// A recorder that may be off; clones share what they record.
#[derive(Clone, Default)]
pub struct Trace(Option<Arc<Mutex<Log>>>);

/// One line that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where the dialogue was.
    pub phase: Phase,
    /// Whether we said it.
    pub ours: bool,
    /// The words, printable, without secrets.
    pub text: String,
}

/// One phase that was gone through, in the order in which they began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Which.
    pub phase: Phase,
    /// From its beginning to that of the next one.
    pub duration: Duration,
    /// What was found out there.
    pub detail: Option<String>,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", if self.ours { 'C' } else { 'S' }, self.text)
    }
}

struct Log {
    secrets: Vec<SecretString>,
    /// Only commands and replies: no message, and no list beyond its replies.
    dialogue_only: bool,
    lines: Vec<Line>,
    /// What the server has said since its last line end, up to [`Log::most`] bytes.
    partial: Vec<u8>,
    phases: Vec<(Phase, Instant, Option<String>)>,
}

/// Shows nothing of what was said.
impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Trace").field(&self.0.is_some()).finish()
    }
}

impl Trace {
    /// A recorder that is on. `secrets`: whatever no line may show, in all its forms on the wire.
    pub fn recording(secrets: Vec<SecretString>) -> Self {
        let log = Log { secrets, dialogue_only: false, lines: Vec::new(), partial: Vec::new(), phases: Vec::new() };
        Self(Some(Arc::new(Mutex::new(log))))
    }

    /// A recorder of commands and replies, that leaves out what messages say. Its secrets are told before anybody signs
    /// in ([`Trace::hide`]).
    pub fn of_dialogue() -> Self {
        let trace = Self::recording(Vec::new());
        trace.with(|log| log.dialogue_only = true);
        trace
    }

    /// Keeps these out of all further lines too.
    pub fn hide(&self, secrets: Vec<SecretString>) {
        self.with(|log| log.secrets.extend(secrets));
    }

    /// All lines so far for people, `C: ` before ours and `S: ` before the server's; none where it is off.
    pub fn transcript(&self) -> Option<Vec<String>> {
        self.0.as_ref().map(|_| self.lines().iter().map(ToString::to_string).collect())
    }

    /// Notes that a phase begins, unless it is under way already.
    pub fn enter(&self, phase: Phase) {
        self.with(|log| log.enter(phase));
    }

    /// Notes what was found out in a phase.
    pub fn tell(&self, phase: Phase, detail: impl Into<String>) {
        self.with(|log| {
            if let Some(entry) = log.phases.iter_mut().rev().find(|(passed, ..)| *passed == phase) {
                entry.2 = Some(detail.into());
            }
        });
    }

    /// Records what we wrote.
    pub(super) fn sent(&self, phase: Phase, bytes: &[u8]) {
        self.with(|log| {
            log.enter(phase);
            log.end_line(phase);
            for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                let text = if phase == Phase::Auth { signing_in(line) } else { line.to_vec() };
                log.add(phase, true, &text);
            }
        });
    }

    /// Records what arrived, however it is cut into pieces.
    pub(super) fn got(&self, phase: Phase, bytes: &[u8]) {
        self.with(|log| {
            log.enter(phase);
            for (at, piece) in bytes.split(|&byte| byte == b'\n').enumerate() {
                if at > 0 {
                    log.end_line(phase);
                }
                let room = log.most().saturating_sub(log.partial.len());
                log.partial.extend_from_slice(&piece[..piece.len().min(room)]);
            }
        });
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        self.with(|log| {
            if let Some(phase) = log.phases.last().map(|(phase, ..)| *phase) {
                log.end_line(phase);
            }
            lines.clone_from(&log.lines);
        });
        lines
    }

    /// All phases so far; the last one ends now.
    pub fn phases(&self) -> Vec<Passed> {
        let mut passed = Vec::new();
        self.with(|log| {
            let ends = log.phases.iter().skip(1).map(|(_, begun, _)| *begun).chain([Instant::now()]);
            passed = log
                .phases
                .iter()
                .zip(ends)
                .map(|((phase, begun, detail), end)| Passed {
                    phase: *phase,
                    duration: end.saturating_duration_since(*begun),
                    detail: detail.clone(),
                })
                .collect();
        });
        passed
    }

    fn with(&self, act: impl FnOnce(&mut Log)) {
        if let Some(log) = &self.0 {
            // A panic elsewhere leaves lines behind that are whole.
            act(&mut log.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Log {
    fn enter(&mut self, phase: Phase) {
        if self.phases.last().is_none_or(|(last, ..)| *last != phase) {
            self.phases.push((phase, Instant::now(), None));
        }
    }

    /// The longest line that is kept: what is shown of it, and room for a secret that begins at its end.
    fn most(&self) -> usize {
        TRACE_LINE_CHARS * 4
    }

    fn end_line(&mut self, phase: Phase) {
        let line = std::mem::take(&mut self.partial);
        if !line.is_empty() {
            self.add(phase, false, &line);
        }
    }

    fn add(&mut self, phase: Phase, ours: bool, line: &[u8]) {
        if self.lines.len() == TRACE_LINES {
            return;
        }
        if self.dialogue_only && !ours && phase == Phase::List && !is_reply(line) {
            return;
        }
        let most = self.most();
        let mut text = cleaned(line.strip_suffix(b"\r").unwrap_or(line), &self.secrets, most);
        if line.len() >= most {
            // The end of the line was not kept: a secret that was cut in its middle is not found, and goes by its length.
            let longest = self.secrets.iter().map(|secret| secret.expose_secret().len() * 4 / 3 + 4).max();
            text.truncate(text.len().saturating_sub(longest.unwrap_or_default()));
        }
        text.truncate(TRACE_LINE_CHARS);
        self.lines.push(Line { phase, ours, text });
    }
}

/// RFC 3501 §2.2.2 (untagged, tagged), RFC 1939 §3 (status, and the lines of LIST and UIDL: §5, §7). A line of a message
/// that looks like one passes too: it belongs to the caller.
fn is_reply(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line);
    let mut words = line.trim_end().split(' ');
    let first = words.next().unwrap_or_default();
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let is_tag = first.strip_prefix(['a', 's']).is_some_and(is_number);
    match words.next() {
        Some(_) if is_number(first) => words.next().is_none(),
        Some(_) => is_tag || matches!(first, "*" | "+" | "+OK" | "-ERR"),
        None => matches!(first, "+OK" | "-ERR"),
    }
}

/// What may be shown of a line that we say while signing in: RFC 4954 §4 and RFC 5034 §4 (AUTH), RFC 3501 §6.2 (a tag,
/// LOGIN, AUTHENTICATE), RFC 1939 §7 (USER, PASS). Whatever else it is may be a secret.
fn signing_in(line: &[u8]) -> Vec<u8> {
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end();
    let words: Vec<&str> = line.split(' ').collect();
    let is_tag = |word: &str| {
        word.len() > 1 && word.starts_with(['a', 's']) && word.bytes().skip(1).all(|byte| byte.is_ascii_digit())
    };
    let tagged = usize::from(words.len() > 1 && is_tag(words[0]));
    let shown = match words[tagged].to_ascii_uppercase().as_str() {
        "USER" | "CAPA" | "CAPABILITY" | "QUIT" | "LOGOUT" | "NOOP" | "*" => words.len(),
        "AUTH" | "AUTHENTICATE" => tagged + 2,
        "PASS" | "LOGIN" => tagged + 1,
        _ => 0,
    };
    let hidden = (shown < words.len()).then_some("***");
    words.iter().take(shown).copied().chain(hidden).collect::<Vec<_>>().join(" ").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Credential;

    fn texts(trace: &Trace) -> Vec<String> {
        trace.lines().into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn what_we_say_while_signing_in_shows_verbs_only() {
        let trace = Trace::recording(Vec::new());
        for line in [
            "AUTH PLAIN AGJvYgBDQU5BUlk=\r\n",
            "AGJvYgBDQU5BUlk=\r\n",
            "AUTH LOGIN\r\n",
            "a2 LOGIN bob CANARY\r\n",
            "a2 LOGIN {3+}\r\nbob {6+}\r\nCANARY\r\n",
            "a3 AUTHENTICATE PLAIN AGJvYgBDQU5BUlk=\r\n",
            "USER bob\r\n",
            "PASS CANARY with blanks\r\n",
            "a4 CAPABILITY\r\n",
            "*\r\n",
        ] {
            trace.sent(Phase::Auth, line.as_bytes());
        }
        assert_eq!(
            texts(&trace),
            [
                "AUTH PLAIN ***",
                "***",
                "AUTH LOGIN",
                "a2 LOGIN ***",
                "a2 LOGIN ***",
                "***",
                "***",
                "a3 AUTHENTICATE PLAIN ***",
                "USER bob",
                "PASS ***",
                "a4 CAPABILITY",
                "*"
            ]
        );
    }

    #[test]
    fn no_form_of_the_secret_survives_in_what_the_server_says_however_it_is_cut() {
        let credential = Credential::Password { username: "bob".into(), password: "CANARY\"pw".into() };
        let plain = Credential::plain("bob", &"CANARY\"pw".into());
        let coded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "CANARY\"pw");
        for echo in ["CANARY\"pw", "CANARY\\\"pw", plain.expose_secret(), &coded] {
            let trace = Trace::recording(credential.secrets());
            let long = format!("535 {}\r\n", format!("{echo} ").repeat(400));
            for piece in long.as_bytes().chunks(7) {
                trace.got(Phase::Auth, piece);
            }
            let shown = texts(&trace).join("\n");
            assert!(shown.starts_with("535 ***") && shown.chars().count() <= TRACE_LINE_CHARS, "{shown}");
            assert!(!shown.contains(&echo[..5]), "{shown}");
        }
    }

    #[test]
    fn a_dialogue_has_no_messages_and_no_secrets() {
        let off = Trace::default();
        off.hide(vec!["CANARY".into()]);
        assert_eq!(off.transcript(), None);
        let trace = Trace::of_dialogue();
        trace.hide(vec!["CANARY".into()]);
        trace.sent(Phase::List, b"a5 UID FETCH 7 (BODY.PEEK[])\r\n");
        trace.got(
            Phase::List,
            b"* 1 FETCH (UID 7 BODY[] {24}\r\nSubject: private\r\n\r\nmine\r\n)\r\na5 OK CANARY done\r\n",
        );
        trace.got(Phase::List, b"+OK 2\r\n1 4711\r\n2 uid-7\r\n3 words of mine\r\n.\r\n");
        let wanted = [
            "C: a5 UID FETCH 7 (BODY.PEEK[])",
            "S: * 1 FETCH (UID 7 BODY[] {24}",
            "S: a5 OK *** done",
            "S: +OK 2",
            "S: 1 4711",
            "S: 2 uid-7",
        ];
        assert_eq!(trace.transcript().unwrap(), wanted);
    }

    #[test]
    fn phases_follow_the_dialogue_and_lines_are_bounded() {
        let trace = Trace::recording(Vec::new());
        trace.enter(Phase::Dns);
        trace.enter(Phase::Connect);
        trace.tell(Phase::Connect, "127.0.0.1:25");
        trace.got(Phase::Greeting, b"220 hel");
        trace.got(Phase::Greeting, b"lo\r\n250");
        for _ in 0..2 * TRACE_LINES {
            trace.got(Phase::Greeting, b"x\n");
        }
        let phases: Vec<_> = trace.phases().into_iter().map(|passed| (passed.phase, passed.detail)).collect();
        let connected = (Phase::Connect, Some("127.0.0.1:25".to_owned()));
        assert_eq!(phases, [(Phase::Dns, None), connected, (Phase::Greeting, None)]);
        let lines = trace.lines();
        assert_eq!((lines[0].text.as_str(), lines[0].ours, lines.len()), ("220 hello", false, TRACE_LINES));
        let off = Trace::default();
        off.got(Phase::Greeting, b"220 hello\r\n");
        assert!(off.lines().is_empty() && off.phases().is_empty());
    }
}
