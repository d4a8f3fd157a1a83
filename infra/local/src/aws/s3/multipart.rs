//! Multipart uploads: parts are bodies of their own until they are completed into one.

use md5::{Digest, Md5};
use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Result, s3_error};

use super::body::{Upload, put_checksums};
use super::rows::{self, Headers, Multipart, Part};
use super::{Conditions, Storage, new_object};

/// The smallest part but the last (S3 quotas).
const MIN_PART_BYTES: i64 = 5 * 1024 * 1024;
/// The highest number of a part (S3 quotas).
const MAX_PART: i32 = 10_000;

pub(super) async fn create(
    storage: &Storage,
    mut input: CreateMultipartUploadInput,
) -> S3Result<CreateMultipartUploadOutput> {
    let headers = Headers {
        content_type: input.content_type.take(),
        content_disposition: input.content_disposition.take(),
        content_encoding: input.content_encoding.take(),
        content_language: input.content_language.take(),
        cache_control: input.cache_control.take(),
        metadata: input.metadata.take().unwrap_or_default(),
    };
    let id = uuid::Uuid::new_v4().simple().to_string();
    let upload = Multipart { bucket: input.bucket.clone(), key: input.key.clone(), headers };
    let row = id.clone();
    storage
        .db
        .call(move |t| -> S3Result<_> {
            rows::check_bucket(t, &upload.bucket)?;
            Ok(rows::create_upload(t, &row, &upload)?)
        })
        .await?;
    Ok(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        checksum_algorithm: input.checksum_algorithm,
        checksum_type: input.checksum_type,
        ..Default::default()
    })
}

pub(super) async fn upload_part(storage: &Storage, request: S3Request<UploadPartInput>) -> S3Result<UploadPartOutput> {
    let UploadPartInput { body, bucket, key, upload_id, part_number, content_md5, .. } = request.input;
    if !(1..=MAX_PART).contains(&part_number) {
        return Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"));
    }
    let upload = Upload {
        body,
        content_md5: content_md5.as_deref(),
        headers: &request.headers,
        trailers: request.trailing_headers,
    };
    let part = storage.bodies.write(upload).await?;
    let mut output = UploadPartOutput { e_tag: Some(ETag::Strong(part.md5.clone())), ..Default::default() };
    put_checksums!(output, part.checksums);
    let (part, replaced) = storage
        .db
        .call(move |t| -> S3Result<_> {
            rows::upload(t, &upload_id, &bucket, &key)?;
            let replaced = rows::put_part(t, &upload_id, part_number, &part)?;
            Ok((part, replaced))
        })
        .await?;
    part.keep();
    storage.bodies.remove(replaced).await;
    Ok(output)
}

pub(super) async fn complete(
    storage: &Storage,
    input: CompleteMultipartUploadInput,
) -> S3Result<CompleteMultipartUploadOutput> {
    let CompleteMultipartUploadInput { bucket, key, upload_id, multipart_upload, if_match, if_none_match, .. } = input;
    let named = multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    let wanted = (bucket.clone(), key.clone(), upload_id.clone());
    let (upload, chosen) = storage
        .db
        .call(move |t| -> S3Result<_> {
            let (bucket, key, id) = wanted;
            let upload = rows::upload(t, &id, &bucket, &key)?;
            Ok((upload, choose(&named, rows::parts(t, &id)?)?))
        })
        .await?;
    let files: Vec<String> = chosen.iter().map(|part| part.file.clone()).collect();
    let body = storage.bodies.concatenate(&files).await?;
    let etag = combined_etag(&chosen)?;
    let object = new_object(key.clone(), etag.clone(), super::body::Checksums::new(), upload.headers);
    storage.commit(bucket.clone(), object, body, Conditions { if_match, if_none_match }).await?;
    // After the object: a kill between the two leaves an upload to be aborted, never half an object.
    let leftover = storage.db.call(move |t| rows::delete_upload(t, &upload_id)).await?;
    storage.bodies.remove(leftover).await;
    let (e_tag, location) = (Some(ETag::Strong(etag)), Some(format!("/{bucket}/{key}")));
    Ok(CompleteMultipartUploadOutput { bucket: Some(bucket), key: Some(key), e_tag, location, ..Default::default() })
}

/// The stored parts the client names, which must be in order, as it knows them, and large enough.
fn choose(named: &[CompletedPart], stored: Vec<Part>) -> S3Result<Vec<Part>> {
    if named.is_empty() {
        return Err(s3_error!(MalformedXML, "You must specify at least one part"));
    }
    if !named.is_sorted_by(|a, b| a.part_number < b.part_number) {
        return Err(s3_error!(InvalidPartOrder, "The list of parts was not in ascending order."));
    }
    let is_named = |part: &Part| named.iter().any(|name| name.part_number == Some(part.number));
    let chosen: Vec<Part> = stored.into_iter().filter(is_named).collect();
    let tags_match = chosen.iter().zip(named).all(|(part, name)| {
        let tag = name.e_tag.as_ref().map(ETag::value);
        name.part_number == Some(part.number) && tag == Some(part.etag.as_str())
    });
    if chosen.len() != named.len() || !tags_match {
        return Err(s3_error!(InvalidPart, "One or more of the specified parts could not be found."));
    }
    let all_but_last = chosen.split_last().map_or(&[][..], |(_, others)| others);
    if all_but_last.iter().any(|part| part.size < MIN_PART_BYTES) {
        return Err(s3_error!(EntityTooSmall, "Your proposed upload is smaller than the minimum allowed size"));
    }
    Ok(chosen)
}

/// S3's tag of a completed upload: MD5 of the parts' MD5s, and their number.
fn combined_etag(parts: &[Part]) -> S3Result<String> {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(hex::decode(&part.etag).map_err(S3Error::internal_error)?);
    }
    Ok(format!("{}-{}", hex::encode(md5.finalize()), parts.len()))
}

pub(super) async fn abort(storage: &Storage, input: AbortMultipartUploadInput) -> S3Result<AbortMultipartUploadOutput> {
    let AbortMultipartUploadInput { bucket, key, upload_id, .. } = input;
    let files = storage
        .db
        .call(move |t| -> S3Result<_> {
            rows::upload(t, &upload_id, &bucket, &key)?;
            Ok(rows::delete_upload(t, &upload_id)?)
        })
        .await?;
    storage.bodies.remove(files).await;
    Ok(AbortMultipartUploadOutput::default())
}
