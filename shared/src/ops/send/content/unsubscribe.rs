//! List-Unsubscribe (RFC 2369 §3.2) and its one-click form (RFC 8058).

use url::Url;

use crate::mail::compose;
use crate::model::FieldError;
use crate::model::content::ListUnsubscribe;

/// Longest URL: a header line has to hold it, and it cannot be folded.
const URL_BYTES: usize = 800;

/// The header fields, or what is wrong with the wish.
pub(super) fn headers(wish: &ListUnsubscribe) -> Result<Vec<(String, Vec<String>)>, FieldError> {
    let mailto = wish.mailto.as_deref().map(mailto).transpose()?;
    let page = wish.url.as_deref().map(page).transpose()?;
    if wish.one_click && page.is_none() {
        let detail = "one click needs an https page (RFC 8058 §3.1): give url";
        return Err(FieldError::new("/listUnsubscribe/url", "missing", detail));
    }
    let ways: Vec<String> = mailto.into_iter().chain(page).map(|url| format!("<{url}>")).collect();
    if ways.is_empty() {
        return Err(FieldError::new("/listUnsubscribe", "missing", "give mailto, url or both"));
    }
    let mut headers = vec![("List-Unsubscribe".to_owned(), vec![ways.join(", ")])];
    if wish.one_click {
        headers.push(("List-Unsubscribe-Post".to_owned(), vec!["List-Unsubscribe=One-Click".to_owned()]));
    }
    Ok(headers)
}

fn mailto(given: &str) -> Result<String, FieldError> {
    let wrong = || {
        let detail = "an address, or a mailto: URL (RFC 6068)";
        FieldError::new("/listUnsubscribe/mailto", "invalid_value", detail)
    };
    let url = if given.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("mailto:")) {
        given.to_owned()
    } else {
        let spec = compose::addr_spec(given).map_err(|_| wrong())?;
        format!("mailto:{}", spec.address)
    };
    let url = Url::parse(&url).map_err(|_| wrong())?;
    let fits = url.as_str().len() <= URL_BYTES && url.path().contains('@') && is_bare(url.as_str());
    if fits { Ok(url.into()) } else { Err(wrong()) }
}

fn page(given: &str) -> Result<String, FieldError> {
    let url = Url::parse(given).ok().filter(|url| url.scheme() == "https" && url.has_host());
    match url.filter(|url| url.as_str().len() <= URL_BYTES && is_bare(url.as_str())) {
        Some(url) => Ok(url.into()),
        None => {
            let detail = format!("an https URL of at most {URL_BYTES} bytes");
            Err(FieldError::new("/listUnsubscribe/url", "invalid_value", detail))
        }
    }
}

/// Nothing in it ends the angle brackets or the list (RFC 2369 §2).
fn is_bare(url: &str) -> bool {
    url.bytes().all(|b| b.is_ascii_graphic() && !b"<>,\"".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(mailto: Option<&str>, url: Option<&str>, one_click: bool) -> Result<Vec<(String, Vec<String>)>, String> {
        let wish = ListUnsubscribe { mailto: mailto.map(str::to_owned), url: url.map(str::to_owned), one_click };
        headers(&wish).map_err(|error| error.pointer)
    }

    #[test]
    fn both_ways_and_one_click() {
        let all = wish(Some("out@example.com"), Some("https://example.com/out?u=1"), true).unwrap();
        let value = "<mailto:out@example.com>, <https://example.com/out?u=1>".to_owned();
        assert_eq!(all[0], ("List-Unsubscribe".to_owned(), vec![value]));
        assert_eq!(all[1], ("List-Unsubscribe-Post".to_owned(), vec!["List-Unsubscribe=One-Click".to_owned()]));
        assert_eq!(wish(Some("mailto:out@example.com?subject=unsubscribe"), None, false).unwrap().len(), 1);
    }

    #[test]
    fn what_no_reader_could_use_is_refused() {
        assert_eq!(wish(None, None, false).unwrap_err(), "/listUnsubscribe");
        assert_eq!(wish(Some("out@example.com"), None, true).unwrap_err(), "/listUnsubscribe/url");
        for url in ["http://example.com/", "https://", "javascript:x", "https://example.com/a,b"] {
            assert_eq!(wish(None, Some(url), false).unwrap_err(), "/listUnsubscribe/url", "{url}");
        }
        for mailto in ["nobody", "mailto:", "a@b.example>, <https://evil.example"] {
            assert_eq!(wish(Some(mailto), None, false).unwrap_err(), "/listUnsubscribe/mailto", "{mailto}");
        }
    }
}
