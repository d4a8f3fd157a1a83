//! `GET /f/{token}`: a file that was too large for its message, for whoever has the link.

use shared::http::Reply;
use shared::http::serve::Visit;
use shared::model::{Code, Problem};
use shared::ops::{Tools, files};
use shared::store::Download;

use crate::handler::LINK;

/// Redirects to the file. Whatever is wrong with a link looks the same from outside.
pub(crate) async fn follow(tools: Tools, visit: Visit) -> Result<Reply, Problem> {
    let missing = || Problem::new(Code::NotFound, "this link has ended, or it is not complete");
    let token = visit.path.get("token").map_or("", String::as_str);
    let (tenant, link) = tools.store.links.get(token, visit.now).await?.ok_or_else(missing)?;
    files::find(&tools.store, &tenant, &link.file).await?.ok_or_else(missing)?;
    let download = Download { filename: link.filename, content_type: link.content_type };
    Ok(Reply::redirect(&tools.store.files.presign_file(&tenant, &link.file, &download, LINK).await?))
}
