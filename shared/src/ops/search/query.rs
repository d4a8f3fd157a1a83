//! What a caller searches for: `invoice "due date" from:ada subject:offer`.

use super::words::{addresses, folder, hash, thread, words};
use crate::model::{Address, FieldError, Message, Problem};

/// Most words of one query; each costs a read per segment.
pub const MOST_ASKED: usize = 16;

/// A search: all of it must be so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Hashes of all words.
    hashes: Vec<u32>,
    /// Words that must follow one another.
    phrases: Vec<Vec<String>>,
    /// Words that must stand in one field.
    fields: Vec<(Field, Vec<String>)>,
    /// Only what was pulled, and all of that is to be counted right.
    pulled: bool,
    /// The folder that it must lie in.
    folder: Option<String>,
}

/// A field that can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    From,
    To,
    Subject,
}

const FIELDS: [(&str, Field); 3] = [("from:", Field::From), ("to:", Field::To), ("subject:", Field::Subject)];

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// Where it holds no word, or more than [`MOST_ASKED`].
    pub fn read(text: &str) -> Result<Self, Problem> {
        let query = Self::of(text);
        if query.hashes.is_empty() {
            let detail = "must hold a word: letters or digits";
            return Err(Problem::invalid(vec![FieldError::new("?q", "invalid_value", detail)]));
        }
        query.bounded("?q")
    }

    /// All messages of a folder; all that were pulled where none is named.
    pub fn folder(path: Option<&str>) -> Self {
        Self { hashes: vec![folder(path)], pulled: true, folder: path.map(str::to_owned), ..Self::default() }
    }

    /// All messages of a conversation, in both directions.
    pub fn thread(id: &str) -> Self {
        Self::default().in_thread(id)
    }

    /// Those of them that belong to a conversation.
    #[must_use]
    pub fn in_thread(mut self, id: &str) -> Self {
        self.hashes.push(thread(id));
        self
    }

    /// Those of them that a search finds; it may hold no word.
    ///
    /// # Errors
    /// Where it holds more than [`MOST_ASKED`].
    pub fn within(path: Option<&str>, text: &str) -> Result<Self, Problem> {
        let mut query = Self::of(text).bounded("/search")?;
        query.hashes.push(folder(path));
        Ok(Self { pulled: true, folder: path.map(str::to_owned), ..query })
    }

    fn of(text: &str) -> Self {
        let mut query = Self::default();
        for term in terms(text) {
            query.add(&term);
        }
        query.hashes.sort_unstable();
        query.hashes.dedup();
        query
    }

    fn bounded(self, pointer: &str) -> Result<Self, Problem> {
        let many = self.hashes.len();
        if many <= MOST_ASKED {
            return Ok(self);
        }
        let detail = format!("holds {many} words, at most {MOST_ASKED} are searched for at a time");
        Err(Problem::invalid(vec![FieldError::new(pointer, "invalid_value", detail)]))
    }

    /// The hashes that a message must have.
    pub(super) fn hashes(&self) -> &[u32] {
        &self.hashes
    }

    /// Whether only pulled messages are looked for, and the number of them must be right.
    pub(super) fn is_pulled(&self) -> bool {
        self.pulled
    }

    /// Whether the index knows all of it.
    pub(super) fn is_final(&self) -> bool {
        self.phrases.is_empty() && self.fields.is_empty()
    }

    /// Whether the text of a message must be read to know.
    pub fn has_phrases(&self) -> bool {
        !self.phrases.is_empty()
    }

    /// Whether the fields of a message are as asked.
    pub(super) fn fits(&self, message: &Message) -> bool {
        let lies_there = |wanted: &String| message.folder.as_deref().is_some_and(|folder| is_same(folder, wanted));
        self.folder.as_ref().is_none_or(lies_there)
            && self.fields.iter().all(|(field, wanted)| {
                let texts: Vec<String> = match field {
                    Field::From => message.from.iter().map(written).collect(),
                    Field::To => message.to.iter().chain(&message.cc).map(written).collect(),
                    Field::Subject => message.subject.iter().cloned().collect(),
                };
                texts.iter().any(|text| {
                    let found: Vec<String> = words(text).chain(addresses(text)).collect();
                    wanted.iter().all(|word| found.contains(word))
                })
            })
    }

    /// Whether all phrases stand in one or the other of these texts.
    pub(super) fn says(&self, texts: &[String]) -> bool {
        let texts: Vec<Vec<String>> = texts.iter().map(|text| words(text).collect()).collect();
        let holds = |phrase: &Vec<String>| {
            texts.iter().any(|words| words.windows(phrase.len()).any(|window| window == phrase.as_slice()))
        };
        self.phrases.iter().all(holds)
    }

    fn add(&mut self, term: &Term) {
        // An address is one word: its parts alone are in too many messages.
        let address: Vec<String> = addresses(&term.text).collect();
        let found: Vec<String> = if address.is_empty() || term.quoted { words(&term.text).collect() } else { address };
        self.hashes.extend(found.iter().map(|word| hash(word)));
        match term.field {
            Some(field) if !found.is_empty() => self.fields.push((field, found)),
            None if term.quoted && found.len() > 1 => self.phrases.push(found),
            _ => {}
        }
    }
}

