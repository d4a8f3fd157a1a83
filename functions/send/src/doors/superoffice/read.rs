//! From what a request holds to whole carriers: names in their own case, every property there, values of their kind.

use serde_json::{Map, Value, json};
use shared::model::{FieldError, Problem};

use super::carriers::{Carrier, Kind};
use super::clock;

/// A carrier with all its properties.
pub(super) type Properties = Map<String, Value>;

/// Reads a carrier. Properties that it does not have are ignored (decision 26).
///
/// # Errors
/// Every value that is not of its kind.
pub(super) fn whole(carrier: &Carrier, given: Value) -> Result<Properties, Problem> {
    let mut errors = Vec::new();
    let read = match given {
        Value::Object(given) => object(carrier, given, "", &mut errors),
        _ => {
            errors.push(FieldError::new("", "invalid_value", format!("expected a {}", carrier.name)));
            Map::new()
        }
    };
    if errors.is_empty() { Ok(read) } else { Err(Problem::invalid(errors)) }
}

fn object(carrier: &Carrier, given: Map<String, Value>, at: &str, errors: &mut Vec<FieldError>) -> Properties {
    let mut found: Map<String, Value> = Map::new();
    for (name, given) in given {
        if let Some((name, kind)) = carrier.property(&name) {
            found.insert(name.to_owned(), value(kind, given, &format!("{at}/{name}"), errors));
        }
    }
    let mut take = |(name, kind): &(&str, Kind)| {
        let value = found.remove(*name).unwrap_or_else(|| absent(*kind));
        ((*name).to_owned(), value)
    };
    carrier.properties.iter().map(&mut take).collect()
}

/// What a property is that nobody gave: a number cannot be null for a typed client.
fn absent(kind: Kind) -> Value {
    match kind {
        Kind::Number => json!(0),
        Kind::Flag => json!(false),
        Kind::Many(_) | Kind::Each(_) | Kind::Texts | Kind::Numbers => json!([]),
        Kind::Text | Kind::Time | Kind::Opaque | Kind::Right | Kind::One(_) => Value::Null,
    }
}

fn value(kind: Kind, given: Value, at: &str, errors: &mut Vec<FieldError>) -> Value {
    if given.is_null() {
        return absent(kind);
    }
    let read = match (kind, given) {
        (Kind::Right, _) => Some(Value::Null),
        (Kind::Opaque, given) => Some(given),
        (Kind::Text, given) => text(given),
        (Kind::Number, given) => number(&given),
        (Kind::Flag, given) => flag(&given),
        (Kind::Time, Value::String(given)) => time(given),
        (Kind::One(_), Value::Object(given)) if given.is_empty() => Some(Value::Null),
        (Kind::One(carrier), Value::Object(given)) => Some(object(carrier, given, at, errors).into()),
        (Kind::Many(carrier), Value::Array(given)) => Some(many(carrier, given, false, at, errors)),
        (Kind::Each(carrier), Value::Array(given)) => Some(many(carrier, given, true, at, errors)),
        (Kind::Texts, Value::Array(given)) => given.into_iter().map(text).collect::<Option<Vec<_>>>().map(Value::from),
        (Kind::Texts, given) => text(given).map(|one| json!([one])),
        (Kind::Numbers, Value::Array(given)) => given.iter().map(number).collect::<Option<Vec<_>>>().map(Value::from),
        (Kind::Time | Kind::One(_) | Kind::Many(_) | Kind::Each(_) | Kind::Numbers, _) => None,
    };
    read.unwrap_or_else(|| {
        errors.push(FieldError::new(at, "invalid_value", format!("expected {}", wanted(kind))));
        Value::Null
    })
}

/// Empty items are no items unless each counts (A2.5/51), be they `{}` or, as typed clients write it, full of nothing.
fn many(carrier: &Carrier, given: Vec<Value>, each: bool, at: &str, errors: &mut Vec<FieldError>) -> Value {
    let mut items = Vec::new();
    for (index, item) in given.into_iter().enumerate() {
        match item {
            item if is_nothing(&item) && !each => {}
            Value::Null => items.push(object(carrier, Map::new(), "", errors).into()),
            Value::Object(item) => items.push(Value::from(object(carrier, item, &format!("{at}/{index}"), errors))),
            _ => {
                let words = format!("expected a {}", carrier.name);
                errors.push(FieldError::new(format!("{at}/{index}"), "invalid_value", words));
            }
        }
    }
    items.into()
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(properties) => properties.values().all(is_nothing),
    }
}

fn text(given: Value) -> Option<Value> {
    match given {
        Value::Null | Value::String(_) => Some(given),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(flag) => Some(flag.to_string().into()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// int32; forms and XML write it as text.
fn number(given: &Value) -> Option<Value> {
    let number = match given {
        Value::Number(number) => number.as_i64(),
        Value::String(text) if text.trim().is_empty() => Some(0),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.and_then(|number| i32::try_from(number).ok()).map(Value::from)
}

fn flag(given: &Value) -> Option<Value> {
    let flag = match given {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => number.as_i64().filter(|number| (0..=1).contains(number)).map(|number| number == 1),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "on" => Some(true),
            "false" | "0" | "off" | "" => Some(false),
            _ => None,
        },
        _ => None,
    };
    flag.map(Value::from)
}

fn time(given: String) -> Option<Value> {
    if given.trim().is_empty() {
        return Some(Value::Null);
    }
    clock::is_time(given.trim()).then(|| Value::from(given.trim()))
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a text",
        Kind::Number => "a whole number of 32 bits",
        Kind::Flag => "true or false",
        Kind::Time => "a date-time such as 2023-06-02T14:13:40.2660122+02:00",
        Kind::Texts => "a list of texts",
        Kind::Numbers => "a list of whole numbers",
        Kind::One(_) | Kind::Opaque | Kind::Right => "an object",
        Kind::Many(_) | Kind::Each(_) => "a list of objects",
    }
}
