//! How fast an account may send: learned from what its server refuses, and kept in the account's status.
//!
//! A server that says 421, 4.7.x, or 45y to MAIL is told too much. The account rests then; behind the rest it sends
//! as many messages as went through before, and rests again. Each round that goes well is half as slow and twice as
//! large as the one before, until the limit is forgotten; each refusal doubles the rest. It holds for what is sent from the
//! queue and for batches. A single mail whose sender waits is tried: it is not what floods a server.
//!
//! Nothing is written but at a refusal and at the end of a limited round.

use crate::model::send::{Recipient, RecipientState};
use crate::model::{Phase, Tenant, Timestamp};
use crate::ops::Tools;
use crate::store::{AccountRow, OutgoingRow, Pace, StatusChange};

/// The longest rest.
const LONGEST_SECONDS: u32 = 3_600;

/// The pace of one run of an account's messages.
pub(super) struct Pacer {
    known: Option<Pace>,
    /// Messages that were carried in this run.
    carried: u32,
    /// The server refused in this run.
    refused: bool,
}

impl Pacer {
    /// What is known of an account: one read. What cannot be read is learned again.
    pub(super) async fn of(tools: &Tools, tenant: &Tenant, account: &AccountRow) -> Self {
        match tools.store.statuses.get(tenant, &account.account.account).await {
            Ok(status) => Self::new(status.pace),
            Err(error) => {
                tracing::warn!(%error, "the pace was not read");
                Self::new(None)
            }
        }
    }

    fn new(known: Option<Pace>) -> Self {
        Self { known, carried: 0, refused: false }
    }

    /// Until when no further message is carried; none: go on.
    pub(super) fn rest(&self, now: Timestamp) -> Option<Timestamp> {
        let pace = self.known?;
        if self.refused || (self.carried == 0 && pace.until > now) {
            return Some(pace.until);
        }
        (self.carried >= pace.burst).then(|| now.plus_seconds(pace.seconds.into()))
    }

    /// Learns from an attempt at a message that had been tried `before` times. What was not tried at all may still show
    /// an old reply.
    pub(super) async fn note(
        &mut self,
        tools: &Tools,
        tenant: &Tenant,
        account: &AccountRow,
        row: &OutgoingRow,
        before: u32,
    ) {
        if row.attempts == before || !row.recipients.iter().any(is_throttled) {
            self.carried = self.carried.saturating_add(1);
            return;
        }
        let learned = learned(self.known, self.carried, first(tools), Timestamp::now());
        self.known = Some(learned);
        self.refused = true;
        tracing::info!(rest = learned.seconds, burst = learned.burst, "the server takes no more for now; it rests");
        keep(tools, tenant, account, Some(learned)).await;
    }

    /// Ends the run: a round that went well makes the next one quicker.
    pub(super) async fn end(self, tools: &Tools, tenant: &Tenant, account: &AccountRow) {
        if let Some(pace) = self.known.filter(|pace| !self.refused && self.carried >= pace.burst) {
            keep(tools, tenant, account, eased(pace, first(tools), Timestamp::now())).await;
        }
    }
}

/// Learns from a first attempt, outside of a run.
pub(super) async fn note_one(tools: &Tools, tenant: &Tenant, account: &AccountRow, row: &OutgoingRow) {
    if row.recipients.iter().any(is_throttled) {
        Pacer::of(tools, tenant, account).await.note(tools, tenant, account, row, 0).await;
    }
}

/// The first rest: that of a message that is deferred once.
fn first(tools: &Tools) -> u32 {
    tools.settings.backoff_seconds.first().copied().unwrap_or(60)
}

/// A pace that cannot be kept is learned again.
async fn keep(tools: &Tools, tenant: &Tenant, account: &AccountRow, pace: Option<Pace>) {
    let change = StatusChange { pace: Some(pace), ..StatusChange::default() };
    if let Err(error) = tools.store.statuses.change(tenant, &account.account.account, &change).await {
        tracing::warn!(%error, "the pace was not noted");
    }
}

