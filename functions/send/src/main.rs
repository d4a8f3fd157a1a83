//! send
fn main() {}
