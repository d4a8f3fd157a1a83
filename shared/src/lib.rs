//! Halfpenny.

pub mod mail;
pub mod model;
