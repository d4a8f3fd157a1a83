//! Reading a request body up to a limit.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body;

/// How much more than the limit is read and thrown away: a caller that is still sending
/// when its connection closes sees a reset, not the answer.
const DISCARD: usize = 64 * 1024 * 1024;

/// Why there is no body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread<E> {
    /// It is over the limit.
    TooLarge,
    /// The connection failed in the middle of it.
    Broken(E),
}

/// The whole body, of at most `limit` bytes.
pub(super) async fn read<B>(mut body: B, limit: usize) -> Result<Bytes, Unread<B::Error>>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut kept = BytesMut::new();
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Unread::Broken)?.into_data() else {
            continue;
        };
        total += data.len();
        if total <= limit {
            kept.extend_from_slice(&data);
        } else if total > limit + DISCARD {
            break;
        }
    }
    if total > limit { Err(Unread::TooLarge) } else { Ok(kept.freeze()) }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_body_may_be_as_long_as_the_limit_and_no_longer() {
        let body = |length: usize| Full::new(Bytes::from(vec![b'x'; length]));
        assert_eq!(read(body(0), 8).await, Ok(Bytes::new()));
        assert_eq!(read(body(8), 8).await, Ok(Bytes::from_static(b"xxxxxxxx")));
        assert_eq!(read(body(9), 8).await, Err(Unread::TooLarge));
        assert_eq!(read(body(8 + DISCARD + 1), 8).await, Err(Unread::TooLarge));
    }
}
