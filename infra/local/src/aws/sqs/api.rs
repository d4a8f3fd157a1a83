//! SQS over HTTP (AWS JSON 1.0): names, limits and error codes of the API reference.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::moves;
use super::requests::{
    Attributes, Batch, Deletion, Entry, Message, QueueName, QueueUrl, ReceiptAndTime, ReceiptOnly, Receiving, Sending,
    Visibility, name, parse,
};
use super::rows::{self, NewMessage};
use super::{MAX_BYTES, Sqs, SqsMessage, invalid};
use crate::aws::AwsError;
use crate::aws::clock::now_ms;

/// Answers one operation; an operation without a result answers `{}`.
pub(in crate::aws) async fn handle(sqs: &Sqs, operation: &str, body: Value) -> Result<Value, AwsError> {
    match operation {
        "SendMessage" => send_message(sqs, parse(body)?).await,
        "SendMessageBatch" => send_message_batch(sqs, parse(body)?).await,
        "ReceiveMessage" => receive_message(sqs, parse(body)?).await,
        "DeleteMessage" => {
            let Deletion { queue_url, receipt_handle } = parse(body)?;
            sqs.delete(name(&queue_url), &receipt_handle).await?;
            Ok(json!({}))
        }
        "DeleteMessageBatch" => delete_message_batch(sqs, parse(body)?).await,
        "ChangeMessageVisibility" => {
            let Visibility { queue_url, receipt_handle, visibility_timeout } = parse(body)?;
            sqs.change_visibility(name(&queue_url), &receipt_handle, visibility_timeout).await?;
            Ok(json!({}))
        }
        "ChangeMessageVisibilityBatch" => change_message_visibility_batch(sqs, parse(body)?).await,
        "GetQueueUrl" => {
            let QueueName { queue_name } = parse(body)?;
            sqs.queue(&queue_name)?;
            Ok(json!({ "QueueUrl": sqs.url(&queue_name) }))
        }
        "GetQueueAttributes" => get_queue_attributes(sqs, parse(body)?).await,
        "PurgeQueue" => {
            let QueueUrl { queue_url } = parse(body)?;
            let queue = sqs.queue(name(&queue_url))?.spec.name.clone();
            sqs.db.call(move |t| rows::purge(t, &queue)).await?;
            Ok(json!({}))
        }
        "StartMessageMoveTask" => moves::start(sqs, body).await,
        "ListMessageMoveTasks" => moves::list(sqs, body).await,
        "CancelMessageMoveTask" => moves::cancel(),
        _ => Err(AwsError::refused("UnsupportedOperation", format!("{operation} is not emulated."))),
    }
}

async fn send_message(sqs: &Sqs, Sending { queue_url, message }: Sending) -> Result<Value, AwsError> {
    // The queue is looked for first, as AWS does: a wrong URL is a worse mistake than a wrong body.
    let queue = name(&queue_url);
    sqs.queue(queue)?;
    if message.size() > MAX_BYTES {
        return Err(invalid("Message must be shorter than 1048576 bytes"));
    }
    store(sqs, queue, message).await.map(Value::Object)
}

async fn send_message_batch(sqs: &Sqs, batch: Batch<Message>) -> Result<Value, AwsError> {
    let queue = name(&batch.queue_url);
    sqs.queue(queue)?;
    batch.check()?;
    if batch.entries.iter().map(|entry| entry.content.size()).sum::<usize>() > MAX_BYTES {
        let message = "Batch requests cannot be longer than 1048576 bytes.";
        return Err(AwsError::refused("BatchRequestTooLong", message));
    }
    let mut outcome = Outcome::default();
    for Entry { id, content } in batch.entries {
        outcome.add(id, store(sqs, queue, content).await)?;
    }
    Ok(outcome.into_json())
}

async fn store(sqs: &Sqs, queue: &str, message: Message) -> Result<Map<String, Value>, AwsError> {
    message.check()?;
    let md5 = rows::md5_hex(&message.message_body);
    let Message { message_body: body, delay_seconds, message_attributes: attributes } = message;
    let id = sqs.send(queue, NewMessage { body, attributes, delay_seconds }).await?;
    Ok(Map::from_iter([("MessageId".to_owned(), id.into()), ("MD5OfMessageBody".to_owned(), md5.into())]))
}

async fn receive_message(sqs: &Sqs, request: Receiving) -> Result<Value, AwsError> {
    let queue = name(&request.queue_url);
    let wait = request.wait_time_seconds.unwrap_or(0);
    if wait > 20 {
        return Err(invalid("WaitTimeSeconds must be >= 0 and <= 20"));
    }
    let deadline = Instant::now() + Duration::from_secs(wait.into());
    let max = request.max_number_of_messages.unwrap_or(1);
    loop {
        let messages = sqs.receive(queue, max, request.visibility_timeout).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        if !messages.is_empty() {
            let messages: Vec<Value> = messages.into_iter().map(|message| received(sqs, message, &request)).collect();
            return Ok(json!({ "Messages": messages }));
        }
        if left.is_zero() {
            return Ok(json!({}));
        }
        sqs.wait(queue, left).await?;
    }
}

