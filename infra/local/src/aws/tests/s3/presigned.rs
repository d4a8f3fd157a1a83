use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use http::StatusCode;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioExecutor;

use super::{get, is_missing, put};
use crate::aws::tests::{BUCKET, Running};

/// Sends a presigned request as a browser would: with the headers that were signed and nothing else.
async fn send(request: &PresignedRequest, body: &'static [u8]) -> (StatusCode, http::HeaderMap, Vec<u8>) {
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http();
    let mut plain = http::Request::builder().method(request.method()).uri(request.uri());
    for (name, value) in request.headers() {
        plain = plain.header(name, value);
    }
    let plain = plain.body(Full::new(bytes::Bytes::from_static(body))).expect("request");
    let (parts, body) = client.request(plain).await.expect("answered").into_parts();
    (parts.status, parts.headers, body.collect().await.expect("body").to_bytes().to_vec())
}

fn minutes(count: u64) -> PresigningConfig {
    PresigningConfig::expires_in(Duration::from_secs(60 * count)).expect("config")
}

#[tokio::test]
async fn a_presigned_read_gives_the_names_it_was_signed_with() {
    let running = Running::start().await;
    let client = running.s3().await;
    put(&client, "t/a/files/1", "content").await;
    let read = client.get_object().bucket(BUCKET).key("t/a/files/1");
    let read = read.response_content_type("text/plain").response_content_disposition("attachment; filename=\"n.txt\"");
    let request = read.presigned(minutes(5)).await.expect("signed");
    let (status, headers, body) = send(&request, b"").await;
    assert_eq!((status, body.as_slice()), (StatusCode::OK, &b"content"[..]));
    assert_eq!(headers["content-type"], "text/plain");
    assert_eq!(headers["content-disposition"], "attachment; filename=\"n.txt\"");

    let other = Client::new(&running.services("another-secret").await);
    let forged = other.get_object().bucket(BUCKET).key("t/a/files/1").presigned(minutes(5)).await.expect("signed");
    assert_eq!(send(&forged, b"").await.0, StatusCode::FORBIDDEN);
    let unsigned = other.get_object().bucket(BUCKET).key("t/a/files/1").send().await.expect_err("forged");
    assert_eq!(unsigned.into_service_error().code(), Some("SignatureDoesNotMatch"));
    let plain = format!("{}/{BUCKET}/t/a/files/1", running.aws.endpoints().services);
    let anonymous =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
    let anonymous = anonymous.get(plain.parse().expect("uri")).await.expect("answered");
    assert_eq!(anonymous.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_presigned_write_takes_what_was_signed_once() {
    let running = Running::start().await;
    let client = running.s3().await;
    let sign = |key: &str| {
        let write = client.put_object().bucket(BUCKET).key(key).content_length(5).if_none_match("*");
        write.checksum_sha256("LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=").presigned(minutes(5))
    };
    let request = sign("up").await.expect("signed");
    assert_eq!(send(&request, b"jello").await.0, StatusCode::BAD_REQUEST);
    assert!(is_missing(&client, "up").await, "another content leaves nothing");
    assert_eq!(send(&request, b"hello").await.0, StatusCode::OK);
    assert_eq!(send(&request, b"hello").await.0, StatusCode::PRECONDITION_FAILED);
    assert_eq!(get(&client, "up").await, "hello");
}

#[tokio::test]
async fn a_presigned_url_has_the_rights_of_the_function_that_signed_it() {
    let running = Running::start().await;
    let all = running.s3().await;
    let reader = Client::new(&running.services_of("reader").await);
    for (key, expected) in [("t/1", StatusCode::OK), ("u/1", StatusCode::FORBIDDEN)] {
        put(&all, key, "content").await;
        let request = reader.get_object().bucket(BUCKET).key(key).presigned(minutes(5)).await.expect("signed");
        assert_eq!(send(&request, b"").await.0, expected, "{key}");
    }
    let write = reader.put_object().bucket(BUCKET).key("t/2").presigned(minutes(5)).await.expect("signed");
    assert_eq!(send(&write, b"x").await.0, StatusCode::FORBIDDEN);
}
