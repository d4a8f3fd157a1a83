//! Front doors to accounts: they translate, and call what the native routes call.

pub(crate) mod emailengine;
pub(crate) mod jetquery;
pub(crate) mod qlik;
