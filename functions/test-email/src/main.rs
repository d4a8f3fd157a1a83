//! test-email
fn main() {}
