use super::{Remote, text};

fn html(source: &str, cid: impl Fn(&str) -> Option<String>) -> String {
    super::html(source, Remote::Blocked, cid)
}

/// The parts of a message that has a picture `logo@x`.
fn parts(id: &str) -> Option<String> {
    (id == "logo@x").then(|| "/parts/3".to_owned())
}

#[track_caller]
fn check(source: &str, expected: &str) {
    assert_eq!(html(source, parts), expected, "source: {source}");
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    check("<img src=\"https://evil.example/p.gif\" alt=\"a\">", "<img alt=\"a\">");
    check("<img src=//evil.example/p.gif>", "<img>");
    check("<img srcset=\"https://evil.example/p.gif 2x\">", "<img>");
    check("<img src=\"data:image/png;base64,AAAA\">", "<img>");
    check(
        "<table background=\"https://evil.example/p.gif\"><tr><td>x</td></tr></table>",
        "<table><tbody><tr><td>x</td></tr></tbody></table>",
    );
    check("<p style=\"background:url(https://evil.example/p)\">x</p>", "<p>x</p>");
    check("<p style=\"color:url(https://evil.example/p)\">x</p>", "<p>x</p>");
    check("<p style=\"color:u\\72l(https://evil.example/p)\">x</p>", "<p>x</p>");
    check("<style>@import url(https://evil.example/a.css);</style>x", "x");
    check("<link rel=stylesheet href=https://evil.example/a.css><base href=https://evil.example/>x", "x");
    check("<meta http-equiv=refresh content=\"0;url=https://evil.example/\">x", "x");
    check("<video poster=https://evil.example/a src=https://evil.example/b></video>x", "x");
    check("<iframe src=https://evil.example/></iframe>x", "x");
    check("<svg><image href=https://evil.example/a /></svg>x", "x");
    check("<blockquote cite=https://evil.example/>x</blockquote>", "<blockquote>x</blockquote>");
    check("<map name=m><area href=https://evil.example/></map>x", "x");
}

#[test]
fn nothing_runs() {
    check("<script>alert(1)</script>x", "x");
    check("<a href=\"javascript:alert(1)\">x</a>", "<a target=\"_blank\" rel=\"noopener noreferrer nofollow\">x</a>");
    check(
        "<a href=\"&#106;avascript:alert(1)\">x</a>",
        "<a target=\"_blank\" rel=\"noopener noreferrer nofollow\">x</a>",
    );
    check("<img src=x onerror=alert(1)>", "<img>");
    check("<p onclick='alert(1)'>x</p>", "<p>x</p>");
    check("<form action=https://evil.example/><input name=a><button>b</button></form>", "b");
    check("<svg/onload=alert(1)>x", "");
    check(
        "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>x",
        "x",
    );
    check("<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">", "<img>\"&gt;");
    check("<!--><img src=x onerror=alert(1)>-->x", "x");
    check(
        "<p title='\"><img src=x onerror=alert(1)>'>x</p>",
        "<p title=\"&quot;&gt;&lt;img src=x onerror=alert(1)&gt;\">x</p>",
    );
    check("<scr<script>ipt>alert(1)</script>", "ipt&gt;alert(1)");
    check("a < b <c", "a &lt; b ");
}

#[test]
fn pictures_of_the_message_are_shown() {
    check("<img src=\"cid:logo@x\">", "<img src=\"/parts/3\">");
    check("<img src=\"CID:logo%40x\">", "<img src=\"/parts/3\">");
    check("<img src=\"cid:other@x\">", "<img>");
}

#[test]
fn what_is_harmless_stays() {
    check(
        "<a href=\"https://example.com/?a=1&amp;b=2\">x</a>",
        "<a href=\"https://example.com/?a=1&amp;b=2\" target=\"_blank\" rel=\"noopener noreferrer nofollow\">x</a>",
    );
    check("<a href=\"/rel\">x</a>", "<a rel=\"noopener noreferrer nofollow\" target=\"_blank\">x</a>");
    check("<p style=\"color:red;position:fixed\">x</p>", "<p style=\"color:red\">x</p>");
    check("<font color=red face=Arial>x</font>", "<font color=\"red\" face=\"Arial\">x</font>");
    check("zażółć &amp; <b>gęślą</b>", "zażółć &amp; <b>gęślą</b>");
    check("<o:p>x</o:p>", "x");
}

