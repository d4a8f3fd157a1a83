//! Local.
mod gateway;
mod template;

fn main() {}
