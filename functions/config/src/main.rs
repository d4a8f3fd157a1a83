//! config
fn main() {}
