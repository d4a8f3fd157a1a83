//! Halfpenny.

pub mod events;
pub mod http;
pub mod logging;
pub mod mail;
pub mod model;
pub mod net;
pub mod ops;
pub mod settings;
pub mod store;
