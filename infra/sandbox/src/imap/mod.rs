//! IMAP4rev1 (RFC 3501) with STARTTLS, SASL-IR, LITERAL+, UIDPLUS, MOVE, UNSELECT, SPECIAL-USE,
//! CONDSTORE and QRESYNC (RFC 7162; neither UNCHANGEDSINCE nor SELECT's QRESYNC), and where a rule offers it,
//! EMAILID of OBJECTID (RFC 8474).
//!
//! imap-codec parses the commands; answers are raw bytes, so that rules can malform them.
//! Left out: IDLE, ENVELOPE and BODYSTRUCTURE, making and renaming folders.
//!
//! `session` sorts the commands, `folders` answers about folders, `messages` about messages in the selected one, `fetch` and `search`
//! hold what their commands ask for, `view` is the client's idea of the selected folder.

mod fetch;
mod folders;
mod messages;
mod search;
mod session;
mod view;

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use imap_codec::CommandCodec;
use imap_codec::decode::{CommandDecodeError, Decoder as _};
use imap_codec::imap_types::auth::AuthMechanism;
use imap_codec::imap_types::command::{Command, CommandBody};
use imap_codec::imap_types::core::LiteralMode;

use crate::auth;
use crate::dialogue::{Dialogue, Input, Moment};
use crate::imap::session::{Outcome, Session};
use crate::imap::view::View;
use crate::script::Origin;
use crate::server::Core;
use crate::wire::{Answer, Next, Read, Wire};

/// The largest literal that is taken: a message of the size that SMTP takes.
const LITERAL: u32 = 50 * 1024 * 1024;

/// A challenge of AUTHENTICATE (RFC 3501 §6.2.2).
#[derive(Debug, Clone, Copy)]
enum Sasl {
    Plain,
    Bearer,
    /// Why a token is refused (RFC 7628 §3.2.3).
    Refused,
}

/// The state of an IMAP session (RFC 3501 §3).
#[derive(Debug)]
pub(crate) struct Imap {
    core: Arc<Core>,
    origin: Origin,
    tls: bool,
    /// The address of the mailbox, once logged in.
    login: Option<String>,
    /// The tag of an AUTHENTICATE whose response comes next, and what that answers.
    in_sasl: Option<(String, Sasl)>,
    selected: Option<View>,
    /// The client has enabled QRESYNC.
    qresync: bool,
    /// The command at hand asks for EMAILID.
    email_id: bool,
}

impl Dialogue for Imap {
    fn greeting(&mut self) -> Answer {
        Answer::line(format!("* OK [CAPABILITY {}] Halfpenny sandbox ready", self.capabilities()))
    }

    async fn read(&mut self, wire: &mut Wire) -> io::Result<Option<Input>> {
        if let Some((tag, _)) = &self.in_sasl {
            let tag = tag.clone();
            return Ok(match wire.line().await? {
                Read::Line(bytes) => Some(Input { moment: Moment::Sasl, verb: String::new(), tag, bytes }),
                Read::TooLong => Some(broken(Bytes::new())),
                Read::End => None,
            });
        }
        read_command(wire).await
    }

    fn handle(&mut self, input: &Input) -> Answer {
        match input.moment {
            Moment::Sasl => self.sasl(&input.tag, &input.bytes),
            Moment::Command => {
                let known = without_email_id(input);
                self.email_id = known.is_some();
                match CommandCodec::default().decode(known.as_deref().unwrap_or(&input.bytes)) {
                    Ok((_, command)) => self.command(command),
                    // RFC 3501 §7.1.3; without a tag the answer is untagged.
                    Err(_) if input.tag.is_empty() => Answer::line("* BAD No command"),
                    Err(_) => Answer::line(format!("{} BAD Not understood", input.tag)),
                }
            }
            Moment::Data | Moment::Broken => Answer::line("* BYE [TOOBIG] Too long").then(Next::Close),
        }
    }

    fn passed_over(&mut self, _: &Input) {
        self.in_sasl = None;
    }

    fn secured(&mut self) {
        // RFC 3501 §6.2.1: the client forgets the capabilities, the server its state.
        *self = Self { tls: true, ..Self::new(Arc::clone(&self.core), self.origin) };
    }
}

