//! Both bodies from one text in CommonMark.

use pulldown_cmark::{Options, Parser, html};

use crate::model::send::SendRequest;

/// Turns `markdown` into `text`, which it already is, and `html`.
pub(super) fn settle(request: &mut SendRequest) {
    if let Some(source) = request.markdown.take() {
        request.html = Some(to_html(&source));
        request.text = Some(source);
    }
}

fn to_html(source: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut out = String::with_capacity(source.len() * 3 / 2);
    html::push_html(&mut out, Parser::new_ext(source, options));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_gives_both_bodies() {
        let source = "# Hi\n\n* **one**\n* ~~two~~\n\n|a|b|\n|-|-|\n|1|<2|\n";
        let mut request = SendRequest { markdown: Some(source.to_owned()), ..SendRequest::default() };
        settle(&mut request);
        assert_eq!((request.markdown, request.text.as_deref()), (None, Some(source)));
        let html = request.html.unwrap();
        for part in ["<h1>Hi</h1>", "<li><strong>one</strong></li>", "<del>two</del>", "<td>1</td><td>&lt;2</td>"] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }
}
