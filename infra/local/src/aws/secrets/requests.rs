//! What the operations are asked, in the names of the API reference.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::MAX_BYTES;
use super::api::invalid_parameter;
use crate::aws::AwsError;

/// # Errors
/// `InvalidParameterException`.
pub(super) fn parse<T: DeserializeOwned>(body: Value) -> Result<T, AwsError> {
    // The words of serde can quote a value, and a value here is a secret: they are not passed on.
    serde_json::from_value(body).map_err(|_| invalid_parameter("A parameter is missing or has the wrong type."))
}

/// `SecretString` or `SecretBinary`, kept as it came.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SecretValue {
    secret_string: Option<String>,
    /// Base64.
    secret_binary: Option<String>,
}

impl SecretValue {
    /// As it is stored; `None` when neither is given.
    pub(super) fn checked(self) -> Result<Option<String>, AwsError> {
        let (member, text, bytes) = match (self.secret_string, self.secret_binary) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(invalid_parameter(
                    "You can't specify both a binary secret value and a string secret value.",
                ));
            }
            (Some(text), None) => ("SecretString", text.clone(), text.len()),
            (None, Some(base64)) => ("SecretBinary", base64.clone(), base64.len() / 4 * 3),
        };
        if bytes > MAX_BYTES {
            let message = format!(
                "1 validation error detected: Value at '{member}' failed to satisfy constraint: \
                 Member must have length less than or equal to {MAX_BYTES}"
            );
            return Err(AwsError::refused("ValidationException", message));
        }
        Ok(Some(json!({ member: text }).to_string()))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Create {
    pub(super) name: String,
    pub(super) client_request_token: Option<String>,
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) tags: Vec<Value>,
    #[serde(flatten)]
    pub(super) value: SecretValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Put {
    pub(super) secret_id: String,
    pub(super) client_request_token: Option<String>,
    pub(super) version_stages: Option<Vec<String>>,
    #[serde(flatten)]
    pub(super) value: SecretValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Get {
    pub(super) secret_id: String,
    pub(super) version_id: Option<String>,
    pub(super) version_stage: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Stage {
    pub(super) secret_id: String,
    pub(super) version_stage: String,
    pub(super) move_to_version_id: Option<String>,
    pub(super) remove_from_version_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Id {
    pub(super) secret_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Delete {
    pub(super) secret_id: String,
    pub(super) recovery_window_in_days: Option<i64>,
    #[serde(default)]
    pub(super) force_delete_without_recovery: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct List {
    pub(super) max_results: Option<u32>,
    pub(super) next_token: Option<String>,
    #[serde(default)]
    pub(super) include_planned_deletion: bool,
    #[serde(default)]
    pub(super) filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Filter {
    pub(super) key: String,
    pub(super) values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListVersions {
    pub(super) secret_id: String,
    #[serde(default)]
    pub(super) include_deprecated: bool,
}
