//! How an invocation can fail, and how the host itself can.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::json;

/// What became of an invocation that has no result. The names follow AWS Lambda's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvokeErrorKind {
    /// The function answered with an error, or panicked.
    Unhandled,
    /// The function took the event and was killed at its deadline (`Sandbox.Timedout`).
    Timedout,
    /// The process ended while it held the event (`Runtime.ExitError`).
    Exit,
    /// No process came as far as asking for an event (`Runtime.InitError`).
    Init,
    /// The event or the answer is over 6 MB.
    TooLarge,
    /// No such function in the template.
    UnknownFunction,
}

/// A failed invocation, with the body that AWS Lambda would answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?}: {}", String::from_utf8_lossy(payload))]
pub(crate) struct InvokeError {
    /// What happened, for decisions.
    pub(crate) kind: InvokeErrorKind,
    /// `{"errorType": "…", "errorMessage": "…"}`, as the function or the host wrote it.
    pub(crate) payload: Bytes,
}

impl InvokeError {
    /// An error of the host's own making.
    pub(crate) fn new(kind: InvokeErrorKind, error_type: &str, message: &str) -> Self {
        let body = json!({ "errorType": error_type, "errorMessage": message });
        Self {
            kind,
            payload: Bytes::from(body.to_string()),
        }
    }
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
