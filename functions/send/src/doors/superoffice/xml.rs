//! XML: one element a property, named as it is; a list holds one element an item, named by its type. Null is `i:nil`.
//! Namespaces are not looked at, and no entity but the five of XML is known: nothing outside a document is read.

use quick_xml::Reader;
use quick_xml::escape::{escape, resolve_xml_entity};
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};
use shared::model::{Code, Problem};

use super::carriers::{Carrier, Kind};

/// Most elements within elements.
const DEPTH: usize = 32;

/// An element.
#[derive(Debug, Default)]
struct Element {
    name: String,
    nil: bool,
    text: String,
    children: Vec<Element>,
}

/// Reads a document whose root is a carrier, as the same in JSON; every value is a text.
pub(super) fn read(carrier: &Carrier, text: &str) -> Result<Value, Problem> {
    let root =
        parse(text).map_err(|words| Problem::new(Code::MalformedJson, format!("the body is no XML: {words}")))?;
    Ok(properties(carrier, root))
}

fn parse(text: &str) -> Result<Element, String> {
    let mut reader = Reader::from_str(text);
    // The outermost element collects the root.
    let mut open = vec![Element::default()];
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        let depth = open.len();
        let current = open.last_mut().ok_or("more ends than beginnings")?;
        match event {
            Event::Start(_) if depth > DEPTH => return Err(format!("more than {DEPTH} elements within elements")),
            Event::Start(start) => open.push(element(&start)),
            Event::Empty(start) => current.children.push(element(&start)),
            Event::Text(text) => current.text.push_str(&text.decode().map_err(|error| error.to_string())?),
            Event::CData(text) => current.text.push_str(&text.decode().map_err(|error| error.to_string())?),
            Event::GeneralRef(entity) => match entity.resolve_char_ref().map_err(|error| error.to_string())? {
                Some(character) => current.text.push(character),
                None => {
                    let name = entity.decode().map_err(|error| error.to_string())?;
                    current.text.push_str(resolve_xml_entity(&name).ok_or("an entity that XML does not know")?);
                }
            },
            Event::End(_) => {
                let done = open.pop().ok_or("more ends than beginnings")?;
                open.last_mut().ok_or("more ends than beginnings")?.children.push(done);
            }
            Event::DocType(_) => return Err("a document type is not taken".to_owned()),
            Event::Eof => break,
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
        }
    }
    match (open.len(), open.pop().and_then(|mut outermost| outermost.children.pop())) {
        (1, Some(root)) => Ok(root),
        _ => Err("it ends before its root does".to_owned()),
    }
}

fn element(start: &BytesStart<'_>) -> Element {
    let nil = start.attributes().flatten().any(|attribute| {
        attribute.key.local_name().as_ref() == b"nil" && matches!(attribute.value.as_ref(), b"true" | b"1")
    });
    let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
    Element { name, nil, ..Element::default() }
}

fn properties(carrier: &Carrier, element: Element) -> Value {
    let mut found = Map::new();
    for child in element.children {
        if let Some((name, kind)) = carrier.property(&child.name) {
            found.insert(name.to_owned(), value(kind, child));
        }
    }
    found.into()
}

fn value(kind: Kind, element: Element) -> Value {
    match kind {
        _ if element.nil => Value::Null,
        Kind::One(carrier) => properties(carrier, element),
        Kind::Many(carrier) | Kind::Each(carrier) => {
            element.children.into_iter().map(|item| properties(carrier, item)).collect()
        }
        Kind::Texts | Kind::Numbers => element.children.into_iter().map(|item| Value::from(item.text)).collect(),
        Kind::Opaque => opaque(element),
        Kind::Text | Kind::Number | Kind::Flag | Kind::Time | Kind::Right => element.text.into(),
    }
}

fn opaque(element: Element) -> Value {
    if element.children.is_empty() {
        return element.text.into();
    }
    element.children.into_iter().map(|child| (child.name.clone(), opaque(child))).collect::<Map<_, _>>().into()
}

/// Writes a list of carriers.
pub(super) fn write(carrier: &'static Carrier, items: &[Value]) -> String {
    let list = format!("ArrayOf{}", carrier.name);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><{list} xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\">"
    );
    for item in items {
        put(&mut out, carrier.name, Kind::One(carrier), item);
    }
    out.push_str(&format!("</{list}>"));
    out
}

fn put(out: &mut String, name: &str, kind: Kind, value: &Value) {
    if value.is_null() {
        out.push_str(&format!("<{name} i:nil=\"true\"/>"));
        return;
    }
    out.push_str(&format!("<{name}>"));
    match (kind, value) {
        (Kind::One(carrier), Value::Object(properties)) => {
            for (name, value) in properties {
                let kind = carrier.property(name).map_or(Kind::Opaque, |(_, kind)| kind);
                put(out, name, kind, value);
            }
        }
        (_, Value::Object(properties)) => {
            // What is passed through has names of the caller's.
            for (name, value) in properties.iter().filter(|(name, _)| is_name(name)) {
                put(out, name, Kind::Opaque, value);
            }
        }
        (_, Value::Array(items)) => {
            let (item, kind) = match kind {
                Kind::Many(carrier) | Kind::Each(carrier) => (carrier.name, Kind::One(carrier)),
                Kind::Texts => ("string", Kind::Text),
                Kind::Numbers => ("int", Kind::Number),
                _ => ("Item", Kind::Opaque),
            };
            items.iter().for_each(|value| put(out, item, kind, value));
        }
        (_, Value::String(text)) => out.push_str(&escape(allowed(text))),
        (_, other) => out.push_str(&other.to_string()),
    }
    out.push_str(&format!("</{name}>"));
}

/// XML 1.0 §2.3, as far as names in JSON go.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// Characters that no XML document can hold (XML 1.0 §2.2) become U+FFFD.
fn allowed(text: &str) -> String {
    let banned =
        |c: char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if banned(c) { '\u{fffd}' } else { c }).collect()
}
