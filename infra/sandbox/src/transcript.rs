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
    /// Records one entry, given in segments; nothing if it is empty.
    pub(crate) fn record(&self, origin: Origin, from_client: bool, tls: bool, segments: &[&[u8]]) {
        let length = segments.iter().map(|segment| segment.len()).sum();
        if length == 0 {
            return;
        }
        let bytes = segments.iter().flat_map(|segment| segment.iter()).copied().take(ENTRY_BYTES).collect();
        let mut lines = lock(&self.0);
        if lines.len() == ENTRIES {
            lines.pop_front();
        }
        let Origin { session, service } = origin;
        lines.push_back(Line { session, service, from_client, tls, bytes, length });
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        lock(&self.0).iter().cloned().collect()
    }
}
