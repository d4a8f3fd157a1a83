//! A mail server for tests that says what its script says, and checks every byte that it is told.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use super::auth::Credential;
use super::wire::{Deadline, Wire};
use crate::model::Phase;

/// The peer's side. Await it by [`Peer::done`] at the end: that is when it asserts.
pub(crate) struct Peer(JoinHandle<()>);

/// Starts a peer. In each turn it reads exactly the first bytes, and then writes the second. After the last it
/// closes its side, and whatever it is told then is a failure.
pub(crate) fn scripted<Q: AsRef<[u8]>, A: AsRef<[u8]>>(
    turns: impl IntoIterator<Item = (Q, A)>,
) -> (Wire<DuplexStream>, Peer) {
    let (ours, mut theirs) = tokio::io::duplex(64 << 10);
    let turns: Vec<_> =
        turns.into_iter().map(|(question, answer)| (question.as_ref().to_vec(), answer.as_ref().to_vec())).collect();
    let peer = tokio::spawn(async move {
        for (question, answer) in turns {
            let mut got = vec![0; question.len()];
            let read = tokio::time::timeout(Duration::from_secs(5), theirs.read_exact(&mut got)).await;
            assert!(matches!(read, Ok(Ok(_))), "wanted {:?}, got {:?}", text(&question), text(&got));
            assert_eq!(text(&got), text(&question));
            // A client that has seen enough may be gone.
            let _ = theirs.write_all(&answer).await;
        }
        let _ = theirs.shutdown().await;
        let mut rest = Vec::new();
        let _ = theirs.read_to_end(&mut rest).await;
        assert_eq!(text(&rest), "", "told after the end of the script");
    });
    let wire = Wire::new(ours, Phase::Greeting, Deadline::after(Duration::from_secs(10)), Duration::from_secs(5));
    (wire, Peer(peer))
}

impl Peer {
    /// Waits until the client is gone; fails where the dialogue was not the script.
    pub(crate) async fn done(self) {
        self.0.await.unwrap();
    }
}

/// The credential of all scripts.
pub(crate) fn bob(password: &str) -> Credential {
    Credential::Password { username: "bob".into(), password: password.into() }
}

/// The same mailbox by access token.
pub(crate) fn bob_by_token(token: &str) -> Credential {
    Credential::Bearer { username: "bob".into(), token: token.into() }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
