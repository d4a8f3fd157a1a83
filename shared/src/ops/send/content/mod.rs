//! From a request to the bytes of its message, the same bytes every time.

mod check;
mod files;

use crate::mail::compose::{self, ComposeError, Composed, Draft};
use crate::model::send::SendRequest;
use crate::model::{Address, FieldError, Problem, Tenant, Timestamp};
use crate::store::{OutgoingRow, Store};

pub(in crate::ops) use check::check;
pub(in crate::ops) use files::{Loaded, load, put_files};

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
    let loaded = load(&store.files, tenant, &request).await?;
    Ok(render(&request, &loaded, &row.from, &row.message_id, row.created_at)?.bytes)
}
