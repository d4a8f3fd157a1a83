//! EventBridge Scheduler: `rate(…)` and `cron(…)` in UTC.
//!
//! Ticks of a rate lie on multiples of it since 1970, so that a restart neither shifts nor doubles them. Ticks missed
//! while the service was down are not made up for.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::DEFAULT_CONCURRENCY;
use crate::aws::{ACCOUNT, REGION};
use crate::gateway::Invoke;
use crate::template::ScheduleTrigger;

/// Longest sleep without a look at the clock, which may be set and stands still while the machine sleeps.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// When a schedule fires.
#[derive(Debug, Clone)]
enum Expression {
    /// Every so many seconds.
    Rate(i64),
    /// At the times of a cron expression.
    Cron(Box<cron::Schedule>),
}

impl FromStr for Expression {
    type Err = String;

    /// docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once('(').ok_or(EXPECTED)?;
        let inner = rest.strip_suffix(')').ok_or(EXPECTED)?;
        match kind {
            "rate" => rate(inner).map(Self::Rate),
            "cron" => cron_expression(inner).map(|schedule| Self::Cron(Box::new(schedule))),
            "at" => Err("at(…) is not supported by the local service".to_owned()),
            _ => Err(EXPECTED.to_owned()),
        }
    }
}

const EXPECTED: &str = "expected rate(value unit) or cron(minutes hours day-of-month month day-of-week year)";

/// `5 minutes`. Seconds are an extension of the local service: tests cannot wait for minutes.
fn rate(text: &str) -> Result<i64, String> {
    let expected =
        || "expected a whole number and second(s), minute(s), hour(s) or day(s), as in rate(5 minutes)".to_owned();
    let (value, unit) = text.split_once(' ').ok_or_else(expected)?;
    let value: u32 = value.parse().map_err(|_| expected())?;
    // AWS insists on the singular for 1 and on the plural for all else.
    let singular = if value == 1 { Some(unit) } else { unit.strip_suffix('s') };
    let seconds = match singular {
        Some("second") => 1,
        Some("minute") => 60,
        Some("hour") => 3_600,
        Some("day") => 86_400,
        _ => return Err(expected()),
    };
    match value {
        0 => Err(expected()),
        value => Ok(i64::from(value) * seconds),
    }
}

/// AWS has six fields from minutes to years; the crate wants seconds before them, and knows no `L`, `W` and `#`.
fn cron_expression(text: &str) -> Result<cron::Schedule, String> {
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let [_, _, day, _, weekday, _] = fields[..] else {
        let wanted = "minutes hours day-of-month month day-of-week year";
        return Err(format!("cron wants 6 fields ({wanted}), not {}", fields.len()));
    };
    if day.contains(['L', 'W']) || weekday.contains(['L', '#']) {
        return Err("L, W and # in cron are not supported by the local service".to_owned());
    }
    cron::Schedule::from_str(&format!("0 {text}")).map_err(|error| error.to_string())
}

impl Expression {
    /// The first time after `now`; `None` when a cron's years are over.
    fn next_after(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let now = now.unix_timestamp();
        let next = match self {
            Self::Rate(seconds) => (now.div_euclid(*seconds) + 1) * seconds,
            Self::Cron(schedule) => {
                let now: DateTime<Utc> = DateTime::from_timestamp(now, 0)?;
                schedule.after(&now).next()?.timestamp()
            }
        };
        OffsetDateTime::from_unix_timestamp(next).ok()
    }
}

/// One schedule of one function.
pub(super) struct Clock<I> {
    function: String,
    name: String,
    expression: Expression,
    input: Option<Value>,
    functions: Arc<I>,
}

impl<I: Invoke> Clock<I> {
    /// # Errors
    /// The expression is not understood; the text says what would be.
    pub(super) fn new(function: &str, trigger: &ScheduleTrigger, functions: Arc<I>) -> Result<Self, String> {
        Ok(Self {
            function: function.to_owned(),
            name: trigger.name.clone(),
            expression: trigger.expression.parse()?,
            input: trigger.input.clone(),
            functions,
        })
    }

    /// Fires for ever. A tick that finds [`DEFAULT_CONCURRENCY`] earlier ones still running is dropped.
    pub(super) async fn run(self, tasks: TaskTracker) {
        let running = Arc::new(Semaphore::new(DEFAULT_CONCURRENCY as usize));
        let mut last = OffsetDateTime::now_utc();
        while let Some(next) = self.expression.next_after(last) {
            wait_until(next).await;
            // Late by more than one interval: the ticks in between are gone.
            last = next.max(OffsetDateTime::now_utc());
            let Ok(permit) = Arc::clone(&running).try_acquire_owned() else {
                tracing::warn!(function = %self.function, schedule = %self.name, "tick dropped: earlier ones still run");
                continue;
            };
            let (functions, function) = (Arc::clone(&self.functions), self.function.clone());
            let event = event(&function, &self.name, self.input.as_ref(), next);
            tasks.spawn(async move {
                if let Err(error) = functions.invoke(&function, event).await {
                    tracing::warn!(%function, "scheduled invocation failed: {error}");
                }
                drop(permit);
            });
        }
    }
}

