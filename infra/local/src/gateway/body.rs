//! Reading a request body up to a limit.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

/// How much more than the limit is read and thrown away: a caller that is still sending
/// when its connection closes sees a reset, not the answer.
const DISCARD: usize = 64 * 1024 * 1024;

/// Why there is no body.
pub(super) enum Unread {
    /// It is over the limit.
    TooLarge,
    /// The connection failed in the middle of it.
    Broken(hyper::Error),
}

/// The whole body, of at most `limit` bytes.
pub(super) async fn read(mut body: Incoming, limit: usize) -> Result<Bytes, Unread> {
    let mut kept = BytesMut::new();
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Unread::Broken)?.into_data() else { continue };
        total += data.len();
        if total <= limit {
            kept.extend_from_slice(&data);
        } else if total > limit + DISCARD {
            break;
        }
    }
    if total > limit { Err(Unread::TooLarge) } else { Ok(kept.freeze()) }
}
