//! What a pull promises, under each fault that can be made to measure (P2 to P7 of the reliability plan; P1 is
//! [`crate::faults`]). Each runs in any size: `tests/blackbox/proofs.rs` in short, `target/debug/proofs` in full.

pub mod agreement;
pub mod drops;
pub mod epochs;
pub mod poison;
pub mod pullers;
pub mod storage;
pub mod writes;

use crate::mailbox::Kind;

/// How much of a proof that needs to know no more.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Which mailbox.
    pub kind: Kind,
    /// Messages.
    pub messages: usize,
}
