//! The same mail, as the answer shows it (A2.6): what the server assigns, and why it was not sent if it was not.

use serde_json::{Value, json};
use shared::mail::parse::is_safe;
use shared::model::send::{Outgoing, Recipient};
use shared::model::{FieldError, Problem, RecipientState, SendState, Timestamp};

use super::carriers::EMAIL;
use super::clock::Clock;
use super::mail::{bytes, text};
use super::read::Properties;
use super::select::Selection;
use super::{calendar, mail::items_mut};

/// How answers are to look.
#[derive(Debug)]
pub(super) struct Look {
    /// Which zone tells the time.
    pub(super) clock: Clock,
    /// What is wanted; none: everything.
    pub(super) selection: Option<Selection>,
}

impl Look {
    /// One mail of the answer. `Error` is ours: the carrier has no word for a failure (A2.6/55); it is never nulled out.
    pub(super) fn at(&self, mut mail: Properties, outcome: Result<&Outgoing, &Problem>) -> Value {
        describe_files(&mut mail);
        describe_calendar(&mut mail);
        self.clock.turn(&EMAIL, &mut mail);
        let sent = outcome.is_ok_and(|outgoing| matches!(outgoing.state, SendState::Sent | SendState::Partial));
        mail["IsSent"] = json!(sent);
        mail["Sent"] = Value::Null;
        let error = match outcome {
            Ok(outgoing) => {
                mail["MessageID"] = json!(outgoing.message_id);
                mail["Size"] = json!(i32::try_from(outgoing.size).unwrap_or(i32::MAX));
                let at = outgoing.sent_at.filter(|_| sent);
                mail["Sent"] = at.map_or(Value::Null, |at: Timestamp| self.clock.tell(at).into());
                (outgoing.state != SendState::Sent).then(|| undelivered(outgoing))
            }
            Err(problem) => Some(refused(problem)),
        };
        if let Some(selection) = &self.selection {
            selection.apply(&mut mail);
        }
        if let Some(error) = error {
            mail.insert("Error".to_owned(), error);
        }
        mail.into()
    }
}

/// Size and safety of attachments are what they are, whatever was given.
fn describe_files(mail: &mut Properties) {
    for item in items_mut(mail, "Attachments") {
        let Some(Ok(bytes)) = bytes(item) else { continue };
        let (name, kind) = (text(item, "Filename").unwrap_or_default(), text(item, "Type").unwrap_or_default());
        let safe = is_safe(name, &kind.to_ascii_lowercase(), &bytes);
        item["Size"] = json!(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        item["IsSafeFileExtension"] = json!(safe);
    }
}

fn describe_calendar(mail: &mut Properties) {
    let Some(found) = calendar::of(mail) else { return };
    mail["HasCalendarData"] = json!(found.one.is_some());
    if let Some(appointment) = found.one {
        mail["CalMethod"] = json!(calendar::method(&appointment));
        mail["CalReplyStatus"] = json!(calendar::reply(&appointment));
    }
}

/// It was accepted, and not everybody has it.
fn undelivered(outgoing: &Outgoing) -> Value {
    let (code, words) = match outgoing.state {
        SendState::Partial => ("partial", "some recipients were refused"),
        SendState::Unknown => {
            ("unknown", "the server's answer was lost: it may have been sent, do not repeat it blindly")
        }
        SendState::Failed => ("failed", "every recipient was refused"),
        SendState::Canceled => ("canceled", "it could not be sent in time and was taken back"),
        _ => ("deferred", "it is being sent"),
    };
    let others = outgoing.recipients.iter().filter(|recipient| recipient.state != RecipientState::Sent);
    let recipients: Vec<Value> = others.map(recipient).collect();
    json!({"Code": code, "Message": words, "Recipients": recipients})
}

fn recipient(recipient: &Recipient) -> Value {
    let reply = recipient.smtp.as_ref();
    let words = reply.map(|reply| reply.text.clone()).or_else(|| recipient.error.clone());
    json!({
        "Address": recipient.address,
        "State": recipient.state,
        "SmtpResponseCode": reply.map(|reply| reply.code),
        "Message": words,
    })
}

/// It was not accepted.
fn refused(problem: &Problem) -> Value {
    let fields: Vec<Value> = problem.errors.iter().map(field).collect();
    json!({"Code": problem.code, "Message": problem.detail, "Fields": fields})
}

fn field(error: &FieldError) -> Value {
    json!({"Pointer": error.pointer, "Code": error.code, "Message": error.detail})
}
