//! A web server that answers with the bytes it is told, however wrong they are, and counts who asks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is sent.
#[derive(Debug, Clone)]
pub enum Page {
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// A head, and a body that never ends.
    Endless,
    /// A head that never ends.
    EndlessHead,
    /// Nothing, and the connection stays open.
    Silent,
}

/// What was asked: method and path with query, then every header line.
pub type Asked = Vec<String>;

#[derive(Debug, Default)]
struct State {
    pages: HashMap<String, Page>,
    asked: Vec<(Asked, Vec<u8>)>,
}

/// A running server on a loopback port. Unknown paths are 404.
#[derive(Debug, Clone)]
pub struct Web {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Web {
    /// Starts one without pages.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = Self { url: format!("http://{}", listener.local_addr().unwrap()), state: Arc::default() };
        let serving = web.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(serving.clone(), stream));
            }
        });
        web
    }

    /// Puts a page there; returns its URL.
    pub fn put(&self, path: &str, page: Page) -> String {
        self.state().pages.insert(path.to_owned(), page);
        format!("{}{path}", self.url)
    }

    /// Puts a 200 there with these header lines and this body; returns its URL.
    pub fn file(&self, path: &str, headers: &[&str], body: &[u8]) -> String {
        self.answer(path, "200 OK", headers, body)
    }

    /// Puts any answer there; returns its URL.
    pub fn answer(&self, path: &str, status: &str, headers: &[&str], body: &[u8]) -> String {
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {}\r\n\r\n", body.len());
        self.put(path, Page::Raw([head.as_bytes(), body].concat()))
    }

    /// Takes a page away.
    pub fn remove(&self, path: &str) {
        self.state().pages.remove(path);
    }

    /// Every request so far, with its body.
    #[must_use]
    pub fn asked(&self) -> Vec<(Asked, Vec<u8>)> {
        self.state().asked.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

async fn serve(web: Web, mut stream: TcpStream) {
    let mut read = Vec::new();
    let head = loop {
        if let Some(end) = read.windows(4).position(|end| end == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let lines: Asked = String::from_utf8_lossy(&read[..head]).lines().map(str::to_owned).collect();
    let length = lines.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    while read.len() < head + 4 + length.unwrap_or(0) {
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let path = lines[0].split(' ').nth(1).unwrap_or_default().to_owned();
    web.state().asked.push((lines, read.split_off(head + 4)));
    let page = web.state().pages.get(&path).cloned();
    let missing = || Page::Raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\nCANARY".to_vec());
    match page.unwrap_or_else(missing) {
        Page::Raw(bytes) => drop(stream.write_all(&bytes).await),
        Page::Endless => without_end(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 64 << 10]).await,
        Page::EndlessHead => without_end(&mut stream, b"HTTP/1.1 200 OK\r\n", &b"X-More: of it\r\n".repeat(1000)).await,
        Page::Silent => drop(stream.read_to_end(&mut Vec::new()).await),
    }
}

/// Sends the beginning, and then the rest until the other side has had enough.
async fn without_end(stream: &mut TcpStream, beginning: &[u8], rest: &[u8]) {
    let mut going = stream.write_all(beginning).await;
    while going.is_ok() {
        going = stream.write_all(rest).await;
    }
}
