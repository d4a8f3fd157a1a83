//! The bytes of attachments: from the request or from the tenant's files, and into files.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::model::send::{AttachmentInput, SendRequest};
use crate::model::{FieldError, Problem, Tenant};
use crate::ops::files;
use crate::ops::send::sources;
use crate::store::{Files, Store, StoreError};

/// Attachments of up to this size stay in the stored body; larger ones become files, once per tenant.
const INLINE_BYTES: usize = 4096;

/// Most bytes of all attachments together: base64 makes 48 MB of them, and they are in memory twice while the message
/// is composed. Few servers take half of it.
pub(in crate::ops::send) const ATTACHMENT_BYTES: u64 = 36 << 20;

/// An attachment with its bytes at hand.
pub(in crate::ops) struct Loaded {
    pub(in crate::ops) input: AttachmentInput,
    pub(in crate::ops) bytes: Bytes,
}

impl Loaded {
    /// Only what an attachment is called.
    pub(super) fn without_bytes(input: &AttachmentInput) -> Self {
        let content_type = Some("application/octet-stream".to_owned());
        Self { input: AttachmentInput { content_type, content: None, ..input.clone() }, bytes: Bytes::new() }
    }
}

/// Gets the bytes of all attachments: from the request, or from the tenant's files.
pub(in crate::ops) async fn load(
    store: &Store,
    tenant: &Tenant,
    request: &SendRequest,
) -> Result<Vec<Loaded>, Problem> {
    let (mut loaded, mut room) = (Vec::new(), ATTACHMENT_BYTES);
    for (index, input) in request.attachments.iter().enumerate() {
        let pointer = format!("/attachments/{index}");
        let mut input = input.clone();
        let bytes = match (input.content.take(), input.file_id.clone()) {
            (Some(content), None) => STANDARD.decode(&content).map(Bytes::from).map_err(|error| {
                Problem::invalid(vec![FieldError::new(
                    format!("{pointer}/content"),
                    "invalid_base64",
                    format!("no base64 (RFC 4648 §4): {error}"),
                )])
            })?,
            (None, Some(id)) => stored(store, tenant, &mut input, &id, &pointer, room).await?,
            _ => return Err(Problem::invalid(sources::check(request))),
        };
        room = room.saturating_sub(bytes.len() as u64);
        loaded.push(Loaded { input, bytes });
    }
    Ok(loaded)
}

/// A stored file, if it fits into the room that is left: it is asked for its size first.
async fn stored(
    store: &Store,
    tenant: &Tenant,
    input: &mut AttachmentInput,
    id: &str,
    pointer: &str,
    room: u64,
) -> Result<Bytes, Problem> {
    let pointer = format!("{pointer}/fileId");
    let missing =
        || sources::failed(pointer.clone(), "not_found", "there is no such file; upload it first, or give content");
    let found = files::find(store, tenant, id).await?.ok_or_else(missing)?;
    if found.size > room {
        let detail = format!(
            "{} bytes more than fit; the limit attachmentBytes is {ATTACHMENT_BYTES}, all files together",
            found.size
        );
        return Err(Problem::invalid(vec![FieldError::new(pointer, "too_large", detail)]));
    }
    sources::complete(input, found);
    match store.files.get_file(tenant, id).await {
        Err(StoreError::Missing { .. }) => Err(missing()),
        other => Ok(other?),
    }
}

/// Puts the larger attachments into files, and returns the request that names them: what is stored of it.
pub(in crate::ops) async fn put_files(
    files: &Files,
    tenant: &Tenant,
    request: &SendRequest,
    loaded: &[Loaded],
) -> Result<SendRequest, StoreError> {
    let mut lean = request.clone();
    for (attachment, loaded) in lean.attachments.iter_mut().zip(loaded) {
        if attachment.content.is_none() || loaded.bytes.len() <= INLINE_BYTES {
            continue;
        }
        let content_type = attachment.content_type.as_deref().unwrap_or("application/octet-stream");
        let sha256 = files.put_file(tenant, loaded.bytes.clone(), content_type).await?;
        attachment.content = None;
        attachment.file_id = Some(sha256);
    }
    Ok(lean)
}
