//! One capped line reader and one deadline, for all three protocols.
//!
//! A [`Wire`] owns the byte stream under a protocol client. Whatever a server sends, a wire holds at most one line
//! cap plus one read of it in memory, and no wait outlives the deadline: a slow-loris peer ends in a time-out that
//! names the phase it happened in.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::error::Error;
use super::limits::LINE_BYTES;
use super::trace::Trace;
use crate::model::{Phase, ProbeCode};

/// What a protocol client talks over: a TCP stream, TLS, or a test's pipe.
pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

impl std::fmt::Debug for dyn Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

/// A secured stream, whatever it is made of.
pub type BoxedStream = Box<dyn Stream>;

/// The moment after which nothing waits any more.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// That long from now.
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    /// The nearer of this deadline and one that long from now.
    #[must_use]
    pub fn or_after(self, duration: Duration) -> Self {
        Self(self.0.min(Instant::now() + duration))
    }

    /// The nearer of two.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    /// What is left; zero when it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The instant itself, for `tokio::time`.
    pub fn instant(self) -> Instant {
        self.0
    }
}

/// A stream with a capped read buffer, a deadline, and the phase that errors name.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    buffer: BytesMut,
    deadline: Deadline,
    patience: Duration,
    trace: Trace,
    /// Where the dialogue is: every error names it.
    pub phase: Phase,
}

impl<S: Stream> Wire<S> {
    /// Wraps a stream. No wait is longer than `patience`, and none outlives `deadline`.
    pub fn new(stream: S, phase: Phase, deadline: Deadline, patience: Duration) -> Self {
        Self { stream, buffer: BytesMut::with_capacity(16 << 10), deadline, patience, trace: Trace::default(), phase }
    }

    /// Records from now on what passes.
    #[must_use]
    pub fn traced(self, trace: &Trace) -> Self {
        Self { trace: trace.clone(), ..self }
    }

    /// Moves the deadline, for the next stage of the same connection.
    pub fn set_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    /// The deadline as it stands.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Changes how long a single wait may be.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Bytes that have arrived and were not read yet.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// [`Wire::buffered`], after one look at what else has arrived; never waits.
    ///
    /// # Errors
    /// Nothing is left to read and the peer has closed: whatever would be written now, nobody answers it.
    pub fn arrived(&mut self) -> Result<&[u8], Error> {
        if self.buffer.len() <= LINE_BYTES {
            self.buffer.reserve(16 << 10);
            let known = self.buffer.len();
            let read = self.stream.read_buf(&mut self.buffer).now_or_never();
            self.trace.got(self.phase, &self.buffer[known..]);
            match read {
                Some(Ok(0)) if self.buffer.is_empty() => return Err(self.closed()),
                Some(Err(error)) if self.buffer.is_empty() => return Err(self.broken(error)),
                _ => {}
            }
        }
        Ok(&self.buffer)
    }

    /// Gives the stream back. Bytes in the buffer are lost: check [`Wire::buffered`] first.
    pub fn into_stream(self) -> S {
        self.stream
    }