/// A piece of a query.
struct Term {
    field: Option<Field>,
    text: String,
    quoted: bool,
}

/// Pieces between spaces; what stands between quotation marks is one piece, also behind the name of a field.
fn terms(text: &str) -> Vec<Term> {
    let mut terms = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let lower = |name: &str| rest.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
        let field = FIELDS.iter().find(|(name, _)| lower(name));
        if let Some((name, _)) = field {
            rest = &rest[name.len()..];
        }
        let quoted = rest.strip_prefix('"');
        let (piece, behind) = match quoted {
            Some(inside) => inside.split_once('"').unwrap_or((inside, "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        terms.push(Term { field: field.map(|(_, field)| *field), text: piece.to_owned(), quoted: quoted.is_some() });
        rest = behind.trim_start();
    }
    terms
}

/// RFC 3501 §5.1: INBOX in any letter case.
fn is_same(folder: &str, wanted: &str) -> bool {
    folder == wanted || (folder.eq_ignore_ascii_case("INBOX") && wanted.eq_ignore_ascii_case("INBOX"))
}

fn written(address: &Address) -> String {
    format!("{} {}", address.name.as_deref().unwrap_or_default(), address.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(words: &[&str]) -> Vec<u32> {
        let mut hashes: Vec<u32> = words.iter().map(|word| hash(word)).collect();
        hashes.sort_unstable();
        hashes
    }

    #[test]
    fn words_phrases_and_fields_are_told_apart() {
        let query = Query::read(" Invoice  \"due  Date\" from:ada Subject:\"new offer\" bob@Example.org").unwrap();
        assert_eq!(query.hashes, hashes(&["invoice", "due", "date", "ada", "new", "offer", "bob@example.org"]));
        assert_eq!(query.phrases, [["due", "date"]]);
        assert_eq!(query.fields.len(), 2);
        assert!(query.says(&["It is\nDUE-date".to_owned()]) && !query.says(&["date due, due".to_owned()]));
        let open = Query::read("\"not closed").unwrap();
        assert_eq!((open.phrases.len(), open.hashes.len()), (1, 2));
        assert_eq!(Query::read("example.org").unwrap().hashes, hashes(&["example", "org"]));
        assert_eq!(Query::read("a A \"a\"").unwrap(), Query { hashes: hashes(&["a"]), ..Query::default() });
    }

    #[test]
    fn a_query_without_words_or_with_too_many_is_refused() {
        for wrong in ["", "  ", "\"\"", "--", "from:"] {
            assert!(Query::read(wrong).is_err(), "{wrong:?}");
        }
        let many: Vec<String> = (0..=MOST_ASKED).map(|number| number.to_string()).collect();
        assert!(Query::read(&many.join(" ")).is_err() && Query::read(&many[1..].join(" ")).is_ok());
    }
}
