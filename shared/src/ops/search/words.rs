//! From text to words, and from words to the hashes that the index knows them by. The same way for what is indexed and
//! for what is asked, or nothing would be found.

use std::collections::HashSet;

use icu_normalizer::DecomposingNormalizerBorrowed;
use unicode_segmentation::UnicodeSegmentation;

use crate::model::{Address, Direction, Message};

/// Most distinct words of one message: what comes behind them is not found. A message of some 3,000 words has that many.
pub const MOST_WORDS: usize = 1000;

/// Most people of one message whose names and addresses are words: a text must find room beside a long list of them.
pub(super) const MOST_PEOPLE: usize = 100;

/// Longest word in characters; what is longer is cut, here and in a query.
const WORD_CHARS: usize = 64;

/// Distinct words of one message, the first ones of it.
#[derive(Debug, Default)]
pub(super) struct Bag(HashSet<u32>);

impl Bag {
    /// Adds the words of a text.
    pub(super) fn add(&mut self, text: &str) {
        for word in words(text).chain(addresses(text)) {
            if self.0.len() >= MOST_WORDS {
                return;
            }
            self.0.insert(hash(&word));
        }
    }

    /// Adds what a list shows of a message: its people, its subject, its files.
    pub(super) fn add_message(&mut self, message: &Message) {
        message.subject.as_deref().into_iter().chain(message.message_id.as_deref()).for_each(|text| self.add(text));
        let people = message.from.iter().chain(&message.to).chain(&message.cc).chain(&message.reply_to);
        people.take(MOST_PEOPLE).for_each(|person| self.add_person(person));
        let files = message.attachments.iter().filter_map(|attachment| attachment.filename.as_deref());
        files.for_each(|name| self.add(name));
    }

    /// Adds what somebody is called.
    pub(super) fn add_person(&mut self, person: &Address) {
        self.add(&person.address);
        person.name.iter().for_each(|name| self.add(name));
    }

    /// Adds the words that stand for where a message is: its conversation; if it was pulled, its folder, and any folder.
    pub(super) fn add_place(&mut self, message: &Message) {
        self.0.insert(thread(&message.thread_id));
        if message.direction == Direction::Incoming {
            self.0.insert(folder(None));
            self.0.extend(message.folder.as_deref().map(|name| folder(Some(name))));
        }
    }

    /// Adds the word of what was written again.
    pub(super) fn add_rewritten(&mut self) {
        self.0.insert(rewritten());
    }

    /// The hashes, sorted.
    pub(super) fn sorted(self) -> Vec<u32> {
        let mut hashes: Vec<u32> = self.0.into_iter().collect();
        hashes.sort_unstable();
        hashes
    }
}

/// The words of a text, folded, in their order: letters and digits of any script, as Unicode divides them (UAX #29 §4).
/// What it keeps together around a dot, an apostrophe or an underscore is taken apart, so that `example.com` is found
/// by `example`. Chinese and Japanese come character by character, Thai as it is written: without spaces.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    let folded = fold(text);
    let apart = |c: char| !c.is_alphanumeric();
    let words: Vec<String> = match folded.is_ascii() {
        true => folded.split(apart).filter(|word| !word.is_empty()).map(cut).collect(),
        false => folded
            .unicode_words()
            .flat_map(|word| word.split(['.', ':', '\'', '\u{2019}', '_', '\u{B7}', ',']))
            .filter(|word| !word.is_empty())
            .map(cut)
            .collect(),
    };
    words.into_iter()
}

/// Addresses and Message-IDs of a text as words of their own: so that one address is found, and not everybody at its
/// domain.
pub(super) fn addresses(text: &str) -> impl Iterator<Item = String> {
    let border = |c: char| c.is_whitespace() || "<>()[]{},;\"".contains(c);
    let chunks: Vec<&str> = if text.contains('@') { text.split(border).collect() } else { Vec::new() };
    chunks.into_iter().filter_map(address).collect::<Vec<_>>().into_iter()
}

