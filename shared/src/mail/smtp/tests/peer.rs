//! A scripted SMTP server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use super::{credential, timeouts};
use crate::mail::error::Error;
use crate::mail::smtp::Client;
use crate::mail::wire::{Deadline, Wire};
use crate::model::Phase;

/// What a server does at one stage.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Says(Vec<u8>),
    /// Says this and closes.
    Parts(&'static str),
    Hangs,
    Closes,
}
pub(super) fn says(words: impl AsRef<[u8]>) -> Answer {
    Answer::Says(words.as_ref().to_vec())
}

/// A server that answers by stage and notes all it is told. A stage is a verb, `DOT` for the message, `SASL1` and
/// `SASL2` for answers to challenges; `RCPT` may be told apart by address, as in `RCPT TO:<a@b.test>`.
#[derive(Clone)]
pub(super) struct Peer {
    answers: HashMap<&'static str, Answer>,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Peer {
    pub(super) fn new(capabilities: &str) -> Self {
        let good = [
            ("HELO", "250 old.test\r\n"),
            ("AUTH", "235 2.7.0 in\r\n"),
            ("SASL1", "235 2.7.0 in\r\n"),
            ("MAIL", "250 2.1.0 ok\r\n"),
            ("RCPT", "250 2.1.5 ok\r\n"),
            ("DATA", "354 go\r\n"),
            ("DOT", "250 2.0.0 queued as 1\r\n"),
            ("RSET", "250 ok\r\n"),
            ("NOOP", "250 ok\r\n"),
            ("QUIT", "221 bye\r\n"),
        ];
        let answers = good.into_iter().chain([("EHLO", capabilities)]).map(|(stage, words)| (stage, says(words)));
        Self { answers: answers.collect(), heard: Arc::default() }
    }

    pub(super) fn simple() -> Self {
        Self::new("250-mail.test\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n")
    }

    pub(super) fn pipelining() -> Self {
        Self::new("250-mail.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 AUTH PLAIN\r\n")
    }

    pub(super) fn with(mut self, stage: &'static str, answer: Answer) -> Self {
        self.answers.insert(stage, answer);
        self
    }

    pub(super) fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }

    /// Starts the server and gives our end of a connection to it.
    pub(super) fn wire(&self) -> Wire<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        tokio::spawn(self.clone().serve(theirs));
        Wire::new(ours, Phase::Greeting, Deadline::after(Duration::from_secs(20)), Duration::from_secs(20))
    }

    pub(super) async fn client(&self) -> Result<Client<DuplexStream>, Error> {
        Client::greeted(self.wire(), "halfpenny.test", &credential(), timeouts()).await
    }

    async fn serve(self, stream: DuplexStream) {
        let mut stream = BufReader::new(stream);
        let (mut in_message, mut challenges) = (false, 0);
        loop {
            let mut line = Vec::new();
            if stream.read_until(b'\n', &mut line).await.unwrap_or(0) == 0 {
                return;
            }
            self.heard.lock().unwrap().extend_from_slice(&line);
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if in_message && line != "." {
                continue;
            }
            let verb = line.split(' ').next().unwrap_or_default().to_owned();
            let stage = match challenges {
                _ if in_message => "DOT",
                1 => "SASL1",
                2 => "SASL2",
                _ if self.answers.contains_key(line.as_str()) => &line,
                _ => &verb,
            };
            let words = match self.answers.get(stage) {
                Some(Answer::Says(words)) => words,
                Some(Answer::Parts(words)) => return stream.write_all(words.as_bytes()).await.unwrap_or_default(),
                Some(Answer::Hangs) => std::future::pending().await,
                Some(Answer::Closes) | None => return,
            };
            challenges = if words.starts_with(b"334") { challenges + 1 } else { 0 };
            in_message = stage == "DATA" && words.starts_with(b"354");
            if stream.write_all(words).await.is_err() {
                return;
            }
        }
    }
}
