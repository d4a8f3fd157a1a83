//! Answering a stored message, or handing it on: what follows from it is worked out here, once, and stored with the
//! mail. Every attempt then composes the same, whatever becomes of the message.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::quote;
use crate::mail::{compose, parse, sanitize};
use crate::model::content::{Action, Reference};
use crate::model::pii::is_token;
use crate::model::send::{AttachmentInput, Disposition, SendRequest};
use crate::model::{Account, Address, Attachment, Code, FieldError, Message, MessageId, Problem, Tenant, Timestamp};
use crate::ops::pii;
use crate::ops::pull::FILE_BYTES;
use crate::store::{Store, StoredMessage};

/// How much of a source is read: bodies come before attachments, and nobody quotes 16 MB of text.
const READ_BYTES: u64 = 16 << 20;

/// What is known of the message that is answered or handed on.
pub(super) struct Original {
    pub(super) from: Vec<Address>,
    reply_to: Vec<Address>,
    pub(super) to: Vec<Address>,
    pub(super) cc: Vec<Address>,
    pub(super) subject: String,
    pub(super) date: Option<Timestamp>,
    message_id: Option<String>,
    in_reply_to: Vec<String>,
    references: Vec<String>,
    auto_submitted: Option<String>,
    pub(super) text: Option<String>,
    /// Safe to show.
    pub(super) html: Option<String>,
    files: Vec<AttachmentInput>,
    /// Its bytes are here.
    complete: bool,
}

/// Fills a request that refers to a stored message.
pub(super) async fn settle(
    store: &Store,
    tenant: &Tenant,
    account: &Account,
    request: &mut SendRequest,
) -> Result<(), Problem> {
    let Some(reference) = request.reference.clone() else {
        return Ok(());
    };
    let original = find(store, tenant, account, &reference).await?;
    refuse_loop(request, &original)?;
    thread(request, &original);
    subject(request, reference.action, &original.subject);
    recipients(request, reference.action, account, &original);
    if reference.quote {
        quote::append(request, reference.action, &original);
    }
    carry(request, &reference, original)
}

fn wrong(pointer: &str, code: &str, detail: &str) -> Problem {
    Problem::invalid(vec![FieldError::new(pointer, code, detail)])
}

/// RFC 3834 §2: an automatic answer to an automatic message is how loops begin.
fn refuse_loop(request: &SendRequest, original: &Original) -> Result<(), Problem> {
    let automatic = |value: &str| !value.trim().eq_ignore_ascii_case("no");
    let ours = request.headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("Auto-Submitted") && header.values.iter().any(|value| automatic(value))
    });
    if ours && original.auto_submitted.as_deref().is_some_and(automatic) {
        let detail = "the message was sent by a machine (Auto-Submitted): a machine does not answer it (RFC 3834 §2)";
        return Err(wrong("/reference/message", "loop", detail));
    }
    Ok(())
}

/// In-Reply-To and References (RFC 5322 §3.6.4); what was read of the original is bounded already.
fn thread(request: &mut SendRequest, original: &Original) {
    let Some(id) = &original.message_id else {
        return;
    };
    let earlier = match original.in_reply_to.as_slice() {
        [one] if original.references.is_empty() => std::slice::from_ref(one),
        _ => &original.references,
    };
    request.references = earlier.iter().filter(|earlier| *earlier != id).chain([id]).cloned().collect();
    request.in_reply_to = vec![id.clone()];
}

/// `Re:` or `Fwd:` before the original's subject, once.
fn subject(request: &mut SendRequest, action: Action, original: &str) {
    if request.subject.is_some() {
        return;
    }
    let (word, known): (&str, &[&str]) = match action {
        Action::Reply | Action::ReplyAll => ("Re:", &["re:"]),
        Action::Forward => ("Fwd:", &["fwd:", "fw:"]),
    };
    let lower = original.trim_start().to_lowercase();
    let subject = if known.iter().any(|prefix| lower.starts_with(prefix)) {
        original.trim().to_owned()
    } else {
        format!("{word} {original}").trim_end().to_owned()
    };
    request.subject = Some(subject);
}

