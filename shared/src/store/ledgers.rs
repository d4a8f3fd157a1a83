//! Ledgers: what has been pulled from one folder.

use serde::{Deserialize, Serialize};

use super::{StoreError, keys::SourceId, table::Table};
use crate::model::{AccountId, Tenant, Timestamp};

/// How far pulling one source has come. Written only when there is news.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// Which folder of which server and user.
    pub source: SourceId,
    /// How often it was written: 0 is a ledger that is not stored yet. Set by [`Ledgers::save`].
    pub version: u64,
    /// Number of the last completed run.
    pub run: u64,
    /// Where it stands.
    pub position: Position,
    /// The window that is being worked on; one that is found here was not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// When mail came last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_arrival: Option<Timestamp>,
}

/// Where a source stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Position {
    /// Never pulled.
    #[default]
    New,
    /// IMAP.
    Imap {
        /// UIDVALIDITY (RFC 3501 §2.3.1.1): another one means other messages.
        uidvalidity: u32,
        /// UIDNEXT at the last completed run, for the idle check.
        uidnext: u32,
        /// MESSAGES at the last completed run, for the idle check.
        messages: u32,
        /// Highest UID up to which everything is stored.
        last: u32,
        /// `last` at the end of the previous completed run: may be deleted up to here.
        safe: u32,
    },
    /// POP3.
    Pop3 {
        /// STAT's count (RFC 1939 §5) at the last completed run, for the idle check.
        count: u32,
        /// STAT's octets at the last completed run, for the idle check.
        octets: u64,
        /// How many lines of the UIDL list are stored without a gap.
        prefix: u32,
        /// SHA-256 of these lines, hex.
        prefix_hash: String,
    },
}

/// A stretch of a mailbox: UIDs of IMAP, places in POP3's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// First.
    pub first: u32,
    /// Last.
    pub last: u32,
    /// How often it was begun.
    pub tries: u32,
}

impl Ledger {
    /// The ledger of a source that was never pulled.
    pub fn new(source: SourceId) -> Self {
        Self { source, version: 0, run: 0, position: Position::New, window: None, last_arrival: None }
    }
}

/// Ledgers, by mailbox and source.
#[derive(Clone, Debug)]
pub struct Ledgers {
    table: Table,
}

impl Ledgers {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// The ledger of a source, a new one where there is none. Strongly consistent.
    pub async fn load(&self, tenant: &Tenant, account: &AccountId, source: &SourceId) -> Result<Ledger, StoreError> {
        todo!()
    }

    /// Writes a ledger over the version that was read, and counts its version up.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: another puller wrote it meanwhile; stop.
    pub async fn save(&self, tenant: &Tenant, account: &AccountId, ledger: &mut Ledger) -> Result<(), StoreError> {
        todo!()
    }

    /// Forgets all ledgers of a mailbox, and its lease.
    pub async fn delete(&self, tenant: &Tenant, account: &AccountId) -> Result<(), StoreError> {
        todo!()
    }
}
