//! Halfpenny.

pub mod mail;
pub mod model;
pub mod net;
