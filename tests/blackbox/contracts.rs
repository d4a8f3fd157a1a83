//! `docs/contracts.md` says what proves each item of the contracts: no item without a row, no test that does not exist.

use std::collections::BTreeSet;
use std::path::Path;

const LIST: &str = include_str!("../../docs/contracts.md");

/// `31, 33-35, 50b` as single items.
fn items(list: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for item in list.split(',').map(str::trim) {
        match item.split_once('-').map(|(first, last)| (first.parse::<u32>(), last.parse::<u32>())) {
            Some((Ok(first), Ok(last))) => found.extend((first..=last).map(|number| number.to_string())),
            _ => {
                assert!(item.starts_with(|first: char| first.is_ascii_digit()), "no item: {item:?} in {list:?}");
                found.insert(item.to_owned());
            }
        }
    }
    found
}

/// A section of the list.
struct Section {
    title: &'static str,
    items: BTreeSet<String>,
    /// Items, and what proves them.
    rows: Vec<(BTreeSet<String>, &'static str)>,
}

fn section(text: &'static str) -> Section {
    let title = text.lines().next().unwrap();
    let (_, numbers) = title.trim_end_matches(')').rsplit_once('(').unwrap();
    let rows = text.lines().filter(|line| line.starts_with('|')).skip(2).map(|row| {
        let (numbers, proof) = row.trim_matches('|').split_once('|').unwrap();
        (items(numbers), proof)
    });
    Section { title, items: items(numbers), rows: rows.collect() }
}

fn sections() -> impl Iterator<Item = Section> {
    LIST.split("\n## ").skip(1).map(section)
}

/// The tests that a proof names.
fn named(proof: &str) -> Vec<(&str, &str)> {
    proof.split('`').skip(1).step_by(2).filter_map(|word| word.split_once("::")).collect()
}

#[test]
fn every_item_has_a_row_and_every_row_a_proof_or_a_reason() {
    assert!(sections().count() > 15);
    for Section { title, items, rows } in sections() {
        let found: BTreeSet<String> = rows.iter().flat_map(|(numbers, _)| numbers.clone()).collect();
        assert_eq!(found, items, "{title}");
        for (numbers, proof) in rows {
            assert!(!named(proof).is_empty() || proof.contains("not offered: "), "{title} {numbers:?}");
        }
    }
}

/// A test with what stands above it; none where there is no such test.
fn found<'a>(source: &'a str, test: &str) -> Option<&'a str> {
    let at = source.find(&format!("fn {test}("))?;
    let start = source[..at].rfind("\n\n").unwrap_or_default();
    let line = source[..at].rfind('\n').unwrap_or_default() + 1;
    let indent: String = source[line..at].chars().take_while(|c| *c == ' ').collect();
    let end = source[at..].find(&format!("\n{indent}}}\n")).map_or(source.len(), |end| at + end);
    Some(&source[start..end])
}

#[test]
fn every_test_that_is_named_exists_and_cites_the_section() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for Section { title, rows, .. } in sections() {
        for (file, test) in rows.iter().flat_map(|(_, proof)| named(proof)) {
            let path = if file.contains('/') { file.to_owned() } else { format!("tests/blackbox/{file}.rs") };
            let source = std::fs::read_to_string(root.join(&path)).unwrap_or_default();
            let text = found(&source, test).unwrap_or_else(|| panic!("{title}: no {test} in {path}"));
            let section = title.split(' ').next().unwrap();
            assert!(text.contains(&format!("{section}/")), "{path}::{test} does not cite {section}/");
        }
    }
}
