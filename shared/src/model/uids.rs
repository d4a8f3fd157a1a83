//! Sets of UIDs (RFC 3501 §2.3.1.1), small enough to be kept: most folders are a few runs of neighbours.

/// Most bytes of a kept set: some 6,000 runs. Of what has more gaps the newest are kept.
const MOST_BYTES: usize = 16 << 10;

/// A set of UIDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UidSet {
    /// First and last of each run of neighbours, ascending, never touching.
    runs: Vec<(u32, u32)>,
}

impl FromIterator<u32> for UidSet {
    fn from_iter<I: IntoIterator<Item = u32>>(uids: I) -> Self {
        let mut sorted: Vec<u32> = uids.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for uid in sorted {
            match runs.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(uid) => *last = uid,
                _ => runs.push((uid, uid)),
            }
        }
        Self { runs }
    }
}

impl UidSet {
    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.runs.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// UIDs that one of the two holds and the other does not, in no order.
    pub fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = u32> + 'a {
        let here = self.iter().filter(|uid| !other.contains(*uid));
        here.chain(other.iter().filter(|uid| !self.contains(*uid)))
    }

    /// Whether it holds this one.
    pub fn contains(&self, uid: u32) -> bool {
        let behind = self.runs.partition_point(|(first, _)| *first <= uid);
        behind > 0 && self.runs[behind - 1].1 >= uid
    }

    /// What is kept of it: of each run the gap before it and its length, in seven bits a byte (LEB128).
    pub fn to_bytes(&self) -> Vec<u8> {
        self.kept(MOST_BYTES).0
    }

    /// The same in at most so many bytes, and the first UID from which on it is all that there is.
    pub fn kept(&self, most_bytes: usize) -> (Vec<u8>, u32) {
        let mut begin = 0;
        loop {
            let mut bytes = Vec::new();
            let mut before = 0;
            for (first, last) in &self.runs[begin..] {
                push(&mut bytes, first - before);
                push(&mut bytes, last - first);
                before = *last;
            }
            if bytes.len() <= most_bytes {
                let left_out = begin.checked_sub(1).and_then(|last| self.runs.get(last));
                return (bytes, left_out.map_or(0, |(_, last)| last + 1));
            }
            // A run has two bytes at least: so this ends soon.
            begin += (bytes.len() - most_bytes).div_ceil(10);
        }
    }

    /// Reads it back; none where it is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (mut rest, mut runs, mut before) = (bytes, Vec::new(), 0_u32);
        while !rest.is_empty() {
            let first = before.checked_add(take(&mut rest)?)?;
            let last = first.checked_add(take(&mut rest)?)?;
            runs.push((first, last));
            before = last;
        }
        Some(Self { runs })
    }
}

fn push(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u32;
    for shift in (0..32).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_survives_being_kept() {
        for uids in [vec![], vec![1], vec![7, 5, 6, 9, 5], vec![1, u32::MAX - 1, u32::MAX], (1..5000).collect()] {
            let set: UidSet = uids.iter().copied().collect();
            assert_eq!(UidSet::from_bytes(&set.to_bytes()).unwrap(), set);
            assert!(uids.iter().all(|uid| set.contains(*uid)) && !set.contains(6000) && !set.contains(0));
            let mut sorted = uids;
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(set.iter().collect::<Vec<_>>(), sorted);
        }
        assert_eq!(UidSet::from_bytes(&[0x80]), None);
        assert_eq!((1..=9).collect::<UidSet>().to_bytes(), [1, 8]);
        let (one, other): (UidSet, UidSet) = ((1..=9).collect(), (4..=12).collect());
        assert_eq!(one.differing(&other).collect::<Vec<_>>(), [1, 2, 3, 10, 11, 12]);
    }

    #[test]
    fn the_newest_are_kept_of_what_has_too_many_gaps() {
        let set: UidSet = (0..20_000).map(|at| 1 + at * 300).collect();
        let (bytes, from) = set.kept(MOST_BYTES);
        assert_eq!((1..=9).collect::<UidSet>().kept(2).1, 0, "all of it");
        let kept = UidSet::from_bytes(&bytes).unwrap();
        assert!(kept.iter().eq(set.iter().filter(|uid| *uid >= from)), "complete from there on");
        assert!(bytes.len() <= MOST_BYTES && bytes.len() > MOST_BYTES / 2, "{}", bytes.len());
        assert!(kept.contains(1 + 19_999 * 300) && !kept.contains(1) && kept.iter().all(|uid| set.contains(uid)));
    }
}
