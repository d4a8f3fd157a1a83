//! What each reply at each stage means to one message with one recipient.

use super::peer::Answer::{self, Closes, Hangs, Parts};
use super::peer::says;
use crate::mail::limits::REPLY_BYTES;

/// Stage, reply, verdict.
pub(super) type Case = (&'static str, Answer, &'static str);

fn endless() -> Answer {
    says("250-x\r\n".repeat(REPLY_BYTES / 6))
}

/// The whole table.
pub(super) fn all() -> Vec<Case> {
    [opening_replies(), envelope_replies(), message_replies()].concat()
}

/// What a reply means before there is a transaction.
fn opening_replies() -> Vec<Case> {
    vec![
        // EHLO: only its absence is forgiven (RFC 5321 §3.2).
        ("EHLO", says("250 mail.test\r\n"), "open AuthUnavailable never"),
        ("EHLO", says("250-mail.test\r\n250 AUTH CRAM-MD5\r\n"), "open AuthUnavailable never"),
        ("EHLO", says("250-mail.test\r\n250 AUTH=LOGIN PLAIN\r\n"), "sent 250"),
        ("EHLO", says("250-mail.test\n250 auth plain\n"), "sent 250"),
        ("EHLO", says("421 4.3.2 closing\r\n"), "open GreetingFailed later"),
        ("EHLO", says("450 busy\r\n"), "open GreetingFailed later"),
        ("EHLO", says("354 what\r\n"), "open ProtocolError later"),
        ("EHLO", says("hello\r\n"), "open ProtocolError later"),
        ("EHLO", endless(), "open ProtocolError later"),
        ("EHLO", says("250-a\r\n550 b\r\n"), "open ProtocolError later"),
        ("EHLO", Closes, "open ProtocolError later"),
        ("EHLO", Hangs, "open Timeout later"),
        // AUTH (RFC 4954 §6): only 535 counts against the account.
        ("AUTH", says("535 5.7.8 wrong\r\n"), "open AuthFailed never"),
        ("AUTH", says("535-5.7.8 wrong\r\n535 5.7.8 really\r\n"), "open AuthFailed never"),
        ("AUTH", says("535\r\n"), "open AuthFailed never"),
        ("AUTH", says("550 5.7.8 wrong\r\n"), "open AuthFailed never"),
        ("AUTH", says("454 4.7.0 later\r\n"), "open AuthUnavailable later"),
        ("AUTH", says("421 4.7.0 too many\r\n"), "open AuthUnavailable later"),
        ("AUTH", says("504 5.5.4 mechanism\r\n"), "open AuthUnavailable never"),
        ("AUTH", says("534 5.7.9 too weak\r\n"), "open AuthUnavailable never"),
        ("AUTH", says("538 5.7.11 encrypt\r\n"), "open AuthUnavailable never"),
        ("AUTH", says("334 \r\n"), "sent 250"),
        ("AUTH", says("354 go\r\n"), "open ProtocolError later"),
        ("AUTH", says("235 in\r\n250 surplus\r\n"), "envelope ProtocolError later"),
        ("AUTH", Closes, "open ProtocolError later"),
        ("AUTH", Hangs, "open Timeout later"),
    ]
}

/// What a reply means to the envelope.
fn envelope_replies() -> Vec<Case> {
    vec![
        // MAIL
        ("MAIL", says("250\r\n"), "sent 250"),
        ("MAIL", says("451 4.3.0 later\r\n"), "envelope MessageRejected later"),
        ("MAIL", says("550 5.7.1 not you\r\n"), "envelope MessageRejected never"),
        ("MAIL", says("552 5.3.4 too big\r\n"), "envelope MessageRejected never"),
        ("MAIL", says("530 5.7.0 sign in\r\n"), "envelope MessageRejected never"),
        ("MAIL", says("421 4.7.0 closing\r\n"), "envelope MessageRejected later"),
        ("MAIL", says("354 go\r\n"), "envelope ProtocolError later"),
        ("MAIL", says("650 ok\r\n"), "envelope ProtocolError later"),
        ("MAIL", says("2x0 ok\r\n"), "envelope ProtocolError later"),
        ("MAIL", says("\r\n"), "envelope ProtocolError later"),
        ("MAIL", Closes, "envelope ProtocolError later"),
        ("MAIL", Hangs, "envelope Timeout later"),
        // RCPT
        ("RCPT", says("251 will forward\r\n"), "sent 250"),
        ("RCPT", says("450 4.2.1 greylisted\r\n"), "recipient 450 later"),
        ("RCPT", says("452 4.5.3 too many\r\n"), "recipient 452 later"),
        ("RCPT", says("550 5.1.1 unknown\r\n"), "recipient 550 never"),
        ("RCPT", says("550-5.1.1 no\r\n550-5.1.1 such\r\n550 5.1.1 user\r\n"), "recipient 550 never"),
        ("RCPT", says("553\r\n"), "recipient 553 never"),
        ("RCPT", says("421 4.4.5 closing\r\n"), "envelope RecipientRejected later"),
        ("RCPT", says("334 what\r\n"), "envelope ProtocolError later"),
        ("RCPT", says("250 ok\r\n250 surplus\r\n"), "data ProtocolError later"),
        ("RCPT", says("250 ok\r\n421 closing\r\n"), "data ProtocolError later"),
        ("RCPT", Closes, "envelope ProtocolError later"),
        ("RCPT", Hangs, "envelope Timeout later"),
    ]
}

