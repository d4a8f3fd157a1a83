//! What went over the wires, for assertions such as "no credential was seen before TLS".

use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::Bytes;

use crate::script::{Origin, Service};
use crate::store::lock;

/// Entries kept, so that a sandbox that runs for months does not grow.
const ENTRIES: usize = 100_000;
/// Bytes kept of an entry: commands and replies fit, message bodies need not.
const ENTRY_BYTES: usize = 1_024;

/// One line, literal or message from the client, or one answer of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The session, counted from 1 over all services.
    pub session: u64,
    /// The port.
    pub service: Service,
    /// True for what the client sent.
    pub from_client: bool,
    /// Whether it went inside TLS.
    pub tls: bool,
    /// The first 1,024 bytes, decrypted, line ends included.
    pub bytes: Bytes,
    /// How many bytes there were.
    pub length: usize,
}

/// The last entries of all sessions.
#[derive(Debug, Default)]
pub(crate) struct Transcript(Mutex<VecDeque<Line>>);

impl Transcript {
    pub(crate) fn record(&self, origin: Origin, from_client: bool, tls: bool, bytes: &[u8]) {
        let kept = bytes.get(..ENTRY_BYTES).unwrap_or(bytes);
        let mut lines = lock(&self.0);
        if lines.len() == ENTRIES {
            lines.pop_front();
        }
        lines.push_back(Line {
            session: origin.session,
            service: origin.service,
            from_client,
            tls,
            bytes: Bytes::copy_from_slice(kept),
            length: bytes.len(),
        });
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        lock(&self.0).iter().cloned().collect()
    }
}
