//! What an account's status says after a success or a failure: written only where it changes something; and whether
//! a login is allowed at all, because a server locks whoever insists.
//!
//! **Lock-out care.** Only the server's own refusal of the credentials counts, for each side of the account by itself.
//! Each refusal in a row is followed by a longer pause (`LoginPauseSeconds`), in which nobody signs in: scheduled pulls
//! are not queued, sending is deferred until its end. Of all who wait for that end, one gets the next login
//! ([`admit`]). From the [`SUSPENDED`]th refusal the account counts as having wrong credentials: that is an event. An OAuth grant that
//! is gone counts so at once.
//!
//! **Trouble** is every other failure: a server that is busy, locked, limited, silent, unknown to DNS or badly secured
//! (`[IN-USE]`, `[LOGIN-DELAY]`, `[SYS/TEMP]`, `[UNAVAILABLE]`, BYE). It never counts against the credentials. Behind
//! each trouble of the receiving side that comes soon after the one before, the schedule rests longer
//! (`TroubleSeconds`), and a success in between does not start the count anew: only [`CALM_SECONDS`] without trouble
//! do. So a server that fails every other time is not asked as often as one that works. Whoever asks for a pull
//! himself is not held back.
//!
//! New settings end everything at once. Probes are not held back: somebody is looking at them.

use super::Tools;
use crate::mail;
use crate::model::views::{AccountErrorCode, AccountState, Status};
use crate::model::{AccountId, Phase, Probe, ProbeCode, Tenant, Timestamp, Verdict, poll::Rhythm};
use crate::store::{AccountRow, AccountStatus, Side, SideStatus, StatusChange, StoreError};

/// Refusals in a row after which the credentials count as wrong.
const SUSPENDED: u32 = 5;

/// Troubles that lie further apart than this, or than twice the last rest, have nothing to do with one another.
const CALM_SECONDS: i64 = 3_600;

/// How long a login that was allowed at the end of a pause keeps others away: longer than connecting and signing in
/// may take.
const LOGIN_SECONDS: i64 = 120;

/// What became of a use of the account.
pub enum Fortune<'a> {
    /// A message was taken by the server.
    Sent,
    /// A pull brought or changed something.
    Pulled,
    /// Somebody signed in to this side: whatever came of it afterwards, the credentials are right.
    Entered(Side),
    /// Its settings were tried before they were stored, and work.
    SignedIn,
    /// Its stored settings were tried.
    Probed(&'a Probe),
    /// One side failed.
    Failed(Side, &'a Verdict),
}

/// No login now: the server refused the last ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Its end.
    pub until: Timestamp,
    /// Why, for whoever waits.
    pub words: String,
}

impl Pause {
    /// The same as a failure of the login that was not tried.
    pub fn error(&self) -> mail::Error {
        mail::Error::new(ProbeCode::AuthFailed, Phase::Auth, self.words.clone())
    }
}

/// Whether one side may sign in now, and the status as it stands; at the end of a pause one caller may.
pub async fn admit(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountId,
    side: Side,
    now: Timestamp,
) -> Result<Result<AccountStatus, Pause>, StoreError> {
    let status = tools.store.statuses.get(tenant, account).await?;
    admit_with(tools, tenant, account, side, now, status).await
}

/// The same with a status that was read already, a moment ago.
pub async fn admit_with(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountId,
    side: Side,
    now: Timestamp,
    status: AccountStatus,
) -> Result<Result<AccountStatus, Pause>, StoreError> {
    let Some(seen) = status.side(side).pause else {
        return Ok(Ok(status));
    };
    if seen > now {
        return Ok(Err(pause(&status, side, seen)));
    }
    let until = now.plus_seconds(LOGIN_SECONDS);
    if tools.store.statuses.take_login(tenant, account, side, seen, until).await? {
        Ok(Ok(status))
    } else {
        Ok(Err(pause(&status, side, until)))
    }
}

fn pause(status: &AccountStatus, side: Side, until: Timestamp) -> Pause {
    let refusals = status.side(side).refusals;
    let last = status.last_error.as_deref().unwrap_or_default();
    let times = if refusals == 1 { "once".to_owned() } else { format!("{refusals} times in a row") };
    let words = format!(
        "the server refused this login {times}; not tried again before {until}, or until the settings change: {last}"
    );
    Pause { until, words }
}

/// Whether this side worked when it was used last.
pub fn is_well(status: &AccountStatus, side: Side) -> bool {
    status.side(side).is_well() && status.state != AccountState::Unverified
}

