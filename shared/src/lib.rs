//! Halfpenny.

pub mod mail;
pub mod model;
pub mod settings;
pub mod store;
