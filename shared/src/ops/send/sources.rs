//! Attachments that are somewhere else: fetched, or found in stored mail, before the message is claimed, and from then
//! on files of the tenant. So every attempt has the same bytes, and what cannot be had stops the message before any
//! SMTP command.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::Url;

use super::content::ATTACHMENT_BYTES;
use crate::mail::{Deadline, parse};
use crate::model::send::{AttachmentInput, SendRequest};
use crate::model::{AccountId, Code, FieldError, MessageId, Problem, Tenant};
use crate::net::http::Error as HttpError;
use crate::net::{DownloadError, Downloaded};
use crate::ops::Tools;
use crate::ops::pii::Clear;
use crate::store::{StoredMessage, Upload};

/// All downloads of one message together: what is left of the caller's time belongs to the mail server.
const PATIENCE: Duration = Duration::from_secs(15);

/// Types that say nothing: the bytes are asked instead (RFC 9110 §8.3).
const GENERIC: [&str; 5] =
    ["", "application/octet-stream", "application/force-download", "application/x-download", "binary/octet-stream"];

/// Whether anything has to be fetched or found.
pub(super) fn are_elsewhere(request: &SendRequest) -> bool {
    request.attachments.iter().any(|attachment| attachment.url.is_some() || attachment.message.is_some())
}

/// Each attachment has one source. All wrong ones are named.
pub(super) fn check(request: &SendRequest) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, attachment) in request.attachments.iter().enumerate() {
        let given = [
            attachment.content.is_some(),
            attachment.file_id.is_some(),
            attachment.url.is_some(),
            attachment.message.is_some(),
        ];
        if given.iter().filter(|given| **given).count() != 1
            || attachment.message.is_some() != attachment.part.is_some()
        {
            let detail = "give one of content (base64), fileId, url, and message with part";
            errors.push(FieldError::new(format!("/attachments/{index}"), "missing", detail));
        }
    }
    errors
}

/// Makes files of all attachments that are elsewhere. What comes back names files and bytes only.
///
/// # Errors
/// 422 `attachment_failed`, with the pointer of the first that cannot be had.
pub(super) async fn gather(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountId,
    mut request: SendRequest,
    clear: &Clear,
) -> Result<SendRequest, Problem> {
    let (until, mut room) = (Deadline::after(PATIENCE), ATTACHMENT_BYTES);
    for (index, attachment) in request.attachments.iter_mut().enumerate() {
        let pointer = format!("/attachments/{index}");
        if let Some(url) = attachment.url.take() {
            let place = Place { shown: &url, clear: &clear.text(&url), pointer: format!("{pointer}/url") };
            room -= download(tools, tenant, attachment, place, room, until).await?;
        } else if let (Some(message), Some(part)) = (attachment.message.take(), attachment.part.take()) {
            quote(tools, tenant, account, attachment, (&message, part), &pointer).await?;
        }
    }
    Ok(request)
}

/// An attachment that cannot be had: nothing was sent.
pub(super) fn failed(pointer: String, code: &str, detail: impl Into<String>) -> Problem {
    let detail = detail.into();
    let mut problem = Problem::new(Code::AttachmentFailed, format!("{pointer}: {detail}; nothing was sent"));
    problem.errors.push(FieldError::new(pointer, code, detail));
    problem
}

/// Where a file is: the URL as it was given, and with its PII tokens resolved.
struct Place<'a> {
    shown: &'a str,
    clear: &'a str,
    pointer: String,
}

