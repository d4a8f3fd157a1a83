//! `kill -9` of a real process in the middle of writing: what it acknowledged is there afterwards.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue::S;
use aws_sdk_s3::primitives::ByteStream;
use tokio::sync::mpsc::UnboundedSender;

use super::{BUCKET, Directory, Running, config, options};
use crate::aws::{ACCESS_KEY, Aws, Endpoints, SECRET_KEY};

/// Long past the end of the crash test, in case nobody kills the process.
const SERVING: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "the process that is killed; the crash test starts it"]
async fn served_until_killed() {
    let data = std::env::current_dir().expect("the crash test's directory");
    let aws = Aws::start(options(data.clone())).await.expect("starts");
    let Endpoints { dynamodb, services } = aws.endpoints();
    std::fs::write(data.join("endpoints.new"), format!("{dynamodb} {services}")).expect("written");
    std::fs::rename(data.join("endpoints.new"), data.join("endpoints")).expect("renamed");
    tokio::time::sleep(SERVING).await;
}

fn start_process(data: &Path) -> Child {
    let test = "aws::tests::crash::served_until_killed";
    Command::new(std::env::current_exe().expect("this test"))
        .args([test, "--exact", "--ignored", "--test-threads=1"])
        .current_dir(data)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started")
}

async fn endpoints(data: &Path) -> (String, String) {
    let read = async {
        loop {
            if let Ok(text) = std::fs::read_to_string(data.join("endpoints")) {
                let (dynamodb, services) = text.split_once(' ').expect("two");
                return (dynamodb.to_owned(), services.to_owned());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SERVING, read).await.expect("the process serves")
}

/// Writes one number everywhere, until the service is gone; tells what was acknowledged everywhere.
async fn write(clients: Clients, first: u32, acknowledged: UnboundedSender<u32>) {
    for n in (first..).step_by(WRITERS as usize) {
        let text = n.to_string();
        let item = clients.dynamodb.put_item().table_name("hp-table").item("pk", S(text.clone()));
        let object = clients.s3.put_object().bucket(BUCKET).key(&text).if_none_match("*");
        let message = clients.sqs.send_message().queue_url("work").message_body(&text);
        let secret = clients.secrets.create_secret().name(&text).secret_string(&text);
        let all = item.item("sk", S("x".to_owned())).send().await.is_ok()
            && object.body(ByteStream::from(text.clone().into_bytes())).send().await.is_ok()
            && message.send().await.is_ok()
            && secret.send().await.is_ok();
        if !all || acknowledged.send(n).is_err() {
            return;
        }
    }
}

/// Concurrent writers.
const WRITERS: u32 = 4;

#[derive(Clone)]
struct Clients {
    dynamodb: aws_sdk_dynamodb::Client,
    s3: aws_sdk_s3::Client,
    secrets: aws_sdk_secretsmanager::Client,
    sqs: aws_sdk_sqs::Client,
}

impl Clients {
    /// Without retries: the first refused connection is the end of the service.
    async fn new(dynamodb: &str, services: &str) -> Self {
        let once = aws_config::retry::RetryConfig::disabled();
        let dynamodb = config(dynamodb, ACCESS_KEY, SECRET_KEY).await.into_builder().retry_config(once.clone()).build();
        let services = config(services, ACCESS_KEY, SECRET_KEY).await.into_builder().retry_config(once).build();
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(&dynamodb),
            s3: aws_sdk_s3::Client::new(&services),
            secrets: aws_sdk_secretsmanager::Client::new(&services),
            sqs: aws_sdk_sqs::Client::new(&services),
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let directory = Directory::new();
    let mut process = start_process(&directory.0);
    let (dynamodb, services) = endpoints(&directory.0).await;
    let clients = Clients::new(&dynamodb, &services).await;
    let (sender, mut acknowledged) = tokio::sync::mpsc::unbounded_channel();
    for first in 0..WRITERS {
        tokio::spawn(write(clients.clone(), first, sender.clone()));
    }
    drop(sender);
    let mut written = Vec::new();
    while let Some(n) = acknowledged.recv().await {
        written.push(n);
        if written.len() == 60 {
            // SIGKILL, while the other writers are in the middle of something.
            process.kill().expect("killed");
        }
    }
    process.wait().expect("ended");
    assert!(written.len() >= 60, "{}", written.len());

    let running = Running::start_on(directory).await;
    let (dynamodb, s3, secrets) = (running.dynamodb().await, running.s3().await, running.secrets().await);
    let mut messages = Vec::new();
    loop {
        let received = running.aws.sqs().receive("work", 10, None).await.expect("received");
        if received.is_empty() {
            break;
        }
        messages.extend(received.into_iter().map(|message| message.body));
    }
    for n in written {
        let text = n.to_string();
        let item = dynamodb.get_item().table_name("hp-table").key("pk", S(text.clone())).key("sk", S("x".to_owned()));
        assert!(item.send().await.expect("read").item.is_some(), "item {n}");
        let object = s3.get_object().bucket(BUCKET).key(&text).send().await.expect("object");
        assert_eq!(object.body.collect().await.expect("body").to_vec(), text.as_bytes());
        let secret = secrets.get_secret_value().secret_id(&text).send().await.expect("secret");
        assert_eq!(secret.secret_string(), Some(text.as_str()));
        assert!(messages.contains(&text), "message {n}");
    }
}
