//! DynamoDB, as far as this house uses it.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;

/// The table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    client: Client,
    name: Arc<str>,
}

impl Table {
    pub fn new(client: Client, name: String) -> Self {
        Self { client, name: name.into() }
    }
}