async fn wait_until(time: OffsetDateTime) {
    loop {
        let left = time - OffsetDateTime::now_utc();
        match Duration::try_from(left) {
            Ok(left) if !left.is_zero() => sleep(left.min(LONGEST_SLEEP)).await,
            _ => return,
        }
    }
}

/// The event: the template's `Input` as it is, or EventBridge Scheduler's own.
fn event(function: &str, name: &str, input: Option<&Value>, time: OffsetDateTime) -> Bytes {
    let own = || {
        let arn = format!("arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{function}-{name}");
        json!({
            "version": "0",
            "id": Uuid::new_v4().to_string(),
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": ACCOUNT,
            "time": time.format(&Rfc3339).unwrap_or_default(),
            "region": REGION,
            "resources": [arn],
            "detail": {},
        })
    };
    Bytes::from(input.cloned().unwrap_or_else(own).to_string())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn next(expression: &str, now: OffsetDateTime) -> OffsetDateTime {
        expression.parse::<Expression>().unwrap().next_after(now).unwrap()
    }

    #[test]
    fn rates_fire_on_their_multiples() {
        let now = datetime!(2026-11-21 10:00:30 UTC);
        assert_eq!(next("rate(1 second)", now), datetime!(2026-11-21 10:00:31 UTC));
        assert_eq!(next("rate(20 seconds)", now), datetime!(2026-11-21 10:00:40 UTC));
        assert_eq!(next("rate(1 minute)", now), datetime!(2026-11-21 10:01 UTC));
        assert_eq!(next("rate(5 minutes)", now), datetime!(2026-11-21 10:05 UTC));
        assert_eq!(next("rate(1 hour)", now), datetime!(2026-11-21 11:00 UTC));
        assert_eq!(next("rate(1 day)", now), datetime!(2026-11-22 00:00 UTC));
        assert_eq!(next("rate(1 minute)", datetime!(2026-11-21 10:01 UTC)), datetime!(2026-11-21 10:02 UTC));
    }

    #[test]
    fn cron_has_aws_fields_and_aws_weekdays() {
        let saturday = datetime!(2026-11-21 10:00:30 UTC);
        assert_eq!(next("cron(0/15 * * * ? *)", saturday), datetime!(2026-11-21 10:15 UTC));
        assert_eq!(next("cron(30 4 1 * ? *)", saturday), datetime!(2026-12-01 04:30 UTC));
        assert_eq!(next("cron(0 18 ? * MON-FRI *)", saturday), datetime!(2026-11-23 18:00 UTC));
        // 1 is Sunday.
        assert_eq!(next("cron(0 18 ? * 1 *)", saturday), datetime!(2026-11-22 18:00 UTC));
        assert_eq!(next("cron(0 0 1 JUL ? 2027)", saturday), datetime!(2027-07-01 00:00 UTC));
        let over: Expression = "cron(0 0 1 1 ? 2020)".parse().unwrap();
        assert_eq!(over.next_after(saturday), None);
    }

    #[test]
    fn what_is_not_understood_says_what_would_be() {
        for (wrong, expected) in [
            ("", "rate(value unit)"),
            ("rate(5 minutes", "rate(value unit)"),
            ("every(5 minutes)", "rate(value unit)"),
            ("rate(1 minutes)", "rate(5 minutes)"),
            ("rate(5 minute)", "rate(5 minutes)"),
            ("rate(0 minutes)", "rate(5 minutes)"),
            ("rate(-1 minutes)", "rate(5 minutes)"),
            ("rate(2 weeks)", "rate(5 minutes)"),
            ("cron(* * * * *)", "6 fields"),
            ("cron(0 0 L * ? *)", "not supported"),
            ("cron(0 0 ? * 2#1 *)", "not supported"),
            ("at(2026-11-21T10:00:00)", "not supported"),
        ] {
            let reason = wrong.parse::<Expression>().unwrap_err();
            assert!(reason.contains(expected), "{wrong}: {reason}");
        }
        assert!("cron(99 0 1 * ? *)".parse::<Expression>().is_err());
    }

    #[test]
    fn the_event_is_schedulers_own_unless_the_template_has_one() {
        let time = datetime!(2026-11-21 10:01 UTC);
        let mut own: Value = serde_json::from_slice(&event("schedule", "Tick", None, time)).unwrap();
        let id = own["id"].take();
        assert!(Uuid::parse_str(id.as_str().unwrap()).is_ok());
        assert_eq!(
            own,
            json!({
                "version": "0", "id": null, "detail-type": "Scheduled Event", "source": "aws.scheduler",
                "account": "000000000000", "time": "2026-11-21T10:01:00Z", "region": "us-east-1",
                "resources": ["arn:aws:scheduler:us-east-1:000000000000:schedule/default/schedule-Tick"], "detail": {},
            })
        );
        let input = json!({"job": "sweep"});
        assert_eq!(event("schedule", "Tick", Some(&input), time), r#"{"job":"sweep"}"#);
    }
}
