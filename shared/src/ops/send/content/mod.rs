//! From a request to the bytes of its message, the same bytes every time.
//!
//! [`prepare`] works out whatever a request only hints at (the answer to a stored message, Markdown, an event, a raw
//! message) and gives a request that says all of it itself. That one is stored, and [`outgoing`] composes it at every
//! attempt, with nothing else to look at.

mod check;
mod files;
mod invite;
mod markdown;
mod quote;
mod raw;
mod reference;
mod unsubscribe;

use super::{expand, links, sources};
use crate::mail::compose::{self, Calendar, ComposeError, Composed, Draft};
use crate::mail::parse;
use crate::model::content::Dsn;
use crate::model::send::{Disposition, SendRequest};
use crate::model::{Account, Address, FieldError, MessageId, Problem, Tenant, Timestamp};
use crate::ops::Tools;
use crate::ops::pii::{self, Clear};
use crate::store::{OutgoingRow, Store};

pub(in crate::ops) use check::check;
pub(in crate::ops::send) use files::ATTACHMENT_BYTES;
pub(in crate::ops) use files::{Loaded, load, put_files};

/// A request that leaves nothing open, and what it makes.
pub(in crate::ops) struct Prepared {
    /// Says everything itself; may still hold bytes that belong into files.
    pub(in crate::ops) request: SendRequest,
    /// In whose name.
    pub(in crate::ops) from: Address,
    /// Attachments, in the order of the request.
    pub(in crate::ops) loaded: Vec<Loaded>,
    /// The Message-ID header, with its angle brackets.
    pub(in crate::ops) message_id: String,
    /// Value of its Date field.
    pub(in crate::ops) date: Timestamp,
    /// What its PII tokens stand for.
    pub(in crate::ops) clear: Clear,
    /// The message, with all of that in it.
    pub(in crate::ops) source: Vec<u8>,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub(in crate::ops) enum Given<'a> {
    /// A new mail.
    New(&'a SendRequest),
    /// A stored one, and what it shall say from now on. What was worked out of it stays.
    Edited {
        /// As it is stored.
        before: &'a SendRequest,
        /// As it shall be.
        after: &'a SendRequest,
    },
}

impl<'a> Given<'a> {
    /// What the mail shall say.
    pub(in crate::ops) fn request(self) -> &'a SendRequest {
        match self {
            Self::New(request) | Self::Edited { after: request, .. } => request,
        }
    }
}

/// Works out and checks a request. Beside files of the tenant it writes nothing.
pub(in crate::ops) async fn prepare(
    tools: &Tools,
    tenant: &Tenant,
    account: &Account,
    given: Given<'_>,
    id: &MessageId,
    now: Timestamp,
) -> Result<Prepared, Problem> {
    let store = &tools.store;
    let mut request = expand::rendered(store, tenant, given.request().clone()).await?;
    let conflicts = match given {
        Given::New(_) => check::conflicts(&request),
        Given::Edited { before, .. } => check::changes(before, &request),
    };
    if !conflicts.is_empty() {
        return Err(Problem::invalid(conflicts));
    }
    let mut given_id = None;
    if let Given::New(_) = given {
        given_id = raw::settle(&mut request, account, id, now)?;
    }
    markdown::settle(&mut request);
    if let Given::New(_) = given {
        reference::settle(store, tenant, account, &mut request).await?;
    }
    let from = check(&request, account).map_err(Problem::invalid)?;
    let message_id = given_id.unwrap_or_else(|| message_id(id, &from));
    invite::settle(&mut request, &from, message_id.trim_matches(['<', '>']), now)?;
    let clear = pii::resolve(tools, tenant, &request).await?;
    let request = sources::gather(tools, tenant, &account.account, request, &clear).await?;
    let mut request = request;
    links::replace(tools, tenant, &mut request, now).await?;
    let loaded = load(store, tenant, &request).await?;
    let date = request.send_at.map_or(now, |at| at.max(now));
    let source = render(&*clear.fill(&request)?, &loaded, &from, &message_id, date)?.bytes;
    Ok(Prepared { request, from, loaded, message_id, date, clear, source })
}

/// The message's own Message-ID: unique by its id, in the sender's domain (RFC 5322 §3.6.4).
pub(in crate::ops) fn message_id(id: &MessageId, from: &Address) -> String {
    let spec = compose::addr_spec(&from.address);
    let domain = spec.as_ref().ok().and_then(|spec| spec.address.rsplit_once('@')).map(|(_, domain)| domain);
    format!("<{id}@{}>", domain.unwrap_or("halfpenny.invalid"))
}

