//! The index of words: nothing is lost whenever a compaction dies, and a search costs the same requests in a mailbox of
//! any size.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Mutex,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;

use super::*;
use crate::{
    model::MessageId,
    store::{Ask, Entry, Found, Joining, Messages, Place, Range, SEGMENT_DOCS, Search, StoreError, Written},
};

/// Objects in memory, as far as segments need S3: put, get a range, delete.
#[derive(Default)]
struct Bucket {
    objects: Mutex<HashMap<String, Bytes>>,
    gets: AtomicU32,
    /// Bytes that they brought.
    bytes: AtomicU32,
    /// PUTs from now that are stored and whose answer is an error that nobody retries.
    fail_puts: AtomicU32,
}

impl Bucket {
    async fn start() -> (Arc<Self>, Files) {
        let bucket = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(Arc::clone(&bucket).serve(listener));
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::for_tests())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .force_path_style(true)
            .endpoint_url(url)
            .build();
        (bucket, Files::new(aws_sdk_s3::Client::from_conf(config), "bucket".into()))
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let bucket = Arc::clone(&self);
            let answer = service_fn(move |request| {
                let bucket = Arc::clone(&bucket);
                async move { Ok::<_, hyper::Error>(bucket.answer(request).await) }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let name = request.uri().path().to_owned();
        let empty = |status| Response::builder().status(status).body(Full::default()).unwrap();
        if request.method() == Method::PUT {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            self.objects.lock().unwrap().insert(name, body);
            let fails = self.fail_puts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            return empty(if fails.is_ok() { StatusCode::FORBIDDEN } else { StatusCode::OK });
        }
        if request.method() == Method::DELETE {
            self.objects.lock().unwrap().remove(&name);
            return empty(StatusCode::NO_CONTENT);
        }
        self.gets.fetch_add(1, Ordering::SeqCst);
        let range = request.headers()["range"].to_str().unwrap().strip_prefix("bytes=").unwrap().to_owned();
        let (first, last) = range.split_once('-').unwrap();
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        match self.objects.lock().unwrap().get(&name) {
            Some(object) => {
                let part = object.slice(first..object.len().min(last + 1));
                self.bytes.fetch_add(part.len() as u32, Ordering::SeqCst);
                Response::builder().status(StatusCode::PARTIAL_CONTENT).body(Full::new(part)).unwrap()
            }
            None => {
                let body = "<Error><Code>NoSuchKey</Code></Error>";
                Response::builder().status(StatusCode::NOT_FOUND).body(Full::new(body.into())).unwrap()
            }
        }
    }

    fn names(&self) -> usize {
        self.objects.lock().unwrap().len()
    }
}

struct Mailbox {
    bench: Bench,
    bucket: Arc<Bucket>,
    search: Search,
    tenant: Tenant,
    account: AccountId,
}

impl Mailbox {
    async fn start() -> Self {
        let bench = Bench::start().await;
        let (bucket, files) = Bucket::start().await;
        let search = Search::new(bench.table.clone(), files);
        Self { bench, bucket, search, tenant: tenant("one"), account: account("box") }
    }

    async fn append(&self, entries: &[Entry]) {
        self.search.append(&self.tenant, &self.account, entries, at(0)).await.unwrap();
    }

    async fn compact(&self) -> Result<usize, StoreError> {
        self.join(Joining::default()).await
    }

    async fn join(&self, joining: Joining) -> Result<usize, StoreError> {
        let manifest = self.search.manifest(&self.tenant, &self.account).await?;
        self.search.compact(&self.tenant, &self.account, manifest, joining).await
    }

    async fn find(&self, ask: Ask<'_>) -> Found {
        self.search.find(&self.tenant, &self.account, ask).await.unwrap()
    }

    /// Numbers of the messages that have the words.
    async fn found(&self, words: &[u32]) -> Vec<i64> {
        numbers(&self.find(all_of(words)).await)
    }
}

fn all_of(words: &[u32]) -> Ask<'_> {
    Ask { words, range: Range::default(), rewritten: None }
}

fn numbers(found: &Found) -> Vec<i64> {
    found.places.iter().map(|place| (place.at.0 - at(0).0) / 1000).collect()
}

/// The word that all messages have.
const ALL: u32 = 77;

