//! One SQLite file under S3's rows, the queues and the secrets.
//!
//! One connection, one transaction at a time: what a call reads is what it decides on, which makes a conditional
//! write, a receive and a dead-letter move atomic without more thought.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::AwsError;

/// Another process may hold the file for a moment: the one that ends while this one starts.
const BUSY: Duration = Duration::from_secs(5);

/// Handle to the file; clones share the connection.
#[derive(Clone)]
pub(super) struct Db(Arc<Mutex<Connection>>);

impl Db {
    /// Opens or creates the file and its tables.
    pub(super) fn open(path: &Path) -> Result<Self, AwsError> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // The page cache survives a killed process, so nothing answered is lost without an fsync for each commit.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.execute_batch(include_str!("schema.sql"))?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Runs `work` in a transaction off the async threads: committed when it is `Ok`, undone when it is not.
    pub(super) async fn call<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<AwsError> + Send + 'static,
    {
        let db = self.clone();
        tokio::task::spawn_blocking(move || db.run(work)).await.map_err(AwsError::from)?
    }

    fn run<T, E: From<AwsError>>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E> {
        // A panic in `work` undid its transaction: the connection behind a poisoned lock is sound.
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(AwsError::from)?;
        let value = work(&transaction)?;
        transaction.commit().map_err(AwsError::from)?;
        Ok(value)
    }
}
