//! What a POP3 server lists, and what the list tells about messages.

use std::collections::HashSet;

use ring::digest::{Context, SHA256};

use super::PullError;
use super::spool::sha256;
use crate::mail::BoxedStream;
use crate::mail::pop3::Client;
use crate::store::MessageKey;

/// A message as it is listed.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) number: u32,
    pub(super) octets: u64,
    /// Its UIDL, where the server has one.
    pub(super) uidl: Option<String>,
    /// Whether that UIDL stands in the list once.
    pub(super) unique: bool,
}

impl Listed {
    /// Its key, as far as the list tells it.
    pub(super) fn key(&self) -> Option<MessageKey> {
        let uidl = self.uidl.clone().filter(|_| self.unique)?;
        Some(MessageKey::Pop3 { uidl, octets: self.octets })
    }

    /// Its key where the content tells it.
    pub(super) fn by_content(&self, sha256: &str, ordinal: u32) -> MessageKey {
        let sha256 = sha256.to_owned();
        match &self.uidl {
            Some(uidl) => MessageKey::Repeated { uidl: uidl.clone(), sha256, ordinal },
            None => MessageKey::Content { sha256, ordinal },
        }
    }

    /// What it is called while it is under way: its number moves with every deletion before it.
    pub(super) fn name(&self) -> String {
        let name = self.key().map_or_else(|| format!("{:?} {}", self.uidl, self.octets), |key| key.to_string());
        hex::encode(&sha256(name.as_bytes())[..8])
    }
}

/// LIST and UIDL together, in the order of LIST. Ids that are nothing but the messages' numbers are none where we
/// delete: with each deletion they stand for other messages.
pub(super) async fn listing(client: &mut Client<BoxedStream>, deletes: bool) -> Result<Vec<Listed>, PullError> {
    let mut uidls = client.uidl().await?.unwrap_or_default();
    if deletes && uidls.iter().all(|(number, uidl)| *uidl == number.to_string()) {
        uidls.clear();
    }
    let repeated = repeated(&mut uidls);
    uidls.sort_by_key(|(number, _)| *number);
    let listed = client.list().await?.into_iter().map(|(number, octets)| {
        let found = uidls.binary_search_by_key(&number, |(number, _)| *number).ok();
        let uidl = found.and_then(|at| uidls.get_mut(at)).map(|(_, uidl)| std::mem::take(uidl));
        let unique = uidl.is_some() && !repeated.contains(&number);
        Listed { number, octets, uidl: uidl.filter(|uidl| !uidl.is_empty()), unique }
    });
    Ok(listed.collect())
}

/// The numbers of messages whose UIDL others have as well.
fn repeated(uidls: &mut [(u32, String)]) -> HashSet<u32> {
    uidls.sort_unstable_by(|(_, one), (_, other)| one.cmp(other));
    let mut numbers = HashSet::new();
    for pair in uidls.windows(2) {
        if pair[0].1 == pair[1].1 {
            numbers.extend([pair[0].0, pair[1].0]);
        }
    }
    numbers
}

/// Keys of the messages that have none of their own, for those that nobody could read: by size and by what stands before.
pub(super) fn keys_by_place(list: &[Listed]) -> impl Iterator<Item = Option<MessageKey>> {
    let mut before = Context::new(&SHA256);
    list.iter().map(move |message| {
        let key = message.key().is_none().then(|| {
            let place = hex::encode(before.clone().finish());
            message.by_content(&format!("{} octets behind {place}", message.octets), 0)
        });
        before.update(&message.octets.to_be_bytes());
        key
    })
}

/// Of the keys of a stretch of the list; none where a key needs the content, so that such a list never matches.
pub(super) fn hash(list: &[Listed]) -> Option<String> {
    let mut sum = Context::new(&SHA256);
    for message in list {
        sum.update(message.key()?.to_string().as_bytes());
        sum.update(b"\n");
    }
    Some(hex::encode(sum.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(number: u32, uidl: &str) -> Listed {
        Listed { number, octets: 10, uidl: Some(uidl.to_owned()), unique: true }
    }

    #[test]
    fn a_prefix_matches_by_order_ids_and_sizes_but_not_by_number() {
        let one = [listed(1, "a"), listed(2, "b")];
        assert_eq!(hash(&one), hash(&[listed(7, "a"), listed(9, "b")]));
        assert_ne!(hash(&one), hash(&[listed(1, "b"), listed(2, "a")]));
        assert_ne!(hash(&one), hash(&[Listed { octets: 11, ..listed(1, "a") }, listed(2, "b")]));
        assert_eq!(hash(&[Listed { unique: false, ..listed(1, "a") }]), None);
    }

    #[test]
    fn repeated_ids_are_told_apart_by_content_and_ordinal() {
        let twice = Listed { unique: false, ..listed(1, "a") };
        assert_eq!(twice.key(), None);
        assert_ne!(twice.by_content("00", 0), twice.by_content("00", 1));
        assert_ne!(twice.by_content("00", 0), Listed { uidl: None, ..twice.clone() }.by_content("00", 0));
    }

    #[test]
    fn what_has_no_name_has_its_place() {
        let nameless = |octets| Listed { octets, uidl: None, unique: false, ..listed(1, "") };
        let keys = |list: &[Listed]| keys_by_place(list).collect::<Vec<_>>();
        let (two, more) = (keys(&[nameless(1), nameless(1)]), keys(&[nameless(1), nameless(1), listed(3, "c")]));
        assert_eq!(two, more[..2]);
        assert!(two[0] != two[1] && two.iter().all(Option::is_some) && more[2].is_none());
        assert_ne!(keys(&[nameless(2), nameless(1)])[1], two[1], "another one stands before it");
    }

    #[test]
    fn a_uidl_that_stands_twice_is_known_as_such() {
        let mut uidls: Vec<_> =
            [(1, "b"), (2, "a"), (3, "b"), (4, "c"), (5, "b")].map(|(number, uidl)| (number, uidl.to_owned())).into();
        assert_eq!(repeated(&mut uidls), HashSet::from([1, 3, 5]));
    }

    #[test]
    fn what_is_under_way_is_known_by_its_key_and_not_by_its_number() {
        assert_eq!(listed(1, "a").name(), listed(7, "a").name());
        assert_ne!(listed(1, "a").name(), listed(1, "b").name());
    }
}
