//! jetQuery's `POST /api/core/mail/send/{account}`, `push` and `mail_set` (contracts A1.2 to A1.4). Its seed names no
//! answers: these speak its field names.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::http::door::renamed;
use shared::http::{Call, Reply, doors as paths, lenient};
use shared::model::send::{AttachmentInput, Correlation, Outgoing, SendRequest};
use shared::model::{
    AccountId, Address, Code, FieldError, MessageId, Problem, RecipientState, SendState, Tenant, Timestamp,
};
use shared::ops::files::by_uuid;
use shared::ops::send::{self as sending, Wait, accept, outbox};
use shared::ops::{Tools, sign_in};
use shared::store::AccountRow;

use super::now;
use crate::handler::{failure, key};

/// Our pointers in jetQuery's words.
const WORDS: &[(&str, &str)] = &[
    ("/to", "mail_to"),
    ("/cc", "mail_cc"),
    ("/bcc", "mail_bcc"),
    ("/subject", "mail_subject"),
    ("/text", "mail_body_text"),
    ("/html", "mail_body_html"),
    ("/attachments", "mail_attachments"),
    ("/correlation/source", "mail_remote_source"),
    ("/correlation/id", "mail_remote_id"),
    ("/from", "mail_from"),
];

/// A mail to send. `mail_bcc` is ours (A1.3/19).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Mail {
    #[serde(deserialize_with = "lenient::text")]
    mail_id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    mail_subject: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    mail_to: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    mail_cc: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    mail_bcc: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    mail_body_text: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    mail_body_html: Option<String>,
    mail_remote_id: Option<Value>,
    #[serde(deserialize_with = "lenient::text")]
    mail_remote_source: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    mail_attachments: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    mail_account: Option<String>,
}

/// A mail as it went, or did not yet.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    mail_id: &'a str,
    mail_account: &'a str,
    mail_state: SendState,
    mail_message_id: &'a str,
    mail_bytes: u64,
    mail_created: Timestamp,
    mail_sent: Option<Timestamp>,
    /// Whom the server refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mail_refused: Vec<&'a str>,
}

/// Sends a mail while the caller waits.
pub(crate) async fn send(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let name = call.account()?;
    let account = sign_in::account(&tools, call.tenant(), &name).await?;
    let mail: Mail = call.json()?;
    mail.check_account(name.as_str())?;
    let request = mail.request(&tools, call.tenant()).await?;
    let key = key(&call, paths::JET_SEND.operation)?;
    let until = now::last_moment(&tools, &call);
    let accepted = now::send(&tools, &call, &account, &request, key.as_ref(), until).await;
    let accepted = accepted.map_err(|problem| renamed(problem, WORDS))?;
    let reply = answer(&accepted.outgoing)?;
    Ok(if accepted.replayed { reply.replayed() } else { reply })
}

/// Puts a mail into storage, or changes one that is there and was not sent (A1.4/28, A1.4/30): it waits for a push.
pub(crate) async fn set(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let mut mail: Mail = call.json()?;
    let (id, name) = (mail.mail_id.take(), mail.account(&call)?);
    let account = sign_in::account(&tools, call.tenant(), &name).await?;
    let request = mail.request(&tools, call.tenant()).await?;
    if let Some(id) = id {
        return change(&tools, &call, &account, id, &request).await;
    }
    let key = key(&call, paths::JET_SET.operation)?;
    let accepted = accept(&tools, call.tenant(), &account, &request, key.as_ref(), Wait::Held, call.now).await;
    let accepted = accepted.map_err(|problem| renamed(problem, WORDS))?;
    let reply = Reply::ok(&shown(&accepted.outgoing))?;
    Ok(if accepted.replayed { reply.replayed() } else { reply })
}

