//! Work for other functions, by SQS. These shapes are what `deliver`, `pull-worker` and `notify` read.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_sqs::{Client, types::SendMessageBatchRequestEntry};
use serde::{Deserialize, Serialize};

use super::{StoreError, error::aws};
use crate::model::{AccountId, Event, MessageId, Tenant, Timestamp};

/// Messages of one account to deliver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverJob {
    /// Whose.
    pub tenant: Tenant,
    /// The account they leave through.
    pub account: AccountId,
    /// Which.
    pub ids: Vec<MessageId>,
    /// What [`Turn::Handed`](super::Turn::Handed) says of them: they can be taken although they are handed on again
    /// only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed: Option<Timestamp>,
}

/// A mailbox to pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullJob {
    /// Whose.
    pub tenant: Tenant,
    /// Which mailbox.
    pub account: AccountId,
    /// The tick that asked for it: a job older than one interval is dropped.
    pub tick: Timestamp,
    /// Asked for by a call or left over by a run: never dropped for its age.
    pub asked: bool,
}

/// Mailboxes to pull, as one message of the queue names them: up to [`MAILBOXES_PER_BATCH`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullBatch {
    /// As [`PullJob::tick`].
    pub tick: Timestamp,
    /// As [`PullJob::asked`].
    #[serde(default)]
    pub asked: bool,
    /// Which.
    pub mailboxes: Vec<Wanted>,
}

/// A mailbox of a batch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wanted {
    /// Which.
    #[serde(flatten)]
    pub mailbox: Mailbox,
    /// What its server says where nothing has happened: [`super::PollEntry::quiet`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<String>,
}

/// A mailbox by its names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mailbox {
    /// Whose.
    pub tenant: Tenant,
    /// Which.
    pub account: AccountId,
}

/// Mailboxes of one message: so many idle ones share the price of a queue message and of an invocation, and fit into
/// its memory at once (performance.md, "idle poll").
pub const MAILBOXES_PER_BATCH: usize = 100;

impl PullBatch {
    /// As few batches as hold all, dealt like cards: neighbours by name, which are most often at home at the same
    /// server, go to different ones, so that no invocation waits for one server alone.
    pub fn deal(tick: Timestamp, asked: bool, wanted: Vec<Wanted>) -> Vec<Self> {
        let wanted: BTreeMap<Mailbox, Option<String>> =
            wanted.into_iter().map(|wanted| (wanted.mailbox, wanted.quiet)).collect();
        let hands = wanted.len().div_ceil(MAILBOXES_PER_BATCH);
        let mut dealt = vec![Vec::new(); hands];
        for (index, (mailbox, quiet)) in wanted.into_iter().enumerate() {
            dealt[index % hands].push(Wanted { mailbox, quiet });
        }
        dealt.into_iter().map(|mailboxes| Self { tick, asked, mailboxes }).collect()
    }
}

/// An event to tell one webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WebhookJob {
    /// Whose.
    pub tenant: Tenant,
    /// Which webhook.
    pub webhook: String,
    /// What happened.
    pub event: Event,
    /// Attempts before this one.
    pub attempt: u32,
    /// When trying began: it is given up some time later.
    pub began: Timestamp,
    /// Not before. SQS delays for 15 minutes at most: what has longer to wait goes round.
    pub due: Timestamp,
}

/// A change of the table that no event can be made of: what is stored is damaged, and asking again does not mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UntoldChange {
    /// Its record in the table's stream, which keeps it for a day.
    pub sequence_number: String,
    /// What is wrong, with the key of the item.
    pub reason: String,
}

/// Messages of one account that are to be announced or read again, as far as a call did not get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgainJob {
    /// What is to be done.
    pub again: Again,
    /// Whose.
    pub tenant: Tenant,
    /// Which account's.
    pub account: AccountId,
    /// Which messages.
    pub which: Which,
}

/// What is done once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Again {
    /// Announce it.
    Tell,
    /// Read it from its source, and announce it.
    Parse,
}

/// Which messages of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Which {
    /// These.
    Named(Vec<MessageId>),
    /// All that were received or stored then or later.
    Since {
        /// Then.
        since: Timestamp,
        /// How far it came.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
}

/// SQS takes at most this many messages in one request.
const BATCH: usize = 10;

/// SQS delays at most this long; what is due later is found by its due time.
const LONGEST_DELAY_SECONDS: u32 = 900;

/// The queues.
#[derive(Clone, Debug)]
pub struct Queues {
    client: Client,
    deliver: Arc<str>,
    pull: Arc<str>,
    webhook: Arc<str>,
    untold: Arc<str>,
}

impl Queues {
    /// The URLs: to deliver, to pull, to tell webhooks, and for what cannot be announced.
    pub(super) fn new(client: Client, urls: [&String; 4]) -> Self {
        let [deliver, pull, webhook, untold] = urls.map(|url| url.as_str().into());
        Self { client, deliver, pull, webhook, untold }
    }

    /// Asks `deliver` to deliver, after a delay of at most 900 s.
    pub async fn enqueue_deliver(&self, jobs: &[DeliverJob], delay_seconds: u32) -> Result<(), StoreError> {
        self.enqueue(&self.deliver, jobs, delay_seconds).await
    }

