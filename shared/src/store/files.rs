//! Objects in S3: sources of messages, attachments, large bodies.

use std::{sync::Arc, time::Duration};

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{get_object::builders::GetObjectFluentBuilder, put_object::builders::PutObjectFluentBuilder},
    presigning::PresigningConfig,
    primitives::ByteStream,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::digest::{SHA256, digest};

use super::{StoreError, error::aws, keys};
use crate::model::{MessageId, Tenant};

/// Longest life of a URL that needs no token.
const LONGEST_URL: Duration = Duration::from_secs(15 * 60);

/// The metadata field (`x-amz-meta-…`) that holds the name of an uploaded file.
const FILENAME: &str = "filename";

/// How a download is to be presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The name that the browser saves it under; cleaned here.
    pub filename: String,
    /// Its type.
    pub content_type: String,
}

impl Download {
    /// Its Content-Disposition.
    pub fn disposition(&self) -> String {
        disposition(&self.filename)
    }
}

/// What is stored of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Size in bytes.
    pub size: u64,
    /// Its type.
    pub content_type: Option<String>,
    /// The name that it was uploaded under.
    pub filename: Option<String>,
}

/// A file that a caller wants to put there himself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
    /// Size in bytes.
    pub size: u64,
    /// Its type.
    pub content_type: String,
    /// Its name.
    pub filename: Option<String>,
}

