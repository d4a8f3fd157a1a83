//! POP3 (RFC 1939) with CAPA (RFC 2449), STLS (RFC 2595) and AUTH PLAIN (RFC 5034).

mod maildrop;

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::auth;
use crate::dialogue::{Dialogue, Input, Moment};
use crate::pop3::maildrop::Maildrop;
use crate::script::Origin;
use crate::server::Core;
use crate::wire::{Answer, Next, Read, Wire};

/// A challenge of AUTH (RFC 5034 §4).
#[derive(Debug, Clone, Copy)]
enum Sasl {
    Plain,
    Bearer,
    /// Why a token is refused (RFC 7628 §3.2.3).
    Refused,
}

/// The state of a POP3 session.
#[derive(Debug)]
pub(crate) struct Pop3 {
    core: Arc<Core>,
    origin: Origin,
    tls: bool,
    user: Option<String>,
    /// What the next line answers.
    in_sasl: Option<Sasl>,
    maildrop: Option<Maildrop>,
}

impl Dialogue for Pop3 {
    fn greeting(&mut self) -> Answer {
        Answer::line("+OK Halfpenny sandbox ready")
    }

    async fn read(&mut self, wire: &mut Wire) -> io::Result<Option<Input>> {
        let (moment, bytes) = match wire.line().await? {
            Read::Line(bytes) if self.in_sasl.is_some() => (Moment::Sasl, bytes),
            Read::Line(bytes) => (Moment::Command, bytes),
            Read::TooLong => (Moment::Broken, Bytes::new()),
            Read::End => return Ok(None),
        };
        let verb = match moment {
            Moment::Command => split(&String::from_utf8_lossy(bytes.trim_ascii_end())).0.to_uppercase(),
            _ => String::new(),
        };
        Ok(Some(Input { moment, verb, tag: String::new(), bytes }))
    }

    fn handle(&mut self, input: &Input) -> Answer {
        match input.moment {
            Moment::Command => self.command(input),
            Moment::Sasl => self.sasl(input.bytes.trim_ascii_end()),
            Moment::Data | Moment::Broken => Answer::line("-ERR line too long").then(Next::Close),
        }
    }

    fn passed_over(&mut self, _: &Input) {
        self.in_sasl = None;
    }

    fn secured(&mut self) {
        // RFC 2595 §4
        *self = Self { tls: true, ..Self::new(Arc::clone(&self.core), self.origin) };
    }
}

impl Pop3 {
    pub(crate) fn new(core: Arc<Core>, origin: Origin) -> Self {
        let tls = origin.service.implicit_tls();
        Self { core, origin, tls, user: None, in_sasl: None, maildrop: None }
    }

    fn command(&mut self, input: &Input) -> Answer {
        // RFC 1939 §3: CRLF ends a line.
        let Some(line) = input.bytes.strip_suffix(b"\r\n") else {
            return Answer::line("-ERR lines end with CRLF");
        };
        let text = String::from_utf8_lossy(line);
        let arguments = split(&text).1;
        match input.verb.as_str() {
            "CAPA" => self.capa(),
            "QUIT" => self.quit(),
            // RFC 1939 §7: it is optional.
            "UIDL" if !self.capabilities().iter().any(|line| line == "UIDL") => Answer::line("-ERR unknown command"),
            verb => match &mut self.maildrop {
                Some(maildrop) => maildrop.command(verb, arguments),
                None => self.authorization(verb, arguments),
            },
        }
    }

    /// RFC 1939 §4, RFC 2595 §4, RFC 5034 §4
    fn authorization(&mut self, verb: &str, arguments: &str) -> Answer {
        match verb {
            "STLS" => self.stls(),
            "USER" | "PASS" | "AUTH" if !self.core.may_log_in(self.tls) => {
                Answer::line("-ERR [SYS/PERM] TLS before a login")
            }
            "USER" => {
                self.user = Some(arguments.to_owned());
                Answer::line("+OK password?")
            }
            "PASS" => match self.user.take() {
                Some(user) => self.judge(&user, arguments),
                None => Answer::line("-ERR USER first"),
            },
            "AUTH" => self.auth(arguments),
            _ => Answer::line("-ERR unknown command, or log in first"),
        }
    }

