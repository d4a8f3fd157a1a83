//! The statements of S3. Each runs inside a transaction of the caller.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{OptionalExtension, Row, Transaction, named_params, params};
use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};

use super::body::{Checksums, Pending};
use crate::aws::AwsError;

/// What a client says of an object beside its bytes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Headers {
    pub(super) content_type: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) cache_control: Option<String>,
    /// `x-amz-meta-*`.
    pub(super) metadata: HashMap<String, String>,
}

/// An object without its bytes.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) key: String,
    /// Name of the body.
    pub(super) file: String,
    pub(super) size: i64,
    /// Without quotes.
    pub(super) etag: String,
    pub(super) modified_at: i64,
    pub(super) checksums: Checksums,
    pub(super) headers: Headers,
}

/// One part of a multipart upload.
pub(super) struct Part {
    pub(super) number: i32,
    pub(super) file: String,
    pub(super) size: i64,
    pub(super) etag: String,
}

/// A multipart upload that is not completed.
pub(super) struct Multipart {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) headers: Headers,
}

pub(super) fn create_bucket(t: &Transaction<'_>, name: &str) -> Result<(), AwsError> {
    t.execute("INSERT INTO buckets (name) VALUES (?1) ON CONFLICT DO NOTHING", [name])?;
    Ok(())
}

/// # Errors
/// `NoSuchBucket`.
pub(super) fn check_bucket(t: &Transaction<'_>, name: &str) -> S3Result<()> {
    let found = t
        .prepare_cached("SELECT 1 FROM buckets WHERE name = ?1")
        .and_then(|mut statement| statement.exists([name]))
        .map_err(AwsError::from)?;
    if found { Ok(()) } else { Err(s3_error!(NoSuchBucket, "The specified bucket does not exist")) }
}

const COLUMNS: &str = "key, file, size, etag, modified_at, checksums, headers";

pub(super) fn object(t: &Transaction<'_>, bucket: &str, key: &str) -> Result<Option<Object>, AwsError> {
    t.prepare_cached(&format!("SELECT {COLUMNS} FROM objects WHERE bucket = ?1 AND key = ?2"))?
        .query_row([bucket, key], read_object)
        .optional()?
        .transpose()
}

/// Up to `limit` objects with the prefix whose keys come after `after`, in the order of their UTF-8 bytes.
pub(super) fn objects_after(
    t: &Transaction<'_>,
    bucket: &str,
    prefix: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<Object>, AwsError> {
    let mut statement = t.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM objects
         WHERE bucket = :bucket AND key > :after AND key >= :prefix AND key < :end ORDER BY key LIMIT :limit",
    ))?;
    let end = after_prefix(prefix);
    let found = named_params! { ":bucket": bucket, ":after": after, ":prefix": prefix, ":end": end, ":limit": limit };
    statement.query_map(found, read_object)?.map(|row| row?).collect()
}

/// A text behind every key that begins with `prefix`: the last character there is ends no key anyone writes.
pub(super) fn after_prefix(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

fn read_object(row: &Row<'_>) -> rusqlite::Result<Result<Object, AwsError>> {
    let (checksums, headers): (String, String) = (row.get(5)?, row.get(6)?);
    let object = |checksums, headers| -> rusqlite::Result<Object> {
        Ok(Object {
            key: row.get(0)?,
            file: row.get(1)?,
            size: row.get(2)?,
            etag: row.get(3)?,
            modified_at: row.get(4)?,
            checksums,
            headers,
        })
    };
    match (serde_json::from_str(&checksums), serde_json::from_str(&headers)) {
        (Ok(checksums), Ok(headers)) => object(checksums, headers).map(Ok),
        (Err(error), _) | (_, Err(error)) => Ok(Err(error.into())),
    }
}

/// Writes the row that makes a body an object, in place of the one before.
pub(super) fn put_object(t: &Transaction<'_>, bucket: &str, object: &Object) -> Result<(), AwsError> {
    t.prepare_cached(
        "INSERT OR REPLACE INTO objects (bucket, key, file, size, etag, modified_at, checksums, headers)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        bucket,
        object.key,
        object.file,
        object.size,
        object.etag,
        object.modified_at,
        serde_json::to_string(&object.checksums)?,
        serde_json::to_string(&object.headers)?,
    ])?;
    Ok(())
}

/// Answers with the body's name, when there was an object.
pub(super) fn delete_object(t: &Transaction<'_>, bucket: &str, key: &str) -> Result<Option<String>, AwsError> {
    let file = t
        .prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND key = ?2 RETURNING file")?
        .query_row([bucket, key], |row| row.get(0))
        .optional()?;
    Ok(file)
}

pub(super) fn create_upload(t: &Transaction<'_>, id: &str, upload: &Multipart) -> Result<(), AwsError> {
    t.execute(
        "INSERT INTO uploads (id, bucket, key, headers) VALUES (?1, ?2, ?3, ?4)",
        params![id, upload.bucket, upload.key, serde_json::to_string(&upload.headers)?],
    )?;
    Ok(())
}

/// # Errors
/// `NoSuchUpload`, also when it belongs to another key.
pub(super) fn upload(t: &Transaction<'_>, id: &str, bucket: &str, key: &str) -> S3Result<Multipart> {
    let headers: Option<String> = t
        .query_row("SELECT headers FROM uploads WHERE id = ?1 AND bucket = ?2 AND key = ?3", [id, bucket, key], |row| {
            row.get(0)
        })
        .optional()
        .map_err(AwsError::from)?;
    let headers = headers.ok_or_else(|| s3_error!(NoSuchUpload, "The specified upload does not exist."))?;
    let headers = serde_json::from_str(&headers).map_err(AwsError::from)?;
    Ok(Multipart { bucket: bucket.to_owned(), key: key.to_owned(), headers })
}

/// Answers with the name of the body that was the part before.
pub(super) fn put_part(t: &Transaction<'_>, id: &str, number: i32, body: &Pending) -> Result<Option<String>, AwsError> {
    let replaced = t
        .query_row("DELETE FROM parts WHERE upload = ?1 AND number = ?2 RETURNING file", params![id, number], |row| {
            row.get(0)
        })
        .optional()?;
    t.execute(
        "INSERT INTO parts (upload, number, file, size, etag, checksums) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![id, number, body.name(), body.size, body.md5, serde_json::to_string(&body.checksums)?],
    )?;
    Ok(replaced)
}

/// In the order of their numbers.
pub(super) fn parts(t: &Transaction<'_>, id: &str) -> Result<Vec<Part>, AwsError> {
    let mut statement = t.prepare("SELECT number, file, size, etag FROM parts WHERE upload = ?1 ORDER BY number")?;
    let parts = statement.query_map([id], |row| {
        Ok(Part { number: row.get(0)?, file: row.get(1)?, size: row.get(2)?, etag: row.get(3)? })
    })?;
    Ok(parts.collect::<Result<_, _>>()?)
}

/// With its parts; answers with the names of their bodies.
pub(super) fn delete_upload(t: &Transaction<'_>, id: &str) -> Result<Vec<String>, AwsError> {
    let files = parts(t, id)?.into_iter().map(|part| part.file).collect();
    t.execute("DELETE FROM uploads WHERE id = ?1", [id])?;
    Ok(files)
}

/// The name of every body a row needs.
pub(super) fn files(t: &Transaction<'_>) -> Result<BTreeSet<String>, AwsError> {
    let mut statement = t.prepare("SELECT file FROM objects UNION SELECT file FROM parts")?;
    let files = statement.query_map([], |row| row.get(0))?;
    Ok(files.collect::<Result<_, _>>()?)
}
