//! The appointment that a message is about.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Address, Timestamp};

/// What somebody answers to an invitation (RFC 5545 §3.2.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Nothing yet.
    NeedsAction,
    /// Yes.
    Accepted,
    /// No.
    Declined,
    /// Perhaps.
    Tentative,
    /// Somebody else comes.
    Delegated,
}

/// A time in a calendar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CalendarTime {
    /// As it was written: `2026-12-01T10:00:00`, or a day: `2026-12-01`.
    pub local: String,
    /// Its time zone by its IANA name; null for a day, for the local time of whoever reads it, and where it is unknown.
    pub zone: Option<String>,
    /// The same moment in UTC, where the zone is known.
    pub at: Option<Timestamp>,
}

/// Somebody who is invited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invited {
    /// Who.
    #[serde(flatten)]
    pub who: Address,
    /// What was answered, as far as this calendar knows.
    pub answer: Option<Answer>,
}

/// The one appointment of a message (RFC 5545, RFC 5546).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Appointment {
    /// What the message does with it: `REQUEST`, `REPLY`, `CANCEL`, `COUNTER`, … (RFC 5546 §1.4).
    pub method: Option<String>,
    /// What the sender answers; of a `REPLY` only.
    pub reply_status: Option<Answer>,
    /// Its name, the same in every message about it.
    pub uid: Option<String>,
    /// Counts its changes.
    pub sequence: Option<u32>,
    /// What it is about.
    pub summary: Option<String>,
    /// Where.
    pub location: Option<String>,
    /// `CONFIRMED`, `TENTATIVE`, `CANCELLED`.
    pub status: Option<String>,
    /// When it begins.
    pub start: Option<CalendarTime>,
    /// When it ends; of days, the first one after it.
    pub end: Option<CalendarTime>,
    /// Of a series, the occurrence that is meant.
    pub recurrence_id: Option<CalendarTime>,
    /// Whether it is a series.
    pub recurring: bool,
    /// Who invites.
    pub organizer: Option<Address>,
    /// Who is invited, at most 200.
    pub attendees: Vec<Invited>,
}
