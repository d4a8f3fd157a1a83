//! DynamoDB's streams in process, for the host's triggers: dynoxide writes a change with the item in one transaction,
//! and how far a consumer has come is a row here. So nothing is lost over a `kill -9`, and what was under way comes
//! again.

use dynoxide::Database;
use dynoxide::actions::get_records::{GetRecordsRequest, Record};
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

use super::db::Db;
use super::{ACCOUNT, AwsError, REGION};

/// Records of one read at most (as of GetRecords).
const MOST: usize = 1000;

/// All streams; clones share them.
#[derive(Clone)]
pub(crate) struct Streams {
    dynamodb: Database,
    db: Db,
}

/// One change, as Lambda hands it to a function.
#[derive(Debug, Clone)]
pub(crate) struct StreamRecord {
    /// Names its place in the stream.
    pub sequence: String,
    /// Seconds since 1970.
    pub created_at: i64,
    /// The record of the event.
    pub event: Value,
}

impl Streams {
    pub(super) fn new(dynamodb: Database, db: Db) -> Self {
        Self { dynamodb, db }
    }

    /// How far a consumer has come; none: it begins.
    ///
    /// # Errors
    /// The state's.
    pub(crate) async fn position(&self, consumer: &str) -> Result<Option<String>, AwsError> {
        let consumer = consumer.to_owned();
        self.db
            .call(move |t| {
                let sql = "SELECT sequence FROM stream_positions WHERE consumer = ?1";
                Ok(t.query_row(sql, [consumer], |row| row.get(0)).optional()?)
            })
            .await
    }

    /// Notes that a consumer is done up to here.
    ///
    /// # Errors
    /// The state's.
    pub(crate) async fn advance(&self, consumer: &str, sequence: &str) -> Result<(), AwsError> {
        let (consumer, sequence) = (consumer.to_owned(), sequence.to_owned());
        self.db
            .call(move |t| {
                t.execute(
                    "INSERT INTO stream_positions (consumer, sequence) VALUES (?1, ?2) \
                     ON CONFLICT (consumer) DO UPDATE SET sequence = excluded.sequence",
                    params![consumer, sequence],
                )?;
                Ok(())
            })
            .await
    }

    /// The changes of a table behind a place, oldest first; from the oldest that is kept where none is given.
    ///
    /// # Errors
    /// What dynoxide says.
    pub(crate) async fn read(&self, table: &str, after: Option<&str>) -> Result<Vec<StreamRecord>, AwsError> {
        let (dynamodb, table, after) = (self.dynamodb.clone(), table.to_owned(), after.map(str::to_owned));
        tokio::task::spawn_blocking(move || records(&dynamodb, &table, after)).await?
    }
}

/// The ARN of a table's stream, as the template's `StreamArn` is here.
pub(crate) fn stream_arn(table: &str) -> String {
    format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}/stream/local")
}

/// The one shard of a table's stream.
pub(crate) fn shard_id(table: &str) -> String {
    dynoxide::streams::shard_id(table)
}

fn records(dynamodb: &Database, table: &str, after: Option<String>) -> Result<Vec<StreamRecord>, AwsError> {
    let failed =
        |error: dynoxide::DynoxideError| AwsError::Table { table: table.to_owned(), message: error.to_string() };
    let iterator = dynamodb.get_shard_iterator(GetShardIteratorRequest {
        stream_arn: stream_arn(table),
        shard_id: shard_id(table),
        shard_iterator_type: if after.is_some() { "AFTER_SEQUENCE_NUMBER" } else { "TRIM_HORIZON" }.to_owned(),
        sequence_number: after,
    });
    let shard_iterator = iterator.map_err(failed)?.shard_iterator.unwrap_or_default();
    let found = dynamodb.get_records(GetRecordsRequest { shard_iterator, limit: Some(MOST) }).map_err(failed)?;
    found.records.into_iter().map(|record| event(record, table)).collect()
}

/// docs.aws.amazon.com/lambda/latest/dg/with-ddb.html, "Example event".
fn event(record: Record, table: &str) -> Result<StreamRecord, AwsError> {
    let sequence = record.dynamodb.sequence_number.clone();
    let mut event = serde_json::to_value(record)?;
    let created_at = event["dynamodb"]["ApproximateCreationDateTime"].as_f64().unwrap_or_default() as i64;
    event["dynamodb"]["ApproximateCreationDateTime"] = json!(created_at);
    event["awsRegion"] = json!(REGION);
    event["eventSourceARN"] = json!(stream_arn(table));
    Ok(StreamRecord { sequence, created_at, event })
}
