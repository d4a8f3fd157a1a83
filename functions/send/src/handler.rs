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
    let key = call.header("Idempotency-Key")?;
    let key = key.map(|key| IdempotencyKey::new(key, routes::SEND.operation)).transpose()?;
    if !request.merge.is_empty() {
        return merge::send(&tools, &call, &account, request, key.as_ref()).await;
    }
    if request.dry_run {
        return dry_run(&rehearse(&tools, call.tenant(), &account, &request, key.as_ref(), call.now).await?);
    }
    let longest = u32::try_from(tools.settings.inline_data.as_secs()).unwrap_or(LONGEST_WAIT);
    let wait = call.number("wait", longest, 0, LONGEST_WAIT)?;
    let wait = match wait.min(longest) {
        0 => Wait::No,
        seconds => Wait::Until(Deadline::after(Duration::from_secs(seconds.into()))),
    };
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

/// Decision 1: once durable it is never a 5xx. Refused by every recipient's server for good is the caller's to mend.
fn answer(outgoing: &Outgoing, call: &Call) -> Result<Reply, Problem> {
    match outgoing.state {
        SendState::Sent | SendState::Partial => Reply::ok(outgoing),
        SendState::Failed | SendState::Canceled => {
            // Where the server refused the message itself, other recipients would not help.
            let addresses = outgoing.recipients.iter().all(|recipient| recipient.phase == Some(Phase::Rcpt));
            let code = if addresses { Code::RecipientRejected } else { Code::MessageRejected };
            let words = outgoing.recipients.iter().find_map(|recipient| {
                let reply = recipient.smtp.as_ref().map(|reply| format!("{} {}", reply.code, reply.text));
                reply.or_else(|| recipient.error.clone())
            });
            let detail = words.unwrap_or_else(|| "nobody took it".to_owned());
            let problem = Problem::new(code, format!("nobody will get it: {detail}")).with_resource(outgoing);
            Ok(Reply::problem(&problem, &call.request_id))
        }
        SendState::Queued | SendState::Sending | SendState::Deferred | SendState::Unknown => {
            Reply::accepted(outgoing, &format!("/v1/outbox/{}", outgoing.id))
        }
    }
}
