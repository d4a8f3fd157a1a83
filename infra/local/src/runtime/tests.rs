//! The host against real processes. Each is `stay.sh` or a tool of the system; the Runtime API is spoken by the test in
//! the process's place, so that every order of events can be had.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::pids::Pids;
use super::{FunctionSpec, MAX_PAYLOAD, Runtime, RuntimeOptions};
use crate::gateway::{Invoke, InvokeError, InvokeErrorKind};

/// Far more than anything here takes: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("halfpenny-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// One running host with the function `f`.
struct Host {
    runtime: Arc<Runtime>,
    folder: Folder,
}

async fn host(binary: &Path, instances: u32, timeout: Duration) -> Host {
    let folder = Folder::new();
    let options = RuntimeOptions {
        port: 0,
        data: folder.0.clone(),
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
    };
    let spec = FunctionSpec {
        name: "f".to_owned(),
        binary: binary.to_owned(),
        memory_mb: 256,
        timeout,
        env: BTreeMap::from([("HALFPENNY_TABLE".to_owned(), "table".to_owned())]),
        instances,
    };
    let runtime = Runtime::start(options, vec![spec]).await.unwrap();
    Host { runtime, folder }
}

async fn staying(instances: u32) -> Host {
    host(&stay(), instances, PATIENCE).await
}

fn stay() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/runtime/stay.sh")
}

type Invoked = JoinHandle<Result<Bytes, InvokeError>>;

impl Host {
    fn invoke(&self, payload: &str) -> Invoked {
        let runtime = Arc::clone(&self.runtime);
        let payload = Bytes::from(payload.to_owned());
        tokio::spawn(async move { runtime.invoke("f", payload).await })
    }

    /// Calls the Runtime API in the place of an instance: status, `next`'s request id, body.
    async fn call(&self, method: Method, number: u32, call: &str, body: Bytes) -> (StatusCode, String, Bytes) {
        let port = self.runtime.host.port;
        let uri = format!("http://127.0.0.1:{port}/f/{number}/2018-06-01/runtime/{call}");
        let request = Request::builder().method(method).uri(uri).body(Full::new(body)).unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let answer = timeout(PATIENCE, client.request(request)).await.unwrap().unwrap();
        let id = answer.headers().get("lambda-runtime-aws-request-id");
        let id = id.map(|id| id.to_str().unwrap().to_owned()).unwrap_or_default();
        (answer.status(), id, answer.into_body().collect().await.unwrap().to_bytes())
    }

    /// Takes the next event as this instance.
    async fn next(&self, number: u32) -> (String, Bytes) {
        let (status, id, event) = self.call(Method::GET, number, "invocation/next", Bytes::new()).await;
        assert_eq!(status, StatusCode::OK);
        (id, event)
    }

    async fn post(&self, number: u32, call: &str, body: impl Into<Bytes>) -> StatusCode {
        self.call(Method::POST, number, call, body.into()).await.0
    }

    async fn respond(&self, number: u32, id: &str, body: &str) -> StatusCode {
        self.post(number, &format!("invocation/{id}/response"), body.to_owned()).await
    }

    /// The processes on the list, in the order of their numbers.
    fn pids(&self) -> Vec<Pid> {
        let text = fs::read_to_string(self.folder.0.join("pids")).unwrap();
        let pid = |line: &str| line.split(' ').next().unwrap().parse().unwrap();
        text.lines().map(|line| Pid::from_raw(pid(line)).unwrap()).collect()
    }

    async fn wait_for_processes(&self, count: usize) -> Vec<Pid> {
        wait_until(|| self.pids().len() == count).await;
        self.pids()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.0.join("log/f.log")).unwrap_or_default()
    }
}

async fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "the condition never came true");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn outcome(invoked: Invoked) -> Result<Bytes, InvokeError> {
    timeout(PATIENCE, invoked).await.unwrap().unwrap()
}

async fn failure(invoked: Invoked) -> (InvokeErrorKind, Value) {
    let error = outcome(invoked).await.unwrap_err();
    (error.kind, serde_json::from_slice(&error.payload).unwrap())
}

