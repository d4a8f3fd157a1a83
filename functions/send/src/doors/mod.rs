//! Front doors: each translates its own wire format and no more.

mod now;
pub(crate) mod superoffice;
