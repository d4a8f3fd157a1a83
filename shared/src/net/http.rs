//! HTTP requests to hosts that somebody else names: one connection each, over the same vetted addresses as mail.
//!
//! No redirect is followed, because it would lead where nobody looked; no cookie, no proxy, no compression. What comes
//! back is capped in size and time. https always checks the certificate; http goes to the operator's own allowed
//! networks only.

use std::fmt;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{Error as NetError, Network, server_name};

/// How we name ourselves.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("Halfpenny/", env!("CARGO_PKG_VERSION")));

/// One request. `Debug` shows neither query, headers nor body: any of them may hold a secret.
pub struct Request {
    /// GET or POST.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Beside Host, User-Agent and the length.
    pub headers: HeaderMap,
    /// What is sent.
    pub body: Bytes,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .finish_non_exhaustive()
    }
}

impl Request {
    /// GET.
    pub fn get(url: Url) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// POST of JSON.
    pub fn json(url: Url, body: Vec<u8>) -> Self {
        let kind = HeaderValue::from_static("application/json");
        Self {
            method: Method::POST,
            url,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, kind)]),
            body: Bytes::from(body),
        }
    }

    /// POST of a form (`application/x-www-form-urlencoded`).
    pub fn form(url: Url, fields: &[(&str, &str)]) -> Self {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        Self {
            method: Method::POST,
            url,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, kind)]),
            body: Bytes::from(body.finish()),
        }
    }
}

/// A whole answer. `Debug` shows its status only.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Why no answer came about. For the log: a caller who chose the URL is told less.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither http nor https, or no host.
    #[error("this is no URL that can be fetched")]
    Url,
    /// No connection.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The TLS handshake failed.
    #[error("no TLS: {0}")]
    Tls(#[source] std::io::Error),
    /// The deadline passed.
    #[error("no answer in time")]
    Timeout,
    /// The body is larger than it may be.
    #[error("an answer of over {0} bytes")]
    TooLarge(usize),
    /// The peer broke the protocol or the connection.
    #[error("the peer broke off")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Network {
    /// Sends a request and reads the answer, whatever its status; a body of over `most` bytes is an error.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn fetch(&self, request: Request, most: usize, until: Instant) -> Result<Answer, Error> {
        timeout_at(until, self.fetched(request, most, until)).await.map_err(|_| Error::Timeout)?
    }

    /// Sends a request and reads the status of the answer alone: its body is nobody's business, however long it is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn status(&self, request: Request, until: Instant) -> Result<u16, Error> {
        let answer = timeout_at(until, self.sent(request, None, until)).await.map_err(|_| Error::Timeout)??;
        Ok(answer.status)
    }

    async fn fetched(&self, request: Request, most: usize, until: Instant) -> Result<Answer, Error> {
        self.sent(request, Some(most), until).await
    }

    /// `most`: how much of a body is read at most; none: no body is read.
    async fn sent(&self, request: Request, most: Option<usize>, until: Instant) -> Result<Answer, Error> {
        let host = request.url.host_str().ok_or(Error::Url)?.to_owned();
        let port = request.url.port_or_known_default().ok_or(Error::Url)?;
        match request.url.scheme() {
            "https" => {
                let name = server_name(&host)?;
                let (tcp, _) = self.connect(&host, port, until).await?;
                exchange(self.tls(true).connect(name, tcp).await.map_err(Error::Tls)?, request, most).await
            }
            "http" => {
                let (tcp, _) = self.connect_inside(&host, port, until).await?;
                exchange(tcp, request, most).await
            }
            _ => Err(Error::Url),
        }
    }
}

async fn exchange<S>(stream: S, request: Request, most: Option<usize>) -> Result<Answer, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let request = prepared(request)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let asking = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = answer.into_parts();
        let body = match most {
            Some(most) => read(body, most).await?,
            None => Bytes::new(),
        };
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    };
    tokio::pin!(asking, connection);
    tokio::select! {
        answer = &mut asking => answer,
        ended = &mut connection => {
            // The connection may end with the last byte of the answer, which is then complete.
            ended.map_err(broken)?;
            asking.await
        }
    }
}

/// A body, counted as it comes: what the peer announces is believed only where it is too much.
async fn read(mut body: Incoming, most: usize) -> Result<Bytes, Error> {
    let announced = body.size_hint().lower();
    if announced > most as u64 {
        return Err(Error::TooLarge(most));
    }
    // Room for all of it at once: grown in steps, a large file would be in memory twice.
    let mut whole = Vec::with_capacity(usize::try_from(announced).unwrap_or(most));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if data.len() > most - whole.len() {
            return Err(Error::TooLarge(most));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.into())
}

