//! Which mailbox is due in which minute: a pure function, so that an idle mailbox is polled without a write.
//!
//! The interval follows from the time since the last arrival: a tenth of it, between the account's minimum and
//! maximum, halved down to a power of two of ticks. Within its interval a mailbox has a slot of its own, given by a
//! hash of its name, so that mailboxes spread evenly over the minutes.

use super::{Poll, Timestamp};

/// A fraction of the silence that may pass before the next look: news after an hour of silence is seen within six
/// minutes.
const SILENCE_PER_INTERVAL: i64 = 10;

/// A mark costs as much as it saves in five polls (0.625 against 0.125 dollars for a million): it is written when the
/// mailbox has been quiet for longer, so that it is probably quiet for as long again.
const POLLS_PER_MARK: i64 = 8;

/// When one mailbox is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// The account's wish.
    pub poll: Poll,
    /// Seconds between two ticks of the scheduler.
    pub tick_seconds: u32,
    /// The last time that mail arrived; none yet: as if long ago.
    pub last_arrival: Option<Timestamp>,
    /// Spreads mailboxes over the slots of their interval.
    pub hash: u64,
}

impl Rhythm {
    /// Ticks between two polls: a power of two, so that intervals of different length keep meeting.
    pub fn period(&self, now: Timestamp) -> i64 {
        let tick = i64::from(self.tick_seconds.max(1));
        let (least, most) = (i64::from(self.poll.min_seconds), i64::from(self.poll.max_seconds));
        let silence = self.last_arrival.map_or(i64::MAX, |last| now.seconds().saturating_sub(last.seconds()));
        let seconds = (silence / SILENCE_PER_INTERVAL).clamp(least, most.max(least));
        let ticks = (seconds / tick).max(1);
        // The highest power of two that is not above: never slower than asked for.
        1 << (63 - ticks.leading_zeros()).min(32)
    }

    /// Whether it is due in the tick that `tick` lies in.
    pub fn is_due(&self, tick: Timestamp) -> bool {
        (self.slot(tick) + self.offset(tick)).rem_euclid(self.period(tick)) == 0
    }

    /// The next tick after `now` in which it is due, if nothing arrives before.
    pub fn next(&self, now: Timestamp) -> Timestamp {
        let period = self.period(now);
        let behind = (self.slot(now) + self.offset(now)).rem_euclid(period);
        Timestamp((self.slot(now) + period - behind) * i64::from(self.tick_seconds.max(1)) * 1000)
    }

    /// Whether it is the first poll of a day of the mailbox's own: then everything is looked at, and mail is deleted at
    /// the server where it is time to (decision 12).
    pub fn begins_day(&self, tick: Timestamp) -> bool {
        let day = (86_400 / i64::from(self.tick_seconds.max(1))).max(1);
        let place = self.slot(tick) + i64::from(u32::try_from(self.hash >> 32).unwrap_or_default());
        place.div_euclid(day) != (place - self.period(tick)).div_euclid(day)
    }

    /// Whether mail has not come for so long that it is worth a write to make the next polls cheaper.
    pub fn is_settled(&self, now: Timestamp) -> bool {
        let silence = self.last_arrival.map_or(i64::MAX, |last| now.seconds().saturating_sub(last.seconds()));
        silence >= POLLS_PER_MARK * self.period(now) * i64::from(self.tick_seconds.max(1))
    }

    /// A tick older than one interval is stale: a later one has been or will be sent.
    pub fn is_stale(&self, tick: Timestamp, now: Timestamp) -> bool {
        now.seconds() - tick.seconds() > self.period(tick) * i64::from(self.tick_seconds.max(1))
    }

    fn slot(&self, at: Timestamp) -> i64 {
        at.seconds().div_euclid(i64::from(self.tick_seconds.max(1)))
    }

    fn offset(&self, at: Timestamp) -> i64 {
        // Periods are powers of two of at most 2^32, so the low half of the hash is all that counts.
        i64::from(u32::try_from(self.hash & 0xffff_ffff).unwrap_or_default()).rem_euclid(self.period(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rhythm(min: u32, max: u32, last: Option<i64>, hash: u64) -> Rhythm {
        let poll = Poll { enabled: true, min_seconds: min, max_seconds: max };
        Rhythm { poll, tick_seconds: 60, last_arrival: last.map(|seconds| Timestamp(seconds * 1000)), hash }
    }

    #[test]
    fn the_interval_grows_with_silence_between_its_bounds() {
        let now = Timestamp(10_000_000_000);
        let minutes = |silence: i64| rhythm(60, 960, Some(now.seconds() - silence), 0).period(now);
        assert_eq!([0, 600, 1_200, 3_000, 9_600, 86_400].map(minutes), [1, 1, 2, 4, 16, 16]);
        assert_eq!(rhythm(60, 900, None, 0).period(now), 8, "never slower than maxSeconds");
    }

    #[test]
    fn it_is_due_once_an_interval_and_next_says_when() {
        for hash in [0, 1, 5, u64::MAX] {
            let rhythm = rhythm(480, 480, None, hash);
            let start = Timestamp(1_700_000_000_000);
            let due: Vec<_> =
                (0..64).map(|minute| start.plus_seconds(60 * minute)).filter(|at| rhythm.is_due(*at)).collect();
            assert_eq!(due.len(), 8);
            let next = rhythm.next(start);
            assert!(next > start && rhythm.is_due(next) && next.seconds() - start.seconds() <= 480);
        }
    }

    #[test]
    fn one_poll_a_day_looks_at_everything() {
        for (seconds, hash) in [(60, 7), (960, 5 << 32), (86_400, u64::MAX)] {
            let rhythm = rhythm(seconds, seconds, None, hash);
            let start = Timestamp(1_700_000_000_000);
            let due = (0..1_440 * 8).map(|minute| start.plus_seconds(60 * minute)).filter(|at| rhythm.is_due(*at));
            let days = due.filter(|at| rhythm.begins_day(*at)).count();
            assert!((7..=9).contains(&days), "{seconds}: {days} days of 8");
        }
    }

    #[test]
    fn a_mailbox_is_settled_after_eight_quiet_intervals() {
        let now = Timestamp(10_000_000_000);
        let settled = |silence: i64| rhythm(240, 240, Some(now.seconds() - silence), 0).is_settled(now);
        assert_eq!([0, 1_919, 1_920].map(settled), [false, false, true]);
        assert!(rhythm(60, 60, None, 0).is_settled(now));
    }

    #[test]
    fn ticks_older_than_an_interval_are_stale() {
        let rhythm = rhythm(60, 60, None, 0);
        let tick = Timestamp(1_700_000_000_000);
        assert!(!rhythm.is_stale(tick, tick.plus_seconds(60)) && rhythm.is_stale(tick, tick.plus_seconds(61)));
    }
}
