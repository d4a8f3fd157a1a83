//! SuperOffice's `POST /api/v1/Agents/EMail/SendEMails` (contracts A2): mails in, the same mails out, each with what
//! became of it.
//!
//! | module | does |
//! |---|---|
//! | [`carriers`] | the tables that all others follow |
//! | [`media`], [`form`], [`xml`] | content types: bytes to values, values to bytes |
//! | [`read`] | values to whole carriers |
//! | [`mail`], [`connection`] | carriers to our request and account |
//! | [`answer`], [`calendar`], [`clock`], [`select`] | the answer |
//!
//! `SO-Language`, `Accept-Language` and `SO-Culture` are taken and change nothing: no property of a mail is in several
//! languages, and dates and numbers are in the neutral form. `SO-AppToken` names the partner's application, which has
//! no rights of its own here. `X-XSRF-TOKEN` stands in for an `Authorization` header where a browser's session does;
//! there are no sessions here, and a call without the header is refused by the gateway.

mod answer;
mod calendar;
mod carriers;
mod clock;
mod connection;
mod form;
mod mail;
mod media;
mod read;
mod select;
#[cfg(test)]
mod tests;
mod xml;

use serde_json::Value;
use shared::http::door::renamed;
use shared::http::{Call, Reply, doors as paths};
use shared::mail::Deadline;
use shared::model::send::{Outgoing, SendRequest};
use shared::model::{AccountId, Code, FieldError, Problem};
use shared::ops::send::{Accepted, IdempotencyKey};
use shared::ops::{Tools, sign_in};
use shared::store::AccountRow;

use super::now;
use answer::Look;
use carriers::REQUEST;
use clock::Clock;
use connection::Connection;
use media::Format;
use read::Properties;
use select::Selection;

/// Most mails of one call, as of the native batch.
const EMAILS: usize = 500;

/// The account of a tenant that has one.
const DEFAULT: &str = "default";

/// An answer may have 6 MB at Lambda; beyond this the bytes of the attachments are left out of it.
const ANSWER_BYTES: usize = 5 << 20;

/// Our pointers in the words of the carriers.
const WORDS: &[(&str, &str)] = &[
    ("/smtp/auth/password", "/OutgoingConnectionInfo/Password"),
    ("/smtp/auth/username", "/OutgoingConnectionInfo/UserName"),
    ("/smtp/auth", "/OutgoingConnectionInfo/UserName"),
    ("/smtp", "/OutgoingConnectionInfo/ServerName"),
    ("/to", "/To"),
    ("/cc", "/Cc"),
    ("/bcc", "/Bcc"),
    ("/from", "/From"),
    ("/subject", "/Subject"),
    ("/text", "/PlainBody"),
    ("/html", "/HTMLBody"),
    ("/headers", "/CustomHeaderList"),
    ("/attachments", "/Attachments"),
    ("/priority", "/Priority"),
];

/// Sends the mails of the request one after the other.
pub(crate) async fn send_emails(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let (content_type, format) = media::accepted(call.header("Accept")?)?;
    let body = media::request(call.header("Content-Type")?, &call.body)?;
    let mut request = read::whole(&REQUEST, body)?;
    let outgoing = Connection::take(&mut request, "OutgoingConnectionInfo")?;
    if Connection::take(&mut request, "SentItemsConnectionInfo")?.is_some() {
        let words = "copies go to the account's own folder of sent mail: leave it null";
        return Err(Problem::invalid(vec![FieldError::new("/SentItemsConnectionInfo", "invalid_value", words)]));
    }
    let mails = mails(&mut request)?;
    let look = Look {
        clock: Clock::new(call.header("SO-TimeZone")?),
        selection: Selection::new(call.query.get("$select").map(String::as_str)),
    };
    let courier = Courier::new(&tools, &call, outgoing).await?;
    let mut answer = Vec::with_capacity(mails.len());
    for (index, mail) in mails.into_iter().enumerate() {
        let outcome = courier.send(&mail, index).await.map_err(|problem| renamed(problem, WORDS));
        answer.push(look.at(mail, outcome.as_ref()));
    }
    let body = bounded(format, &mut answer)?;
    Ok(Reply::bytes(&format!("{content_type}; charset=utf-8"), body))
}