fn prepared(request: Request) -> Result<http::Request<Full<Bytes>>, Error> {
    let target = &request.url[url::Position::BeforePath..url::Position::AfterQuery];
    let authority = &request.url[url::Position::BeforeHost..url::Position::AfterPort];
    let mut message = http::Request::new(Full::new(request.body.clone()));
    *message.method_mut() = request.method;
    *message.uri_mut() = target.parse::<Uri>().map_err(|_| Error::Url)?;
    *message.headers_mut() = request.headers;
    message.headers_mut().insert(HOST, HeaderValue::from_str(authority).map_err(|_| Error::Url)?);
    message.headers_mut().insert(USER_AGENT, AGENT);
    if !request.body.is_empty() {
        message.headers_mut().insert(CONTENT_LENGTH, request.body.len().into());
    }
    Ok(message)
}

fn broken(error: hyper::Error) -> Error {
    Error::Broken(error.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::mail::Timeouts;

    fn network(allow: &str) -> Network {
        Network::new(allow, &[], None, Timeouts::default()).unwrap()
    }

    /// A server that gives this answer to one request, and what it was asked.
    async fn server(answer: &'static str) -> (Url, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/a/b?c=d%20e", listener.local_addr().unwrap())).unwrap();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let read = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
            String::from_utf8_lossy(&asked[..read]).into_owned()
        });
        (url, asked)
    }

    async fn fetch(answer: &'static str, most: usize) -> Result<Answer, Error> {
        let (url, _) = server(answer).await;
        network("127.0.0.1").fetch(Request::get(url), most, Instant::now() + Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn a_form_goes_out_and_an_answer_comes_back_whatever_its_status() {
        let (url, asked) =
            server("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 2\r\n\r\nhi").await;
        let authority = url.authority().to_owned();
        let request = Request::form(url, &[("grant_type", "refresh_token"), ("refresh_token", "a&b")]);
        assert!(!format!("{request:?}").contains("refresh"), "{request:?}");
        let answer = network("127.0.0.1").fetch(request, 2, Instant::now() + Duration::from_secs(5)).await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (302, &b"hi"[..]));
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("POST /a/b?c=d%20e HTTP/1.1\r\n"), "{asked}");
        assert!(
            asked.contains(&format!("host: {authority}\r\n")) && asked.contains("user-agent: Halfpenny/"),
            "{asked}"
        );
        assert!(asked.ends_with("\r\n\r\ngrant_type=refresh_token&refresh_token=a%26b"), "{asked}");
    }

    #[tokio::test]
    async fn size_time_and_protocol_have_limits() {
        let two = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
        assert_eq!(fetch(two, 2).await.unwrap().body, "hi");
        assert!(matches!(fetch(two, 1).await, Err(Error::TooLarge(1))));
        let (url, _) = server("HTTP/1.1 410 Gone\r\ncontent-length: 99999999\r\n\r\nhi").await;
        let soon = Instant::now() + Duration::from_secs(5);
        assert_eq!(network("127.0.0.1").status(Request::get(url), soon).await.unwrap(), 410);
        assert_eq!(fetch("HTTP/1.0 200 OK\r\n\r\nuntil the end", 100).await.unwrap().body, "until the end");
        assert!(matches!(fetch("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi", 100).await, Err(Error::Broken(_))));
        assert!(matches!(fetch("220 smtp\r\n", 100).await, Err(Error::Broken(_))));
        let (url, _) = server("").await;
        let soon = Instant::now() + Duration::from_millis(50);
        assert!(matches!(network("127.0.0.1").fetch(Request::get(url), 1, soon).await, Err(Error::Timeout)));
    }

    #[tokio::test]
    async fn nothing_leaves_unencrypted_but_into_allowed_networks() {
        for (allow, url) in [
            ("", "http://127.0.0.1:9/"),
            ("", "https://127.0.0.1:9/"),
            ("10.0.0.0/8", "http://127.0.0.1:9/"),
            ("127.0.0.1", "http://192.0.2.1/"),
            ("127.0.0.1", "http://8.8.8.8/"),
            ("127.0.0.1", "https://169.254.169.254/latest/meta-data"),
        ] {
            let request = Request::get(Url::parse(url).unwrap());
            let until = Instant::now() + Duration::from_secs(5);
            let error = network(allow).fetch(request, 1, until).await.unwrap_err();
            assert!(matches!(error, Error::Net(NetError::NotAllowed)), "{url} with {allow:?}: {error:?}");
        }
        let request = Request::get(Url::parse("ftp://127.0.0.1/").unwrap());
        let error = network("127.0.0.1").fetch(request, 1, Instant::now() + Duration::from_secs(5)).await.unwrap_err();
        assert!(matches!(error, Error::Url), "{error:?}");
    }
}
