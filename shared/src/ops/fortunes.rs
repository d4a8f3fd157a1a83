//! What an account's status says after a success or a failure: written only where it changes something.

use super::Tools;
use crate::model::views::{AccountErrorCode, AccountState, Status};
use crate::model::{ProbeCode, Tenant, Timestamp, Verdict, poll::Rhythm};
use crate::store::{AccountRow, AccountStatus, StatusChange, StoreError};

/// First pause after a refused login; doubled with each further one, because a server locks whoever insists.
const FIRST_PAUSE_SECONDS: i64 = 60;

/// Longest pause.
const LONGEST_PAUSE_SECONDS: i64 = 86_400;

/// What became of a use of the account.
pub enum Fortune<'a> {
    /// A message was taken by the server.
    Sent,
    /// A pull brought or changed something.
    Pulled,
    /// It signed in; nothing else happened.
    SignedIn,
    /// It failed.
    Failed(&'a Verdict),
}

/// Records what became of a use of the account.
pub async fn record(
    tools: &Tools,
    tenant: &Tenant,
    row: &AccountRow,
    fortune: Fortune<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let account = &row.account.account;
    let before = tools.store.statuses.get(tenant, account).await?;
    let change = match fortune {
        Fortune::Failed(verdict) => failure(&before, verdict, now),
        Fortune::Sent if before.state == AccountState::Ok && is_recent(before.last_send_at, now) => return Ok(()),
        Fortune::Sent => StatusChange { last_send_at: Some(now), ..recovery() },
        Fortune::Pulled => StatusChange { last_pull_at: Some(now), ..recovery() },
        Fortune::SignedIn if before.state == AccountState::Ok => return Ok(()),
        Fortune::SignedIn => recovery(),
    };
    let pause = change.next_login_at;
    let unchanged = matches!(fortune, Fortune::Failed(_)) && same(&before, &change);
    if unchanged {
        return Ok(());
    }
    tools.store.statuses.change(tenant, account, &change).await?;
    if let Some(until) = pause.filter(|until| *until != before.next_login_at && row.account.poll.enabled) {
        tools.store.polls.block(tenant, account, until).await?;
    }
    Ok(())
}

/// A busy account's last sending is noted every five minutes: a write per message would cost as much as its result.
fn is_recent(last: Option<Timestamp>, now: Timestamp) -> bool {
    last.is_some_and(|last| last.plus_seconds(300) > now)
}

fn recovery() -> StatusChange {
    StatusChange {
        state: Some(AccountState::Ok),
        error_code: Some(AccountErrorCode::Ok),
        auth_failures: Some(0),
        next_login_at: Some(None),
        last_error: Some(None),
        ..StatusChange::default()
    }
}

/// Only the server's own refusal counts against the account: a stripped TLS or a time-out is not its fault.
fn failure(before: &AccountStatus, verdict: &Verdict, now: Timestamp) -> StatusChange {
    let last_error = Some(Some(verdict.message.clone()));
    if verdict.code != ProbeCode::AuthFailed {
        return StatusChange {
            state: Some(AccountState::ConnectFailed),
            error_code: Some(AccountErrorCode::ProviderError),
            last_error,
            ..StatusChange::default()
        };
    }
    let failures = before.auth_failures.saturating_add(1);
    let pause = FIRST_PAUSE_SECONDS.saturating_mul(1 << (failures - 1).min(20)).min(LONGEST_PAUSE_SECONDS);
    StatusChange {
        state: Some(AccountState::AuthFailed),
        error_code: Some(AccountErrorCode::InvalidCredentials),
        auth_failures: Some(failures),
        next_login_at: Some(Some(now.plus_seconds(pause))),
        last_error,
        ..StatusChange::default()
    }
}

fn same(before: &AccountStatus, change: &StatusChange) -> bool {
    change.state == Some(before.state)
        && change.last_error.as_ref() == Some(&before.last_error)
        && change.auth_failures.is_none_or(|failures| failures == before.auth_failures)
}

/// The status as the API shows it.
pub fn view(row: &AccountRow, status: &AccountStatus, poll: Option<Rhythm>, now: Timestamp) -> Status {
    let incomplete = lacks_secret(row);
    Status {
        state: status.state,
        error_code: if incomplete { AccountErrorCode::IncompleteConfig } else { status.error_code },
        auth_failures: status.auth_failures,
        last_pull_at: status.last_pull_at,
        last_send_at: status.last_send_at,
        last_error: status.last_error.clone(),
        next_poll_at: poll.map(|rhythm| rhythm.next(status.next_login_at.unwrap_or(now).max(now))),
    }
}

fn lacks_secret(row: &AccountRow) -> bool {
    let sides = [row.account.smtp.as_ref(), row.account.receive.as_ref().map(|receive| &receive.server)];
    sides.into_iter().flatten().any(|server| server.auth.lacks_secret())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Phase;

    fn verdict(code: ProbeCode) -> Verdict {
        Verdict {
            success: false,
            code,
            smtp_response_code: None,
            message: "no".into(),
            connection_failed: false,
            phase: Phase::Auth,
            duration_ms: 1,
        }
    }

    #[test]
    fn pauses_double_up_to_a_day_and_only_for_real_refusals() {
        let now = Timestamp(0);
        let pause = |failures| {
            let before = AccountStatus { auth_failures: failures, ..AccountStatus::default() };
            failure(&before, &verdict(ProbeCode::AuthFailed), now).next_login_at.flatten().map(Timestamp::seconds)
        };
        assert_eq!(
            [0, 1, 4, 10, 11, 4_000_000_000].map(pause),
            [Some(60), Some(120), Some(960), Some(61_440), Some(86_400), Some(86_400)]
        );
        let change = failure(&AccountStatus::default(), &verdict(ProbeCode::Timeout), now);
        assert_eq!(
            (change.auth_failures, change.next_login_at, change.state),
            (None, None, Some(AccountState::ConnectFailed))
        );
    }
}
