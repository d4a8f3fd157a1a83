//! Messages on their way out. Three writes per send: claim, commit, result; each is conditional on the claim.

use super::{
    StoreError,
    files::Files,
    outgoing::{BodyPlace, NewOutgoing, OutgoingRow, Outcome},
    table::Table,
};
use crate::model::{AccountId, MessageId, SendState, Tenant, Timestamp, send::{Recipient, SendRequest}};

/// How a new message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Queued, due then.
    Queued(Timestamp),
    /// Sent by this very invocation, which owns it until then.
    Sending(Timestamp),
}

/// What came of taking a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Taken {
    /// It is ours to send, and nothing was handed over.
    Ours(OutgoingRow),
    /// It is ours to settle: an earlier claim handed it over and ended without a result. Nobody knows whether the
    /// server took it. Finish it by its `on_unknown`; until then it stays in doubt, whatever happens to us.
    InDoubt(OutgoingRow),
    /// Somebody is sending it.
    Busy(OutgoingRow),
    /// Its time has not come.
    NotDue(OutgoingRow),
    /// It is at its end.
    Done(OutgoingRow),
    /// There is no such message.
    Missing,
}

/// What came of taking a message back.
#[derive(Clone, Debug, PartialEq)]
pub enum Cancel {
    /// It will not be sent.
    Canceled(OutgoingRow),
    /// It is being sent, or at its end.
    TooLate(OutgoingRow),
    /// There is no such message.
    Missing,
}

/// A message whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Whose.
    pub tenant: Tenant,
    /// The account it leaves through.
    pub account: AccountId,
    /// Its id.
    pub id: MessageId,
    /// Queued or deferred; sending where a claim ran over.
    pub state: SendState,
    /// Since when.
    pub due: Timestamp,
}

/// Outgoing messages, by tenant and id.
#[derive(Clone, Debug)]
pub struct Outbox {
    table: Table,
    files: Files,
}

impl Outbox {
    pub(super) fn new(table: Table, files: Files) -> Self {
        Self { table, files }
    }

    /// Writes the body, before [`Outbox::insert`]. Writing it again is harmless.
    pub async fn put_body(&self, tenant: &Tenant, id: &MessageId, fingerprint: &str, request: &SendRequest) -> Result<BodyPlace, StoreError> {
        todo!()
    }

    /// The body of a message.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where it is not there.
    pub async fn body(&self, tenant: &Tenant, row: &OutgoingRow) -> Result<SendRequest, StoreError> {
        todo!()
    }

    /// Claims the id: the one conditional write that makes a message durable. `Err` holds the row of whoever was first.
    pub async fn insert(&self, tenant: &Tenant, new: NewOutgoing, claim: Claim) -> Result<Result<OutgoingRow, OutgoingRow>, StoreError> {
        todo!()
    }

    /// One message's state. Strongly consistent.
    pub async fn get(&self, tenant: &Tenant, id: &MessageId) -> Result<Option<OutgoingRow>, StoreError> {
        todo!()
    }

    /// Claims a message that is due, or whose claim ran over, for `lease_seconds` from `now`.
    pub async fn take(&self, tenant: &Tenant, id: &MessageId, now: Timestamp, lease_seconds: u32) -> Result<Taken, StoreError> {
        todo!()
    }

    /// The last durable write before the final dot: from now on a crash leaves the message in doubt. Notes what the
    /// server said about each recipient, and holds the claim until then.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: the claim was lost; do not send the dot.
    pub async fn commit(&self, tenant: &Tenant, row: &mut OutgoingRow, recipients: &[Recipient], until: Timestamp) -> Result<(), StoreError> {
        todo!()
    }

    /// Writes how the attempt ended, and gives the claim back.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: the claim was lost; nothing was written.
    pub async fn finish(&self, tenant: &Tenant, row: &OutgoingRow, outcome: Outcome) -> Result<OutgoingRow, StoreError> {
        todo!()
    }

    /// Takes a message back that nobody has begun to hand over.
    pub async fn cancel(&self, tenant: &Tenant, id: &MessageId, now: Timestamp) -> Result<Cancel, StoreError> {
        todo!()
    }

    /// What is due in one shard, 0 to [`super::keys::DUE_SHARDS`] - 1, longest waiting first: at most `limit`.
    pub async fn due(&self, shard: u8, now: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError> {
        todo!()
    }
}
