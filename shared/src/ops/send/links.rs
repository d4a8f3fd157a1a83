//! Files that would make a message too large leave as links in its text.
//!
//! A presigned URL dies with the session of the role that signed it, and shows the bucket: so a link is a route of ours
//! with a name that nobody guesses, which ends when the sender says, needs no token, and redirects to a URL that was
//! signed a moment ago. Links are made once, when the message is accepted, and stand in the stored text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::model::send::{AttachmentInput, Disposition, Links, SendRequest};
use crate::model::{FieldError, Problem, Tenant, Timestamp};
use crate::ops::{Tools, files, pii};
use crate::store::Link;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// What a part costs beside its bytes: its header and boundary.
const PART_BYTES: u64 = 500;

/// Turns the largest files into links until the message fits.
pub(super) async fn replace(
    tools: &Tools,
    tenant: &Tenant,
    request: &mut SendRequest,
    now: Timestamp,
) -> Result<(), Problem> {
    let Some(links) = request.links.clone() else {
        return Ok(());
    };
    check(&links)?;
    let mut sizes = Vec::with_capacity(request.attachments.len());
    for attachment in &request.attachments {
        sizes.push(size(tools, tenant, attachment).await?);
    }
    let text = [&request.text, &request.html].into_iter().flatten().map(|text| text.len() as u64 * 4 / 3).sum::<u64>();
    let mut total = text + sizes.iter().map(|size| encoded(*size)).sum::<u64>();
    let mut leaving = Vec::new();
    while total > links.above {
        // What the HTML shows has to be in the message.
        let stays = |at: &usize| leaving.contains(at) || request.attachments[*at].disposition == Disposition::Inline;
        let Some(largest) = (0..sizes.len()).filter(|at| !stays(at)).max_by_key(|at| sizes[*at]) else { break };
        total -= encoded(sizes[largest]);
        leaving.push(largest);
    }
    leaving.sort_unstable();
    let origin = match &request.origin {
        Some(origin) => origin.clone(),
        None if leaving.is_empty() => return Ok(()),
        None => return Err(invalid("/links", "not_here", "links are made by POST of a message only")),
    };
    let expires_at = now.plus_seconds(i64::from(links.days) * DAY);
    for at in leaving.iter().rev() {
        let attachment = request.attachments.remove(*at);
        let filename = if attachment.filename.is_empty() { "file".to_owned() } else { attachment.filename.clone() };
        let link = Link {
            file: stored(tools, tenant, &attachment).await?,
            filename,
            expires_at,
            content_type: attachment.content_type.unwrap_or_default(),
        };
        let url = format!("{origin}/f/{}", tools.store.links.create(tenant, &link).await?);
        append(request, &link, sizes[*at], &url);
    }
    Ok(())
}

fn invalid(pointer: &str, code: &str, detail: &str) -> Problem {
    Problem::invalid(vec![FieldError::new(pointer, code, detail)])
}

fn check(links: &Links) -> Result<(), Problem> {
    if !(1..=Links::MOST_DAYS).contains(&links.days) {
        let detail = format!("1 to {} days", Links::MOST_DAYS);
        return Err(invalid("/links/days", "invalid_value", &detail));
    }
    Ok(())
}

/// Bytes of an attachment; 0 where it cannot be had, which loading it will say.
async fn size(tools: &Tools, tenant: &Tenant, attachment: &AttachmentInput) -> Result<u64, Problem> {
    match (&attachment.content, &attachment.file_id) {
        (Some(content), _) => Ok(content.len() as u64 / 4 * 3),
        (None, Some(id)) => Ok(files::find(&tools.store, tenant, id).await?.map_or(0, |found| found.size)),
        (None, None) => Ok(0),
    }
}

/// Base64 in lines (RFC 2045 §6.8).
fn encoded(size: u64) -> u64 {
    size.div_ceil(3) * 4 * 78 / 76 + PART_BYTES
}

/// The file of an attachment.
async fn stored(tools: &Tools, tenant: &Tenant, attachment: &AttachmentInput) -> Result<String, Problem> {
    if let Some(id) = &attachment.file_id {
        return Ok(id.clone());
    }
    let content = attachment.content.as_deref().unwrap_or_default();
    let bytes =
        STANDARD.decode(content).map_err(|_| invalid("/attachments", "invalid_base64", "no base64 (RFC 4648 §4)"))?;
    let kind = attachment.content_type.as_deref().unwrap_or("application/octet-stream");
    Ok(tools.store.files.put_file(tenant, bytes.into(), kind).await?)
}

/// Tells of a file that is fetched instead of attached.
fn append(request: &mut SendRequest, link: &Link, size: u64, url: &str) {
    let until = link.expires_at.to_string();
    let until = until.split('T').next().unwrap_or_default();
    let size = format!("{:.1} MB", size as f64 / 1e6);
    if let Some(html) = &mut request.html {
        let line = format!("<p><a href=\"{url}\">{}</a> ({size}, until {until})</p>", pii::escaped(&link.filename));
        let at = html.to_ascii_lowercase().rfind("</body").unwrap_or(html.len());
        html.insert_str(at, &line);
    }
    if request.text.is_some() || request.html.is_none() {
        let text = request.text.get_or_insert_default();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("\n{} ({size}, until {until}):\n{url}\n", link.filename));
    }
}