fn address(chunk: &str) -> Option<String> {
    let chunk = chunk.trim_matches(|c: char| !c.is_alphanumeric() && !"+-_".contains(c));
    let chunk = chunk.strip_prefix("mailto:").unwrap_or(chunk);
    let inside = chunk.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    inside.then(|| cut(&fold(chunk)))
}

/// Without letter case, accents and the many ways to write one character (NFKD): `Straße` and `STRASSE` are one word,
/// so are `résumé` and `resume`.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(text);
    // Only the accents of letters: other scripts write their vowels by marks.
    let letters = decomposed.chars().filter(|c| !('\u{300}'..='\u{36F}').contains(c));
    // By the capital letter, because some small letters share one: ß and ss, σ and ς.
    letters.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// 32 bits of FNV-1a, mixed so that the upper ones are as good as the lower. Of 100,000 messages with 200 words each, a
/// wrong one is found in one of 200 searches for a single word, and in none for two.
pub(super) fn hash(word: &str) -> u32 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in word.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    let [a, b, c, d, ..] = (hash ^ (hash >> 33)).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The word that all messages of a folder have, or all that were pulled. No text has it: words are letters and digits.
pub(super) fn folder(name: Option<&str>) -> u32 {
    match name {
        // RFC 3501 §5.1: INBOX in any letter case.
        Some(name) if name.eq_ignore_ascii_case("INBOX") => hash("#folder#INBOX"),
        Some(name) => hash(&format!("#folder#{name}")),
        None => hash("#pulled"),
    }
}

/// The word that all messages of a conversation have.
pub(super) fn thread(id: &str) -> u32 {
    hash(&format!("#thread#{id}"))
}

/// The word that all messages have that were written again, because they had changed.
pub(super) fn rewritten() -> u32 {
    hash("#rewritten")
}

fn cut(word: &str) -> String {
    word.chars().take(WORD_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        words(text).collect()
    }

    #[test]
    fn case_accents_and_ways_of_writing_do_not_matter() {
        for (one, other) in [
            ("Straße", "STRASSE"),
            ("Résumé", "resume"),
            ("ﬁnance", "Finance"),
            ("ΟΔΟΣ", "οδος"),
            ("ｆｕｌｌ", "FULL"),
            ("İstanbul", "istanbul"),
        ] {
            assert_eq!(of(one), of(other), "{one}");
        }
    }

    #[test]
    fn words_are_divided_the_same_way_in_every_script() {
        assert_eq!(of("Don't pay_now: 3.14 (a-b) x@example.com"), of("Don\u{2019}t pay now 3 14 a b x example com"));
        assert_eq!(of("Don't pay_now: 3.14"), ["don", "t", "pay", "now", "3", "14"]);
        assert_eq!(of("Größe 3,5 müller.example"), ["grosse", "3", "5", "muller", "example"]);
        assert_eq!(of("東京 タワー"), ["東", "京", "タワー"]);
        assert_eq!(of("नमस्ते दुनिया").len(), 2);
        assert!(of("--- … !!").is_empty());
    }

    #[test]
    fn addresses_are_words_too() {
        let found: Vec<String> = addresses("Write to <Ada.L@Example.COM>, or mailto:bob+x@example.org.").collect();
        assert_eq!(found, ["ada.l@example.com", "bob+x@example.org"]);
        assert_eq!(addresses("@example a@ @").count(), 0);
    }

    #[test]
    fn hashes_are_those_that_are_stored() {
        // What is written once is looked for for ever.
        assert_eq!((hash("invoice"), hash("2026")), (211_172_530, 522_087_406));
        let mut bag = Bag::default();
        (0..3 * MOST_WORDS).for_each(|number| bag.add(&number.to_string()));
        assert_eq!(bag.sorted().len(), MOST_WORDS);
    }
}
