//! Why the host could not start, and the failures of an invocation that the host words itself.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::json;

use crate::gateway::{InvokeError, InvokeErrorKind};

/// An invocation's failure in the shape of Lambda's: `{"errorType": "…", "errorMessage": "…"}`.
pub(super) fn failure(kind: InvokeErrorKind, error_type: &str, message: &str) -> InvokeError {
    let body = json!({ "errorType": error_type, "errorMessage": message });
    InvokeError { kind, payload: Bytes::from(body.to_string()) }
}

/// Why the host could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuntimeError {
    /// The port of the Runtime API is taken or forbidden.
    #[error("cannot listen on 127.0.0.1:{port} for the Lambda Runtime API: {source}")]
    Listen {
        /// The port that was asked for.
        port: u16,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file under the data directory cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
}
