//! EmailEngine's routes of messages (contracts A3.3, A3.1/8): what was pulled, as EmailEngine shows it.
//!
//! A list is EmailEngine's: pages by number, with their count. The count comes from the index of words, in which each
//! message has the word of its folder ([`Query::folder`]): some requests at any size of the mailbox, and page 900 costs
//! what page 0 does. What was moved or deleted is written into the index again, and counts where it is. So a client that
//! goes through all pages meets every message that is there.

mod changes;
mod search;

pub(crate) use changes::{delete, mailboxes, move_to, update};
pub(crate) use search::search;
use serde_json::{Map, Value, json};
use shared::http::body::INLINE_ANSWER_BYTES;
use shared::http::{Call, Reply};
use shared::mail::{parse, sanitize};
use shared::model::{Code, Message, Problem};
use shared::ops::emailengine::{described, uid_of};
use shared::ops::search::{Hits, Query, find as find_words};
use shared::ops::{Tools, files, sign_in};
use shared::store::{Download, Incoming, Range, StoredMessage};

use crate::handler::{self, LINK, find, harmless_as, readable};

/// Longest page.
const PAGE: u32 = 1000;

/// A page of a folder: newest first, pages counted from 0 (A3.3/13 to 15).
pub(crate) async fn list(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let (page, size) = wanted(&call)?;
    let query = Query::folder(call.query.get("path").map(String::as_str));
    let hits = hits(&tools, &call, query, Range::default()).await?;
    page_of(&tools, &call, &hits, page, size).await
}

async fn hits(tools: &Tools, call: &Call, query: Query, range: Range) -> Result<Hits, Problem> {
    let account = call.account()?;
    let hits = find_words(&tools.store, call.tenant(), &account, query, range).await?;
    if hits.len() == 0 {
        // Mail outlives its account; only where there is neither is the path wrong.
        sign_in::account(tools, call.tenant(), &account).await?;
    }
    Ok(hits)
}

/// A page of what was found, where all of it is what was searched for.
async fn page_of(tools: &Tools, call: &Call, hits: &Hits, page: usize, size: usize) -> Result<Reply, Problem> {
    let first = page.saturating_mul(size);
    let rows = hits.slice(&tools.store, call.tenant(), &call.account()?, first, size).await?;
    let messages: Vec<Value> = rows.iter().filter_map(incoming).map(shown).collect();
    Reply::ok(&paged(hits.len(), page, size, messages))
}

/// Which page, and how many messages it has.
fn wanted(call: &Call) -> Result<(usize, usize), Problem> {
    let (page, size) = (call.number("page", 0, 0, u32::MAX)?, call.number("pageSize", 20, 1, PAGE)?);
    Ok((usize::try_from(page).unwrap_or(usize::MAX), usize::try_from(size).unwrap_or(usize::MAX)))
}

/// There is always a page 0.
fn paged(total: usize, page: usize, size: usize, messages: Vec<Value>) -> Value {
    json!({"total": total, "page": page, "pages": total.div_ceil(size).max(1), "messages": messages})
}

fn incoming(stored: &StoredMessage) -> Option<&Incoming> {
    match stored {
        StoredMessage::Incoming(row) => Some(row),
        StoredMessage::Outgoing(_) => None,
    }
}

fn has(message: &Message, flag: &str) -> bool {
    message.flags.iter().any(|found| found.eq_ignore_ascii_case(flag))
}

/// A message with its texts and headers (A3.3/16).
pub(crate) async fn get(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let stored = find(&tools, &call).await?;
    let source = readable(&tools, &call, &stored).await?.unwrap_or_default();
    let mut message = match &stored {
        StoredMessage::Incoming(row) => shown(row),
        StoredMessage::Outgoing(row) => described(&row.message(), None),
    };
    if let (Value::Object(text), Value::Object(more)) = (&mut message["text"], texts(&call, &source)?) {
        text.extend(more);
    }
    message["headers"] = headers(&source);
    Reply::ok(&message)
}