/// What a reply means to the message.
fn message_replies() -> Vec<Case> {
    let latin1: &[u8] = b"250 angenommen f\xfcr Sie\r\n";
    vec![
        // DATA: nothing was handed over.
        ("DATA", says("250 ok\r\n"), "data ProtocolError later"),
        ("DATA", says("334 go\r\n"), "data ProtocolError later"),
        ("DATA", says("451 4.3.0 later\r\n"), "data MessageRejected later"),
        ("DATA", says("503 5.5.1 sequence\r\n"), "data MessageRejected never"),
        ("DATA", says("554 5.5.1 no valid recipients\r\n"), "data MessageRejected never"),
        ("DATA", says("421 4.3.2 closing\r\n"), "data MessageRejected later"),
        ("DATA", Closes, "data ProtocolError later"),
        ("DATA", Hangs, "data Timeout later"),
        ("DATA", says("354\r\n"), "sent 250"),
        ("DATA", says("354-go\r\n354 on\r\n"), "sent 250"),
        // Replies that come before the message: a refusal counts, an acceptance cannot.
        ("DATA", says("354 go\r\n250 queued\r\n"), "not handed over ProtocolError later"),
        ("DATA", says("354 go\r\n552 5.3.4 too big\r\n"), "refused 552 never"),
        ("DATA", says("354 go\r\n421 4.3.2 closing\r\n"), "refused 421 later"),
        ("DATA", Parts("354 go\r\n"), "not handed over ProtocolError later"),
        ("DATA", Parts("354 go\r\n421 4.3.2 closing\r\n"), "refused 421 later"),
        // The final dot: only 250 is sent, and what is not a refusal is not known.
        ("DOT", says("250\r\n"), "sent 250"),
        ("DOT", says("250 2.0.0 ok\n"), "sent 250"),
        ("DOT", says(latin1), "sent 250"),
        ("DOT", says("250-2.0.0 queued\r\n250 2.0.0 as 4711\r\n"), "sent 250"),
        ("DOT", says("251-queued\r\n250 ok\r\n"), "sent 250"),
        ("DOT", says("250 ok\r\n550 surplus\r\n"), "sent 250"),
        ("DOT", says("251 ok\r\n"), "unknown ProtocolError later"),
        ("DOT", says("299 ok\r\n"), "unknown ProtocolError later"),
        ("DOT", says("354 go\r\n"), "unknown ProtocolError later"),
        ("DOT", says("334 go\r\n"), "unknown ProtocolError later"),
        ("DOT", says("150 hm\r\n"), "unknown ProtocolError later"),
        ("DOT", says("650 ok\r\n"), "unknown ProtocolError later"),
        ("DOT", says("queued\r\n"), "unknown ProtocolError later"),
        ("DOT", says("250ok\r\n"), "unknown ProtocolError later"),
        ("DOT", says("250-ok\r\nqueued\r\n"), "unknown ProtocolError later"),
        ("DOT", says("250-ok\r\n554 no\r\n"), "unknown ProtocolError later"),
        ("DOT", says("250-ok\r\n"), "unknown Timeout later"),
        ("DOT", says("250 ok"), "unknown Timeout later"),
        ("DOT", says("421 4.3.2 closing\r\n"), "refused 421 later"),
        ("DOT", says("451 4.3.0 later\r\n"), "refused 451 later"),
        ("DOT", says("550 5.7.1 spam\r\n"), "refused 550 never"),
        ("DOT", says("554-5.7.1 spam\r\n554 5.7.1 indeed\r\n"), "refused 554 never"),
        ("DOT", says("554\r\n"), "refused 554 never"),
        ("DOT", endless(), "unknown ProtocolError later"),
        ("DOT", Closes, "unknown ProtocolError later"),
        ("DOT", Hangs, "unknown Timeout later"),
    ]
}
