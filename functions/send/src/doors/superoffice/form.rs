//! Forms: `Emails[0].To[0].Address=a%40example.com`, or with every name in brackets.

use std::collections::BTreeMap;

use serde_json::Value;
use shared::model::{Code, FieldError, Problem};

/// Most names within names.
const DEPTH: usize = 12;

/// What a form holds so far.
#[derive(Debug)]
enum Field {
    Text(String),
    Fields(BTreeMap<String, Field>),
}

/// Reads a form as the same in JSON; every value is a text.
pub(super) fn read(text: &str) -> Result<Value, Problem> {
    let mut root = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        let path: Vec<&str> = name.split(['.', '[', ']']).filter(|part| !part.is_empty()).collect();
        // The body's own name may stand before all others.
        let path = path.strip_prefix(&["request"]).unwrap_or(&path);
        if path.is_empty() || path.len() > DEPTH || !put(&mut root, path, value.into_owned()) {
            return Err(Problem::invalid(vec![FieldError::new(
                name.into_owned(),
                "invalid_value",
                "expected a name such as Emails[0].To[0].Address, each once",
            )]));
        }
    }
    if root.is_empty() {
        return Err(Problem::new(Code::MalformedJson, "the form is empty"));
    }
    Ok(json(Field::Fields(root)))
}

/// False where the name is both a value and a group of values.
fn put(fields: &mut BTreeMap<String, Field>, path: &[&str], value: String) -> bool {
    let Some((name, rest)) = path.split_first() else { return false };
    if rest.is_empty() {
        return fields.insert((*name).to_owned(), Field::Text(value)).is_none();
    }
    match fields.entry((*name).to_owned()).or_insert_with(|| Field::Fields(BTreeMap::new())) {
        Field::Fields(inner) => put(inner, rest, value),
        Field::Text(_) => false,
    }
}

/// A group whose names are all numbers is a list, in their order.
fn json(field: Field) -> Value {
    let fields = match field {
        Field::Text(text) => return text.into(),
        Field::Fields(fields) => fields,
    };
    let numbers: Option<Vec<u64>> = fields.keys().map(|name| name.parse().ok()).collect();
    match numbers {
        Some(numbers) => {
            let mut items: Vec<(u64, Value)> = numbers.into_iter().zip(fields.into_values().map(json)).collect();
            items.sort_by_key(|(number, _)| *number);
            items.into_iter().map(|(_, value)| value).collect()
        }
        None => fields.into_iter().map(|(name, field)| (name, json(field))).collect(),
    }
}
