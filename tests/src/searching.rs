//! What a search takes in a large mailbox: exact counts, and its time beside that of looking through all rows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::client::Client;
use crate::peer::{Peer, Receive, Way};
use crate::random::Random;
use crate::service::{Options, Service};

/// Different words of all messages but the special ones.
const VOCABULARY: u64 = 50_000;

/// Words of one text.
const WORDS: usize = 60;

/// Each search is made so many times; the middle one counts.
const TIMES: usize = 5;

/// Most requests of S3 for one search, whatever is searched for: some twelve segments, three to five each.
pub const MOST_REQUESTS: u64 = 80;

/// Most units of reading for one search: the tail of the index, and a page of 20 rows.
pub const MOST_UNITS: u64 = 400;

/// What was measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// What was asked.
    pub query: &'static str,
    /// How many messages the page shows.
    pub shown: usize,
    /// GETs of S3.
    pub requests: u64,
    /// Bytes that they brought.
    pub bytes: u64,
    /// Units of reading of DynamoDB.
    pub units: f64,
    /// The middle time.
    pub time: Duration,
}

/// A mailbox of so many messages.
#[derive(Debug)]
pub struct Mailbox {
    service: Service,
    client: Client,
    peer: Peer,
    path: String,
    stored: usize,
}

impl Mailbox {
    /// An empty one, with nobody else at the service.
    pub async fn start() -> Self {
        let parameters = [("TickRate", "rate(1 hour)"), ("TickSeconds", "60"), ("LeaseSeconds", "60")];
        let parameters = parameters.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        let service = Service::start(Options { parameters, ..Options::default() }).await;
        let (_, client) = service.tenant();
        let peer = Peer::start().await;
        let path = "/v1/accounts/mail".to_owned();
        let _ = client.put(path.clone(), &peer.account(Receive::Imap, Way::Starttls)).await.is(201);
        Self { service, client, peer, path, stored: 0 }
    }

    /// Delivers and pulls until it has so many.
    pub async fn fill(&mut self, messages: usize, random: &mut Random) {
        while self.stored < messages {
            let more = (messages - self.stored).min(1000);
            for number in self.stored..self.stored + more {
                self.peer.sandbox.deliver(&self.peer.user, message(number, random)).unwrap();
            }
            let mut left = more;
            while left > 0 {
                let answer = self.client.post_empty(format!("{}/pull", self.path)).await;
                // A worker goes on with what one call did not get done.
                if answer.status == 200 {
                    let total = self.total().await;
                    left = (self.stored + more).saturating_sub(total);
                } else {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            self.stored += more;
        }
    }

    async fn total(&self) -> usize {
        let page = self.client.get("/v1/account/mail/messages?path=INBOX&pageSize=1").await.value(200);
        usize::try_from(page["total"].as_u64().unwrap()).unwrap()
    }

    /// Searches of every kind. The first ones are not counted: they compact what pulls have not got done.
    pub async fn measure(&self) -> Vec<Measured> {
        let mut all = Vec::new();
        for _ in 0..TIMES {
            let _ = self.client.get(format!("{}/messages?limit=1&q=nowhere", self.path)).await.is(200);
        }
        for query in [
            "q=needle",
            "q=everywhere",
            "q=everywhere needle",
            "q=\"blue moon\"",
            "q=nowhere",
            "q=from:rare@example.org",
            "thread",
        ] {
            let path = match query.split_once('=') {
                Some((_, words)) => {
                    format!("{}/messages?limit=20&q={}", self.path, utf8_percent_encode(words, NON_ALPHANUMERIC))
                }
                None => format!("{}/threads/{}?limit=20", self.path, self.thread().await),
            };
            all.push(self.ask(query, &path, "items").await);
        }
        all.push(self.ask("EmailEngine, page 7", "/v1/account/mail/messages?path=INBOX&page=7", "messages").await);
        all
    }

    async fn thread(&self) -> String {
        let page = self.client.get(format!("{}/messages?limit=1&q=needle", self.path)).await.value(200);
        page["items"][0]["threadId"].as_str().unwrap().to_owned()
    }

    async fn ask(&self, query: &'static str, path: &str, list: &str) -> Measured {
        let (mut times, mut shown) = (Vec::new(), 0);
        let before = self.counts().await;
        for _ in 0..TIMES {
            let begun = Instant::now();
            let page = self.client.get(path).await.value(200);
            times.push(begun.elapsed());
            shown = page[list].as_array().unwrap().len();
        }
        let after = self.counts().await;
        times.sort_unstable();
        let count = |name: &str| {
            let of = |counts: &BTreeMap<String, u64>| counts.get(name).copied().unwrap_or_default();
            (of(&after) - of(&before)) / TIMES as u64
        };
        let halves = count("dynamodb.halfReadUnits");
        let (requests, bytes) = (count("s3.GetObject"), count("s3.bytesRead"));
        #[allow(clippy::cast_precision_loss)] // small numbers
        Measured { query, shown, requests, bytes, units: halves as f64 / 2.0, time: times[TIMES / 2] }
    }

    /// How long it takes to look through all rows for a subject that none has: what a search would be without an index,
    /// and that sees no text.
    pub async fn scan(&self) -> Duration {
        let begun = Instant::now();
        let mut cursor = String::new();
        loop {
            let page = self.client.get(format!("{}/messages?subject=zzzz{cursor}", self.path)).await.value(200);
            let Value::String(next) = &page["nextCursor"] else { return begun.elapsed() };
            cursor = format!("&cursor={next}");
        }
    }

    async fn counts(&self) -> BTreeMap<String, u64> {
        self.service.aws().await.counts().await
    }
}

/// A text of words that come the more rarely the larger their number; and some that are searched for.
fn message(number: usize, random: &mut Random) -> Vec<u8> {
    let mut text: Vec<String> = (0..WORDS)
        .map(|_| {
            let most = random.below(VOCABULARY) + 1;
            format!("w{}", random.below(most))
        })
        .collect();
    text.push("everywhere".to_owned());
    text.push(if number.is_multiple_of(2) { "blue moon" } else { "moon blue" }.to_owned());
    if number % 1000 == 7 {
        text.push("needle".to_owned());
    }
    let from = if number % 1000 == 9 { "rare@example.org" } else { "ada@example.test" };
    let head = format!(
        "From: {from}\r\nTo: grace@example.test\r\nSubject: number {number}\r\nMessage-ID: <{number}@example.test>"
    );
    format!("{head}\r\n\r\n{}\r\n", text.join(" ")).into_bytes()
}
