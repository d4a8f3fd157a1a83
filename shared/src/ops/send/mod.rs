//! Send: once a message is accepted it is durable, and each recipient ends in exactly one of sent, failed, unknown.
//!
//! | step | written | a crash after it |
//! |---|---|---|
//! | 1 compose, check | nothing | the caller has no answer and nothing happened |
//! | 2 files, body | objects without a row | the same; swept later |
//! | 3 claim: the row, if the key is free | queued, or sending by this invocation | the scheduler finds it in the due index |
//! | 4 connect, MAIL, RCPT, DATA up to 354 | nothing | the claim runs over, another attempt begins at 4 |
//! | 5 commit | the message may be handed over | nobody knows: unknown, never sent again unless `onUnknown` says so |
//! | 6 the message, the final dot, its reply | nothing | as 5 |
//! | 7 result | sent, partial, deferred, failed, unknown | – |
//! | 8 what follows ([`crate::ops::follow_up`]): copy, mark, or the doubt resolved | done, or its next turn | done again; each step looks first |
//!
//! The message is composed from its stored body at every attempt and is the same each time, byte for byte: Message-ID,
//! Date and boundaries follow from the row. Bodies of attachments are files; the stored body names them.

mod accept;
mod attempt;
mod batch;
pub(super) mod content;
mod deliver;
mod expand;
mod links;
mod merge;
pub mod outbox;
mod pace;
mod push;
pub(super) mod queue;
mod sources;
pub(super) mod verdicts;

pub use accept::{Accepted, IdempotencyKey, Sender, Wait, accept, rehearse};
pub use batch::{Post, Posted, batch};
pub(super) use content::readable;
pub use content::source;
pub use deliver::deliver;
pub use merge::merge;
pub use push::push;
