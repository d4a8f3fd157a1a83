use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::is_missing;
use crate::aws::tests::{BUCKET, Running};

async fn upload_parts(client: &Client, upload: &str, contents: &[Vec<u8>]) -> Vec<CompletedPart> {
    let mut parts = Vec::new();
    for (number, content) in (1..).zip(contents) {
        let part = client.upload_part().bucket(BUCKET).key("big").upload_id(upload).part_number(number);
        let part = part.body(ByteStream::from(content.clone())).send().await.expect("part");
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build());
    }
    parts
}

#[tokio::test]
async fn a_multipart_upload_is_an_object_when_it_is_complete() {
    let running = Running::start().await;
    let client = running.s3().await;
    let begin = client.create_multipart_upload().bucket(BUCKET).key("big").content_type("message/rfc822");
    let upload = begin.send().await.expect("begun").upload_id.expect("id");
    let contents = [vec![b'a'; 5 * 1024 * 1024], vec![b'b'; 100]];
    let parts = upload_parts(&client, &upload, &contents).await;
    assert!(is_missing(&client, "big").await);

    let running = running.restart().await;
    let client = running.s3().await;
    let complete = |parts: Vec<CompletedPart>| {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        client.complete_multipart_upload().bucket(BUCKET).key("big").upload_id(&upload).multipart_upload(parts).send()
    };
    let backwards = complete(vec![parts[1].clone(), parts[0].clone()]).await.expect_err("order");
    assert_eq!(backwards.into_service_error().code(), Some("InvalidPartOrder"));
    let unknown = CompletedPart::builder().part_number(1).e_tag("\"00\"").build();
    assert_eq!(complete(vec![unknown]).await.expect_err("tag").into_service_error().code(), Some("InvalidPart"));
    let done = complete(parts.clone()).await.expect("completed");
    assert!(done.e_tag().expect("tag").ends_with("-2\""), "{done:?}");
    let got = client.get_object().bucket(BUCKET).key("big").send().await.expect("got");
    assert_eq!(got.content_type(), Some("message/rfc822"));
    assert_eq!(got.body.collect().await.expect("body").to_vec(), contents.concat());
    assert_eq!(running.bodies(), 1, "the parts are removed");
    assert_eq!(complete(parts).await.expect_err("over").into_service_error().code(), Some("NoSuchUpload"));
}

#[tokio::test]
async fn a_multipart_upload_can_be_aborted_and_has_large_parts() {
    let running = Running::start().await;
    let client = running.s3().await;
    let upload = client.create_multipart_upload().bucket(BUCKET).key("k").send().await.expect("begun");
    let upload = upload.upload_id.expect("id");
    let part = |number: i32| {
        let part = client.upload_part().bucket(BUCKET).key("k").upload_id(&upload).part_number(number);
        part.body(ByteStream::from_static(b"small")).send()
    };
    let mut parts = Vec::new();
    for number in [1, 2] {
        let tag = part(number).await.expect("part").e_tag;
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(tag).build());
    }
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let small = client.complete_multipart_upload().bucket(BUCKET).key("k").upload_id(&upload).multipart_upload(parts);
    assert_eq!(small.send().await.expect_err("small").into_service_error().code(), Some("EntityTooSmall"));
    client.abort_multipart_upload().bucket(BUCKET).key("k").upload_id(&upload).send().await.expect("aborted");
    assert_eq!(running.bodies(), 0);
    assert_eq!(part(3).await.expect_err("aborted").into_service_error().code(), Some("NoSuchUpload"));
    assert!(is_missing(&client, "k").await);
}
