//! Front doors to the test message: they translate, and call what the native route calls.

pub(crate) mod email_service;
pub(crate) mod qlik;