/// Whom an answer goes to: Reply-To, else From (RFC 5322 §3.6.2). Who answers himself means those whom he wrote to.
fn recipients(request: &mut SendRequest, action: Action, account: &Account, original: &Original) {
    if action == Action::Forward || !request.to.is_empty() {
        return;
    }
    let usable = |list: &[Address]| -> Vec<Address> {
        let good = |address: &&Address| {
            is_token(&address.address) || (address.is_valid() && compose::addr_spec(&address.address).is_ok())
        };
        list.iter().filter(good).cloned().collect()
    };
    let (reply_to, from, to) = (usable(&original.reply_to), usable(&original.from), usable(&original.to));
    let own = |address: &Address| {
        account.speaks_for(address) || request.from.as_ref().is_some_and(|from| from.same_mailbox(&address.address))
    };
    let author = if reply_to.is_empty() { from } else { reply_to };
    let mine = !author.is_empty() && author.iter().all(own);
    let mut direct = if mine && !to.is_empty() { to.clone() } else { author };
    let mut copies = Vec::new();
    if action == Action::ReplyAll {
        copies = to.into_iter().chain(usable(&original.cc)).filter(|address| !own(address)).collect();
    }
    unique(&mut direct, &[]);
    copies.splice(0..0, std::mem::take(&mut request.cc));
    unique(&mut copies, &direct);
    (request.to, request.cc) = (direct, copies);
}

/// Each mailbox once, and none of these.
fn unique(list: &mut Vec<Address>, others: &[Address]) {
    let mut seen: Vec<String> = others.iter().map(|other| other.address.to_lowercase()).collect();
    list.retain(|address| {
        let address = address.address.to_lowercase();
        let new = !seen.contains(&address);
        seen.push(address);
        new
    });
}

/// The original's files: all of them when it is handed on, else the pictures that its quoted HTML shows.
fn carry(request: &mut SendRequest, reference: &Reference, original: Original) -> Result<(), Problem> {
    let forward = reference.action == Action::Forward && reference.attachments;
    if forward && !original.complete {
        let detail = "the message's source is not here (too large, or withheld by its server): attachments cannot be \
                      forwarded; set attachments to false";
        return Err(wrong("/reference/attachments", "not_found", detail));
    }
    let html = if reference.quote { request.html.as_deref().unwrap_or_default() } else { "" };
    let shown = |file: &AttachmentInput| file.content_id.as_ref().is_some_and(|id| html.contains(&format!("cid:{id}")));
    let taken = |file: &AttachmentInput| {
        file.content_id.is_some() && request.attachments.iter().any(|own| own.content_id == file.content_id)
    };
    let files: Vec<AttachmentInput> = original
        .files
        .into_iter()
        .filter(|file| (forward || shown(file)) && !taken(file))
        .map(|mut file| {
            if file.disposition == Disposition::Inline && !shown(&file) {
                file.disposition = Disposition::Attachment;
            }
            file
        })
        .collect();
    request.attachments.extend(files);
    Ok(())
}

/// The message, if it belongs to the account.
async fn find(store: &Store, tenant: &Tenant, account: &Account, reference: &Reference) -> Result<Original, Problem> {
    let missing = || {
        let detail = "reference: there is no such message in this account; nothing was sent";
        Problem::new(Code::MessageNotFound, detail)
    };
    let id = MessageId::new(reference.message.clone()).map_err(|_| missing())?;
    match store.messages.get(tenant, &id).await?.ok_or_else(missing)? {
        StoredMessage::Outgoing(row) if row.account == account.account => {
            let request = store.outbox.body(tenant, &row).await?;
            let source = super::source(store, tenant, &row).await?;
            let files = match request.raw {
                Some(_) => parse::files(&source).map(|(info, bytes)| small(&info.into(), &bytes)).collect(),
                None => request.attachments,
            };
            let mut original = read(&source, files);
            for list in [&mut original.to, &mut original.cc, &mut original.reply_to] {
                *list = std::mem::take(list).into_iter().map(pii::unmasked).collect();
            }
            Ok(original)
        }
        StoredMessage::Incoming(row) if row.message.account == account.account => match row.message.sha256 {
            None => Ok(disarmed(outline(row.message))),
            Some(_) => incoming(store, tenant, reference, row.message).await.map(disarmed),
        },
        StoredMessage::Outgoing(_) | StoredMessage::Incoming(_) => Err(missing()),
    }
}

