//! Sending for callers to whom nothing can be said later (decision 5): what has not begun DATA when their time is up has
//! failed.

use shared::http::Call;
use shared::mail::Deadline;
use shared::model::account::SideSecrets;
use shared::model::send::{Outgoing, SendRequest};
use shared::model::{Phase, Problem, RecipientState};
use shared::ops::send::{Accepted, IdempotencyKey, Sender, Wait, accept};
use shared::ops::{Tools, guesses};
use shared::store::AccountRow;

/// Until when a message may begin its DATA.
pub(super) fn last_moment(tools: &Tools, call: &Call) -> Deadline {
    Deadline::after(tools.settings.inline_data).min(call.deadline)
}

/// Sends a message and says how it went, for good as far as can be known.
pub(super) async fn send(
    tools: &Tools,
    call: &Call,
    account: &AccountRow,
    request: &SendRequest,
    key: Option<&IdempotencyKey>,
    until: Deadline,
) -> Result<Accepted, Problem> {
    accept(tools, call.tenant(), account, request, key, Wait::Once(until), call.now).await
}

/// The same by a server that was given with the call. Passwords are not guessed through it: refusals are counted.
pub(super) async fn send_by(
    tools: &Tools,
    call: &Call,
    sender: (&AccountRow, &SideSecrets),
    request: &SendRequest,
    key: Option<&IdempotencyKey>,
    until: Deadline,
) -> Result<Accepted, Problem> {
    let (account, secrets) = sender;
    let server = account.account.smtp.as_ref().ok_or_else(|| Problem::internal("a sending side is missing"))?;
    let admitted = guesses::admit_smtp(tools, call.tenant(), server, call.now).await?;
    let sender = Sender { account, given: Some(secrets) };
    let accepted = accept(tools, call.tenant(), sender, request, key, Wait::Once(until), call.now).await;
    let refused = accepted.as_ref().is_ok_and(|accepted| !accepted.replayed && is_refused_login(&accepted.outgoing));
    admitted.settle([refused, false]).await?;
    accepted
}

/// Nobody was sent to, because the server refused the login.
fn is_refused_login(outgoing: &Outgoing) -> bool {
    outgoing.recipients.iter().any(|recipient| {
        let permanent = recipient.smtp.as_ref().is_some_and(|reply| reply.code >= 500);
        recipient.state == RecipientState::Failed && recipient.phase == Some(Phase::Auth) && permanent
    })
}
