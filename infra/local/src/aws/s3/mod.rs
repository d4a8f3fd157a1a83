//! S3: protocol, signatures and presigned URLs by `s3s`; storage here.
//!
//! A row decides whether an object exists. Its body is written first, under a name of its own, and compared with the
//! checksums the client sent; then one transaction checks the conditions and writes the row. So `If-None-Match: *` has
//! one winner, a body that fails its checksum is never readable, and a key may be any text.

mod body;
mod list;
mod multipart;
mod rows;

use std::path::Path;

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{Credentials, SimpleAuth};
use s3s::dto::*;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use self::body::{Bodies, Pending, Upload, put_checksums};
use self::rows::{Headers, Object as Row};
use super::clock::now_ms;
use super::counts::Counts;
use super::db::Db;
use super::policy::{Denied, Policies, actions};
use super::{ACCESS_KEY, AwsError, SECRET_KEY};

/// What S3 calls an object that was put without a type.
const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// The service over `directory` (bodies) and `db` (rows), with those buckets.
pub(super) async fn service(db: Db, directory: &Path, buckets: &[String], guard: Guard) -> Result<S3Service, AwsError> {
    let bodies = Bodies::open(directory)?;
    let buckets = buckets.to_vec();
    let needed = db
        .call(move |t| -> Result<_, AwsError> {
            buckets.iter().try_for_each(|name| rows::create_bucket(t, name))?;
            rows::files(t)
        })
        .await?;
    // Left behind by a kill between a body and its row, or between a row and the removal of the body before.
    let unused = bodies.names()?.into_iter().filter(|name| !needed.contains(name));
    bodies.remove(unused).await;

    let mut auth = SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY);
    for key in guard.policies.access_keys() {
        auth.register(key.to_owned(), SECRET_KEY.into());
    }
    let mut builder =
        S3ServiceBuilder::new(Storage { db, bodies, policies: guard.policies.clone(), counts: guard.counts.clone() });
    builder.set_auth(auth);
    builder.set_access(guard);
    Ok(builder.build())
}

/// Refuses what is not signed or not allowed to its signer (of a presigned URL too), and counts the rest.
pub(super) struct Guard {
    pub(super) policies: Policies,
    pub(super) counts: Counts,
}

#[async_trait::async_trait]
impl S3Access for Guard {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(signer) = context.credentials() else {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        };
        let (operation, path) = (context.s3_op().name(), context.s3_path());
        let need = actions::s3(operation, path.get_bucket_name(), path.get_object_key());
        self.policies.check(&signer.access_key, [need])?;
        self.counts.add("s3", operation);
        Ok(())
    }
}

struct Storage {
    db: Db,
    bodies: Bodies,
    policies: Policies,
    counts: Counts,
}

impl Storage {
    /// The object, and its body opened in the same moment: an object replaced meanwhile is read to its end.
    /// That there is none is told only to who may list the bucket: S3 says 403 to others.
    async fn open(&self, bucket: String, key: String, caller: Option<&Credentials>) -> S3Result<(Row, std::fs::File)> {
        let bodies = self.bodies.clone();
        let list = actions::s3("ListObjects", Some(&bucket), None);
        let opened = self.db.call(move |t| -> S3Result<_> {
            rows::check_bucket(t, &bucket)?;
            let Some(row) = rows::object(t, &bucket, &key)? else {
                return Ok(None);
            };
            let path = bodies.path(&row.file);
            let file = std::fs::File::open(&path).map_err(AwsError::file(&path))?;
            Ok(Some((row, file)))
        });
        match opened.await? {
            Some(found) => Ok(found),
            None => {
                self.policies.check(caller.map_or("", |caller| &caller.access_key), [list])?;
                Err(no_such_key())
            }
        }
    }

