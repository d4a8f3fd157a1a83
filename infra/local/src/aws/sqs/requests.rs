//! What the operations are asked, in the names of the API reference, and the limits of a request.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{MAX_DELAY_SECONDS, invalid};
use crate::aws::AwsError;

/// A queue is what the last segment of its URL says: the SDKs ignore the URL's host, and so do we.
pub(super) fn name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// # Errors
/// `InvalidParameterValue`.
pub(super) fn parse<T: DeserializeOwned>(body: Value) -> Result<T, AwsError> {
    // The words of serde name a member and a type; they can quote a value, so they are not passed on.
    serde_json::from_value(body).map_err(|_| {
        AwsError::refused("InvalidParameterValue", "A parameter is missing or has the wrong type or range.")
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct QueueUrl {
    pub(super) queue_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct QueueName {
    pub(super) queue_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Deletion {
    pub(super) queue_url: String,
    pub(super) receipt_handle: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Visibility {
    pub(super) queue_url: String,
    pub(super) receipt_handle: String,
    pub(super) visibility_timeout: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Sending {
    pub(super) queue_url: String,
    #[serde(flatten)]
    pub(super) message: Message,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Message {
    pub(super) message_body: String,
    pub(super) delay_seconds: Option<u32>,
    #[serde(default)]
    pub(super) message_attributes: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Receiving {
    pub(super) queue_url: String,
    pub(super) max_number_of_messages: Option<u32>,
    pub(super) visibility_timeout: Option<u32>,
    pub(super) wait_time_seconds: Option<u32>,
    #[serde(default)]
    pub(super) message_attribute_names: Vec<String>,
    #[serde(default)]
    pub(super) attribute_names: Vec<String>,
    #[serde(default)]
    pub(super) message_system_attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Attributes {
    pub(super) queue_url: String,
    #[serde(default)]
    pub(super) attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Batch<T> {
    pub(super) queue_url: String,
    pub(super) entries: Vec<Entry<T>>,
}

#[derive(Deserialize)]
pub(super) struct Entry<T> {
    #[serde(rename = "Id")]
    pub(super) id: String,
    #[serde(flatten)]
    pub(super) content: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReceiptOnly {
    pub(super) receipt_handle: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReceiptAndTime {
    pub(super) receipt_handle: String,
    pub(super) visibility_timeout: u32,
}

impl Message {
    /// Body and attributes count together (names, types and values).
    pub(super) fn size(&self) -> usize {
        let attribute = |(name, value): (&String, &Value)| {
            let parts = ["DataType", "StringValue", "BinaryValue"].map(|part| value[part].as_str().map_or(0, str::len));
            name.len() + parts.iter().sum::<usize>()
        };
        self.message_body.len() + self.message_attributes.iter().map(attribute).sum::<usize>()
    }

    pub(super) fn check(&self) -> Result<(), AwsError> {
        if self.message_body.is_empty() {
            return Err(AwsError::refused("MissingParameter", "The request must contain the parameter MessageBody."));
        }
        if self.delay_seconds.is_some_and(|seconds| seconds > MAX_DELAY_SECONDS) {
            return Err(invalid("DelaySeconds must be >= 0 and <= 900"));
        }
        // The characters of XML 1.0, as the API reference lists them under SendMessage.
        let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
        if !self.message_body.chars().all(allowed) {
            return Err(AwsError::refused("InvalidMessageContents", "Invalid characters found in the message body."));
        }
        Ok(())
    }
}

impl<T> Batch<T> {
    /// 1 to 10 entries with ids of their own.
    pub(super) fn check(&self) -> Result<(), AwsError> {
        let ids: BTreeSet<&str> = self.entries.iter().map(|entry| entry.id.as_str()).collect();
        let valid = |id: &&str| {
            (1..=80).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let (code, message) = match self.entries.len() {
            0 => ("EmptyBatchRequest", "There should be at least one entry in the request."),
            11.. => ("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10."),
            count if ids.len() < count => ("BatchEntryIdsNotDistinct", "Two or more entries have the same Id."),
            _ if !ids.iter().all(valid) => ("InvalidBatchEntryId", "An Id has 1 to 80 letters, digits, - and _."),
            _ => return Ok(()),
        };
        Err(AwsError::refused(code, message))
    }
}
