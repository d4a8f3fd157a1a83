//! The text of a message below the answer to it, and its header above it where it is handed on.

use std::fmt::Write;

use super::reference::Original;
use crate::model::content::Action;
use crate::model::send::SendRequest;
use crate::model::{Address, Timestamp};

/// Longest quotation in bytes; HTML cannot be cut, so beyond this its text is quoted.
const TEXT_BYTES: usize = 256 << 10;
const HTML_BYTES: usize = 512 << 10;

/// Longest list of addresses in a quoted header, in bytes.
const LIST_BYTES: usize = 2_000;

/// Quotes in the kinds of text that the request has; in both where it has none.
pub(super) fn append(request: &mut SendRequest, action: Action, original: &Original) {
    let quoted = original.text.as_deref().unwrap_or_default();
    let end = quoted.floor_char_boundary(TEXT_BYTES);
    let quoted = if end < quoted.len() { format!("{}\n[…]", &quoted[..end]) } else { quoted.to_owned() };
    let (wants_text, wants_html) = (request.text.is_some(), request.html.is_some());
    if wants_text || !wants_html {
        let own = request.text.take().unwrap_or_default();
        request.text = Some(text(&own, action, original, &quoted));
    }
    if wants_html || !wants_text {
        let own = request.html.take().unwrap_or_default();
        request.html = Some(html(&own, action, original, &quoted));
    }
}

fn text(own: &str, action: Action, original: &Original, quoted: &str) -> String {
    let mut out = own.trim_end().to_owned();
    if !out.is_empty() {
        out.push_str("\n\n");
    }
    match action {
        Action::Forward => {
            out.push_str("---------- Forwarded message ----------\n");
            for (name, value) in header(original) {
                let _ = writeln!(out, "{name}: {value}");
            }
            out.push('\n');
            out.push_str(quoted);
            out.push('\n');
        }
        Action::Reply | Action::ReplyAll => {
            let _ = writeln!(out, "{}", attribution(original));
            for line in quoted.lines() {
                // A quoted quotation keeps its marks together (RFC 3676 §4.5).
                out.push_str(if line.starts_with('>') || line.is_empty() { ">" } else { "> " });
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

fn html(own: &str, action: Action, original: &Original, quoted: &str) -> String {
    let body = match &original.html {
        Some(html) if html.len() <= HTML_BYTES => html.clone(),
        _ => plain(quoted).replace('\n', "<br>\n"),
    };
    let quotation = match action {
        Action::Forward => {
            let lines: Vec<String> =
                header(original).into_iter().map(|(name, value)| format!("<b>{name}:</b> {}", plain(&value))).collect();
            format!(
                "<div>---------- Forwarded message ----------<br>\n{}<br>\n<br>\n</div>\n<div>{body}</div>\n",
                lines.join("<br>\n")
            )
        }
        Action::Reply | Action::ReplyAll => format!(
            "<div>{}</div>\n<blockquote type=\"cite\" style=\"margin:0 0 0 .8ex;border-left:1px solid #ccc;padding-left:1ex\">\n{body}\n</blockquote>\n",
            plain(&attribution(original))
        ),
    };
    // Before the end of a whole page, or behind a piece of one.
    let end = own.to_ascii_lowercase().rfind("</body").unwrap_or(own.len());
    let (before, after) = own.split_at(end);
    let gap = if before.trim().is_empty() { "" } else { "\n<br>\n" };
    format!("{before}{gap}{quotation}{after}")
}

fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// `On 3 March 2026 at 10:05 UTC, Ada <ada@example.test> wrote:`
fn attribution(original: &Original) -> String {
    let author = original.from.first().map_or_else(|| "somebody".to_owned(), shown);
    match original.date.and_then(day) {
        Some(day) => format!("On {day}, {author} wrote:"),
        None => format!("{author} wrote:"),
    }
}

fn header(original: &Original) -> Vec<(&'static str, String)> {
    let date = original.date.and_then(day).unwrap_or_default();
    let fields = [
        ("From", list(&original.from)),
        ("Date", date),
        ("Subject", original.subject.clone()),
        ("To", list(&original.to)),
        ("Cc", list(&original.cc)),
    ];
    fields.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn list(addresses: &[Address]) -> String {
    let all: Vec<String> = addresses.iter().map(shown).collect();
    let all = all.join(", ");
    let end = all.floor_char_boundary(LIST_BYTES);
    if end < all.len() { format!("{}…", &all[..end]) } else { all }
}

fn shown(address: &Address) -> String {
    match &address.name {
        Some(name) => format!("{name} <{}>", address.address),
        None => address.address.clone(),
    }
}

fn day(at: Timestamp) -> Option<String> {
    let format = time::macros::format_description!(
        version = 2,
        "[day padding:none] [month repr:long] [year] at [hour]:[minute] UTC"
    );
    at.to_datetime().format(&format).ok()
}
