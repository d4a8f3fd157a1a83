//! DynamoDB and its streams: dynoxide on a file, in a thread and runtime of its own, because it answers each request
//! synchronously on the thread that accepted it. It listens on any port; in front of it stands the [`guard`].

mod guard;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dynoxide::{Database, DynoxideError};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::clock::now_ms;
use super::counts::Counts;
use super::policy::Policies;
use super::{AwsError, Options, http};

/// How often expired items and old stream records are removed. (AWS: within a few days, and 24 hours.)
const SWEEP: Duration = Duration::from_secs(30);
/// Retention of stream records on AWS.
const STREAM_SECONDS: i64 = 24 * 60 * 60;
/// How long the sweep waits for a writer.
const BUSY: Duration = Duration::from_secs(5);

/// Opens the file, creates the tables that are missing and serves; answers with the base URL, and with the
/// database for what reads its streams in process.
pub(super) async fn start(
    options: &Options,
    policies: &Policies,
    counts: &Counts,
    stop: &CancellationToken,
) -> Result<(String, Database), AwsError> {
    let front = http::Listener::bind(options.dynamodb_port).await?;
    let url = front.url();
    let failed = |source| AwsError::Port { port: 0, source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let guard = guard::Guard::new(policies.clone(), counts.clone(), listener.local_addr().map_err(failed)?);

    let path = options.data.join("dynamodb.sqlite");
    let db = open(&path)?;
    for properties in &options.tables {
        create_table(&db, properties)?;
    }
    index_stream_records(&path)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    tokio::spawn(sweep(db.clone(), path, stop.clone()));
    let counting = tracing_subscriber::registry().with(Requests(counts.clone()).with_filter(requests_only()));
    let serving = serve(listener, db.clone(), stop.clone());
    let thread = move || {
        let served = tracing::subscriber::with_default(counting, || runtime.block_on(serving));
        if let Err(error) = served {
            tracing::error!(error, "dynamodb");
        }
    };
    std::thread::Builder::new().name("dynamodb".to_owned()).spawn(thread).map_err(failed)?;
    tokio::spawn(front.serve(guard, stop.clone()));
    Ok((url, db))
}

fn open(path: &Path) -> Result<Database, AwsError> {
    let state = |error: DynoxideError| AwsError::Table { table: String::new(), message: error.to_string() };
    let db = Database::new(&path.to_string_lossy()).map_err(state)?;
    // The pair of calls leaves `synchronous = NORMAL` behind; there is no setting for it. The page cache survives a
    // killed process, so nothing answered is lost without an fsync for each commit.
    db.enable_bulk_loading().map_err(state)?;
    db.disable_bulk_loading().map_err(state)?;
    Ok(db)
}

/// A table that is there already stays as it is, if it has what this version needs.
fn create_table(db: &Database, properties: &Value) -> Result<(), AwsError> {
    let table = properties["TableName"].as_str().unwrap_or_default().to_owned();
    let refused = |message: String| AwsError::Table { table: table.clone(), message };
    let request = serde_json::from_value(to_api(properties)).map_err(|error| refused(error.to_string()))?;
    match db.create_table(request) {
        Ok(_) => (),
        Err(DynoxideError::ResourceInUseException(_)) => check_indexes(db, properties)?,
        Err(error) => return Err(refused(error.to_string())),
    }
    let Some(ttl) = properties.get("TimeToLiveSpecification") else {
        return Ok(());
    };
    let wanted = json!({ "TableName": table, "TimeToLiveSpecification": ttl });
    let described = json!({ "TableName": table });
    let described = serde_json::from_value(described).map_err(|error| refused(error.to_string()))?;
    let status = db.describe_time_to_live(described).map_err(|error| refused(error.to_string()))?;
    let status = serde_json::to_value(&status)?;
    // DynamoDB refuses to enable what is enabled.
    if status["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED" {
        return Ok(());
    }
    let wanted = serde_json::from_value(wanted).map_err(|error| refused(error.to_string()))?;
    db.update_time_to_live(wanted).map(|_| ()).map_err(|error| refused(error.to_string()))
}

/// State that an older version has left behind may lack an index: without it nothing would be found, and nobody told.
fn check_indexes(db: &Database, properties: &Value) -> Result<(), AwsError> {
    let table = properties["TableName"].as_str().unwrap_or_default();
    let refused = |message: String| AwsError::Table { table: table.to_owned(), message };
    let request = serde_json::from_value(json!({ "TableName": table })).map_err(|error| refused(error.to_string()))?;
    let there = db.describe_table(request).map_err(|error| refused(error.to_string()))?;
    let there = serde_json::to_value(&there)?;
    let names = |indexes: &Value| -> Vec<String> {
        let names = indexes.as_array().into_iter().flatten().filter_map(|index| index["IndexName"].as_str());
        names.map(str::to_owned).collect()
    };
    let present = names(&there["Table"]["GlobalSecondaryIndexes"]);
    match names(&properties["GlobalSecondaryIndexes"]).into_iter().find(|name| !present.contains(name)) {
        None => Ok(()),
        Some(index) => Err(refused(format!(
            "it was made by an older version and has no index {index:?}: delete the data directory to begin anew"
        ))),
    }
}

/// CloudFormation's properties as a CreateTable request: a stream is enabled by having a specification, and what the
/// API sets by calls of its own (time to live, backups) is left out.
fn to_api(properties: &Value) -> Value {
    const TAKEN: [&str; 10] = [
        "TableName",
        "KeySchema",
        "AttributeDefinitions",
        "GlobalSecondaryIndexes",
        "LocalSecondaryIndexes",
        "BillingMode",
        "ProvisionedThroughput",
        "StreamSpecification",
        "TableClass",
        "Tags",
    ];
    let taken = TAKEN.iter().filter_map(|name| Some(((*name).to_owned(), properties.get(name)?.clone())));
    let mut request = Value::Object(taken.collect());
    if let Some(stream) = request.get_mut("StreamSpecification") {
        stream["StreamEnabled"] = true.into();
    }
    request
}

async fn serve(listener: TcpListener, db: Database, stop: CancellationToken) -> Result<(), String> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(|error| error.to_string())?;
    dynoxide::server::serve_with_shutdown(listener, db, stop.cancelled_owned()).await
}

async fn sweep(db: Database, path: PathBuf, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let (db, path) = (db.clone(), path.clone());
        let swept = tokio::task::spawn_blocking(move || {
            db.sweep_ttl().map_err(|error| error.to_string())?;
            prune(&path, now_ms() / 1000 - STREAM_SECONDS).map_err(|error| error.to_string())
        });
        match swept.await {
            Ok(Ok(_)) => (),
            Ok(Err(error)) => tracing::warn!(error, "dynamodb sweep"),
            Err(error) => tracing::warn!(%error, "dynamodb sweep"),
        }
    }
}