fn received(sqs: &Sqs, message: SqsMessage, request: &Receiving) -> Value {
    let mut system = json!({
        "ApproximateReceiveCount": message.receive_count.to_string(),
        "ApproximateFirstReceiveTimestamp": message.first_received_at_ms.to_string(),
        "SentTimestamp": message.sent_at_ms.to_string(),
        "SenderId": crate::aws::ACCOUNT,
    });
    if let Some(source) = &message.dead_letter_source {
        system["DeadLetterQueueSourceArn"] = sqs.arn(source).into();
    }
    let wanted = [request.attribute_names.as_slice(), &request.message_system_attribute_names].concat();
    let mut answer = json!({
        "MessageId": message.message_id, "ReceiptHandle": message.receipt_handle,
        "Body": message.body, "MD5OfBody": message.md5,
    });
    if let Value::Object(system) = system {
        put(&mut answer, "Attributes", select(system, &wanted));
    }
    put(&mut answer, "MessageAttributes", select(message.attributes, &request.message_attribute_names));
    answer
}

/// A member is left out when there is nothing in it.
fn put(answer: &mut Value, member: &str, values: Map<String, Value>) {
    if !values.is_empty() {
        answer[member] = Value::Object(values);
    }
}

/// The members asked for: by name, by `prefix.*`, or all of them.
fn select(mut values: Map<String, Value>, wanted: &[String]) -> Map<String, Value> {
    let matches = |pattern: &String, name: &str| match pattern.strip_suffix(".*") {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == "All" || pattern == name,
    };
    values.retain(|name, _| wanted.iter().any(|pattern| matches(pattern, name)));
    values
}

async fn delete_message_batch(sqs: &Sqs, batch: Batch<ReceiptOnly>) -> Result<Value, AwsError> {
    let queue = name(&batch.queue_url);
    sqs.queue(queue)?;
    batch.check()?;
    let mut outcome = Outcome::default();
    for Entry { id, content } in batch.entries {
        outcome.add(id, sqs.delete(queue, &content.receipt_handle).await.map(|()| Map::new()))?;
    }
    Ok(outcome.into_json())
}

async fn change_message_visibility_batch(sqs: &Sqs, batch: Batch<ReceiptAndTime>) -> Result<Value, AwsError> {
    let queue = name(&batch.queue_url);
    sqs.queue(queue)?;
    batch.check()?;
    let mut outcome = Outcome::default();
    for Entry { id, content } in batch.entries {
        let changed = sqs.change_visibility(queue, &content.receipt_handle, content.visibility_timeout).await;
        outcome.add(id, changed.map(|()| Map::new()))?;
    }
    Ok(outcome.into_json())
}

/// What became of each entry of a batch.
#[derive(Default)]
struct Outcome {
    successful: Vec<Value>,
    failed: Vec<Value>,
}

impl Outcome {
    /// A refused entry fails alone; a failure of ours fails the request, and the client repeats it.
    fn add(&mut self, id: String, result: Result<Map<String, Value>, AwsError>) -> Result<(), AwsError> {
        match result {
            Ok(mut entry) => {
                entry.insert("Id".to_owned(), id.into());
                self.successful.push(Value::Object(entry));
            }
            Err(AwsError::Refused { code, message }) => {
                self.failed.push(json!({ "Id": id, "SenderFault": true, "Code": code, "Message": message }));
            }
            Err(ours) => return Err(ours),
        }
        Ok(())
    }

    fn into_json(self) -> Value {
        json!({ "Successful": self.successful, "Failed": self.failed })
    }
}

async fn get_queue_attributes(sqs: &Sqs, request: Attributes) -> Result<Value, AwsError> {
    let spec = sqs.queue(name(&request.queue_url))?.spec.clone();
    let queue = spec.name.clone();
    let depth = sqs.db.call(move |t| rows::depth(t, &queue, now_ms())).await?;
    let mut attributes = Map::from_iter(
        [
            ("ApproximateNumberOfMessages", depth.visible.to_string()),
            ("ApproximateNumberOfMessagesNotVisible", depth.in_flight.to_string()),
            ("ApproximateNumberOfMessagesDelayed", depth.delayed.to_string()),
            ("DelaySeconds", spec.delay_seconds.to_string()),
            ("MaximumMessageSize", MAX_BYTES.to_string()),
            ("MessageRetentionPeriod", spec.retention_seconds.to_string()),
            ("QueueArn", sqs.arn(&spec.name)),
            ("ReceiveMessageWaitTimeSeconds", "0".to_owned()),
            ("VisibilityTimeout", spec.visibility_seconds.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), Value::String(value))),
    );
    if let Some(redrive) = spec.redrive {
        let policy = json!({
            "deadLetterTargetArn": sqs.arn(&redrive.target), "maxReceiveCount": redrive.max_receive_count,
        });
        attributes.insert("RedrivePolicy".to_owned(), policy.to_string().into());
    }
    Ok(json!({ "Attributes": select(attributes, &request.attribute_names) }))
}