/// Composes the message: a pure function of what is stored.
pub(in crate::ops) fn render(
    request: &SendRequest,
    loaded: &[Loaded],
    from: &Address,
    message_id: &str,
    date: Timestamp,
) -> Result<Composed, Problem> {
    let invalid = |error| Problem::invalid(vec![error]);
    if let Some(raw) = &request.raw {
        let bytes = raw::bytes(raw)?;
        let needs_8bit = !bytes.is_ascii();
        return Ok(Composed { bytes, needs_8bit, needs_smtputf8: false });
    }
    let ics = request.invite.as_ref().and_then(|invite| invite.ics.as_deref());
    let method = ics.and_then(parse::calendar_method);
    let calendar = ics.zip(method.as_deref()).map(|(ics, method)| Calendar { method, ics });
    let mut attachments: Vec<compose::Attachment> = loaded.iter().map(attachment).collect();
    // Many calendars look for a file (Outlook, Gmail), others for the rendering of RFC 6047 §2.4.
    attachments.extend(ics.map(invite_file));
    let mut headers: Vec<(String, Vec<String>)> =
        request.headers.iter().map(|header| (header.name.clone(), header.values.clone())).collect();
    if let Some(wish) = &request.list_unsubscribe {
        headers.extend(unsubscribe::headers(wish).map_err(invalid)?);
    }
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
        in_reply_to: &request.in_reply_to,
        references: &request.references,
        calendar,
    };
    compose::compose(&draft).map_err(|error| invalid(field(error)))
}

fn invite_file(ics: &str) -> compose::Attachment {
    compose::Attachment {
        filename: "invite.ics".to_owned(),
        content_type: "application/ics".to_owned(),
        content: ics.as_bytes().to_vec().into(),
        disposition: Disposition::Attachment,
        content_id: None,
    }
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

/// A message ready to leave.
pub(super) struct Ready {
    /// Its bytes.
    pub(super) source: Vec<u8>,
    /// Who gets the server's reports.
    pub(super) envelope_from: String,
    /// Wishes about them.
    pub(super) dsn: Option<Dsn>,
    /// What its PII tokens stand for.
    pub(super) clear: Clear,
}

/// An outgoing message, composed from what is stored of it, with its PII tokens resolved.
pub(super) async fn outgoing(tools: &Tools, tenant: &Tenant, row: &OutgoingRow) -> Result<Ready, Problem> {
    let request = tools.store.outbox.body(tenant, row).await?;
    let clear = pii::resolve(tools, tenant, &request).await?;
    let loaded = load(&tools.store, tenant, &request).await?;
    let source = render(&*clear.fill(&request)?, &loaded, &row.from, &row.message_id, row.date())?.bytes;
    let envelope_from = request.envelope_from.as_ref().unwrap_or(&row.from).address.clone();
    let dsn = request.dsn.map(|dsn| Dsn { envelope_id: dsn.envelope_id.or(Some(row.id.to_string())), ..dsn });
    Ok(Ready { source, envelope_from, dsn, clear })
}

/// The source of an outgoing message as it leaves, for the sender's own mailbox: neither stored nor shown.
pub(in crate::ops) async fn as_sent(tools: &Tools, tenant: &Tenant, row: &OutgoingRow) -> Result<Vec<u8>, Problem> {
    Ok(outgoing(tools, tenant, row).await?.source)
}

/// The source of an outgoing message as it can be shown and stored: PII tokens stay.
pub async fn source(store: &Store, tenant: &Tenant, row: &OutgoingRow) -> Result<Vec<u8>, Problem> {
    let request = store.outbox.body(tenant, row).await?;
    let loaded = load(store, tenant, &request).await?;
    Ok(render(&pii::masked(&request), &loaded, &row.from, &row.message_id, row.date())?.bytes)
}

/// The same without the bytes of its files: for whoever only reads what is written in it.
pub(in crate::ops) fn readable(request: &SendRequest, row: &OutgoingRow) -> Result<Vec<u8>, Problem> {
    let named: Vec<Loaded> = request.attachments.iter().map(Loaded::without_bytes).collect();
    Ok(render(&pii::masked(request), &named, &row.from, &row.message_id, row.date())?.bytes)
}
