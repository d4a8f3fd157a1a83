//! Stored mail: one message, its source and its attachments.

use std::time::Duration;

use shared::http::body::INLINE_ANSWER_BYTES;
use shared::http::reply::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use shared::http::{Call, Reply};
use shared::mail::parse;
use shared::mail::sanitize::{self, Remote};
use shared::model::views::{Defect, HeaderLine, MessageDetail};
use shared::model::{Address, Attachment, Code, FieldError, Message, Problem};
use shared::ops::{self, Tools, send};
use shared::store::{Download, Incoming, StoredMessage};

use crate::fields::{Fields, LISTED, READ};

/// How long a presigned URL is good for.
pub(crate) const LINK: Duration = Duration::from_secs(15 * 60);

/// How much of a source is read to show a message: bodies come before attachments, and nobody reads 16 MB of text.
const READ_BYTES: u64 = 16 << 20;

/// One message with its bodies and headers.
pub(crate) async fn get(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["fields"])?;
    let fields = Fields::read(&call, &[&LISTED, &READ])?;
    let stored = find(&tools, &call).await?;
    let needless = matches!(stored, StoredMessage::Incoming(_)) && fields.within(&LISTED);
    let source = if needless { None } else { readable(&tools, &call, &stored).await? };
    let message = summary(stored);
    Reply::ok(&fields.project(&match source {
        Some(source) => detail(message, &source),
        None => MessageDetail::of(message),
    })?)
}

/// What the source says beyond the row; of an outgoing message it says what people are called.
fn detail(mut message: Message, source: &[u8]) -> MessageDetail {
    let parsed = parse::parse(source);
    if message.direction == shared::model::Direction::Outgoing {
        let people = |list: &[Address]| list.iter().cloned().map(ops::pii::unmasked).collect();
        message.cc = people(&parsed.cc);
        message.to = people(&parsed.to);
        message.reply_to = people(&parsed.reply_to);
        message.preview.clone_from(&parsed.preview);
        message.in_reply_to = parsed.in_reply_to.first().cloned();
    }
    let headers = parse::headers(source).into_iter().map(|(name, value)| HeaderLine { name, value }).collect();
    let appointments = parse::appointments(source);
    let authors = if parsed.has_many_authors() { parsed.from } else { Vec::new() };
    let defects =
        parsed.defects.into_iter().map(|defect| Defect { code: defect.code, detail: defect.detail }).collect();
    MessageDetail {
        authors,
        text: parse::text_by(source, sanitize::text),
        html: parse::html(source).map(|html| sanitize::html(&html, Remote::Blocked, |_| None)),
        headers,
        appointments: appointments.count,
        calendar: appointments.one,
        defects,
        ..MessageDetail::of(message)
    }
}

/// The source, byte for byte.
pub(crate) async fn source(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["inline"])?;
    let inline = call.flag("inline")?.unwrap_or(false);
    let id = call.message_id()?;
    let files = &tools.store.files;
    match find(&tools, &call).await? {
        StoredMessage::Outgoing(row) => {
            // Composed anew each time; it becomes an object where somebody wants its URL.
            if inline {
                within(row.size)?;
            }
            let source = send::source(&tools.store, call.tenant(), &row).await?;
            if inline {
                return Ok(harmless("message/rfc822", source));
            }
            files.put_source(call.tenant(), &id, source.into()).await?;
        }
        StoredMessage::Incoming(row) => {
            present(&row)?;
            if inline {
                within(row.message.size)?;
                return Ok(harmless("message/rfc822", files.get_raw(call.tenant(), &id).await?.to_vec()));
            }
        }
    }
    let download = Download { filename: format!("{id}.eml"), content_type: "message/rfc822".to_owned() };
    Ok(Reply::redirect(&files.presign_raw(call.tenant(), &id, &download, LINK).await?))
}

/// What a stranger sent, under the type that he gave it: no browser may run it or guess another one (RFC 9110 §8.3).
pub(crate) fn harmless(content_type: &str, body: Vec<u8>) -> Reply {
    harmless_as(content_type, "attachment", body)
}

