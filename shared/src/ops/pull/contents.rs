//! What is in a message: read from memory or from disk, within a time, and its files stored by their content.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ring::digest::{Context, SHA256};

use super::keep::FILE_BYTES;
use super::spool::{Source, Spool, sha256};
use crate::mail::parse::{self, LargeFile, PARTS_TRUNCATED, Parsed, PartInfo};
use crate::model::{Attachment, MessageId, Tenant};
use crate::store::{Pieces, Store, StoreError, Streamed};

/// Who needs longer to be read is not read (reliability.md, fault 24).
const READING_TIME: Duration = Duration::from_secs(10);

/// A message up to this size is read at once: nothing in it takes long. A larger one is read beside the other work.
const AT_ONCE: usize = 256 << 10;

/// Files of one message that are stored: as many as its row shows. The others are in its source.
const FILES: usize = 200;

/// What a message says, and its files.
pub(super) struct Contents {
    pub(super) parsed: Parsed,
    pub(super) attachments: Vec<Attachment>,
}

/// Reads a message and stores its files. None: it could not be read in time, or reading it panicked.
pub(super) async fn of(
    store: &Store,
    tenant: &Tenant,
    id: &MessageId,
    source: &Source,
) -> Result<Option<Contents>, StoreError> {
    match source {
        Source::Memory(raw) => {
            let Some(parsed) = parsed(raw).await else { return Ok(None) };
            let attachments = put_files(store, tenant, id, raw).await?;
            Ok(Some(contents(parsed, attachments)))
        }
        Source::Disk(spool) => {
            let (file, size) = (Arc::clone(&spool.file), spool.size);
            let Some(large) = in_time(move || parse::large(&file, size)).await else { return Ok(None) };
            let large = large.map_err(|error| StoreError::disk("reading a large message", error))?;
            let attachments = put_large_files(store, tenant, spool, &large.files).await?;
            Ok(Some(contents(large.parsed, attachments)))
        }
    }
}

fn contents(mut parsed: Parsed, (attachments, more): (Vec<Attachment>, bool)) -> Contents {
    if more && !parsed.defects.iter().any(|defect| defect.code == PARTS_TRUNCATED) {
        let detail = format!("only the first {FILES} files are listed");
        parsed.defects.push(parse::Defect { code: PARTS_TRUNCATED.to_owned(), detail });
    }
    Contents { parsed, attachments }
}

async fn parsed(raw: &Bytes) -> Option<Parsed> {
    if raw.len() <= AT_ONCE {
        return Some(parse::parse(raw));
    }
    let raw = raw.clone();
    in_time(move || parse::parse(&raw)).await
}

/// Work on a thread of its own. One that does not end cannot be stopped; but nothing waits for it any longer.
async fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match tokio::time::timeout(READING_TIME, tokio::task::spawn_blocking(work)).await {
        Ok(done) => done.inspect_err(|error| tracing::error!(%error, "reading a message panicked")).ok(),
        Err(_) => {
            tracing::error!("reading a message took too long");
            None
        }
    }
}

/// Attachments by their content: a distinct one is stored once per tenant. Of a small one only the place is noted
/// ([`crate::ops::files`]): that is an eighth of the price of an object. True: there are more of them.
async fn put_files(
    store: &Store,
    tenant: &Tenant,
    id: &MessageId,
    raw: &Bytes,
) -> Result<(Vec<Attachment>, bool), StoreError> {
    let mut attachments = Vec::new();
    for (info, bytes) in parse::files(raw) {
        if attachments.len() == FILES {
            return Ok((attachments, true));
        }
        let file_id = if info.size >= FILE_BYTES {
            store.files.put_file(tenant, bytes.into(), &info.content_type).await?
        } else {
            let file_id = hex::encode(sha256(&bytes));
            store.messages.note_file(tenant, &file_id, id, info.part).await?;
            file_id
        };
        attachments.push(attachment(info, file_id));
    }
    Ok((attachments, false))
}

/// The same of a message on disk: hashed in one pass and stored in a second (decision 15). Each becomes an object,
/// because nobody wants to read such a source for a small file.
async fn put_large_files(
    store: &Store,
    tenant: &Tenant,
    spool: &Spool,
    files: &[LargeFile],
) -> Result<(Vec<Attachment>, bool), StoreError> {
    let mut attachments = Vec::new();
    for file in files.iter().take(FILES) {
        let source = measured(spool, file).await?;
        let file_id = store.files.put_file_streamed(tenant, &source, &file.info.content_type).await?;
        attachments.push(attachment(PartInfo { size: source.size, ..file.info.clone() }, file_id));
    }
    Ok((attachments, files.len() > FILES))
}

/// The first pass over a file: its size and hash.
async fn measured(spool: &Spool, file: &LargeFile) -> Result<Streamed, StoreError> {
    let (disk, part) = (Arc::clone(&spool.file), file.clone());
    let open = Arc::new(move || -> Pieces { Box::new(part.pieces(Arc::clone(&disk))) });
    let first = Arc::clone(&open);
    let pass = tokio::task::spawn_blocking(move || {
        let (mut sum, mut size) = (Context::new(&SHA256), 0);
        for piece in first() {
            let piece = piece?;
            sum.update(&piece);
            size += piece.len() as u64;
        }
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(sum.finish().as_ref());
        Ok((size, sha256))
    });
    let failed = |error| StoreError::disk("hashing an attachment", error);
    let (size, sha256) = pass.await.map_err(|error| failed(error.into()))?.map_err(failed)?;
    Ok(Streamed { size, sha256, open })
}

fn attachment(info: PartInfo, file_id: String) -> Attachment {
    Attachment {
        part: info.part,
        filename: info.filename,
        content_type: info.content_type,
        size: info.size,
        file_id,
        disposition: info.disposition,
        content_id: info.content_id,
        safe: info.safe,
    }
}