/// Records what became of a use of the account; returns the status as it is now.
pub async fn record(
    tools: &Tools,
    tenant: &Tenant,
    row: &AccountRow,
    fortune: Fortune<'_>,
    now: Timestamp,
) -> Result<AccountStatus, StoreError> {
    let account = &row.account.account;
    let before = tools.store.statuses.get(tenant, account).await?;
    let waits = Waits { pauses: &tools.settings.login_pause_seconds, rests: &tools.settings.trouble_seconds };
    let after = after(&before, &fortune, waits, now);
    let change = StatusChange::between(&before, &after);
    if change == StatusChange::default() {
        return Ok(after);
    }
    tools.store.statuses.change(tenant, account, &change).await?;
    if before.smtp.pause.is_some() && after.smtp.pause.is_none() {
        hasten(tools, tenant, account, now).await?;
    }
    if change.receive.is_some() && row.account.poll.enabled {
        tools.store.polls.block(tenant, account, after.receive.quiet_until()).await?;
    }
    match change.suspended_at {
        Some(Some(_)) => tracing::warn!(
            event = "account.authFailed",
            %tenant,
            failures = after.auth_failures(),
            "an account's credentials are refused again and again; it rests"
        ),
        Some(None) => tracing::info!(event = "account.recovered", %tenant, "an account's credentials work again"),
        None => {}
    }
    Ok(after)
}

/// What waits for the end of a pause is due now.
pub async fn hasten(tools: &Tools, tenant: &Tenant, account: &AccountId, now: Timestamp) -> Result<(), StoreError> {
    let since = now.plus_seconds(-i64::from(tools.settings.expire_seconds));
    let messages = tools.store.outbox.hasten(tenant, account, since, now).await?;
    tracing::info!(messages, "what waited for a sign-in is due");
    Ok(())
}

/// A busy account's last sending is noted every five minutes: a write per message would cost as much as its result.
fn is_recent(last: Option<Timestamp>, now: Timestamp) -> bool {
    last.is_some_and(|last| last.plus_seconds(300) > now)
}

/// How long is waited behind failures in a row, in seconds; the last one repeats.
#[derive(Clone, Copy)]
struct Waits<'a> {
    /// Behind refused logins.
    pauses: &'a [u32],
    /// Behind troubles of the receiving server.
    rests: &'a [u32],
}

/// The status after a use.
fn after(before: &AccountStatus, fortune: &Fortune<'_>, waits: Waits<'_>, now: Timestamp) -> AccountStatus {
    let mut status = before.clone();
    match fortune {
        Fortune::Sent => {
            works(&mut status, Side::Smtp);
            status.last_send_at = status.last_send_at.filter(|last| is_recent(Some(*last), now)).or(Some(now));
        }
        Fortune::Pulled => {
            works(&mut status, Side::Receive);
            status.last_pull_at = Some(now);
        }
        Fortune::Entered(side) => works(&mut status, *side),
        Fortune::SignedIn => [Side::Smtp, Side::Receive].into_iter().for_each(|side| works(&mut status, side)),
        Fortune::Probed(probe) => {
            let sides = [(Side::Smtp, &probe.smtp), (Side::Receive, &probe.receive)];
            let sides: Vec<_> = sides.into_iter().filter_map(|(side, tried)| Some((side, tried.as_ref()?))).collect();
            // What failed has the last word.
            sides.iter().filter(|(_, tried)| tried.success).for_each(|(side, _)| works(&mut status, *side));
            for (side, tried) in sides.iter().filter(|(_, tried)| !tried.success) {
                fails(&mut status, *side, tried, waits, now);
            }
        }
        Fortune::Failed(side, verdict) => fails(&mut status, *side, verdict, waits, now),
    }
    status
}

/// One side works. What the other one suffers from is not over by that.
fn works(status: &mut AccountStatus, side: Side) {
    let one = status.side_mut(side);
    *one = SideStatus { troubles: one.troubles, troubled_at: one.troubled_at, ..SideStatus::default() };
    summarise(status);
    if status.state == AccountState::Ok {
        status.last_error = None;
    }
}

/// Only the server's own refusal counts against the account: a stripped TLS or a time-out is not its fault.
fn fails(status: &mut AccountStatus, side: Side, verdict: &Verdict, waits: Waits<'_>, now: Timestamp) {
    let one = status.side_mut(side);
    if verdict.code == ProbeCode::AuthFailed {
        let refusals = one.refusals.saturating_add(1);
        let pause = Some(now.plus_seconds(length(waits.pauses, refusals)));
        let revoked = one.revoked || verdict.consent_needed;
        *one = SideStatus { refusals, pause, broken: false, revoked, rest: None, ..*one };
        if is_suspended(one) {
            status.suspended_at = status.suspended_at.or(Some(now));
        }
    } else if one.refusals > 0 {
        // The reason to rest stays the one that is shown.
        return;
    } else {
        one.broken = true;
        // Sending has pauses of its own, for each message.
        if side == Side::Receive {
            rests(one, waits.rests, now);
        }
    }
    status.last_error = Some(verdict.message.clone());
    summarise(status);
}

