//! Front doors (A1): other systems' wire formats, thin over the same use cases.

pub(crate) mod jetquery;
