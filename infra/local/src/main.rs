//! Local.
#[allow(dead_code)]
mod aws;
fn main() {}
