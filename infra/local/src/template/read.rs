//! How resolved JSON becomes typed values: CloudFormation takes `30` and `"30"` alike, and so do we.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::TemplateError;
use super::yaml::invalid;

/// `value` as a `T`; an error names `path`.
pub(super) fn typed<T: DeserializeOwned>(value: Value, path: &str) -> Result<T, TemplateError> {
    serde_json::from_value(value).map_err(|error| invalid(path, error.to_string()))
}

/// A whole number, or the text of one: parameters are texts.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Number(u32),
        Text(String),
    }
    match Number::deserialize(deserializer)? {
        Number::Number(number) => Ok(number),
        Number::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

/// As [`number`], for a property without a default.
pub(super) fn optional_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    number(deserializer).map(Some)
}

/// The last part of an ARN: the name of a queue or function.
pub(super) fn arn_name(arn: &str) -> &str {
    arn.rsplit_once(':').map_or(arn, |(_, name)| name)
}
