//! How often a tenant may call what is limited: fixed windows of a minute, counted in the table.
//!
//! In the table and not in memory: Lambda runs as many instances as there are calls at once, and a count in each would
//! allow a multiple that nobody knows. One unconditional ADD per call to a route that is limited is one write unit
//! ($0.63 per million), needs no reading, and cannot be raced. The price of fixed windows is that twice as many may pass
//! around the end of a minute: these limits protect the service, they are no quota that is sold.

use super::Tools;
use crate::model::{Code, Problem, Tenant, Timestamp};

/// Length of a window.
const SECONDS: i64 = 60;

/// A limit per tenant and minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is counted: part of a key.
    pub name: &'static str,
    /// So many in a minute.
    pub calls: u64,
}

/// Qlik's Tier 1 (A5.1/5).
pub const QLIK_TIER_1: Limit = Limit { name: "qlik1", calls: 1_000 };

/// Qlik's Tier 2 (A5.1/5).
pub const QLIK_TIER_2: Limit = Limit { name: "qlik2", calls: 100 };

/// Counts a call.
///
/// # Errors
/// `rate_limited` when the window is full, with the seconds to its end.
pub async fn count(tools: &Tools, tenant: &Tenant, limit: Limit, now: Timestamp) -> Result<(), Problem> {
    let (window, left) = window(now);
    let calls = tools.store.counters.count(tenant, limit.name, window, SECONDS.unsigned_abs() as u32).await?;
    if calls <= limit.calls {
        return Ok(());
    }
    let words = format!("more than {} calls in a minute; go on in {left} s", limit.calls);
    Err(Problem::new(Code::RateLimited, words).retry_after(left))
}

/// The beginning of the window, and the seconds to its end.
fn window(now: Timestamp) -> (Timestamp, u64) {
    let into = now.seconds().rem_euclid(SECONDS);
    (Timestamp((now.seconds() - into) * 1000), (SECONDS - into).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_minute_of_the_clock() {
        assert_eq!(window(Timestamp(120_000)), (Timestamp(120_000), 60));
        assert_eq!(window(Timestamp(179_999)), (Timestamp(120_000), 1));
    }
}
