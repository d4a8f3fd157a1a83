//! `/docs`: the OpenAPI document for people. No script, nothing loaded from elsewhere: it can be read where nothing else
//! is reachable.

use std::fmt::Write as _;

use serde_json::Value;

use super::routes::{ALL, Route};
use super::{Door, doors, openapi};

/// Words and colours; a row of a route opens without a script.
const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--soft:#8881}
body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
code,.type{font:14px/1.5 ui-monospace,monospace}
h2{margin-top:2.5rem}h3{margin:1.6rem 0 .2rem;scroll-margin-top:1rem}
details{border-bottom:1px solid var(--line)}summary{padding:.45rem .3rem .45rem 1.4rem;text-indent:-1.1rem;cursor:pointer}summary *{text-indent:0}summary:hover{background:var(--soft)}
details>div{padding:.2rem 1.4rem 1rem}
.method{display:inline-block;width:4.2rem;font-weight:600}.path{display:inline-block;min-width:24rem}.scope{opacity:.7}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td:first-child{white-space:nowrap}h4{margin:.9rem 0 .2rem}
";

/// The page.
pub fn page() -> String {
    let document = openapi::document();
    let routes: String = ALL.iter().map(|route| native(route, &document)).collect();
    let others: String = systems().into_iter().map(front).collect();
    let none = serde_json::Map::new();
    let schemas = document["components"]["schemas"].as_object().unwrap_or(&none);
    let shapes: String = schemas.iter().map(|(name, schema)| shape(name, schema)).collect();
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Halfpenny API</title><style>{STYLE}</style>\
         <h1>Halfpenny API {}</h1>\
         <p>Send <code>Authorization: Bearer &lt;token&gt;</code>. What goes wrong is answered as \
         <a href=\"#ProblemDocument\">problem+json</a>: <code>code</code> is stable, <code>errors</code> name the fields. \
         For machines: <a href=\"/openapi.json\">/openapi.json</a> (OpenAPI 3.1).</p>\
         <h2>Routes</h2>{routes}<h2>Other systems\u{2019} routes</h2>\
         <p>A client of one of these systems works by a change of its base URL.</p>{others}<h2>Shapes</h2>{shapes}</html>",
        env!("CARGO_PKG_VERSION")
    )
}

/// A route: one line, and what it takes and answers when it is opened.
fn native(route: &Route, document: &Value) -> String {
    let operation = &document["paths"][route.path][route.method.to_ascii_lowercase()];
    let mut inside = String::new();
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !parameters.is_empty() {
        let row = |parameter: &Value| {
            let about = parameter["description"].as_str().unwrap_or_default();
            format!(
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
                plain(&parameter["name"]),
                plain(&parameter["in"]),
                escaped(about)
            )
        };
        let rows: String = parameters.iter().map(row).collect();
        // Writing to a String cannot fail, here and below.
        let _ = write!(inside, "<h4>Parameters</h4><table>{rows}</table>");
    }
    if let Some(content) = operation["requestBody"]["content"].as_object() {
        let kinds: Vec<String> = content.keys().map(|kind| format!("<code>{}</code>", escaped(kind))).collect();
        let schema = content.values().next().map(|content| kind(&content["schema"])).unwrap_or_default();
        let _ = write!(inside, "<h4>Body</h4><p>{schema} as {}</p>", kinds.join(" or "));
    }
    let _ = write!(inside, "<h4>Answers</h4><table>{}</table>", answers(&operation["responses"]));
    let scope = route.scope.map_or("no token", |scope| scope.name());
    format!(
        "<details id=\"{}\"><summary>{} <span>{}</span> <span class=\"scope\">({scope})</span></summary><div>{inside}</div></details>",
        route.operation,
        line(route),
        escaped(route.summary)
    )
}

/// What it answers, a row each; all problems share one.
fn answers(responses: &Value) -> String {
    let (mut rows, mut problems) = (String::new(), Vec::new());
    for (status, answer) in responses.as_object().into_iter().flatten() {
        let content = answer["content"].as_object();
        if content.is_some_and(|content| content.contains_key("application/problem+json")) {
            problems.push(status.as_str());
            continue;
        }
        let schema = content.and_then(|content| content.values().next());
        let schema = schema.map(|content| kind(&content["schema"])).unwrap_or_default();
        let about = plain(&answer["description"]);
        let _ = write!(rows, "<tr><td><code>{status}</code></td><td>{schema}</td><td>{about}</td></tr>");
    }
    problems.sort_unstable();
    if !problems.is_empty() {
        let link = kind(&serde_json::json!({"$ref": "#/components/schemas/ProblemDocument"}));
        let _ = write!(rows, "<tr><td>else</td><td>{link}</td><td><code>{}</code></td></tr>", problems.join(" "));
    }
    rows
}