/// Reads a command with its literals (RFC 3501 §4.3, RFC 7888 §3).
async fn read_command(wire: &mut Wire) -> io::Result<Option<Input>> {
    let mut command = BytesMut::new();
    loop {
        match wire.line().await? {
            Read::Line(line) => command.extend_from_slice(&line),
            Read::TooLong => return Ok(Some(broken(command.freeze()))),
            Read::End => return Ok(None),
        }
        let Err(CommandDecodeError::LiteralFound { length, mode, .. }) = CommandCodec::default().decode(&command)
        else {
            let bytes = command.freeze();
            let (tag, verb) = name(&bytes);
            return Ok(Some(Input { moment: Moment::Command, verb, tag, bytes }));
        };
        if length > LITERAL {
            return Ok(Some(broken(command.freeze())));
        }
        if mode == LiteralMode::Sync {
            wire.send(b"+ Go on\r\n").await?;
        }
        match wire.exactly(usize::try_from(length).unwrap_or(usize::MAX)).await? {
            Some(literal) => command.extend_from_slice(&literal),
            None => return Ok(None),
        }
    }
}

/// A FETCH without the item EMAILID (RFC 8474 §5.1), which imap-codec does not know; none where it does not ask for it.
fn without_email_id(input: &Input) -> Option<Vec<u8>> {
    const ITEM: &[u8] = b" EMAILID";
    let at = memchr::memmem::find(&input.bytes, ITEM).filter(|_| input.verb.ends_with("FETCH"))?;
    Some([&input.bytes[..at], &input.bytes[at + ITEM.len()..]].concat())
}

fn broken(bytes: Bytes) -> Input {
    Input { moment: Moment::Broken, verb: String::new(), tag: "*".to_owned(), bytes }
}

/// Tag and command, `UID` included, of whatever came.
fn name(command: &[u8]) -> (String, String) {
    let line = command.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let tag = words.next().unwrap_or_default().to_owned();
    let verb = words.next().unwrap_or_default().to_uppercase();
    match (verb.as_str(), words.next()) {
        ("UID", Some(what)) => (tag, format!("UID {}", what.to_uppercase())),
        _ => (tag, verb),
    }
}

impl Imap {
    pub(crate) fn new(core: Arc<Core>, origin: Origin) -> Self {
        let tls = origin.service.implicit_tls();
        Self { core, origin, tls, login: None, in_sasl: None, selected: None, qresync: false, email_id: false }
    }

    fn capabilities(&self) -> String {
        let always = ["IMAP4rev1", "SASL-IR", "LITERAL+", "UIDPLUS", "MOVE", "UNSELECT", "SPECIAL-USE"];
        let mut words: Vec<String> = always.map(Into::into).to_vec();
        if self.login.is_some() {
            words.extend(["ENABLE", "CONDSTORE", "QRESYNC"].map(Into::into));
        }
        if self.login.is_none() {
            if !self.tls {
                words.push("STARTTLS".to_owned());
            }
            let login = if self.core.may_log_in(self.tls) { "AUTH=PLAIN" } else { "LOGINDISABLED" };
            words.push(login.to_owned());
            if self.core.may_log_in(self.tls) && self.core.store.knows_tokens() {
                words.extend(auth::BEARER.map(|mechanism| format!("AUTH={mechanism}")));
            }
        }
        self.core.script.capabilities(self.origin, self.tls, words).join(" ")
    }

