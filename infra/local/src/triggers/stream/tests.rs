//! A stream of the embedded DynamoDB, with the test in the function's place.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::types::AttributeValue::S;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::Poller;
use crate::aws::{ACCESS_KEY, Aws, Options, QueueSpec, REGION, SECRET_KEY};
use crate::gateway::{Invoke, InvokeError, InvokeErrorKind};
use crate::template::{Pattern, Rule, StreamTrigger};

const PATIENCE: Duration = Duration::from_secs(20);

/// The sort keys of one event with their sequence numbers, and where its answer goes; no answer is a crash.
struct Call(Vec<(String, String)>, oneshot::Sender<Value>);

impl Call {
    fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn fail(self, name: &str) {
        let sequence = self.0.iter().find(|(known, _)| known == name).map(|(_, sequence)| sequence.clone());
        self.1.send(json!({"batchItemFailures": [{"itemIdentifier": sequence}]})).unwrap();
    }
}

struct Functions(mpsc::UnboundedSender<Call>);

impl Invoke for Functions {
    async fn invoke(&self, _: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        let event: Value = serde_json::from_slice(&payload).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let record = |record: &Value| {
            assert_eq!(record["eventSource"], "aws:dynamodb");
            let change = &record["dynamodb"];
            (text(&change["Keys"]["sk"]["S"]), text(&change["SequenceNumber"]))
        };
        let records = event["Records"].as_array().unwrap().iter().map(record).collect();
        let (answer, answered) = oneshot::channel();
        self.0.send(Call(records, answer)).unwrap();
        let crashed = |_| InvokeError { kind: InvokeErrorKind::Exit, payload: Bytes::new() };
        answered.await.map(|answer| Bytes::from(answer.to_string())).map_err(crashed)
    }
}

struct Running {
    aws: Aws,
    calls: mpsc::UnboundedReceiver<Call>,
    _polling: AbortOnDropHandle<()>,
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn folder() -> Folder {
    Folder(std::env::temp_dir().join(format!("halfpenny-{}", uuid::Uuid::new_v4())))
}

fn trigger() -> StreamTrigger {
    let is = |rule| Pattern::OneOf(vec![rule]);
    let inside = |name: &str, pattern| Pattern::Object(vec![(name.to_owned(), pattern)]);
    let filter = inside("dynamodb", inside("Keys", inside("sk", inside("S", is(Rule::Prefix("m".to_owned()))))));
    StreamTrigger {
        name: "Changes".to_owned(),
        table: "rows".to_owned(),
        batch_size: 10,
        window: Duration::from_millis(300),
        partial_failures: true,
        bisect: true,
        max_retries: Some(3),
        max_age: None,
        on_failure: Some("dead".to_owned()),
        filters: vec![filter],
        enabled: true,
    }
}

async fn start(folder: &Folder) -> Running {
    let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
    let attribute = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
    let table = json!({
        "TableName": "rows", "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
        "AttributeDefinitions": [attribute("pk"), attribute("sk")],
        "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
    });
    let dead = QueueSpec {
        name: "dead".to_owned(),
        visibility_seconds: 1,
        delay_seconds: 0,
        retention_seconds: 3600,
        redrive: None,
        copies: 1,
    };
    let aws = Aws::start(Options {
        data: folder.0.clone(),
        dynamodb_port: 0,
        services_port: 0,
        tables: vec![table],
        buckets: vec![],
        queues: vec![dead],
        buses: vec![],
        policies: BTreeMap::new(),
    });
    let aws = aws.await.unwrap();
    let (functions, calls) = mpsc::unbounded_channel();
    let (functions, streams) = (Arc::new(Functions(functions)), aws.streams().clone());
    let poller = Poller::new("f", &trigger(), functions, streams, aws.sqs().clone());
    Running { aws, calls, _polling: AbortOnDropHandle::new(tokio::spawn(poller.run())) }
}

impl Running {
    async fn put(&self, names: &[&str]) {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test"))
            .endpoint_url(self.aws.endpoints().dynamodb)
            .load()
            .await;
        let client = Client::new(&config);
        for name in names {
            let item = client.put_item().table_name("rows").item("pk", S("p".to_owned()));
            item.item("sk", S((*name).to_owned())).send().await.unwrap();
        }
    }

    async fn call(&mut self) -> Call {
        timeout(PATIENCE, self.calls.recv()).await.unwrap().unwrap()
    }

    /// Waits until the position has come to the end of the stream.
    async fn wait_until_done(&self) {
        let done = async {
            loop {
                let position = self.aws.streams().position("f/Changes").await.unwrap();
                if self.aws.streams().read("rows", position.as_deref()).await.unwrap().is_empty() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, done).await.unwrap();
    }
}

#[tokio::test]
async fn records_come_in_order_once_and_what_died_with_the_host_comes_again() {
    let folder = folder();
    let mut running = start(&folder).await;
    running.put(&["m1", "other", "m2", "m3"]).await;
    let call = running.call().await;
    assert_eq!(call.names(), ["m1", "m2", "m3"], "what no filter matches wakes nobody");
    call.1.send(Value::Null).unwrap();
    running.wait_until_done().await;
    running.put(&["m4"]).await;
    let held = running.call().await;
    assert_eq!(held.names(), ["m4"]);
    drop(running);
    let mut running = start(&folder).await;
    let call = running.call().await;
    assert_eq!(call.names(), ["m4"], "begun and not finished");
    call.1.send(Value::Null).unwrap();
    running.wait_until_done().await;
}

#[tokio::test]
async fn from_the_first_failure_on_it_is_tried_again() {
    let folder = folder();
    let mut running = start(&folder).await;
    running.put(&["m1", "m2", "m3"]).await;
    running.call().await.fail("m2");
    // What is left is halved.
    let call = running.call().await;
    assert_eq!(call.names(), ["m2"]);
    call.1.send(json!({"batchItemFailures": []})).unwrap();
    let call = running.call().await;
    assert_eq!(call.names(), ["m3"]);
    drop(call.1);
    let call = running.call().await;
    assert_eq!(call.names(), ["m3"], "a function that dies has done nothing");
    call.1.send(Value::Null).unwrap();
    running.wait_until_done().await;
}

#[tokio::test]
async fn what_fails_always_is_given_up_alone_and_told() {
    let folder = folder();
    let mut running = start(&folder).await;
    running.put(&["m1", "m2", "m3", "m4"]).await;
    let serve = async {
        let mut done = Vec::new();
        while done.len() < 3 {
            let call = running.calls.recv().await.unwrap();
            match call.names().contains(&"m2") {
                true => call.fail("m2"),
                false => {
                    done.extend(call.0.iter().map(|(name, _)| name.clone()));
                    call.1.send(Value::Null).unwrap();
                }
            }
            // What stands before the failure counts as done.
            if !done.contains(&"m1".to_owned()) {
                done.push("m1".to_owned());
            }
        }
        done
    };
    assert_eq!(timeout(PATIENCE, serve).await.unwrap(), ["m1", "m3", "m4"]);
    running.wait_until_done().await;
    let told = running.aws.sqs().receive("dead", 10, None).await.unwrap();
    assert_eq!(told.len(), 1);
    let told: Value = serde_json::from_str(&told[0].body).unwrap();
    assert_eq!(told["DDBStreamBatchInfo"]["batchSize"], 1);
    assert_eq!(told["requestContext"]["condition"], "RetryAttemptsExhausted");
}