/// How to put it there: a request that needs no token, for one content only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresignedPut {
    /// Where to.
    pub url: String,
    /// Headers that belong to the signature: each must be sent as it is here.
    pub headers: Vec<(String, String)>,
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
    pub async fn put_raw(
        &self,
        tenant: &Tenant,
        id: &MessageId,
        bytes: Bytes,
        sha256: &[u8; 32],
    ) -> Result<(), StoreError> {
        self.put(keys::raw_object(tenant, id), bytes, sha256)
            .content_type("message/rfc822")
            .send()
            .await
            .map_err(aws("PutObject"))?;
        Ok(())
    }

    /// The same for a source whose SHA-256 nobody has counted yet.
    pub async fn put_source(&self, tenant: &Tenant, id: &MessageId, bytes: Bytes) -> Result<(), StoreError> {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, &bytes).as_ref());
        self.put_raw(tenant, id, bytes, &sha256).await
    }

    /// A message's source, whole.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none.
    pub async fn get_raw(&self, tenant: &Tenant, id: &MessageId) -> Result<Bytes, StoreError> {
        self.read(self.get(keys::raw_object(tenant, id)), "the source of the message").await
    }

    /// The first bytes of a message's source.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none.
    pub async fn get_raw_head(&self, tenant: &Tenant, id: &MessageId, bytes: u64) -> Result<Bytes, StoreError> {
        match bytes.checked_sub(1) {
            Some(last) => {
                self.read(
                    self.get(keys::raw_object(tenant, id)).range(format!("bytes=0-{last}")),
                    "the source of the message",
                )
                .await
            }
            None => Ok(Bytes::new()),
        }
    }

    /// Deletes a message's source, if it is there.
    pub async fn delete_raw(&self, tenant: &Tenant, id: &MessageId) -> Result<(), StoreError> {
        let request = self.client.delete_object().bucket(&*self.bucket).key(keys::raw_object(tenant, id));
        request.send().await.map_err(aws("DeleteObject"))?;
        Ok(())
    }

    /// Stores a file under its SHA-256 unless it is there; S3 compares the hash. Returns it, lower-case hex.
    pub async fn put_file(&self, tenant: &Tenant, bytes: Bytes, content_type: &str) -> Result<String, StoreError> {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, &bytes).as_ref());
        self.put_hashed(tenant, &sha256, bytes, content_type).await?;
        Ok(hex::encode(sha256))
    }

    async fn put_hashed(
        &self,
        tenant: &Tenant,
        sha256: &[u8; 32],
        bytes: Bytes,
        content_type: &str,
    ) -> Result<(), StoreError> {
        let name = keys::file_object(tenant, &hex::encode(sha256));
        // A stranger's Content-Type may hold what no header can: the request could not even be built, in any run.
        let put = || self.put(name.clone(), bytes.clone(), sha256).content_type(media_type(content_type));
        match put().if_none_match("*").send().await {
            Ok(_) => Ok(()),
            // 412: it is there already, and under this name there can be no other content.
            Err(error) if code(&error) == Some("PreconditionFailed") => Ok(()),
            // 409: it is being deleted right now, and S3 does not decide. Then without the condition.
            Err(error) if code(&error) == Some("ConditionalRequestConflict") => {
                put().send().await.map(drop).map_err(aws("PutObject"))
            }
            Err(error) => Err(aws("PutObject")(error)),
        }
    }

    /// A file, whole.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none.
    pub async fn get_file(&self, tenant: &Tenant, sha256: &str) -> Result<Bytes, StoreError> {
        self.read(self.get(keys::file_object(tenant, sha256)), "the file").await
    }

    /// Whether a file is there, and how large.
    pub async fn head_file(&self, tenant: &Tenant, sha256: &str) -> Result<Option<Upload>, StoreError> {
        let request = self.client.head_object().bucket(&*self.bucket).key(keys::file_object(tenant, sha256));
        match request.send().await {
            Ok(head) => Ok(Some(Upload {
                size: head.content_length.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                filename: head.metadata.as_ref().and_then(|meta| meta.get(FILENAME)).and_then(|name| decoded(name)),
                content_type: head.content_type,
            })),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => Ok(None),
            Err(error) => Err(aws("HeadObject")(error)),
        }
    }

    /// The file whose SHA-256 begins with these 32 hex digits: its `file_uuid` (decision 18).
    pub async fn by_uuid(&self, tenant: &Tenant, digits: &str) -> Result<Option<String>, StoreError> {
        let prefix = keys::file_object(tenant, digits);
        let list = self.client.list_objects_v2().bucket(&*self.bucket).prefix(prefix).max_keys(1);
        let listed = list.send().await.map_err(aws("ListObjectsV2"))?;
        let key = listed.contents().first().and_then(|object| object.key());
        Ok(key.and_then(|key| key.rsplit('/').next()).map(str::to_owned))
    }

    /// A request that puts one file there, and nothing else: its length, its SHA-256 and that it must not be there yet
    /// are signed. Valid for at most 15 minutes.
    pub async fn presign_put(
        &self,
        tenant: &Tenant,
        new: &NewFile,
        valid: Duration,
    ) -> Result<PresignedPut, StoreError> {
        let mut request = self
            .client
            .put_object()
            .bucket(&*self.bucket)
            .key(keys::file_object(tenant, &hex::encode(new.sha256)))
            .content_length(i64::try_from(new.size).unwrap_or(i64::MAX))
            .content_type(media_type(&new.content_type))
            .checksum_sha256(STANDARD.encode(new.sha256))
            .if_none_match("*");
        if let Some(name) = &new.filename {
            // A header is ASCII, and S3 gives metadata back as it came.
            request = request.metadata(FILENAME, utf8_percent_encode(name, NON_ALPHANUMERIC).to_string());
        }
        let signed = request.presigned(validity(valid)?).await.map_err(aws("presign PutObject"))?;
        let headers = signed.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(PresignedPut { url: signed.uri().to_owned(), headers })
    }

    pub(super) async fn put_body(
        &self,
        tenant: &Tenant,
        id: &MessageId,
        fingerprint: &str,
        json: Bytes,
    ) -> Result<(), StoreError> {
        self.put(keys::body_object(tenant, id, fingerprint), json.clone(), digest(&SHA256, &json).as_ref())
            .content_type("application/json")
            .send()
            .await
            .map_err(aws("PutObject"))?;
        Ok(())
    }

    /// The body of a message, or so many bytes of it and one more.
    pub(super) async fn get_body(
        &self,
        tenant: &Tenant,
        id: &MessageId,
        fingerprint: &str,
        most: usize,
    ) -> Result<Bytes, StoreError> {
        let request = self.get(keys::body_object(tenant, id, fingerprint));
        self.read(request.range(format!("bytes=0-{most}")), "the body of the message").await
    }

    /// A URL that gives a message's source to whoever has it, for at most 15 minutes.
    pub async fn presign_raw(
        &self,
        tenant: &Tenant,
        id: &MessageId,
        download: &Download,
        valid: Duration,
    ) -> Result<String, StoreError> {
        self.presign(keys::raw_object(tenant, id), download, valid).await
    }

    /// A URL that gives a file to whoever has it, for at most 15 minutes.
    pub async fn presign_file(
        &self,
        tenant: &Tenant,
        sha256: &str,
        download: &Download,
        valid: Duration,
    ) -> Result<String, StoreError> {
        self.presign(keys::file_object(tenant, sha256), download, valid).await
    }

    /// Stores an object of this room's own.
    pub(super) async fn put_object(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        let sha256 = digest(&SHA256, &bytes);
        self.put(key.to_owned(), bytes, sha256.as_ref()).send().await.map_err(aws("PutObject"))?;
        Ok(())
    }

    /// Part of such an object.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where it is not there.
    pub(super) async fn get_part(&self, key: &str, part: std::ops::Range<usize>) -> Result<Bytes, StoreError> {
        let Some(last) = part.end.checked_sub(1) else {
            return Ok(Bytes::new());
        };
        self.read(self.get(key.to_owned()).range(format!("bytes={}-{last}", part.start)), "an object of ours").await
    }

    /// Deletes such an object, if it is there.
    pub(super) async fn delete_object(&self, key: &str) -> Result<(), StoreError> {
        let request = self.client.delete_object().bucket(&*self.bucket).key(key);
        request.send().await.map_err(aws("DeleteObject"))?;
        Ok(())
    }

    fn put(&self, key: String, bytes: Bytes, sha256: &[u8]) -> PutObjectFluentBuilder {
        self.put_checked(key, STANDARD.encode(sha256), bytes.into())
    }

    /// A PUT whose content S3 compares with its SHA-256, so that no flipped bit is ever stored.
    pub(super) fn put_checked(&self, key: String, sha256: String, body: ByteStream) -> PutObjectFluentBuilder {
        self.client.put_object().bucket(&*self.bucket).key(key).checksum_sha256(sha256).body(body)
    }

    pub(super) fn get(&self, key: String) -> GetObjectFluentBuilder {
        self.client.get_object().bucket(&*self.bucket).key(key)
    }

    async fn read(&self, request: GetObjectFluentBuilder, what: &'static str) -> Result<Bytes, StoreError> {
        let body = self.answer(request, what).await?;
        let body = body.collect().await.map_err(|error| StoreError::interrupted("GetObject", error))?;
        Ok(body.into_bytes())
    }

    pub(super) async fn answer(
        &self,
        request: GetObjectFluentBuilder,
        what: &'static str,
    ) -> Result<ByteStream, StoreError> {
        match request.send().await {
            Ok(answer) => Ok(answer.body),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => {
                Err(StoreError::Missing { what })
            }
            Err(error) => Err(aws("GetObject")(error)),
        }
    }

    async fn presign(&self, key: String, download: &Download, valid: Duration) -> Result<String, StoreError> {
        let request = self
            .get(key)
            .response_content_disposition(disposition(&download.filename))
            .response_content_type(media_type(&download.content_type));
        Ok(request.presigned(validity(valid)?).await.map_err(aws("presign GetObject"))?.uri().to_owned())
    }
}

