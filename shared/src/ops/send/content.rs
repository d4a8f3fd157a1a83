//! From a request to the bytes of its message, the same bytes every time.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::sources;
use crate::mail::compose::{self, ComposeError, Composed, Draft};
use crate::model::send::{AttachmentInput, SendRequest};
use crate::model::{Account, Address, FieldError, Problem, Tenant, Timestamp};
use crate::ops::files;
use crate::store::{Files, OutgoingRow, Store, StoreError};

/// Attachments of up to this size stay in the stored body; larger ones become files, once per tenant.
const INLINE_BYTES: usize = 4096;

/// Most recipients of one message.
const RECIPIENTS: usize = 100;

/// Most attachments of one message.
const ATTACHMENTS: usize = 100;

/// Most bytes of all attachments together: base64 makes 48 MB of them, and they are in memory twice while the message
/// is composed. Few servers take half of it.
pub(super) const ATTACHMENT_BYTES: u64 = 36 << 20;

/// Longest name of a person, and longest part of a correlation, in bytes: they stand in the row, which has to stay
/// small.
const NAME_BYTES: usize = 256;

/// An attachment with its bytes at hand.
pub(in crate::ops) struct Loaded {
    pub(in crate::ops) input: AttachmentInput,
    pub(in crate::ops) bytes: Bytes,
}

/// What about a request can be checked without any I/O. All wrong fields are named at once.
pub(in crate::ops) fn check(request: &SendRequest, account: &Account) -> Result<Address, Vec<FieldError>> {
    let mut errors = Vec::new();
    let recipients = request.recipients().len();
    if recipients == 0 {
        errors.push(FieldError::new("/to", "missing", "name at least one recipient in to, cc or bcc"));
    }
    if recipients > RECIPIENTS {
        errors.push(FieldError::new(
            "/to",
            "too_many",
            format!("{recipients} recipients; the limit recipients is {RECIPIENTS}"),
        ));
    }
    let empty =
        request.subject.is_none() && request.text.is_none() && request.html.is_none() && request.attachments.is_empty();
    if empty {
        errors.push(FieldError::new("/text", "missing", "give at least one of subject, text, html, attachments"));
    }
    check_sizes(request, &mut errors);
    errors.extend(sources::check(request));
    let from = request.from.clone().unwrap_or_else(|| account.from.clone());
    let allowed =
        std::iter::once(&account.from).chain(&account.identities).any(|identity| identity.same_mailbox(&from.address));
    if !allowed {
        errors.push(FieldError::new(
            "/from",
            "not_an_identity",
            format!("{} is neither the account's address nor one of its identities", from.address),
        ));
    }
    if errors.is_empty() { Ok(from) } else { Err(errors) }
}

/// What goes into the row is bounded here: DynamoDB refuses an item of over 400 KB, and then it is too late to say why.
fn check_sizes(request: &SendRequest, errors: &mut Vec<FieldError>) {
    let mut short = |pointer: String, text: &str| {
        if text.len() > NAME_BYTES {
            let detail = format!("{} bytes; the limit nameBytes is {NAME_BYTES}", text.len());
            errors.push(FieldError::new(pointer, "too_long", detail));
        }
    };
    let lists = [("to", &request.to), ("cc", &request.cc), ("bcc", &request.bcc), ("replyTo", &request.reply_to)];
    for (field, list) in lists {
        for (index, address) in list.iter().enumerate() {
            short(format!("/{field}/{index}/name"), address.name.as_deref().unwrap_or_default());
        }
    }
    short("/from/name".to_owned(), request.from.as_ref().and_then(|from| from.name.as_deref()).unwrap_or_default());
    if let Some(correlation) = &request.correlation {
        short("/correlation/source".to_owned(), &correlation.source);
        short("/correlation/id".to_owned(), &correlation.id);
    }
    // Composing checks every other address, but these stand in no header.
    for (index, address) in request.bcc.iter().enumerate() {
        if let Err(detail) = compose::addr_spec(&address.address) {
            errors.push(FieldError::new(format!("/bcc/{index}/address"), "invalid_address", detail));
        }
    }
    if request.attachments.len() > ATTACHMENTS {
        let detail = format!("{}; the limit attachments is {ATTACHMENTS}", request.attachments.len());
        errors.push(FieldError::new("/attachments", "too_many", detail));
    }
}

