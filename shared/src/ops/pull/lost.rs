//! Stored messages whose place at the server is gone: renumbered with their folder (UIDVALIDITY, RFC 3501 §2.3.1.1),
//! moved to another folder that is pulled, or deleted.
//!
//! The server's own name of a message tells which (EMAILID, RFC 8474), and where it has none, the content: a message
//! that comes up elsewhere with the same bytes is the same message, and of several with the same bytes each stands for
//! one. Its row stays, and stands there from now on. What is still missing when all folders have been gone through, and
//! has not come to any of them meanwhile, was deleted at the server. Whether what comes was here before, though it is not
//! missing in this run, [`super::recall`] finds out.
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

/// Rows that are read or written at a time.
pub(super) const ROWS_AT_A_TIME: usize = 8;

/// What two messages have in common that are the same: half of the SHA-256 of their source; of one that was left on the
/// server, its size and Message-ID; or the server's name of it.
type Likeness = u128;

/// A stored message whose place is gone.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    standing: Standing,
    flags: Vec<String>,
    /// By its content, and by the server's name of it.
    alike: [Option<Likeness>; 2],
    /// Which folder of this run misses it.
    from: Option<usize>,
    /// Though its place is gone, nobody may say that others have deleted it.
    by_design: bool,
}

/// All of them, by what they look like, oldest first.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// None: found again.
    missing: Vec<Option<Missing>>,
    by_likeness: HashMap<Likeness, VecDeque<usize>>,
    /// Nobody is missing twice.
    by_id: HashMap<MessageId, usize>,
}

/// A message that was found again.
#[derive(Clone, Debug)]
pub(super) struct Found {
    missing: Missing,
    to: NewPlace,
    flags: Vec<String>,
}

impl Lost {
    /// Adds a message. One that is missing already is by what is known of it now.
    pub(super) fn add(&mut self, missing: Missing) {
        if let Some(at) = self.by_id.get(&missing.standing.id) {
            if let Some(known) = &mut self.missing[*at] {
                known.from = known.from.or(missing.from);
                known.by_design &= missing.by_design;
            }
            return;
        }
        let at = self.missing.len();
        for likeness in missing.alike.into_iter().flatten() {
            self.by_likeness.entry(likeness).or_default().push_back(at);
        }
        self.by_id.insert(missing.standing.id.clone(), at);
        self.missing.push(Some(missing));
    }

    /// Whether this message is missing, or was and has been found again.
    pub(super) fn has(&self, id: &MessageId) -> bool {
        self.by_id.contains_key(id)
    }

    /// Whether any of them would count as deleted.
    pub(super) fn is_any_left(&self) -> bool {
        self.missing.iter().flatten().any(|missing| !missing.by_design)
    }

    /// Whether any of them is missing in this folder.
    pub(super) fn any_from(&self, folder: usize) -> bool {
        self.missing.iter().flatten().any(|missing| missing.from == Some(folder))
    }

    fn take(&mut self, likeness: Likeness) -> Option<Missing> {
        let alike = self.by_likeness.get_mut(&likeness)?;
        // Found by its name, it stands in line by its content still, and the other way round.
        let first = std::iter::from_fn(|| alike.pop_front()).find_map(|at| self.missing[at].take());
        if alike.is_empty() {
            self.by_likeness.remove(&likeness);
        }
        first
    }
}

