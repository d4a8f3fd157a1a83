//! Protocols only: no storage, no HTTP, no use case.

pub mod auth;
pub mod error;
pub mod imap;
pub mod limits;
pub mod pop3;
#[cfg(test)]
mod scripted;
pub mod wire;

pub use auth::Credential;
pub use error::{Error, Refusal};
pub use limits::Timeouts;
pub use wire::{BoxedStream, Deadline, Stream, Wire};
