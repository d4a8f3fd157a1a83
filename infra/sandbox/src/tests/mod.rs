//! The sandbox seen from its clients: raw dialogues over real sockets.

mod client;
mod faults;
mod imap;
mod persistence;
mod pop3;
mod smtp;
mod tls;

use crate::{Options, Sandbox, User};

pub(crate) const ADA: &str = "ada@example.test";
pub(crate) const PASSWORD: &str = "lovelace 1815";
pub(crate) const MESSAGE: &[u8] = b"From: bob@elsewhere.test\r\nSubject: Hello\r\n\r\n.dot\r\nbody\r\n";

pub(crate) fn options() -> Options {
    let user = |address: &str| User { address: address.to_owned(), password: PASSWORD.to_owned() };
    Options { users: vec![user(ADA), user("bob@example.test")], ..Options::default() }
}

pub(crate) async fn start() -> Sandbox {
    Sandbox::start(options()).await.unwrap()
}