    fn command(&mut self, command: Command<'_>) -> Answer {
        let tag = command.tag.as_ref();
        let outcome = match command.body {
            // RFC 3501 §6.1
            CommandBody::Capability => Outcome::new("OK Done").untagged(format!("CAPABILITY {}", self.capabilities())),
            CommandBody::Logout => {
                return Outcome::new("OK Bye").untagged("BYE Logging out").tagged(tag).then(Next::Close);
            }
            CommandBody::StartTLS => return self.starttls(tag),
            CommandBody::Login { .. } | CommandBody::Authenticate { .. } if self.login.is_some() => {
                Outcome::new("BAD Logged in already")
            }
            CommandBody::Login { .. } | CommandBody::Authenticate { .. } if !self.core.may_log_in(self.tls) => {
                // RFC 5530 §3
                Outcome::new("NO [PRIVACYREQUIRED] TLS before a login")
            }
            CommandBody::Login { username, password } => {
                let user = String::from_utf8_lossy(username.as_ref()).into_owned();
                self.judge(&user, &String::from_utf8_lossy(password.declassify().as_ref()))
            }
            CommandBody::Authenticate { mechanism, initial_response } => {
                let by_token = matches!(mechanism, AuthMechanism::XOAuth2 | AuthMechanism::OAuthBearer);
                let step = match mechanism {
                    AuthMechanism::Plain => Sasl::Plain,
                    _ if by_token && self.core.store.knows_tokens() => Sasl::Bearer,
                    _ => return Outcome::new("NO PLAIN only").tagged(tag),
                };
                let Some(response) = initial_response else {
                    self.in_sasl = Some((tag.to_owned(), step));
                    return Answer::line("+ ");
                };
                // RFC 4959 §3
                let response = String::from_utf8_lossy(response.declassify()).into_owned();
                match step {
                    Sasl::Bearer => return self.bearer(tag, auth::bearer_message(&response)),
                    Sasl::Plain | Sasl::Refused => self.plain(auth::plain_message(&response)),
                }
            }
            body => self.authenticated(body),
        };
        outcome.tagged(tag)
    }

    /// RFC 3501 §6.2.1
    fn starttls(&self, tag: &str) -> Answer {
        let offered = self.capabilities().split(' ').any(|word| word.eq_ignore_ascii_case("STARTTLS"));
        if self.tls || !offered {
            return Answer::line(format!("{tag} BAD STARTTLS is not offered"));
        }
        Answer::line(format!("{tag} OK Ready for TLS")).then(Next::Secure)
    }

    /// RFC 3501 §6.2.2; a lone `*` cancels and is no PLAIN message either.
    fn sasl(&mut self, tag: &str, line: &[u8]) -> Answer {
        let line = line.trim_ascii_end();
        match self.in_sasl.take() {
            Some((_, Sasl::Bearer)) => self.bearer(tag, auth::bearer(line)),
            // RFC 5530 §3
            Some((_, Sasl::Refused)) => {
                Outcome::new("NO [AUTHENTICATIONFAILED] Wrong user name or access token").tagged(tag)
            }
            Some((_, Sasl::Plain)) | None => self.plain(auth::plain(line)).tagged(tag),
        }
    }

    /// RFC 7628 §3.2: a refusal is explained first.
    fn bearer(&mut self, tag: &str, credentials: Option<(String, String)>) -> Answer {
        let Some((user, token)) = credentials else {
            return Outcome::new("BAD Not a message with an access token").tagged(tag);
        };
        self.login = self.core.store.login_by_token(&user, &token);
        if self.login.is_none() {
            self.in_sasl = Some((tag.to_owned(), Sasl::Refused));
            return Answer::line(format!("+ {}", auth::REFUSED_TOKEN));
        }
        Outcome::new(format!("OK [CAPABILITY {}] Welcome", self.capabilities())).tagged(tag)
    }

    fn plain(&mut self, credentials: Option<(String, String)>) -> Outcome {
        match credentials {
            Some((user, password)) => self.judge(&user, &password),
            None => Outcome::new("BAD Not a PLAIN message"),
        }
    }

    fn judge(&mut self, user: &str, password: &str) -> Outcome {
        self.login = self.core.store.login(user, password);
        match self.login {
            Some(_) => Outcome::new(format!("OK [CAPABILITY {}] Welcome", self.capabilities())),
            // RFC 5530 §3
            None => Outcome::new("NO [AUTHENTICATIONFAILED] Wrong user name or password"),
        }
    }

    fn authenticated(&mut self, body: CommandBody<'_>) -> Outcome {
        let Some(address) = &self.login else {
            return match body {
                CommandBody::Noop => Outcome::new("OK Done"),
                _ => Outcome::new("BAD Log in first"),
            };
        };
        // RFC 3501 §7.4.1: numbers must not shift under a command that uses them.
        let numbered = matches!(
            body,
            CommandBody::Fetch { uid: false, .. }
                | CommandBody::Store { uid: false, .. }
                | CommandBody::Search { uid: false, .. }
        );
        let mut session = Session {
            core: &self.core,
            address,
            selected: &mut self.selected,
            qresync: &mut self.qresync,
            email_id: self.email_id,
        };
        let mut outcome = session.run(body);
        if !numbered {
            outcome.parts.extend(session.news());
        }
        outcome
    }
}