/// The whole mail is as it is given now.
async fn change(
    tools: &Tools,
    call: &Call,
    account: &AccountRow,
    id: String,
    request: &SendRequest,
) -> Result<Reply, Problem> {
    let missing = || Problem::new(Code::MessageNotFound, "there is no such mail in this account");
    let id = MessageId::new(id).map_err(|_| missing())?;
    let row = tools.store.outbox.get(call.tenant(), &id).await?;
    let row = row.filter(|row| row.account == account.account.account).ok_or_else(missing)?;
    let changes = replacement(request)?;
    let row = outbox::edit(tools, call.tenant(), account, row, &changes, call.now).await;
    Reply::ok(&shown(&row.map_err(|problem| renamed(problem, WORDS))?.outgoing()))
}

/// A merge patch (RFC 7396) that leaves nothing of what this door can write.
fn replacement(request: &SendRequest) -> Result<Value, Problem> {
    const WRITTEN: [&str; 8] = ["to", "cc", "bcc", "subject", "text", "html", "correlation", "attachments"];
    let mut changes = serde_json::to_value(request).map_err(Problem::internal)?;
    if let Value::Object(fields) = &mut changes {
        for name in WRITTEN {
            fields.entry(name).or_insert(Value::Null);
        }
    }
    Ok(changes)
}

/// Sends what is in storage: of one account, or of all that the caller may touch (A1.2/6).
pub(crate) async fn push(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let until = now::last_moment(&tools, &call);
    let account = if call.path.contains_key("account") { Some(call.account()?) } else { None };
    if let Some(account) = &account {
        sign_in::account(&tools, call.tenant(), account).await?;
    }
    let reaches = |account: &AccountId| call.principal.reaches(account);
    Reply::ok(&sending::push(&tools, call.tenant(), account.as_ref(), reaches, until, call.now).await?)
}

/// What is in doubt is no failure that could be repeated.
fn answer(outgoing: &Outgoing) -> Result<Reply, Problem> {
    match outgoing.state {
        SendState::Sent | SendState::Partial => Reply::ok(&shown(outgoing)),
        SendState::Failed | SendState::Canceled => Err(failure(outgoing)),
        SendState::Queued | SendState::Sending | SendState::Deferred | SendState::Unknown => {
            Reply::accepted(&shown(outgoing), &format!("/v1/outbox/{}", outgoing.id))
        }
    }
}

fn shown(outgoing: &Outgoing) -> Shown<'_> {
    let refused = outgoing.recipients.iter().filter(|recipient| recipient.state == RecipientState::Failed);
    Shown {
        mail_id: outgoing.id.as_str(),
        mail_account: outgoing.account.as_str(),
        mail_state: outgoing.state,
        mail_message_id: &outgoing.message_id,
        mail_bytes: outgoing.size,
        mail_created: outgoing.created_at,
        mail_sent: outgoing.sent_at,
        mail_refused: refused.map(|recipient| recipient.address.as_str()).collect(),
    }
}

impl Mail {
    /// A1.3/18.
    fn check_account(&self, path: &str) -> Result<(), Problem> {
        match &self.mail_account {
            Some(body) if body != path => {
                let words = format!("the path names the account {path:?} and mail_account {body:?}: name one");
                Err(Problem::new(Code::AmbiguousAccount, words))
            }
            _ => Ok(()),
        }
    }

    /// The account of a mail that is put into storage.
    fn account(&self, call: &Call) -> Result<AccountId, Problem> {
        let name = self.mail_account.clone().ok_or_else(|| {
            Problem::invalid(vec![FieldError::new("mail_account", "missing", "name the account that sends it")])
        })?;
        let missing = || Problem::new(Code::AccountNotFound, format!("there is no account {name:?}"));
        let account = AccountId::new(name.clone()).map_err(|_| missing())?;
        if call.principal.reaches(&account) { Ok(account) } else { Err(missing()) }
    }

    async fn request(self, tools: &Tools, tenant: &Tenant) -> Result<SendRequest, Problem> {
        let mut errors = Vec::new();
        let request = SendRequest {
            to: addresses("mail_to", self.mail_to.as_deref(), &mut errors),
            cc: addresses("mail_cc", self.mail_cc.as_deref(), &mut errors),
            bcc: addresses("mail_bcc", self.mail_bcc.as_deref(), &mut errors),
            subject: self.mail_subject,
            text: self.mail_body_text,
            html: self.mail_body_html,
            correlation: correlation(self.mail_remote_source, self.mail_remote_id, &mut errors),
            attachments: files(tools, tenant, self.mail_attachments.as_deref(), &mut errors).await?,
            ..SendRequest::default()
        };
        if errors.is_empty() { Ok(request) } else { Err(Problem::invalid(errors)) }
    }
}