fn word(number: u32) -> u32 {
    number.wrapping_mul(0x9E37_79B9) ^ 0x5bd1_e995
}

fn entry(number: u32, words: impl IntoIterator<Item = u32>) -> Entry {
    let words: BTreeSet<u32> = words.into_iter().chain([ALL, word(number)]).collect();
    let id = MessageId::derived(&["words", &number.to_string()]);
    let place = Place { at: at(number.into()), id };
    Entry { written: Written { place, version: 0 }, words: words.into_iter().collect() }
}

/// The word of what was written again.
const REWRITTEN: u32 = 78;

/// The same message, later, with only these words.
fn again(number: u32, version: i64, words: &[u32]) -> Entry {
    let words: BTreeSet<u32> = words.iter().copied().chain([REWRITTEN]).collect();
    let Written { place, .. } = entry(number, []).written;
    Entry { written: Written { place, version }, words: words.into_iter().collect() }
}

fn entries(numbers: std::ops::Range<u32>) -> Vec<Entry> {
    numbers.map(|number| entry(number, [word(1_000_000 + number % 50)])).collect()
}

#[tokio::test]
async fn tail_and_segments_are_searched_as_one() {
    let mailbox = Mailbox::start().await;
    assert!(mailbox.found(&[ALL]).await.is_empty());
    mailbox.append(&entries(0..20)).await;
    assert_eq!(mailbox.compact().await.unwrap(), 0, "a tail that short stays");
    mailbox.append(&entries(20..60)).await;
    assert_eq!(mailbox.compact().await.unwrap(), 60);
    mailbox.append(&entries(60..70)).await;
    assert_eq!(mailbox.found(&[ALL]).await, (0..70).rev().collect::<Vec<_>>(), "newest first");
    assert_eq!(mailbox.found(&[word(1_000_003)]).await, [53, 3]);
    assert_eq!(mailbox.found(&[word(1_000_003), word(53)]).await, [53]);
    assert_eq!(mailbox.found(&[word(1_000_013), ALL]).await, [63, 13]);
    assert!(mailbox.found(&[word(1_000_003), word(54)]).await.is_empty());
    let range = Range { since: Some(at(10)), before: Some(at(63)) };
    assert_eq!(mailbox.find(Ask { range, ..all_of(&[ALL]) }).await.places.len(), 53);
    let other = mailbox.search.find(&tenant("two"), &mailbox.account, all_of(&[ALL])).await.unwrap();
    assert!(other.places.is_empty());
}

#[tokio::test]
async fn of_a_message_that_was_written_again_the_last_writing_counts_wherever_the_others_are() {
    let mailbox = Mailbox::start().await;
    let (there, here) = (word(3_000_001), word(3_000_002));
    mailbox.append(&(0..50).map(|number| entry(number, [there])).collect::<Vec<_>>()).await;
    mailbox.compact().await.unwrap();
    let counted = async |place: u32| {
        let words = [place];
        let mut found = numbers(&mailbox.find(Ask { rewritten: Some(REWRITTEN), ..all_of(&words) }).await);
        found.reverse();
        found
    };
    let wanted: Vec<i64> = (0..50).filter(|number| ![3, 4, 5].contains(number)).collect();
    for round in 0..3 {
        // 3 is elsewhere, 4 is gone, 5 went and came back and went.
        match round {
            0 => mailbox.append(&[again(3, 10, &[here]), again(4, 10, &[]), again(5, 10, &[here])]).await,
            1 => mailbox.append(&[again(5, 11, &[there])]).await,
            _ => mailbox.append(&[again(5, 12, &[here])]).await,
        }
        let back = if round == 1 { vec![5] } else { vec![] };
        let there_now: Vec<i64> = (0..50).filter(|number| wanted.contains(number) || back.contains(number)).collect();
        for _ in 0..2 {
            assert_eq!(counted(there).await, there_now, "{round}");
            assert_eq!(counted(here).await, if round == 1 { vec![3] } else { vec![3, 5] }, "{round}");
            // Into a segment of its own, or merged with the first one.
            mailbox.append(&entries(100..140)).await;
            mailbox.compact().await.unwrap();
        }
    }
    assert!(mailbox.found(&[there]).await.len() >= wanted.len(), "who looks at the messages may find more");
}

