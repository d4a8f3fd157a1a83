//! One kind of time: UTC with milliseconds, RFC 3339 on every wire (`2026-11-21T07:36:10.000Z`).

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-21T07:36:10.000Z")]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The system's clock: the only place that reads it.
    #[allow(clippy::disallowed_methods)]
    pub fn now() -> Self {
        OffsetDateTime::from(std::time::SystemTime::now()).into()
    }

    /// `self` moved by a number of seconds, which may be negative.
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The same instant as the `time` crate's type (years outside its range become 1970).
    pub fn to_datetime(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// Reads RFC 3339 with any offset and any number of fractional digits.
    pub fn parse(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc3339).ok().map(Self::from)
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(at: OffsetDateTime) -> Self {
        Self(i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default())
    }
}

impl std::fmt::Display for Timestamp {
    /// RFC 3339 with exactly three fractional digits, so that the text sorts as the time does.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = self.to_datetime();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.millisecond()
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("expected a time such as 2026-11-21T07:36:10Z (RFC 3339)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_sorts_as_time_and_reads_seven_digits_with_an_offset() {
        let at = Timestamp::parse("2023-06-02T14:13:40.2660122+02:00").unwrap();
        assert_eq!(at.to_string(), "2023-06-02T12:13:40.266Z");
        assert_eq!(Timestamp::parse(&at.to_string()), Some(at));
        assert!(at.plus_seconds(1).to_string() > at.to_string());
    }
}
