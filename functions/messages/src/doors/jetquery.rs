//! jetQuery's mail storage (A1.4): `[app].[mail]`, incoming and outgoing, and `[app].[files]`. Its seed names columns and
//! a query, no routes: these are `GET /api/core/mail/mail`, `…/mail/{mail_id}`, `…/mail/{mail_id}/attachments` and
//! `…/files/{file_uuid}`.

use serde::Serialize;
use shared::http::{Call, Reply};
use shared::mail::{parse, sanitize};
use shared::model::views::Page;
use shared::model::{AccountId, Address, Code, Direction, Message, Problem, Timestamp};
use shared::ops::{self, Tools, files, sign_in};
use shared::store::{Download, Range, StoredMessage};

use crate::handler::{LINK, harmless, readable, within};

/// A1.4/23: `extension` is a varchar(10), with its dot.
const EXTENSION_CHARS: usize = 10;

/// A mail as its table has it.
#[derive(Serialize)]
struct Mail {
    mail_id: String,
    mail_account: AccountId,
    /// `incoming` or `outgoing` (A1.4/21).
    mail_direction: Direction,
    mail_state: String,
    mail_subject: Option<String>,
    mail_from: Option<String>,
    mail_from_name: Option<String>,
    mail_to: String,
    mail_cc: String,
    mail_message_id: Option<String>,
    mail_date: Option<Timestamp>,
    mail_created: Timestamp,
    mail_bytes: u64,
    mail_remote_id: Option<String>,
    mail_remote_source: Option<String>,
    /// The XML field (A1.4/22).
    mail_attachments: String,
    #[serde(flatten)]
    body: Option<Body>,
}

/// What only one mail by itself shows.
#[derive(Serialize)]
struct Body {
    /// A1.4/25: text only.
    mail_body_text: Option<String>,
    /// A1.4/26: safe HTML.
    mail_body_html: Option<String>,
}

/// A row of the seed's query (A1.4/29), and a `file` of the XML field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct File {
    hash: String,
    name: String,
    bytes: u64,
    extension: String,
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
    let items: Vec<Mail> = page.items.iter().map(|stored| mail(stored.message(), None)).collect();
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
    Reply::ok(&mail(message, Some(body)))
}

/// The attachments of one mail.
pub(crate) async fn attachments(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let (message, _) = read(&tools, &call).await?;
    Reply::ok(&rows(&message))
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

fn mail(message: Message, body: Option<Body>) -> Mail {
    let mail_attachments = xml(&rows(&message));
    let (name, address) = message.from.map_or((None, None), |from| (from.name, Some(from.address)));
    let (source, id) = message.correlation.map_or((None, None), |pair| (Some(pair.source), Some(pair.id)));
    Mail {
        mail_id: message.id.to_string(),
        mail_account: message.account,
        mail_direction: message.direction,
        mail_state: message.state,
        mail_subject: message.subject,
        mail_from: address,
        mail_from_name: name,
        mail_to: people(&message.to),
        mail_cc: people(&message.cc),
        mail_message_id: message.message_id,
        mail_date: message.date,
        mail_created: message.received_at,
        mail_bytes: message.size,
        mail_remote_id: id,
        mail_remote_source: source,
        mail_attachments,
        body,
    }
}

/// A list as `mail_to` takes it (A1.3/20): names that would end an entry stand in quotes (RFC 5322 §3.2.4).
fn people(list: &[Address]) -> String {
    let one = |person: &Address| match &person.name {
        Some(name) => format!("\"{}\" <{}>", name.replace('\\', "\\\\").replace('"', "\\\""), person.address),
        None => person.address.clone(),
    };
    list.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn rows(message: &Message) -> Vec<File> {
    let row = |attachment: &shared::model::Attachment| {
        let name = attachment.filename.clone().unwrap_or_else(|| format!("attachment-{}", attachment.part));
        File { hash: files::uuid_of(&attachment.file_id), extension: extension(&name), bytes: attachment.size, name }
    };
    message.attachments.iter().map(row).collect()
}

/// A1.4/23: `.pdf`; empty where the name has none that fits.
fn extension(name: &str) -> String {
    let found = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, end)| format!(".{end}"));
    found.filter(|end| (2..=EXTENSION_CHARS).contains(&end.chars().count())).unwrap_or_default().to_lowercase()
}

/// A1.4/22.
fn xml(files: &[File]) -> String {
    let file = |file: &File| {
        let File { hash, name, bytes, extension } = file;
        let (name, extension) = (text(name), text(extension));
        format!(
            "<file><name>{name}</name><bytes>{bytes}</bytes><hash>{hash}</hash><extension>{extension}</extension></file>"
        )
    };
    format!("<ArrayOfFile>{}</ArrayOfFile>", files.iter().map(file).collect::<String>())
}

/// Character data (XML 1.0 §2.2, §2.4).
fn text(text: &str) -> String {
    let allowed = |c: &char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().filter(allowed).collect::<String>().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A1.4/22, A1.4/23: the example of the seed, its two names for one content (A1.4/24).
    #[test]
    fn a_1_4_22_the_xml_field_is_as_in_the_example() {
        let id = "5283dce81041da715362134ba3dc7dfe".to_owned() + "00000000000000000000000000000000";
        let hash = files::uuid_of(&id);
        assert_eq!(hash, "5283dce8-1041-da71-5362-134ba3dc7dfe");
        let file =
            |name: &str| File { hash: hash.clone(), name: name.into(), bytes: 29223, extension: extension(name) };
        let one = |name: &str| {
            format!(
                "<file><name>{name}</name><bytes>29223</bytes><hash>{hash}</hash><extension>.pdf</extension></file>"
            )
        };
        assert_eq!(
            xml(&[file("TEST 7.pdf"), file("TEST 1.PDF")]),
            format!("<ArrayOfFile>{}{}</ArrayOfFile>", one("TEST 7.pdf"), one("TEST 1.PDF"))
        );
        assert_eq!(xml(&[]), "<ArrayOfFile></ArrayOfFile>");
        assert_eq!(text("a<b>&\u{0}c"), "a&lt;b&gt;&amp;c");
        for (name, end) in [("a.tar.gz", ".gz"), ("a", ""), (".profile", ""), ("a.", ""), ("a.something-long", "")] {
            assert_eq!(extension(name), end, "{name}");
        }
    }

    #[test]
    fn people_are_listed_as_mail_to_takes_them() {
        let named = Address { name: Some("Kowalski, \"Jan\"".into()), address: "jan@example.com".into() };
        assert_eq!(
            people(&[named, Address::bare("b@example.com")]),
            "\"Kowalski, \\\"Jan\\\"\" <jan@example.com>, b@example.com"
        );
    }
}
