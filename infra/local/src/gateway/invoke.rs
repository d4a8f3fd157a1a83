//! The seam to the functions: what the gateway needs of whoever runs them.

use std::future::Future;

use bytes::Bytes;

/// Runs functions. Implemented by the runtime, and by a few lines in the tests.
pub(crate) trait Invoke: Send + Sync + 'static {
    /// Hands `payload` (one JSON document) to `function`, by its function name, and waits for the answer.
    ///
    /// Dropping the future leaves the invocation running: a function goes on when its caller has left.
    fn invoke(&self, function: &str, payload: Bytes) -> impl Future<Output = Result<Bytes, InvokeError>> + Send;
}

/// Why a function gave no answer, in Lambda's own terms.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{kind:?}: {}", String::from_utf8_lossy(payload))]
pub(crate) struct InvokeError {
    /// What went wrong.
    pub(crate) kind: InvokeErrorKind,
    /// JSON `{"errorType", "errorMessage"}`, as Lambda's Invoke answers it.
    pub(crate) payload: Bytes,
}

/// The ways in which an invocation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvokeErrorKind {
    /// The handler returned an error or panicked.
    Unhandled,
    /// The function's timeout ended it.
    Timedout,
    /// The process ended while it worked.
    Exit,
    /// The process never asked for its first event.
    Init,
    /// The answer is over 6 MB.
    TooLarge,
    /// No function has that name.
    UnknownFunction,
}
