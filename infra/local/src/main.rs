//! Local.
fn main() {}
