//! jetQuery's mail storage (A1.4): `[app].[mail]`, incoming and outgoing, and `[app].[files]`. Its seed names columns and
//! a query, no routes: these are `GET /api/core/mail/mail`, `…/mail/{mail_id}`, `…/mail/{mail_id}/attachments` and
//! `…/files/{file_uuid}`.

use serde::Serialize;
use shared::http::{Call, Reply};
use shared::mail::{parse, sanitize};
use shared::model::views::Page;
use shared::model::{AccountId, Address, Code, Message, Problem};
use shared::ops::{self, Tools, files, jetquery, sign_in};
use shared::store::{Download, Range, StoredMessage};

use crate::handler::{LINK, harmless, readable, within};

/// A row with what only one mail by itself shows.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    mail: jetquery::Mail,
    #[serde(flatten)]
    body: Body,
}

/// The texts of a mail.
#[derive(Serialize)]
struct Body {
    /// A1.4/25: text only.
    mail_body_text: Option<String>,
    /// A1.4/26: safe HTML.
    mail_body_html: Option<String>,
}

/// A page of an account's mail, newest first: `mail_account`, `limit`, `cursor`.
pub(crate) async fn list(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let named = call.query.get("mail_account").cloned().unwrap_or_default();
    let missing =
        || Problem::new(Code::AccountNotFound, format!("there is no account {named:?}: name one as mail_account"));
    let account = AccountId::new(named.clone()).map_err(|_| missing())?;
    if !call.principal.reaches(&account) {
        return Err(missing());
    }
    let limit = call.number("limit", 50, 1, 100)?;
    let cursor = call.query.get("cursor").map(String::as_str);
    let page = tools.store.messages.list(call.tenant(), &account, Range::default(), limit, cursor).await?;
    if page.items.is_empty() {
        // Mail outlives its account.
        sign_in::account(&tools, call.tenant(), &account).await?;
    }
    let items: Vec<jetquery::Mail> = page.items.iter().map(|stored| jetquery::mail(&stored.message())).collect();
    Reply::ok(&Page { items, next_cursor: page.next_cursor })
}

/// One mail with its bodies.
pub(crate) async fn get(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let (message, source) = read(&tools, &call).await?;
    let source = source.unwrap_or_default();
    let body = Body {
        mail_body_text: parse::text(&source),
        mail_body_html: parse::html(&source).map(|html| sanitize::html(&html, sanitize::Remote::Blocked, |_| None)),
    };
    // What the row of a mail leaves to its source has been read.
    let attachments = jetquery::array_of_file(&jetquery::files(&message.attachments));
    let mail = jetquery::Mail { mail_attachments: Some(attachments), ..jetquery::mail(&message) };
    Reply::ok(&Whole { mail, body })
}

/// The attachments of one mail.
pub(crate) async fn attachments(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let (message, _) = read(&tools, &call).await?;
    Reply::ok(&jetquery::files(&message.attachments))
}

/// A file of the storage, wherever it is: a redirect, or with `inline` its bytes.
pub(crate) async fn file(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let missing = || Problem::new(Code::NotFound, "there is no such file");
    let uuid = call.path.get("uuid").map_or("", String::as_str);
    let id = files::by_uuid(&tools.store, call.tenant(), uuid).await?.ok_or_else(missing)?;
    let stored = files::find(&tools.store, call.tenant(), &id).await?.ok_or_else(missing)?;
    let content_type = stored.content_type.unwrap_or_else(|| "application/octet-stream".to_owned());
    if call.query.get("inline").is_some_and(|value| value != "false") {
        within(stored.size)?;
        return Ok(harmless(&content_type, tools.store.files.get_file(call.tenant(), &id).await?.to_vec()));
    }
    let filename = stored.filename.and_then(|name| parse::safe_name(&name)).unwrap_or_else(|| "file".to_owned());
    let download = Download { filename, content_type };
    Ok(Reply::redirect(&tools.store.files.presign_file(call.tenant(), &id, &download, LINK).await?))
}

/// The mail of the path with what only its source knows; without a source where it was left on the server.
async fn read(tools: &Tools, call: &Call) -> Result<(Message, Option<Vec<u8>>), Problem> {
    let stored = tools.store.messages.get(call.tenant(), &call.message_id()?).await?;
    // Whose mail the caller may not read does not exist for him.
    let stored = stored.filter(|stored| call.principal.reaches(&stored.message().account));
    let stored = stored.ok_or_else(|| Problem::new(Code::MessageNotFound, "there is no such mail"))?;
    let mut message = stored.message();
    let source = readable(tools, call, &stored).await?;
    if let (StoredMessage::Outgoing(_), Some(source)) = (&stored, &source) {
        complete(&mut message, source);
    }
    Ok((message, source))
}

/// What the row of a mail that was sent leaves to its source.
fn complete(message: &mut Message, source: &[u8]) {
    let parsed = parse::parse(source);
    let people = |list: &[Address]| list.iter().cloned().map(ops::pii::unmasked).collect();
    (message.to, message.cc) = (people(&parsed.to), people(&parsed.cc));
    let attachment = |(info, bytes): (parse::PartInfo, Vec<u8>)| shared::model::Attachment {
        part: info.part,
        filename: info.filename,
        content_type: info.content_type,
        size: info.size,
        file_id: files::id_of(&bytes),
        disposition: info.disposition,
        content_id: info.content_id,
        safe: info.safe,
    };
    message.attachments = parse::files(source).map(attachment).collect();
}
