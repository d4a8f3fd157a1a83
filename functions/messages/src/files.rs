//! `GET /v1/files/{id}`: a file by the hash of its content.

use shared::http::{Call, Reply};
use shared::mail::parse;
use shared::model::{Code, Problem};
use shared::ops::{Tools, files};
use shared::store::Download;

use crate::handler::{LINK, harmless, within};

/// Redirects to the file, or gives its bytes.
pub(crate) async fn get(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["inline", "filename"])?;
    let inline = call.flag("inline")?.unwrap_or(false);
    let id = call.path.get("id").cloned().unwrap_or_default();
    let stored = files::find(&tools.store, call.tenant(), &id).await?;
    let stored = stored.ok_or_else(|| Problem::new(Code::NotFound, "there is no such file"))?;
    let content_type = stored.content_type.unwrap_or_else(|| "application/octet-stream".to_owned());
    if inline {
        within(stored.size)?;
        return Ok(harmless(&content_type, tools.store.files.get_file(call.tenant(), &id).await?.to_vec()));
    }
    let filename = call.query.get("filename").cloned().or(stored.filename);
    let filename = filename.and_then(|name| parse::safe_name(&name)).unwrap_or_else(|| "file".to_owned());
    let download = Download { filename, content_type };
    Ok(Reply::redirect(&tools.store.files.presign_file(call.tenant(), &id, &download, LINK).await?))
}
