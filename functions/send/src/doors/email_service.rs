//! Email Service 1.0: `POST /send-email` (contracts A4.2), through the tenant's account `default`.

use serde::Deserialize;
use serde_json::json;
use shared::http::door::renamed;
use shared::http::{Call, Reply, doors as paths};
use shared::model::pii::is_token;
use shared::model::send::{AttachmentInput, Outgoing, SendRequest};
use shared::model::{AccountId, Address, Code, FieldError, Problem, SendState};
use shared::ops::send::IdempotencyKey;
use shared::ops::{Tools, sign_in};

use super::now;
use crate::handler::failure;

/// The account that is the tenant's email configuration.
const DEFAULT: &str = "default";

/// Our pointers in this door's words.
const WORDS: &[(&str, &str)] =
    &[("/to", "recipient"), ("/subject", "subject"), ("/text", "message"), ("/attachments", "attachments")];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Given {
    subject: Option<String>,
    recipient: Option<String>,
    message: Option<String>,
    attachments: Option<Vec<String>>,
}

/// Sends an email while the caller waits.
pub(crate) async fn send(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let given: Given = call.json()?;
    let request = given.request()?;
    let default = AccountId::new(DEFAULT).map_err(Problem::internal)?;
    if !call.principal.reaches(&default) {
        return Err(Problem::new(Code::AccountNotFound, "this token is not for the tenant's email configuration"));
    }
    let account = sign_in::account(&tools, call.tenant(), &default).await?;
    let key = call.header("Idempotency-Key")?;
    let key = key.map(|key| IdempotencyKey::new(key, paths::SERVICE_SEND.operation)).transpose()?;
    let until = now::last_moment(&tools, &call);
    let accepted = now::send(&tools, &call, &account, &request, key.as_ref(), until).await;
    let accepted = accepted.map_err(|problem| renamed(problem, WORDS))?;
    let reply = answer(&accepted.outgoing)?;
    Ok(if accepted.replayed { reply.replayed() } else { reply })
}

fn answer(outgoing: &Outgoing) -> Result<Reply, Problem> {
    match outgoing.state {
        SendState::Sent | SendState::Partial => Reply::ok(&json!({"message": "email sent"})),
        SendState::Failed | SendState::Canceled => Err(failure(outgoing)),
        SendState::Queued | SendState::Sending | SendState::Deferred | SendState::Unknown => {
            let words = "the server's answer was lost: the email may have been sent, do not repeat it blindly";
            Reply::accepted(&json!({"message": words}), &format!("/v1/outbox/{}", outgoing.id))
        }
    }
}

impl Given {
    /// None of the fields is marked as required in the seed (A4.2/11).
    fn request(self) -> Result<SendRequest, Problem> {
        let mut errors = Vec::new();
        let mut wrong = |field: String, code: &str, words: &str| errors.push(FieldError::new(field, code, words));
        let recipient = self.recipient.filter(|text| !text.trim().is_empty());
        let to = recipient.as_deref().and_then(|text| recipient_of(text.trim()));
        if to.is_none() {
            let code = if recipient.is_none() { "missing" } else { "invalid_address" };
            wrong("recipient".to_owned(), code, "give an email address or a PII token");
        }
        // Their pattern asks for at least one character; lines may be several (A4.2/12).
        for (field, text) in [("subject", &self.subject), ("message", &self.message)] {
            if text.as_ref().is_some_and(String::is_empty) {
                wrong(field.to_owned(), "invalid_value", "must not be empty");
            }
        }
        if self.subject.is_none() && self.message.is_none() {
            wrong("message".to_owned(), "missing", "give subject, message or both");
        }
        let attachments = self.attachments.unwrap_or_default();
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        Ok(SendRequest {
            to: to.into_iter().collect(),
            subject: self.subject,
            text: self.message,
            attachments: attachments.into_iter().map(download).collect(),
            ..SendRequest::default()
        })
    }
}

fn recipient_of(text: &str) -> Option<Address> {
    if is_token(text) { Some(Address::bare(text)) } else { Address::parse(text) }
}

/// A file to fetch (A4.2/10).
fn download(url: String) -> AttachmentInput {
    AttachmentInput { url: Some(url), ..AttachmentInput::default() }
}
