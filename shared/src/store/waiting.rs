//! Messages that wait: what is due, what a tenant's outbox lists, and what can still be changed about them.
//!
//! A change replaces the whole row, on condition that nobody has claimed it since it was read: every claim has a name
//! of its own, and a change takes one too.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{
    Page, StoreError, Turn, cursor,
    keys::{self, Key},
    outbox::{Outbox, is_attempt},
    outgoing::{self, Commit, OutgoingRow, put_recipients, state_name},
    random,
    table::{Item, Query, Write, number, number_of, row, text, text_of},
};
use crate::model::{
    AccountId, MessageId, RecipientState, SendState, Tenant, Timestamp,
    send::{Lane, Recipient},
};

/// Keys that are looked at, at most, to choose what is due from: enough that one tenant's newsletter of thousands
/// does not hide the others.
const LOOKED_AT: u32 = 8_000;

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

/// What came of replacing a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Replaced {
    /// It is as it was to be.
    Done(OutgoingRow),
    /// Somebody was faster: as it is now. Nothing was changed.
    Changed(OutgoingRow),
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
    /// What goes first.
    pub lane: Lane,
    /// Since when.
    pub due: Timestamp,
}

impl Outbox {
    /// Replaces a row that nobody is sending, where it has not been claimed or changed since it was read.
    pub async fn replace(
        &self,
        tenant: &Tenant,
        before: &OutgoingRow,
        after: OutgoingRow,
    ) -> Result<Replaced, StoreError> {
        let mut after = OutgoingRow { attempt: random::hex(8), phase: Commit::None, ..after };
        let name = after.attempt.clone();
        let written = put_recipients(&self.table, tenant, &after.id, name, &after.recipients).await?;
        let all = std::mem::replace(&mut after.recipients, written.0);
        after.recipients_in = written.1;
        let item = self.item(tenant, &after)?;
        after.recipients = all;
        let values = vec![(":attempt", text(&before.attempt)), (":state", text(state_name(before.state)))];
        // A claim keeps its attempt when it commits; then the phase is there.
        let unchanged = "#attempt = :attempt AND #state = :state AND attribute_not_exists(#phase)";
        Ok(match self.table.put(item, Some(unchanged), values).await? {
            Write::Done(_) => Replaced::Done(after),
            // The answer got lost and the SDK asked again: it is our own row that is there.
            Write::Refused(Some(old)) if is_attempt(&old, &after.attempt) => Replaced::Done(after),
            Write::Refused(Some(old)) => Replaced::Changed(self.read(tenant, old).await?),
            Write::Refused(None) => Replaced::Missing,
        })
    }

    /// Takes a message back that nobody has begun to hand over.
    pub async fn cancel(&self, tenant: &Tenant, id: &MessageId, now: Timestamp) -> Result<Cancel, StoreError> {
        let Some(row) = self.get(tenant, id).await? else {
            return Ok(Cancel::Missing);
        };
        if !row.can_be_changed(now) {
            return Ok(Cancel::TooLate(row));
        }
        let recipients = canceled(&row.recipients);
        let state = canceled_state(&recipients);
        let after = OutgoingRow { state, recipients, due: None, turn: None, ..row.clone() };
        Ok(match self.replace(tenant, &row, after).await? {
            Replaced::Done(row) => Cancel::Canceled(row),
            Replaced::Changed(row) => Cancel::TooLate(row),
            Replaced::Missing => Cancel::Missing,
        })
    }

