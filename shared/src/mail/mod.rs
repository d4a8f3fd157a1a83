//! Mail itself: writing, reading and defusing messages.

pub mod compose;
pub mod parse;
pub mod sanitize;
