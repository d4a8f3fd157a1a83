mod multipart;
mod presigned;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, Delete, ObjectIdentifier};

use super::{BUCKET, Running};

async fn put(client: &Client, key: &str, body: &str) -> String {
    let put = client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(body.as_bytes().to_vec()));
    put.send().await.expect("put").e_tag.expect("tag")
}

async fn get(client: &Client, key: &str) -> String {
    let got = client.get_object().bucket(BUCKET).key(key).send().await.expect("got");
    String::from_utf8(got.body.collect().await.expect("body").to_vec()).expect("text")
}

async fn is_missing(client: &Client, key: &str) -> bool {
    let got = client.get_object().bucket(BUCKET).key(key).send().await;
    got.is_err_and(|error| error.into_service_error().is_no_such_key())
}

#[tokio::test]
async fn an_object_keeps_its_bytes_and_what_was_said_of_them() {
    let running = Running::start().await;
    let client = running.s3().await;
    let put = client
        .put_object()
        .bucket(BUCKET)
        .key("t/acme/files/1")
        .content_type("text/calendar")
        .content_disposition("attachment; filename=\"a.ics\"")
        .metadata("origin", "outlook")
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .body(ByteStream::from_static(b"hello"));
    let put = put.send().await.expect("put");
    assert_eq!(put.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    let sha256 = Some("LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=");
    assert_eq!(put.checksum_sha256(), sha256);

    let running = running.restart().await;
    let client = running.s3().await;
    let got = client.get_object().bucket(BUCKET).key("t/acme/files/1").checksum_mode(ChecksumMode::Enabled);
    let got = got.send().await.expect("got");
    assert_eq!(got.content_type(), Some("text/calendar"));
    assert_eq!(got.content_disposition(), Some("attachment; filename=\"a.ics\""));
    assert_eq!(got.metadata().and_then(|all| all.get("origin")).map(String::as_str), Some("outlook"));
    assert_eq!(got.checksum_sha256(), sha256);
    assert_eq!(got.e_tag(), put.e_tag());
    assert_eq!(got.body.collect().await.expect("body").to_vec(), b"hello");
    let head = client.head_object().bucket(BUCKET).key("t/acme/files/1").send().await.expect("head");
    assert_eq!((head.content_length(), head.content_type()), (Some(5), Some("text/calendar")));
}

#[tokio::test]
async fn sixteen_writers_of_one_key_have_one_winner() {
    let running = Running::start().await;
    let client = running.s3().await;
    for round in 0..10 {
        let key = format!("race/{round}");
        let writers = (0..16).map(|n: u32| {
            let put = client.put_object().bucket(BUCKET).key(&key).if_none_match("*");
            tokio::spawn(put.body(ByteStream::from(n.to_string().into_bytes())).send())
        });
        let (mut won, mut lost) = (vec![], vec![]);
        for (n, written) in futures_util::future::join_all(writers).await.into_iter().enumerate() {
            match written.expect("joined") {
                Ok(_) => won.push(n),
                Err(error) => lost.push(error.into_service_error().code().map(str::to_owned)),
            }
        }
        let [winner] = won[..] else { panic!("one winner: {won:?}") };
        assert!(lost.iter().all(|code| code.as_deref() == Some("PreconditionFailed")), "{lost:?}");
        assert_eq!(get(&client, &key).await, winner.to_string());
    }
    assert_eq!(running.bodies(), 10, "the losers' bodies are removed");
}

#[tokio::test]
async fn a_wrong_checksum_leaves_nothing() {
    let running = Running::start().await;
    let client = running.s3().await;
    let wrong = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let put = |key: &str| client.put_object().bucket(BUCKET).key(key).checksum_sha256(wrong);
    let refused = put("new").body(ByteStream::from_static(b"x")).send().await.expect_err("refused");
    assert_eq!(refused.into_service_error().code(), Some("BadDigest"));
    assert!(is_missing(&client, "new").await);
    assert_eq!(running.bodies(), 0);

    self::put(&client, "old", "before").await;
    put("old").body(ByteStream::from_static(b"after")).send().await.expect_err("refused");
    assert_eq!(get(&client, "old").await, "before");
    let md5 = client.put_object().bucket(BUCKET).key("md5").content_md5("AAAAAAAAAAAAAAAAAAAAAA==");
    let md5 = md5.body(ByteStream::from_static(b"x")).send().await.expect_err("refused");
    assert_eq!(md5.into_service_error().code(), Some("BadDigest"));
}

#[tokio::test]
async fn a_streamed_body_is_compared_with_its_trailer() {
    let running = Running::start().await;
    let client = running.s3().await;
    let path = running.path("upload");
    let content: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    std::fs::write(&path, &content).expect("written");
    for algorithm in [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc32C, ChecksumAlgorithm::Crc64Nvme] {
        let body = ByteStream::from_path(&path).await.expect("file");
        let put = client.put_object().bucket(BUCKET).key("streamed").checksum_algorithm(algorithm).body(body);
        let put = put.send().await.expect("put");
        let sums = [put.checksum_crc32(), put.checksum_crc32_c(), put.checksum_crc64_nvme()];
        assert_eq!(sums.iter().flatten().count(), 1, "{put:?}");
    }
    let got = client.get_object().bucket(BUCKET).key("streamed").send().await.expect("got");
    assert_eq!(got.body.collect().await.expect("body").to_vec(), content);
    assert_eq!(running.bodies(), 1, "a replaced body is removed");
}

#[tokio::test]
async fn ranges_and_conditions_of_a_read() {
    let running = Running::start().await;
    let client = running.s3().await;
    let tag = put(&client, "k", "0123456789").await;
    let read = || client.get_object().bucket(BUCKET).key("k");
    for (range, part, said) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
    ] {
        let got = read().range(range).send().await.expect("part");
        assert_eq!(got.content_range(), Some(said));
        assert_eq!(got.body.collect().await.expect("body").to_vec(), part.as_bytes());
    }
    let beyond = read().range("bytes=10-").send().await.expect_err("beyond");
    assert_eq!(beyond.into_service_error().code(), Some("InvalidRange"));
    let unchanged = read().if_none_match(&tag).send().await.expect_err("not modified");
    assert_eq!(unchanged.raw_response().map(|response| response.status().as_u16()), Some(304));
    let changed = read().if_match("\"other\"").send().await.expect_err("changed");
    assert_eq!(changed.into_service_error().code(), Some("PreconditionFailed"));
    read().if_match(tag).send().await.expect("the same");
    let write = || client.put_object().bucket(BUCKET).key("k").if_match("\"other\"");
    let refused = write().send().await.expect_err("changed").into_service_error();
    assert_eq!(refused.code(), Some("PreconditionFailed"));
}

