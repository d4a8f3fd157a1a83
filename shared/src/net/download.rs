//! Files at URLs that a tenant names. Redirects are followed a little way, each of them vetted like the first URL.

use http::StatusCode;
use http::header::{ACCEPT_ENCODING, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, LOCATION};
use tokio::time::Instant;
use url::Url;

use super::Network;
use super::http::{Answer, Error as HttpError, Request};

/// Redirects that are followed.
const REDIRECTS: usize = 3;

/// A file as it came: not a byte of it is decoded or unpacked.
#[derive(Debug)]
pub struct Downloaded {
    /// Its bytes.
    pub bytes: bytes::Bytes,
    /// Content-Disposition (RFC 6266), as it came.
    pub disposition: Option<Vec<u8>>,
    /// Content-Type (RFC 9110 §8.3) without parameters, in lower case.
    pub content_type: Option<String>,
    /// Where it was found in the end.
    pub url: Url,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The URL is none that is fetched: another scheme than https, or a user name in it.
    #[error("this is no URL that can be fetched: give one that begins with https:// and names no user")]
    Url,
    /// More redirects than are followed.
    #[error("over {REDIRECTS} redirects")]
    Redirects,
    /// A redirect without a place to go, or from https to http.
    #[error("a redirect that is not followed: it leads nowhere, or out of https")]
    Redirect,
    /// Another answer than 200.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// The bytes are encoded although nobody asked for it (RFC 9110 §8.4), and nothing is unpacked here.
    #[error("the server sent it compressed although plain bytes were asked for")]
    Encoded,
    /// No answer, or too large a one.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl Network {
    /// Fetches a file of at most `most` bytes.
    ///
    /// # Errors
    /// See [`DownloadError`].
    pub async fn download(&self, url: Url, most: usize, until: Instant) -> Result<Downloaded, DownloadError> {
        let mut url = url;
        for _ in 0..=REDIRECTS {
            if !url.username().is_empty() || url.password().is_some() {
                return Err(DownloadError::Url);
            }
            let mut request = Request::get(url.clone());
            request.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            let answer = self.fetch(request, most, until).await.map_err(|error| match error {
                HttpError::Url => DownloadError::Url,
                error => error.into(),
            })?;
            match redirect(&url, &answer)? {
                Some(next) => url = next,
                None => return file(answer, url),
            }
        }
        Err(DownloadError::Redirects)
    }
}

/// Where an answer sends us (RFC 9110 §15.4); none where it does not.
fn redirect(from: &Url, answer: &Answer) -> Result<Option<Url>, DownloadError> {
    let redirects = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    if !redirects.iter().any(|redirect| redirect.as_u16() == answer.status) {
        return Ok(None);
    }
    let next = answer.headers.get(LOCATION).and_then(|place| from.join(place.to_str().ok()?).ok());
    let next = next.filter(|next| from.scheme() == next.scheme() || next.scheme() == "https");
    next.map(Some).ok_or(DownloadError::Redirect)
}

fn file(answer: Answer, url: Url) -> Result<Downloaded, DownloadError> {
    if answer.status != StatusCode::OK.as_u16() {
        return Err(DownloadError::Status(answer.status));
    }
    let header = |name| answer.headers.get(name).map(HeaderValue::as_bytes);
    if header(CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
        return Err(DownloadError::Encoded);
    }
    let content_type = header(CONTENT_TYPE).map(|kind| String::from_utf8_lossy(kind).to_ascii_lowercase());
    Ok(Downloaded {
        disposition: header(CONTENT_DISPOSITION).map(<[u8]>::to_vec),
        content_type: content_type.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_owned()),
        bytes: answer.body,
        url,
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> Answer {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        Answer { status, headers: HeaderMap::from_iter(headers), body: "x".into() }
    }

    #[test]
    fn a_redirect_leads_on_but_never_out_of_https() {
        let https = Url::parse("https://a.example/b/c?d").unwrap();
        let to = |place: &'static str| redirect(&https, &answer(302, &[("location", place)]));
        assert_eq!(to("../e").unwrap().unwrap().as_str(), "https://a.example/e");
        assert_eq!(to("//b.example/f").unwrap().unwrap().as_str(), "https://b.example/f");
        for place in ["http://a.example/", "ftp://a.example/", "https://", "file:///etc/passwd"] {
            assert!(matches!(to(place), Err(DownloadError::Redirect)), "{place}");
        }
        assert!(matches!(redirect(&https, &answer(307, &[])), Err(DownloadError::Redirect)));
        assert!(redirect(&https, &answer(304, &[])).unwrap().is_none());
        let http = Url::parse("http://a.example/").unwrap();
        assert!(redirect(&http, &answer(301, &[("location", "https://a.example/")])).unwrap().is_some());
    }

    #[test]
    fn only_a_whole_plain_file_is_one() {
        let url = Url::parse("https://a.example/").unwrap();
        let found = file(answer(200, &[("content-type", "Application/PDF; x=y")]), url.clone()).unwrap();
        assert_eq!((found.content_type.as_deref(), &found.bytes[..]), (Some("application/pdf"), &b"x"[..]));
        for status in [201, 204, 206, 304, 404, 500] {
            assert!(matches!(file(answer(status, &[]), url.clone()), Err(DownloadError::Status(_))), "{status}");
        }
        let packed = answer(200, &[("content-encoding", "gzip")]);
        assert!(matches!(file(packed, url), Err(DownloadError::Encoded)));
    }
}