    /// Asks `pull-worker` to pull, many mailboxes by one message ([`PullBatch::deal`]), after a delay of at most 900 s.
    pub async fn enqueue_pull(&self, jobs: &[PullJob], delay_seconds: u32) -> Result<(), StoreError> {
        let mut by_tick: BTreeMap<(Timestamp, bool), Vec<Wanted>> = BTreeMap::new();
        for PullJob { tenant, account, tick, asked } in jobs.iter().cloned() {
            let wanted = Wanted { mailbox: Mailbox { tenant, account }, quiet: None };
            by_tick.entry((tick, asked)).or_default().push(wanted);
        }
        for ((tick, asked), wanted) in by_tick {
            self.enqueue(&self.pull, &PullBatch::deal(tick, asked, wanted), delay_seconds).await?;
        }
        Ok(())
    }

    /// The same for those whose slot it is.
    pub async fn enqueue_polls(&self, tick: Timestamp, due: Vec<Wanted>) -> Result<(), StoreError> {
        self.enqueue(&self.pull, &PullBatch::deal(tick, false, due), 0).await
    }

    /// Asks `notify` to tell webhooks, after a delay of at most 900 s.
    pub async fn enqueue_webhooks(&self, jobs: &[WebhookJob], delay_seconds: u32) -> Result<(), StoreError> {
        self.enqueue(&self.webhook, jobs, delay_seconds).await
    }

    /// Puts a change aside that cannot be announced, for a person to look at.
    pub async fn put_aside(&self, change: &UntoldChange) -> Result<(), StoreError> {
        self.enqueue(&self.untold, &[change], 0).await
    }

    /// Asks `pull-worker` to go on with what a call did not get done.
    pub async fn enqueue_again(&self, job: AgainJob) -> Result<(), StoreError> {
        self.enqueue(&self.pull, &[job], 0).await
    }

    async fn enqueue(&self, queue: &str, jobs: &[impl Serialize], delay_seconds: u32) -> Result<(), StoreError> {
        for batch in jobs.chunks(BATCH) {
            let mut left = batch
                .iter()
                .enumerate()
                .map(|(index, job)| entry(index, job, delay_seconds))
                .collect::<Result<Vec<_>, _>>()?;
            // SQS answers for each message; what it could not take for reasons of its own is asked once more.
            for _ in 0..2 {
                let request = self.client.send_message_batch().queue_url(queue).set_entries(Some(left.clone()));
                let answer = request.send().await.map_err(aws("SendMessageBatch"))?;
                if let Some(refused) = answer.failed.iter().find(|failed| failed.sender_fault) {
                    let code = refused.code.clone();
                    return Err(StoreError::Refused {
                        operation: "SendMessageBatch",
                        code,
                        status: 200,
                        request: String::new(),
                    });
                }
                left.retain(|entry| answer.failed.iter().any(|failed| failed.id == entry.id));
                if left.is_empty() {
                    break;
                }
            }
            if !left.is_empty() {
                return Err(StoreError::busy("SendMessageBatch"));
            }
        }
        Ok(())
    }
}

fn entry(index: usize, job: &impl Serialize, delay_seconds: u32) -> Result<SendMessageBatchRequestEntry, StoreError> {
    let json = serde_json::to_string(job).map_err(|_| StoreError::Corrupt { key: "a job".into() })?;
    SendMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .message_body(json)
        .delay_seconds(i32::try_from(delay_seconds.min(LONGEST_DELAY_SECONDS)).unwrap_or_default())
        .build()
        .map_err(|error| StoreError::invalid("SendMessageBatch", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(tenant: &str, account: usize) -> Wanted {
        let account = AccountId::new(format!("box{account:03}")).unwrap();
        Wanted { mailbox: Mailbox { tenant: Tenant::new(tenant).unwrap(), account }, quiet: None }
    }

    #[test]
    fn mailboxes_are_dealt_to_as_few_batches_as_hold_them_and_each_once() {
        let mut all: Vec<_> = (0..150).map(|number| wanted("one", number)).collect();
        all.extend((0..101).map(|number| wanted("two", number)));
        all.push(all[0].clone());
        let batches = PullBatch::deal(Timestamp(7), true, all);
        assert_eq!(batches.iter().map(|batch| batch.mailboxes.len()).collect::<Vec<_>>(), [84, 84, 83]);
        let one = |wanted: &&Wanted| wanted.mailbox.tenant.as_str() == "one";
        let of_one = batches.iter().map(|batch| batch.mailboxes.iter().filter(one).count());
        assert_eq!(of_one.collect::<Vec<_>>(), [50, 50, 50], "neighbours are spread");
        assert!(PullBatch::deal(Timestamp(7), true, Vec::new()).is_empty());
        let text = serde_json::to_string(&PullBatch::deal(Timestamp(0), true, vec![wanted("one", 1)])[0]).unwrap();
        let expected =
            r#"{"tick":"1970-01-01T00:00:00.000Z","asked":true,"mailboxes":[{"tenant":"one","account":"box001"}]}"#;
        assert_eq!(text, expected);
    }
}