/// One trouble more: a longer rest, unless the ones before are long over.
fn rests(side: &mut SideStatus, rests: &[u32], now: Timestamp) {
    let calm = CALM_SECONDS.max(2 * length(rests, side.troubles));
    let soon = side.troubled_at.is_some_and(|last| last.plus_seconds(calm) > now);
    side.troubles = if soon { side.troubles.saturating_add(1) } else { 1 };
    side.troubled_at = Some(now);
    side.rest = Some(now.plus_seconds(length(rests, side.troubles)));
}

/// The account's state from its sides': what a person has to mend comes first.
fn summarise(status: &mut AccountStatus) {
    (status.state, status.error_code) = if status.auth_failures() > 0 {
        (AccountState::AuthFailed, AccountErrorCode::InvalidCredentials)
    } else if status.smtp.broken || status.receive.broken {
        (AccountState::ConnectFailed, AccountErrorCode::ProviderError)
    } else {
        (AccountState::Ok, AccountErrorCode::Ok)
    };
    if ![status.smtp, status.receive].iter().any(is_suspended) {
        status.suspended_at = None;
    }
}

/// Whether the credentials count as wrong: refused again and again, or not to be had any more.
fn is_suspended(side: &SideStatus) -> bool {
    side.revoked || side.refusals >= SUSPENDED
}

/// The wait after so many failures; the last one repeats.
fn length(waits: &[u32], failures: u32) -> i64 {
    let index = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    i64::from(waits.get(index).or(waits.last()).copied().unwrap_or_default())
}

/// The status as the API shows it.
pub fn view(row: &AccountRow, status: &AccountStatus, poll: Option<Rhythm>, now: Timestamp) -> Status {
    let incomplete = lacks_secret(row);
    let pauses = [status.smtp.pause, status.receive.pause];
    Status {
        state: status.state,
        error_code: if incomplete { AccountErrorCode::IncompleteConfig } else { status.error_code },
        auth_failures: status.auth_failures(),
        last_pull_at: status.last_pull_at,
        last_send_at: status.last_send_at,
        last_error: status.last_error.clone(),
        next_poll_at: poll.map(|rhythm| rhythm.next(status.receive.quiet_until().unwrap_or(now).max(now))),
        next_login_at: pauses.into_iter().flatten().filter(|until| *until > now).min(),
    }
}

