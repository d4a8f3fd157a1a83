//! Halfpenny.

pub mod mail;
