//! Templates: texts with places for parameters, in the language of Jinja.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FieldError, Timestamp};

/// Longest name.
const NAME_BYTES: usize = 100;

/// Largest part of a template in bytes: all of it is one item.
const PART_BYTES: usize = 96 << 10;

/// Name of a template within its tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct TemplateId(String);

impl TemplateId {
    /// 1 to 100 letters, digits, dots, hyphens and underscores.
    pub fn new(name: impl Into<String>) -> Result<Self, String> {
        let name = name.into();
        let fits = (1..=NAME_BYTES).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if fits { Ok(Self(name)) } else { Err("1 to 100 letters, digits, dots, hyphens and underscores".to_owned()) }
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TemplateId {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        Self::new(name)
    }
}

impl From<TemplateId> for String {
    fn from(name: TemplateId) -> String {
        name.0
    }
}

/// A template as given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TemplateInput {
    /// Words for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The HTML; parameters are escaped in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

impl TemplateInput {
    /// Its parts by the names of the fields of a send request that they fill.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [("subject", &self.subject), ("text", &self.text), ("html", &self.html)]
            .into_iter()
            .filter_map(|(name, part)| Some((name, part.as_deref()?)))
    }

    /// What can be checked without compiling it.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.parts().next().is_none() {
            errors.push(FieldError::new("/text", "missing", "give at least one of subject, text, html"));
        }
        for (name, part) in self.parts().chain(self.description.as_deref().map(|words| ("description", words))) {
            if part.len() > PART_BYTES {
                let detail = format!("{} bytes; the limit templateBytes is {PART_BYTES}", part.len());
                errors.push(FieldError::new(format!("/{name}"), "too_large", detail));
            }
        }
        errors
    }
}

/// A stored template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// Its name.
    pub template: TemplateId,
    /// What it says.
    #[serde(flatten)]
    pub input: TemplateInput,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was replaced last.
    pub updated_at: Timestamp,
}

/// What a template is rendered with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RenderInput {
    /// Values by the names that the template uses.
    #[schema(value_type = Object)]
    pub params: serde_json::Map<String, serde_json::Value>,
}

/// A rendered template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rendered {
    /// The subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The HTML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}
