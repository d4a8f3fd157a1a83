//! The local service: embedded AWS and a host that runs the real function binaries.
mod gateway;
mod runtime;
mod template;

fn main() {}
