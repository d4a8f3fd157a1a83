mod batches;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName as System, QueueAttributeName};
use tokio::time::timeout;

use super::Running;
use crate::aws::AwsError;

const LONG: Duration = Duration::from_secs(20);

async fn send(running: &Running, client: &Client, body: &str) {
    client.send_message().queue_url(running.aws.sqs().url("work")).message_body(body).send().await.expect("sent");
}

async fn attributes(running: &Running, client: &Client) -> HashMap<QueueAttributeName, String> {
    let request = client.get_queue_attributes().queue_url(running.aws.sqs().url("work"));
    let answer = request.attribute_names(QueueAttributeName::All).send().await.expect("attributes");
    answer.attributes.expect("attributes")
}

#[tokio::test]
async fn a_message_is_sent_received_and_deleted() {
    let running = Running::start().await;
    let client = running.sqs().await;
    let url = running.aws.sqs().url("work");
    let attribute =
        MessageAttributeValue::builder().data_type("String").string_value("acme").build().expect("attribute");
    let sent = client.send_message().queue_url(&url).message_body("hello").message_attributes("tenant", attribute);
    let sent = sent.send().await.expect("sent");
    assert_eq!(sent.md5_of_message_body(), Some("5d41402abc4b2a76b9719d911017c592"));

    let received = client
        .receive_message()
        .queue_url(&url)
        .message_system_attribute_names(System::All)
        .message_attribute_names("All")
        .send()
        .await
        .expect("received");
    let [message] = received.messages() else { panic!("one message: {received:?}") };
    assert_eq!(message.body(), Some("hello"));
    assert_eq!(message.message_id(), sent.message_id());
    assert_eq!(message.message_attributes().and_then(|all| all.get("tenant")?.string_value()), Some("acme"));
    let count = message.attributes().and_then(|all| all.get(&System::ApproximateReceiveCount));
    assert_eq!(count.map(String::as_str), Some("1"));

    let receipt = message.receipt_handle().expect("receipt");
    client.delete_message().queue_url(&url).receipt_handle(receipt).send().await.expect("deleted");
    client.delete_message().queue_url(&url).receipt_handle(receipt).send().await.expect("deleted again");
    let depth = attributes(&running, &client).await;
    assert_eq!(depth[&QueueAttributeName::ApproximateNumberOfMessages], "0");
    assert_eq!(depth[&QueueAttributeName::ApproximateNumberOfMessagesNotVisible], "0");
}

#[tokio::test]
async fn a_queue_tells_its_url_and_its_settings() {
    let running = Running::start().await;
    let client = running.sqs().await;
    let url = client.get_queue_url().queue_name("work").send().await.expect("url");
    assert_eq!(url.queue_url(), Some(running.aws.sqs().url("work").as_str()));
    let settings = attributes(&running, &client).await;
    assert_eq!(settings[&QueueAttributeName::VisibilityTimeout], "30");
    let policy = &settings[&QueueAttributeName::RedrivePolicy];
    assert!(policy.contains("arn:aws:sqs:us-east-1:000000000000:dead"), "{policy}");
}

#[tokio::test]
async fn a_long_poll_ends_when_a_message_comes() {
    let running = Running::start().await;
    let client = running.sqs().await;
    let poll = client.receive_message().queue_url(running.aws.sqs().url("work")).wait_time_seconds(20).send();
    let poll = tokio::spawn(poll);
    send(&running, &client, "awaited").await;
    let received =
        timeout(LONG / 2, poll).await.expect("before the poll's own end").expect("joined").expect("received");
    assert_eq!(received.messages().len(), 1);
}

#[tokio::test]
async fn a_delayed_message_comes_when_it_is_due() {
    let running = Running::start().await;
    let client = running.sqs().await;
    let url = running.aws.sqs().url("work");
    let began = Instant::now();
    client.send_message().queue_url(&url).message_body("later").delay_seconds(1).send().await.expect("sent");
    let early = client.receive_message().queue_url(&url).send().await.expect("received");
    assert!(early.messages().is_empty());
    let depth = attributes(&running, &client).await;
    assert_eq!(depth[&QueueAttributeName::ApproximateNumberOfMessagesDelayed], "1");
    let due = client.receive_message().queue_url(&url).wait_time_seconds(20).send().await.expect("received");
    assert_eq!(due.messages().len(), 1);
    assert!((Duration::from_millis(990)..LONG).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_message_not_deleted_comes_back_and_then_goes_to_the_dead_letters() {
    let running = Running::start().await;
    let client = running.sqs().await;
    let sqs = running.aws.sqs();
    send(&running, &client, "stubborn").await;
    let mut ids = Vec::new();
    for count in 1..=2 {
        let received = sqs.receive("work", 10, Some(0)).await.expect("received");
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].receive_count, count);
        ids.push(received[0].message_id.clone());
    }
    assert!(sqs.receive("work", 10, None).await.expect("received").is_empty());
    timeout(LONG, sqs.wait("dead", LONG)).await.expect("awake").expect("waited");
    let dead = sqs.receive("dead", 10, None).await.expect("received");
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].body, "stubborn");
    assert_eq!(dead[0].message_id, ids[0]);
    assert_eq!(dead[0].dead_letter_source.as_deref(), Some("work"));
}

