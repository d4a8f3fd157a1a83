//! Tag soup to small, well-nested HTML, in linear time and without judging what is safe.
//!
//! Every tag that comes out is closed in its place, names and attributes are counted, values are quoted, and a `<`
//! that begins no tag is escaped: the parser behind has nothing left to guess, and so nothing to blow up. Foreign
//! content (SVG, MathML) and everything that is not text (scripts, styles, comments) is left out as a whole.

/// Levels; the mails of table builders have about 60.
const MAX_DEPTH: usize = 250;
/// Attributes of one tag.
const MAX_ATTRIBUTES: usize = 50;

/// Longest value of an attribute; links of trackers have up to 4 KB.
const MAX_VALUE: usize = 8 * 1024;
/// Longest text in one piece: the serialiser behind looks through the rest of a text at each `&`.
const MAX_TEXT: usize = 4 * 1024;

/// Elements without content.
const VOID: [&str; 17] = [
    "area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "keygen", "link",
    "meta", "param", "source", "wbr",
];
/// Elements that go with all they hold.
const DROPPED: [&str; 18] = [
    "applet",
    "audio",
    "iframe",
    "math",
    "noembed",
    "noframes",
    "noscript",
    "object",
    "plaintext",
    "script",
    "select",
    "style",
    "svg",
    "template",
    "textarea",
    "title",
    "video",
    "xmp",
];
/// Elements that make up a table; an end tag of another kind does not reach beyond its cell.
const TABLE: [&str; 8] = ["table", "tbody", "thead", "tfoot", "tr", "td", "th", "caption"];

/// Rewrites `source`.
pub(super) fn normalise(source: &str) -> String {
    let mut writer = Writer { out: String::with_capacity(source.len()), open: Vec::new() };
    let mut rest = source;
    while let Some(at) = memchr::memchr(b'<', rest.as_bytes()) {
        let (text, markup) = rest.split_at(at);
        writer.text(text);
        rest = writer.markup(markup);
    }
    writer.text(rest);
    writer.close_to(0);
    writer.out
}

struct Writer {
    out: String,
    /// Names of what is open, outermost first.
    open: Vec<String>,
}

impl Writer {
    /// Cuts long text into pieces by comments, which are gone in the end, and never within a character reference.
    fn text(&mut self, text: &str) {
        let mut begun = 0;
        for at in memchr::memchr_iter(b'&', text.as_bytes()) {
            if at - begun > MAX_TEXT {
                self.out.push_str(text.get(begun..at).unwrap_or_default());
                self.out.push_str("<!---->");
                begun = at;
            }
        }
        self.out.push_str(text.get(begun..).unwrap_or_default());
    }

