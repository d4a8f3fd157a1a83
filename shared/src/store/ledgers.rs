//! Ledgers: what has been pulled from one folder.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use serde::{Deserialize, Serialize};

use super::{
    Mailbox, StoreError,
    keys::{self, Key, SourceId},
    messages::Known,
    random,
    table::{Query, Table, Write, glance, item, number, number_of, primary, row, text, text_of},
};
use crate::model::uids::UidSet;
use crate::model::{AccountId, MessageId, Tenant, Timestamp};

/// How far pulling one source has come. Written only when there is news.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// Which folder of which server and user.
    pub source: SourceId,
    /// The folder's name, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub folder: String,
    /// How often it was written: 0 is a ledger that is not stored yet. Set by [`Ledgers::save`].
    pub version: u64,
    /// Number of the last completed run.
    pub run: u64,
    /// Where it stands.
    pub position: Position,
    /// The window that is being worked on; one that is found here was not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// POP3: what the only message of the window is called; its place in the list is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<String>,
    /// POP3: the list of this server has not told messages apart, or told wrong sizes: then their content decides.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_content: bool,
    /// POP3: messages without a name of their own that are being deleted at the server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deleting: Vec<MessageId>,
    /// POP3: what may have been deleted at the server by us.
    #[serde(default)]
    pub deleted: Deleted,
    /// The folder's UIDs changed their meaning, and what is stored is being found again in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// When mail came last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_arrival: Option<Timestamp>,
    /// The run up to which stored mail has been deleted at the server, where that is wished.
    #[serde(default)]
    pub swept_run: u64,
    /// When deleting was done last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swept_at: Option<Timestamp>,
    /// Where the server does not tell what has changed (RFC 7162): when the flags of what is stored were compared last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_at: Option<Timestamp>,
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
        /// UNSEEN at the last completed run: where there is no CONDSTORE, another one means changed flags.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unseen: Option<u32>,
        /// HIGHESTMODSEQ (RFC 7162 §3.1.2.1) up to which changes of stored messages were followed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        modseq: Option<u64>,
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

/// What may have been deleted at the server by us: noted before it is, and never taken back. A server may give the name
/// of a deleted message to the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Deleted {
    /// All that runs up to this one had stored.
    pub all: u64,
    /// What was acknowledged or old enough of what runs up to this one had stored.
    pub picked: u64,
    /// What was stored by then was old enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aged: Option<Timestamp>,
}

impl Deleted {
    /// Whether this stored message may be one of them.
    pub fn may_include(&self, row: &Known) -> bool {
        let picked = row.acknowledged || self.aged.is_some_and(|aged| row.stored_at <= aged);
        row.run <= self.all || (row.run <= self.picked && picked)
    }
}

impl Position {
    /// Back to the beginning; no later look takes the folder for quiet.
    pub fn rewind(&mut self) {
        match self {
            Self::New => {}
            Self::Imap { uidnext, messages, last, .. } => (*uidnext, *messages, *last) = (0, 0, 0),
            Self::Pop3 { count, octets, prefix, prefix_hash } => {
                (*count, *octets, *prefix) = (0, 0, 0);
                prefix_hash.clear();
            }
        }
    }
}

/// A change of UIDVALIDITY (RFC 3501 §2.3.1.1) on its way: noted when it is seen, gone with the run that has gone through
/// the whole folder again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Epoch {
    /// UIDVALIDITY before.
    pub from: u32,
    /// When the change was seen.
    pub since: Timestamp,
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

impl Window {
    /// Whether this place lies in it.
    pub fn holds(&self, place: u32) -> bool {
        (self.first..=self.last).contains(&place)
    }

    /// What lies behind this place; none: all of it lies before.
    pub fn behind(&self, place: u32) -> Option<Self> {
        (place < self.last).then(|| Self { first: self.first.max(place + 1), ..*self })
    }
}

impl Ledger {
    /// The ledger of a source that was never pulled.
    pub fn new(source: SourceId) -> Self {
        Self {
            source,
            folder: String::new(),
            version: 0,
            run: 0,
            position: Position::New,
            window: None,
            under_way: None,
            by_content: false,
            deleting: Vec::new(),
            deleted: Deleted::default(),
            epoch: None,
            last_arrival: None,
            swept_run: 0,
            swept_at: None,
            compared_at: None,
        }
    }
}

/// What is noted of a folder whose server does not tell what has changed in it (RFC 7162).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// The UIDs that are there.
    pub uids: UidSet,
    /// Which of them a search finds (RFC 3501 §6.4.4), by its words.
    pub found: BTreeMap<String, UidSet>,
    /// From this UID on these are all.
    pub from: u32,
}

