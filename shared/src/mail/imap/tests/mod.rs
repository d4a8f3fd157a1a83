//! Every rule and every trap, against scripted servers.

mod changing;
mod fetching;
mod folders;
mod signing_in;

use tokio::io::DuplexStream;

use super::*;
use crate::mail::scripted::{Peer, bob, scripted};

const GREETING: &[u8] = b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready";
const SIGN_IN: &str = "a1 AUTHENTICATE PLAIN AGJvYgBzZWNyZXQ=\r\n";

/// A session of a server with these capabilities; the script's first command has the tag `a2`.
pub(super) async fn opened(capabilities: &str, turns: &[(&str, &str)]) -> (Client<DuplexStream>, Peer) {
    opened_bytes(capabilities, turns.iter().map(|(question, answer)| (*question, answer.as_bytes()))).await
}

async fn opened_bytes<'a>(
    capabilities: &str,
    turns: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> (Client<DuplexStream>, Peer) {
    let welcome = format!("a1 OK [CAPABILITY IMAP4rev1 {capabilities}] welcome\r\n");
    let turns = turns.into_iter().map(|(question, answer)| (question, answer.to_vec()));
    let (wire, peer) = scripted([(SIGN_IN, welcome.into_bytes())].into_iter().chain(turns));
    (login(wire, GREETING, &bob("secret")).await.unwrap(), peer)
}
