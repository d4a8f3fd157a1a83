//! `$select` (A2.1/3): what is not named is nulled out, not removed.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The properties that a caller wants, each with what it wants of it; names in lower case.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Selection(BTreeMap<String, Option<Selection>>);

impl Selection {
    /// Reads `name,department,category/id`; none where everything is wanted.
    pub(super) fn new(list: Option<&str>) -> Option<Self> {
        let mut selection = Self::default();
        for path in list?.split(',').map(str::trim).filter(|path| !path.is_empty()) {
            selection.add(&path.to_ascii_lowercase());
        }
        (!selection.0.is_empty()).then_some(selection)
    }

    /// A property that is wanted whole stays so, whatever of it is wanted besides.
    fn add(&mut self, path: &str) {
        match path.split_once('/') {
            None => {
                self.0.insert(path.to_owned(), None);
            }
            Some((name, rest)) => {
                if let Some(inner) = self.0.entry(name.to_owned()).or_insert_with(|| Some(Self::default())) {
                    inner.add(rest);
                }
            }
        }
    }

    /// Nulls out what is not wanted.
    pub(super) fn apply(&self, properties: &mut Map<String, Value>) {
        for (name, value) in properties {
            match self.0.get(&name.to_ascii_lowercase()) {
                None => *value = Value::Null,
                Some(None) => {}
                Some(Some(inner)) => inner.within(value),
            }
        }
    }

    fn within(&self, value: &mut Value) {
        match value {
            Value::Object(properties) => self.apply(properties),
            Value::Array(items) => items.iter_mut().for_each(|item| self.within(item)),
            _ => {}
        }
    }
}
