//! What somebody waits for in a message: a one-time code, a link to follow, or what a pattern finds.

mod code;
mod link;
#[cfg(test)]
mod tests;

pub(crate) use code::code;
pub(crate) use link::link;

use regex_lite::{Regex, RegexBuilder};
use shared::model::waiting::ExtractInput;
use shared::model::{FieldError, Problem};

/// Longest pattern, and the most that its machine may take: every character of a text may visit all of it.
const PATTERN_CHARS: usize = 500;
const PATTERN_BYTES: usize = 32 << 10;

/// As much of a text as is looked through: codes and links stand at its beginning.
const TEXT_BYTES: usize = 64 << 10;

/// What to look for.
pub(crate) enum Extract {
    /// A one-time code.
    Code,
    /// A link that confirms, activates or signs in.
    Link,
    /// The first group of a pattern, or all of it where it has none.
    Pattern(Regex),
}

/// What a message says.
pub(crate) struct Words<'w> {
    pub(crate) subject: &'w str,
    pub(crate) text: &'w str,
    /// Cleaned.
    pub(crate) html: &'w str,
}

impl Extract {
    pub(crate) fn read(input: &ExtractInput) -> Result<Self, Problem> {
        let pattern = match input {
            ExtractInput::Code => return Ok(Self::Code),
            ExtractInput::Link => return Ok(Self::Link),
            ExtractInput::Pattern(pattern) => pattern,
        };
        let wrong = |code, words: String| Problem::invalid(vec![FieldError::new("/extract/pattern", code, words)]);
        if pattern.chars().count() > PATTERN_CHARS {
            return Err(wrong("too_large", format!("at most {PATTERN_CHARS} characters")));
        }
        let built = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).build();
        built.map(Self::Pattern).map_err(|error| wrong("invalid_value", format!("no regular expression: {error}")))
    }

    /// What the message says of it.
    pub(crate) fn from(&self, words: &Words<'_>) -> Option<String> {
        let text = words.text.get(..words.text.floor_char_boundary(TEXT_BYTES)).unwrap_or_default();
        match self {
            Self::Code => code(words.subject, text),
            Self::Link => link(words.html, text),
            Self::Pattern(pattern) => {
                let found = pattern.captures(words.subject).or_else(|| pattern.captures(text))?;
                let group = found.get(1).or_else(|| found.get(0))?;
                Some(group.as_str().to_owned())
            }
        }
    }
}
