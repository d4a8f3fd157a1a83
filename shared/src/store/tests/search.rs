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
    store::{Entry, Place, Range, SEGMENT_DOCS, Search, StoreError},
};

/// Objects in memory, as far as segments need S3: put, get a range, delete.
#[derive(Default)]
struct Bucket {
    objects: Mutex<HashMap<String, Bytes>>,
    gets: AtomicU32,
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
        self.search.compact(&self.tenant, &self.account).await
    }

    /// Numbers of the messages that have the words.
    async fn found(&self, words: &[u32]) -> Vec<i64> {
        let found = self.search.find(&self.tenant, &self.account, words, Range::default()).await.unwrap();
        found.places.iter().map(|place| (place.at.0 - at(0).0) / 1000).collect()
    }
}

/// The word that all messages have.
const ALL: u32 = 77;

fn word(number: u32) -> u32 {
    number.wrapping_mul(0x9E37_79B9) ^ 0x5bd1_e995
}

fn entry(number: u32, words: impl IntoIterator<Item = u32>) -> Entry {
    let words: BTreeSet<u32> = words.into_iter().chain([ALL, word(number)]).collect();
    let id = MessageId::derived(&["words", &number.to_string()]);
    Entry { place: Place { at: at(number.into()), id }, words: words.into_iter().collect() }
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
    let found = mailbox.search.find(&mailbox.tenant, &mailbox.account, &[ALL], range).await.unwrap();
    assert_eq!(found.places.len(), 53);
    let other = mailbox.search.find(&tenant("two"), &mailbox.account, &[ALL], Range::default()).await.unwrap();
    assert!(other.places.is_empty());
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

/// P11 for searches: at 100,000 messages as at 20,000, but for the number of segments.
#[tokio::test]
async fn a_search_in_100_000_messages_takes_a_bounded_number_of_requests() {
    let mailbox = Mailbox::start().await;
    let mut common = Vec::new();
    for chunk in 0..40_u32 {
        let first = chunk * 2500;
        // Eight words of a vocabulary of some thousands, and one that few have.
        let batch: Vec<Entry> = (first..first + 2500)
            .map(|number| {
                let rare = (number % 1000 == 7).then_some(5);
                entry(number, (0..8).map(|place| word(2_000_000 + number * 31 % 7919 + place * 997)).chain(rare))
            })
            .collect();
        common.extend(batch.iter().filter(|entry| entry.words.contains(&5)).map(|entry| entry.place.clone()));
        for entries in batch.chunks(625) {
            mailbox.append(entries).await;
        }
        mailbox.compact().await.unwrap();
    }
    mailbox.append(&entries(100_000..100_100)).await;
    let ask = async |words: &[u32]| {
        mailbox.bucket.gets.store(0, Ordering::SeqCst);
        let found = mailbox.search.find(&mailbox.tenant, &mailbox.account, words, Range::default()).await.unwrap();
        (found, mailbox.bucket.gets.load(Ordering::SeqCst) as usize)
    };
    let (found, gets) = ask(&[5]).await;
    common.reverse();
    assert_eq!(found.places, common);
    assert!(found.segments <= 100_000 / SEGMENT_DOCS * 2 + 8, "{} segments", found.segments);
    assert!(gets <= 3 * found.segments, "{gets} requests in {} segments", found.segments);
    let (found, gets) = ask(&[ALL, 5, word(7)]).await;
    assert_eq!((found.places.len(), gets <= 5 * found.segments), (1, true));
    let (found, gets) = ask(&[word(99)]).await;
    assert!(found.places.len() == 1 && gets <= 2 * found.segments + 1, "where no message has it, nobody asks which");
    println!("{} segments, {gets} requests", found.segments);
    assert_eq!(ask(&[ALL]).await.0.places.len(), 100_100);
}
