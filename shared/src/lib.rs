//! Halfpenny.
