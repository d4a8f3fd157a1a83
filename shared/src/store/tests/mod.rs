//! The store against a real DynamoDB engine in this process, over HTTP as in production.

mod bounces;
mod config;
mod follow_ups;
mod grants;
mod lost_answers;
mod mailbox;
mod messages;
mod outbox;
mod search;
mod suppressions;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
        ScalarAttributeType,
    },
};
use dynoxide::{Database, server::serve_with_shutdown};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
};

use super::{Files, Outbox, keys, table::Table};
use crate::model::{AccountId, Tenant, Timestamp};

/// A table of its own, served until the test ends.
struct Bench {
    table: Table,
    client: Client,
    lose: Arc<AtomicU32>,
}

impl Bench {
    async fn start() -> Self {
        let db = Database::memory().unwrap();
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (upstream, url) = (server.local_addr().unwrap(), format!("http://{}", proxy.local_addr().unwrap()));
        let lose = Arc::new(AtomicU32::new(0));
        tokio::spawn(serve_with_shutdown(server, db, std::future::pending()));
        tokio::spawn(forward(proxy, upstream, Arc::clone(&lose)));
        let client = client(&url);
        create_table(&client).await;
        Self { table: Table::new(client.clone(), "halfpenny".into()), client, lose }
    }

    fn outbox(&self) -> Outbox {
        Outbox::new(self.table.clone(), Self::files())
    }

    /// No test here touches S3: nothing listens on this port.
    fn files() -> Files {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::for_tests())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url("http://127.0.0.1:9")
            .build();
        Files::new(aws_sdk_s3::Client::from_conf(config), "bucket".into())
    }

    /// The next answer is lost after DynamoDB has done its work.
    fn lose_next_answer(&self) {
        self.lose_answer(1);
    }

    /// The same for the second, the third… answer from now.
    fn lose_answer(&self, number: u32) {
        self.lose.store(number, Ordering::SeqCst);
    }

    fn lost(&self) -> bool {
        self.lose.load(Ordering::SeqCst) == 0
    }
}

fn client(url: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::standard().with_initial_backoff(std::time::Duration::from_millis(1)))
        .endpoint_url(url)
        .build();
    Client::from_conf(config)
}

async fn create_table(client: &Client) {
    let attribute =
        |name: &str, kind| AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap();
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let index = |name: &str, hash: &str, range: &str| {
        GlobalSecondaryIndex::builder()
            .index_name(name)
            .key_schema(key(hash, KeyType::Hash))
            .key_schema(key(range, KeyType::Range))
            .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
            .build()
            .unwrap()
    };
    let mut table = client.create_table().table_name("halfpenny").billing_mode(BillingMode::PayPerRequest);
    for name in ["pk", "sk", "lpk", "lsk", "duesh", "opk", "osk"] {
        table = table.attribute_definitions(attribute(name, ScalarAttributeType::S));
    }
    table
        .attribute_definitions(attribute("due", ScalarAttributeType::N))
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range))
        .global_secondary_indexes(index(keys::BY_TIME, "lpk", "lsk"))
        .global_secondary_indexes(index(keys::BY_DUE, "duesh", "due"))
        .global_secondary_indexes(index(keys::BY_OUTBOX, "opk", "osk"))
        .send()
        .await
        .unwrap();
}

/// Passes bytes on in both directions; where `lose` counts down to zero, an answer becomes a closed connection.
async fn forward(proxy: TcpListener, upstream: std::net::SocketAddr, lose: Arc<AtomicU32>) {
    while let Ok((client, _)) = proxy.accept().await {
        let (lose, server) = (Arc::clone(&lose), TcpStream::connect(upstream).await.unwrap());
        tokio::spawn(async move {
            let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                (client.into_split(), server.into_split());
            let asking = tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
            let mut buffer = vec![0; 1 << 16];
            while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
                let before = lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
                if before == Ok(1) || to_client.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
            asking.abort();
        });
    }
}

fn tenant(name: &str) -> Tenant {
    Tenant::new(name).unwrap()
}

fn account(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

/// Seconds after the beginning of the tests' time.
fn at(seconds: i64) -> Timestamp {
    Timestamp(1_795_246_570_000).plus_seconds(seconds)
}