/// The texts of a message, by the id of its text.
pub(crate) async fn text(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let stored = find(&tools, &call).await?;
    let source = readable(&tools, &call, &stored).await?.unwrap_or_default();
    Reply::ok(&texts(&call, &source)?)
}

/// `plain` and `html` as they came, or as `textType`, `maxBytes` and `webSafeHtml` wish them.
fn texts(call: &Call, source: &[u8]) -> Result<Value, Problem> {
    let kind = call.query.get("textType").map_or("*", String::as_str);
    let most = call.number("maxBytes", u32::MAX, 0, u32::MAX)?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let safe = call.flag("webSafeHtml")?.unwrap_or(false);
    let html = parse::html(source).filter(|_| kind != "plain");
    let html = if safe { html.map(|html| sanitize::html(&html, sanitize::Remote::Blocked, |_| None)) } else { html };
    let mut texts = Map::new();
    let mut more = false;
    for (name, text) in [("plain", parse::text(source).filter(|_| kind != "html")), ("html", html)] {
        if let Some(text) = text {
            let cut = text.get(..text.floor_char_boundary(most)).unwrap_or(&text);
            more |= cut.len() < text.len();
            texts.insert(name.to_owned(), cut.into());
        }
    }
    texts.insert("hasMore".to_owned(), more.into());
    Ok(Value::Object(texts))
}

/// Each name in small letters, with the values that it has.
fn headers(source: &[u8]) -> Value {
    let mut headers = Map::new();
    for (name, value) in parse::headers(source) {
        if let Value::Array(values) = headers.entry(name.to_ascii_lowercase()).or_insert_with(|| json!([])) {
            values.push(value.into());
        }
    }
    Value::Object(headers)
}

/// An attachment, decoded: its bytes, or where they are more than an answer holds, the way to them.
pub(crate) async fn attachment(tools: Tools, mut call: Call) -> Result<Reply, Problem> {
    let missing = || Problem::new(Code::NotFound, "there is no such attachment");
    let name = call.path.get("attachment").cloned().unwrap_or_default();
    let (id, part) = name.split_once('-').ok_or_else(missing)?;
    let part: u32 = part.parse().map_err(|_| missing())?;
    call.path.insert("id".to_owned(), id.to_owned());
    let message = find(&tools, &call).await?.message();
    let listed = message.attachments.into_iter().find(|listed| listed.part == part).ok_or_else(missing)?;
    files::find(&tools.store, call.tenant(), &listed.file_id).await?.ok_or_else(missing)?;
    let store = &tools.store.files;
    let filename = listed.filename.unwrap_or_else(|| format!("attachment-{part}"));
    let download = Download { filename, content_type: listed.content_type };
    if listed.size <= INLINE_ANSWER_BYTES {
        let bytes = store.get_file(call.tenant(), &listed.file_id).await?;
        return Ok(harmless_as(&download.content_type, &download.disposition(), bytes.to_vec()));
    }
    Ok(Reply::redirect(&store.presign_file(call.tenant(), &listed.file_id, &download, LINK).await?))
}

/// The source, byte for byte; the way to it where it is more than an answer holds.
pub(crate) async fn source(tools: Tools, mut call: Call) -> Result<Reply, Problem> {
    let size = find(&tools, &call).await?.message().size;
    call.query.clear();
    if size <= INLINE_ANSWER_BYTES {
        call.query.insert("inline".to_owned(), "true".to_owned());
    }
    handler::source(tools, call).await
}

/// A message of a list.
fn shown(row: &Incoming) -> Value {
    described(&row.message, uid_of(&row.key))
}

/// Its number in its folder, where that is one of IMAP.
fn uid(stored: &StoredMessage) -> Option<u32> {
    incoming(stored).and_then(|row| uid_of(&row.key))
}
