//! Message move tasks: dead letters are put back into the queues that they came from, as `aws sqs
//! start-message-move-task` does it. A task is over when its start is answered: what AWS does message by message is one
//! transaction here.

use rusqlite::{Transaction, params};
use serde::Deserialize;
use serde_json::{Value, json};

use super::requests::parse;
use super::{Sqs, invalid};
use crate::aws::AwsError;
use crate::aws::clock::now_ms;

/// Most messages per second that a task may be asked for.
const MAX_RATE: u32 = 500;
/// Most tasks that are told at once.
const MAX_RESULTS: u32 = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Start {
    source_arn: String,
    destination_arn: Option<String>,
    max_number_of_messages_per_second: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    source_arn: String,
    max_results: Option<u32>,
}

fn missing(what: &str) -> AwsError {
    AwsError::refused(
        "ResourceNotFoundException",
        format!("The resource that you specified for the {what} parameter doesn't exist."),
    )
}

/// The queue of an ARN.
fn queue<'a>(sqs: &'a Sqs, arn: &str, member: &str) -> Result<&'a str, AwsError> {
    let name = arn.rsplit(':').next().unwrap_or_default();
    let found = sqs.queue(name).map_err(|_| missing(member))?;
    Ok(&found.spec.name)
}

/// A queue that is some other queue's dead letters.
fn dead_letters<'a>(sqs: &'a Sqs, arn: &str) -> Result<&'a str, AwsError> {
    let name = queue(sqs, arn, "SourceArn")?;
    let targets = |queue: &super::Queue| queue.spec.redrive.as_ref().is_some_and(|redrive| redrive.target == name);
    match sqs.queues.values().any(targets) {
        true => Ok(name),
        false => Err(invalid("Source queue must be configured as a Dead Letter Queue")),
    }
}

pub(super) async fn start(sqs: &Sqs, body: Value) -> Result<Value, AwsError> {
    let Start { source_arn, destination_arn, max_number_of_messages_per_second: rate } = parse(body)?;
    let source = dead_letters(sqs, &source_arn)?.to_owned();
    let destination = destination_arn.map(|arn| queue(sqs, &arn, "DestinationArn").map(str::to_owned)).transpose()?;
    if rate.is_some_and(|rate| !(1..=MAX_RATE).contains(&rate)) {
        return Err(invalid("MaxNumberOfMessagesPerSecond must be between 1 and 500"));
    }
    let handle = uuid::Uuid::new_v4().to_string();
    let task = handle.clone();
    sqs.db.call(move |t| run(t, &task, &source, destination.as_deref(), rate)).await?;
    for queue in sqs.queues.values() {
        queue.changed.notify_waiters();
    }
    Ok(json!({ "TaskHandle": handle }))
}

/// Moved messages are new ones, with an id, a time of sending and a receive count of their own. What is hidden, because
/// somebody looks at it, stays; so does what nobody's redrive policy has put there, where no destination is named.
fn run(
    t: &Transaction<'_>,
    handle: &str,
    source: &str,
    destination: Option<&str>,
    rate: Option<u32>,
) -> Result<(), AwsError> {
    let now = now_ms();
    let mut found = t.prepare(
        "SELECT sequence, coalesce(?2, source), body, attributes FROM messages
         WHERE queue = ?1 AND visible_at <= ?3 AND coalesce(?2, source) IS NOT NULL ORDER BY sequence",
    )?;
    let rows = found.query_map(params![source, destination, now], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get::<_, String>(3)?))
    })?;
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    for (sequence, queue, body, attributes) in &rows {
        let id = uuid::Uuid::new_v4().to_string();
        t.execute(
            "INSERT INTO messages (queue, id, body, attributes, sent_at, visible_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
            params![queue, id, body, attributes, now],
        )?;
        t.execute("DELETE FROM messages WHERE sequence = ?1", [sequence])?;
    }
    t.execute(
        "INSERT INTO move_tasks (handle, source, destination, rate, moved, started_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![handle, source, destination, rate, rows.len(), now],
    )?;
    Ok(())
}

/// The youngest first.
pub(super) async fn list(sqs: &Sqs, body: Value) -> Result<Value, AwsError> {
    let List { source_arn, max_results } = parse(body)?;
    let source = dead_letters(sqs, &source_arn)?.to_owned();
    let most = max_results.unwrap_or(1);
    if !(1..=MAX_RESULTS).contains(&most) {
        return Err(invalid("MaxResults must be between 1 and 10"));
    }
    let tasks = sqs.db.call(move |t| tasks(t, &source, most)).await?;
    let results: Vec<Value> = tasks.into_iter().map(|task| task.shown(sqs, &source_arn)).collect();
    Ok(json!({ "Results": results }))
}

struct Task {
    destination: Option<String>,
    rate: Option<u32>,
    moved: i64,
    started_at: i64,
}

impl Task {
    /// A task that is over shows no handle: there is nothing to cancel.
    fn shown(&self, sqs: &Sqs, source_arn: &str) -> Value {
        let mut shown = json!({
            "Status": "COMPLETED", "SourceArn": source_arn, "StartedTimestamp": self.started_at,
            "ApproximateNumberOfMessagesMoved": self.moved, "ApproximateNumberOfMessagesToMove": self.moved,
        });
        if let Some(destination) = &self.destination {
            shown["DestinationArn"] = sqs.arn(destination).into();
        }
        if let Some(rate) = self.rate {
            shown["MaxNumberOfMessagesPerSecond"] = rate.into();
        }
        shown
    }
}

fn tasks(t: &Transaction<'_>, source: &str, most: u32) -> Result<Vec<Task>, AwsError> {
    let mut statement = t.prepare_cached(
        "SELECT destination, rate, moved, started_at FROM move_tasks WHERE source = ?1 ORDER BY sequence DESC LIMIT ?2",
    )?;
    let rows = statement.query_map(params![source, most], |row| {
        Ok(Task { destination: row.get(0)?, rate: row.get(1)?, moved: row.get(2)?, started_at: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Only what runs can be cancelled, and no task runs longer than its start takes.
pub(super) fn cancel() -> Result<Value, AwsError> {
    Err(AwsError::refused("ResourceNotFoundException", "Only tasks with the status RUNNING can be cancelled."))
}
