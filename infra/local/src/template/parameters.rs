//! Template parameters: their overrides as the operator writes them, and their values as the template takes them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::TemplateError;

/// Reads `Name=Value Name="value with spaces"`, the form of `sam deploy --parameter-overrides`.
/// Within double quotes a backslash keeps the next character.
///
/// # Errors
/// [`TemplateError::Parameters`] for a word without `=`, without a name, or a quote that never ends.
/// The error names the parameter, never its value.
pub(crate) fn parse_overrides(text: &str) -> Result<BTreeMap<String, String>, TemplateError> {
    let mut overrides = BTreeMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest
            .split_once('=')
            .filter(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()))
            .ok_or_else(|| {
                let read = overrides.len();
                TemplateError::Parameters(format!("expected Name=Value after {read} parameters"))
            })?;
        let (value, after) =
            take_value(after).ok_or_else(|| TemplateError::Parameters(format!("{name}: the quote is not closed")))?;
        overrides.insert(name.to_owned(), value);
        rest = after.trim_start();
    }
    Ok(overrides)
}

/// The value at the head of `text`, up to an unquoted space, and what follows it.
fn take_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut quoted = false;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => value.push(chars.next()?.1),
            c if c.is_whitespace() && !quoted => return Some((value, &text[at..])),
            c => value.push(c),
        }
    }
    (!quoted).then_some((value, ""))
}

/// The value of every parameter: its override, or else its `Default`.
pub(super) fn values(
    declared: &Map<String, Value>,
    overrides: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, TemplateError> {
    if let Some(unknown) = overrides.keys().find(|name| !declared.contains_key(*name)) {
        return Err(TemplateError::Parameters(format!("the template has no parameter {unknown}")));
    }
    declared
        .iter()
        .map(|(name, declaration)| value(name, declaration, overrides.get(name)).map(|value| (name.clone(), value)))
        .collect()
}

fn value(name: &str, declaration: &Value, given: Option<&String>) -> Result<String, TemplateError> {
    let invalid = |reason: String| TemplateError::Invalid { path: format!("Parameters.{name}"), reason };
    let value = given
        .cloned()
        .or_else(|| declaration.get("Default").and_then(scalar_text))
        .ok_or_else(|| invalid("it has no default and no value was given".to_owned()))?;
    match declaration.get("Type").and_then(Value::as_str) {
        Some("String") => {}
        Some("Number") if value.parse::<f64>().is_ok() => {}
        Some("Number") => return Err(invalid("not a number".to_owned())),
        kind => return Err(invalid(format!("type {kind:?} has no local meaning"))),
    }
    let allowed = declaration.get("AllowedValues").and_then(Value::as_array);
    let is_allowed = |list: &Vec<Value>| list.iter().any(|v| scalar_text(v).as_ref() == Some(&value));
    if !allowed.is_none_or(is_allowed) {
        return Err(invalid("not one of its AllowedValues".to_owned()));
    }
    Ok(value)
}

/// A YAML scalar as CloudFormation passes it on: as text.
pub(super) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