#[tokio::test]
async fn an_answer_reaches_its_caller() {
    let host = staying(4).await;
    let invoked = host.invoke(r#"{"a":1}"#);
    let (id, event) = host.next(0).await;
    assert_eq!(event, r#"{"a":1}"#);
    assert_eq!(host.respond(0, &id, r#"{"b":2}"#).await, StatusCode::ACCEPTED);
    assert_eq!(outcome(invoked).await.unwrap(), r#"{"b":2}"#);
    host.runtime.shutdown().await;
}

#[tokio::test]
async fn an_error_of_the_function_is_passed_on_as_it_is() {
    let host = staying(1).await;
    let invoked = host.invoke("{}");
    let (id, _) = host.next(0).await;
    let body = r#"{"errorType":"Oh","errorMessage":"no"}"#;
    assert_eq!(host.post(0, &format!("invocation/{id}/error"), body).await, StatusCode::ACCEPTED);
    let error = json!({"errorType": "Oh", "errorMessage": "no"});
    assert_eq!(failure(invoked).await, (InvokeErrorKind::Unhandled, error));
    host.runtime.shutdown().await;
}

#[tokio::test]
async fn one_instance_works_off_the_queue_in_order() {
    let host = staying(1).await;
    let first = host.invoke("1");
    let (id, event) = host.next(0).await;
    let second = host.invoke("2");
    assert_eq!(event, "1");
    host.wait_for_processes(1).await;
    host.respond(0, &id, "one").await;
    let (id, event) = host.next(0).await;
    assert_eq!(event, "2");
    host.respond(0, &id, "two").await;
    assert_eq!(outcome(first).await.unwrap(), "one");
    assert_eq!(outcome(second).await.unwrap(), "two");
    host.runtime.shutdown().await;
}

#[tokio::test]
async fn calls_at_once_get_instances_up_to_the_limit_which_stay_warm() {
    let host = staying(2).await;
    let calls = [host.invoke("1"), host.invoke("2"), host.invoke("3")];
    let (first, _) = host.next(0).await;
    let (second, _) = host.next(1).await;
    assert_eq!(host.wait_for_processes(2).await.len(), 2);
    host.respond(0, &first, "a").await;
    let (third, _) = host.next(0).await;
    host.respond(0, &third, "c").await;
    host.respond(1, &second, "b").await;
    for call in calls {
        outcome(call).await.unwrap();
    }
    assert_eq!(host.pids().len(), 2);
    host.runtime.shutdown().await;
}

#[tokio::test]
async fn a_killed_process_fails_its_invocation_at_once_and_is_replaced() {
    let host = staying(1).await;
    let invoked = host.invoke("{}");
    let (id, _) = host.next(0).await;
    let waiting = host.invoke("waiting");
    kill_process(host.wait_for_processes(1).await[0], Signal::KILL).unwrap();
    let (kind, body) = failure(invoked).await;
    let message = format!("RequestId: {id} Error: Runtime exited with error: signal: 9 (SIGKILL)");
    assert_eq!(kind, InvokeErrorKind::Exit);
    assert_eq!(body, json!({"errorType": "Runtime.ExitError", "errorMessage": message}));
    let (id, event) = host.next(1).await;
    assert_eq!(event, "waiting");
    host.respond(1, &id, "done").await;
    assert_eq!(outcome(waiting).await.unwrap(), "done");
    host.runtime.shutdown().await;
}

#[tokio::test]
async fn a_poll_that_outlives_its_process_gets_no_work() {
    let host = Arc::new(staying(1).await);
    let first = host.invoke("1");
    let (id, _) = host.next(0).await;
    host.respond(0, &id, "one").await;
    outcome(first).await.unwrap();
    let poller = Arc::clone(&host);
    let stale = tokio::spawn(async move { poller.call(Method::GET, 0, "invocation/next", Bytes::new()).await });
    kill_process(host.wait_for_processes(1).await[0], Signal::KILL).unwrap();
    host.wait_for_processes(0).await;
    let second = host.invoke("2");
    let (id, event) = host.next(1).await;
    assert_eq!(event, "2");
    host.respond(1, &id, "two").await;
    assert_eq!(outcome(second).await.unwrap(), "two");
    assert_eq!(stale.await.unwrap().0, StatusCode::FORBIDDEN);
    host.runtime.shutdown().await;
}

#[tokio::test]
async fn the_deadline_kills_and_a_late_answer_is_refused() {
    let host = host(&stay(), 1, Duration::from_millis(200)).await;
    let invoked = host.invoke("{}");
    let (id, _) = host.next(0).await;
    let pid = host.wait_for_processes(1).await[0];
    let (kind, body) = failure(invoked).await;
    let message = format!("RequestId: {id} Error: Task timed out after 0.20 seconds");
    assert_eq!(kind, InvokeErrorKind::Timedout);
    assert_eq!(body, json!({"errorType": "Sandbox.Timedout", "errorMessage": message}));
    assert_eq!(host.respond(0, &id, "late").await, StatusCode::GONE);
    wait_until(|| test_kill_process(pid).is_err()).await;
    let again = host.invoke("again");
    let (id, _) = host.next(1).await;
    host.respond(1, &id, "fresh").await;
    assert_eq!(outcome(again).await.unwrap(), "fresh");
    host.runtime.shutdown().await;
}

#[tokio::test]
async fn time_in_the_queue_does_not_count() {
    let limit = Duration::from_millis(300);
    let host = host(&stay(), 1, limit).await;
    let invoked = host.invoke("{}");
    wait_until(|| host.log().contains("AWS_LAMBDA_FUNCTION_NAME")).await;
    sleep(limit).await; // Not to wait for anything: this is the time that must not count.
    let (id, _) = host.next(0).await;
    host.respond(0, &id, "in time").await;
    assert_eq!(outcome(invoked).await.unwrap(), "in time");
    host.runtime.shutdown().await;
}

#[tokio::test]
async fn the_last_words_of_a_process_are_kept() {
    let host = host(Path::new("/bin/pwd"), 1, PATIENCE).await;
    failure(host.invoke("{}")).await;
    host.runtime.shutdown().await;
    assert!(host.log().contains("[f#0] /"), "{}", host.log());
    assert!(host.log().contains("[f#1] /"), "{}", host.log());
}

#[tokio::test]
async fn a_function_that_does_not_start_is_tried_twice() {
    let host = host(Path::new("/bin/false"), 1, PATIENCE).await;
    let begun = Instant::now();
    let (kind, body) = failure(host.invoke("{}")).await;
    assert_eq!((kind, &body["errorType"]), (InvokeErrorKind::Init, &json!("Runtime.InitError")));
    assert!(body["errorMessage"].as_str().unwrap().contains("exit status: 1"), "{body}");
    assert!(begun.elapsed() >= Duration::from_millis(100));
    host.runtime.shutdown().await;
}

#[tokio::test]
async fn a_missing_binary_is_named() {
    let host = host(Path::new("/nowhere/f"), 1, PATIENCE).await;
    let (kind, body) = failure(host.invoke("{}")).await;
    assert_eq!(kind, InvokeErrorKind::Init);
    assert!(body["errorMessage"].as_str().unwrap().contains("/nowhere/f"), "{body}");
    host.runtime.shutdown().await;
}

#[tokio::test]
async fn payloads_up_to_the_limit_pass_and_one_byte_more_does_not() {
    let host = staying(1).await;
    let (full, over) = ("x".repeat(MAX_PAYLOAD), "x".repeat(MAX_PAYLOAD + 1));
    let (kind, body) = failure(host.invoke(&over)).await;
    assert_eq!((kind, &body["errorType"]), (InvokeErrorKind::TooLarge, &json!("RequestEntityTooLargeException")));
    let invoked = host.invoke(&full);
    let (id, event) = host.next(0).await;
    assert_eq!(event.len(), MAX_PAYLOAD);
    assert_eq!(host.respond(0, &id, &full).await, StatusCode::ACCEPTED);
    assert_eq!(outcome(invoked).await.unwrap().len(), MAX_PAYLOAD);
    let invoked = host.invoke("{}");
    let (id, _) = host.next(0).await;
    assert_eq!(host.respond(0, &id, &over).await, StatusCode::PAYLOAD_TOO_LARGE);
    let (kind, body) = failure(invoked).await;
    assert_eq!((kind, &body["errorType"]), (InvokeErrorKind::TooLarge, &json!("Function.ResponseSizeTooLarge")));
    host.runtime.shutdown().await;
}

#[tokio::test]
async fn what_is_unknown_is_refused() {
    let host = staying(1).await;
    let error = host.runtime.invoke("g", Bytes::new()).await.unwrap_err();
    assert_eq!(error.kind, InvokeErrorKind::UnknownFunction);
    assert_eq!(host.call(Method::GET, 7, "invocation/next", Bytes::new()).await.0, StatusCode::FORBIDDEN);
    assert_eq!(host.respond(0, "no-such-id", "{}").await, StatusCode::GONE);
    assert_eq!(host.post(0, "elsewhere", "{}").await, StatusCode::NOT_FOUND);
    host.runtime.shutdown().await;
}

#[tokio::test]
async fn a_function_sees_its_own_environment_and_nothing_of_the_shell() {
    let host = staying(1).await;
    let invoked = host.invoke("{}");
    let (id, _) = host.next(0).await;
    wait_until(|| host.log().contains("[f#0] that is all")).await;
    host.respond(0, &id, "{}").await;
    outcome(invoked).await.unwrap();
    let port = host.runtime.host.port;
    let log = host.log();
    for line in [
        "[f#0] HALFPENNY_TABLE=table",
        "[f#0] AWS_LAMBDA_FUNCTION_NAME=f",
        "[f#0] AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256",
        "[f#0] AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
        "[f#0] AWS_REGION=us-east-1",
        &format!("[f#0] AWS_LAMBDA_RUNTIME_API=http://127.0.0.1:{port}/f/0"),
    ] {
        assert!(log.lines().any(|found| found.ends_with(&format!(" {line}"))), "{line} is missing in\n{log}");
    }
    for name in ["HOME=", "CARGO", "PATH="] {
        assert!(!log.contains(&format!("[f#0] {name}")), "{name} leaked:\n{log}");
    }
    host.runtime.shutdown().await;
}

#[tokio::test]
async fn a_stop_answers_everyone_and_leaves_no_process() {
    let host = staying(1).await;
    let held = host.invoke("held");
    host.next(0).await;
    let queued = host.invoke("queued");
    let pid = host.wait_for_processes(1).await[0];
    host.runtime.shutdown().await;
    assert_eq!(failure(held).await.0, InvokeErrorKind::Exit);
    assert_eq!(failure(queued).await.0, InvokeErrorKind::Exit);
    assert_eq!(failure(host.invoke("after")).await.0, InvokeErrorKind::Exit);
    assert!(test_kill_process(pid).is_err());
}

#[tokio::test]
async fn what_a_killed_host_left_is_ended_and_a_stranger_with_its_number_is_not() {
    let folder = Folder::new();
    let list = folder.0.join("pids");
    let sleeper = || std::process::Command::new("/bin/sleep").arg("600").spawn().unwrap();
    let (mut ours, mut stranger) = (sleeper(), sleeper());
    let old = Pids::take_over(list.clone()).await.unwrap();
    old.add(ours.id(), Path::new("/bin/sleep"));
    let line = fs::read_to_string(&list).unwrap();
    let started_earlier = format!("{} 1 /usr/bin/sleep\n", stranger.id());
    fs::write(&list, format!("{line}{started_earlier}not a line\n")).unwrap();
    Pids::take_over(list.clone()).await.unwrap();
    assert_eq!(ours.wait().unwrap().code(), None);
    assert!(stranger.try_wait().unwrap().is_none());
    assert_eq!(fs::read_to_string(&list).unwrap(), "");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}