    /// What is due in one shard, 0 to [`keys::DUE_SHARDS`] + [`keys::BULK_SHARDS`] - 1, at most `limit`: longest
    /// waiting first for each tenant, and the tenants by turns.
    pub async fn due(&self, shard: u8, now: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError> {
        let query = Query {
            index: Some(keys::BY_DUE),
            condition: "#duesh = :shard AND #due <= :now",
            values: vec![(":shard", text(keys::due_shard(shard))), (":now", number(now.0))],
            limit: Some(LOOKED_AT.max(limit)),
            ..Query::default()
        };
        let (entries, _) = self.table.query(query).await?;
        let keys = by_turns(entries.iter().filter_map(Key::of).collect(), limit as usize);
        // The index has ids only and lags behind: the rows know the account, and what has been done meanwhile.
        let rows = self.table.batch_get(&keys, Some("#pk, #sk, #account, #state, #due, #lane")).await?;
        let mut due: Vec<Due> = rows.into_iter().filter_map(due_row).filter(|row| row.due <= now).collect();
        due.sort_by_key(|row| row.due.0);
        Ok(due)
    }

    /// Notes that a due message is handed on, so that the next tick leaves it alone until `again`. False: somebody has
    /// taken or changed it meanwhile.
    pub async fn handed_on(&self, due: &Due, again: Timestamp) -> Result<bool, StoreError> {
        let values = vec![
            (":again", number(again.0)),
            (":due", number(due.due.0)),
            (":turn", text(due.due.to_string())),
            (":sending", text(state_name(SendState::Sending))),
        ];
        let update = "SET #due = :again, #turn = if_not_exists(#turn, :turn)";
        let waiting = "#due = :due AND #state <> :sending";
        let key = keys::message(&due.tenant, &due.id);
        Ok(matches!(self.table.update(&key, update, Some(waiting), values).await?, Write::Done(_)))
    }

    /// Makes an account's deferred messages due now, those accepted since then: what they waited for has changed.
    /// Returns how many.
    pub async fn hasten(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let (first, last) = (format!("{account}#{since}"), format!("{account}#~"));
        let query = Query {
            index: Some(keys::BY_OUTBOX),
            condition: "#opk = :list AND #osk BETWEEN :first AND :last",
            values: vec![(":list", text(keys::outbox(tenant))), (":first", text(first)), (":last", text(last))],
            ..Query::default()
        };
        let keys: Vec<Key> = self.table.query_all(query).await?.iter().filter_map(Key::of).collect();
        let rows = self.table.batch_get(&keys, Some("#pk, #sk, #state, #due")).await?;
        let deferred = |row: &&Item| text_of(row, "state") == Some(state_name(SendState::Deferred));
        let mut count = 0;
        for key in rows.iter().filter(deferred).filter_map(Key::of) {
            let values = vec![(":now", number(now.0)), (":deferred", text(state_name(SendState::Deferred)))];
            // Refused where somebody has taken it meanwhile: then it is on its way already.
            let waiting = "#state = :deferred AND #due > :now";
            if let Write::Done(_) =
                self.table.update(&key, "SET #due = :now REMOVE #turn", Some(waiting), values).await?
            {
                count += 1;
            }
        }
        Ok(count)
    }

    /// A page of a tenant's outbox or of one account's, by account, oldest first. Strongly consistent rows behind an
    /// eventually consistent index.
    ///
    /// # Errors
    /// [`StoreError::Cursor`] for a cursor of another list, or an altered one.
    pub async fn list(
        &self,
        tenant: &Tenant,
        account: Option<&AccountId>,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<Page<OutgoingRow>, StoreError> {
        let prefix = account.map_or(String::new(), |account| format!("{account}#"));
        let name = format!("{}/{prefix}", keys::outbox(tenant));
        // Every account begins with a letter, a digit or one of `._@+-`; all of them stand between these two.
        let after = cursor.map_or(Ok(format!("{prefix} ")), |cursor| cursor::open(&name, cursor))?;
        let query = Query {
            index: Some(keys::BY_OUTBOX),
            condition: "#opk = :list AND #osk BETWEEN :after AND :last",
            values: vec![
                (":list", text(keys::outbox(tenant))),
                (":after", text(&after)),
                (":last", text(format!("{prefix}~"))),
            ],
            // One more tells whether there is more; one more may be the cursor's own.
            limit: Some(limit.saturating_add(2)),
            ..Query::default()
        };
        let (mut entries, mut more) = self.table.query(query).await?;
        entries.retain(|entry| text_of(entry, "osk") != Some(after.as_str()));
        more |= entries.len() > limit as usize;
        entries.truncate(limit as usize);
        let last = entries.last().and_then(|entry| text_of(entry, "osk")).filter(|_| more);
        let next_cursor = last.map(|place| cursor::seal(&name, place));
        let keys: Vec<Key> = entries.iter().filter_map(Key::of).collect();
        let mut found: HashMap<String, OutgoingRow> = HashMap::new();
        for item in self.table.batch_get(&keys, None).await? {
            let pk = text_of(&item, "pk").unwrap_or_default().to_owned();
            found.insert(pk, row(item)?);
        }
        outgoing::complete(&self.table, tenant, found.values_mut()).await?;
        // What came to its end a moment ago may still stand in the index.
        let rows = keys.iter().filter_map(|key| found.remove(key.pk())).filter(OutgoingRow::is_listed).collect();
        Ok(Page { items: rows, next_cursor })
    }
}

impl OutgoingRow {
    /// Whether nobody has begun to hand it over: it waits, or a claim that handed nothing over has run over.
    pub fn can_be_changed(&self, now: Timestamp) -> bool {
        let over = self.state == SendState::Sending
            && self.phase == Commit::None
            && self.due.is_some_and(|until| until <= now);
        over || matches!(self.state, SendState::Queued | SendState::Deferred)
    }

    /// What whoever is handed it on has to show to take it.
    pub fn handed(&self) -> Option<Timestamp> {
        self.due.filter(|_| self.turn.is_some())
    }
}

impl Turn {
    /// The turn of a message that is handed on now, for its time.
    pub fn handed(at: Timestamp, queued_seconds: u32) -> Self {
        Self::Handed { at, again: at.plus_seconds(queued_seconds.into()) }
    }
}

/// Chooses keys so that each tenant gets its share, in the order given.
fn by_turns(keys: Vec<Key>, limit: usize) -> Vec<Key> {
    let mut queues: BTreeMap<String, VecDeque<Key>> = BTreeMap::new();
    for key in keys {
        let tenant = keys::message_of(key.pk()).map_or(String::new(), |(tenant, _)| tenant.to_string());
        queues.entry(tenant).or_default().push_back(key);
    }
    let mut chosen = Vec::new();
    while chosen.len() < limit && !queues.is_empty() {
        queues.retain(|_, queue| {
            chosen.extend(queue.pop_front());
            !queue.is_empty()
        });
    }
    chosen.truncate(limit);
    chosen
}

fn canceled(recipients: &[Recipient]) -> Vec<Recipient> {
    let mut recipients = recipients.to_vec();
    for recipient in &mut recipients {
        if matches!(recipient.state, RecipientState::Queued | RecipientState::Deferred) {
            recipient.state = RecipientState::Canceled;
        }
    }
    recipients
}

/// Some may have it already: then the message as a whole was not taken back.
fn canceled_state(recipients: &[Recipient]) -> SendState {
    let any = |state| recipients.iter().any(|recipient| recipient.state == state);
    if any(RecipientState::Unknown) {
        SendState::Unknown
    } else if any(RecipientState::Sent) {
        SendState::Partial
    } else {
        SendState::Canceled
    }
}

fn due_row(item: Item) -> Option<Due> {
    let (tenant, id) = keys::message_of(text_of(&item, "pk")?)?;
    let due = Timestamp(number_of(&item, "due")?);
    let account = AccountId::new(text_of(&item, "account")?).ok()?;
    let state = serde_json::from_value(text_of(&item, "state")?.into()).ok()?;
    let lane = text_of(&item, "lane").and_then(|lane| serde_json::from_value(lane.into()).ok()).unwrap_or_default();
    Some(Due { tenant, account, id, state, lane, due })
}
