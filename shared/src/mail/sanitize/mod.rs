//! Makes the HTML of strangers safe to show: no script, no form, nothing loaded from anywhere (RFC 2557 §11 asks
//! readers to be wary), pictures of the message itself by their content id (RFC 2392).
//!
//! Two steps. `normalise` rewrites any tag soup as small, well-nested HTML in linear time, because the HTML parser
//! behind the allow list is quadratic in attributes, in depth and in unclosed `<b>` (30 KB of them grow to 9 MB).
//! Then `ammonia`, which alone decides what is safe.

mod normalise;
#[cfg(test)]
mod tests;

use ammonia::{Builder, UrlRelative};
use mail_parser::decoders::html::html_to_text;
use normalise::normalise;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::collections::HashMap;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use url::Url;

/// Largest HTML that is cleaned; newsletters have up to half of it.
const MAX_HTML: usize = 1024 * 1024;

/// Largest result that is shown as HTML.
pub const MAX_PAGE: usize = 4 << 20;

/// Bytes of all addresses of pictures together: each use of one that stands in its address counts.
const MAX_PICTURES: usize = 3 << 20;

/// Columns of text that is made of HTML.
const COLUMNS: usize = 78;

/// What a link may do: open a page or start a message or a call, and name a part (RFC 2392).
const SCHEMES: [&str; 5] = ["http", "https", "mailto", "tel", "cid"];

/// Properties that neither load anything nor leave their place on the page.
const PROPERTIES: [&str; 41] = [
    "background-color",
    "border",
    "border-bottom",
    "border-collapse",
    "border-color",
    "border-left",
    "border-radius",
    "border-right",
    "border-spacing",
    "border-style",
    "border-top",
    "border-width",
    "color",
    "direction",
    "font",
    "font-family",
    "font-size",
    "font-style",
    "font-weight",
    "height",
    "letter-spacing",
    "line-height",
    "margin",
    "margin-bottom",
    "margin-left",
    "margin-right",
    "margin-top",
    "max-width",
    "min-width",
    "padding",
    "padding-bottom",
    "padding-left",
    "padding-right",
    "padding-top",
    "text-align",
    "text-decoration",
    "text-indent",
    "text-transform",
    "vertical-align",
    "white-space",
    "width",
];

/// Whether pictures of other servers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote {
    /// No: nothing is loaded from anywhere.
    Blocked,
    /// Those of `<img src="https:…">`: their servers learn that the message is read.
    Allowed,
}

/// Whether [`html`] shows this source as plain text, because it is larger than 1 MB.
pub fn is_too_large(source: &str) -> bool {
    source.len() > MAX_HTML
}

/// Cleans HTML. `cid` gives the address of the part with a content id (without `cid:`, percent-decoded), or `None`
/// if there is no such part. What is too large comes back as text in `<pre>`.
pub fn html(source: &str, remote: Remote, cid: impl Fn(&str) -> Option<String>) -> String {
    if is_too_large(source) {
        return preformatted(&html_to_text(source));
    }
    let source = normalise(source);
    // Looked up beforehand, so that the caller's function need not outlive the call.
    let pictures: HashMap<String, String> =
        source.split('"').filter_map(content_id).filter_map(|id| cid(&id).map(|url| (id, url))).collect();
    let room = AtomicUsize::new(MAX_PICTURES);
    let mut builder = Builder::default();
    builder
        .add_tags(["center", "font"])
        .rm_tags(["map", "area"])
        .add_tag_attributes("font", ["color", "face", "size"])
        .add_generic_attributes(["style"])
        .filter_style_properties(PROPERTIES.into())
        .url_schemes(SCHEMES.into())
        .url_relative(UrlRelative::PassThrough) // for our own; `filter` drops those of the message
        .link_rel(Some("noopener noreferrer nofollow"))
        .set_tag_attribute_value("a", "target", "_blank")
        .attribute_filter(move |element, attribute, value| {
            let is_remote_picture = remote == Remote::Allowed && (element, attribute) == ("img", "src");
            if is_remote_picture && is_https(value) {
                return Some(Cow::Borrowed(value));
            }
            filter(attribute, value, &pictures, &room)
        });
    builder.clean(&source).to_string()
}

/// Text as HTML, at most 1 MB of it, line by line as it is.
pub fn preformatted(text: &str) -> String {
    let text = text.get(..text.floor_char_boundary(MAX_HTML)).unwrap_or_default();
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<pre>{text}</pre>")
}

/// HTML as text for people: blocks, lists and quotations as lines of 78 columns, links as numbers with their addresses
/// at the end. What is too large, or more than that writer can take, becomes plainer.
pub fn text(source: &str) -> String {
    if is_too_large(source) {
        return html_to_text(source);
    }
    let source = normalise(source);
    let written = catch_unwind(|| {
        let writer = html2text::config::plain().raw_mode(true).no_link_wrapping().link_footnotes(true);
        writer.string_from_read(source.as_bytes(), COLUMNS)
    });
    written.ok().and_then(Result::ok).unwrap_or_else(|| html_to_text(&source))
}

/// Text without the character references that cleaned HTML has.
pub fn unescaped(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&nbsp;", "\u{a0}");
    text.replace("&amp;", "&")
}

fn is_https(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "https")
}

/// The id in a `cid:` URL, without its percent-encoding (RFC 2392 §2) and the usual HTML escape.
fn content_id(url: &str) -> Option<String> {
    let (scheme, id) = url.trim().split_at_checked(4)?;
    let is_cid = scheme.eq_ignore_ascii_case("cid:");
    is_cid.then(|| percent_decode_str(&id.replace("&amp;", "&")).decode_utf8_lossy().into_owned())
}

/// The last word on an attribute: nothing that a browser would fetch by itself stays.
fn filter<'v>(
    attribute: &str,
    value: &'v str,
    pictures: &HashMap<String, String>,
    room: &AtomicUsize,
) -> Option<Cow<'v, str>> {
    match (attribute, content_id(value)) {
        ("src", Some(id)) => pictures.get(&id).filter(|url| fits(url, room)).cloned().map(Cow::Owned),
        // Without a base, only a whole URL means something (RFC 3986 §5.1); `//host` is a relative one.
        ("href", _) => Url::parse(value).is_ok().then_some(Cow::Borrowed(value)),
        ("src" | "srcset" | "background" | "poster" | "cite", _) => None,
        ("style", _) => is_plain_style(value).then_some(Cow::Borrowed(value)),
        _ => Some(Cow::Borrowed(value)),
    }
}

/// Whether there is room for one more address.
fn fits(url: &str, room: &AtomicUsize) -> bool {
    room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(url.len())).is_ok()
}

/// No function but colours, no escape that could spell one.
fn is_plain_style(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let colours = lower.replace("rgba(", "").replace("rgb(", "").replace("hsl(", "").replace("hsla(", "");
    !colours.contains(['(', '\\', '@', '<'])
}