/// A stranger's words must not make us tell what a PII token stands for.
fn disarmed(mut original: Original) -> Original {
    for list in [&mut original.from, &mut original.reply_to, &mut original.to, &mut original.cc] {
        list.retain(|address| !is_token(&address.address));
        for name in list.iter_mut().filter_map(|address| address.name.as_mut()) {
            *name = pii::disarmed(name);
        }
    }
    original.subject = pii::disarmed(&original.subject);
    for text in [&mut original.text, &mut original.html].into_iter().flatten() {
        *text = pii::disarmed(text);
    }
    for file in &mut original.files {
        file.filename = pii::disarmed(&file.filename);
    }
    original
}

/// A pulled message: its beginning, and all of it where a small file may stand behind large ones.
async fn incoming(
    store: &Store,
    tenant: &Tenant,
    reference: &Reference,
    message: Message,
) -> Result<Original, Problem> {
    let has_small = message.attachments.iter().any(|attachment| attachment.size < FILE_BYTES);
    let whole = message.size > READ_BYTES && reference.action == Action::Forward && has_small;
    let source: Bytes = if whole {
        store.files.get_raw(tenant, &message.id).await?
    } else {
        store.files.get_raw_head(tenant, &message.id, READ_BYTES).await?
    };
    let file = |attachment: &Attachment| {
        if attachment.size >= FILE_BYTES {
            // Pulling put it among the tenant's files.
            return Some(AttachmentInput { file_id: Some(attachment.file_id.clone()), ..input(&attachment.into()) });
        }
        let (info, bytes) = parse::attachment(&source, attachment.part)?;
        Some(small(&info.into(), &bytes))
    };
    let files = message.attachments.iter().filter_map(file).collect();
    Ok(read(&source, files))
}

/// What a file is called, whoever listed it.
struct Label {
    filename: Option<String>,
    content_type: String,
    disposition: Disposition,
    content_id: Option<String>,
}

impl From<parse::PartInfo> for Label {
    fn from(info: parse::PartInfo) -> Self {
        let parse::PartInfo { filename, content_type, disposition, content_id, .. } = info;
        Self { filename, content_type, disposition, content_id }
    }
}

impl From<&Attachment> for Label {
    fn from(attachment: &Attachment) -> Self {
        let Attachment { filename, content_type, disposition, content_id, .. } = attachment.clone();
        Self { filename, content_type, disposition, content_id }
    }
}

/// A stranger's file under its name, as far as it can stand in a message of ours.
fn input(label: &Label) -> AttachmentInput {
    AttachmentInput {
        filename: label.filename.clone().unwrap_or_else(|| "attachment".to_owned()),
        content_type: Some(label.content_type.clone()).filter(|kind| compose::is_media_type(kind)),
        disposition: label.disposition,
        content_id: label.content_id.clone().filter(|id| compose::is_bare_id(id)),
        ..AttachmentInput::default()
    }
}

fn small(label: &Label, bytes: &[u8]) -> AttachmentInput {
    AttachmentInput { content: Some(STANDARD.encode(bytes)), ..input(label) }
}

fn read(source: &[u8], files: Vec<AttachmentInput>) -> Original {
    let parsed = parse::parse(source);
    Original {
        from: parsed.from,
        reply_to: parsed.reply_to,
        to: parsed.to,
        cc: parsed.cc,
        subject: parsed.subject,
        date: parsed.date.map(Timestamp::from),
        message_id: parsed.message_id,
        in_reply_to: parsed.in_reply_to,
        references: parsed.references,
        auto_submitted: parsed.auto_submitted,
        text: parse::text(source),
        html: parse::html(source)
            .map(|html| sanitize::html(&html, sanitize::Remote::Blocked, |id| Some(format!("cid:{id}")))),
        files,
        complete: true,
    }
}

/// What the row alone tells.
fn outline(message: Message) -> Original {
    Original {
        from: message.from.into_iter().collect(),
        reply_to: message.reply_to,
        to: message.to,
        cc: message.cc,
        subject: message.subject.unwrap_or_default(),
        date: message.date,
        message_id: message.message_id,
        in_reply_to: message.in_reply_to.into_iter().collect(),
        references: Vec::new(),
        auto_submitted: None,
        text: None,
        html: None,
        files: Vec::new(),
        complete: false,
    }
}

#[cfg(test)]
mod tests;
