//! ListObjectsV2: keys in order, cut into pages, with a delimiter gathered into common prefixes.

use rusqlite::Transaction;
use s3s::dto::*;
use s3s::{S3Result, s3_error};

use super::rows::{self, Object as Row};
use super::timestamp;

/// The most entries of a page, as on AWS.
const MAX_KEYS: i32 = 1000;

/// One page. The continuation token is the hexadecimal form of the last entry given out.
pub(super) fn list(t: &Transaction<'_>, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
    rows::check_bucket(t, &input.bucket)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let max = input.max_keys.unwrap_or(MAX_KEYS).clamp(0, MAX_KEYS);
    let start = match &input.continuation_token {
        Some(token) => from_token(token)?,
        None => input.start_after.clone().unwrap_or_default(),
    };
    let mut page = Page { contents: vec![], common_prefixes: vec![], last: start, more: false };
    page.fill(t, &input.bucket, &prefix, input.delimiter.as_deref().filter(|d| !d.is_empty()), max)?;
    let count = page.len();
    Ok(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(prefix),
        max_keys: Some(max),
        key_count: Some(count),
        continuation_token: input.continuation_token,
        is_truncated: Some(page.more),
        next_continuation_token: page.more.then(|| hex::encode(&page.last)),
        contents: Some(page.contents),
        common_prefixes: Some(page.common_prefixes),
        delimiter: input.delimiter,
        start_after: input.start_after,
        ..Default::default()
    })
}

fn from_token(token: &str) -> S3Result<String> {
    let decoded = hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}

struct Page {
    contents: Vec<Object>,
    common_prefixes: Vec<CommonPrefix>,
    /// Last key or common prefix given out; the next entry comes after it.
    last: String,
    more: bool,
}

impl Page {
    fn len(&self) -> i32 {
        // At most MAX_KEYS.
        i32::try_from(self.contents.len() + self.common_prefixes.len()).unwrap_or(i32::MAX)
    }

    fn fill(
        &mut self,
        t: &Transaction<'_>,
        bucket: &str,
        prefix: &str,
        delimiter: Option<&str>,
        max: i32,
    ) -> S3Result<()> {
        // A page may begin behind a common prefix given out before: none of its keys is to come again.
        let mut after = match delimiter {
            Some(delimiter) if self.last.ends_with(delimiter) => rows::after_prefix(&self.last),
            _ => self.last.clone(),
        };
        loop {
            let wanted = i64::from(max - self.len()) + 1;
            let found = rows::objects_after(t, bucket, prefix, &after, wanted)?;
            let exhausted = found.len() < usize::try_from(wanted).unwrap_or(usize::MAX);
            for row in found {
                if row.key <= after {
                    continue;
                }
                if self.len() == max {
                    self.more = max > 0;
                    return Ok(());
                }
                after = self.add(row, prefix, delimiter);
            }
            if exhausted {
                return Ok(());
            }
        }
    }

    /// Answers with the text after which the next entry is looked for.
    fn add(&mut self, row: Row, prefix: &str, delimiter: Option<&str>) -> String {
        let rest = row.key.get(prefix.len()..).unwrap_or_default();
        let cut = delimiter.and_then(|delimiter| Some(prefix.len() + rest.find(delimiter)? + delimiter.len()));
        match cut.and_then(|cut| row.key.get(..cut)) {
            Some(common) => {
                self.last = common.to_owned();
                self.common_prefixes.push(CommonPrefix { prefix: Some(self.last.clone()) });
                rows::after_prefix(common)
            }
            None => {
                self.last.clone_from(&row.key);
                self.contents.push(entry(row));
                self.last.clone()
            }
        }
    }
}

fn entry(row: Row) -> Object {
    Object {
        key: Some(row.key),
        size: Some(row.size),
        e_tag: Some(ETag::Strong(row.etag)),
        last_modified: timestamp(row.modified_at),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..Default::default()
    }
}
