//! SMTP (RFC 5321) with SIZE, PIPELINING, 8BITMIME, ENHANCEDSTATUSCODES, STARTTLS and AUTH.
//!
//! Strict, so that a client's mistakes show: the envelope syntax is exact and messages with bare CR,
//! bare LF, NUL or overlong lines are refused with 554.

mod syntax;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use time::OffsetDateTime;

use crate::auth;
use crate::dialogue::{Dialogue, Input, Moment};
use crate::script::{Origin, Service};
use crate::server::Core;
use crate::smtp::syntax::{fault, is_address, path, refuse_parameter, split, text_of, unstuff};
use crate::store::Received;
use crate::wire::{Answer, Next, Read, Wire};

/// The largest message, offered as SIZE (RFC 1870).
const SIZE: usize = 50 * 1024 * 1024;
/// RFC 5321 §4.5.3.1.8 asks for 100 at least.
const RECIPIENTS: usize = 1_000;

/// What the next line is.
#[derive(Debug, Default)]
enum Expect {
    #[default]
    Command,
    Plain,
    LoginUser,
    LoginPassword(String),
    Bearer,
    /// A token was refused, and the client has to take note (RFC 7628 §3.2.3).
    Refused,
    Data,
}

#[derive(Debug)]
struct Envelope {
    from: String,
    recipients: Vec<String>,
}

/// The state of an SMTP session.
#[derive(Debug)]
pub(crate) struct Smtp {
    core: Arc<Core>,
    origin: Origin,
    tls: bool,
    greeted: bool,
    login: Option<String>,
    expect: Expect,
    envelope: Option<Envelope>,
}

impl Dialogue for Smtp {
    fn greeting(&mut self) -> Answer {
        Answer::line("220 sandbox.example.test ESMTP Halfpenny sandbox")
    }

    async fn read(&mut self, wire: &mut Wire) -> io::Result<Option<Input>> {
        let (moment, bytes) = match self.expect {
            Expect::Data => match wire.data(SIZE).await? {
                Some(bytes) => (Moment::Data, bytes),
                None => return Ok(None),
            },
            _ => match wire.line().await? {
                Read::Line(bytes) if matches!(self.expect, Expect::Command) => (Moment::Command, bytes),
                Read::Line(bytes) => (Moment::Sasl, bytes),
                Read::TooLong => (Moment::Broken, Bytes::new()),
                Read::End => return Ok(None),
            },
        };
        let verb = match moment {
            Moment::Command => split(&text_of(&bytes)).0.to_uppercase(),
            _ => String::new(),
        };
        Ok(Some(Input { moment, verb, tag: String::new(), bytes }))
    }

    fn handle(&mut self, input: &Input) -> Answer {
        match input.moment {
            Moment::Command => self.command(input),
            Moment::Sasl => self.sasl(input.bytes.trim_ascii_end()),
            Moment::Data => self.data(&input.bytes),
            // RFC 5321 §4.5.3.1.9
            Moment::Broken => Answer::line("500 5.5.2 Line too long").then(Next::Close),
        }
    }

    fn passed_over(&mut self, input: &Input) {
        match input.moment {
            // RFC 5321 §4.1.1.4: after the message the buffers are empty, however it went.
            Moment::Data => (self.expect, self.envelope) = (Expect::Command, None),
            Moment::Sasl => self.expect = Expect::Command,
            Moment::Command | Moment::Broken => {}
        }
    }

    fn secured(&mut self) {
        // RFC 3207 §4.2: even the EHLO must be repeated.
        *self = Self { tls: true, ..Self::new(Arc::clone(&self.core), self.origin) };
    }
}

impl Smtp {
    pub(crate) fn new(core: Arc<Core>, origin: Origin) -> Self {
        Self {
            core,
            origin,
            tls: origin.service.implicit_tls(),
            greeted: false,
            login: None,
            expect: Expect::Command,
            envelope: None,
        }
    }

    fn command(&mut self, input: &Input) -> Answer {
        // RFC 5321 §2.3.8: a line ends with CRLF, and CR and LF stand nowhere else.
        let Some(line) = input.bytes.strip_suffix(b"\r\n").filter(|line| !line.contains(&b'\r')) else {
            return Answer::line("500 5.5.2 Lines end with CRLF");
        };
        let text = text_of(line);
        let arguments = split(&text).1;
        match input.verb.as_str() {
            "EHLO" => self.ehlo(arguments),
            "HELO" => self.helo(arguments),
            "STARTTLS" => self.starttls(arguments),
            "AUTH" => self.auth(arguments),
            "MAIL" => self.mail(arguments),
            "RCPT" => self.rcpt(arguments),
            "DATA" => self.begin_data(arguments),
            "RSET" => {
                // RFC 5321 §4.1.1.5
                self.envelope = None;
                Answer::line("250 2.0.0 Reset")
            }
            "NOOP" => Answer::line("250 2.0.0 Done"),
            // RFC 5321 §3.5.3: neither confirms nor denies.
            "VRFY" => Answer::line("252 2.5.0 Send some mail, then look"),
            "HELP" => Answer::line("214 2.0.0 RFC 5321"),
            "QUIT" => Answer::line("221 2.0.0 Bye").then(Next::Close),
            // RFC 5321 §4.2.4
            _ => Answer::line("500 5.5.1 Unknown command"),
        }
    }

