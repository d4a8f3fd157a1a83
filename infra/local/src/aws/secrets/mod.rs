//! Secrets Manager: versions and their staging labels as rows, over HTTP (AWS JSON 1.1).
//!
//! What the functions depend on: `PutSecretValue` has no compare-and-swap, so a writer stores a version under a label of
//! its own and moves AWSCURRENT with `UpdateSecretVersionStage`, which **refuses when the label is no longer on the
//! version named in `RemoveFromVersionId`**.

mod api;
mod requests;
mod rows;

use serde_json::Value;

use super::AwsError;
use super::clock::now_ms;
use super::db::Db;

/// Largest `SecretString` or `SecretBinary` in bytes.
const MAX_BYTES: usize = 65_536;
/// Versions a secret may have; beyond it the unlabelled ones older than a day go, and no others.
const MAX_VERSIONS: i64 = 100;
/// The label of the version that is meant when none is named.
const CURRENT: &str = "AWSCURRENT";
/// The label of the version that was [`CURRENT`] before.
const PREVIOUS: &str = "AWSPREVIOUS";

/// All secrets; clones share them.
#[derive(Clone)]
pub(super) struct Secrets {
    db: Db,
}

impl Secrets {
    pub(super) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Answers one operation, in one transaction.
    pub(super) async fn handle(&self, operation: &str, body: Value) -> Result<Value, AwsError> {
        let operation = operation.to_owned();
        self.db
            .call(move |t| {
                let now = now_ms();
                rows::purge(t, now)?;
                api::handle(t, &operation, body, now)
            })
            .await
    }
}