#[test]
fn soup_is_nested() {
    check("<ul><li>a<li>b</ul>c", "<ul><li>a</li><li>b</li></ul>c");
    check("<p>a<p>b", "<p>a</p><p>b</p>");
    check(
        "<table><tr><td>a<td>b<tr><td>c</table>d",
        "<table><tbody><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></tbody></table>d",
    );
    check(
        "<div><table><tr><td>a</div>b</td></tr></table>c</div>",
        "<div><table><tbody><tr><td>ab</td></tr></tbody></table>c</div>",
    );
    check("<div><b>a</div>b", "<div><b>a</b></div>b");
}

#[test]
fn what_is_too_large_is_text() {
    let source = format!("<p>{}</p><script>x</script>&lt;b&gt;", "a ".repeat(600_000));
    let shown = html(&source, parts);
    assert!(super::is_too_large(&source));
    assert!(shown.starts_with("<pre>"), "{}", &shown[..20]);
    assert!(!shown["<pre>".len()..].contains("<p>"));
}

/// Each of these took a parser more than quadratic time or memory.
#[test]
fn hostile_shapes_complete_and_stay_small() {
    let attributes: String = (0..7_500).map(|i| format!(" a{i}")).collect();
    let quoted: String = (0..5_000).map(|i| format!(" a{i}=\">\"")).collect();
    let formatting: String = (0..2_500).map(|i| format!("<div><b x={i}></div>")).collect();
    let shapes = [
        format!("<a{attributes}>x</a>"),
        format!("<a{quoted}>x</a>"),
        formatting,
        "<div>".repeat(10_000),
        "<b>".repeat(15_000),
        "<p><b>".repeat(7_500),
        "<table><td>".repeat(4_500),
        "<table><b>".repeat(4_500),
        "<a href=x>".repeat(5_000),
        "<".repeat(50_000),
        "</".repeat(25_000),
        "<!".repeat(25_000),
        "<style>".repeat(7_000),
        "<style></".repeat(5_500),
        "<a b='".repeat(8_500),
        "&".repeat(50_000),
        "a&amp;\n".repeat(7_000),
        format!("<a href=\"https://example.com/?{}\">x</a>", "&a".repeat(20_000)),
        "&#x41;".repeat(8_500),
        "\0".repeat(50_000),
    ];
    for shape in shapes {
        let start: String = shape.chars().take(30).collect();
        let shown = html(&shape, parts);
        assert!(shown.len() <= 8 * shape.len(), "{start} grew to {}", shown.len());
    }
}

#[test]
fn a_picture_that_is_used_often_does_not_blow_up_the_page() {
    let url = format!("data:image/png;base64,{}", "A".repeat(100_000));
    let shown = html(&"<img src=\"cid:logo@x\">".repeat(1_000), |_| Some(url.clone()));
    assert!(shown.contains("data:image/png"));
    assert!(shown.len() < super::MAX_PAGE, "{}", shown.len());
}

#[test]
fn pictures_of_others_are_shown_where_that_is_allowed_and_nothing_else_is() {
    let shown = |source: &str| super::html(source, Remote::Allowed, parts);
    assert_eq!(shown("<img src=\"https://example.com/a.png\">"), "<img src=\"https://example.com/a.png\">");
    for blocked in [
        "<img src=\"http://example.com/a.png\">",
        "<img src=\"//example.com/a.png\">",
        "<img src=\"javascript:alert(1)\">",
        "<img srcset=\"https://example.com/a.png 2x\">",
        "<table background=\"https://example.com/a.png\"></table>",
        "<p style=\"background:url(https://example.com/a.png)\">x</p>",
        "<input type=image src=\"https://example.com/a.png\">",
        "<video poster=\"https://example.com/a.png\" src=\"https://example.com/a.mp4\"></video>",
    ] {
        assert!(!shown(blocked).contains("example.com"), "{}", shown(blocked));
    }
}

#[test]
fn html_becomes_text_for_people() {
    assert_eq!(text("<h1>Hi</h1><p>a</p><p>b<br>c</p>").trim(), "# Hi\n\na\n\nb\nc");
    assert_eq!(text("<ul><li>a<li>b</ul>").trim(), "* a\n* b");
    let link = text("<p>See <a href=\"https://example.com/a\">this</a>.</p>");
    assert!(link.contains("[this][1]") && link.contains("[1]: https://example.com/a"), "{link}");
    assert_eq!(text("<style>p{}</style><script>x</script><p>a &amp; b</p>").trim(), "a & b");
    let tables = "<table><tr><td>a</td><td>b</td></tr><tr><td><table><tr><td>c</td></tr></table></td></tr></table>";
    let words: Vec<String> = text(tables).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["a", "b", "c"]);
}