#[tokio::test]
async fn what_joins_is_passed_by_the_write_that_names_its_segment() {
    let mailbox = Mailbox::start().await;
    let joining = |numbers: std::ops::Range<u32>, until: &str, more| Joining {
        entries: entries(numbers),
        until: until.to_owned(),
        more,
    };
    let joined = async || mailbox.find(all_of(&[ALL])).await.joined;
    assert_eq!(mailbox.join(joining(0..10, "a", false)).await.unwrap(), 0);
    assert_eq!((joined().await, mailbox.found(&[ALL]).await.len()), (String::new(), 0), "not worth a segment");
    assert_eq!(mailbox.join(joining(0..0, "a", true)).await.unwrap(), 0);
    assert_eq!(joined().await, "a", "there was nothing in it, and there is more");
    mailbox.bucket.fail_puts.store(1, Ordering::SeqCst);
    assert!(mailbox.join(joining(0..40, "b", false)).await.is_err());
    assert_eq!((joined().await.as_str(), mailbox.found(&[ALL]).await.len()), ("a", 0));
    assert_eq!(mailbox.join(joining(0..40, "b", false)).await.unwrap(), 40);
    assert_eq!(mailbox.join(joining(40..45, "c", true)).await.unwrap(), 5);
    assert_eq!((joined().await.as_str(), mailbox.found(&[ALL]).await.len()), ("c", 45));
}

#[tokio::test]
async fn a_compaction_that_dies_anywhere_loses_nothing_and_leaves_nothing_behind() {
    let all: Vec<i64> = (0..100).rev().collect();
    // Answers that are lost: of the reads, of both manifests, of the first deletions.
    for lost in 1..8 {
        let mailbox = Mailbox::start().await;
        mailbox.append(&entries(0..50)).await;
        mailbox.compact().await.unwrap();
        for number in 50..100 {
            mailbox.append(&entries(number..number + 1)).await;
        }
        // The segment is stored, and the process dies before the manifest names it.
        mailbox.bucket.fail_puts.store(1, Ordering::SeqCst);
        assert!(mailbox.compact().await.is_err());
        assert_eq!((mailbox.found(&[ALL]).await, mailbox.bucket.names()), (all.clone(), 2));
        mailbox.bench.lose_answer(lost);
        let _ = mailbox.compact().await;
        assert_eq!(mailbox.found(&[ALL]).await, all, "{lost}");
        mailbox.append(&entries(0..100)).await;
        mailbox.compact().await.unwrap();
        assert_eq!(mailbox.found(&[ALL]).await, all, "a message that comes again counts once");
        mailbox.append(&entries(0..100)).await;
        mailbox.compact().await.unwrap();
        assert!(mailbox.bucket.names() <= 3, "{lost}: garbage is {}", mailbox.bucket.names());
    }
}

#[tokio::test]
async fn of_two_compactions_one_wins_and_nothing_is_lost() {
    let mailbox = Mailbox::start().await;
    for round in 0..5 {
        mailbox.append(&entries(round * 40..round * 40 + 40)).await;
        let (one, other) = tokio::join!(mailbox.compact(), mailbox.compact());
        assert!([&one, &other].iter().all(|result| match result {
            Ok(_) => true,
            Err(error) => error.is_conflict() || matches!(error, StoreError::Missing { .. }),
        }));
        assert_eq!(mailbox.found(&[ALL]).await.len() as u32, round * 40 + 40);
    }
}

/// A mailbox of 100,000 messages of so many words each, out of some thousands; one of a thousand has the word [`RARE`].
async fn large(words: u32) -> Mailbox {
    let mailbox = Mailbox::start().await;
    for first in (0..100_000_u32).step_by(2500) {
        let batch: Vec<Entry> = (first..first + 2500)
            .map(|number| {
                let rare = (number % 1000 == 7).then_some(RARE);
                let usual = (0..words).map(|place| word(2_000_000 + number * 31 % 7919 + place * 997));
                entry(number, usual.chain([word(4_000_000 + number % 2)]).chain(rare))
            })
            .collect();
        for entries in batch.chunks(625) {
            mailbox.append(entries).await;
        }
        mailbox.compact().await.unwrap();
    }
    for number in 100_000..100_100 {
        mailbox.append(&entries(number..number + 1)).await;
    }
    mailbox
}

