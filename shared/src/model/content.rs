//! What a mail may be made of beside texts and files: an answer to a stored message, an invitation, a way to
//! unsubscribe, wishes about delivery reports.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Address, address};

/// What is done with a stored message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Answers its author.
    Reply,
    /// Answers its author and all others who got it, but for ourselves.
    ReplyAll,
    /// Hands it on.
    Forward,
}

/// A stored message of the account that is answered or handed on. What follows from it (headers, subject, recipients,
/// quotation, files) is worked out once, when the mail is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reference {
    /// Its id.
    pub message: String,
    /// What is done with it.
    pub action: Action,
    /// Whether its text follows ours. The default.
    #[serde(default = "yes")]
    pub quote: bool,
    /// Whether a forwarded message brings its files. The default.
    #[serde(default = "yes")]
    pub attachments: bool,
}

fn yes() -> bool {
    true
}

/// How readers leave a list (RFC 2369 §3.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ListUnsubscribe {
    /// Address that takes the wish, or a whole `mailto:` URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailto: Option<String>,
    /// Page, `https` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// One POST to the page is enough (RFC 8058 §3.1).
    pub one_click: bool,
}

/// How much of the message a delivery report brings back (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DsnReturn {
    /// All of it.
    Full,
    /// Its header.
    Headers,
}

/// What is reported (RFC 3461 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DsnNotify {
    /// Nothing; stands alone.
    Never,
    /// That it was delivered.
    Success,
    /// That it was not.
    Failure,
    /// That it takes long.
    Delay,
}

/// Wishes about delivery reports (RFC 3461). They go to the server where it offers DSN.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Dsn {
    /// How much of the message comes back.
    #[serde(rename = "return", skip_serializing_if = "Option::is_none")]
    pub return_: Option<DsnReturn>,
    /// The sender's name for the message, which a report repeats: 1 to 100 printable ASCII characters. Left out: the
    /// message's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envelope_id: Option<String>,
    /// What is reported; left out: what the server reports anyway.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<DsnNotify>,
    /// Where the server does not offer DSN, the message is refused. Without this, it goes without these wishes.
    pub required: bool,
}

/// What an invitation is about (RFC 5546 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum InviteMethod {
    /// The organizer invites, or moves what was agreed.
    Request,
    /// An attendee answers.
    Reply,
    /// The organizer calls it off.
    Cancel,
}

/// Whether the event is going to be (RFC 5545 §3.8.1.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum InviteStatus {
    /// Perhaps.
    Tentative,
    /// Yes.
    Confirmed,
    /// No.
    Cancelled,
}

/// What an attendee says (RFC 5545 §3.2.12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Participation {
    /// Nothing yet.
    #[default]
    NeedsAction,
    /// Comes.
    Accepted,
    /// Does not come.
    Declined,
    /// May come.
    Tentative,
}

/// Whether an attendee has to be there (RFC 5545 §3.2.16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Leads.
    Chair,
    /// Has to.
    #[default]
    Required,
    /// May.
    Optional,
}

/// Who is invited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attendee {
    /// Who.
    #[serde(deserialize_with = "address::given")]
    pub address: Address,
    /// Whether needed.
    #[serde(default)]
    pub role: Role,
    /// The answer so far; in a `reply` the answer given.
    #[serde(default)]
    pub participation: Participation,
    /// Whether an answer is asked for.
    #[serde(default = "yes")]
    pub rsvp: bool,
}

/// An invitation to an event, its answer or its end (iTIP, RFC 5546; by mail, RFC 6047). Either `ics` alone, or the
/// event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Invite {
    /// A finished VCALENDAR with its METHOD (RFC 5545 §3.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ics: Option<String>,
    /// What it is about; required without `ics`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<InviteMethod>,
    /// The event's name, the same in every message about it; may be left out of the first request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Counts the changes of the event (RFC 5545 §3.8.7.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u32>,
    /// When it begins: a time with its offset (`2026-12-01T10:00:00+01:00`), a local time with `timezone`, or a day
    /// (`2026-12-01`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// When it ends, in the same form; of days, the first one after it (RFC 5545 §3.6.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// IANA name of the zone of local times, such as `Europe/Berlin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Title; left out: the mail's subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// What for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who invites; left out: the mail's author. Required in a `reply`.
    #[serde(deserialize_with = "address::given_option", skip_serializing_if = "Option::is_none")]
    pub organizer: Option<Address>,
    /// Who is invited; left out: those in `to` and `cc`, in a `reply` the mail's author.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attendees: Vec<Attendee>,
    /// Where it can be read about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether it is going to be; left out: `confirmed`, in a `cancel` `cancelled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<InviteStatus>,
}

/// What a mail would be, without sending it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// Always true.
    pub dry_run: bool,
    /// The envelope's sender (RFC 5321 §3.3).
    pub envelope_from: String,
    /// Everybody who would get it.
    pub recipients: Vec<String>,
    /// The Message-ID header. With the same Idempotency-Key it would be sent under this one.
    pub message_id: String,
    /// Size of the source in bytes.
    pub size: u64,
    /// The source: as text where it is UTF-8, else base64.
    pub source: String,
    /// `text` or `base64`.
    pub encoding: String,
}
