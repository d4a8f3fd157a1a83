//! The bytes of attachments: from the request or from the tenant's files, and into files.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::model::send::{AttachmentInput, SendRequest};
use crate::model::{Code, FieldError, Problem, Tenant};
use crate::store::{Files, StoreError};

/// Attachments of up to this size stay in the stored body; larger ones become files, once per tenant.
const INLINE_BYTES: usize = 4096;

/// Most bytes of all attachments together: base64 makes 48 MB of them, and they are in memory twice while the message
/// is composed. Few servers take half of it.
const ATTACHMENT_BYTES: u64 = 36 << 20;

/// An attachment with its bytes at hand.
pub(in crate::ops) struct Loaded {
    pub(in crate::ops) input: AttachmentInput,
    pub(in crate::ops) bytes: Bytes,
}

/// Gets the bytes of all attachments: from the request, or from the tenant's files.
pub(in crate::ops) async fn load(
    files: &Files,
    tenant: &Tenant,
    request: &SendRequest,
) -> Result<Vec<Loaded>, Problem> {
    let (mut loaded, mut room) = (Vec::new(), ATTACHMENT_BYTES);
    for (index, input) in request.attachments.iter().enumerate() {
        let pointer = format!("/attachments/{index}");
        let bytes = match (&input.content, &input.file_id) {
            (Some(content), None) => STANDARD.decode(content).map(Bytes::from).map_err(|error| {
                Problem::invalid(vec![FieldError::new(
                    format!("{pointer}/content"),
                    "invalid_base64",
                    format!("no base64 (RFC 4648 §4): {error}"),
                )])
            })?,
            (None, Some(id)) => stored(files, tenant, id, &pointer, room).await?,
            _ => {
                return Err(Problem::invalid(vec![FieldError::new(
                    pointer,
                    "missing",
                    "give either content (base64) or fileId",
                )]));
            }
        };
        room = room.saturating_sub(bytes.len() as u64);
        loaded.push(Loaded { input: input.clone(), bytes });
    }
    Ok(loaded)
}

/// A stored file, if it fits into the room that is left: it is asked for its size first.
async fn stored(files: &Files, tenant: &Tenant, id: &str, pointer: &str, room: u64) -> Result<Bytes, Problem> {
    let missing = || {
        let mut problem = Problem::new(Code::AttachmentFailed, format!("{pointer}/fileId: there is no such file"));
        problem.errors.push(FieldError::new(
            format!("{pointer}/fileId"),
            "not_found",
            "there is no such file; upload it first, or give content",
        ));
        problem
    };
    let is_hash = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if !is_hash {
        return Err(missing());
    }
    let size = files.head_file(tenant, id).await?.ok_or_else(missing)?.size;
    if size > room {
        let detail =
            format!("{size} bytes more than fit; the limit attachmentBytes is {ATTACHMENT_BYTES}, all files together");
        return Err(Problem::invalid(vec![FieldError::new(format!("{pointer}/fileId"), "too_large", detail)]));
    }
    match files.get_file(tenant, id).await {
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
