//! Plain data and its validation: no SDK, no lettre, no HTTP.
//!
//! Shapes are those of the native API (camelCase JSON, RFC 3339 times); every type that a caller sends or
//! receives derives its OpenAPI schema here, where it is defined.

pub mod account;
pub mod address;
pub mod again;
pub mod autoconfig;
pub mod calendar;
pub mod change;
pub mod content;
pub mod diagnosis;
pub mod event;
pub mod files;
pub mod follow_up;
pub mod ids;
pub mod message;
pub mod patch;
pub mod pii;
pub mod poll;
pub mod principal;
pub mod probe;
pub mod problem;
pub mod report;
pub mod risk;
pub mod send;
pub mod suppression;
pub mod template;
pub mod time;
pub mod uids;
pub mod views;
pub mod waiting;
pub mod webhook;

pub use self::time::Timestamp;
pub use account::{Account, Auth, Poll, Protocol, Receive, Security, SentCopy, Server};
pub use address::Address;
pub use diagnosis::{Cause, Diagnosis, Examined, Fix, Stage, StageName};
pub use event::{Event, EventType};
pub use ids::{AccountId, MessageId, Tenant};
pub use message::{Attachment, Direction, Message, TextSizes};
pub use principal::Principal;
pub use probe::{Phase, Probe, ProbeCode, Verdict};
pub use problem::{Code, FieldError, Problem};
pub use send::{RecipientState, SendState};