    /// Makes a body the object of its key, if the conditions hold.
    async fn commit(&self, bucket: String, mut object: Row, body: Pending, conditions: Conditions) -> S3Result<Row> {
        object.file = body.name().to_owned();
        object.size = body.size;
        object.modified_at = now_ms();
        let committed = object.clone();
        let replaced = self
            .db
            .call(move |t| -> S3Result<_> {
                rows::check_bucket(t, &bucket)?;
                let existing = rows::object(t, &bucket, &object.key)?;
                conditions.check(existing.as_ref())?;
                rows::put_object(t, &bucket, &object)?;
                Ok(existing.map(|existing| existing.file))
            })
            .await?;
        body.keep();
        self.bodies.remove(replaced).await;
        Ok(committed)
    }
}

#[async_trait::async_trait]
impl S3 for Storage {
    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        let bucket = request.input.bucket;
        self.db.call(move |t| rows::check_bucket(t, &bucket)).await?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let mut input = request.input;
        let headers = Headers {
            content_type: input.content_type.take(),
            content_disposition: input.content_disposition.take(),
            content_encoding: input.content_encoding.take(),
            content_language: input.content_language.take(),
            cache_control: input.cache_control.take(),
            metadata: input.metadata.take().unwrap_or_default(),
        };
        let upload = Upload {
            body: input.body,
            content_md5: input.content_md5.as_deref(),
            headers: &request.headers,
            trailers: request.trailing_headers,
        };
        let body = self.bodies.write(upload).await?;
        let object = new_object(input.key, body.md5.clone(), body.checksums.clone(), headers);
        let conditions = Conditions { if_match: input.if_match, if_none_match: input.if_none_match };
        let object = self.commit(input.bucket, object, body, conditions).await?;
        let mut output =
            PutObjectOutput { e_tag: Some(ETag::Strong(object.etag)), size: Some(object.size), ..Default::default() };
        put_checksums!(output, object.checksums);
        Ok(S3Response::new(output))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let (object, file) = self.open(input.bucket, input.key, request.credentials.as_ref()).await?;
        let condition = ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        condition.check(&object)?;
        let size = u64::try_from(object.size).map_err(S3Error::internal_error)?;
        let range = input.range.map(|range| range.check(size)).transpose()?;
        let (start, end) = range.as_ref().map_or((0, size), |range| (range.start, range.end));
        self.counts.add_many("s3", "bytesRead", end - start);
        let mut file = tokio::fs::File::from_std(file);
        file.seek(std::io::SeekFrom::Start(start)).await.map_err(S3Error::internal_error)?;
        let body = StreamingBlob::wrap(ReaderStream::new(file.take(end - start)));

        let mut output = GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            body: Some(body),
            cache_control: object.headers.cache_control,
            content_disposition: object.headers.content_disposition,
            content_encoding: object.headers.content_encoding,
            content_language: object.headers.content_language,
            content_length: Some(i64::try_from(end - start).map_err(S3Error::internal_error)?),
            content_range: range.as_ref().map(|range| format!("bytes {}-{}/{size}", range.start, range.end - 1)),
            content_type: Some(object.headers.content_type.unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned())),
            e_tag: Some(ETag::Strong(object.etag)),
            last_modified: timestamp(object.modified_at),
            metadata: Some(object.headers.metadata),
            ..Default::default()
        };
        // A checksum is of the whole object, so a part of it comes without.
        if range.is_none() && input.checksum_mode.is_some() {
            put_checksums!(output, object.checksums);
        }
        Ok(S3Response::new(output))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let (object, _) = self.open(input.bucket, input.key, request.credentials.as_ref()).await?;
        let condition = ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        condition.check(&object)?;
        let mut output = HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: object.headers.cache_control,
            content_disposition: object.headers.content_disposition,
            content_encoding: object.headers.content_encoding,
            content_language: object.headers.content_language,
            content_length: Some(object.size),
            content_type: Some(object.headers.content_type.unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned())),
            e_tag: Some(ETag::Strong(object.etag)),
            last_modified: timestamp(object.modified_at),
            metadata: Some(object.headers.metadata),
            ..Default::default()
        };
        if input.checksum_mode.is_some() {
            put_checksums!(output, object.checksums);
        }
        Ok(S3Response::new(output))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let DeleteObjectInput { bucket, key, .. } = request.input;
        let file = self
            .db
            .call(move |t| -> S3Result<_> {
                rows::check_bucket(t, &bucket)?;
                Ok(rows::delete_object(t, &bucket, &key)?)
            })
            .await?;
        self.bodies.remove(file).await;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = request.input;
        if delete.objects.len() > 1000 {
            return Err(s3_error!(MalformedXML, "A request deletes at most 1000 objects."));
        }
        let keys: Vec<ObjectKey> = delete.objects.into_iter().map(|object| object.key).collect();
        let (files, keys) = self
            .db
            .call(move |t| -> S3Result<_> {
                rows::check_bucket(t, &bucket)?;
                let files: Result<Vec<_>, _> = keys.iter().map(|key| rows::delete_object(t, &bucket, key)).collect();
                Ok((files?, keys))
            })
            .await?;
        self.bodies.remove(files.into_iter().flatten()).await;
        let deleted = keys.into_iter().map(|key| DeletedObject { key: Some(key), ..Default::default() }).collect();
        let told = !delete.quiet.unwrap_or(false);
        Ok(S3Response::new(DeleteObjectsOutput { deleted: told.then_some(deleted), ..Default::default() }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.db.call(move |t| list::list(t, request.input)).await.map(S3Response::new)
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        multipart::create(self, request.input).await.map(S3Response::new)
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        multipart::upload_part(self, request).await.map(S3Response::new)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        multipart::complete(self, request.input).await.map(S3Response::new)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        multipart::abort(self, request.input).await.map(S3Response::new)
    }
}

