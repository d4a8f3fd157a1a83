//! Bodies on the disk: written once under a name of their own, compared with what the client said of them, and only
//! then named by a row.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use http::HeaderMap;
use md5::{Digest, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3Result, TrailingHeaders, s3_error};
use tokio::io::AsyncWriteExt;

use crate::aws::AwsError;

/// What S3 can compare, by the end of its header's name.
const ALGORITHMS: [&str; 5] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];

/// Checksums by algorithm (`sha256`), in base64.
pub(super) type Checksums = BTreeMap<String, String>;

/// Copies [`Checksums`] into an output of s3s, whose types share the fields but no trait.
macro_rules! put_checksums {
    ($output:expr, $checksums:expr) => {
        $output.checksum_crc32 = $checksums.get("crc32").cloned();
        $output.checksum_crc32c = $checksums.get("crc32c").cloned();
        $output.checksum_crc64nvme = $checksums.get("crc64nvme").cloned();
        $output.checksum_sha1 = $checksums.get("sha1").cloned();
        $output.checksum_sha256 = $checksums.get("sha256").cloned();
    };
}
pub(super) use put_checksums;

/// The directory of all bodies.
#[derive(Clone)]
pub(super) struct Bodies {
    directory: PathBuf,
}

/// A body on the disk that no row names yet: removed again when it is dropped before [`Self::keep`].
pub(super) struct Pending {
    path: PathBuf,
    name: String,
    kept: bool,
    /// In bytes.
    pub(super) size: i64,
    /// Hexadecimal, the ETag of an object put in one piece.
    pub(super) md5: String,
    /// Those the client asked for, equal to what it sent.
    pub(super) checksums: Checksums,
}

impl Bodies {
    /// Creates the directories that are missing.
    pub(super) fn open(directory: &Path) -> Result<Self, AwsError> {
        for first in 0..=u8::MAX {
            let part = directory.join(format!("{first:02x}"));
            std::fs::create_dir_all(&part).map_err(AwsError::file(&part))?;
        }
        Ok(Self { directory: directory.to_owned() })
    }

    /// Where the body of that name lies.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name.get(..2).unwrap_or_default()).join(name)
    }

    /// Names of all bodies there are.
    pub(super) fn names(&self) -> Result<Vec<String>, AwsError> {
        let mut names = Vec::new();
        for part in read_directory(&self.directory)? {
            names.extend(read_directory(&part)?.iter().filter_map(|file| Some(file.file_name()?.to_str()?.to_owned())));
        }
        Ok(names)
    }

    /// Removes bodies that no row names any more. What cannot be removed is only space, and is tried again at the
    /// next start.
    pub(super) async fn remove(&self, names: impl IntoIterator<Item = String>) {
        for name in names {
            if let Err(error) = tokio::fs::remove_file(self.path(&name)).await {
                tracing::warn!(%error, name, "object body");
            }
        }
    }

    /// Writes a request's body and compares it with its checksums, those of its trailer included.
    ///
    /// # Errors
    /// `BadDigest`, `InvalidDigest`, `IncompleteBody`.
    pub(super) async fn write(&self, upload: Upload<'_>) -> S3Result<Pending> {
        let mut hasher = upload.hasher();
        let mut md5 = Md5::new();
        let mut pending = self.pending();
        let mut file = tokio::fs::File::create(&pending.path).await.map_err(AwsError::file(&pending.path))?;
        if let Some(mut body) = upload.body {
            while let Some(chunk) = body.next().await {
                let chunk = chunk.map_err(|error| S3Error::with_source(s3s::S3ErrorCode::IncompleteBody, error))?;
                md5.update(&chunk);
                hasher.update(&chunk);
                pending.size += i64::try_from(chunk.len()).map_err(S3Error::internal_error)?;
                file.write_all(&chunk).await.map_err(AwsError::file(&pending.path))?;
            }
        }
        file.flush().await.map_err(AwsError::file(&pending.path))?;

        let md5: [u8; 16] = md5.finalize().into();
        if let Some(expected) = upload.content_md5 {
            let expected = STANDARD.decode(expected).map_err(|_| s3_error!(InvalidDigest))?;
            if expected != md5 {
                return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
            }
        }
        pending.md5 = hex::encode(md5);
        pending.checksums = computed(hasher);
        let mut expected = received(upload.headers);
        if let Some(trailers) = upload.trailers.and_then(|trailers| trailers.take()) {
            expected.extend(received(&trailers));
        }
        // One announced for the trailer has to come there.
        let is_wrong = |(algorithm, value): &(&String, &String)| expected.get(*algorithm) != Some(*value);
        if let Some((algorithm, _)) = pending.checksums.iter().find(is_wrong) {
            return Err(s3_error!(BadDigest, "The {algorithm} you specified did not match what we received."));
        }
        Ok(pending)
    }

    /// A new, empty body that is the parts one after the other.
    pub(super) async fn concatenate(&self, parts: &[String]) -> S3Result<Pending> {
        let mut pending = self.pending();
        let mut whole = tokio::fs::File::create(&pending.path).await.map_err(AwsError::file(&pending.path))?;
        for part in parts {
            let path = self.path(part);
            let mut part = tokio::fs::File::open(&path).await.map_err(AwsError::file(&path))?;
            let copied = tokio::io::copy(&mut part, &mut whole).await.map_err(AwsError::file(&pending.path))?;
            pending.size += i64::try_from(copied).map_err(S3Error::internal_error)?;
        }
        whole.flush().await.map_err(AwsError::file(&pending.path))?;
        Ok(pending)
    }

    fn pending(&self) -> Pending {
        let name = uuid::Uuid::new_v4().simple().to_string();
        let (md5, checksums) = (String::new(), Checksums::new());
        Pending { path: self.path(&name), name, kept: false, size: 0, md5, checksums }
    }
}

