//! `POST /v1/files`: files go to S3 directly, so that no limit of API Gateway or Lambda holds for them.

use std::time::Duration;

use shared::http::{Call, Reply};
use shared::model::files::{FileInput, FileTicket, FileUpload};
use shared::model::{FieldError, Problem};
use shared::ops::{Tools, files};
use shared::store::NewFile;

/// How long an upload may be begun.
const VALID: Duration = Duration::from_secs(15 * 60);

/// Says whether the file is there already, and gives a presigned PUT where it is not.
pub(crate) async fn create(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let input: FileInput = call.json()?;
    let sha256 = input.check().map_err(Problem::invalid)?;
    let location = format!("/v1/files/{}", input.sha256);
    if let Some(stored) = files::find(&tools.store, call.tenant(), &input.sha256).await? {
        if stored.size != input.size {
            let detail = format!("the file with this SHA-256 has {} bytes", stored.size);
            return Err(Problem::invalid(vec![FieldError::new("/size", "invalid_value", detail)]));
        }
        return Reply::ok(&FileTicket { file_id: input.sha256, exists: true, upload: None });
    }
    let new = NewFile {
        sha256,
        size: input.size,
        content_type: input.content_type.unwrap_or_default(),
        filename: input.filename.filter(|name| !name.is_empty()),
    };
    let put = tools.store.files.presign_put(call.tenant(), &new, VALID).await?;
    let seconds = i64::try_from(VALID.as_secs()).unwrap_or(i64::MAX);
    let upload = FileUpload {
        method: "PUT",
        url: put.url,
        headers: put.headers.into_iter().collect(),
        expires_at: call.now.plus_seconds(seconds),
    };
    Reply::created(&FileTicket { file_id: input.sha256, exists: false, upload: Some(upload) }, &location)
}