/// An object whose body [`Storage::commit`] will fill in.
fn new_object(key: String, etag: String, checksums: body::Checksums, headers: Headers) -> Row {
    Row { key, file: String::new(), size: 0, etag, modified_at: 0, checksums, headers }
}

/// What a write asks of the object before it.
struct Conditions {
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
}

impl Conditions {
    fn check(&self, existing: Option<&Row>) -> S3Result<()> {
        let matches = |condition: &ETagCondition| existing.is_some_and(|object| is_match(condition, object));
        if self.if_none_match.as_ref().is_some_and(matches) {
            return Err(precondition_failed());
        }
        match (&self.if_match, existing) {
            (Some(_), None) => Err(no_such_key()),
            (Some(condition), Some(_)) if !matches(condition) => Err(precondition_failed()),
            _ => Ok(()),
        }
    }
}

/// What a read asks of the object (RFC 9110 §13.2.2: the tags win over the times).
struct ReadConditions {
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
}

impl ReadConditions {
    fn check(self, object: &Row) -> S3Result<()> {
        // A header has whole seconds.
        let modified = object.modified_at / 1000;
        let since = |at: Timestamp| modified > time::OffsetDateTime::from(at).unix_timestamp();
        let changed = match self.if_match {
            Some(tag) => !is_match(&tag, object),
            None => self.if_unmodified_since.is_some_and(since),
        };
        if changed {
            return Err(precondition_failed());
        }
        let unchanged = match self.if_none_match {
            Some(tag) => is_match(&tag, object),
            None => self.if_modified_since.is_some_and(|at| !since(at)),
        };
        if unchanged { Err(s3_error!(NotModified, "Not Modified")) } else { Ok(()) }
    }
}

fn is_match(condition: &ETagCondition, object: &Row) -> bool {
    condition.as_etag().is_none_or(|tag| tag.value() == object.etag)
}

fn precondition_failed() -> S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
}

fn no_such_key() -> S3Error {
    s3_error!(NoSuchKey, "The specified key does not exist.")
}

/// `None` is out of any calendar, which a clock does not say.
fn timestamp(milliseconds: i64) -> Option<Timestamp> {
    let at = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000);
    at.ok().map(Timestamp::from)
}

impl From<Denied> for S3Error {
    fn from(denied: Denied) -> Self {
        Self::with_message(S3ErrorCode::AccessDenied, denied.to_string())
    }
}

impl From<AwsError> for S3Error {
    fn from(error: AwsError) -> Self {
        Self::internal_error(error)
    }
}
