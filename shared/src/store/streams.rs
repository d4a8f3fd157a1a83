//! Objects that are too large for memory: they go to S3 in one PUT that is read from its source piece by piece, and
//! come back the same way. One PUT instead of an upload in parts: S3 compares the SHA-256 of the whole, nothing has to
//! be aborted, and nothing half-done is ever left (S3 takes 5 GB in one).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::files::{Files, media_type};
use super::{StoreError, error::aws, keys};
use crate::model::{MessageId, Tenant};

/// The pieces of an object, in order.
pub type Pieces = Box<dyn Iterator<Item = io::Result<Bytes>> + Send + Sync>;

/// Content that lies elsewhere and can be read as often as a request has to be repeated.
#[derive(Clone)]
pub struct Streamed {
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Begins to read it.
    pub open: Arc<dyn Fn() -> Pieces + Send + Sync>,
}

impl std::fmt::Debug for Streamed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streamed").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Streamed {
    fn body(&self) -> ByteStream {
        let (open, size) = (Arc::clone(&self.open), self.size);
        ByteStream::new(SdkBody::retryable(move || SdkBody::from_body_1_x(Reading { pieces: open(), left: size })))
    }
}

/// One reading, as the body of one request.
struct Reading {
    pieces: Pieces,
    left: u64,
}

impl Body for Reading {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let piece = this.pieces.next();
        if let Some(Ok(bytes)) = &piece {
            this.left = this.left.saturating_sub(bytes.len() as u64);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Files {
    /// Stores a message's source that is too large for memory; S3 compares the SHA-256.
    pub async fn put_raw_streamed(&self, tenant: &Tenant, id: &MessageId, source: &Streamed) -> Result<(), StoreError> {
        let request = self.request(keys::raw_object(tenant, id), source).content_type("message/rfc822");
        request.send().await.map(drop).map_err(aws("PutObject"))
    }

    /// Stores a large file under its SHA-256 unless it is there: asking first is cheap beside sending it again.
    /// Returns its id.
    pub async fn put_file_streamed(
        &self,
        tenant: &Tenant,
        source: &Streamed,
        content_type: &str,
    ) -> Result<String, StoreError> {
        let id = hex::encode(source.sha256);
        if self.head_file(tenant, &id).await?.is_some() {
            return Ok(id);
        }
        let name = keys::file_object(tenant, &id);
        let put = || self.request(name.clone(), source).content_type(media_type(content_type));
        match put().if_none_match("*").send().await {
            Ok(_) => Ok(id),
            Err(error) => match error.as_service_error().and_then(ProvideErrorMetadata::code) {
                // 412: somebody else was faster, and under this name there can be no other content.
                Some("PreconditionFailed") => Ok(id),
                // 409: it is being deleted right now, and S3 does not decide. Then without the condition.
                Some("ConditionalRequestConflict") => {
                    put().send().await.map_err(aws("PutObject"))?;
                    Ok(id)
                }
                _ => Err(aws("PutObject")(error)),
            },
        }
    }

    /// A message's source, piece by piece.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none.
    pub async fn read_raw(
        &self,
        tenant: &Tenant,
        id: &MessageId,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<(), StoreError> {
        let request = self.get(keys::raw_object(tenant, id));
        let mut body = self.answer(request, "the source of the message").await?;
        while let Some(piece) = body.next().await {
            sink(&piece.map_err(|error| StoreError::interrupted("GetObject", error))?);
        }
        Ok(())
    }

    fn request(
        &self,
        key: String,
        source: &Streamed,
    ) -> aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder {
        self.put_checked(key, STANDARD.encode(source.sha256), source.body())
            .content_length(i64::try_from(source.size).unwrap_or(i64::MAX))
    }
}