/// 421 closes the channel (RFC 5321 §3.8), X.7.z is policy (RFC 3463 §3.8), and a mailbox that is busy before anybody
/// was named is not one recipient's.
fn is_throttled(recipient: &Recipient) -> bool {
    let Some(reply) = recipient.smtp.as_ref().filter(|_| recipient.state == RecipientState::Deferred) else {
        return false;
    };
    reply.code == 421
        || reply.enhanced.as_deref().is_some_and(|code| code.starts_with("4.7."))
        || (matches!(reply.code, 450..=452) && recipient.phase == Some(Phase::Mail))
}

fn learned(before: Option<Pace>, carried: u32, first: u32, now: Timestamp) -> Pace {
    let seconds = before.map_or(first, |pace| pace.seconds.saturating_mul(2)).clamp(1, LONGEST_SECONDS);
    let burst = before.map_or(carried, |pace| pace.burst.min(carried)).max(1);
    Pace { until: now.plus_seconds(seconds.into()), seconds, burst }
}

fn eased(pace: Pace, first: u32, now: Timestamp) -> Option<Pace> {
    let (seconds, burst) = (pace.seconds / 2, pace.burst.saturating_mul(2));
    (seconds >= (first / 4).max(1)).then(|| Pace { until: now.plus_seconds(seconds.into()), seconds, burst })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::send::SmtpReply;

    fn told(code: u16, enhanced: Option<&str>, phase: Phase) -> Recipient {
        Recipient {
            state: RecipientState::Deferred,
            smtp: Some(SmtpReply { code, enhanced: enhanced.map(str::to_owned), text: String::new() }),
            phase: Some(phase),
            ..Recipient::new("b@example.com")
        }
    }

    #[test]
    fn a_busy_server_is_told_from_a_busy_mailbox() {
        for (code, enhanced, phase) in [
            (421, Some("4.3.2"), Phase::Mail),
            (421, None, Phase::Greeting),
            (450, Some("4.7.1"), Phase::Rcpt),
            (451, Some("4.7.0"), Phase::Data),
            (450, None, Phase::Mail),
            (452, Some("4.3.1"), Phase::Mail),
        ] {
            assert!(is_throttled(&told(code, enhanced, phase)), "{code} {enhanced:?} {phase:?}");
        }
        for (code, enhanced) in [(450, Some("4.2.1")), (450, Some("4.1.2")), (452, Some("4.2.2")), (451, None)] {
            assert!(!is_throttled(&told(code, enhanced, Phase::Rcpt)), "{code} {enhanced:?}");
        }
        let failed = Recipient { state: RecipientState::Failed, ..told(421, None, Phase::Mail) };
        assert!(!is_throttled(&failed));
    }

    #[test]
    fn refusals_slow_down_and_rounds_that_go_well_speed_up_again() {
        let now = Timestamp(0);
        let one = learned(None, 40, 60, now);
        assert_eq!((one.seconds, one.burst, one.until), (60, 40, now.plus_seconds(60)));
        let two = learned(Some(one), 10, 60, now);
        assert_eq!((two.seconds, two.burst), (120, 10));
        let many = (0..9).fold(two, |pace, _| learned(Some(pace), 0, 60, now));
        assert_eq!((many.seconds, many.burst), (LONGEST_SECONDS, 1));
        let eased = eased(two, 60, now).and_then(|pace| eased(pace, 60, now)).and_then(|pace| eased(pace, 60, now));
        assert_eq!(eased.map(|pace| (pace.seconds, pace.burst)), Some((15, 80)));
        assert_eq!(super::eased(eased.unwrap(), 60, now), None, "forgotten");
    }

    #[test]
    fn a_limited_run_rests_before_and_behind_its_messages() {
        let at = |seconds| Timestamp(0).plus_seconds(seconds);
        let mut pacer = Pacer::new(Some(Pace { until: at(60), seconds: 60, burst: 2 }));
        assert_eq!((pacer.rest(at(59)), pacer.rest(at(60))), (Some(at(60)), None));
        pacer.carried = 2;
        assert_eq!(pacer.rest(at(70)), Some(at(130)));
        assert_eq!(Pacer::new(None).rest(at(0)), None);
    }
}
