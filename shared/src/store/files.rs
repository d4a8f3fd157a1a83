//! Objects in S3: sources of messages, attachments, large bodies.

use std::{sync::Arc, time::Duration};

use aws_sdk_s3::Client;
use bytes::Bytes;

use super::StoreError;
use crate::model::{MessageId, Tenant};

/// How a download is to be presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The name that the browser saves it under; cleaned here.
    pub filename: String,
    /// Its type.
    pub content_type: String,
}

/// What is stored of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Size in bytes.
    pub size: u64,
    /// Its type.
    pub content_type: Option<String>,
}

/// Objects, by tenant and name.
#[derive(Clone, Debug)]
pub struct Files {
    client: Client,
    bucket: Arc<str>,
}

impl Files {
    pub(super) fn new(client: Client, bucket: String) -> Self {
        Self { client, bucket: bucket.into() }
    }

    /// Stores a message's source; S3 compares the SHA-256 (32 bytes). Storing it again is harmless.
    pub async fn put_raw(&self, tenant: &Tenant, id: &MessageId, bytes: Bytes, sha256: &[u8; 32]) -> Result<(), StoreError> {
        todo!()
    }

    /// A message's source, whole.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none.
    pub async fn get_raw(&self, tenant: &Tenant, id: &MessageId) -> Result<Bytes, StoreError> {
        todo!()
    }

    /// The first bytes of a message's source.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none.
    pub async fn get_raw_head(&self, tenant: &Tenant, id: &MessageId, bytes: u64) -> Result<Bytes, StoreError> {
        todo!()
    }

    /// Deletes a message's source, if it is there.
    pub async fn delete_raw(&self, tenant: &Tenant, id: &MessageId) -> Result<(), StoreError> {
        todo!()
    }

    /// Stores a file under its SHA-256 unless it is there; S3 compares the hash.
    pub async fn put_file(&self, tenant: &Tenant, sha256: &[u8; 32], bytes: Bytes, content_type: &str) -> Result<(), StoreError> {
        todo!()
    }

    /// A file, whole.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none.
    pub async fn get_file(&self, tenant: &Tenant, sha256: &str) -> Result<Bytes, StoreError> {
        todo!()
    }

    /// Whether a file is there, and how large.
    pub async fn head_file(&self, tenant: &Tenant, sha256: &str) -> Result<Option<Upload>, StoreError> {
        todo!()
    }

    /// A URL that gives a message's source to whoever has it, for at most 15 minutes.
    pub async fn presign_raw(&self, tenant: &Tenant, id: &MessageId, download: &Download, valid: Duration) -> Result<String, StoreError> {
        todo!()
    }

    /// A URL that gives a file to whoever has it, for at most 15 minutes.
    pub async fn presign_file(&self, tenant: &Tenant, sha256: &str, download: &Download, valid: Duration) -> Result<String, StoreError> {
        todo!()
    }
}