    /// Writes all of it and flushes.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.trace.sent(self.phase, bytes);
        let until = self.deadline.or_after(self.patience).instant();
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match timeout_at(until, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.broken(error)),
            Err(_) => Err(self.timed_out()),
        }
    }

    /// Reads one line, without its CRLF. A lone LF ends a line too: some servers send it.
    pub async fn line(&mut self) -> Result<Bytes, Error> {
        self.line_up_to(LINE_BYTES).await
    }

    /// The same for the few lines that may be longer, such as IMAP's SEARCH (RFC 3501 §7.2.5).
    pub async fn line_up_to(&mut self, most: usize) -> Result<Bytes, Error> {
        let mut searched = 0;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer[searched..]).map(|at| at + searched) {
                let mut line = self.buffer.split_to(end + 1).freeze();
                line.truncate(if line.ends_with(b"\r\n") { end - 1 } else { end });
                return Ok(line);
            }
            searched = self.buffer.len();
            if searched > most {
                return Err(self.error(ProbeCode::ProtocolError, format!("a line of over {most} bytes")));
            }
            self.fill().await?;
        }
    }

    /// Reads exactly `length` bytes and hands them over in pieces as they arrive; memory stays bounded.
    pub async fn exactly(&mut self, mut length: u64, mut sink: impl FnMut(&[u8])) -> Result<(), Error> {
        while length > 0 {
            if self.buffer.is_empty() {
                self.fill().await?;
            }
            let piece = usize::try_from(length).unwrap_or(usize::MAX).min(self.buffer.len());
            sink(&self.buffer[..piece]);
            self.buffer.advance(piece);
            length -= piece as u64;
        }
        Ok(())
    }

    /// Takes what has arrived, waiting for at least one byte.
    pub async fn some(&mut self) -> Result<BytesMut, Error> {
        if self.buffer.is_empty() {
            self.fill().await?;
        }
        Ok(self.buffer.split())
    }

    /// Puts bytes back in front of what will be read next.
    pub fn unread(&mut self, rest: BytesMut) {
        let behind = std::mem::replace(&mut self.buffer, rest);
        self.buffer.extend_from_slice(&behind);
    }

    /// Reads once more into the buffer; the end of the stream is an error here, because no protocol of ours ends
    /// in the middle of an answer.
    async fn fill(&mut self) -> Result<(), Error> {
        let until = self.deadline.or_after(self.patience).instant();
        self.buffer.reserve(16 << 10);
        let known = self.buffer.len();
        let read = timeout_at(until, self.stream.read_buf(&mut self.buffer)).await;
        self.trace.got(self.phase, &self.buffer[known..]);
        match read {
            Ok(Ok(0)) => Err(self.closed()),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.broken(error)),
            Err(_) => Err(self.timed_out()),
        }
    }

    /// An error in the phase the dialogue is in.
    pub fn error(&self, code: ProbeCode, detail: impl Into<String>) -> Error {
        Error::new(code, self.phase, detail)
    }

    fn closed(&self) -> Error {
        let end = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        self.error(ProbeCode::ProtocolError, "the server closed the connection").because(end)
    }

    fn timed_out(&self) -> Error {
        self.error(
            ProbeCode::Timeout,
            format!("no answer in time (phase {})", format!("{:?}", self.phase).to_lowercase()),
        )
    }

    fn broken(&self, error: std::io::Error) -> Error {
        let code = if self.phase < Phase::Tls { ProbeCode::ConnectFailed } else { ProbeCode::ProtocolError };
        self.error(code, "the connection broke").because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(stream: tokio::io::DuplexStream) -> Wire<tokio::io::DuplexStream> {
        Wire::new(stream, Phase::Auth, Deadline::after(Duration::from_secs(5)), Duration::from_millis(200))
    }

    #[tokio::test]
    async fn lines_end_at_crlf_or_lf_and_the_cap_holds_at_n_plus_one() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        theirs.write_all(b"one\r\ntwo\nthree\r\r\n\r\n").await.unwrap();
        theirs.write_all(&[b'x'; LINE_BYTES]).await.unwrap();
        theirs.write_all(b"\n").await.unwrap();
        let mut wire = wire(ours);
        for expected in ["one", "two", "three\r", ""] {
            assert_eq!(wire.line().await.unwrap(), expected);
        }
        assert_eq!(wire.line().await.unwrap().len(), LINE_BYTES);
        theirs.write_all(&vec![b'x'; 2 * LINE_BYTES]).await.unwrap();
        assert_eq!(wire.line().await.unwrap_err().code, ProbeCode::ProtocolError);
    }

    #[tokio::test]
    async fn a_silent_peer_is_a_timeout_that_names_the_phase() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let error = wire(ours).line().await.unwrap_err();
        assert_eq!((error.code, error.phase), (ProbeCode::Timeout, Phase::Auth));
        assert!(error.is_transient());
    }

    #[tokio::test]
    async fn the_end_of_the_stream_is_an_error_and_exact_reads_stop_where_they_should() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        theirs.write_all(b"0123456789rest\r\n").await.unwrap();
        drop(theirs);
        let mut wire = wire(ours);
        let mut got = Vec::new();
        wire.exactly(10, |piece| got.extend_from_slice(piece)).await.unwrap();
        assert_eq!(got, b"0123456789");
        assert_eq!(wire.line().await.unwrap(), "rest");
        assert_eq!(wire.line().await.unwrap_err().code, ProbeCode::ProtocolError);
    }
}
