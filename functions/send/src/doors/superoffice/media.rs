//! Content types: what a request is written in, and what its answer shall be written in (A2.2/6, A2.2/7, A2.2/13).

use serde_json::Value;
use shared::model::{Code, Problem};

use super::carriers::REQUEST;
use super::{form, xml};

/// What an answer may be written in, the usual one first.
const ANSWERS: [(&str, Format); 6] = [
    ("application/json", Format::Json),
    ("text/json", Format::Json),
    ("application/xml", Format::Xml),
    ("text/xml", Format::Xml),
    ("application/json-patch+json", Format::Json),
    ("application/merge-patch+json", Format::Json),
];

const FORM: &str = "application/x-www-form-urlencoded";

/// A way of writing carriers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON.
    Json,
    /// XML.
    Xml,
}

/// What the answer is written in: the type as it was asked for, and its format.
///
/// # Errors
/// [`Code::NotAcceptable`] where none of ours is asked for.
pub(super) fn accepted(header: Option<&str>) -> Result<(&'static str, Format), Problem> {
    let Some(header) = header.filter(|header| !header.trim().is_empty()) else {
        return Ok(ANSWERS[0]);
    };
    let mut best: Option<((&'static str, Format), f32)> = None;
    for range in header.split(',') {
        let (range, quality) = weighed(range);
        // The first of several that are wanted alike wins.
        let better = quality > best.map_or(0.0, |(_, quality)| quality);
        if let Some(answer) = ANSWERS.into_iter().find(|(kind, _)| covers(&range, kind)).filter(|_| better) {
            best = Some((answer, quality));
        }
    }
    best.map(|(answer, _)| answer).ok_or_else(|| {
        let ours: Vec<_> = ANSWERS.iter().map(|(kind, _)| *kind).collect();
        Problem::new(Code::NotAcceptable, format!("the answer can be had as {}", ours.join(", ")))
    })
}

/// A media range and its weight (RFC 9110 §12.5.1); what cannot be read of the weight counts as 1.
fn weighed(range: &str) -> (String, f32) {
    let (kind, parameters) = range.split_once(';').unwrap_or((range, ""));
    let quality = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().ok()).flatten()
    });
    (kind.trim().to_ascii_lowercase(), quality.unwrap_or(1.0))
}

fn covers(range: &str, kind: &str) -> bool {
    let family = range.strip_suffix("/*");
    range == "*/*" || range == kind || family.is_some_and(|family| kind.split('/').next() == Some(family))
}

/// The request of a body.
///
/// # Errors
/// [`Code::UnsupportedMediaType`]; a body that is not of its type.
pub(super) fn request(content_type: Option<&str>, body: &[u8]) -> Result<Value, Problem> {
    let (kind, parameters) =
        content_type.and_then(|kind| kind.split_once(';')).unwrap_or((content_type.unwrap_or(ANSWERS[0].0), ""));
    let kind = kind.trim().to_ascii_lowercase();
    check_charset(parameters)?;
    let known = ANSWERS.iter().find(|(own, _)| *own == kind).map(|(_, format)| *format);
    let text =
        std::str::from_utf8(body).map_err(|_| Problem::new(Code::MalformedJson, "the body is not written in UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match known {
        Some(Format::Json) => json(text),
        Some(Format::Xml) => xml::read(&REQUEST, text),
        // `curl -d` sends its JSON under this name.
        None if kind == FORM && text.trim_start().starts_with(['{', '[']) => json(text),
        None if kind == FORM => form::read(text),
        None => Err(unsupported(&format!("{kind:?}"))),
    }
}

fn json(text: &str) -> Result<Value, Problem> {
    serde_json::from_str(text)
        .map_err(|error| Problem::new(Code::MalformedJson, format!("the body is no JSON: {error}")))
}

fn check_charset(parameters: &str) -> Result<(), Problem> {
    let charset = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    });
    match charset.as_deref() {
        None | Some("utf-8" | "utf8" | "us-ascii") => Ok(()),
        Some(other) => Err(unsupported(&format!("the charset {other:?}"))),
    }
}

fn unsupported(what: &str) -> Problem {
    let ours: Vec<_> = ANSWERS.iter().map(|(kind, _)| *kind).collect();
    let words = format!("{what} is not taken here; send {} or {FORM}, in UTF-8", ours.join(", "));
    Problem::new(Code::UnsupportedMediaType, words)
}

/// The answer's bytes.
pub(super) fn written(format: Format, answer: &[Value]) -> Result<Vec<u8>, Problem> {
    match format {
        Format::Json => serde_json::to_vec(answer).map_err(Problem::internal),
        Format::Xml => Ok(xml::write(&super::carriers::EMAIL, answer).into_bytes()),
    }
}