impl Missing {
    /// A stored message that is missing in this folder of the run, or in none that is gone through.
    pub(super) fn of(placed: Placed, from: Option<usize>, by_design: bool) -> Self {
        let message = placed.message;
        let alike = [likeness_of(&message), message.email_id.as_deref().and_then(named)];
        Self { standing: placed.standing, flags: message.flags, alike, from, by_design }
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

    /// Whether a listed message is one that was missing, by the server's name of it: its bytes need not come.
    pub(super) fn recognises(&mut self, uid: u32, listed: Arrival) -> bool {
        let missing = listed.email_id.as_deref().and_then(named).and_then(|likeness| self.lost.take(likeness));
        missing.map(|missing| self.find(uid, missing, listed)).is_some()
    }

    /// Takes a message that was fetched.
    pub(super) async fn take(&mut self, uid: u32, arrival: Arrival) {
        let likeness = if self.lost.by_likeness.is_empty() { None } else { likeness(&arrival) };
        match likeness.and_then(|likeness| self.lost.take(likeness)) {
            Some(missing) => self.find(uid, missing, arrival),
            None => self.keeper.keep(uid, arrival).await,
        }
    }

    fn find(&mut self, uid: u32, missing: Missing, arrival: Arrival) {
        let Arrival { id: place, key, folder, run, flags, .. } = arrival;
        self.found.push((uid, Found { missing, to: NewPlace { place, key, folder, run }, flags }));
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
fn likeness_of(message: &Message) -> Option<Likeness> {
    match &message.sha256 {
        Some(sha256) => half(sha256),
        None => left(message.size, message.message_id.as_deref()?),
    }
}

/// By the server's name of it, which is the same in every folder (RFC 8474 §5.1).
fn named(email_id: &str) -> Option<Likeness> {
    half(MessageId::derived(&["emailid", email_id]).as_str())
}

fn half(digits: &str) -> Option<Likeness> {
    u128::from_str_radix(digits.get(..32)?, 16).ok()
}

fn left(size: u64, message_id: &str) -> Option<Likeness> {
    half(MessageId::derived(&["left", &size.to_string(), message_id]).as_str())
}

/// Lets the messages that were found again stand where they are now, and tells under which UIDs they do. One whose row
/// is gone, or was moved elsewhere meanwhile, is none of them: what has come in its place has yet to be stored.
pub(super) async fn place(run: &Run<'_>, found: Vec<(u32, Found)>) -> Result<Vec<u32>, PullError> {
    let moves = found.into_iter().map(|(uid, found)| {
        let (store, tenant) = (run.tools.store.clone(), run.tenant.clone());
        // A server that has renumbered a folder has left all of it there: for the index nothing has changed.
        let from = found.missing.from.and_then(|at| run.folders.get(at));
        let elsewhere = from.is_none_or(|from| from.folder != found.to.folder);
        async move {
            let Found { missing, to, flags } = found;
            let moved = store.messages.move_to(&tenant, &missing.standing, &to).await?;
            if moved && elsewhere {
                search::renew(&store, &tenant, &missing.standing.id).await?;
            }
            if moved && !same_flags(&missing.flags, &flags) {
                store.messages.set_flags(&tenant, &missing.standing.id, &flags).await?;
            }
            Ok(moved.then_some(uid))
        }
    });
    Ok(several(moves.collect()).await?.into_iter().flatten().collect())
}

/// All folders have been gone through: what is missing still was deleted at the server.
pub(super) async fn settle(run: &mut Run<'_>) -> Result<(), PullError> {
    let (lost, now) = (std::mem::take(&mut run.lost), Timestamp::now());
    let missing = lost.missing.into_iter().flatten().filter(|missing| !missing.by_design);
    let marks = missing.map(|missing| {
        let (store, tenant) = (run.tools.store.clone(), run.tenant.clone());
        async move {
            let marked = store.messages.mark_deleted(&tenant, &missing.standing, now).await?;
            if marked {
                search::renew(&store, &tenant, &missing.standing.id).await?;
            }
            Ok(marked)
        }
    });
    run.changed |= several(marks.collect()).await?.contains(&true);
    Ok(())
}

/// Writes changed flags to their rows.
pub(super) async fn flag(run: &mut Run<'_>, changed: Vec<(MessageId, Vec<String>)>) -> Result<(), PullError> {
    let writes = changed.into_iter().map(|(id, flags)| {
        let (messages, tenant) = (run.tools.store.messages.clone(), run.tenant.clone());
        async move { messages.set_flags(&tenant, &id, &flags).await }
    });
    run.changed |= several(writes.collect()).await?.contains(&true);
    Ok(())
}

/// Writes several rows at a time.
async fn several<T>(writes: Vec<impl Future<Output = Result<T, StoreError>>>) -> Result<Vec<T>, PullError> {
    Ok(stream::iter(writes).buffer_unordered(ROWS_AT_A_TIME).try_collect().await?)
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

    fn missing(id: &str, from: usize, alike: [Option<Likeness>; 2]) -> Missing {
        let id = MessageId::derived(&[id]);
        let standing = Standing {
            place: id.clone(),
            id,
            key: "I#1#1".into(),
            run: 1,
            stored_at: Timestamp(0),
            acknowledged: false,
        };
        Missing { standing, flags: vec![], alike, from: Some(from), by_design: false }
    }

    fn next(lost: &mut Lost, likeness: Likeness) -> Option<MessageId> {
        lost.take(likeness).map(|missing| missing.standing.id)
    }

    #[test]
    fn twins_are_found_one_by_one_and_in_order() {
        let mut lost = Lost::default();
        for (id, likeness) in [("a", 1), ("b", 2), ("c", 1)] {
            lost.add(missing(id, usize::from(id == "b"), [Some(likeness), None]));
        }
        assert!(lost.any_from(0) && lost.any_from(1) && !lost.any_from(2));
        assert_eq!(next(&mut lost, 1), Some(MessageId::derived(&["a"])));
        assert_eq!(next(&mut lost, 1), Some(MessageId::derived(&["c"])));
        assert_eq!(next(&mut lost, 1), None, "a third one is new");
        assert!(!lost.any_from(0) && lost.any_from(1) && lost.is_any_left());
    }

    #[test]
    fn what_is_found_by_its_name_is_not_found_again_by_its_content() {
        let mut lost = Lost::default();
        lost.add(missing("a", 0, [Some(1), Some(8)]));
        lost.add(missing("b", 0, [Some(1), Some(9)]));
        assert_eq!(next(&mut lost, 9), Some(MessageId::derived(&["b"])), "of twins the one that is named");
        assert_eq!(next(&mut lost, 1), Some(MessageId::derived(&["a"])));
        assert_eq!((next(&mut lost, 1), next(&mut lost, 8)), (None, None));
        assert!(lost.has(&MessageId::derived(&["a"])) && !lost.is_any_left());
    }

    #[test]
    fn nobody_is_missing_twice_and_who_is_missed_counts() {
        let mut lost = Lost::default();
        lost.add(Missing { from: None, by_design: true, ..missing("a", 0, [Some(1), None]) });
        assert!(!lost.is_any_left() && !lost.any_from(3));
        lost.add(missing("a", 3, [Some(1), None]));
        assert!(lost.is_any_left() && lost.any_from(3));
        assert!(next(&mut lost, 1).is_some() && next(&mut lost, 1).is_none());
        lost.add(missing("a", 3, [Some(1), None]));
        assert!(!lost.is_any_left(), "it was found");
    }

    #[test]
    fn flags_are_a_set_without_case() {
        let flags = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>();
        assert!(same_flags(&flags(&["\\Seen", "x"]), &flags(&["X", "\\seen"])));
        assert!(!same_flags(&flags(&["\\Seen"]), &[]));
    }
}