    fn capabilities(&self) -> Vec<String> {
        let mut lines =
            vec![format!("SIZE {SIZE}"), "PIPELINING".into(), "8BITMIME".into(), "ENHANCEDSTATUSCODES".into()];
        if !self.tls {
            lines.push("STARTTLS".into());
        }
        if self.core.may_log_in(self.tls) {
            let tokens = if self.core.store.knows_tokens() { " XOAUTH2 OAUTHBEARER" } else { "" };
            lines.push(format!("AUTH PLAIN LOGIN{tokens}"));
        }
        self.core.script.capabilities(self.origin, self.tls, lines)
    }

    /// RFC 5321 §4.1.1.1
    fn ehlo(&mut self, name: &str) -> Answer {
        if name.is_empty() {
            return Answer::line("501 5.5.4 EHLO wants a name");
        }
        (self.greeted, self.envelope) = (true, None);
        let mut lines = self.capabilities();
        let greeting = format!("sandbox.example.test greets {name}");
        let Some(last) = lines.pop() else {
            return Answer::line(format!("250 {greeting}"));
        };
        Answer {
            head: format!("250-{greeting}\r\n").into(),
            parts: lines.iter().map(|line| vec![format!("250-{line}\r\n").into()]).collect(),
            ..Answer::line(format!("250 {last}"))
        }
    }

    fn helo(&mut self, name: &str) -> Answer {
        if name.is_empty() {
            return Answer::line("501 5.5.4 HELO wants a name");
        }
        (self.greeted, self.envelope) = (true, None);
        Answer::line("250 sandbox.example.test")
    }

    /// RFC 3207 §4
    fn starttls(&self, arguments: &str) -> Answer {
        if !self.capabilities().iter().any(|line| line.eq_ignore_ascii_case("STARTTLS")) {
            return Answer::line("502 5.5.1 STARTTLS is not offered");
        }
        if self.tls {
            return Answer::line("503 5.5.1 TLS is on already");
        }
        if !arguments.is_empty() {
            return Answer::line("501 5.5.4 STARTTLS takes no parameters");
        }
        Answer::line("220 2.0.0 Ready for TLS").then(Next::Secure)
    }

    /// RFC 4954 §4
    fn auth(&mut self, arguments: &str) -> Answer {
        if !self.greeted || self.login.is_some() || self.envelope.is_some() {
            return Answer::line("503 5.5.1 AUTH comes once, after EHLO and before MAIL");
        }
        if !self.core.may_log_in(self.tls) {
            // RFC 3207 §4
            return Answer::line("530 5.7.0 STARTTLS before a login");
        }
        let (mechanism, initial) = split(arguments);
        // A single = is an empty initial response (RFC 4954 §4).
        let initial = match initial {
            "" => None,
            "=" => Some(""),
            other => Some(other),
        };
        let mechanism = mechanism.to_uppercase();
        if auth::BEARER.contains(&mechanism.as_str()) && self.core.store.knows_tokens() {
            return match initial {
                None => self.challenge(Expect::Bearer, "334 "),
                Some(response) => self.bearer(response.as_bytes()),
            };
        }
        match (mechanism.as_str(), initial) {
            ("PLAIN", None) => self.challenge(Expect::Plain, "334 "),
            ("PLAIN", Some(response)) => self.plain(response.as_bytes()),
            ("LOGIN", None) => self.challenge(Expect::LoginUser, "334 VXNlcm5hbWU6"),
            ("LOGIN", Some(response)) => self.login_user(response.as_bytes()),
            _ => Answer::line("504 5.5.4 PLAIN or LOGIN"),
        }
    }

    fn challenge(&mut self, expect: Expect, line: &str) -> Answer {
        self.expect = expect;
        Answer::line(line)
    }

    fn sasl(&mut self, response: &[u8]) -> Answer {
        let expect = std::mem::take(&mut self.expect);
        if response == b"*" {
            // RFC 4954 §4: the client cancels.
            return Answer::line("501 5.0.0 Login cancelled");
        }
        match expect {
            Expect::LoginUser => self.login_user(response),
            Expect::LoginPassword(user) => match auth::text(response) {
                Some(password) => self.judge(&user, &password),
                None => Answer::line("501 5.5.2 Not base64"),
            },
            Expect::Bearer => self.bearer(response),
            // RFC 7628 §3.2.3, RFC 4954 §6
            Expect::Refused => Answer::line("535 5.7.8 Wrong user name or access token"),
            Expect::Plain | Expect::Command | Expect::Data => self.plain(response),
        }
    }

    fn plain(&mut self, response: &[u8]) -> Answer {
        match auth::plain(response) {
            Some((user, password)) => self.judge(&user, &password),
            None => Answer::line("501 5.5.2 Not a PLAIN message in base64"),
        }
    }

