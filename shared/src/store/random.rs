//! Random names: of attempts, owners and versions.

use ring::rand::{SecureRandom, SystemRandom};

/// `bytes` random bytes as lower-case hex. Where the system has no randomness nothing can be kept apart any more, and
/// ring's generator on the systems we run on (getrandom) fails only for lack of the system call.
pub(super) fn hex(bytes: usize) -> String {
    ::hex::encode(fill(bytes))
}

/// `bytes` random bytes.
#[allow(clippy::expect_used)] // no randomness at all: going on would make ids and keys guessable
pub(super) fn fill(bytes: usize) -> Vec<u8> {
    let mut random = vec![0; bytes];
    SystemRandom::new().fill(&mut random).expect("the system gives random bytes");
    random
}