/// Most bytes of what one search finds: some 2,000 runs of neighbours.
const FOUND_BYTES: usize = 4 << 10;

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
        let item = self.table.get(&keys::ledger(tenant, account, source)).await?;
        item.map_or_else(|| Ok(Ledger::new(source.clone())), row)
    }

    /// The ledgers of these sources as they were a moment ago; none were stored of those that are left out. What is
    /// saved over one that was older by then loses ([`Ledgers::save`]).
    pub async fn glance(
        &self,
        sources: &[(Mailbox, SourceId)],
    ) -> Result<HashMap<(Mailbox, SourceId), Ledger>, StoreError> {
        let key = |at: &(Mailbox, SourceId)| keys::ledger(&at.0.tenant, &at.0.account, &at.1);
        glance(&self.table, sources.iter().map(|at| (key(at), at))).await
    }

    /// Writes a ledger over the version that was read, and counts its version up.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: another puller wrote it meanwhile; stop.
    pub async fn save(&self, tenant: &Tenant, account: &AccountId, ledger: &mut Ledger) -> Result<(), StoreError> {
        let (read, writer) = (ledger.version, random::hex(8));
        let next = Ledger { version: read + 1, ..ledger.clone() };
        let mut item = item(&keys::ledger(tenant, account, &ledger.source), &next)?;
        item.insert("writer".to_owned(), text(&writer));
        let written = match read {
            0 => self.table.put(item, Some("attribute_not_exists(#pk)"), Vec::new()).await?,
            read => self.table.put(item, Some("#version = :read"), vec![(":read", number(read))]).await?,
        };
        match written {
            Write::Done(_) => {}
            // The answer got lost and the SDK asked again: it is our own writing that is there.
            Write::Refused(Some(old)) if text_of(&old, "writer") == Some(&writer) => {}
            Write::Refused(_) => return Err(StoreError::Conflict { what: "the ledger" }),
        }
        *ledger = next;
        Ok(())
    }

    /// Has every folder of a mailbox gone through again from its beginning: what is stored is known, and what is missing
    /// is fetched. What may be deleted at the server stays what it was.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: a pull is writing right now.
    pub async fn rewind(&self, tenant: &Tenant, account: &AccountId) -> Result<(), StoreError> {
        let values = vec![(":pk", text(keys::mailbox(tenant, account))), (":ledgers", text(keys::LEDGERS))];
        let query = Query { condition: "#pk = :pk AND begins_with(#sk, :ledgers)", values, ..Query::default() };
        for item in self.table.query_all(query).await? {
            let mut ledger: Ledger = row(item)?;
            ledger.position.rewind();
            self.save(tenant, account, &mut ledger).await?;
        }
        Ok(())
    }

    /// What was in a folder after the last completed run; none where that was not noted.
    pub async fn noted(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        source: &SourceId,
    ) -> Result<Option<Noted>, StoreError> {
        let item = self.table.get(&keys::uids(tenant, account, source)).await?;
        Ok(item.and_then(|item| {
            let found = item.get("found").and_then(|found| found.as_m().ok()).into_iter().flatten();
            let found = found.filter_map(|(words, uids)| Some((words.clone(), uid_set(uids)?))).collect();
            Some(Noted { uids: uid_set(item.get("uids")?)?, found, from: number_of(&item, "from").unwrap_or_default() })
        }))
    }

    /// Notes what is in a folder. It is no ledger: lost or old, it only costs a look at what is not changed.
    pub async fn note(
        &self,
        tenant: &Tenant,
        account: &AccountId,
        source: &SourceId,
        noted: &Noted,
    ) -> Result<(), StoreError> {
        let bytes = |bytes: Vec<u8>| AttributeValue::B(Blob::new(bytes));
        let mut item = primary(&keys::uids(tenant, account, source));
        item.insert("uids".to_owned(), bytes(noted.uids.to_bytes()));
        if !noted.found.is_empty() {
            let kept = noted.found.iter().map(|(words, uids)| (words.clone(), uids.kept(FOUND_BYTES)));
            let kept: Vec<_> = kept.collect();
            let from = kept.iter().map(|(_, (_, from))| *from).max().unwrap_or_default();
            item.insert("from".to_owned(), number(from));
            let found = kept.into_iter().map(|(words, (uids, _))| (words, bytes(uids))).collect();
            item.insert("found".to_owned(), AttributeValue::M(found));
        }
        self.table.put(item, None, Vec::new()).await?;
        Ok(())
    }

    /// Forgets all ledgers of a mailbox, and what else lies with them: lease, earlier versions, draft.
    pub async fn delete(&self, tenant: &Tenant, account: &AccountId) -> Result<(), StoreError> {
        let values = vec![(":pk", text(keys::mailbox(tenant, account)))];
        let query = Query { condition: "#pk = :pk", values, projection: Some("#pk, #sk"), ..Query::default() };
        for item in self.table.query_all(query).await? {
            if let Some(key) = Key::of(&item) {
                self.table.delete(&key, None, Vec::new()).await?;
            }
        }
        Ok(())
    }
}

fn uid_set(bytes: &AttributeValue) -> Option<UidSet> {
    UidSet::from_bytes(bytes.as_b().ok()?.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_window_what_lies_behind_a_place_is_left() {
        let window = Window { first: 3, last: 5, tries: 1 };
        assert!(!window.holds(2) && window.holds(3) && window.holds(5) && !window.holds(6));
        assert_eq!(window.behind(0), Some(window));
        assert_eq!(window.behind(4), Some(Window { first: 5, ..window }));
        assert_eq!(window.behind(5), None);
    }
}