    fn bearer(&mut self, response: &[u8]) -> Answer {
        let Some((user, token)) = auth::bearer(response) else {
            return Answer::line("501 5.5.2 Not a message with an access token");
        };
        self.login = self.core.store.login_by_token(&user, &token);
        match self.login {
            Some(_) => Answer::line("235 2.7.0 Welcome"),
            None => self.challenge(Expect::Refused, &format!("334 {}", auth::REFUSED_TOKEN)),
        }
    }

    fn login_user(&mut self, response: &[u8]) -> Answer {
        match auth::text(response) {
            Some(user) => self.challenge(Expect::LoginPassword(user), "334 UGFzc3dvcmQ6"),
            None => Answer::line("501 5.5.2 Not base64"),
        }
    }

    fn judge(&mut self, user: &str, password: &str) -> Answer {
        self.login = self.core.store.login(user, password);
        match self.login {
            // RFC 4954 §6
            Some(_) => Answer::line("235 2.7.0 Welcome"),
            None => Answer::line("535 5.7.8 Wrong user name or password"),
        }
    }

    /// RFC 5321 §4.1.1.2
    fn mail(&mut self, arguments: &str) -> Answer {
        if !self.greeted {
            return Answer::line("503 5.5.1 EHLO first");
        }
        if self.origin.service != Service::Smtp && self.login.is_none() {
            // RFC 6409 §4.3
            return Answer::line("530 5.7.0 Log in first");
        }
        if self.envelope.is_some() {
            return Answer::line("503 5.5.1 One MAIL at a time");
        }
        let Some((from, parameters)) = path(arguments, "FROM:") else {
            return Answer::line("501 5.5.4 MAIL FROM:<address>");
        };
        if !from.is_empty() && !is_address(from) {
            return Answer::line("501 5.1.7 Not an address");
        }
        for parameter in parameters.split_ascii_whitespace() {
            if let Some(refusal) = refuse_parameter(&parameter.to_uppercase()) {
                return Answer::line(refusal);
            }
        }
        self.envelope = Some(Envelope { from: from.to_owned(), recipients: Vec::new() });
        Answer::line("250 2.1.0 Sender ok")
    }

    /// RFC 5321 §4.1.1.3
    fn rcpt(&mut self, arguments: &str) -> Answer {
        let Some(envelope) = &mut self.envelope else {
            return Answer::line("503 5.5.1 MAIL first");
        };
        let Some((to, parameters)) = path(arguments, "TO:") else {
            return Answer::line("501 5.5.4 RCPT TO:<address>");
        };
        if !parameters.is_empty() {
            // RFC 5321 §4.1.1.11
            return Answer::line("555 5.5.4 No RCPT parameters here");
        }
        if !is_address(to) {
            return Answer::line("501 5.1.3 Not an address");
        }
        if !self.core.store.takes(to) {
            // RFC 3463 §3.2
            return Answer::line("550 5.1.1 No such mailbox");
        }
        if envelope.recipients.len() == RECIPIENTS {
            // RFC 5321 §4.5.3.1.10
            return Answer::line("452 4.5.3 Too many recipients");
        }
        envelope.recipients.push(to.to_owned());
        Answer::line("250 2.1.5 Recipient ok")
    }

    /// RFC 5321 §4.1.1.4
    fn begin_data(&mut self, arguments: &str) -> Answer {
        match &self.envelope {
            _ if !arguments.is_empty() => Answer::line("501 5.5.4 DATA takes no parameters"),
            None => Answer::line("503 5.5.1 MAIL first"),
            // RFC 5321 §3.3
            Some(envelope) if envelope.recipients.is_empty() => Answer::line("554 5.5.1 No valid recipients"),
            Some(_) => self.challenge(Expect::Data, "354 End with CRLF . CRLF"),
        }
    }

    fn data(&mut self, wire: &Bytes) -> Answer {
        self.expect = Expect::Command;
        let Some(envelope) = self.envelope.take() else {
            return Answer::line("503 5.5.1 MAIL first");
        };
        let bytes = unstuff(wire);
        if bytes.len() > SIZE {
            // RFC 1870 §6.3
            return Answer::line("552 5.3.4 Message too big");
        }
        if let Some(fault) = fault(&bytes) {
            return Answer::line(format!("554 5.6.0 {fault}"));
        }
        let accepted = self.core.store.accept(Received {
            session: self.origin.session,
            service: self.origin.service,
            tls: self.tls,
            login: self.login.clone(),
            from: envelope.from,
            recipients: envelope.recipients,
            bytes,
            wire: wire.clone(),
            at: OffsetDateTime::now_utc(),
        });
        match accepted {
            Ok(number) => Answer::line(format!("250 2.0.0 Accepted as {number}")),
            Err(error) => {
                tracing::error!(%error, "cannot keep a message");
                Answer::line("451 4.3.0 Cannot keep the message")
            }
        }
    }
}
