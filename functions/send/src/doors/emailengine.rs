//! EmailEngine's `POST /v1/account/{account}/submit` (contracts A3.4) and its routes of the outbox.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use shared::http::{Call, Reply, doors as paths};
use shared::model::address::{given_option, one_or_many, recipients};
use shared::model::content::{Action, Reference};
use shared::model::send::{AttachmentInput, Disposition, Header, SendRequest};
use shared::model::{Address, Code, FieldError, Problem, RecipientState, SendState, Timestamp};
use shared::ops::send::{IdempotencyKey, Wait, accept};
use shared::ops::{Tools, sign_in};
use shared::settings::Settings;
use shared::store::{Cancel, OutgoingRow};

/// Most messages that a list looks through.
const LISTED: usize = 1000;

/// A message to send. What else EmailEngine takes is ignored, unless it says who gets the message.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Submit {
    reference: Option<Referred>,
    #[serde(deserialize_with = "given_option")]
    from: Option<Address>,
    #[serde(deserialize_with = "recipients")]
    to: Vec<Address>,
    #[serde(deserialize_with = "recipients")]
    cc: Vec<Address>,
    #[serde(deserialize_with = "recipients")]
    bcc: Vec<Address>,
    #[serde(deserialize_with = "one_or_many")]
    reply_to: Vec<Address>,
    subject: Option<String>,
    text: Option<String>,
    html: Option<String>,
    raw: Option<String>,
    headers: Map<String, Value>,
    attachments: Vec<File>,
    send_at: Option<Timestamp>,
    envelope: Option<Value>,
    mail_merge: Option<Value>,
}

/// A stored message that is answered or handed on.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Referred {
    message: String,
    action: Option<Action>,
    inline: bool,
    forward_attachments: bool,
    ignore_missing: bool,
}

/// A file of a message.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    filename: Option<String>,
    content: Option<String>,
    content_type: Option<String>,
    content_disposition: Option<Disposition>,
    cid: Option<String>,
    encoding: Option<String>,
    reference: Option<String>,
}

/// Queues a message; the answer says under which name.
pub(crate) async fn submit(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let account = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    let asked: Submit = call.json()?;
    let may_be_missing = asked.reference.as_ref().is_some_and(|reference| reference.ignore_missing);
    let mut request = asked.request(call.now)?;
    let referred = request.reference.as_ref().map(|reference| reference.message.clone());
    let key = call.header("Idempotency-Key")?;
    let key = key.map(|key| IdempotencyKey::new(key, paths::ENGINE_SUBMIT.operation)).transpose()?;
    let queue = async |request: &SendRequest| {
        accept(&tools, call.tenant(), &account, request, key.as_ref(), Wait::No, call.now).await
    };
    let accepted = match queue(&request).await {
        Err(problem) if problem.code == Code::MessageNotFound && may_be_missing => {
            request.reference = None;
            queue(&request).await?
        }
        other => other?,
    };
    let mut answer = json!({
        "response": "Queued for delivery",
        "messageId": accepted.outgoing.message_id,
        "sendAt": request.send_at.unwrap_or(accepted.outgoing.created_at),
        "queueId": accepted.outgoing.id,
    });
    if let Some(message) = referred {
        answer["reference"] = json!({"message": message, "success": request.reference.is_some()});
    }
    let reply = Reply::ok(&answer)?;
    Ok(if accepted.replayed { reply.replayed() } else { reply })
}

/// A page of what is not settled, by account, oldest first. Pages are counted from 0, as are EmailEngine's; what lies
/// behind the first [`LISTED`] is not counted.
pub(crate) async fn list(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let most = u32::try_from(LISTED).unwrap_or(u32::MAX);
    let (page, size) = (call.number("page", 0, 0, most)?, call.number("pageSize", 20, 1, 1000)?);
    let (mut rows, mut cursor) = (Vec::new(), None);
    loop {
        let found = tools.store.outbox.list(call.tenant(), None, 100, cursor.as_deref()).await?;
        rows.extend(found.items.into_iter().filter(|row| call.principal.reaches(&row.account)));
        cursor = found.next_cursor;
        if cursor.is_none() || rows.len() >= LISTED {
            break;
        }
    }
    let (first, count) = (usize::try_from(page).unwrap_or(usize::MAX), usize::try_from(size).unwrap_or(usize::MAX));
    let shown = rows.iter().skip(first.saturating_mul(count)).take(count).map(|row| shown(row, &tools.settings));
    let messages: Vec<Value> = shown.collect();
    Reply::ok(&json!({
        "total": rows.len(),
        "page": page,
        "pages": rows.len().div_ceil(count),
        "messages": messages,
    }))
}

/// How a queued message fares.
pub(crate) async fn queued(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let row = row(&tools, &call).await?;
    Reply::ok(&shown(&row, &tools.settings))
}

/// Takes a queued message back, if it is not on its way.
pub(crate) async fn unqueue(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let row = row(&tools, &call).await?;
    let deleted = tools.store.outbox.cancel(call.tenant(), &row.id, call.now).await?;
    Reply::ok(&json!({"deleted": matches!(deleted, Cancel::Canceled(_))}))
}

async fn row(tools: &Tools, call: &Call) -> Result<OutgoingRow, Problem> {
    let row = tools.store.outbox.get(call.tenant(), &call.message_id()?).await?;
    let row = row.filter(|row| call.principal.reaches(&row.account));
    row.ok_or_else(|| Problem::new(Code::MessageNotFound, "there is no such queued message"))
}

