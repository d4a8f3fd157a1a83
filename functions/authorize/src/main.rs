//! authorize
fn main() {}