/// Each write asks for the highest sequence number, and each reader of a stream for what is behind one. dynoxide 3.2 has
/// no index for either, so that a day of records makes every write read them all.
fn index_stream_records(path: &Path) -> Result<(), AwsError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection.execute_batch(
        "CREATE INDEX IF NOT EXISTS records_of_table
             ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
         CREATE INDEX IF NOT EXISTS records_of_shard
             ON _stream_records (table_name, shard_id, CAST(sequence_number AS INTEGER));",
    )?)
}

/// Removes the stream records written before `oldest` (seconds since 1970): dynoxide itself keeps them for ever.
/// Answers with their number.
fn prune(path: &Path, oldest: i64) -> Result<usize, AwsError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection.execute("DELETE FROM _stream_records WHERE created_at < ?1", [oldest])?)
}

/// Counts dynoxide's own "request" events. It has no other hook, and its thread has no other subscriber: at TRACE its
/// events hold whole items, which belong in no log.
struct Requests(Counts);

fn requests_only() -> Targets {
    Targets::new().with_target("dynoxide::server", Level::DEBUG)
}

impl<S: Subscriber> Layer<S> for Requests {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut request = RequestEvent::default();
        event.record(&mut request);
        if request.is_request {
            self.0.add("dynamodb", &request.operation);
        }
    }
}

/// What is read of an event.
#[derive(Default)]
struct RequestEvent {
    operation: String,
    is_request: bool,
}

impl Visit for RequestEvent {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "operation" {
            self.operation = value.to_owned();
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.is_request = format!("{value:?}") == "request";
        }
    }
}

#[cfg(test)]
mod tests;
