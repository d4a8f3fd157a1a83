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

mod engine;
mod rule;

pub use engine::Fired;
pub(crate) use engine::{Event, Origin, Script};
pub use rule::Rule;
pub(crate) use rule::{Ending, Plan, Size, Stall, Uidl};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
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
    pub const ALL: [Self; 7] =
        [Self::Smtp, Self::Submission, Self::Smtps, Self::Pop3, Self::Pop3s, Self::Imap, Self::Imaps];

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
