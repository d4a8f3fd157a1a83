//! messages
fn main() {}
