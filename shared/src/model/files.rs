//! Files of a tenant: how they are put there without passing through the service.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FieldError, Timestamp};

/// Largest file in bytes: more than any mail server takes, for those that leave as links.
pub const FILE_BYTES: u64 = 512 << 20;

/// Longest name of a file in bytes: what file systems take.
const NAME_BYTES: usize = 255;

/// A file that is to be uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileInput {
    /// SHA-256 of its content, lower-case hex. It becomes its id.
    pub sha256: String,
    /// Size in bytes.
    pub size: u64,
    /// Its type; left out: `application/octet-stream`.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Its name, for downloads and attachments that name none.
    #[serde(default)]
    pub filename: Option<String>,
}

impl FileInput {
    /// The hash as bytes, if all fields are right; else all that are wrong.
    pub fn check(&self) -> Result<[u8; 32], Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut sha256 = [0; 32];
        let lower = !self.sha256.bytes().any(|byte| byte.is_ascii_uppercase());
        if !lower || hex::decode_to_slice(&self.sha256, &mut sha256).is_err() {
            errors.push(FieldError::new("/sha256", "invalid_value", "64 lower-case hex digits"));
        }
        if self.size > FILE_BYTES {
            let detail = format!("{} bytes; the limit fileBytes is {FILE_BYTES}", self.size);
            errors.push(FieldError::new("/size", "too_large", detail));
        }
        let name = self.filename.as_deref().unwrap_or_default();
        if name.len() > NAME_BYTES || name.chars().any(char::is_control) {
            let detail = "at most 255 bytes and no control characters";
            errors.push(FieldError::new("/filename", "invalid_value", detail));
        }
        if errors.is_empty() { Ok(sha256) } else { Err(errors) }
    }
}

/// Whether a file is there, and if not, how to put it there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileTicket {
    /// What attachments name it by.
    pub file_id: String,
    /// It is there: nothing is left to do.
    pub exists: bool,
    /// The upload, where it is not there yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload: Option<FileUpload>,
}

/// A request without a token that stores exactly the file that was described.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileUpload {
    /// PUT.
    pub method: &'static str,
    /// Where to.
    pub url: String,
    /// Headers to send, each as it is here: they are signed.
    pub headers: BTreeMap<String, String>,
    /// When it must have begun.
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_described_in_full_or_refused() {
        let file = |json: serde_json::Value| {
            let input: FileInput = serde_json::from_value(json).unwrap();
            input.check().err().into_iter().flatten().map(|error| error.pointer).collect::<Vec<_>>()
        };
        let hash = "ab".repeat(32);
        assert!(file(serde_json::json!({"sha256": hash, "size": FILE_BYTES, "filename": "ü".repeat(127)})).is_empty());
        assert_eq!(file(serde_json::json!({"sha256": hash, "size": FILE_BYTES + 1})), ["/size"]);
        for wrong in ["", "ab", &"AB".repeat(32), &"ab".repeat(33), &"zz".repeat(32)] {
            assert_eq!(file(serde_json::json!({"sha256": wrong, "size": 0})), ["/sha256"], "{wrong}");
        }
        for wrong in ["n".repeat(256), "a\r\nb".to_owned()] {
            assert_eq!(file(serde_json::json!({"sha256": hash, "size": 0, "filename": wrong})), ["/filename"]);
        }
    }
}
