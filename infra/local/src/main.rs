//! The local service: embedded AWS and a host that runs the real function binaries.
mod aws;
mod cargo;
mod data;
mod gateway;
mod runtime;
mod settings;
mod template;
mod triggers;

fn main() {}
