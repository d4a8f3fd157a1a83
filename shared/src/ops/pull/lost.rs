//! Stored messages whose place at the server is gone: renumbered with their folder (UIDVALIDITY, RFC 3501 §2.3.1.1),
//! moved to another folder that is pulled, or deleted.
//!
//! Content tells which: a message that comes up elsewhere in the same run with the same bytes is the same message,
//! and of several with the same bytes each stands for one. Its row stays, and stands there from now on. What is still
//! missing when all folders have been gone through was deleted at the server.
//!
//! One thing cannot be told: what this account deletes itself after storing it (decision 12) is missing by design.

use std::collections::{HashMap, VecDeque};
use std::future::Future;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::keep::{Arrival, Content, Keeper};
use super::{PullError, Run};
use crate::mail::parse;
use crate::model::{Message, MessageId, Timestamp};
use crate::ops::search;
use crate::store::{NewPlace, Placed, Standing, StoreError};

/// Rows that are written at a time.
const WRITES: usize = 8;

/// What two messages have in common that are the same: half of the SHA-256 of their source; of one that was left on the
/// server, its size and Message-ID.
pub(super) type Likeness = u128;

/// A stored message whose place is gone.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    standing: Standing,
    flags: Vec<String>,
    /// Which folder of this run it stood in.
    from: usize,
    /// It may be missing because this account deletes at its server.
    by_design: bool,
}

/// All of them, by what they look like, oldest first.
#[derive(Debug, Default)]
pub(super) struct Lost {
    by_likeness: HashMap<Likeness, VecDeque<Missing>>,
    /// Those that look like nothing: they can only be gone.
    others: Vec<Missing>,
}

/// A message that was found again.
#[derive(Clone, Debug)]
pub(super) struct Found {
    missing: Missing,
    to: NewPlace,
    flags: Vec<String>,
}

impl Lost {
    /// Adds a message.
    pub(super) fn add(&mut self, likeness: Option<Likeness>, missing: Missing) {
        match likeness {
            Some(likeness) => self.by_likeness.entry(likeness).or_default().push_back(missing),
            None => self.others.push(missing),
        }
    }

    fn is_empty(&self) -> bool {
        self.by_likeness.is_empty()
    }

    /// Whether any of them stood in this folder.
    pub(super) fn any_from(&self, folder: usize) -> bool {
        self.by_likeness.values().flatten().chain(&self.others).any(|missing| missing.from == folder)
    }

    fn take(&mut self, likeness: Likeness) -> Option<Missing> {
        let missing = self.by_likeness.get_mut(&likeness)?;
        let first = missing.pop_front();
        if missing.is_empty() {
            self.by_likeness.remove(&likeness);
        }
        first
    }
}

impl Missing {
    /// A stored message that stood in this folder of the run.
    pub(super) fn of(placed: Placed, from: usize, by_design: bool) -> Self {
        Self { standing: placed.standing, flags: placed.message.flags, from, by_design }
    }
}

/// Where fetched messages go: those that were missing to their new places, the others into the store.
pub(super) struct Intake<'a> {
    pub(super) keeper: Keeper,
    lost: &'a mut Lost,
    /// UIDs and messages that were found again.
    pub(super) found: Vec<(u32, Found)>,
}

impl<'a> Intake<'a> {
    pub(super) fn new(keeper: Keeper, lost: &'a mut Lost) -> Self {
        Self { keeper, lost, found: Vec::new() }
    }

    pub(super) async fn take(&mut self, uid: u32, arrival: Arrival) {
        let likeness = if self.lost.is_empty() { None } else { likeness(&arrival) };
        match likeness.and_then(|likeness| self.lost.take(likeness)) {
            Some(missing) => {
                let Arrival { id: place, key, folder, run, flags, .. } = arrival;
                self.found.push((uid, Found { missing, to: NewPlace { place, key, folder, run }, flags }));
            }
            None => self.keeper.keep(uid, arrival).await,
        }
    }
}

fn likeness(arrival: &Arrival) -> Option<Likeness> {
    match &arrival.content {
        Content::Whole(source) | Content::Unread(source) => half(&hex::encode(source.sha256())),
        Content::TooLarge(head) | Content::Stalled(head) => left(arrival.size, &parse::parse(head).message_id?),
        Content::Withheld | Content::Failed(_) => None,
    }
}

