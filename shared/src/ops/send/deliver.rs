//! Delivering what was queued: several messages of one account over one connection.

use std::time::Duration;

use super::attempt::{Attempt, Courier, concluded};
use super::verdicts::{given_up, in_doubt, outcome, postponed};
use crate::mail::Deadline;
use crate::model::send::RecipientState;
use crate::model::{Tenant, Timestamp};
use crate::ops::Tools;
use crate::ops::follow_up::{self, FollowUps};
use crate::settings::Settings;
use crate::store::{AccountRow, DeliverJob, Outcome, OutgoingRow, StoreError, Taken};

/// Time that must be left to begin a message: the reply to its final dot may take ten minutes (RFC 5321 §4.5.3.2.6).
const LEAST_TIME: Duration = Duration::from_secs(660);

/// Delivers the messages of one job, as far as time allows; what is left goes back to the queue.
pub async fn deliver(tools: &Tools, job: &DeliverJob, deadline: Deadline) -> Result<(), StoreError> {
    let Some(account) = tools.store.accounts.get(&job.tenant, &job.account).await? else {
        return orphaned(tools, job).await;
    };
    let mut courier = Courier::new(tools, &job.tenant, &account, false);
    let mut follow_ups = FollowUps::new(tools, &job.tenant, &account);
    for (index, id) in job.ids.iter().enumerate() {
        if deadline.left() < LEAST_TIME && index > 0 {
            let rest = DeliverJob { ids: job.ids[index..].to_vec(), ..job.clone() };
            tools.store.queues.enqueue_deliver(&[rest], 0).await?;
            break;
        }
        match tools
            .store
            .outbox
            .take(&job.tenant, id, job.handed, Timestamp::now(), tools.settings.lease_seconds)
            .await?
        {
            Taken::Ours(row) if given_up(&row, &tools.settings, Timestamp::now()).is_some() => {
                settle(tools, &job.tenant, &row, postponed(&row, &tools.settings, Timestamp::now())).await?;
            }
            Taken::Ours(row) => {
                if let Attempt::Done(row) = courier.attempt(row, None).await? {
                    tracing::info!(id = %row.id, state = ?row.state, attempts = row.attempts, "attempted");
                    follow_ups.ours(*row);
                }
            }
            Taken::InDoubt(row) => {
                settle(tools, &job.tenant, &row, interrupted(Some(&account), &row, &tools.settings)).await?;
            }
            Taken::Done(row) => follow_ups.maybe(row, job.handed),
            Taken::Busy(_) | Taken::NotDue(_) | Taken::Missing => {}
        }
    }
    courier.leave().await;
    follow_ups.carry(deadline).await
}

/// An earlier attempt died between handing over and its result: nobody knows. Those whom the server had refused
/// before keep its word.
fn interrupted(account: Option<&AccountRow>, row: &OutgoingRow, settings: &Settings) -> Outcome {
    let mut recipients = row.recipients.clone();
    for recipient in recipients.iter_mut().filter(|recipient| recipient.state == RecipientState::Queued) {
        in_doubt(recipient, "the attempt was interrupted");
    }
    concluded(account.map(|row| &row.account), row, recipients, settings, None, Timestamp::now())
}

/// Writes down what is decided without an attempt, unless somebody was faster.
async fn settle(tools: &Tools, tenant: &Tenant, row: &OutgoingRow, outcome: Outcome) -> Result<(), StoreError> {
    match tools.store.outbox.finish(tenant, row, outcome).await {
        Err(error) if error.is_conflict() => Ok(()),
        other => other.map(|_| ()),
    }
}

/// The account is gone: its messages have nowhere to leave through, and say so.
async fn orphaned(tools: &Tools, job: &DeliverJob) -> Result<(), StoreError> {
    for id in &job.ids {
        let row = match tools
            .store
            .outbox
            .take(&job.tenant, id, job.handed, Timestamp::now(), tools.settings.lease_seconds)
            .await?
        {
            Taken::Ours(row) => row,
            Taken::InDoubt(row) => {
                settle(tools, &job.tenant, &row, interrupted(None, &row, &tools.settings)).await?;
                continue;
            }
            Taken::Done(row) => {
                follow_up::abandon(tools, &job.tenant, &row, job.handed).await?;
                continue;
            }
            Taken::Busy(_) | Taken::NotDue(_) | Taken::Missing => continue,
        };
        let mut recipients = row.recipients.clone();
        for recipient in recipients.iter_mut().filter(|recipient| super::verdicts::is_pending(recipient)) {
            recipient.state = RecipientState::Failed;
            recipient.error = Some("the account was deleted".to_owned());
        }
        let result = outcome(&row, recipients, &tools.settings, Timestamp::now());
        tools.store.outbox.finish(&job.tenant, &row, result).await?;
    }
    Ok(())
}
