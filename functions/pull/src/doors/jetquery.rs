//! jetQuery's `pull` and `sync`, by GET and POST, of one account or of all (A1.2/5, A1.2/7). Its seed names no answers:
//! these are ours.

use shared::http::{Call, Reply};
use shared::model::Problem;
use shared::ops::Tools;

use crate::handler::{pull_each, pull_one, recording, sync_each, sync_one};

/// Pulls one mailbox now, or queues a pull of all.
pub(crate) async fn pull(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let tools = recording(tools, debug(&call));
    if call.path.contains_key("account") { pull_one(&tools, &call).await } else { pull_each(&tools, &call).await }
}

/// Sends what waits, and pulls.
pub(crate) async fn sync(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let tools = recording(tools, debug(&call));
    if call.path.contains_key("account") { sync_one(&tools, &call).await } else { sync_each(&tools, &call).await }
}

/// A1.2/8. Whatever else stands there is no wish.
fn debug(call: &Call) -> Option<bool> {
    call.query.get("debug").map(|value| matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | ""))
}