/// What a stored message looks like.
pub(super) fn likeness_of(message: &Message) -> Option<Likeness> {
    match &message.sha256 {
        Some(sha256) => half(sha256),
        None => left(message.size, message.message_id.as_deref()?),
    }
}

fn half(digits: &str) -> Option<Likeness> {
    u128::from_str_radix(digits.get(..32)?, 16).ok()
}

fn left(size: u64, message_id: &str) -> Option<Likeness> {
    half(MessageId::derived(&["left", &size.to_string(), message_id]).as_str())
}

/// Lets the messages that were found again stand where they are now.
pub(super) async fn place(run: &Run<'_>, found: Vec<Found>) -> Result<bool, PullError> {
    let moves = found.into_iter().map(|found| {
        let (store, tenant) = (run.tools.store.clone(), run.tenant.clone());
        async move {
            let Found { missing, to, flags } = found;
            let moved = store.messages.move_to(&tenant, &missing.standing, &to).await?;
            if moved {
                search::refile(&store, &tenant, &missing.standing.id).await?;
            }
            if moved && !same_flags(&missing.flags, &flags) {
                store.messages.set_flags(&tenant, &missing.standing.id, &flags).await?;
            }
            Ok(moved)
        }
    });
    several(moves.collect()).await
}

/// All folders have been gone through: what is missing still was deleted at the server.
pub(super) async fn settle(run: &mut Run<'_>) -> Result<(), PullError> {
    let (lost, now) = (std::mem::take(&mut run.lost), Timestamp::now());
    let missing = lost.by_likeness.into_values().flatten().chain(lost.others).filter(|missing| !missing.by_design);
    let marks = missing.map(|missing| {
        let (messages, tenant) = (run.tools.store.messages.clone(), run.tenant.clone());
        async move { messages.mark_deleted(&tenant, &missing.standing, now).await }
    });
    run.changed |= several(marks.collect()).await?;
    Ok(())
}

/// Writes changed flags to their rows.
pub(super) async fn flag(run: &mut Run<'_>, changed: Vec<(MessageId, Vec<String>)>) -> Result<(), PullError> {
    let writes = changed.into_iter().map(|(id, flags)| {
        let (messages, tenant) = (run.tools.store.messages.clone(), run.tenant.clone());
        async move { messages.set_flags(&tenant, &id, &flags).await }
    });
    run.changed |= several(writes.collect()).await?;
    Ok(())
}

/// Writes several rows at a time; whether any of them changed.
async fn several(writes: Vec<impl Future<Output = Result<bool, StoreError>>>) -> Result<bool, PullError> {
    let changed: Vec<bool> = stream::iter(writes).buffer_unordered(WRITES).try_collect().await?;
    Ok(changed.contains(&true))
}

/// Whether two lists have the same flags.
pub(super) fn same_flags(one: &[String], other: &[String]) -> bool {
    let sorted = |flags: &[String]| {
        let mut flags: Vec<String> = flags.iter().map(|flag| flag.to_lowercase()).collect();
        flags.sort_unstable();
        flags.dedup();
        flags
    };
    sorted(one) == sorted(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(id: &str, from: usize) -> Missing {
        let id = MessageId::derived(&[id]);
        let standing = Standing {
            place: id.clone(),
            id,
            key: "I#1#1".into(),
            run: 1,
            stored_at: Timestamp(0),
            acknowledged: false,
        };
        Missing { standing, flags: vec![], from, by_design: false }
    }

    #[test]
    fn twins_are_found_one_by_one_and_in_order() {
        let mut lost = Lost::default();
        for (id, likeness) in [("a", 1), ("b", 2), ("c", 1)] {
            lost.add(Some(likeness), missing(id, usize::from(id == "b")));
        }
        let next = |lost: &mut Lost, likeness| lost.take(likeness).map(|missing| missing.standing.id);
        assert!(lost.any_from(0) && lost.any_from(1) && !lost.any_from(2));
        assert_eq!(next(&mut lost, 1), Some(MessageId::derived(&["a"])));
        assert_eq!(next(&mut lost, 1), Some(MessageId::derived(&["c"])));
        assert_eq!(next(&mut lost, 1), None, "a third one is new");
        assert!(!lost.any_from(0) && !lost.is_empty());
    }

    #[test]
    fn flags_are_a_set_without_case() {
        let flags = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>();
        assert!(same_flags(&flags(&["\\Seen", "x"]), &flags(&["X", "\\seen"])));
        assert!(!same_flags(&flags(&["\\Seen"]), &[]));
    }
}
