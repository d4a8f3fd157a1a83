//! `GET …/messages/{id}/html`: a message as a page that is safe to show. Two walls: what [`sanitize`] leaves neither runs
//! nor loads anything, and the page's own policy would not let it.

use shared::http::call::wrong_parameter;
use shared::http::reply::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_DNS_PREFETCH_CONTROL,
};
use shared::http::{Call, Reply};
use shared::mail::parse;
use shared::mail::sanitize::{self, Remote};
use shared::model::{Code, Problem};
use shared::ops::Tools;
use shared::store::StoredMessage;

use crate::handler::{find, present, readable};

/// Answers the page.
pub(crate) async fn page(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["remote"])?;
    let remote = match call.query.get("remote").map(String::as_str) {
        None | Some("block") => Remote::Blocked,
        Some("allow") => Remote::Allowed,
        Some(_) => return Err(wrong_parameter("remote", "block or allow")),
    };
    let stored = find(&tools, &call).await?;
    if let StoredMessage::Incoming(row) = &stored {
        present(row)?;
    }
    let source = readable(&tools, &call, &stored).await?;
    let source = source.ok_or_else(|| Problem::new(Code::NotFound, "the source of the message is not here"))?;
    Ok(shown(body(&source, remote), remote))
}

/// The HTML with the message's own pictures; the text where there is none.
fn body(source: &[u8], remote: Remote) -> String {
    let Some(html) = parse::html(source) else {
        return sanitize::preformatted(&parse::text(source).unwrap_or_default());
    };
    let pictures = parse::pictures(source);
    let page = sanitize::html(&html, remote, |id| pictures.get(id).cloned());
    // Tag soup may grow; an answer of Lambda's may not (6 MB).
    if page.len() <= sanitize::MAX_PAGE { page } else { sanitize::preformatted(&sanitize::text(&html)) }
}

fn shown(body: String, remote: Remote) -> Reply {
    let pictures = match remote {
        Remote::Blocked => "data:",
        Remote::Allowed => "data: https:",
    };
    // Styles stand in attributes; none can load anything, for which img-src would have to allow it.
    let policy = format!(
        "sandbox; default-src 'none'; img-src {pictures}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    );
    let page = format!(
        "<!doctype html><html><head><meta charset=\"utf-8\"><meta name=\"referrer\" content=\"no-referrer\">\
         <meta name=\"viewport\" content=\"width=device-width\"></head><body>{body}</body></html>"
    );
    Reply::bytes("text/html; charset=utf-8", page.into_bytes())
        .header(CONTENT_SECURITY_POLICY, &policy)
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(REFERRER_POLICY, "no-referrer")
        .header(X_DNS_PREFETCH_CONTROL, "off")
        .header(CACHE_CONTROL, "private, no-store")
}
