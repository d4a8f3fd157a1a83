use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::client::Client;
use super::{ADA, MESSAGE, options};
use crate::{Options, Sandbox, Service};

/// A directory that goes with the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let dir = std::env::temp_dir().join(format!("halfpenny-sandbox-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

async fn open(dir: &Scratch) -> Sandbox {
    Sandbox::start(Options { data: Some(dir.path().to_owned()), ..options() }).await.unwrap()
}

/// What is on disk after each answer is all that a killed sandbox needs: nothing is written at the end.
#[tokio::test]
async fn everything_acknowledged_is_found_again() {
    let dir = Scratch::new();
    let first = open(&dir).await;
    let mut smtp = Client::connect(&first, Service::Smtp).await;
    smtp.send("EHLO test\r\nMAIL FROM:<b@elsewhere.test>\r\nRCPT TO:<ada@example.test>\r\nRCPT TO:<c@elsewhere.test>\r\nDATA\r\n").await;
    while !smtp.line().await.starts_with("354") {}
    smtp.send(b"From: bob@elsewhere.test\r\nSubject: Hello\r\n\r\n..dot\r\nbody\r\n.\r\n").await;
    assert!(smtp.line().await.starts_with("250"));
    for text in ["second", "third", "last"] {
        first.deliver(ADA, format!("\r\n{text}\r\n")).unwrap();
    }
    let mut imap = Client::logged_in(&first, Service::Imaps).await;
    imap.command("a SELECT INBOX").await;
    imap.command("b UID STORE 2 +FLAGS (\\Seen $Kept)").await;
    imap.command("c UID STORE 3,4 +FLAGS (\\Deleted)").await;
    assert!(imap.command("d UID EXPUNGE 3:4").await.contains("d OK"));
    let (messages, received) = (first.messages(ADA), first.received());

    // As after a kill: the first one is not shut down.
    let second = open(&dir).await;
    assert_eq!(messages[0].bytes, MESSAGE);
    assert_eq!(messages.len(), 2);
    assert_eq!(second.messages(ADA), messages);
    let again = second.received();
    assert_eq!(again.len(), 1);
    assert_eq!((&again[0].bytes, &again[0].recipients), (&received[0].bytes, &received[0].recipients));
    // No UID is given twice, not even that of an expunged last message.
    assert_eq!(second.deliver(ADA, MESSAGE).unwrap(), 5);
    first.shutdown().await;
}

#[tokio::test]
async fn half_written_messages_do_not_exist() {
    let dir = Scratch::new();
    let first = open(&dir).await;
    first.deliver(ADA, MESSAGE).unwrap();
    first.shutdown().await;
    let inbox = dir.path().join("mail").join(ADA).join("INBOX");
    std::fs::write(inbox.join("2.eml"), "half").unwrap();
    std::fs::write(inbox.join("2.json.new"), "{\"uid").unwrap();
    let second = open(&dir).await;
    assert_eq!(second.messages(ADA).len(), 1);
    assert_eq!(second.deliver(ADA, MESSAGE).unwrap(), 2);
    assert_eq!(second.messages(ADA)[1].bytes, MESSAGE);
}
