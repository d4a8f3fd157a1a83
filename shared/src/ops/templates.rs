//! Templates: checked when they are stored, rendered when a message is accepted.
//!
//! The language is that of Jinja, without includes, inheritance and macros: a template is one text. A parameter that is
//! missing is an error and no empty place. In HTML every parameter is escaped. Work and output have limits, because a
//! loop in a loop is quickly written.

use std::io::{self, Write};

use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde::Deserialize;
use serde_json::Map;

use crate::model::template::{Rendered, TemplateInput};
use crate::model::{FieldError, Problem};

/// Instructions of one part: some 10,000 turns of a small loop.
const FUEL: u64 = 200_000;

/// Largest rendered part in bytes: as much as a request could bring.
const OUTPUT_BYTES: usize = 4 << 20;

/// Compiles every part. All that cannot be read are named, with the line.
pub fn check(template: &TemplateInput) -> Vec<FieldError> {
    let mut errors = template.check();
    if errors.is_empty() {
        let environment = environment();
        for (name, source) in template.parts() {
            if let Err(error) = environment.template_from_named_str(name, source) {
                errors.push(FieldError::new(format!("/{name}"), "invalid_template", words(&error, source)));
            }
        }
    }
    errors
}

/// Renders every part. `pointer` is where the template is named in the request.
///
/// # Errors
/// 422 with the part, the line and the variable of each part that cannot be rendered.
pub fn render(
    template: &TemplateInput,
    params: &Map<String, serde_json::Value>,
    pointer: &str,
) -> Result<Rendered, Problem> {
    let params = Value::deserialize(serde_json::Value::Object(params.clone())).map_err(Problem::internal)?;
    let (mut rendered, mut errors) = (Rendered::default(), Vec::new());
    let environment = environment();
    for (name, source) in template.parts() {
        match part(&environment, name, source, &params) {
            Ok(text) => match name {
                "subject" => rendered.subject = Some(text),
                "text" => rendered.text = Some(text),
                _ => rendered.html = Some(text),
            },
            Err(error) => {
                let detail = format!("{name}, {}", words(&error, source));
                errors.push(FieldError::new(pointer, "template_failed", detail));
            }
        }
    }
    if errors.is_empty() { Ok(rendered) } else { Err(Problem::invalid(errors)) }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| if name == "html" { AutoEscape::Html } else { AutoEscape::None });
    environment.set_fuel(Some(FUEL));
    // It keeps the places of expressions, which errors name.
    environment.set_debug(true);
    environment
}

fn part(environment: &Environment<'_>, name: &str, source: &str, params: &Value) -> Result<String, Error> {
    let template = environment.template_from_named_str(name, source)?;
    let mut out = Bounded(Vec::new());
    template.render_captured_to(params.clone(), &mut out)?;
    String::from_utf8(out.0).map_err(|_| Error::new(ErrorKind::WriteFailure, "the output is no text"))
}

