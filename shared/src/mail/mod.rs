//! Mail itself: the three protocols, and writing, reading and defusing messages. No storage, no HTTP, no use case.

pub mod auth;
pub mod compose;
pub mod connect;
pub mod error;
pub mod imap;
pub mod limits;
pub mod parse;
pub mod pop3;
pub mod sanitize;
mod sasl;
#[cfg(test)]
mod scripted;
pub mod smtp;
mod starttls;
mod tls;
pub mod wire;

pub use auth::Credential;
pub use connect::{Connection, Server, connect};
pub use error::{Error, Refusal};
pub use limits::Timeouts;
pub use tls::TlsFacts;
pub use wire::{BoxedStream, Deadline, Stream, Wire};
