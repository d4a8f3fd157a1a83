//! pull
fn main() {}