/// The front doors that have routes, each once.
fn systems() -> Vec<Door> {
    let mut systems: Vec<Door> = Vec::new();
    for route in doors::ALL {
        if !systems.contains(&route.door) {
            systems.push(route.door);
        }
    }
    systems
}

/// The routes of a front door: their shapes are in that system's own documents.
fn front(door: Door) -> String {
    let routes = doors::ALL.iter().filter(|route| route.door == door);
    let rows: String = routes.map(|route| format!("<div>{}</div>", line(route))).collect();
    format!("<details><summary>{}</summary><div>{rows}</div></details>", door.system())
}

fn line(route: &Route) -> String {
    format!("<code class=\"method\">{}</code><code class=\"path\">{}</code>", route.method, route.path)
}

/// A shape: its fields, or whatever else it is.
fn shape(name: &str, schema: &Value) -> String {
    let about = paragraph(&schema["description"]);
    let body = match schema["properties"].as_object() {
        None => format!("<p class=\"type\">{}</p>", kind(schema)),
        Some(fields) => {
            let required =
                |name: &String| schema["required"].as_array().is_some_and(|list| list.iter().any(|one| one == name));
            let row = |(name, field): (&String, &Value)| {
                let mark = if required(name) { "" } else { "?" };
                let about = plain(&field["description"]);
                format!(
                    "<tr><td><code>{}{mark}</code></td><td class=\"type\">{}</td><td>{about}</td></tr>",
                    escaped(name),
                    kind(field)
                )
            };
            format!("<table>{}</table>", fields.iter().map(row).collect::<String>())
        }
    };
    format!("<h3 id=\"{name}\"><code>{name}</code></h3>{about}{body}")
}

/// A schema in a few words, with links to the shapes that it refers to.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    for (word, joint) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")] {
        if let Some(several) = schema[word].as_array() {
            return several.iter().map(kind).collect::<Vec<_>>().join(joint);
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(|value| escaped(&value.to_string())).collect::<Vec<_>>().join(" | ");
    }
    if let (Some(fields), None) = (schema["properties"].as_object(), schema["items"].as_object()) {
        let fields: Vec<String> =
            fields.iter().map(|(name, field)| format!("{}: {}", escaped(name), kind(field))).collect();
        return format!("{{{}}}", fields.join(", "));
    }
    match &schema["type"] {
        Value::Array(several) => {
            several.iter().map(|one| of_type(one.as_str().unwrap_or_default(), schema)).collect::<Vec<_>>().join(" | ")
        }
        Value::String(one) => of_type(one, schema),
        _ => "any".to_owned(),
    }
}

fn of_type(name: &str, schema: &Value) -> String {
    match name {
        "array" => format!("[{}]", kind(&schema["items"])),
        name => schema["format"].as_str().map_or_else(|| name.to_owned(), |format| format!("{name} ({format})")),
    }
}

fn paragraph(text: &Value) -> String {
    if text.is_string() { format!("<p>{}</p>", plain(text)) } else { String::new() }
}

fn plain(text: &Value) -> String {
    escaped(text.as_str().unwrap_or_default())
}

/// Safe as text, with what stands between backticks as code.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let parts = text.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_and_shape_is_on_the_page_and_every_link_leads_somewhere() {
        let page = page();
        for route in ALL.iter().chain(doors::ALL) {
            assert!(page.contains(&format!(">{}</code>", route.path)), "{}", route.path);
        }
        for link in page.split("href=\"#").skip(1) {
            let name = link.split('"').next().unwrap();
            assert!(page.contains(&format!("id=\"{name}\"")), "{name}");
        }
        assert!(["<script", "src=", "<link", "url("].iter().all(|word| !page.contains(word)), "nothing is loaded");
    }

    #[test]
    fn types_are_told_in_a_few_words() {
        let told = |schema: Value| kind(&schema);
        assert_eq!(told(serde_json::json!({"type": ["string", "null"]})), "string | null");
        assert_eq!(
            told(serde_json::json!({"type": "array", "items": {"enum": ["a", "b"]}})),
            "[&quot;a&quot; | &quot;b&quot;]"
        );
        assert_eq!(
            told(serde_json::json!({"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Risk"}]})),
            "null or <a href=\"#Risk\">Risk</a>"
        );
        assert_eq!(told(serde_json::json!({"type": "integer", "format": "int32"})), "integer (int32)");
    }
}
