//! Which stored message a fetched one is, where its list does not tell: a UIDL that stands there twice or stood for
//! something else before, a size that is wrong, or no UIDL at all (RFC 1939 §7 makes it optional). Then the content
//! decides, and the ordinal among equal contents: what is listed, less what is stored and not deleted by us, is new.

use std::collections::{HashMap, HashSet, VecDeque};

use super::maildrop::Listed;
use super::{PullError, Run};
use crate::model::MessageId;
use crate::store::keys::incoming_id;
use crate::store::{Known, MessageKey, SourceId};

/// Ordinals that are looked up at a time: equal contents are rare.
const ORDINALS: u32 = 2;

/// What a fetched message is.
pub(super) enum Found {
    /// Stored before, under this id.
    Stored(MessageId, Known),
    /// New, and to be stored under this key.
    New(MessageKey),
}

/// What is known in one run about messages that are told apart by their content.
#[derive(Default)]
pub(super) struct Identities {
    groups: Groups,
    /// Rows that a listed message was found to be: each is one message.
    pub(super) taken: HashSet<MessageId>,
}

/// By UIDL and SHA-256.
type Groups = HashMap<(Option<String>, String), Group>;

/// Messages of one content.
#[derive(Default)]
struct Group {
    /// Stored, not deleted by us, and not matched in this run.
    stored: VecDeque<(MessageId, Known)>,
    /// The first ordinal that was never used.
    next: u32,
}

impl Identities {
    /// Finds out what a message of this content and this real size is.
    pub(super) async fn find(
        &mut self,
        run: &Run<'_>,
        source: &SourceId,
        listed: &Listed,
        sha256: &str,
        size: u64,
    ) -> Result<Found, PullError> {
        let mut occupied = false;
        for key in keys_by_list(listed, size) {
            let id = id(run, source, &key);
            let known = run.tools.store.messages.known(run.tenant, std::slice::from_ref(&id)).await?;
            let Some(known) = known.get(&id).filter(|_| !self.taken.contains(&id)) else { continue };
            occupied |= Some(&key) == listed.key().as_ref();
            if run.tools.store.messages.sha256(run.tenant, &id).await?.as_deref() == Some(sha256) {
                self.taken.insert(id.clone());
                return Ok(Found::Stored(id, *known));
            }
        }
        // Also as one that had no UIDL: a server may have learned to give them.
        let nameless = Listed { uidl: None, ..listed.clone() };
        for listed in [listed, &nameless] {
            let group = group(&mut self.groups, run, source, listed, sha256).await?;
            while let Some((id, known)) = group.stored.pop_front() {
                if self.taken.insert(id.clone()) {
                    return Ok(Found::Stored(id, known));
                }
            }
        }
        // Only a size that is right, and a UIDL that stood for nothing else, may be trusted again.
        if let Some(key) = listed.key().filter(|_| !occupied && listed.octets == size) {
            return Ok(Found::New(key));
        }
        let group = group(&mut self.groups, run, source, listed, sha256).await?;
        group.next += 1;
        Ok(Found::New(listed.by_content(sha256, group.next - 1)))
    }
}

/// Under which keys the list, or an honest list, would have it.
fn keys_by_list(listed: &Listed, size: u64) -> Vec<MessageKey> {
    let Some(uidl) = &listed.uidl else { return Vec::new() };
    let mut sizes = vec![listed.octets, size];
    sizes.dedup();
    sizes.into_iter().map(|octets| MessageKey::Pop3 { uidl: uidl.clone(), octets }).collect()
}

/// What is known of the messages of one content.
async fn group<'g>(
    groups: &'g mut Groups,
    run: &Run<'_>,
    source: &SourceId,
    listed: &Listed,
    sha256: &str,
) -> Result<&'g mut Group, PullError> {
    let name = (listed.uidl.clone(), sha256.to_owned());
    if !groups.contains_key(&name) {
        let group = load(run, source, listed, sha256).await?;
        groups.insert(name.clone(), group);
    }
    Ok(groups.entry(name).or_default())
}

/// The stored messages of one content; their ordinals have no gaps.
async fn load(run: &Run<'_>, source: &SourceId, listed: &Listed, sha256: &str) -> Result<Group, PullError> {
    let mut group = Group::default();
    loop {
        let ordinals = group.next..group.next + ORDINALS;
        let ids: Vec<_> = ordinals.map(|ordinal| id(run, source, &listed.by_content(sha256, ordinal))).collect();
        let known = run.tools.store.messages.known(run.tenant, &ids).await?;
        for id in ids {
            let Some(row) = known.get(&id) else { return Ok(group) };
            group.next += 1;
            if !row.gone {
                group.stored.push_back((id, *row));
            }
        }
    }
}

fn id(run: &Run<'_>, source: &SourceId, key: &MessageKey) -> MessageId {
    incoming_id(run.tenant, &run.row.account.account, source, key)
}