/// Gets the bytes of all attachments: from the request, or from the tenant's files.
pub(in crate::ops) async fn load(
    store: &Store,
    tenant: &Tenant,
    request: &SendRequest,
) -> Result<Vec<Loaded>, Problem> {
    let (mut loaded, mut room) = (Vec::new(), ATTACHMENT_BYTES);
    for (index, input) in request.attachments.iter().enumerate() {
        let pointer = format!("/attachments/{index}");
        let mut input = input.clone();
        let bytes = match (input.content.take(), input.file_id.clone()) {
            (Some(content), None) => STANDARD.decode(&content).map(Bytes::from).map_err(|error| {
                Problem::invalid(vec![FieldError::new(
                    format!("{pointer}/content"),
                    "invalid_base64",
                    format!("no base64 (RFC 4648 §4): {error}"),
                )])
            })?,
            (None, Some(id)) => stored(store, tenant, &mut input, &id, &pointer, room).await?,
            _ => return Err(Problem::invalid(sources::check(request))),
        };
        room = room.saturating_sub(bytes.len() as u64);
        loaded.push(Loaded { input, bytes });
    }
    Ok(loaded)
}

/// A stored file, if it fits into the room that is left: it is asked for its size first.
async fn stored(
    store: &Store,
    tenant: &Tenant,
    input: &mut AttachmentInput,
    id: &str,
    pointer: &str,
    room: u64,
) -> Result<Bytes, Problem> {
    let pointer = format!("{pointer}/fileId");
    let missing =
        || sources::failed(pointer.clone(), "not_found", "there is no such file; upload it first, or give content");
    let found = files::find(store, tenant, id).await?.ok_or_else(missing)?;
    if found.size > room {
        let detail = format!(
            "{} bytes more than fit; the limit attachmentBytes is {ATTACHMENT_BYTES}, all files together",
            found.size
        );
        return Err(Problem::invalid(vec![FieldError::new(pointer, "too_large", detail)]));
    }
    sources::complete(input, found);
    match store.files.get_file(tenant, id).await {
        Err(StoreError::Missing { .. }) => Err(missing()),
        other => Ok(other?),
    }
}

/// Puts the larger attachments into files, and returns the request that names them: what is stored of it.
pub(in crate::ops) async fn put_files(
    files: &Files,
    tenant: &Tenant,
    request: &SendRequest,
    loaded: &[Loaded],
) -> Result<SendRequest, StoreError> {
    let mut lean = request.clone();
    for (attachment, loaded) in lean.attachments.iter_mut().zip(loaded) {
        if attachment.content.is_none() || loaded.bytes.len() <= INLINE_BYTES {
            continue;
        }
        let content_type = attachment.content_type.as_deref().unwrap_or("application/octet-stream");
        let sha256 = files.put_file(tenant, loaded.bytes.clone(), content_type).await?;
        attachment.content = None;
        attachment.file_id = Some(sha256);
    }
    Ok(lean)
}

/// The message's own Message-ID: unique by its id, in the sender's domain (RFC 5322 §3.6.4).
pub(in crate::ops) fn message_id(id: &crate::model::MessageId, from: &Address) -> String {
    let domain = if from.domain().is_ascii() { from.domain() } else { "halfpenny.invalid" };
    format!("<{id}@{domain}>")
}