impl Pending {
    /// The name for the row.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A committed row names the body now.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::debug!(%error, path = %self.path.display(), "unused object body");
        }
    }
}

/// A body as it comes in, and what the client said of it.
pub(super) struct Upload<'a> {
    pub(super) body: Option<StreamingBlob>,
    pub(super) content_md5: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) trailers: Option<TrailingHeaders>,
}

impl Upload<'_> {
    /// Computes what the headers bring or the trailer will.
    fn hasher(&self) -> ChecksumHasher {
        let announced = self.headers.get("x-amz-trailer").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let wanted = |algorithm: &str| {
            let name = format!("x-amz-checksum-{algorithm}");
            self.headers.contains_key(&name) || announced.split(',').any(|trailer| trailer.trim() == name)
        };
        ChecksumHasher {
            crc32: wanted("crc32").then(Default::default),
            crc32c: wanted("crc32c").then(Default::default),
            sha1: wanted("sha1").then(Default::default),
            sha256: wanted("sha256").then(Default::default),
            crc64nvme: wanted("crc64nvme").then(Default::default),
        }
    }
}

fn computed(hasher: ChecksumHasher) -> Checksums {
    let sums = hasher.finalize();
    let all = [
        ("crc32", sums.checksum_crc32),
        ("crc32c", sums.checksum_crc32c),
        ("crc64nvme", sums.checksum_crc64nvme),
        ("sha1", sums.checksum_sha1),
        ("sha256", sums.checksum_sha256),
    ];
    all.into_iter().filter_map(|(algorithm, sum)| Some((algorithm.to_owned(), sum?))).collect()
}

fn received(headers: &HeaderMap) -> Checksums {
    let value = |algorithm: &str| headers.get(format!("x-amz-checksum-{algorithm}"))?.to_str().ok().map(str::to_owned);
    ALGORITHMS.iter().filter_map(|algorithm| Some(((*algorithm).to_owned(), value(algorithm)?))).collect()
}

fn read_directory(path: &Path) -> Result<Vec<PathBuf>, AwsError> {
    let entries = std::fs::read_dir(path).map_err(AwsError::file(path))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(AwsError::file(path))).collect()
}
