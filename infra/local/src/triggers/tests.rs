//! The triggers over the embedded SQS, with the test in the functions' place.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Triggers;
use crate::aws::{Aws, Options, QueueSpec};
use crate::gateway::{Invoke, InvokeError};
use crate::template::{Function, QueueTrigger, ScheduleTrigger, Template};

const PATIENCE: Duration = Duration::from_secs(20);

/// One invocation, waiting for the test's answer.
struct Call {
    function: String,
    event: Value,
    answer: oneshot::Sender<Value>,
}

impl Call {
    fn bodies(&self) -> Vec<&str> {
        let records = self.event["Records"].as_array().unwrap();
        records.iter().map(|r| r["body"].as_str().unwrap()).collect()
    }

    fn answer(self, answer: Value) {
        self.answer.send(answer).unwrap();
    }
}

struct Functions(mpsc::UnboundedSender<Call>);

impl Invoke for Functions {
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        let (answer, answered) = oneshot::channel();
        let event = serde_json::from_slice(&payload).unwrap();
        let function = function.to_owned();
        self.0.send(Call { function, event, answer }).unwrap();
        Ok(Bytes::from(answered.await.unwrap().to_string()))
    }
}

/// The triggers of one function `f`, on a queue `q` with a visibility of 1 s.
struct Running {
    triggers: Triggers,
    calls: mpsc::UnboundedReceiver<Call>,
    aws: Aws,
    folder: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.triggers.stop();
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

async fn start(queues: Vec<QueueTrigger>, schedules: Vec<ScheduleTrigger>) -> Running {
    let folder = std::env::temp_dir().join(format!("halfpenny-{}", uuid::Uuid::new_v4()));
    let aws = Aws::start(Options {
        data: folder.clone(),
        dynamodb_port: 0,
        services_port: 0,
        tables: vec![],
        buckets: vec![],
        queues: vec![QueueSpec {
            name: "q".to_owned(),
            visibility_seconds: 1,
            delay_seconds: 0,
            retention_seconds: 3600,
            redrive: None,
            copies: 1,
        }],
        buses: vec![],
        policies: BTreeMap::new(),
    });
    let aws = aws.await.unwrap();
    let (functions, calls) = mpsc::unbounded_channel();
    let template = template(queues, schedules);
    let triggers = Triggers::start(&template, &Arc::new(Functions(functions)), aws.sqs(), aws.streams()).unwrap();
    Running { triggers, calls, aws, folder }
}

fn template(queues: Vec<QueueTrigger>, schedules: Vec<ScheduleTrigger>) -> Template {
    let function = Function {
        logical_id: "F".to_owned(),
        name: "f".to_owned(),
        binary: "f".to_owned(),
        memory_mb: 128,
        timeout: PATIENCE,
        statements: Vec::new(),
        environment: BTreeMap::new(),
        routes: vec![],
        queues,
        streams: vec![],
        schedules,
    };
    let (tables, buckets, buses) = (vec![], vec![], vec![]);
    Template { functions: vec![function], authorizer: None, tables, buckets, queues: vec![], buses }
}

fn queue(batch_size: u32, max_concurrency: Option<u32>) -> QueueTrigger {
    QueueTrigger {
        queue: "q".to_owned(),
        batch_size,
        window: Duration::ZERO,
        partial_failures: true,
        max_concurrency,
        enabled: true,
    }
}

fn schedule(expression: &str, enabled: bool) -> ScheduleTrigger {
    ScheduleTrigger { name: "Tick".to_owned(), expression: expression.to_owned(), input: None, enabled }
}

impl Running {
    /// In one batch, so that a poller sees all of them at once.
    async fn send(&self, bodies: &[&str]) {
        let entry = |(id, body): (usize, &&str)| json!({ "Id": id.to_string(), "MessageBody": body });
        let entries: Vec<Value> = bodies.iter().enumerate().map(entry).collect();
        self.sqs("SendMessageBatch", json!({ "Entries": entries })).await;
    }

    async fn sqs(&self, operation: &str, mut body: Value) -> Value {
        body["QueueUrl"] = json!(self.aws.sqs().url("q"));
        let request = Request::post(self.aws.endpoints().services)
            .header("x-amz-target", format!("AmazonSQS.{operation}"))
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let answer = client.request(request).await.unwrap();
        assert!(answer.status().is_success());
        let body = answer.into_body().collect().await.unwrap();
        serde_json::from_slice(&body.to_bytes()).unwrap()
    }

    async fn call(&mut self) -> Call {
        let call = timeout(PATIENCE, self.calls.recv()).await.unwrap().unwrap();
        assert_eq!(call.function, "f");
        call
    }