/// Composes the message: a pure function of what is stored.
pub(in crate::ops) fn render(
    request: &SendRequest,
    loaded: &[Loaded],
    from: &Address,
    message_id: &str,
    date: Timestamp,
) -> Result<Composed, Problem> {
    let attachments: Vec<compose::Attachment> = loaded.iter().map(attachment).collect();
    let headers: Vec<(String, Vec<String>)> =
        request.headers.iter().map(|header| (header.name.clone(), header.values.clone())).collect();
    let draft = Draft {
        from,
        sender: None,
        reply_to: &request.reply_to,
        to: &request.to,
        cc: &request.cc,
        subject: request.subject.as_deref().unwrap_or_default(),
        text: request.text.as_deref(),
        html: request.html.as_deref(),
        headers: &headers,
        priority: request.priority,
        attachments: &attachments,
        message_id,
        date: date.to_datetime(),
        in_reply_to: &[],
        references: &[],
    };
    compose::compose(&draft).map_err(|error| Problem::invalid(vec![field(error)]))
}

fn attachment(loaded: &Loaded) -> compose::Attachment {
    compose::Attachment {
        filename: loaded.input.filename.clone(),
        content_type: loaded.input.content_type.clone().unwrap_or_default(),
        content: loaded.bytes.clone(),
        disposition: loaded.input.disposition,
        content_id: loaded.input.content_id.clone(),
    }
}

fn field(error: ComposeError) -> FieldError {
    FieldError::new(error.pointer, error.code, error.detail)
}

/// The source of an outgoing message, composed from what is stored of it.
pub async fn source(store: &Store, tenant: &Tenant, row: &OutgoingRow) -> Result<Vec<u8>, Problem> {
    let request = store.outbox.body(tenant, row).await?;
    let loaded = load(store, tenant, &request).await?;
    Ok(render(&request, &loaded, &row.from, &row.message_id, row.created_at)?.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AccountId;
    use crate::model::account::AccountInput;

    fn wrong(json: serde_json::Value) -> Vec<String> {
        let account = serde_json::json!({"from": "a@example.com", "smtp": {"host": "h", "port": 25, "security": "none", "auth": {"type": "none"}}});
        let account: AccountInput = serde_json::from_value(account).unwrap();
        let (account, _) = account.check(AccountId::new("box").unwrap(), 60, Timestamp(0)).unwrap();
        let request: SendRequest = serde_json::from_value(json).unwrap();
        check(&request, &account).err().into_iter().flatten().map(|error| error.pointer).collect()
    }

    #[test]
    fn what_goes_into_the_row_ends_at_its_limit() {
        let mail = |length: usize| {
            let name = "n".repeat(length);
            serde_json::json!({
                "to": {"name": name, "address": "b@example.com"}, "text": "x", "correlation": {"source": name, "id": name},
            })
        };
        assert!(wrong(mail(NAME_BYTES)).is_empty());
        assert_eq!(wrong(mail(NAME_BYTES + 1)), ["/to/0/name", "/correlation/source", "/correlation/id"]);
    }

    #[test]
    fn a_blind_recipient_is_checked_like_any_other() {
        for address in ["b@exa_mple.com", "b@xn--a.com"] {
            let to = wrong(serde_json::json!({"bcc": [address], "text": "x"}));
            assert_eq!(to, ["/bcc/0/address"], "{address}");
        }
        // Each part is short enough to be read, the whole is not (RFC 5321 §4.5.3.1.3).
        let long = format!("{}@{}.example.com", "b".repeat(60), "d".repeat(60) + &".d".repeat(80));
        assert_eq!(wrong(serde_json::json!({"bcc": [long], "text": "x"})), ["/bcc/0/address"]);
    }

    #[test]
    fn attachments_are_counted() {
        let mail = |count: usize| {
            let file = serde_json::json!({"filename": "a", "fileId": "0".repeat(64)});
            serde_json::json!({"to": "b@example.com", "attachments": vec![file; count]})
        };
        assert!(wrong(mail(ATTACHMENTS)).is_empty());
        assert_eq!(wrong(mail(ATTACHMENTS + 1)), ["/attachments"]);
    }
}