/// Whether a secret is missing without which a side cannot sign in.
pub fn lacks_secret(row: &AccountRow) -> bool {
    let sides = [row.account.smtp.as_ref(), row.account.receive.as_ref().map(|receive| &receive.server)];
    sides.into_iter().flatten().any(|server| server.auth.lacks_secret())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the template has them.
    const WAITS: Waits<'static> = Waits {
        pauses: &[60, 120, 240, 480, 3_600, 7_200, 14_400, 28_800, 57_600, 86_400],
        rests: &[60, 120, 300, 600, 900, 1_800],
    };

    fn verdict(code: ProbeCode) -> Verdict {
        let success = code == ProbeCode::Ok;
        let message = if success { "yes" } else { "no" }.to_owned();
        Verdict {
            success,
            code,
            smtp_response_code: None,
            message,
            connection_failed: false,
            phase: Phase::Auth,
            duration_ms: 1,
            consent_needed: false,
        }
    }

    fn refused(status: &AccountStatus, side: Side, at: Timestamp) -> AccountStatus {
        after(status, &Fortune::Failed(side, &verdict(ProbeCode::AuthFailed)), WAITS, at)
    }

    #[test]
    fn a_thousand_minutes_of_a_wrong_password_are_at_most_ten_logins() {
        let (mut status, mut logins) = (AccountStatus::default(), 0);
        for minute in 0..1_000 {
            let now = Timestamp(0).plus_seconds(60 * minute);
            if status.receive.pause.is_none_or(|until| until <= now) {
                status = refused(&status, Side::Receive, now);
                logins += 1;
            }
        }
        assert_eq!(logins, 9);
        assert_eq!((status.state, status.auth_failures()), (AccountState::AuthFailed, 9));
        assert_eq!(status.suspended_at, Some(Timestamp(15 * 60_000)), "the fifth refusal");
        let later = status.receive.pause.unwrap();
        let status = refused(&refused(&status, Side::Receive, later), Side::Receive, later);
        assert_eq!(status.receive.pause, Some(later.plus_seconds(86_400)), "the longest pause repeats");
    }

    #[test]
    fn only_refused_credentials_count() {
        let now = Timestamp(0);
        for code in
            [ProbeCode::Timeout, ProbeCode::StarttlsUnavailable, ProbeCode::AuthUnavailable, ProbeCode::DnsFailed]
        {
            let failed = Fortune::Failed(Side::Smtp, &verdict(code));
            let status = after(&AccountStatus::default(), &failed, WAITS, now);
            assert_eq!((status.state, status.smtp.refusals), (AccountState::ConnectFailed, 0), "{code:?}");
            let polled = after(&status, &Fortune::Entered(Side::Receive), WAITS, now);
            assert_eq!(polled.state, AccountState::ConnectFailed, "the other side does not mend it");
            assert_eq!(after(&polled, &Fortune::Sent, WAITS, now).state, AccountState::Ok);
            let resting = refused(&AccountStatus::default(), Side::Smtp, now);
            assert_eq!(after(&resting, &failed, WAITS, now), resting, "it neither counts nor hides a refusal");
        }
    }

    #[test]
    fn trouble_makes_the_schedule_rest_longer_and_a_short_success_does_not_shorten_it() {
        let trouble = verdict(ProbeCode::GreetingFailed);
        let failed = Fortune::Failed(Side::Receive, &trouble);
        let (mut status, mut now, mut rests) = (AccountStatus::default(), Timestamp(0), Vec::new());
        for _ in 0..8 {
            status = after(&status, &failed, WAITS, now);
            let until = status.receive.quiet_until().unwrap();
            rests.push(until.seconds() - now.seconds());
            // It works once, and fails again.
            status = after(&status, &Fortune::Entered(Side::Receive), WAITS, until);
            assert!(is_well(&status, Side::Receive) && status.state == AccountState::Ok);
            now = until.plus_seconds(60);
        }
        assert_eq!(rests, [60, 120, 300, 600, 900, 1_800, 1_800, 1_800]);
        let later = after(&status, &failed, WAITS, now.plus_seconds(3_600));
        assert_eq!((later.receive.troubles, later.receive.refusals), (1, 0), "after an hour without trouble");
        let sending = after(&AccountStatus::default(), &Fortune::Failed(Side::Smtp, &trouble), WAITS, now);
        assert_eq!((sending.smtp.rest, sending.smtp.troubles), (None, 0), "messages have pauses of their own");
    }

    #[test]
    fn a_grant_that_is_gone_is_an_event_at_once_and_until_there_is_another() {
        let (now, later) = (Timestamp(0), Timestamp(60_000));
        let gone = Verdict { consent_needed: true, ..verdict(ProbeCode::AuthFailed) };
        let status = after(&AccountStatus::default(), &Fortune::Failed(Side::Smtp, &gone), WAITS, now);
        assert_eq!((status.suspended_at, status.auth_failures()), (Some(now), 1));
        let again = refused(&status, Side::Smtp, later);
        assert_eq!((again.suspended_at, again.auth_failures()), (Some(now), 2), "one event, not two");
        assert_eq!(after(&again, &Fortune::Sent, WAITS, later).suspended_at, None);
    }

    #[test]
    fn a_side_that_works_does_not_excuse_the_other_one() {
        let now = Timestamp(0);
        let status = refused(&AccountStatus::default(), Side::Smtp, now);
        let pulled = after(&status, &Fortune::Pulled, WAITS, now);
        assert_eq!((pulled.state, pulled.smtp), (AccountState::AuthFailed, status.smtp));
        assert!(is_well(&pulled, Side::Receive) && !is_well(&pulled, Side::Smtp));
        let sent = after(&pulled, &Fortune::Sent, WAITS, now);
        assert_eq!((sent.state, sent.auth_failures(), &sent.last_error), (AccountState::Ok, 0, &None));
        let probe =
            Probe { success: false, smtp: Some(verdict(ProbeCode::AuthFailed)), receive: Some(verdict(ProbeCode::Ok)) };
        let probed = after(&sent, &Fortune::Probed(&probe), WAITS, now);
        assert_eq!((probed.state, probed.smtp.refusals, probed.receive.refusals), (AccountState::AuthFailed, 1, 0));
    }

    #[test]
    fn what_changes_nothing_is_not_written() {
        let now = Timestamp(0);
        let well = after(&AccountStatus::default(), &Fortune::Sent, WAITS, now);
        let unchanged = |fortune| {
            let then = after(&well, &fortune, WAITS, now.plus_seconds(299));
            StatusChange::between(&well, &then) == StatusChange::default()
        };
        assert!(unchanged(Fortune::Sent) && unchanged(Fortune::Entered(Side::Smtp)) && unchanged(Fortune::SignedIn));
        assert!(!unchanged(Fortune::Pulled));
    }
}