#[tokio::test]
async fn visibility_can_be_changed_while_in_flight_only() {
    let running = Running::start().await;
    let client = running.sqs().await;
    let sqs = running.aws.sqs();
    send(&running, &client, "mine").await;
    let first = sqs.receive("work", 1, None).await.expect("received").remove(0);
    assert!(sqs.receive("work", 1, None).await.expect("received").is_empty(), "hidden");
    sqs.change_visibility("work", &first.receipt_handle, 0).await.expect("given back");
    let refused = client
        .change_message_visibility()
        .queue_url(sqs.url("work"))
        .receipt_handle(&first.receipt_handle)
        .visibility_timeout(5)
        .send()
        .await
        .expect_err("visible");
    assert!(refused.into_service_error().is_message_not_inflight());

    let second = sqs.receive("work", 1, None).await.expect("received").remove(0);
    assert_ne!(first.receipt_handle, second.receipt_handle);
    let outdated = sqs.change_visibility("work", &first.receipt_handle, 5).await;
    assert!(matches!(outdated, Err(AwsError::Refused { code: "InvalidParameterValue", .. })), "{outdated:?}");
    sqs.delete("work", &first.receipt_handle).await.expect("an outdated receipt deletes nothing");
    sqs.change_visibility("work", &second.receipt_handle, 0).await.expect("still there");
    let too_long = sqs.change_visibility("work", &second.receipt_handle, 43_201).await;
    assert!(matches!(too_long, Err(AwsError::Refused { code: "InvalidParameterValue", .. })), "{too_long:?}");
}

#[tokio::test]
async fn one_message_goes_to_one_of_many_receivers() {
    let running = Running::start().await;
    let client = running.sqs().await;
    for n in 0..20 {
        send(&running, &client, &n.to_string()).await;
    }
    let receivers = (0..8).map(|_| {
        let sqs = running.aws.sqs().clone();
        tokio::spawn(async move {
            let mut bodies = Vec::new();
            while let Some(message) = sqs.receive("work", 1, None).await.expect("received").pop() {
                bodies.push(message.body);
            }
            bodies
        })
    });
    let mut bodies: Vec<String> = futures_util::future::join_all(receivers)
        .await
        .into_iter()
        .flat_map(|bodies| bodies.expect("joined"))
        .collect();
    bodies.sort_by_key(|body| body.parse::<u32>().expect("number"));
    assert_eq!(bodies, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn messages_survive_a_restart_in_flight_or_not() {
    let running = Running::start().await;
    let client = running.sqs().await;
    send(&running, &client, "in flight").await;
    let taken = running.aws.sqs().receive("work", 1, Some(1)).await.expect("received").remove(0);
    send(&running, &client, "waiting").await;

    let running = running.restart().await;
    let sqs = running.aws.sqs();
    let waiting = sqs.receive("work", 10, None).await.expect("received");
    assert!(waiting.iter().any(|message| message.body == "waiting"));
    let mut back = waiting.into_iter().find(|message| message.body == "in flight");
    while back.is_none() {
        timeout(LONG, sqs.wait("work", LONG)).await.expect("awake").expect("waited");
        back = sqs.receive("work", 10, None).await.expect("received").pop();
    }
    let back = back.expect("back after its visibility");
    assert_eq!(back.message_id, taken.message_id);
    assert_eq!(back.receive_count, 2);
}

#[tokio::test]
async fn requests_over_http_are_counted_and_calls_in_process_are_not() {
    let running = Running::start().await;
    let client = running.sqs().await;
    send(&running, &client, "counted").await;
    running.aws.sqs().receive("work", 1, None).await.expect("received");
    assert_eq!(running.aws.counts().into_iter().collect::<Vec<_>>(), [("sqs.SendMessage".to_owned(), 1)]);
}

#[tokio::test]
async fn dead_letters_are_put_back_to_where_they_came_from() {
    let running = Running::start().await;
    let client = running.sqs().await;
    let sqs = running.aws.sqs();
    for body in ["one", "two"] {
        send(&running, &client, body).await;
    }
    for _ in 0..3 {
        let _ = sqs.receive("work", 10, Some(0)).await.expect("received");
    }
    let to_itself =
        client.start_message_move_task().source_arn(sqs.arn("work")).send().await.expect_err("no dead letters");
    assert_eq!(to_itself.into_service_error().meta().code(), Some("InvalidParameterValue"));
    let nowhere = client.start_message_move_task().source_arn(sqs.arn("nobody")).send().await.expect_err("no queue");
    assert!(nowhere.into_service_error().is_resource_not_found_exception());

    let started = client.start_message_move_task().source_arn(sqs.arn("dead")).send().await.expect("started");
    assert!(started.task_handle().is_some());
    let back = sqs.receive("work", 10, None).await.expect("received");
    let mut seen: Vec<_> = back.iter().map(|message| (message.body.as_str(), message.receive_count)).collect();
    seen.sort_unstable();
    assert_eq!(seen, [("one", 1), ("two", 1)], "they count anew");
    assert!(sqs.receive("dead", 10, None).await.expect("received").is_empty());
    let tasks = client.list_message_move_tasks().source_arn(sqs.arn("dead")).send().await.expect("listed");
    let [task] = tasks.results() else { panic!("one task: {tasks:?}") };
    assert_eq!((task.status(), task.approximate_number_of_messages_moved()), (Some("COMPLETED"), 2));
}
