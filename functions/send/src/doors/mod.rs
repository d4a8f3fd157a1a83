//! Front doors: each translates its own wire format and no more.

pub(crate) mod email_service;
pub(crate) mod emailengine;
pub(crate) mod jetquery;
mod now;
pub(crate) mod superoffice;
