//! What can go wrong with a mail server, told so that the caller knows what to do.

use crate::model::{Phase, ProbeCode, Verdict};
use secrecy::{ExposeSecret, SecretString};

use super::limits::SHOWN_REPLY_CHARS;

/// A server's answer that refuses something, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The basic SMTP reply code (RFC 5321 §4.2); POP3 and IMAP have none.
    pub code: Option<u16>,
    /// The enhanced SMTP status code (RFC 3463), such as `5.7.8`; or the POP3 or IMAP response code
    /// (RFC 2449 §8, RFC 3501 §7.1, RFC 5530), such as `AUTHENTICATIONFAILED`, without its brackets.
    pub enhanced: Option<String>,
    /// The text, cut and cleaned by [`printable`].
    pub text: String,
}

impl Refusal {
    /// Worth trying again later with nothing changed: 4yz (RFC 5321 §4.2.1), or one of [`TEMPORARY_CODES`].
    pub fn is_transient(&self) -> bool {
        match (self.code, self.enhanced.as_deref()) {
            (Some(code), _) => code < 500,
            (None, code) => code.is_some_and(|code| TEMPORARY_CODES.contains(&code)),
        }
    }

    /// Another session has the mailbox: POP3's `[IN-USE]` (RFC 2449 §8.1.2), IMAP's `[INUSE]` (RFC 5530 §3).
    pub fn is_in_use(&self) -> bool {
        matches!(self.enhanced.as_deref(), Some("IN-USE" | "INUSE"))
    }
}

/// Response codes that ask to come back: POP3 (RFC 2449 §8.1, RFC 3206) and IMAP (RFC 5530 §3).
pub const TEMPORARY_CODES: [&str; 9] =
    ["IN-USE", "LOGIN-DELAY", "SYS/TEMP", "UNAVAILABLE", "INUSE", "SERVERBUG", "LIMIT", "OVERQUOTA", "EXPUNGEISSUED"];

/// A dialogue that failed: where, how, and with which words.
#[derive(Debug, thiserror::Error)]
#[error("{code:?} in phase {phase:?}: {detail}")]
pub struct Error {
    /// The stable outcome.
    pub code: ProbeCode,
    /// How far the dialogue came.
    pub phase: Phase,
    /// The server's refusal, where there was one.
    pub refusal: Option<Refusal>,
    /// The server's words, or ours: safe to show.
    pub detail: String,
    /// A person has to consent again: no credential can be had any more (RFC 6749 §5.2, `invalid_grant`).
    pub consent_needed: bool,
    /// What lies underneath; for the log.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A failure in our words.
    pub fn new(code: ProbeCode, phase: Phase, detail: impl Into<String>) -> Self {
        Self { code, phase, refusal: None, detail: detail.into(), consent_needed: false, source: None }
    }

    /// A refusal in the server's words.
    pub fn refused(code: ProbeCode, phase: Phase, refusal: Refusal) -> Self {
        let words = [refusal.code.map(|code| code.to_string()), refusal.enhanced.clone(), Some(refusal.text.clone())];
        let detail = words.into_iter().flatten().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        Self { code, phase, refusal: Some(refusal), detail, consent_needed: false, source: None }
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Worth trying again later with nothing changed: the network, a time-out, a 4yz reply (RFC 5321 §4.2.1), a
    /// response code that says so. What a person must change first is not transient.
    pub fn is_transient(&self) -> bool {
        if let Some(refusal) = &self.refusal {
            return refusal.is_transient() || (refusal.code.is_none() && self.code == ProbeCode::GreetingFailed);
        }
        !matches!(
            self.code,
            ProbeCode::CertificateInvalid
                | ProbeCode::StarttlsUnavailable
                | ProbeCode::ProtocolInjection
                | ProbeCode::AuthFailed
                | ProbeCode::AuthUnavailable
                | ProbeCode::RecipientRejected
                | ProbeCode::MessageRejected
                | ProbeCode::HostNotAllowed
        )
    }

    /// The server really said no to these credentials; nothing else counts against an account.
    pub fn is_auth_refusal(&self) -> bool {
        self.code == ProbeCode::AuthFailed
    }

    /// No usable connection came about.
    pub fn is_connection_failure(&self) -> bool {
        self.phase <= Phase::Tls
    }

    /// The stream ended or broke under a dialogue that was not over.
    pub fn is_broken_off(&self) -> bool {
        self.refusal.is_none()
            && matches!(self.code, ProbeCode::ProtocolError | ProbeCode::GreetingFailed | ProbeCode::ConnectFailed)
            && self.source.as_ref().is_some_and(|source| source.is::<std::io::Error>())
    }

    /// The failed verdict of a probe.
    pub fn verdict(&self, duration_ms: u64) -> Verdict {
        Verdict {
            success: false,
            code: self.code,
            smtp_response_code: self.refusal.as_ref().and_then(|refusal| refusal.code),
            message: self.detail.clone(),
            connection_failed: self.is_connection_failure(),
            phase: self.phase,
            duration_ms,
            consent_needed: self.consent_needed,
        }
    }

    /// Takes every trace of a secret out of the words: servers echo what they were sent.
    #[must_use]
    pub fn without(mut self, secret: &SecretString) -> Self {
        self.detail = without(&self.detail, secret);
        if let Some(refusal) = &mut self.refusal {
            refusal.text = without(&refusal.text, secret);
        }
        self
    }
}

/// A server's words made safe to show and to log: control and non-ASCII bytes become `?`, at most
/// [`SHOWN_REPLY_CHARS`] characters.
pub fn printable(words: &[u8]) -> String {
    printable_up_to(words, SHOWN_REPLY_CHARS)
}

fn printable_up_to(words: &[u8], most: usize) -> String {
    words
        .iter()
        .take(most)
        .map(|&byte| if byte == b' ' || byte.is_ascii_graphic() { char::from(byte) } else { '?' })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// [`printable`], with every trace of the secrets taken out first: cut in the middle, one would not be found.
pub fn shown(words: &[u8], secrets: &[SecretString]) -> String {
    cleaned(words, secrets, SHOWN_REPLY_CHARS)
}

/// The same with a length of its own.
pub(super) fn cleaned(words: &[u8], secrets: &[SecretString], most: usize) -> String {
    let words =
        secrets.iter().fold(String::from_utf8_lossy(words).into_owned(), |words, secret| without(&words, secret));
    printable_up_to(words.replace(|c: char| !c.is_ascii(), "?").as_bytes(), most)
}

fn without(words: &str, secret: &SecretString) -> String {
    let clear = secret.expose_secret();
    let coded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, clear);
    [clear, coded.as_str()]
        .into_iter()
        .filter(|word| word.len() > 3)
        .fold(words.to_owned(), |words, word| words.replace(word, "***"))
}
