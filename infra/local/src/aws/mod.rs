//! The embedded AWS: what the functions reach by `AWS_ENDPOINT_URL_*` when there is no AWS account.
//!
//! | service | engine | port |
//! |---|---|---|
//! | DynamoDB and its streams | dynoxide on `dynamodb.sqlite`, a thread of its own ([`dynamodb`]); the host's triggers read the streams in process ([`streams`]) | its own |
//! | S3 | the protocol by `s3s`, storage in [`s3`]: a row decides, the bytes are files | shared |
//! | Secrets Manager | [`secrets`], rows | shared |
//! | SQS | [`sqs`], rows; the host's triggers use it in process | shared |
//! | EventBridge | [`events`], rows: `PutEvents` alone | shared |
//!
//! **Invariant**: what was answered with success is there after `kill -9`. Every answer follows its commit, and a
//! body file is complete before the row that names it. (Power loss may cost the last moments: WAL with
//! `synchronous = NORMAL`.)
//!
//! The functions may do what the template's policies allow them, and nothing else ([`policy`]).
//!
//! **Absent on purpose**: throttling, more than one account or region, and CloudFormation: tables, buckets and
//! queues come from the template by [`Options`], so nothing creates them over HTTP.

mod clock;
mod counts;
mod db;
mod dynamodb;
mod error;
mod events;
mod http;
mod policy;
mod s3;
mod secrets;
mod sqs;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use self::error::AwsError;
pub(crate) use self::policy::{Statement, access_key};
pub(crate) use self::sqs::{Sqs, SqsMessage};
pub(crate) use self::streams::{StreamRecord, Streams, shard_id, stream_arn};

use self::counts::Counts;
use self::db::Db;
use self::policy::Policies;

/// The one account of the embedded AWS.
pub(crate) const ACCOUNT: &str = "000000000000";
/// The one region of the embedded AWS.
pub(crate) const REGION: &str = "us-east-1";
/// The access key of the account's administrator: tests, tools and the developer's shell. S3 accepts this one and those
/// of the functions ([`access_key`]); its signatures are checked.
pub(crate) const ACCESS_KEY: &str = "halfpenny";
/// The secret to every access key: no secret at all, it opens what listens on this machine only.
pub(crate) const SECRET_KEY: &str = "halfpenny-local";

/// What to start, as the template says it.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Directory that keeps all state; created when missing.
    pub data: PathBuf,
    /// 0 takes any free port; see [`Aws::endpoints`].
    pub dynamodb_port: u16,
    /// S3, Secrets Manager, SQS and EventBridge; 0 takes any free port.
    pub services_port: u16,
    /// `Properties` of `AWS::DynamoDB::Table`, intrinsics resolved, `TableName` set.
    pub tables: Vec<serde_json::Value>,
    /// Bucket names (3 to 63 characters, as on AWS).
    pub buckets: Vec<String>,
    /// Every queue, dead-letter queues included.
    pub queues: Vec<QueueSpec>,
    /// Names of the event buses.
    pub buses: Vec<String>,
    /// What each function may do, by its name.
    pub policies: BTreeMap<String, Vec<Statement>>,
}

/// One `AWS::SQS::Queue`.
#[derive(Debug, Clone)]
pub(crate) struct QueueSpec {
    /// Last part of the ARN and of the URL.
    pub name: String,
    /// `VisibilityTimeout`: how long a received message stays hidden.
    pub visibility_seconds: u32,
    /// `DelaySeconds` of a message that brings none.
    pub delay_seconds: u32,
    /// `MessageRetentionPeriod`, from the moment of sending.
    pub retention_seconds: u32,
    /// Where a message goes that was received too often.
    pub redrive: Option<Redrive>,
    /// A message is delivered so often at most, each time a little later: "at least once", as AWS warns.
    pub copies: u32,
}

/// `RedrivePolicy` of a queue.
#[derive(Debug, Clone)]
pub(crate) struct Redrive {
    /// Name of the dead-letter queue; it is one of [`Options::queues`].
    pub target: String,
    /// Receives before the message is moved.
    pub max_receive_count: u32,
}

/// Base URLs, always with the IP: only then do the SDKs address buckets by path.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    /// `http://127.0.0.1:PORT` of DynamoDB and its streams.
    pub dynamodb: String,
    /// `http://127.0.0.1:PORT` of S3, Secrets Manager, SQS and EventBridge.
    pub services: String,
}

/// The running services. Clones share them; the last one dropped stops them.
#[derive(Clone)]
pub(crate) struct Aws {
    inner: Arc<Inner>,
}

struct Inner {
    endpoints: Endpoints,
    sqs: Sqs,
    streams: Streams,
    counts: Counts,
    stop: CancellationToken,
    _stops_when_dropped: DropGuard,
}

impl Aws {
    /// Opens the state, creates what the template names and is missing, and listens.
    ///
    /// # Errors
    /// A port in use, a directory that cannot be written, a table description DynamoDB refuses, a dead-letter queue
    /// that does not exist.
    pub(crate) async fn start(options: Options) -> Result<Self, AwsError> {
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        let counts = Counts::default();
        std::fs::create_dir_all(&options.data).map_err(AwsError::file(&options.data))?;

        let policies = Policies::new(options.policies.clone());
        let (dynamodb, database) = dynamodb::start(&options, &policies, &counts, &stop).await?;
        let listener = http::Listener::bind(options.services_port).await?;
        let services = listener.url();
        let db = Db::open(&options.data.join("services.sqlite"))?;
        let sqs = Sqs::new(db.clone(), &services, options.queues)?;
        let guard_s3 = s3::Guard { policies: policies.clone(), counts: counts.clone() };
        let s3 = s3::service(db.clone(), &options.data.join("objects"), &options.buckets, guard_s3).await?;
        let secrets = secrets::Secrets::new(db.clone());
        let streams = Streams::new(database, db.clone());
        let events = events::Events::new(db, &options.buses);
        let router = http::Router { s3, secrets, events, sqs: sqs.clone(), policies, counts: counts.clone() };
        tokio::spawn(listener.serve(router, stop.clone()));

        let endpoints = Endpoints { dynamodb, services };
        Ok(Self { inner: Arc::new(Inner { endpoints, sqs, streams, counts, stop, _stops_when_dropped: guard }) })
    }

    /// Where the services listen.
    pub(crate) fn endpoints(&self) -> Endpoints {
        self.inner.endpoints.clone()
    }

    /// The queues, in process: for the host's triggers.
    pub(crate) fn sqs(&self) -> &Sqs {
        &self.inner.sqs
    }

    /// The tables' streams, in process: for the host's triggers.
    pub(crate) fn streams(&self) -> &Streams {
        &self.inner.streams
    }

    /// Stops listening; requests that run are finished. State stays where it is.
    pub(crate) fn shutdown(&self) {
        self.inner.stop.cancel();
    }

    /// Requests since the start by `service.Operation` (`dynamodb.PutItem`, `s3.GetObject`, `sqs.SendMessage`,
    /// `secretsmanager.GetSecretValue`), and what DynamoDB's cost (`dynamodb.halfReadUnits`, `dynamodb.halfWriteUnits`,
    /// of the table and its indexes). Exact for what came over HTTP; the in-process calls of [`Sqs`] are not in it.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.inner.counts.snapshot()
    }
}