/// The same under a name (Content-Disposition).
pub(crate) fn harmless_as(content_type: &str, disposition: &str, body: Vec<u8>) -> Reply {
    Reply::bytes(content_type, body)
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'")
        .header(CONTENT_DISPOSITION, disposition)
}

/// An attachment, decoded.
pub(crate) async fn attachment(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["inline"])?;
    let inline = call.flag("inline")?.unwrap_or(false);
    let missing = || Problem::new(Code::NotFound, "the message has no attachment of this number");
    let part: u32 = call.path.get("part").and_then(|part| part.parse().ok()).ok_or_else(missing)?;
    let stored = find(&tools, &call).await?;
    let listed = summary(stored.clone())
        .attachments
        .into_iter()
        .find(|attachment| attachment.part == part)
        .ok_or_else(missing)?;
    if inline {
        within(listed.size)?;
    }
    let files = &tools.store.files;
    if ops::files::find(&tools.store, call.tenant(), &listed.file_id).await?.is_none() {
        return Err(missing());
    }
    if inline {
        let bytes = files.get_file(call.tenant(), &listed.file_id).await?;
        return Ok(harmless(&listed.content_type, bytes.to_vec()));
    }
    Ok(Reply::redirect(&files.presign_file(call.tenant(), &listed.file_id, &download(&listed), LINK).await?))
}

fn download(attachment: &Attachment) -> Download {
    let filename = attachment.filename.clone().unwrap_or_else(|| format!("attachment-{}", attachment.part));
    Download { filename, content_type: attachment.content_type.clone() }
}

/// The message of the path, if it belongs to the account of the path.
pub(crate) async fn find(tools: &Tools, call: &Call) -> Result<StoredMessage, Problem> {
    let account = call.account()?;
    let found = tools.store.messages.get(call.tenant(), &call.message_id()?).await?;
    let found = found.filter(|stored| match stored {
        StoredMessage::Incoming(row) => row.message.account == account,
        StoredMessage::Outgoing(row) => row.account == account,
    });
    found.ok_or_else(|| Problem::new(Code::MessageNotFound, "there is no such message in this account"))
}

/// The source, or as much of it as showing a message takes; none where it was left on the server.
pub(crate) async fn readable(tools: &Tools, call: &Call, stored: &StoredMessage) -> Result<Option<Vec<u8>>, Problem> {
    match stored {
        StoredMessage::Outgoing(row) => Ok(Some(send::source(&tools.store, call.tenant(), row).await?)),
        StoredMessage::Incoming(row) if row.message.sha256.is_none() => Ok(None),
        StoredMessage::Incoming(row) => {
            Ok(Some(tools.store.files.get_raw_head(call.tenant(), &row.message.id, READ_BYTES).await?.to_vec()))
        }
    }
}

pub(crate) fn present(row: &Incoming) -> Result<(), Problem> {
    if row.message.sha256.is_some() {
        return Ok(());
    }
    let why = match row.message.state.as_str() {
        "tooLarge" => {
            "the message is larger than the account's maxMessageBytes: it was left on the server and its source is not here"
        }
        "stalled" => {
            "the mail server did not come to the end of this message in three attempts: it was left there and its source is not here"
        }
        _ => "the mail server lists this message and did not give it: its source is not here",
    };
    Err(Problem::new(Code::NotFound, why))
}

pub(crate) fn within(size: u64) -> Result<(), Problem> {
    if size <= INLINE_ANSWER_BYTES {
        return Ok(());
    }
    let detail = format!(
        "{size} bytes; the limit inlineBytes is {INLINE_ANSWER_BYTES}: leave inline out and follow the redirect"
    );
    Err(Problem::invalid(vec![FieldError::new("?inline", "too_large", detail)]))
}

pub(crate) fn summary(stored: StoredMessage) -> Message {
    match stored {
        StoredMessage::Incoming(row) => row.message,
        StoredMessage::Outgoing(row) => row.message(),
    }
}