    fn capabilities(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"].map(Into::into).to_vec();
        if self.core.may_log_in(self.tls) {
            let tokens = if self.core.store.knows_tokens() { " XOAUTH2 OAUTHBEARER" } else { "" };
            lines.extend(["USER".to_owned(), format!("SASL PLAIN{tokens}")]);
        }
        if !self.tls && self.maildrop.is_none() {
            lines.push("STLS".to_owned());
        }
        lines.push("IMPLEMENTATION Halfpenny sandbox".to_owned());
        self.core.script.capabilities(self.origin, self.tls, lines)
    }

    /// RFC 2449 §5
    fn capa(&self) -> Answer {
        listing("+OK capabilities", self.capabilities())
    }

    fn stls(&self) -> Answer {
        if self.tls || !self.capabilities().iter().any(|line| line.eq_ignore_ascii_case("STLS")) {
            return Answer::line("-ERR STLS is not offered");
        }
        Answer::line("+OK ready for TLS").then(Next::Secure)
    }

    /// RFC 5034 §4: with or without an initial response, which is `=` if empty.
    fn auth(&mut self, arguments: &str) -> Answer {
        let (mechanism, initial) = split(arguments);
        if mechanism.is_empty() {
            return listing("+OK mechanisms", ["PLAIN".to_owned()]);
        }
        let mechanism = mechanism.to_uppercase();
        let by_token = auth::BEARER.contains(&mechanism.as_str()) && self.core.store.knows_tokens();
        let step = match mechanism.as_str() {
            _ if by_token => Sasl::Bearer,
            "PLAIN" => Sasl::Plain,
            _ => return Answer::line("-ERR PLAIN only"),
        };
        self.in_sasl = Some(step);
        if initial.is_empty() { Answer::line("+ ") } else { self.sasl(initial.as_bytes()) }
    }

    fn sasl(&mut self, response: &[u8]) -> Answer {
        match self.in_sasl.take() {
            Some(Sasl::Bearer) => match auth::bearer(response) {
                Some((user, token)) => {
                    let address = self.core.store.login_by_token(&user, &token);
                    match address {
                        Some(address) => self.open(address),
                        None => {
                            self.in_sasl = Some(Sasl::Refused);
                            Answer::line(format!("+ {}", auth::REFUSED_TOKEN))
                        }
                    }
                }
                None => Answer::line("-ERR not a message with an access token"),
            },
            // RFC 3206 §5
            Some(Sasl::Refused) => Answer::line("-ERR [AUTH] wrong user name or access token"),
            Some(Sasl::Plain) | None => match auth::plain(response) {
                Some((user, password)) => self.judge(&user, &password),
                // RFC 5034 §4: also for `*`, with which the client cancels.
                None => Answer::line("-ERR not a PLAIN message in base64"),
            },
        }
    }

    fn judge(&mut self, user: &str, password: &str) -> Answer {
        let Some(address) = self.core.store.login(user, password) else {
            // RFC 3206 §5
            return Answer::line("-ERR [AUTH] wrong user name or password");
        };
        self.open(address)
    }

    fn open(&mut self, address: String) -> Answer {
        let Some(maildrop) = Maildrop::open(Arc::clone(&self.core), self.origin, address) else {
            // RFC 2449 §8.1.2
            return Answer::line("-ERR [IN-USE] another session has the mailbox");
        };
        let answer = Answer::line(format!("+OK {} messages", maildrop.count()));
        self.maildrop = Some(maildrop);
        answer
    }

    /// RFC 1939 §6: only QUIT deletes.
    fn quit(&mut self) -> Answer {
        let removed = self.maildrop.take().map_or(Ok(()), |maildrop| maildrop.update());
        match removed {
            Ok(()) => Answer::line("+OK bye").then(Next::Close),
            Err(error) => {
                tracing::error!(%error, "cannot delete messages");
                Answer::line("-ERR [SYS/TEMP] some deleted messages not removed").then(Next::Close)
            }
        }
    }
}

fn split(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

/// A multi-line response of short lines (RFC 1939 §3); each line is a part that a rule may reverse, the first is not.
fn listing(first: &str, lines: impl IntoIterator<Item = String>) -> Answer {
    let mut answer = Answer::line(".");
    let lines = lines.into_iter().map(|line| vec![Bytes::from(line + "\r\n")]);
    answer.head = format!("{first}\r\n").into();
    answer.parts = lines.collect();
    answer
}
