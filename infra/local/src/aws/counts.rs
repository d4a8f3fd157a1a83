//! Counts requests by service and operation, and the units of DynamoDB, so that a test can hold a flow to its budget.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Shared counters; see [`super::Aws::counts`].
#[derive(Debug, Clone, Default)]
pub(super) struct Counts(Arc<Mutex<BTreeMap<String, u64>>>);

impl Counts {
    /// One request more.
    pub(super) fn add(&self, service: &str, operation: &str) {
        self.add_many(service, operation, 1);
    }

    /// So many more.
    pub(super) fn add_many(&self, service: &str, operation: &str, count: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(format!("{service}.{operation}")).or_default() += count;
    }

    /// All counters as they are now.
    pub(super) fn snapshot(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