/// A1.3/15, A1.3/16: the id may be a number too; one without the other is half a pair, with an empty other half.
fn correlation(source: Option<String>, id: Option<Value>, errors: &mut Vec<FieldError>) -> Option<Correlation> {
    let id = match id {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text).filter(|text| !text.is_empty()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(_) => {
            errors.push(FieldError::new("mail_remote_id", "invalid_value", "expected a text"));
            None
        }
    };
    (source.is_some() || id.is_some())
        .then(|| Correlation { source: source.unwrap_or_default(), id: id.unwrap_or_default() })
}

/// A1.3/20.
fn addresses(field: &str, list: Option<&str>, errors: &mut Vec<FieldError>) -> Vec<Address> {
    let mut read = Vec::new();
    for text in split(list.unwrap_or_default()) {
        match Address::parse(text) {
            Some(address) => read.push(address),
            None => {
                let words =
                    format!("{text:?} is no address; give one such as \"a@example.com\", or several with commas");
                errors.push(FieldError::new(field, "invalid_address", words));
            }
        }
    }
    read
}

/// A list with commas or semicolons, which may also stand in a quoted name (RFC 5322 §3.2.4).
fn split(list: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (index, character) in list.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' | ';' if !quoted => {
                parts.push(&list[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[start..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// A1.3/17: each `file_uuid` is the first 32 digits of a file's SHA-256 (decision 18).
async fn files(
    tools: &Tools,
    tenant: &Tenant,
    list: Option<&str>,
    errors: &mut Vec<FieldError>,
) -> Result<Vec<AttachmentInput>, Problem> {
    let mut found = Vec::new();
    for uuid in split(list.unwrap_or_default()) {
        match by_uuid(&tools.store, tenant, uuid).await? {
            // It keeps the name that it was stored with.
            Some(sha256) => found.push(AttachmentInput { file_id: Some(sha256), ..AttachmentInput::default() }),
            None => {
                let words = format!("there is no file {uuid:?}");
                errors.push(FieldError::new("mail_attachments", "not_found", words));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A1.3/20.
    #[test]
    fn a_1_3_20_lists_have_commas_or_semicolons_and_names() {
        let mut errors = Vec::new();
        let list = "\"Kowalski, Jan; \\\"J\\\"\" <jan@example.com>; ,b@example.com , Ola <ola@example.com>";
        let read = addresses("mail_to", Some(list), &mut errors);
        let told: Vec<_> = read.iter().map(|one| (one.name.as_deref(), one.address.as_str())).collect();
        let wanted = [
            (Some("Kowalski, Jan; \"J\""), "jan@example.com"),
            (None, "b@example.com"),
            (Some("Ola"), "ola@example.com"),
        ];
        assert_eq!((told.as_slice(), errors.is_empty()), (wanted.as_slice(), true));
        assert!(addresses("mail_cc", Some("nobody"), &mut errors).is_empty());
        assert_eq!(errors[0].pointer, "mail_cc");
    }

    /// A1.3/16.
    #[test]
    fn a_1_3_16_half_a_pair_is_one_too() {
        let of = |source: Option<&str>, id: Value| {
            let mut errors = Vec::new();
            let pair = correlation(source.map(str::to_owned), Some(id), &mut errors);
            (pair.map(|pair| (pair.source, pair.id)), errors.len())
        };
        let pair = |source: &str, id: &str| Some((source.to_owned(), id.to_owned()));
        assert_eq!(of(Some("saleinvoice"), "x".into()), (pair("saleinvoice", "x"), 0));
        assert_eq!(of(None, 4711.into()), (pair("", "4711"), 0));
        assert_eq!(of(None, Value::Null), (None, 0));
        assert_eq!(of(None, true.into()).1, 1);
    }
}
