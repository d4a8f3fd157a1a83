//! TCP to the first address that answers (RFC 8305, without its history of past answers).

use std::io;
use std::net::SocketAddr;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::ATTEMPT_DELAY;

/// Tries the addresses in order; a new attempt begins when the last one failed or kept silent for
/// [`ATTEMPT_DELAY`]. The first connection wins and the others are dropped.
pub(super) async fn first(addresses: &[SocketAddr]) -> io::Result<(TcpStream, SocketAddr)> {
    let mut waiting = addresses.iter().copied();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    attempts.extend(waiting.next().map(attempt));
    let mut next_at = Instant::now() + ATTEMPT_DELAY;
    loop {
        tokio::select! {
            outcome = attempts.next() => match outcome {
                Some(Ok(connected)) => return Ok(connected),
                Some(Err(error)) => failure = error,
                None => return Err(failure),
            },
            () = sleep_until(next_at), if waiting.len() > 0 => {}
        }
        attempts.extend(waiting.next().map(attempt));
        next_at = Instant::now() + ATTEMPT_DELAY;
    }
}

async fn attempt(address: SocketAddr) -> io::Result<(TcpStream, SocketAddr)> {
    let stream = TcpStream::connect(address).await?;
    // With Nagle's algorithm each of our small writes waits 40 ms for the peer's delayed acknowledgement.
    stream.set_nodelay(true)?;
    Ok((stream, address))
}
