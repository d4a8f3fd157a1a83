//! EmailEngine's routes of messages (contracts A3.3, A3.1/8): what was pulled, as EmailEngine shows it.
//!
//! A list is EmailEngine's: pages by number, with their count. The count comes from the index of words, in which each
//! message has the word of its folder ([`Query::folder`]): some requests at any size of the mailbox, and page 900 costs
//! what page 0 does. Messages that are gone since are counted until their part of the index is written again, and left
//! out of their page; so a client that goes through all pages meets every message that is there.

mod changes;

pub(crate) use changes::{delete, mailboxes, move_to, update};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use shared::http::body::INLINE_ANSWER_BYTES;
use shared::http::{Call, Reply};
use shared::mail::{parse, sanitize};
use shared::model::{Code, FieldError, Message, Problem, Timestamp};
use shared::ops::emailengine::{described, uid_of};
use shared::ops::search::{self, Query};
use shared::ops::{Tools, files, sign_in};
use shared::store::{Download, Incoming, Range, StoredMessage};

use crate::handler::{self, LINK, find, harmless_as, readable};

/// Most candidates that one search looks at where flags or sizes are asked for, which no index knows.
const SCANNED: usize = 2000;

/// Longest page.
const PAGE: u32 = 1000;

/// A page of a folder: newest first, pages counted from 0 (A3.3/13 to 15).
pub(crate) async fn list(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let (page, size) = wanted(&call)?;
    let query = Query::folder(call.query.get("path").map(String::as_str));
    let account = call.account()?;
    let hits = search::find(&tools.store, call.tenant(), &account, query, Range::default()).await?;
    if hits.len() == 0 {
        // Mail outlives its account; only where there is neither is the path wrong.
        sign_in::account(&tools, call.tenant(), &account).await?;
    }
    let rows = hits.slice(&tools.store, call.tenant(), &account, page * size, size).await?;
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

/// What is searched for: EmailEngine's terms, of which those of IMAP that are about places in a mailbox are refused.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Terms {
    from: Option<String>,
    to: Option<String>,
    cc: Option<String>,
    subject: Option<String>,
    body: Option<String>,
    header: Map<String, Value>,
    answered: Option<bool>,
    deleted: Option<bool>,
    draft: Option<bool>,
    flagged: Option<bool>,
    seen: Option<bool>,
    unseen: Option<bool>,
    larger: Option<u64>,
    smaller: Option<u64>,
    since: Option<Timestamp>,
    before: Option<Timestamp>,
    sent_since: Option<Timestamp>,
    sent_before: Option<Timestamp>,
    thread_id: Option<String>,
    seq: Option<Value>,
    uid: Option<Value>,
    modseq: Option<Value>,
    bcc: Option<Value>,
    email_id: Option<Value>,
    gmail_raw: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Search {
    search: Terms,
}

/// A page of what a search finds. Words are whole words here.
pub(crate) async fn search(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let (page, size) = wanted(&call)?;
    let account = call.account()?;
    let terms = call.json::<Search>()?.search;
    terms.check()?;
    let query = terms.query(call.query.get("path").map(String::as_str))?;
    let range = Range { since: terms.since, before: terms.before };
    let hits = search::find(&tools.store, call.tenant(), &account, query, range).await?;
    if hits.len() == 0 {
        sign_in::account(&tools, call.tenant(), &account).await?;
    }
    if hits.are_final() && !terms.asks_rows() {
        let rows = hits.slice(&tools.store, call.tenant(), &account, page * size, size).await?;
        let messages: Vec<Value> = rows.iter().filter_map(incoming).map(shown).collect();
        return Reply::ok(&paged(hits.len(), page, size, messages));
    }
    let (mut found, mut seen) = (Vec::new(), 0);
    while seen < hits.len().min(SCANNED) {
        let rows = hits.slice(&tools.store, call.tenant(), &account, seen, 100).await?;
        found.extend(rows.iter().filter_map(incoming).filter(|row| terms.fit(&row.message)).map(shown));
        seen += 100;
    }
    let messages = found.iter().skip(page * size).take(size).cloned().collect();
    Reply::ok(&paged(found.len(), page, size, messages))
}

impl Terms {
    fn check(&self) -> Result<(), Problem> {
        let refused = [
            ("seq", self.seq.is_some()),
            ("uid", self.uid.is_some()),
            ("modseq", self.modseq.is_some()),
            ("bcc", self.bcc.is_some()),
            ("emailId", self.email_id.is_some()),
            ("gmailRaw", self.gmail_raw.is_some()),
        ];
        let known = |name: &String| name.eq_ignore_ascii_case("message-id");
        let headers = self.header.keys().filter(|name| !known(name)).map(|name| format!("header/{name}"));
        let names = refused.into_iter().filter(|(_, given)| *given).map(|(name, _)| name.to_owned()).chain(headers);
        let words =
            "is not searched for here: from, to, cc, subject, body, dates, flags, sizes and header message-id are";
        let errors: Vec<FieldError> =
            names.map(|name| FieldError::new(format!("/search/{name}"), "unsupported", words)).collect();
        if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
    }

    /// What the index is asked.
    fn query(&self, path: Option<&str>) -> Result<Query, Problem> {
        let plain = |text: &str| text.replace('"', " ");
        let fields = [("from:", &self.from), ("to:", &self.to), ("to:", &self.cc), ("subject:", &self.subject)];
        let fields = fields.into_iter().filter_map(|(name, text)| Some(format!("{name}\"{}\"", plain(text.as_ref()?))));
        let ids = self.header.values().filter_map(Value::as_str).map(|id| id.trim_matches(['<', '>']).to_owned());
        let texts = fields.chain(self.body.as_deref().map(plain)).chain(ids);
        Query::within(path, &texts.collect::<Vec<_>>().join(" "))
    }

    /// Whether something is asked that only rows tell.
    fn asks_rows(&self) -> bool {
        let flags = [self.answered, self.deleted, self.draft, self.flagged, self.seen, self.unseen];
        let sizes = [self.larger, self.smaller];
        let times = [self.sent_since, self.sent_before];
        flags.iter().any(Option::is_some)
            || sizes.iter().any(Option::is_some)
            || times.iter().any(Option::is_some)
            || self.thread_id.is_some()
    }

    fn fit(&self, message: &Message) -> bool {
        let flag = |wanted: Option<bool>, name: &str| wanted.is_none_or(|wanted| has(message, name) == wanted);
        flag(self.answered, "\\Answered")
            && flag(self.deleted, "\\Deleted")
            && flag(self.draft, "\\Draft")
            && flag(self.flagged, "\\Flagged")
            && flag(self.seen, "\\Seen")
            && flag(self.unseen.map(|unseen| !unseen), "\\Seen")
            && self.larger.is_none_or(|size| message.size > size)
            && self.smaller.is_none_or(|size| message.size < size)
            && self.sent_since.is_none_or(|since| message.date.is_some_and(|date| since <= date))
            && self.sent_before.is_none_or(|before| message.date.is_some_and(|date| date < before))
            && self.thread_id.as_ref().is_none_or(|thread| message.thread_id == *thread)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_become_a_query_and_what_is_not_known_is_named() {
        let terms: Terms = serde_json::from_value(json!({
            "from": "Ada \"L\"", "subject": "due date", "body": "invoice", "unseen": true, "larger": 10,
            "header": {"Message-ID": "<1@x>"}, "since": "2026-01-01T00:00:00Z"
        }))
        .unwrap();
        assert!(terms.check().is_ok() && terms.asks_rows());
        let same = Query::within(Some("INBOX"), "from:\"Ada L\" subject:\"due date\" invoice 1@x").unwrap();
        assert_eq!(terms.query(Some("INBOX")).unwrap(), same);
        let wrong: Terms = serde_json::from_value(json!({"seq": "1:*", "header": {"x-y": "z"}})).unwrap();
        let problem = wrong.check().unwrap_err();
        let pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/search/seq", "/search/header/x-y"]);
    }
}