/// Fetches one file and stores it. Returns its size.
async fn download(
    tools: &Tools,
    tenant: &Tenant,
    attachment: &mut AttachmentInput,
    Place { shown, clear, pointer }: Place<'_>,
    room: u64,
    until: Deadline,
) -> Result<u64, Problem> {
    let url = Url::parse(clear).map_err(|_| failed(pointer.clone(), "invalid_url", DownloadError::Url.to_string()))?;
    let most = usize::try_from(room).unwrap_or(usize::MAX);
    let found = match tools.network.download(url, most, until.instant()).await {
        Ok(found) => found,
        Err(error) => {
            tracing::info!(?error, "an attachment could not be fetched");
            return Err(refusal(pointer, &error));
        }
    };
    if attachment.filename.is_empty() {
        // A name that is part of what a PII token stands for must not be stored.
        attachment.filename = name(&found, shown == clear).unwrap_or_default();
    }
    let kind = attachment.content_type.take().or_else(|| kind(&found));
    let size = found.bytes.len() as u64;
    let stored_as = kind.as_deref().unwrap_or("application/octet-stream");
    attachment.file_id = Some(tools.store.files.put_file(tenant, found.bytes, stored_as).await?);
    attachment.content_type = kind;
    Ok(size)
}

/// What a caller who chose the URL is told. How a host can be reached is none of it: the answers would draw a map of
/// our network.
fn refusal(pointer: String, error: &DownloadError) -> Problem {
    match error {
        DownloadError::Url => failed(pointer, "invalid_url", error.to_string()),
        DownloadError::Http(HttpError::TooLarge(_)) => {
            let detail = format!("too large; the limit attachmentBytes is {ATTACHMENT_BYTES}, all files together");
            failed(pointer, "too_large", detail)
        }
        DownloadError::Http(_) => failed(pointer, "fetch_failed", "could not be fetched completely and in time"),
        DownloadError::Redirects | DownloadError::Redirect | DownloadError::Status(_) | DownloadError::Encoded => {
            failed(pointer, "fetch_failed", error.to_string())
        }
    }
}

/// The server's name for the file (RFC 6266), else the last word of the path.
fn name(found: &Downloaded, by_path: bool) -> Option<String> {
    let given = found.disposition.as_deref().and_then(parse::disposition_name);
    given.or_else(|| {
        if !by_path {
            return None;
        }
        let last = found.url.path_segments()?.next_back()?;
        parse::safe_name(&percent_decode_str(last).decode_utf8_lossy())
    })
}

/// The server's type for the file, else what its first bytes say.
fn kind(found: &Downloaded) -> Option<String> {
    let told = found.content_type.as_deref().filter(|kind| !GENERIC.contains(kind));
    told.map(str::to_owned).or_else(|| infer::get(&found.bytes).map(|kind| kind.mime_type().to_owned()))
}

/// An attachment of a stored message of the same account.
async fn quote(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountId,
    attachment: &mut AttachmentInput,
    (message, part): (&MessageId, u32),
    pointer: &str,
) -> Result<(), Problem> {
    let no_message = || {
        failed(format!("{pointer}/message"), "not_found", "there is no such message in this account, or not its source")
    };
    let no_part = || failed(format!("{pointer}/part"), "not_found", "the message has no attachment of this number");
    let (filename, content_type, file_id) = match tools.store.messages.get(tenant, message).await? {
        Some(StoredMessage::Incoming(row)) if row.message.account == *account => {
            if row.message.sha256.is_none() {
                return Err(no_message());
            }
            let listed = row.message.attachments.into_iter().find(|listed| listed.part == part);
            let listed = listed.ok_or_else(no_part)?;
            (listed.filename, listed.content_type, listed.file_id)
        }
        Some(StoredMessage::Outgoing(row)) if row.account == *account => {
            let source = super::source(&tools.store, tenant, &row).await?;
            let (info, bytes) = parse::attachment(&source, part).ok_or_else(no_part)?;
            let file_id = tools.store.files.put_file(tenant, bytes.into(), &info.content_type).await?;
            (info.filename, info.content_type, file_id)
        }
        _ => return Err(no_message()),
    };
    if attachment.filename.is_empty() {
        attachment.filename = crate::ops::pii::disarmed(&filename.unwrap_or_default());
    }
    attachment.content_type.get_or_insert(content_type);
    attachment.file_id = Some(file_id);
    Ok(())
}

