//! The one place of the embedded AWS that reads the wall clock.

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let now = time::OffsetDateTime::now_utc();
    now.unix_timestamp() * 1000 + i64::from(now.millisecond())
}
