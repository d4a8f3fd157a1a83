//! UID sets (RFC 3501 §9, `sequence-set`).

use crate::mail::limits::SET_BYTES;

/// Renders exactly these UIDs as few and short sets as they fit into: sorted, neighbours as ranges, each set short
/// enough for one command line.
pub(super) fn render(uids: &[u32]) -> Vec<String> {
    let mut sorted: Vec<u32> = uids.iter().copied().filter(|&uid| uid > 0).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let mut sets: Vec<String> = Vec::new();
    for run in sorted.chunk_by(|&one, &next| one + 1 == next) {
        let range = match run {
            [one] => one.to_string(),
            [first, .., last] => format!("{first}:{last}"),
            [] => continue,
        };
        match sets.last_mut() {
            Some(set) if set.len() + 1 + range.len() <= SET_BYTES => {
                set.push(',');
                set.push_str(&range);
            }
            _ => sets.push(range),
        }
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_ranges_and_nothing_else_gets_in() {
        assert_eq!(render(&[]), Vec::<String>::new());
        assert_eq!(render(&[7]), ["7"]);
        assert_eq!(render(&[5, 3, 4, 9, 3, 0, 10, 12, u32::MAX]), ["3:5,9:10,12,4294967295"]);
    }

    #[test]
    fn sets_split_where_a_line_would_become_too_long() {
        let uids: Vec<u32> = (0..4_000).map(|at| 1_000_000_000 + 2 * at).collect();
        let sets = render(&uids);
        assert!(sets.len() == 6 && sets.iter().all(|set| set.len() <= SET_BYTES), "{}", sets.len());
        let back: Vec<u32> = sets.iter().flat_map(|set| set.split(',')).map(|uid| uid.parse().unwrap()).collect();
        assert_eq!(back, uids);
    }
}
