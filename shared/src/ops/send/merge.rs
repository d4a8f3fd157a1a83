//! Mail merge: one request, a message of its own for each of its items. Each is accepted by itself, under a key of its
//! own, and queued: one that is wrong stops no other.

use futures_util::{StreamExt, stream};
use serde_json::Map;

use super::accept::{Begun, begin, lane};
use super::sources;
use super::{Accepted, IdempotencyKey, Wait, queue};
use crate::mail::Deadline;
use crate::model::send::{Lane, SendRequest};
use crate::model::{Code, FieldError, Problem, Tenant, Timestamp};
use crate::ops::{Tools, pii};
use crate::store::AccountRow;

/// Most items of one request.
const ITEMS: usize = 500;

/// Items that are being accepted at once: enough to hide the way to the table and back.
const AT_ONCE: usize = 8;

/// Accepts a message for each item of `merge`, in order. What is not accepted by the deadline was not begun: the
/// caller repeats with the key.
///
/// # Errors
/// What is wrong with the request as a whole; then nothing was accepted.
pub async fn merge(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountRow,
    mut request: SendRequest,
    key: Option<&IdempotencyKey>,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Vec<Result<Accepted, Problem>>, Problem> {
    let errors = check(&request);
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let items = std::mem::take(&mut request.merge);
    let errors = sources::check(&request);
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    // What all of them carry is fetched once.
    if sources::are_elsewhere(&request) {
        let clear = pii::resolve(tools, tenant, &request).await?;
        request = sources::gather(tools, tenant, &account.account.account, request, &clear).await?;
    }
    // Mail to many, unless it says otherwise.
    request.lane = request.lane.or(match lane(account) {
        Lane::System => None,
        _ => Some(Lane::Bulk),
    });
    let base = &request;
    let each = items.into_iter().enumerate().map(|(index, item)| {
        let key = key.map(|key| key.item(index));
        let params: Map<_, _> = base.params.clone().into_iter().chain(item.params).collect();
        let correlation = item.correlation.or_else(|| base.correlation.clone());
        let one = SendRequest { to: item.to, cc: item.cc, bcc: item.bcc, params, correlation, ..base.clone() };
        async move {
            if deadline.left().is_zero() {
                let detail = "there was no time left for this item: repeat the request with its Idempotency-Key";
                return Err(Problem::new(Code::TryAgain, detail).retry_after(1));
            }
            begin(tools, tenant, account.into(), &one, key.as_ref(), Wait::No, now).await
        }
    });
    let begun: Vec<Result<Begun, Problem>> = stream::iter(each).buffered(AT_ONCE).collect().await;
    let (mut results, mut rows) = (Vec::new(), Vec::new());
    for begun in begun {
        results.push(begun.map(|begun| match begun {
            Begun::Replayed(accepted) => accepted,
            Begun::Ours(row) => {
                let outgoing = row.outgoing();
                rows.push(row);
                Accepted { outgoing, replayed: false }
            }
        }));
    }
    // All of them together: they share a connection.
    queue::hand_on(tools, tenant, &rows, Timestamp::now()).await;
    Ok(results)
}

fn check(request: &SendRequest) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if request.merge.len() > ITEMS {
        let detail = format!("{} items; the limit mergeItems is {ITEMS}", request.merge.len());
        errors.push(FieldError::new("/merge", "too_many", detail));
    }
    let whole = [
        ("/to", !request.to.is_empty()),
        ("/cc", !request.cc.is_empty()),
        ("/bcc", !request.bcc.is_empty()),
        ("/raw", request.raw.is_some()),
        ("/reference", request.reference.is_some()),
        ("/dryRun", request.dry_run),
    ];
    for (pointer, _) in whole.into_iter().filter(|(_, given)| *given) {
        errors.push(FieldError::new(pointer, "conflict", "merge sends a message to each of its items: leave this out"));
    }
    errors
}
