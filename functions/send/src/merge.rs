//! `POST /v1/accounts/{account}/messages` with `merge`: a result for each item.

use serde_json::{Value, json};
use shared::http::problem::{document, status};
use shared::http::{Call, Reply};
use shared::model::Problem;
use shared::model::send::SendRequest;
use shared::ops::Tools;
use shared::ops::send::{Accepted, IdempotencyKey, merge};
use shared::store::AccountRow;

/// Accepts a message for each item.
pub(crate) async fn send(
    tools: &Tools,
    call: &Call,
    account: &AccountRow,
    request: SendRequest,
    key: Option<&IdempotencyKey>,
) -> Result<Reply, Problem> {
    let results = merge(tools, call.tenant(), account, request, key, call.deadline, call.now).await?;
    let results: Vec<Value> = results.iter().map(|result| shown(result, call)).collect();
    Reply::ok(&json!({"results": results}))
}

/// As a batch shows it. A message that is new is queued; a replayed one stands where it stands.
fn shown(result: &Result<Accepted, Problem>, call: &Call) -> Value {
    match result {
        Ok(accepted) => json!({"status": 202, "message": accepted.outgoing}),
        Err(problem) => {
            json!({"status": status(problem.code).as_u16(), "problem": document(problem, &call.request_id)})
        }
    }
}
