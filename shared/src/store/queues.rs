//! Work for other functions, by SQS. These shapes are what `deliver` and `pull-worker` read.

use std::sync::Arc;

use aws_sdk_sqs::Client;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::model::{AccountId, MessageId, Tenant, Timestamp};

/// Messages of one account to deliver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverJob {
    /// Whose.
    pub tenant: Tenant,
    /// The account they leave through.
    pub account: AccountId,
    /// Which.
    pub ids: Vec<MessageId>,
}

/// A mailbox to pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullJob {
    /// Whose.
    pub tenant: Tenant,
    /// Which mailbox.
    pub account: AccountId,
    /// The tick that asked for it: a job older than one interval is dropped.
    pub tick: Timestamp,
    /// Asked for by a call or left over by a run: never dropped for its age.
    #[serde(default)]
    pub asked: bool,
}

/// The two queues.
#[derive(Clone, Debug)]
pub struct Queues {
    client: Client,
    deliver: Arc<str>,
    pull: Arc<str>,
}

impl Queues {
    pub(super) fn new(client: Client, deliver: String, pull: String) -> Self {
        Self { client, deliver: deliver.into(), pull: pull.into() }
    }

    /// Asks `deliver` to deliver, after a delay of at most 900 s.
    pub async fn enqueue_deliver(&self, jobs: &[DeliverJob], delay_seconds: u32) -> Result<(), StoreError> {
        todo!()
    }

    /// Asks `pull-worker` to pull.
    pub async fn enqueue_pull(&self, jobs: &[PullJob]) -> Result<(), StoreError> {
        todo!()
    }
}