/// Output with an end.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > OUTPUT_BYTES - self.0.len() {
            return Err(io::Error::other("too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where it is wrong and what is wrong there: the template's own words, never a parameter's value.
fn words(error: &Error, source: &str) -> String {
    let line = error.line().map_or(String::new(), |line| format!("line {line}: "));
    let place = error.range().and_then(|range| source.get(range)).map(str::trim).filter(|text| !text.is_empty());
    let place = place.map_or(String::new(), |text| format!("`{}`: ", text.chars().take(80).collect::<String>()));
    let what = match error.kind() {
        ErrorKind::UndefinedError => "this parameter is not given".to_owned(),
        ErrorKind::OutOfFuel => format!("too much work; the limit templateFuel is {FUEL}"),
        ErrorKind::WriteFailure => format!("too much text; the limit renderedBytes is {OUTPUT_BYTES}"),
        ErrorKind::SyntaxError | ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction => {
            let detail = error.detail().unwrap_or_default();
            format!("{} ({detail})", error.kind())
        }
        kind => kind.to_string(),
    };
    format!("{line}{place}{what}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rendered(html: &str, params: serde_json::Value) -> Result<String, String> {
        let template = TemplateInput { html: Some(html.to_owned()), ..TemplateInput::default() };
        let serde_json::Value::Object(params) = params else { unreachable!() };
        match render(&template, &params, "/template") {
            Ok(rendered) => Ok(rendered.html.unwrap()),
            Err(problem) => Err(problem.errors[0].detail.clone()),
        }
    }

    #[test]
    fn parameters_are_escaped_in_html_and_nowhere_else() {
        let template = TemplateInput {
            subject: Some("Hi {{ name }}".to_owned()),
            text: Some("Dear {{ name }}".to_owned()),
            html: Some("<p>{{ name }} {{ name|upper }}</p>".to_owned()),
            ..TemplateInput::default()
        };
        let params = json!({"name": "<b>\"O'Hara\" & co</b>"}).as_object().unwrap().clone();
        let rendered = render(&template, &params, "/template").unwrap();
        assert_eq!(rendered.subject.as_deref(), Some("Hi <b>\"O'Hara\" & co</b>"));
        assert_eq!(rendered.text.as_deref(), Some("Dear <b>\"O'Hara\" & co</b>"));
        let html = rendered.html.unwrap();
        assert!(html.starts_with("<p>&lt;b&gt;") && !html.contains("<b>") && !html.contains("<B>"), "{html}");
    }

    #[test]
    fn errors_name_line_and_variable_and_no_value() {
        let params = json!({"user": {"name": "CANARY"}, "list": [1, 2]});
        for (source, wanted) in [
            ("a\n{{ missing }}", "html, line 2: `missing`: this parameter is not given"),
            ("a\n\n{{ user.nmae }}", "html, line 3: `user.nmae`: this parameter is not given"),
            ("{% if missing %}x{% endif %}", "html, line 1: `missing`: this parameter is not given"),
            ("{% for x in missing %}{% endfor %}", "html, line 1: `missing`: this parameter is not given"),
        ] {
            assert_eq!(rendered(source, params.clone()).unwrap_err(), wanted, "{source}");
        }
        for source in ["{{ user.name + 1 }}", "{{ user.name() }}", "{{ user.name|round }}"] {
            let words = rendered(source, params.clone()).unwrap_err();
            assert!(words.starts_with("html, line 1: ") && !words.contains("CANARY"), "{source}: {words}");
        }
        assert_eq!(rendered("{{ missing is defined }} {{ missing|default('x') }}", params).unwrap(), "False x");
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_line() {
        for (text, wanted) in [
            ("ok\n{{ a", "line 2"),
            ("{% for x %}", "line 1"),
            ("{{ a|nofilter }}", ""),
            ("{% include 'x' %}", "line 1"),
            ("{% extends 'x' %}", "line 1"),
        ] {
            let template = TemplateInput { text: Some(text.to_owned()), ..TemplateInput::default() };
            let found = match check(&template).pop() {
                Some(error) => error.detail,
                None => rendered(text, json!({"a": 1})).unwrap_err(),
            };
            assert!(found.contains(wanted), "{text}: {found}");
        }
        assert_eq!(check(&TemplateInput::default())[0].pointer, "/text");
    }

    #[test]
    fn work_and_output_end() {
        let loops = "{% for a in range(1000) %}{% for b in range(1000) %}x{% endfor %}{% endfor %}";
        assert!(rendered(loops, json!({})).unwrap_err().contains("templateFuel"));
        let long = "y".repeat(1 << 20);
        assert!(rendered("{{ t }}{{ t }}{{ t }}", json!({"t": long})).is_ok());
        assert!(
            rendered("{{ t }}{{ t }}{{ t }}{{ t }}{{ t }}", json!({"t": long})).unwrap_err().contains("renderedBytes")
        );
        assert!(rendered("{{ 'x' * 100000000000 }}", json!({})).is_err());
    }
}
