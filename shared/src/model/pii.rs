//! PII tokens: names that stand for personal data in requests and in whatever is stored of them.

use std::ops::Range;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FieldError, Timestamp};

/// How every token begins.
const HEAD: &str = "NS-EU-";

/// Longest token: no real one has half of it.
const TOKEN_BYTES: usize = 200;

/// Largest clear value in bytes.
const VALUE_BYTES: usize = 4096;

/// Longest secret of a resolver in bytes.
const SECRET_BYTES: usize = 4096;

/// Longest URL of a resolver in bytes.
const URL_BYTES: usize = 2048;

/// Whether a text is one token, `NS-EU-<A-Z0-9>+-<A-Z0-9>+`, and nothing else.
pub fn is_token(text: &str) -> bool {
    let word =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    text.len() <= TOKEN_BYTES
        && text.strip_prefix(HEAD).and_then(|rest| rest.split_once('-')).is_some_and(|(a, b)| word(a) && word(b))
}

/// Where tokens stand in a text. One that is part of a longer word is none.
pub fn tokens_in(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let of_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find(HEAD)).map(|at| from + at) {
        let end = at + bytes[at..].iter().take_while(|byte| of_word(byte)).count();
        let word = text[at..end].trim_end_matches('-');
        let begins = at == 0 || !of_word(&bytes[at - 1]);
        if begins && is_token(word) {
            found.push(at..at + word.len());
        }
        from = end;
    }
    found
}

/// Personal data that is to be kept.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PiiTokenInput {
    /// The clear value, such as a name, an address or a URL. No answer ever shows it again.
    #[schema(value_type = String)]
    pub value: SecretString,
    /// When it is forgotten; left out: when it is deleted.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

impl PiiTokenInput {
    /// All wrong fields.
    pub fn check(&self, now: Timestamp) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let value = self.value.expose_secret();
        let clean = !value.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\r' | '\n'));
        if !(1..=VALUE_BYTES).contains(&value.len()) || !clean || !tokens_in(value).is_empty() {
            let detail = format!("1 to {VALUE_BYTES} bytes without control characters and without tokens");
            errors.push(FieldError::new("/value", "invalid_value", detail));
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            errors.push(FieldError::new("/expiresAt", "invalid_value", "lies in the past"));
        }
        errors
    }
}

/// A token, without what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PiiToken {
    /// What to write in place of the value.
    pub token: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Who knows the tokens that are not kept here.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PiiResolverInput {
    /// Where to POST `{"tokens": [...]}`; it answers `{"values": {"<token>": "<clear value>"}}` and leaves out what it
    /// does not know.
    pub url: String,
    /// Sent as `Authorization: Bearer`. Left out, the one that was given before is kept, if the URL stays.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub secret: Option<SecretString>,
}

impl PiiResolverInput {
    /// All wrong fields.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let url = url::Url::parse(&self.url).ok();
        let fits = url.is_some_and(|url| {
            matches!(url.scheme(), "https" | "http") && url.username().is_empty() && url.password().is_none()
        });
        if !fits || self.url.len() > URL_BYTES {
            errors.push(FieldError::new("/url", "invalid_value", "an https URL without a user name"));
        }
        let secret = self.secret.as_ref().map_or("", |secret| secret.expose_secret());
        if secret.len() > SECRET_BYTES || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            errors.push(FieldError::new("/secret", "invalid_value", "printable ASCII without blanks"));
        }
        errors
    }
}

/// A resolver, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PiiResolver {
    /// Where it is asked.
    pub url: String,
    /// A secret was given.
    pub has_secret: bool,
    /// When it was settled.
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_whole_word_of_its_form() {
        for good in ["NS-EU-A-1", "NS-EU-0-0", "NS-EU-ABC123-XYZ9"] {
            assert!(is_token(good), "{good}");
            assert_eq!(tokens_in(good).first(), Some(&(0..good.len())));
        }
        let long = format!("NS-EU-A-{}", "B".repeat(TOKEN_BYTES));
        for bad in [
            "",
            "NS-EU-",
            "NS-EU-A",
            "NS-EU-A-",
            "NS-EU--A",
            "ns-eu-a-1",
            "NS-EU-a-1",
            "NS-US-A-1",
            "NS-EU-A-1-2",
            &long,
        ] {
            assert!(!is_token(bad), "{bad}");
            assert!(tokens_in(bad).is_empty(), "{bad}");
        }
        let found = |text: &'static str| tokens_in(text).into_iter().map(|at| &text[at]).collect::<Vec<_>>();
        assert_eq!(
            found("Dear NS-EU-A-1, (NS-EU-B-2)/NS-EU-C-3- NS-EU-A-1é"),
            ["NS-EU-A-1", "NS-EU-B-2", "NS-EU-C-3", "NS-EU-A-1"]
        );
        for part in ["xNS-EU-A-1", "-NS-EU-A-1", "NS-EU-A-1x", "NS-EU-A-1_", "NS-EU-A-1-NS-EU-B-2"] {
            assert!(found(part).is_empty(), "{part}");
        }
    }
}
