//! The byte stream of a session: reading, its transcript, and every way of answering badly.

mod answer;
mod stream;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::script::{Ending, Origin, Plan, Stall};
use crate::transcript::Transcript;
pub(crate) use answer::{Answer, Next};
use stream::Stream;

/// Longer command lines are refused; the longest that RFCs allow is AUTH with 12,288 octets (RFC 4954 §4).
const LINE_LIMIT: usize = 64 * 1024;
/// How long a closed connection is still read, so that unread bytes do not turn our FIN into a reset
/// that takes the last answer with it.
const LINGER: Duration = Duration::from_secs(2);
/// Segments up to this size go out in one write.
const COALESCE: usize = 64 * 1024;

/// What came from the client.
#[derive(Debug)]
pub(crate) enum Read {
    /// A line with its end.
    Line(Bytes),
    /// A line beyond the limit; what follows cannot be understood.
    TooLong,
    /// The client has closed.
    End,
}

/// Whether the session goes on after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Open,
    Closed,
}

/// A session's stream.
pub(crate) struct Wire {
    stream: Stream,
    buffer: BytesMut,
    origin: Origin,
    transcript: Arc<Transcript>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, origin: Origin, transcript: Arc<Transcript>) -> Self {
        Self { stream: Stream::Plain(stream), buffer: BytesMut::new(), origin, transcript }
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Does the TLS handshake. What the client sent before it, behind its STARTTLS, is thrown away
    /// (RFC 3207 §4.2, CVE-2011-0411).
    pub(crate) async fn secure(&mut self, acceptor: &TlsAcceptor) -> io::Result<()> {
        self.buffer.clear();
        match std::mem::replace(&mut self.stream, Stream::Gone) {
            Stream::Plain(tcp) => {
                self.stream = Stream::Tls(Box::new(acceptor.accept(tcp).await?));
                Ok(())
            }
            Stream::Tls(_) | Stream::Gone => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Reads to the next LF.
    pub(crate) async fn line(&mut self) -> io::Result<Read> {
        let mut searched = 0;
        loop {
            let fresh = self.buffer.get(searched..).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', fresh) {
                let line = self.buffer.split_to(searched + at + 1).freeze();
                self.record(true, &line);
                return Ok(Read::Line(line));
            }
            searched = self.buffer.len();
            if searched > LINE_LIMIT {
                self.record(true, &self.buffer);
                return Ok(Read::TooLong);
            }
            if self.fill().await? == 0 {
                self.record_rest();
                return Ok(Read::End);
            }
        }
    }

    /// Reads exactly n bytes; `None` if the client closes before.
    pub(crate) async fn exactly(&mut self, n: usize) -> io::Result<Option<Bytes>> {
        while self.buffer.len() < n {
            if self.fill().await? == 0 {
                self.record_rest();
                return Ok(None);
            }
        }
        let bytes = self.buffer.split_to(n).freeze();
        self.record(true, &bytes);
        Ok(Some(bytes))
    }

    /// Reads to the end of SMTP data, CRLF `.` CRLF and nothing else (RFC 5321 §4.1.1.4), final dot included.
    /// Of more than `limit` bytes the rest is read and thrown away. `None` if the client closes before.
    pub(crate) async fn data(&mut self, limit: usize) -> io::Result<Option<Bytes>> {
        const END: &[u8] = b"\r\n.\r\n";
        // The CRLF of the DATA line counts as the first: `.` CRLF at once is an empty message.
        let mut data = BytesMut::from(&b"\r\n"[..]);
        loop {
            let from = data.len().saturating_sub(END.len() - 1);
            data.extend_from_slice(&self.buffer.split());
            let found = memchr::memmem::find(data.get(from..).unwrap_or_default(), END);
            if let Some(at) = found {
                self.buffer = data.split_off(from + at + END.len());
                let data = data.split_off(2).freeze();
                self.record(true, &data);
                return Ok(Some(data));
            }
            if data.len() > limit + END.len() {
                // Keeps what tells "too long", and the last bytes, where the end may have begun.
                let tail = data.get(data.len() - END.len()..).unwrap_or_default().to_vec();
                data.truncate(limit + 1);
                data.extend_from_slice(&tail);
            }
            if self.fill().await? == 0 {
                self.record(true, &data);
                return Ok(None);
            }
        }
    }

    /// Sends bytes as they are: an IMAP continuation request.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.record(false, bytes);
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Gives an answer as the plan wants it; `tag` is that of an IMAP command.
    pub(crate) async fn answer(&mut self, answer: Answer, plan: &Plan, tag: &str) -> io::Result<Fate> {
        match plan.stall {
            Some(Stall::Forever) => return self.read_until_closed().await,
            Some(Stall::For(time)) => sleep(time).await,
            None => {}
        }
        let next = answer.next;
        let mut segments = answer::arrange(answer, plan, tag);
        if let Some(limit) = plan.cut_after {
            answer::cut(&mut segments, limit);
        }
        self.record_answer(&segments);
        match plan.bytes_per_second {
            Some(speed) => self.drip(&segments, speed.get()).await?,
            None => self.write(&segments).await?,
        }
        if let Some(bytes) = &plan.endless {
            self.repeat(bytes, plan).await?;
        }
        match (plan.ending, next) {
            (Some(Ending::Dropped), _) => self.drop_tcp().await.map(|()| Fate::Closed),
            (Some(Ending::Orderly), _) | (None, Next::Close) => self.close().await.map(|()| Fate::Closed),
            (None, Next::Read | Next::Secure) => Ok(Fate::Open),
        }
    }

    async fn write(&mut self, segments: &[Bytes]) -> io::Result<()> {
        let mut small = Vec::new();
        for segment in segments {
            if small.len() + segment.len() > COALESCE {
                self.stream.write_all(&small).await?;
                small.clear();
            }
            if segment.len() > COALESCE {
                self.stream.write_all(segment).await?;
            } else {
                small.extend_from_slice(segment);
            }
        }
        self.stream.write_all(&small).await?;
        self.stream.flush().await
    }

    async fn drip(&mut self, segments: &[Bytes], bytes_per_second: u32) -> io::Result<()> {
        // At most ten writes a second, so that a high speed is reached as well.
        let chunk = usize::try_from((bytes_per_second / 10).max(1)).unwrap_or(usize::MAX);
        for piece in segments.iter().flat_map(|segment| segment.chunks(chunk)) {
            self.stream.write_all(piece).await?;
            self.stream.flush().await?;
            let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            sleep(Duration::from_secs(1) * length / bytes_per_second).await;
        }
        Ok(())
    }

    async fn repeat(&mut self, bytes: &Bytes, plan: &Plan) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        match plan.bytes_per_second {
            Some(speed) => loop {
                self.drip(std::slice::from_ref(bytes), speed.get()).await?;
            },
            None => {
                let block = bytes.repeat((COALESCE / bytes.len()).max(1));
                loop {
                    self.stream.write_all(&block).await?;
                }
            }
        }
    }

    async fn read_until_closed(&mut self) -> io::Result<Fate> {
        while self.fill().await? > 0 {
            self.record_rest();
        }
        Ok(Fate::Closed)
    }

    /// Closes in order, with TLS close_notify.
    pub(crate) async fn close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        self.linger().await;
        Ok(())
    }

    /// Sends FIN below TLS: the client sees its stream cut.
    async fn drop_tcp(&mut self) -> io::Result<()> {
        self.stream = match std::mem::replace(&mut self.stream, Stream::Gone) {
            Stream::Tls(tls) => Stream::Plain(tls.into_inner().0),
            other => other,
        };
        self.stream.shutdown().await?;
        self.linger().await;
        Ok(())
    }

    async fn linger(&mut self) {
        let mut scratch = [0; 4096];
        // The session is over: neither the client's last bytes nor their failure matter.
        let _ = timeout(LINGER, async { while matches!(self.stream.read(&mut scratch).await, Ok(1..)) {} }).await;
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(16 * 1024);
        self.stream.read_buf(&mut self.buffer).await
    }

    fn record(&self, from_client: bool, bytes: &[u8]) {
        self.transcript.record(self.origin, from_client, self.is_tls(), &[bytes]);
    }

    fn record_answer(&self, segments: &[Bytes]) {
        let segments: Vec<&[u8]> = segments.iter().map(AsRef::as_ref).collect();
        self.transcript.record(self.origin, false, self.is_tls(), &segments);
    }

    /// What the client sent without a line end before it closed.
    fn record_rest(&mut self) {
        if !self.buffer.is_empty() {
            let rest = self.buffer.split();
            self.record(true, &rest);
        }
    }
}
