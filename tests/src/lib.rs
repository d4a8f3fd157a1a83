//! The harness of the black box tests: it starts the built service and real mail servers, and looks at what they did.
//!
//! | room | holds |
//! |---|---|
//! | [`service`] | the built `local` binary as a child process: start, kill, restart, its functions' processes |
//! | [`client`] | HTTP: ask, and hold the answer to its status and shape |
//! | [`aws`] | what lies in DynamoDB, S3 and Secrets Manager, through the real SDKs |
//! | [`peer`] | the sandbox as a misbehaving mail server, and settings that point at it |
//! | [`dovecot`], [`postfix`] | real servers as private instances on loopback |
//! | [`corpus`] | messages: ordinary, odd, large, in eight charsets |
//! | [`mailbox`] | a mailbox at a server and the account that pulls it |
//! | [`faults`] | the fault run: kill -9 at random moments of a pull |
//! | [`proofs`] | kill at every write, many pullers, other epochs, cut connections, broken storage, poison |
//! | [`runtime`] | a function as a process of the test's own |
//! | [`proxy`] | a faulty way to AWS |
//! | [`checker`] | the invariants of a pull, judged from its end state by somebody who knows what was there |
//! | [`sends`], [`send_checker`] | the same of sending: what was accepted, what the table says, what the server has |
//! | [`searching`] | what a search takes in a large mailbox |
//! | [`canary`] | a secret and every form it could leak in |
//! | [`oauth`] | an OAuth 2.0 token endpoint that rotates its tokens, and a token server |
//! | [`web`] | a web server that answers with any bytes |
//! | [`guard`], [`dir`], [`random`] | child processes that end with the test, directories, numbers from a seed |
//!
//! Everything: `./tests/run`. Some of it: `cargo build --workspace --bins && cargo test --workspace --test blackbox NAME`.
//! Too slow for every change: `target/debug/kills imap 10000 200` ([`faults`], also `pop3` and `pop3-no-uidl`, also
//! against Dovecot, also `kills send 10000 200`: [`sends`]), `target/debug/proofs all` ([`proofs`]),
//! `target/debug/searches 100000` ([`searching`]), and `tests/mutants.sh`, which proves that the fault run sees a wrong order of steps. `HALFPENNY_SEED` repeats a run; what
//! the last run wrote and logged stays under the system's temporary directory, in `hp-*`.
//!
//! It links neither the functions nor `shared` nor `local`: what a test knows, it was told over a wire. Expected JSON
//! is written by hand. Waiting is for a condition, with a deadline, and never for a time.

// All of this is test code: what goes wrong in it has to end the test, with its place and reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::missing_panics_doc
)]

pub mod aws;
pub mod canary;
pub mod checker;
pub mod client;
pub mod corpus;
pub mod dir;
pub mod dovecot;
pub mod faults;
pub mod guard;
pub mod mailbox;
pub mod oauth;
pub mod peer;
pub mod postfix;
pub mod proofs;
pub mod proxy;
pub mod random;
pub mod receiver;
pub mod runtime;
pub mod searching;
pub mod send_checker;
pub mod sends;
pub mod service;
pub mod web;

use std::time::{Duration, Instant};

/// How long anything may take that normally takes a second: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until there is an answer; panics with `what` when [`PATIENCE`] is over.
pub async fn until<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, ask).await
}

/// Asks until there is an answer, for a time of one's own.
pub async fn within<T>(patience: Duration, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < patience, "waited {patience:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// SHA-256 in lower-case hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}
