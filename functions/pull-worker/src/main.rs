//! pull-worker
fn main() {}
