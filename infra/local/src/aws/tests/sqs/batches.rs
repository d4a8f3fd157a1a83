use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, SendMessageBatchRequestEntry,
};

use crate::aws::tests::Running;

fn entry(id: &str, body: &str) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder().id(id).message_body(body).build().expect("entry")
}

#[tokio::test]
async fn batches_answer_for_each_entry() {
    let running = Running::start().await;
    let client = running.sqs().await;
    let url = running.aws.sqs().url("work");
    let sent = client.send_message_batch().queue_url(&url).entries(entry("a", "fine")).entries(entry("b", "\u{1}"));
    let sent = sent.send().await.expect("sent");
    assert_eq!(sent.successful().iter().map(|entry| entry.id()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(
        sent.failed().iter().map(|entry| (entry.id(), entry.code())).collect::<Vec<_>>(),
        [("b", "InvalidMessageContents")]
    );

    assert_eq!(running.aws.sqs().receive("work", 10, None).await.expect("received").len(), 1);
}

#[tokio::test]
async fn a_batch_over_its_limits_is_refused_whole() {
    let running = Running::start().await;
    let client = running.sqs().await;
    let url = running.aws.sqs().url("work");
    let twice = client.send_message_batch().queue_url(&url).entries(entry("a", "x")).entries(entry("a", "y"));
    let twice = twice.send().await.expect_err("same id");
    assert!(twice.into_service_error().is_batch_entry_ids_not_distinct());
    let many = (0..11).map(|n| entry(&n.to_string(), "x")).collect();
    let many = client.send_message_batch().queue_url(&url).set_entries(Some(many)).send().await.expect_err("eleven");
    assert!(many.into_service_error().is_too_many_entries_in_batch_request());
    let half = "x".repeat(600_000);
    let large = client.send_message_batch().queue_url(&url).entries(entry("a", &half)).entries(entry("b", &half));
    assert!(large.send().await.expect_err("too large").into_service_error().is_batch_request_too_long());

    let received = running.aws.sqs().receive("work", 10, None).await.expect("received");
    assert!(received.is_empty(), "nothing of a refused batch is there");
}

#[tokio::test]
async fn messages_are_deleted_and_hidden_by_batch() {
    let running = Running::start().await;
    let client = running.sqs().await;
    let url = running.aws.sqs().url("work");
    let two = client.send_message_batch().queue_url(&url).entries(entry("a", "x")).entries(entry("b", "y"));
    two.send().await.expect("sent");
    let received = running.aws.sqs().receive("work", 10, None).await.expect("received");
    let back = ChangeMessageVisibilityBatchRequestEntry::builder().id("b").visibility_timeout(0);
    let back = back.receipt_handle(&received[1].receipt_handle).build().expect("entry");
    let back = client.change_message_visibility_batch().queue_url(&url).entries(back).send().await.expect("changed");
    assert_eq!(back.successful().len(), 1);
    let gone = DeleteMessageBatchRequestEntry::builder().id("a").receipt_handle(&received[0].receipt_handle);
    let gone = gone.build().expect("entry");
    let broken = DeleteMessageBatchRequestEntry::builder().id("b").receipt_handle("none").build().expect("entry");
    let gone =
        client.delete_message_batch().queue_url(&url).entries(gone).entries(broken).send().await.expect("deleted");
    assert_eq!(gone.successful().len(), 1);
    assert_eq!(gone.failed()[0].code(), "ReceiptHandleIsInvalid");
    let left = running.aws.sqs().receive("work", 10, None).await.expect("received");
    assert_eq!(left.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["y"]);
}

#[tokio::test]
async fn limits_and_unknown_queues_are_refused_by_name() {
    let running = Running::start().await;
    let client = running.sqs().await;
    let url = running.aws.sqs().url("work");
    let largest = "x".repeat(1_048_576);
    client.send_message().queue_url(&url).message_body(&largest).send().await.expect("1 MiB fits");
    let larger = client.send_message().queue_url(&url).message_body(largest + "x").send().await.expect_err("too large");
    assert_eq!(larger.into_service_error().meta().code(), Some("InvalidParameterValue"));
    let unknown = client.send_message().queue_url("http://127.0.0.1:1/000000000000/nowhere").message_body("x");
    assert!(unknown.send().await.expect_err("unknown").into_service_error().is_queue_does_not_exist());

    client.purge_queue().queue_url(&url).send().await.expect("purged");
    assert!(running.aws.sqs().receive("work", 1, None).await.expect("received").is_empty());
}