    /// Takes what begins with `<` and gives what is behind it.
    fn markup<'s>(&mut self, markup: &'s str) -> &'s str {
        let inner = markup.get(1..).unwrap_or_default();
        if let Some(comment) = inner.strip_prefix("!--") {
            return after(comment, "-->");
        }
        match inner.as_bytes().first() {
            Some(b'!' | b'?') => after(inner, ">"),
            Some(b'/') => {
                let tag = Tag::read(inner.get(1..).unwrap_or_default());
                self.end(&tag.name);
                tag.rest
            }
            Some(letter) if letter.is_ascii_alphabetic() => self.start(Tag::read(inner)),
            _ => {
                self.out.push_str("&lt;");
                inner
            }
        }
    }

    fn start<'s>(&mut self, tag: Tag<'s>) -> &'s str {
        let name = tag.name.as_str();
        if DROPPED.contains(&name) {
            return after_element(tag.rest, name);
        }
        self.imply_ends(name);
        let is_void = VOID.contains(&name);
        if !name.bytes().all(|b| b.is_ascii_alphanumeric()) || (!is_void && self.open.len() >= MAX_DEPTH) {
            return tag.rest;
        }
        self.out.push('<');
        self.out.push_str(name);
        for (index, (attribute, value)) in tag.attributes.iter().enumerate() {
            let repeated =
                tag.attributes.iter().take(index).any(|(earlier, _)| earlier.eq_ignore_ascii_case(attribute));
            let plain = attribute.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if plain && !repeated && value.len() <= MAX_VALUE {
                let value = value.replace('"', "&quot;").replace('<', "&lt;");
                self.out.push_str(&format!(" {attribute}=\"{value}\""));
            }
        }
        self.out.push('>');
        if !is_void {
            self.open.push(tag.name);
        }
        tag.rest
    }

    /// Ends an element and what is still open in it; an end tag without a start is dropped.
    fn end(&mut self, name: &str) {
        let in_table = TABLE.contains(&name);
        let is_border =
            |open: &str| !in_table && TABLE.contains(&open) || in_table && name != "table" && open == "table";
        for (index, open) in self.open.iter().enumerate().rev() {
            if open == name {
                return self.close_to(index);
            }
            if is_border(open) {
                return;
            }
        }
    }

    /// Elements whose end tag may be left out end where the next of their kind begins (HTML §13.1.2.4).
    fn imply_ends(&mut self, name: &str) {
        let (ended, border): (&[&str], &[&str]) = match name {
            "li" => (&["li"], &["ul", "ol"]),
            "dt" | "dd" => (&["dt", "dd"], &["dl"]),
            "td" | "th" => (&["td", "th"], &["tr", "table"]),
            "tr" => (&["tr"], &["table"]),
            "tbody" | "thead" | "tfoot" => (&["tbody", "thead", "tfoot"], &["table"]),
            "p" | "div" | "table" | "ul" | "ol" | "dl" | "pre" | "blockquote" | "hr" | "center" | "h1" | "h2"
            | "h3" | "h4" | "h5" | "h6" => (&["p"], &["td", "th", "table", "div", "li", "blockquote", "center"]),
            _ => return,
        };
        for (index, open) in self.open.iter().enumerate().rev() {
            if ended.contains(&open.as_str()) {
                return self.close_to(index);
            }
            if border.contains(&open.as_str()) {
                return;
            }
        }
    }

    fn close_to(&mut self, depth: usize) {
        while self.open.len() > depth {
            if let Some(name) = self.open.pop() {
                self.out.push_str(&format!("</{name}>"));
            }
        }
    }
}

fn after<'s>(text: &'s str, end: &str) -> &'s str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

/// Behind the end tag of `name`, or at the end of all.
fn after_element<'s>(text: &'s str, name: &str) -> &'s str {
    for at in memchr::memmem::find_iter(text.as_bytes(), b"</") {
        let inner = text.get(at + 2..).unwrap_or_default();
        if inner.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return after(inner, ">");
        }
    }
    ""
}

/// A start or end tag, read as HTML §13.2.5.6 to §13.2.5.40 says.
struct Tag<'s> {
    name: String,
    attributes: Vec<(&'s str, &'s str)>,
    rest: &'s str,
}

impl<'s> Tag<'s> {
    fn read(text: &'s str) -> Self {
        let (name, mut rest) = split_where(text, |c| is_space(c) || c == '/' || c == '>');
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start_matches(|c| is_space(c) || c == '/');
            if let Some(behind) = rest.strip_prefix('>') {
                return Self { name: name.to_ascii_lowercase(), attributes, rest: behind };
            }
            if rest.is_empty() {
                // A tag that the end cuts off is none.
                return Self { name: String::from("-"), attributes: Vec::new(), rest };
            }
            let (attribute, value, behind) = attribute(rest);
            if attributes.len() < MAX_ATTRIBUTES {
                attributes.push((attribute, value));
            }
            rest = behind;
        }
    }
}

fn attribute(text: &str) -> (&str, &str, &str) {
    // A first "=" belongs to the name.
    let skip = text.chars().next().map_or(0, char::len_utf8);
    let end = text.get(skip..).unwrap_or_default();
    let length = skip + split_where(end, |c| is_space(c) || matches!(c, '/' | '>' | '=')).0.len();
    let (name, behind) = text.split_at(length);
    let Some(value) = behind.trim_start_matches(is_space).strip_prefix('=') else {
        return (name, "", behind);
    };
    let value = value.trim_start_matches(is_space);
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let (value, rest) = value.get(1..).unwrap_or_default().split_once(quote).unwrap_or_default();
            (name, value, rest)
        }
        _ => {
            let (value, rest) = split_where(value, |c| is_space(c) || c == '>');
            (name, value, rest)
        }
    }
}

fn split_where(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c')
}