/// What a file that is named by its id was uploaded as, where the request says nothing else.
pub(super) fn complete(attachment: &mut AttachmentInput, stored: Upload) {
    if attachment.filename.is_empty() {
        attachment.filename = stored.filename.as_deref().and_then(parse::safe_name).unwrap_or_default();
    }
    let told = stored.content_type.filter(|kind| !GENERIC.contains(&kind.as_str()));
    attachment.content_type = attachment.content_type.take().or(told);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(disposition: Option<&str>, content_type: Option<&str>, url: &str, bytes: &'static [u8]) -> Downloaded {
        Downloaded {
            bytes: bytes.into(),
            disposition: disposition.map(|text| text.as_bytes().to_vec()),
            content_type: content_type.map(str::to_owned),
            url: Url::parse(url).unwrap(),
        }
    }

    #[test]
    fn a_download_is_named_by_its_server_or_its_path_and_never_leads_elsewhere() {
        let named = |disposition: Option<&str>, url: &str| name(&found(disposition, None, url, b""), true);
        let url = "https://a.example/files/Bericht%20f%C3%BCr%20Ada.pdf?token=secret";
        for (disposition, wanted) in [
            (None, "Bericht für Ada.pdf"),
            (Some("attachment; filename=\"a b.pdf\""), "a b.pdf"),
            (Some("attachment; filename=\"plain.pdf\"; filename*=UTF-8''%e2%82%ac%20rates.pdf"), "€ rates.pdf"),
            (Some("attachment; filename=\"../../etc/passwd\""), "passwd"),
            (Some("attachment; filename=\"..\\\\..\\\\x.exe\""), "x.exe"),
            (Some("inline"), "Bericht für Ada.pdf"),
            (Some("attachment; filename=\"\""), "Bericht für Ada.pdf"),
        ] {
            assert_eq!(named(disposition, url).as_deref(), Some(wanted), "{disposition:?}");
        }
        assert_eq!(named(None, "https://a.example/").as_deref(), None);
        assert_eq!(named(None, "https://a.example/x%2F..%2Fcon.txt").as_deref(), Some("_con.txt"));
        assert_eq!(named(None, "https://a.example/a%0d%0ab%e2%80%aex.pdf").as_deref(), Some("abx.pdf"));
    }

    #[test]
    fn a_type_that_says_nothing_gives_way_to_the_bytes() {
        let url = "https://a.example/x";
        let told = |kind: Option<&str>, bytes: &'static [u8]| super::kind(&found(None, kind, url, bytes));
        assert_eq!(told(Some("text/csv"), b"%PDF-1.7").as_deref(), Some("text/csv"));
        assert_eq!(told(Some("application/octet-stream"), b"%PDF-1.7").as_deref(), Some("application/pdf"));
        assert_eq!(told(None, b"\x89PNG\r\n\x1a\n").as_deref(), Some("image/png"));
        assert_eq!(told(None, b"just words"), None);
    }

    #[test]
    fn each_attachment_has_one_source() {
        let wrong = |json: serde_json::Value| {
            let request = serde_json::json!({"to": "b@example.com", "attachments": [json]});
            check(&serde_json::from_value(request).unwrap()).len()
        };
        let id = "0".repeat(32);
        for good in [
            serde_json::json!({"content": ""}),
            serde_json::json!({"fileId": "x"}),
            serde_json::json!({"url": "x"}),
            serde_json::json!({"message": id, "part": 2}),
        ] {
            assert_eq!(wrong(good.clone()), 0, "{good}");
        }
        for bad in [
            serde_json::json!({}),
            serde_json::json!({"content": "", "url": "x"}),
            serde_json::json!({"message": id}),
            serde_json::json!({"part": 2}),
            serde_json::json!({"url": "x", "part": 2}),
        ] {
            assert_eq!(wrong(bad.clone()), 1, "{bad}");
        }
    }
}
