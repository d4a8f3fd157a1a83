//! What can go wrong in the embedded AWS, and whose fault it is.

use std::io;
use std::path::{Path, PathBuf};

use super::policy::Denied;

/// [`AwsError::Refused`] and [`AwsError::Denied`] are the caller's doing and are told in the service's own code;
/// everything else is ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AwsError {
    /// The request is refused, as AWS would: `code` is the error's name there.
    #[error("{code}: {message}")]
    Refused {
        /// Name of the AWS exception, for example `QueueDoesNotExist`.
        code: &'static str,
        /// The words for the caller; never a body and never a secret.
        message: String,
    },
    /// No policy allows it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A port cannot be listened on; in use, most often.
    #[error("port {port} on 127.0.0.1: {source}")]
    Port {
        /// As asked for; 0 is any.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// A file or directory of the state.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The table description, or what dynoxide says of it.
    #[error("table {table}: {message}")]
    Table {
        /// `TableName`, empty when it is missing.
        table: String,
        /// What is wrong with it.
        message: String,
    },
    /// SQLite, under S3's rows, the queues and the secrets.
    #[error("state: {0}")]
    State(#[from] rusqlite::Error),
    /// A value in the state that is not what was written there.
    #[error("state: {0}")]
    Json(#[from] serde_json::Error),
    /// A database call ended before its answer (it panicked, or the runtime stops).
    #[error("state: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl AwsError {
    /// Refusal in the words of AWS.
    pub(super) fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into() }
    }

    /// For `map_err`: names the file the system complains about.
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