    /// Waits until the queue holds nothing, hidden or not.
    async fn wait_until_empty(&self) {
        let emptied = async {
            while self.depth().await != 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, emptied).await.unwrap();
    }

    async fn depth(&self) -> u32 {
        let answer = self.sqs("GetQueueAttributes", json!({ "AttributeNames": ["All"] })).await;
        let count = |name: &str| answer["Attributes"][name].as_str().unwrap().parse::<u32>().unwrap();
        count("ApproximateNumberOfMessages") + count("ApproximateNumberOfMessagesNotVisible")
    }
}

#[tokio::test]
async fn only_what_failed_comes_back() {
    let mut running = start(vec![queue(10, None)], vec![]).await;
    running.send(&["good", "bad", "fine"]).await;
    // Good, bad, fine, and bad once more; how they fall into batches depends on who is quicker.
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let call = running.call().await;
        let mut failures = Vec::new();
        for (body, record) in call.bodies().iter().zip(call.event["Records"].as_array().unwrap()) {
            let count = record["attributes"]["ApproximateReceiveCount"].as_str().unwrap().to_owned();
            if *body == "bad" && count == "1" {
                failures.push(json!({ "itemIdentifier": record["messageId"] }));
            }
            seen.push(((*body).to_owned(), count));
        }
        call.answer(json!({ "batchItemFailures": failures }));
    }
    seen.sort();
    let times = |body: &str, count: &str| (body.to_owned(), count.to_owned());
    assert_eq!(seen, [times("bad", "1"), times("bad", "2"), times("fine", "1"), times("good", "1")]);
    running.wait_until_empty().await;
    assert!(running.calls.try_recv().is_err());
}

#[tokio::test]
async fn batches_and_invocations_at_once_have_their_limits() {
    let mut running = start(vec![queue(2, Some(2))], vec![]).await;
    running.send(&["1", "2", "3", "4", "5"]).await;
    let mut open = vec![running.call().await, running.call().await];
    assert!(running.calls.try_recv().is_err(), "two invocations at once and no third");
    let mut seen = Vec::new();
    while seen.len() < 5 {
        // A batch takes what is there: how the five fall into batches depends on who is quicker.
        let call = if open.is_empty() { running.call().await } else { open.remove(0) };
        assert!((1..=2).contains(&call.bodies().len()));
        seen.extend(call.bodies().into_iter().map(str::to_owned));
        call.answer(json!(null));
    }
    seen.sort_unstable();
    assert_eq!(seen, ["1", "2", "3", "4", "5"]);
    running.wait_until_empty().await;
}

#[tokio::test]
async fn a_window_gathers_what_comes_after_one_another() {
    let window = Duration::from_millis(700); // less than the visibility, or the first message would come twice
    let mut running = start(vec![QueueTrigger { window, ..queue(10, None) }], vec![]).await;
    running.send(&["1"]).await;
    running.send(&["2"]).await;
    let call = running.call().await;
    assert_eq!(call.bodies(), ["1", "2"]);
    call.answer(json!(null));
    running.wait_until_empty().await;
}

#[tokio::test]
async fn a_schedule_ticks_and_a_disabled_one_does_not() {
    let schedules = vec![schedule("rate(1 second)", true), schedule("rate(1 second)", false)];
    let mut running = start(vec![], schedules).await;
    let (first, second) = (running.call().await, running.call().await);
    let time = |call: &Call| call.event["time"].as_str().unwrap().to_owned();
    assert_eq!(first.event["detail-type"], "Scheduled Event");
    assert!(time(&first) < time(&second), "{} {}", time(&first), time(&second));
    first.answer(json!(null));
    second.answer(json!(null));
}

#[tokio::test]
async fn ticks_that_nobody_finishes_do_not_pile_up() {
    let mut running = start(vec![], vec![schedule("rate(1 second)", true)]).await;
    let mut held = Vec::new();
    for _ in 0..super::DEFAULT_CONCURRENCY {
        held.push(running.call().await);
    }
    let dropped = timeout(Duration::from_millis(1500), running.calls.recv()).await;
    assert!(dropped.is_err(), "a tick more than may run at once");
    held.remove(0).answer(json!(null));
    running.call().await.answer(json!(null));
}

#[tokio::test]
async fn a_schedule_that_is_not_understood_is_named() {
    let (functions, _) = mpsc::unbounded_channel();
    let running = start(vec![], vec![]).await;
    let template = template(vec![], vec![schedule("at(2026-11-21T10:00:00)", true)]);
    let error = Triggers::start(&template, &Arc::new(Functions(functions)), running.aws.sqs(), running.aws.streams());
    let text = error.err().unwrap().to_string();
    let place = "Resources.F.Properties.Events.Tick: at(2026-11-21T10:00:00): ";
    assert!(text.starts_with(place), "{text}");
}