#[tokio::test]
async fn any_text_is_a_key() {
    let running = Running::start().await;
    let client = running.s3().await;
    let long = "k".repeat(1000);
    let keys = ["a", "a/b", "a/", "q/../../esc", "ü +%&=?#☃", "a//b", "../x", long.as_str()];
    for key in keys {
        put(&client, key, key).await;
    }
    for key in keys {
        assert_eq!(get(&client, key).await, key);
    }
    let objects = running.path("objects");
    let outside = std::fs::read_dir(objects.parent().expect("data")).expect("data").count();
    assert!(outside <= 7, "objects/, and two databases with their logs: {outside} entries");
    assert!(is_missing(&client, "b").await);
    let unknown = client.get_object().bucket("hp-other").key("a").send().await.expect_err("no bucket");
    assert_eq!(unknown.into_service_error().code(), Some("NoSuchBucket"));
    let unknown = client.put_object().bucket("hp-other").key("a").send().await.expect_err("no bucket");
    assert_eq!(unknown.into_service_error().code(), Some("NoSuchBucket"));
    client.head_bucket().bucket(BUCKET).send().await.expect("bucket");
    assert!(
        client.head_bucket().bucket("hp-other").send().await.expect_err("none").into_service_error().is_not_found()
    );
}

#[tokio::test]
async fn objects_are_deleted_one_by_one_and_by_list() {
    let running = Running::start().await;
    let client = running.s3().await;
    for key in ["1", "2", "3", "4"] {
        put(&client, key, "x").await;
    }
    for _ in 0..2 {
        client.delete_object().bucket(BUCKET).key("1").send().await.expect("deleted, and again");
    }
    let listed = ["2", "3", "missing"].map(|key| ObjectIdentifier::builder().key(key).build().expect("key"));
    let listed = Delete::builder().set_objects(Some(listed.to_vec())).build().expect("list");
    let deleted = client.delete_objects().bucket(BUCKET).delete(listed).send().await.expect("deleted");
    assert_eq!(deleted.deleted().len(), 3);
    assert!(deleted.errors().is_empty());
    assert!(is_missing(&client, "2").await);
    assert_eq!(get(&client, "4").await, "x");
    assert_eq!(running.bodies(), 1);
}

#[tokio::test]
async fn lists_have_a_prefix_pages_and_common_prefixes() {
    let running = Running::start().await;
    let client = running.s3().await;
    for key in ["t/a/1", "t/a/2", "t/a/3", "t/b/1", "t/c", "u"] {
        put(&client, key, "x").await;
    }
    let list = || client.list_objects_v2().bucket(BUCKET);
    let mut keys = Vec::new();
    let mut token = None;
    loop {
        let page = list().prefix("t/").max_keys(2).set_continuation_token(token).send().await.expect("page");
        keys.extend(page.contents().iter().map(|object| object.key().expect("key").to_owned()));
        assert!(page.key_count() <= Some(2));
        token = page.next_continuation_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(keys, ["t/a/1", "t/a/2", "t/a/3", "t/b/1", "t/c"]);

    let mut entries = Vec::new();
    let mut token = None;
    loop {
        let page = list().prefix("t/").delimiter("/").max_keys(1).set_continuation_token(token);
        let page = page.send().await.expect("page");
        entries.extend(page.common_prefixes().iter().map(|common| common.prefix().expect("prefix").to_owned()));
        entries.extend(page.contents().iter().map(|object| object.key().expect("key").to_owned()));
        token = page.next_continuation_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(entries, ["t/a/", "t/b/", "t/c"]);
    let after = list().start_after("t/b/1").send().await.expect("list");
    assert_eq!(after.contents().iter().filter_map(|object| object.key()).collect::<Vec<_>>(), ["t/c", "u"]);
}

#[tokio::test]
async fn bodies_without_a_row_are_removed_at_the_start() {
    let running = Running::start().await;
    let client = running.s3().await;
    put(&client, "kept", "x").await;
    std::fs::write(running.path("objects").join("ab").join("abandoned"), "half a body").expect("written");
    assert_eq!(running.bodies(), 2);
    let running = running.restart().await;
    assert_eq!(running.bodies(), 1);
    assert_eq!(get(&running.s3().await, "kept").await, "x");
    let counts = running.aws.counts();
    let read = [("s3.GetObject", 1), ("s3.bytesRead", 1)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), read);
}
