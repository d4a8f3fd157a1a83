//! The embedded AWS as the functions see it: through the real SDK clients, over HTTP, on ports of its own.

mod crash;
mod events;
mod policies;
mod s3;
mod secrets;
mod sqs;

use std::path::PathBuf;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::Credentials;
use serde_json::json;

use super::{ACCESS_KEY, Aws, Options, QueueSpec, REGION, Redrive, SECRET_KEY};

/// The one bucket.
pub(super) const BUCKET: &str = "hp-files";

/// A service on a directory that goes when the test ends.
pub(super) struct Running {
    pub(super) aws: Aws,
    directory: Directory,
}

pub(super) struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("local-aws-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).expect("a directory for the test");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // The DynamoDB thread may still be closing its file: what is left is in the system's temporary directory.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

impl Running {
    pub(super) async fn start() -> Self {
        Self::start_on(Directory::new()).await
    }

    /// Starts on what another left there.
    pub(super) async fn start_on(directory: Directory) -> Self {
        let aws = Aws::start(options(directory.0.clone())).await;
        Self { aws: aws.expect("starts"), directory }
    }

    /// Drops everything but the directory and starts on it anew.
    pub(super) async fn restart(self) -> Self {
        let Self { aws, directory } = self;
        drop(aws);
        Self::start_on(directory).await
    }

    /// What is in the directory of bodies.
    pub(super) fn bodies(&self) -> usize {
        let parts = std::fs::read_dir(self.directory.0.join("objects")).expect("objects/");
        parts.map(|part| std::fs::read_dir(part.expect("part").path()).expect("part").count()).sum()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.0.join(name)
    }

    pub(super) async fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&config(&self.aws.endpoints().dynamodb, ACCESS_KEY, SECRET_KEY).await)
    }

    pub(super) async fn s3(&self) -> aws_sdk_s3::Client {
        aws_sdk_s3::Client::new(&self.services(SECRET_KEY).await)
    }

    pub(super) async fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.services(SECRET_KEY).await)
    }

    pub(super) async fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.services(SECRET_KEY).await)
    }

    /// What the services' port answers to a plain GET.
    pub(super) async fn get(&self, path: &str) -> serde_json::Value {
        use http_body_util::{BodyExt, Empty};
        let url = format!("{}{path}", self.aws.endpoints().services);
        let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
        let request = hyper::Request::get(url).body(Empty::<bytes::Bytes>::new()).expect("a request");
        let body = client.request(request).await.expect("answered").into_body().collect().await.expect("whole");
        serde_json::from_slice(&body.to_bytes()).expect("JSON")
    }

    pub(super) async fn services(&self, secret: &str) -> SdkConfig {
        config(&self.aws.endpoints().services, ACCESS_KEY, secret).await
    }
}

pub(super) async fn config(endpoint: &str, key: &str, secret: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(key, secret, None, None, "test"))
        .endpoint_url(endpoint)
        .load()
        .await
}

fn options(data: PathBuf) -> Options {
    Options {
        data,
        dynamodb_port: 0,
        services_port: 0,
        tables: vec![table()],
        buckets: vec![BUCKET.to_owned()],
        buses: vec!["bus".to_owned()],
        queues: vec![
            queue("work", Some(Redrive { target: "dead".to_owned(), max_receive_count: 2 })),
            queue("dead", None),
        ],
        policies: policies::functions(),
    }
}

fn queue(name: &str, redrive: Option<Redrive>) -> QueueSpec {
    QueueSpec {
        name: name.to_owned(),
        visibility_seconds: 30,
        delay_seconds: 0,
        retention_seconds: 345_600,
        redrive,
        copies: 1,
    }
}

/// As CloudFormation writes it: no `StreamEnabled`, time to live and point-in-time recovery beside it.
pub(super) fn table() -> serde_json::Value {
    json!({
        "TableName": "hp-table",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            { "AttributeName": "pk", "AttributeType": "S" },
            { "AttributeName": "sk", "AttributeType": "S" },
            { "AttributeName": "gsi", "AttributeType": "S" },
        ],
        "KeySchema": [
            { "AttributeName": "pk", "KeyType": "HASH" }, { "AttributeName": "sk", "KeyType": "RANGE" },
        ],
        "GlobalSecondaryIndexes": [{
            "IndexName": "due",
            "KeySchema": [{ "AttributeName": "gsi", "KeyType": "HASH" }],
            "Projection": { "ProjectionType": "KEYS_ONLY" },
        }],
        "StreamSpecification": { "StreamViewType": "NEW_AND_OLD_IMAGES" },
        "TimeToLiveSpecification": { "AttributeName": "ttl", "Enabled": true },
        "PointInTimeRecoverySpecification": { "PointInTimeRecoveryEnabled": true },
        "DeletionProtectionEnabled": true,
    })
}
