//! `POST /v1/accounts/{account}/messages`.

use std::time::Duration;

use crate::merge;
use shared::http::body::INLINE_ANSWER_BYTES;
use shared::http::{Call, Reply, routes};
use shared::mail::Deadline;
use shared::model::content::DryRun;
use shared::model::send::{Outgoing, SendRequest};
use shared::model::{Code, FieldError, Phase, Problem, SendState};
use shared::ops::send::{IdempotencyKey, Wait, accept, rehearse};
use shared::ops::{Tools, sign_in};

/// Longest `wait`; the answer itself must leave by the HTTP budget.
const LONGEST_WAIT: u32 = 25;

/// Accepts a mail; where the caller waits, tries to deliver it at once.
pub(crate) async fn send(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["wait"])?;
    let name = call.account()?;
    let account = sign_in::account(&tools, call.tenant(), &name).await?;
    let mut request: SendRequest = call.json()?;
    request.origin = call.origin();
    let key = key(&call, routes::SEND.operation)?;
    if !request.merge.is_empty() {
        return merge::send(&tools, &call, &account, request, key.as_ref()).await;
    }
    if request.dry_run {
        return dry_run(&rehearse(&tools, call.tenant(), &account, &request, key.as_ref(), call.now).await?);
    }
    let wait = wait(&tools, &call)?;
    let accepted = accept(&tools, call.tenant(), &account, &request, key.as_ref(), wait, call.now).await?;
    let reply = answer(&accepted.outgoing, &call)?;
    Ok(if accepted.replayed { reply.replayed() } else { reply })
}

/// What would be sent; a source that no answer can hold is not shown in part.
fn dry_run(rehearsed: &DryRun) -> Result<Reply, Problem> {
    let shown = rehearsed.source.len() as u64;
    if shown > INLINE_ANSWER_BYTES {
        let detail = format!("the source has {shown} bytes; the limit inlineBytes is {INLINE_ANSWER_BYTES}");
        return Err(Problem::invalid(vec![FieldError::new("/dryRun", "too_large", detail)]));
    }
    Reply::ok(rehearsed)
}

/// The caller's Idempotency-Key for this route.
pub(crate) fn key(call: &Call, route: &'static str) -> Result<Option<IdempotencyKey>, Problem> {
    call.header("Idempotency-Key")?.map(|key| IdempotencyKey::new(key, route)).transpose()
}

/// How long the caller waits.
pub(crate) fn wait(tools: &Tools, call: &Call) -> Result<Wait, Problem> {
    let longest = u32::try_from(tools.settings.inline_data.as_secs()).unwrap_or(LONGEST_WAIT);
    Ok(match call.number("wait", longest, 0, LONGEST_WAIT)?.min(longest) {
        0 => Wait::No,
        seconds => Wait::Until(Deadline::after(Duration::from_secs(seconds.into()))),
    })
}

fn answer(outgoing: &Outgoing, call: &Call) -> Result<Reply, Problem> {
    match verdict(outgoing) {
        Verdict::Settled => Reply::ok(outgoing),
        Verdict::UnderWay => Reply::accepted(outgoing, &format!("/v1/outbox/{}", outgoing.id)),
        Verdict::Refused(problem) => Ok(Reply::problem(&problem, &call.request_id)),
    }
}

/// What a caller is told of a message. Decision 1: once durable it is never a 5xx; refused by every recipient's server
/// for good it is the caller's to mend.
pub(crate) enum Verdict {
    /// Sent, to all or to some.
    Settled,
    /// It will be, or nobody knows.
    UnderWay,
    /// Nobody will get it.
    Refused(Problem),
}

/// What a caller is told of a message as it stands.
pub(crate) fn verdict(outgoing: &Outgoing) -> Verdict {
    match outgoing.state {
        SendState::Sent | SendState::Partial => Verdict::Settled,
        SendState::Queued | SendState::Sending | SendState::Deferred | SendState::Unknown => Verdict::UnderWay,
        SendState::Failed | SendState::Canceled => Verdict::Refused(failure(outgoing)),
    }
}

/// Why nobody will get it, in the server's words. Where the server refused the message itself, other recipients would
/// not help.
pub(crate) fn failure(outgoing: &Outgoing) -> Problem {
    let addresses = outgoing.recipients.iter().all(|recipient| recipient.phase == Some(Phase::Rcpt));
    let code = if addresses { Code::RecipientRejected } else { Code::MessageRejected };
    let words = outgoing.recipients.iter().find_map(|recipient| {
        let reply = recipient.smtp.as_ref().map(|reply| format!("{} {}", reply.code, reply.text));
        reply.or_else(|| recipient.error.clone())
    });
    let detail = words.unwrap_or_else(|| "nobody took it".to_owned());
    Problem::new(code, format!("nobody will get it: {detail}")).with_resource(outgoing)
}