/// The mails of the request, in order; one that is empty is one too, so that each has its answer.
fn mails(request: &mut Properties) -> Result<Vec<Properties>, Problem> {
    let Some(Value::Array(mails)) = request.remove("Emails") else { return Ok(Vec::new()) };
    if mails.len() > EMAILS {
        let words = format!("{} mails; the limit emails is {EMAILS}", mails.len());
        return Err(Problem::invalid(vec![FieldError::new("/Emails", "too_many", words)]));
    }
    Ok(mails.into_iter().filter_map(|mail| if let Value::Object(mail) = mail { Some(mail) } else { None }).collect())
}

/// The answer's bytes; what was given is left out where it would not fit.
fn bounded(format: Format, answer: &mut [Value]) -> Result<Vec<u8>, Problem> {
    let body = media::written(format, answer)?;
    if body.len() <= ANSWER_BYTES {
        return Ok(body);
    }
    for mail in answer.iter_mut().filter_map(Value::as_object_mut) {
        mail.insert("HTMLBody".to_owned(), Value::Null);
        mail.insert("PlainBody".to_owned(), Value::Null);
        mail::items_mut(mail, "Attachments").for_each(|item| item["Stream"] = Value::Null);
    }
    media::written(format, answer)
}

/// Who sends the mails of one call.
struct Courier<'a> {
    tools: &'a Tools,
    call: &'a Call,
    key: Option<&'a str>,
    until: Deadline,
    way: Way,
}

/// By which server.
enum Way {
    /// That of the account.
    Stored(Box<AccountRow>),
    /// That of the call.
    Given(Connection),
}

impl<'a> Courier<'a> {
    async fn new(tools: &'a Tools, call: &'a Call, given: Option<Connection>) -> Result<Self, Problem> {
        let key = call.header("Idempotency-Key")?;
        key.map(own_key).transpose()?;
        let way = match given {
            Some(connection) => Way::Given(connection),
            None => Way::Stored(Box::new(sign_in::account(tools, call.tenant(), &account(call)?).await?)),
        };
        Ok(Self { tools, call, key, until: now::last_moment(tools, call), way })
    }

    /// A mail of a batch has a key of its own (decision 3).
    async fn send(&self, mail: &Properties, index: usize) -> Result<Outgoing, Problem> {
        let request = mail::request(mail)?;
        let key = self.key.map(|key| own_key(&format!("{key}#{index}"))).transpose()?;
        self.hand_over(&request, key.as_ref()).await.map(|accepted| accepted.outgoing)
    }

    async fn hand_over(&self, request: &SendRequest, key: Option<&IdempotencyKey>) -> Result<Accepted, Problem> {
        let Self { tools, call, until, .. } = *self;
        match &self.way {
            Way::Stored(row) => now::send(tools, call, row, request, key, until).await,
            Way::Given(connection) => {
                let sender = connection.sender(request.from.as_ref(), call.now)?;
                now::send_by(tools, call, (&sender.row, &sender.secrets), request, key, until).await
            }
        }
    }
}

fn own_key(key: &str) -> Result<IdempotencyKey, Problem> {
    IdempotencyKey::new(key, paths::OFFICE_SEND.operation)
}

/// The caller's own account: the one that its token is for, else the tenant's (A2.3/18).
fn account(call: &Call) -> Result<AccountId, Problem> {
    let default = AccountId::new(DEFAULT).map_err(Problem::internal)?;
    match call.principal.accounts.as_deref() {
        Some([only]) => Ok(only.clone()),
        Some(several) if !several.contains(&default) => {
            Err(Problem::new(Code::AccountNotFound, "this token is for several accounts and not for default"))
        }
        _ => Ok(default),
    }
}
