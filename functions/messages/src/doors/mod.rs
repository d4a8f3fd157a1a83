//! Front doors: each translates its own wire format and no more.

pub(crate) mod emailengine;
pub(crate) mod jetquery;
