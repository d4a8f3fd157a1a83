//! What can be done about a message that was accepted: edit it, move it, take it back, try it again.
//!
//! Whoever is handing it over has it: then each of these is a conflict, and the caller may come back.

use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::content::Given;
use super::{accept, queue};
use crate::model::send::{Recipient, RecipientState, SendRequest};
use crate::model::{Code, FieldError, Problem, SendState, Tenant, Timestamp};
use crate::ops::{Tools, search};
use crate::store::{AccountRow, After, Cancel, NewOutgoing, OutgoingRow, Replaced};

/// Edits what has not been handed over, or moves it to another time: `changes` is merged into what was asked for
/// (RFC 7396). It keeps its id and its Message-ID.
pub async fn edit(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountRow,
    row: OutgoingRow,
    changes: &Value,
    now: Timestamp,
) -> Result<OutgoingRow, Problem> {
    if !row.can_be_changed(now) {
        return Err(busy(&row, now));
    }
    if !changes.is_object() {
        let words = "a JSON object: what it names is replaced, null removes (RFC 7396)";
        return Err(Problem::invalid(vec![FieldError::new("", "invalid_value", words)]));
    }
    let old = tools.store.outbox.body(tenant, &row).await?;
    let mut document = serde_json::to_value(&old).map_err(Problem::internal)?;
    json_patch::merge(&mut document, changes);
    let request: SendRequest = crate::http::body::value(document)?;
    let settled = |recipient: &Recipient| matches!(recipient.state, RecipientState::Sent | RecipientState::Unknown);
    if row.recipients.iter().any(settled) && is_other_content(&old, &request) {
        let words = "some recipients have it already: only its sendAt and lane can be changed";
        return Err(Problem::new(Code::Conflict, words));
    }
    let body = serde_json::to_vec(&request).map_err(Problem::internal)?;
    let name = hex::encode(digest(&SHA256, &body));
    // A time that has come meanwhile is no mistake of this change.
    let since = if request.send_at == old.send_at { row.created_at } else { now };
    let given = Given::Edited { before: &old, after: &request };
    let new = accept::prepare(tools, tenant, account, given, &row.id, &name, since).await?;
    let after = edited(tools, &row, new, name, now);
    let row = replaced(tools.store.outbox.replace(tenant, &row, after).await?, now)?;
    queue::hand_on(tools, tenant, std::slice::from_ref(&row), now).await;
    if is_other_content(&old, &request) {
        // The edit stands, whether or not it can be searched for.
        if let Err(error) = search::renew(&tools.store, tenant, &row.id).await {
            tracing::warn!(%error, "an edited message is searched by what it said before");
        }
    }
    Ok(row)
}

fn is_other_content(old: &SendRequest, new: &SendRequest) -> bool {
    let content = |request: &SendRequest| SendRequest { send_at: None, lane: None, ..request.clone() };
    content(old) != content(new)
}

/// The row after an edit. Whoever was tried before keeps the server's last word; a new time sets a new turn.
fn edited(tools: &Tools, row: &OutgoingRow, new: NewOutgoing, name: String, now: Timestamp) -> OutgoingRow {
    let earlier = |recipient: Recipient| {
        let known = row.recipients.iter().find(|known| known.address == recipient.address);
        known.cloned().unwrap_or(recipient)
    };
    let mut after = OutgoingRow {
        body_name: new.body_name.or(Some(name)),
        thread: new.thread,
        body: new.body,
        from: new.from,
        subject: new.subject,
        recipients: new.recipients.into_iter().map(earlier).collect(),
        on_unknown: new.on_unknown,
        correlation: new.correlation,
        sent_copy: new.sent_copy,
        after: After { mark: new.mark, ..row.after.clone() },
        size: new.size,
        has_attachments: new.has_attachments,
        lane: new.lane,
        ..row.clone()
    };
    if new.send_at != row.send_at || row.state == SendState::Sending {
        after.send_at = new.send_at;
        after.wait(queue::turn(new.send_at.unwrap_or(now), now, &tools.settings));
    }
    after
}

/// Takes a message back that nobody has begun to hand over. Who has it already keeps it: then it ends partial.
pub async fn cancel(tools: &Tools, tenant: &Tenant, row: &OutgoingRow, now: Timestamp) -> Result<OutgoingRow, Problem> {
    match tools.store.outbox.cancel(tenant, &row.id, now).await? {
        Cancel::Canceled(row) => Ok(row),
        Cancel::TooLate(row) => Err(busy(&row, now)),
        Cancel::Missing => Err(missing()),
    }
}

/// Tries a message again, now: one that waits, or all of one that ended in `failed`, `partial` or `unknown` but those
/// who have it for sure. That is the caller's decision: who is unknown may get it twice.
pub async fn retry(tools: &Tools, tenant: &Tenant, row: OutgoingRow, now: Timestamp) -> Result<OutgoingRow, Problem> {
    let ended = matches!(row.state, SendState::Failed | SendState::Partial | SendState::Unknown);
    if !ended && !row.can_be_changed(now) {
        return Err(busy(&row, now));
    }
    // What follows on it follows on the next result.
    let mut after = OutgoingRow { once: false, follow_up: None, ..row.clone() };
    if ended {
        let again = |recipient: &Recipient| matches!(recipient.state, RecipientState::Failed | RecipientState::Unknown);
        if !row.recipients.iter().any(again) {
            return Err(busy(&row, now));
        }
        for recipient in after.recipients.iter_mut().filter(|recipient| again(recipient)) {
            recipient.state = RecipientState::Queued;
        }
    }
    if row.due.is_none() {
        // It ended, or was held: it expires from now on.
        after.revived_at = Some(now);
    }
    after.wait(queue::turn(now, now, &tools.settings));
    let row = replaced(tools.store.outbox.replace(tenant, &row, after).await?, now)?;
    queue::hand_on(tools, tenant, std::slice::from_ref(&row), now).await;
    Ok(row)
}

fn replaced(replaced: Replaced, now: Timestamp) -> Result<OutgoingRow, Problem> {
    match replaced {
        Replaced::Done(row) => Ok(row),
        Replaced::Changed(row) => Err(busy(&row, now)),
        Replaced::Missing => Err(missing()),
    }
}

/// It is too late, or too early to tell.
fn busy(row: &OutgoingRow, now: Timestamp) -> Problem {
    if row.is_final() {
        let state = serde_json::to_value(row.state).unwrap_or_default();
        let words = format!("it is {} already: there is nothing left to change", state.as_str().unwrap_or_default());
        return Problem::new(Code::Conflict, words).with_resource(&row.outgoing());
    }
    let left = row.due.map_or(1, |until| until.seconds() - now.seconds());
    Problem::new(Code::Conflict, "it is being sent right now: look again, it may have to wait after all")
        .retry_after(u64::try_from(left.clamp(1, 60)).unwrap_or(1))
}

fn missing() -> Problem {
    Problem::new(Code::MessageNotFound, "there is no such outgoing message")
}
