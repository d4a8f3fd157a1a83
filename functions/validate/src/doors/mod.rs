//! Front doors to probes: they translate, and call what the native routes call.

pub(crate) mod email_service;
pub(crate) mod emailengine;
pub(crate) mod qlik;