impl Submit {
    fn request(self, now: Timestamp) -> Result<SendRequest, Problem> {
        let mut errors = Vec::new();
        for (field, given) in [("envelope", &self.envelope), ("mailMerge", &self.mail_merge)] {
            if given.is_some() {
                let words = "is not taken here: name the recipients in to, cc and bcc";
                errors.push(FieldError::new(format!("/{field}"), "invalid_value", words));
            }
        }
        let request = SendRequest {
            reference: self.reference.map(reference),
            raw: self.raw,
            from: self.from.map(plain),
            to: all(self.to),
            cc: all(self.cc),
            bcc: all(self.bcc),
            reply_to: all(self.reply_to),
            subject: self.subject,
            text: self.text,
            html: self.html,
            headers: headers(self.headers, &mut errors),
            attachments: files(self.attachments, &mut errors),
            // A time that is over is now.
            send_at: self.send_at.filter(|at| *at > now),
            ..SendRequest::default()
        };
        if errors.is_empty() { Ok(request) } else { Err(Problem::invalid(errors)) }
    }
}

/// What EmailEngine does with a message unless it is told more: it quotes nothing and takes no files along.
fn reference(given: Referred) -> Reference {
    Reference {
        message: given.message,
        action: given.action.unwrap_or(Action::Reply),
        quote: given.inline,
        attachments: given.forward_attachments,
    }
}

/// A name may be an empty text.
fn plain(address: Address) -> Address {
    Address { name: address.name.filter(|name| !name.is_empty()), ..address }
}

fn all(addresses: Vec<Address>) -> Vec<Address> {
    addresses.into_iter().map(plain).collect()
}

/// `{"X-Ticket": "42"}`, or a list of values.
fn headers(given: Map<String, Value>, errors: &mut Vec<FieldError>) -> Vec<Header> {
    let mut headers = Vec::new();
    for (name, value) in given {
        let values = match value {
            Value::Array(values) => values.iter().map(text).collect::<Option<Vec<_>>>(),
            one => text(&one).map(|one| vec![one]),
        };
        match values {
            Some(values) => headers.push(Header { name, values }),
            None => errors.push(FieldError::new(
                format!("/headers/{name}"),
                "invalid_value",
                "must be a string or a list of strings",
            )),
        }
    }
    headers
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn files(given: Vec<File>, errors: &mut Vec<FieldError>) -> Vec<AttachmentInput> {
    let mut files = Vec::new();
    for (index, file) in given.into_iter().enumerate() {
        let mut wrong = |field: &str, words: &str| {
            errors.push(FieldError::new(format!("/attachments/{index}/{field}"), "invalid_value", words));
        };
        if file.reference.is_some() {
            wrong("reference", "is not taken here: give the bytes as content");
        }
        if file.encoding.as_deref().is_some_and(|encoding| !encoding.eq_ignore_ascii_case("base64")) {
            wrong("encoding", "must be base64");
        }
        // Shown inside is what the HTML can name.
        let usual = if file.cid.is_some() { Disposition::Inline } else { Disposition::Attachment };
        files.push(AttachmentInput {
            filename: file.filename.unwrap_or_default(),
            content_type: file.content_type,
            content: Some(file.content.unwrap_or_default()),
            disposition: file.content_disposition.unwrap_or(usual),
            content_id: file.cid,
            ..AttachmentInput::default()
        });
    }
    files
}

/// A message of the outbox as EmailEngine shows it.
fn shown(row: &OutgoingRow, settings: &Settings) -> Value {
    let to: Vec<_> = row.recipients.iter().map(|recipient| recipient.address.as_str()).collect();
    let next = row.due.filter(|_| matches!(row.state, SendState::Queued | SendState::Deferred));
    json!({
        "queueId": row.id,
        "account": row.account,
        "source": "api",
        "messageId": row.message_id,
        "envelope": {"from": row.from.address, "to": to},
        "subject": row.subject,
        "created": row.created_at,
        "scheduled": next.unwrap_or(row.created_at),
        "nextAttempt": next.map_or(json!(false), |next: Timestamp| json!(next)),
        "attemptsMade": row.attempts,
        "attempts": attempts(settings),
        "progress": progress(row),
    })
}

/// How often a message is tried before it expires.
fn attempts(settings: &Settings) -> u32 {
    let (mut attempts, mut waited) = (1, 0);
    let mut steps = settings.backoff_seconds.iter();
    let mut step = 60;
    while waited < settings.expire_seconds {
        step = steps.next().copied().unwrap_or(step).max(1);
        waited = waited.saturating_add(step);
        attempts += 1;
    }
    attempts
}

fn progress(row: &OutgoingRow) -> Value {
    let status = match row.state {
        SendState::Queued => "queued",
        SendState::Sending => "processing",
        SendState::Sent | SendState::Partial => "submitted",
        SendState::Deferred | SendState::Failed | SendState::Unknown | SendState::Canceled => "error",
    };
    let mut progress = json!({"status": status});
    let replied = |state| row.recipients.iter().filter(move |recipient| recipient.state == state);
    if let Some(reply) = replied(RecipientState::Sent).find_map(|recipient| recipient.smtp.as_ref()) {
        progress["response"] = json!(format!("{} {}", reply.code, reply.text));
    }
    let failed = row
        .recipients
        .iter()
        .find(|recipient| !matches!(recipient.state, RecipientState::Sent | RecipientState::Queued));
    if let Some(failed) = failed {
        let reply = failed.smtp.as_ref();
        let words = reply.map(|reply| reply.text.clone()).or_else(|| failed.error.clone());
        progress["error"] = json!({"message": words.unwrap_or_else(|| "canceled".to_owned())});
        if let Some(reply) = reply {
            progress["error"]["statusCode"] = json!(reply.code);
        }
    }
    progress
}
