//! AWS only: DynamoDB, S3, Secrets Manager, SQS. No mail protocol, no HTTP, no use case.
//!
//! One order everywhere: the object in S3, then the row (one conditional write), then what points at it. No
//! transactions. A conditional write whose answer was lost and that is repeated by the SDK recognises its own
//! success by the random name of its attempt. Every time is an argument.

mod accepted;
mod accounts;
mod bounces;
mod bus;
pub mod changes;
mod clients;
mod compact;
mod counters;
mod cursor;
mod drafts;
mod error;
mod files;
mod follow_ups;
mod grants;
pub mod guesses;
mod history;
pub mod keys;
mod leases;
mod ledgers;
mod links;
mod messages;
mod outbox;
mod outgoing;
mod pii;
mod places;
mod polls;
mod preferences;
mod queues;
mod random;
mod revisions;
mod seal;
mod search;
mod secrets;
mod status;
mod streams;
mod suppressions;
mod table;
mod templates;
mod tokens;
mod waiting;
mod webhooks;

#[cfg(test)]
mod tests;

pub use accepted::Stretch;
pub use accounts::{AccountRow, Accounts, Expect};
pub use bounces::{Bounced, NOTED_BOUNCES};
pub use bus::Bus;
pub use counters::Counters;
pub use cursor::Page;
pub use drafts::{Drafted, Drafts};
pub use error::StoreError;
pub use files::{Download, Files, NewFile, PresignedPut, Upload};
pub use grants::{Access, Grant, GrantClaim, GrantKey, GrantSlot, GrantTokens, Grants};
pub use guesses::Guesses;
pub use history::{History, VERSIONS};
pub use keys::{GrantId, MessageKey, SourceId};
pub use leases::{Lease, Leases};
pub use ledgers::{Deleted, Epoch, Ledger, Ledgers, Noted, Position, Window};
pub use links::{Link, Links};
pub use messages::{Incoming, Inserted, Known, Messages, Range, StoredMessage};
pub use outbox::{Claim, Claimed, Outbox, Taken, Turn};
pub use outgoing::{After, BodyPlace, Commit, INLINE_RECIPIENTS, NewOutgoing, Outcome, OutgoingRow};
pub use pii::{Pii, Resolver};
pub use places::{NewPlace, Placed, Standing};
pub use polls::{PollEntry, Polls};
pub use preferences::{AllPreferences, Preferences};
pub use queues::{
    Again, AgainJob, DeliverJob, MAILBOXES_PER_BATCH, Mailbox, PullBatch, PullJob, Queues, UntoldChange, Wanted,
    WebhookJob, Which,
};
pub use search::{Ask, Entry, Found, Joining, Manifest, Place, SEGMENT_DOCS, Search, TAKEN_AT_ONCE, Written};
pub use secrets::{Fingerprints, SecretChange, SecretError, SecretRef, Secrets, Side};
pub use status::{AccountStatus, Pace, SeenTls, SideStatus, StatusChange, Statuses};
pub use streams::{Pieces, Streamed};
pub use suppressions::Suppressions;
pub use templates::Templates;
pub use tokens::{TokenRow, Tokens};
pub use waiting::{Cancel, Due, Replaced};
pub use webhooks::{
    DeliveryRow, ENGINE_WEBHOOK, WebhookRow, Webhooks, delivery_id, is_delivery_id, is_webhook_id, new_webhook_id,
    secret_bytes,
};

use crate::settings::Settings;

/// Everything that is stored, by kind. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Store {
    /// Accounts: settings without secrets.
    pub accounts: Accounts,
    /// What accounts were before.
    pub history: History,
    /// Accounts that are not complete yet.
    pub drafts: Drafts,
    /// How accounts fare: counters, last times, back-off.
    pub statuses: Statuses,
    /// Which mailboxes are polled.
    pub polls: Polls,
    /// What tenants have settled for all their accounts.
    pub preferences: AllPreferences,
    /// What is counted within a window of time.
    pub counters: Counters,
    /// Access tokens, by hash.
    pub tokens: Tokens,
    /// Texts with places for parameters.
    pub templates: Templates,
    /// Messages, both ways.
    pub messages: Messages,
    /// What has been pulled from each folder.
    pub ledgers: Ledgers,
    /// Who is pulling which mailbox.
    pub leases: Leases,
    /// Messages on their way out.
    pub outbox: Outbox,
    /// Who is not sent to any more.
    pub suppressions: Suppressions,
    /// Sources, attachments and large bodies.
    pub files: Files,
    /// Which words stand in which messages.
    pub search: Search,
    /// Refused sign-ins with given passwords.
    pub guesses: Guesses,
    /// Passwords and their like.
    pub secrets: Secrets,
    /// Links to files.
    pub links: Links,
    /// What PII tokens stand for.
    pub pii: Pii,
    /// What OAuth grants have brought.
    pub grants: Grants,
    /// Where tenants want to be told what happened.
    pub webhooks: Webhooks,
    /// What happened, for whoever has rules on it.
    pub bus: Bus,
    /// Work for other functions.
    pub queues: Queues,
}

impl Store {
    /// Builds the clients; connects to nothing yet. Region, credentials and endpoints come from the environment, as
    /// Lambda sets it.
    pub async fn from_settings(settings: &Settings) -> Self {
        let clients = clients::Clients::load().await;
        let table = table::Table::new(clients.dynamodb, settings.table.clone());
        let files = Files::new(clients.s3, settings.bucket.clone());
        let webhooks = Webhooks::new(table.clone(), clients.secrets.clone(), settings.webhook_cache_seconds);
        let secrets = Secrets::new(clients.secrets, settings.secret_cache_seconds);
        let Settings { deliver_queue, pull_queue, webhook_queue, notify_dead_letters, .. } = settings;
        let queues = [deliver_queue, pull_queue, webhook_queue, notify_dead_letters];
        Self {
            accounts: Accounts::new(table.clone()),
            history: History::new(table.clone()),
            drafts: Drafts::new(table.clone()),
            counters: Counters::new(table.clone()),
            statuses: Statuses::new(table.clone()),
            polls: Polls::new(table.clone()),
            preferences: AllPreferences::new(table.clone(), secrets.clone()),
            tokens: Tokens::new(table.clone()),
            templates: Templates::new(table.clone()),
            messages: Messages::new(table.clone()),
            ledgers: Ledgers::new(table.clone()),
            leases: Leases::new(table.clone()),
            guesses: Guesses::new(table.clone()),
            suppressions: Suppressions::new(table.clone()),
            outbox: Outbox::new(table.clone(), files.clone()),
            search: Search::new(table.clone(), files.clone()),
            files,
            links: Links::new(table.clone()),
            pii: Pii::new(table.clone(), secrets.clone()),
            grants: Grants::new(table, secrets.clone()),
            secrets,
            webhooks,
            bus: Bus::new(clients.events, settings.event_bus.clone()),
            queues: Queues::new(clients.sqs, queues),
        }
    }
}
