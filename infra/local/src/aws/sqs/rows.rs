//! The queues' statements. Each runs inside a transaction of the caller.

use md5::{Digest, Md5};
use rusqlite::{OptionalExtension, Row, Transaction, named_params, params};
use serde_json::{Map, Value};

use super::{Receipt, SqsMessage, invalid};
use crate::aws::{AwsError, QueueSpec};

/// A message to be stored; its size and its characters are checked.
pub(super) struct NewMessage {
    pub(super) body: String,
    pub(super) attributes: Map<String, Value>,
    /// The queue's own when `None`.
    pub(super) delay_seconds: Option<u32>,
}

/// How many messages a queue holds, by what they wait for.
pub(super) struct Depth {
    pub(super) visible: i64,
    pub(super) in_flight: i64,
    pub(super) delayed: i64,
}

/// How much later a further copy of a message comes, in milliseconds.
const COPY_MS: i64 = 300;

/// Hexadecimal MD5, as SQS answers it.
pub(super) fn md5_hex(text: &str) -> String {
    hex::encode(Md5::digest(text))
}

pub(super) fn insert(
    t: &Transaction<'_>,
    spec: &QueueSpec,
    message: &NewMessage,
    now: i64,
) -> Result<String, AwsError> {
    let id = uuid::Uuid::new_v4().to_string();
    let delay = i64::from(message.delay_seconds.unwrap_or(spec.delay_seconds)) * 1000;
    let mut insert = t.prepare_cached(
        "INSERT INTO messages (queue, id, body, attributes, sent_at, visible_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let attributes = serde_json::to_string(&message.attributes)?;
    let mut put = |visible_at: i64| insert.insert(params![spec.name, id, message.body, attributes, now, visible_at]);
    let sequence = put(now + delay)?;
    for copy in 0..sequence % i64::from(spec.copies.max(1)) {
        put(now + delay + COPY_MS * (copy + 1))?;
    }
    Ok(id)
}

/// Drops what is older than the queue keeps messages.
pub(super) fn expire(t: &Transaction<'_>, spec: &QueueSpec, now: i64) -> Result<(), AwsError> {
    let oldest = now - i64::from(spec.retention_seconds) * 1000;
    t.prepare_cached("DELETE FROM messages WHERE queue = ?1 AND visible_at <= ?2 AND sent_at < ?3")?
        .execute(params![spec.name, now, oldest])?;
    Ok(())
}

/// Moves what has been received as often as the redrive policy allows, and is visible again. Id, time of sending and
/// receive count stay; answers with the number of messages moved.
pub(super) fn move_to_dead_letters(t: &Transaction<'_>, spec: &QueueSpec, now: i64) -> Result<usize, AwsError> {
    let Some(redrive) = &spec.redrive else {
        return Ok(0);
    };
    let moved = t
        .prepare_cached(
            "UPDATE messages SET queue = :target, source = :queue, receipt = NULL, visible_at = :now
             WHERE queue = :queue AND visible_at <= :now AND receive_count >= :limit",
        )?
        .execute(named_params! {
            ":target": redrive.target, ":queue": spec.name, ":now": now, ":limit": redrive.max_receive_count,
        })?;
    Ok(moved)
}

/// Takes the messages that are visible longest, hides them for `hidden` milliseconds and gives each a new receipt.
pub(super) fn receive(
    t: &Transaction<'_>,
    queue: &str,
    max: u32,
    now: i64,
    hidden: i64,
) -> Result<Vec<SqsMessage>, AwsError> {
    let mut statement = t.prepare_cached(
        "UPDATE messages SET receive_count = receive_count + 1, visible_at = :now + :hidden,
             first_received_at = coalesce(first_received_at, :now),
             receipt = sequence || '-' || lower(hex(randomblob(16)))
         WHERE sequence IN (SELECT sequence FROM messages WHERE queue = :queue AND visible_at <= :now
                            ORDER BY visible_at, sequence LIMIT :max)
         RETURNING id, receipt, body, receive_count, sent_at, first_received_at, attributes, source, sequence",
    )?;
    let found = named_params! { ":now": now, ":hidden": hidden, ":queue": queue, ":max": max };
    let mut messages: Vec<(i64, SqsMessage)> =
        statement.query_map(found, |row| Ok((row.get(8)?, message(row)?)))?.collect::<Result<_, _>>()?;
    // RETURNING promises no order.
    messages.sort_by_key(|(sequence, _)| *sequence);
    Ok(messages.into_iter().map(|(_, message)| message).collect())
}

fn message(row: &Row<'_>) -> rusqlite::Result<SqsMessage> {
    let body: String = row.get(2)?;
    let attributes: String = row.get(6)?;
    let attributes = serde_json::from_str(&attributes)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(6, rusqlite::types::Type::Text, Box::new(error)))?;
    Ok(SqsMessage {
        message_id: row.get(0)?,
        receipt_handle: row.get(1)?,
        md5: md5_hex(&body),
        body,
        receive_count: row.get(3)?,
        sent_at_ms: row.get(4)?,
        first_received_at_ms: row.get(5)?,
        attributes,
        dead_letter_source: row.get(7)?,
    })
}

pub(super) fn delete(t: &Transaction<'_>, queue: &str, receipt: &Receipt) -> Result<(), AwsError> {
    t.prepare_cached("DELETE FROM messages WHERE sequence = ?1 AND queue = ?2 AND receipt = ?3")?.execute(params![
        receipt.sequence,
        queue,
        receipt.handle
    ])?;
    Ok(())
}

pub(super) fn change_visibility(
    t: &Transaction<'_>,
    queue: &str,
    receipt: &Receipt,
    now: i64,
    hidden: i64,
) -> Result<(), AwsError> {
    let visible_at: Option<i64> = t
        .prepare_cached("SELECT visible_at FROM messages WHERE sequence = ?1 AND queue = ?2 AND receipt = ?3")?
        .query_row(params![receipt.sequence, queue, receipt.handle], |row| row.get(0))
        .optional()?;
    match visible_at {
        None => Err(invalid("Message does not exist or is not available for visibility timeout change")),
        Some(at) if at <= now => Err(AwsError::refused("MessageNotInflight", "The message is not in flight.")),
        Some(_) => {
            t.prepare_cached("UPDATE messages SET visible_at = ?1 WHERE sequence = ?2")?
                .execute(params![now + hidden, receipt.sequence])?;
            Ok(())
        }
    }
}

/// When the next message becomes visible (in the past: there is one).
pub(super) fn next_visible(t: &Transaction<'_>, queue: &str) -> Result<Option<i64>, AwsError> {
    let next = t
        .prepare_cached("SELECT min(visible_at) FROM messages WHERE queue = ?1")?
        .query_row([queue], |row| row.get(0))?;
    Ok(next)
}

pub(super) fn depth(t: &Transaction<'_>, queue: &str, now: i64) -> Result<Depth, AwsError> {
    let depth = t.query_row(
        "SELECT count(*) FILTER (WHERE visible_at <= ?2),
                count(*) FILTER (WHERE visible_at > ?2 AND receipt IS NOT NULL),
                count(*) FILTER (WHERE visible_at > ?2 AND receipt IS NULL)
         FROM messages WHERE queue = ?1",
        params![queue, now],
        |row| Ok(Depth { visible: row.get(0)?, in_flight: row.get(1)?, delayed: row.get(2)? }),
    )?;
    Ok(depth)
}

pub(super) fn purge(t: &Transaction<'_>, queue: &str) -> Result<(), AwsError> {
    t.execute("DELETE FROM messages WHERE queue = ?1", [queue])?;
    Ok(())
}