fn validity(valid: Duration) -> Result<PresigningConfig, StoreError> {
    let missing = StoreError::Missing { what: "the time a URL is valid" };
    PresigningConfig::expires_in(valid.min(LONGEST_URL)).map_err(|_| missing)
}

fn decoded(name: &str) -> Option<String> {
    Some(percent_decode_str(name).decode_utf8().ok()?.into_owned())
}

fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

/// Content-Disposition that always downloads and never shows (RFC 6266 §4): an ASCII name for old clients, and the
/// real one as RFC 8187 §3.2 has it. Nothing in it can end the header or name a folder.
fn disposition(filename: &str) -> String {
    let name: String = filename
        .chars()
        .filter(|c| !c.is_control())
        .map(|c| if "/\\:".contains(c) { '_' } else { c })
        .take(200)
        .collect();
    let name = if name.trim_matches(['.', ' ']).is_empty() { "file" } else { name.as_str() };
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || " .-_()+@".contains(c) { c } else { '_' }).collect();
    let coded = name.bytes().fold(String::new(), |coded, byte| match byte {
        b if b.is_ascii_alphanumeric() || b".-_".contains(&b) => coded + &char::from(b).to_string(),
        b => coded + &format!("%{b:02X}"),
    });
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{coded}")
}

/// A type that cannot end the header: `type/subtype` without parameters (RFC 9110 §8.3.1), else plain bytes.
pub(super) fn media_type(given: &str) -> String {
    let bare = given.split(';').next().unwrap_or_default().trim();
    let token =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
    match bare.split_once('/') {
        Some((kind, subtype)) if token(kind) && token(subtype) => bare.to_ascii_lowercase(),
        _ => "application/octet-stream".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_is_saved_under_a_harmless_name() {
        assert_eq!(disposition("a b.pdf"), "attachment; filename=\"a b.pdf\"; filename*=UTF-8''a%20b.pdf");
        assert_eq!(
            disposition("\"; x=\"\r\ny"),
            "attachment; filename=\"__ x=_y\"; filename*=UTF-8''%22%3B%20x%3D%22y".replace("x=_y", "x__y")
        );
        assert_eq!(
            disposition("../../Rechnung für.pdf"),
            "attachment; filename=\".._.._Rechnung f_r.pdf\"; filename*=UTF-8''.._.._Rechnung%20f%C3%BCr.pdf"
        );
        assert_eq!(disposition(" .. "), "attachment; filename=\"file\"; filename*=UTF-8''file");
    }

    #[test]
    fn a_type_is_a_type_or_bytes() {
        assert_eq!(media_type("Text/HTML; charset=x"), "text/html");
        for wrong in ["", "text", "text/", "a/b c", "a/b\r\nx: y"] {
            assert_eq!(media_type(wrong), "application/octet-stream", "{wrong:?}");
        }
    }
}
