//! Every limit of the three protocols, each with its reason. Tested at N and N + 1 where it is enforced.

use std::time::Duration;

/// Longest line that we read from a server. RFC 5321 §4.5.3.1.5 allows 512 bytes, RFC 1939 §3 512, and
/// RFC 7162 §4 asks IMAP clients for 8,192; real servers send capability and FETCH lines of tens of kilobytes.
pub const LINE_BYTES: usize = 64 << 10;

/// Largest SMTP reply, all its lines together: an endless multi-line reply must not fill the memory.
pub const REPLY_BYTES: usize = 100 << 10;

/// Most untagged IMAP lines that one command may bring beside the messages it asked for.
pub const UNTAGGED_LINES: usize = 250_000;

/// Most messages that a mailbox listing (POP3 UIDL and LIST, IMAP UID ranges) may have.
pub const LISTED_MESSAGES: usize = 2_000_000;

/// Most messages of a POP3 maildrop: each poll with news reads the whole list, and a function of 128 MB holds it.
pub const POP3_LISTED: usize = 250_000;

/// Largest POP3 list, its lines together: RFC 1939 §7 allows a UIDL 70 characters.
pub const POP3_LIST_BYTES: usize = 24 << 20;

/// Longest sequence set in one IMAP command: RFC 7162 §4 lets servers refuse lines of over 8,192 bytes.
pub const SET_BYTES: usize = 8_000;

/// Largest literal that is sent without waiting for the server's `+` (RFC 7888 §5); for anything larger a round trip
/// is cheap beside sending what the server then refuses.
pub const EAGER_LITERAL_BYTES: usize = 4_096;

/// Pieces in which large literals are written: each has its own patience.
pub const WRITE_BYTES: usize = 64 << 10;

/// How long the rest of an answer may take once an IMAP server has said BYE.
pub const AFTER_BYE: Duration = Duration::from_secs(5);

/// Messages up to this size are fetched in one literal; larger ones in parts of this size, because a part bounds
/// the memory whatever the server announces, and 4 MB parts run at the full speed of the line.
pub const FETCH_PART_BYTES: u64 = 4 << 20;

/// Commands in flight when pipelining POP3 RETR (RFC 2449 §6.6): the best of the measured depths, and 64 lines of
/// 10 bytes fit into any socket buffer, so that the peer's full window can never dead-lock us.
pub const POP3_PIPELINE: usize = 64;

/// How far a POP3 message is read on that is larger than its list said and than the caller takes: another session costs
/// about as much, and nobody knows whether such an answer ends at all.
pub const POP3_EXCESS_BYTES: u64 = 1 << 20;

/// Most lines in the answer to POP3 CAPA: the registry has some twenty.
pub const CAPABILITY_LINES: usize = 1_000;

/// Longest POP3 command line with an initial SASL response (RFC 2449 §4, RFC 5034 §4); above, the response waits for
/// the server's `+`.
pub const POP3_COMMAND_BYTES: usize = 255;

/// MAIL and RCPT commands in flight when pipelining (RFC 2920 §3.1): commands and replies of this many recipients
/// stay below the smallest usual socket buffer, so that no peer's full window can dead-lock us.
pub const SMTP_PIPELINE: usize = 100;

/// Characters of a server's reply that are shown to callers.
pub const SHOWN_REPLY_CHARS: usize = 200;

/// Characters of a line that a transcript shows: capabilities of IMAP need some 500.
pub const TRACE_LINE_CHARS: usize = 1_000;

/// Most lines of a transcript: a dialogue up to the first folder has some 40; an endless answer must not fill memory.
pub const TRACE_LINES: usize = 400;

/// How long a server may take, by kind of wait.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Name, TCP, greeting and TLS together.
    pub connect: Duration,
    /// Any single reply or read after that.
    pub reply: Duration,
    /// The reply to the final dot (RFC 5321 §4.5.3.2.6 asks for 10 minutes).
    pub dot: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(30), reply: Duration::from_secs(60), dot: Duration::from_secs(600) }
    }
}