const RARE: u32 = 5;

/// P11 for searches: at 100,000 messages as at 20,000, but for the number of segments.
#[tokio::test]
async fn a_search_in_100_000_messages_takes_a_bounded_number_of_requests() {
    let mailbox = large(8).await;
    let ask = async |words: &[u32]| {
        mailbox.bucket.gets.store(0, Ordering::SeqCst);
        let found = mailbox.find(all_of(words)).await;
        (found, mailbox.bucket.gets.load(Ordering::SeqCst) as usize)
    };
    let (found, gets) = ask(&[RARE]).await;
    assert_eq!(numbers(&found), (0..100).rev().map(|number| number * 1000 + 7).collect::<Vec<_>>());
    assert!(found.segments <= 100_000 / SEGMENT_DOCS * 2 + 8, "{} segments", found.segments);
    assert!(gets <= 3 * found.segments, "{gets} requests in {} segments", found.segments);
    let (found, gets) = ask(&[ALL, RARE, word(7)]).await;
    assert_eq!((found.places.len(), gets <= 5 * found.segments), (1, true));
    let (found, gets) = ask(&[word(99)]).await;
    assert!(found.places.len() == 1 && gets <= 2 * found.segments + 1, "where no message has it, nobody asks which");
    assert_eq!(ask(&[ALL]).await.0.places.len(), 100_100);
}

/// The figures that stand at [`crate::ops::search`], of messages of 60 words, beside the time of looking through all
/// rows. Minutes long, so it runs where somebody asks for it:
/// `cargo test --workspace --lib -- --ignored --nocapture figures_of_a_search`. The same of messages that were really
/// pulled, through the front door: `target/debug/searches`.
#[tokio::test]
#[ignore = "takes minutes"]
async fn figures_of_a_search_in_100_000_messages() {
    let mailbox = large(60).await;
    let scan = scan(&mailbox).await;
    println!("looking through 100,000 rows: {scan:.1?}");
    println!("| words | found | segments | in the tail | GETs | KB | time, as a share of looking through |");
    let even = word(4_000_000);
    let asked: [(&str, Vec<u32>, Option<u32>); 7] = [
        ("rare", vec![RARE], None),
        ("in every second", vec![even], None),
        ("in all", vec![ALL], None),
        ("two: rare, in all", vec![RARE, ALL], None),
        ("four", vec![RARE, ALL, even, word(7)], None),
        ("not there", vec![word(9_999_999)], None),
        ("a folder, counted", vec![ALL], Some(REWRITTEN)),
    ];
    for (name, words, rewritten) in asked {
        mailbox.bucket.gets.store(0, Ordering::SeqCst);
        mailbox.bucket.bytes.store(0, Ordering::SeqCst);
        let begun = std::time::Instant::now();
        let found = mailbox.find(Ask { rewritten, ..all_of(&words) }).await;
        let share = begun.elapsed().as_secs_f64() / scan.as_secs_f64();
        let (gets, bytes) =
            (mailbox.bucket.gets.load(Ordering::SeqCst), mailbox.bucket.bytes.load(Ordering::SeqCst) / 1024);
        let Found { places, segments, tail, .. } = found;
        println!("| {name} | {} | {segments} | {tail} | {gets} | {bytes} | {share:.4} |", places.len());
    }
}

/// Writes 100,000 rows and looks through them as a list does whose filter lets none through.
async fn scan(mailbox: &Mailbox) -> std::time::Duration {
    use futures_util::{StreamExt, stream};
    let messages = Messages::new(mailbox.bench.table.clone());
    let (messages, tenant) = (&messages, &mailbox.tenant);
    let rows = (0..100_000).map(|number| async move {
        let row = messages::incoming(&mailbox.account, number, 1);
        messages.insert_incoming(tenant, &row).await.unwrap();
    });
    stream::iter(rows).buffer_unordered(32).collect::<Vec<_>>().await;
    let (begun, mut cursor) = (std::time::Instant::now(), None);
    loop {
        let page = messages.list(tenant, &mailbox.account, Range::default(), 500, cursor.as_deref()).await.unwrap();
        assert!(page.items.iter().all(|stored| stored.message().subject.as_deref() != Some("zzzz")));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return begun.elapsed();
        }
    }
}
