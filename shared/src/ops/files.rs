//! Files by their content. What is large is an object from the moment it is known; a small attachment of a pulled
//! message stays in its source, of which the table knows the place, and becomes an object when somebody needs it.

use bytes::Bytes;
use ring::digest::{SHA256, digest};

use crate::mail::parse;
use crate::model::{MessageId, Tenant};
use crate::store::{Store, StoreError, Upload};

/// Small attachments mostly stand near the beginning of their message.
const HEAD_BYTES: u64 = 1 << 20;

/// Whether a text can be the id of a file: SHA-256 in lower-case hex.
pub fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// A file's id from its `file_uuid`, with or without hyphens: the first 32 digits of the id (decision 18).
pub async fn by_uuid(store: &Store, tenant: &Tenant, uuid: &str) -> Result<Option<String>, StoreError> {
    let digits = uuid.replace('-', "").to_ascii_lowercase();
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    match store.files.by_uuid(tenant, &digits).await? {
        Some(id) => Ok(Some(id)),
        None => store.messages.file_by_uuid(tenant, &digits).await,
    }
}

/// The `file_uuid` of a file's id, as uuids are written (RFC 9562 §4).
pub fn uuid_of(id: &str) -> String {
    let piece = |from: usize, to: usize| id.get(from..to).unwrap_or_default();
    [piece(0, 8), piece(8, 12), piece(12, 16), piece(16, 20), piece(20, 32)].join("-")
}

/// The id of a file with this content.
pub fn id_of(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

/// What is stored under an id; none where there is no such file. Afterwards it is an object.
pub async fn find(store: &Store, tenant: &Tenant, id: &str) -> Result<Option<Upload>, StoreError> {
    if !is_id(id) {
        return Ok(None);
    }
    if let Some(object) = store.files.head_file(tenant, id).await? {
        return Ok(Some(object));
    }
    let Some((message, part)) = store.messages.file_place(tenant, id).await? else {
        return Ok(None);
    };
    let Some((info, bytes)) = from_source(store, tenant, id, &message, part).await? else {
        return Ok(None);
    };
    let size = bytes.len() as u64;
    store.files.put_file(tenant, bytes, &info.content_type).await?;
    Ok(Some(Upload { size, content_type: Some(info.content_type), filename: info.filename }))
}

/// The part of a message that has this content; none where the message is gone.
async fn from_source(
    store: &Store,
    tenant: &Tenant,
    id: &str,
    message: &MessageId,
    part: u32,
) -> Result<Option<(parse::PartInfo, Bytes)>, StoreError> {
    let found = |source: &[u8]| {
        let (info, bytes) = parse::attachment(source, part)?;
        (id_of(&bytes) == id).then(|| (info, Bytes::from(bytes)))
    };
    let gone = |error| if matches!(error, StoreError::Missing { .. }) { Ok(None) } else { Err(error) };
    // Cut off in its middle, the beginning may hold half of the part, or nothing: then all of it is read.
    let head = match store.files.get_raw_head(tenant, message, HEAD_BYTES).await {
        Ok(head) => head,
        Err(error) => return gone(error),
    };
    if let Some(found) = found(&head) {
        return Ok(Some(found));
    }
    match store.files.get_raw(tenant, message).await {
        Ok(source) => Ok(found(&source)),
        Err(error) => gone(error),
    }
}
