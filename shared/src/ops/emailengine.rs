//! A stored message and what happens to it in EmailEngine's words: its routes show messages so, and its webhooks tell
//! of them so.

use serde_json::{Value, json};

use crate::model::send::Disposition;
use crate::model::{Address, Attachment, EventType, Message, MessageId};
use crate::store::MessageKey;

/// Events that EmailEngine knows and that never happen here. Whoever asks for them, too, is told of the others.
const SILENT: [&str; 13] = [
    "messageMissing",
    "mailboxNew",
    "mailboxDeleted",
    "connectError",
    "accountAdded",
    "accountInitialized",
    "accountDeleted",
    "trackOpen",
    "trackClick",
    "listUnsubscribe",
    "listSubscribe",
    "exportCompleted",
    "exportFailed",
];

/// EmailEngine's name of an event (A3.5/23). It has none for a risk, and what it calls a delivery error may pass.
pub fn name_of(kind: EventType) -> Option<&'static str> {
    Some(match kind {
        EventType::MessageReceived => "messageNew",
        EventType::MessageUpdated => "messageUpdated",
        EventType::MessageDeleted => "messageDeleted",
        EventType::MessageSent => "messageSent",
        EventType::MessageDelayed | EventType::MessageUnknown => "messageDeliveryError",
        EventType::MessageFailed => "messageFailed",
        EventType::MessageBounced => "messageBounce",
        EventType::MessageComplained => "messageComplaint",
        EventType::AccountAuthFailed => "authenticationError",
        EventType::AccountRecovered => "authenticationSuccess",
        EventType::FolderReset => "mailboxReset",
        EventType::RiskRaised => return None,
    })
}

/// The events of one of EmailEngine's names; none: it has no such name.
pub fn named(name: &str) -> Option<Vec<EventType>> {
    let kinds: Vec<EventType> = EventType::ALL.into_iter().filter(|kind| name_of(*kind) == Some(name)).collect();
    (!kinds.is_empty() || SILENT.contains(&name)).then_some(kinds)
}

/// The UID in the key of a pulled message, where that is one of IMAP.
pub fn uid_of(key: &str) -> Option<u32> {
    match MessageKey::imap(key) {
        Some(MessageKey::Imap { uid, .. }) => Some(uid),
        _ => None,
    }
}

/// A message as lists and webhooks show it. What it has not is left out, and what is not so is not said.
pub fn described(message: &Message, uid: Option<u32>) -> Value {
    let has = |flag: &str| message.flags.iter().any(|known| known.eq_ignore_ascii_case(flag));
    let mut shown = json!({
        "id": message.id,
        "uid": uid,
        "path": message.folder,
        "threadId": message.thread_id,
        "date": message.received_at,
        "flags": message.flags,
        "unseen": !has("\\Seen"),
        "flagged": has("\\Flagged"),
        "answered": has("\\Answered"),
        "draft": has("\\Draft"),
        "size": message.size,
        "subject": message.subject,
        "from": message.from.as_ref().map(person),
        "replyTo": people(&message.reply_to),
        "to": people(&message.to),
        "cc": people(&message.cc),
        "messageId": message.message_id,
        "inReplyTo": message.in_reply_to,
        "attachments": message.attachments.iter().map(|file| attached(&message.id, file)).collect::<Vec<_>>(),
        "text": {"id": message.id, "encodedSize": message.text_sizes.unwrap_or_default()},
        "preview": message.preview,
    });
    if let Value::Object(fields) = &mut shown {
        let said = |name: &str, value: &Value| match value {
            Value::Null => false,
            Value::Bool(is) => *is,
            Value::Array(list) => !list.is_empty() || name == "flags",
            _ => true,
        };
        fields.retain(|name, value| said(name, value));
    }
    shown
}

/// A name may be empty (A3.3/15).
fn person(address: &Address) -> Value {
    json!({"name": address.name.as_deref().unwrap_or_default(), "address": address.address})
}

fn people(addresses: &[Address]) -> Vec<Value> {
    addresses.iter().map(person).collect()
}

/// `encodedSize` is the size of the file: how long it was on its way is not kept.
fn attached(id: &MessageId, file: &Attachment) -> Value {
    let inline = file.disposition == Disposition::Inline;
    without_nulls(json!({
        "id": format!("{id}-{}", file.part),
        "contentType": file.content_type,
        "encodedSize": file.size,
        "embedded": inline && file.content_id.is_some(),
        "inline": inline,
        "contentId": file.content_id.as_ref().map(|id| format!("<{id}>")),
        "filename": file.filename,
    }))
}

/// What is not known is left out.
pub fn without_nulls(mut shown: Value) -> Value {
    if let Value::Object(fields) = &mut shown {
        fields.retain(|_, value| !value.is_null());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_events_and_unknown_ones_nowhere() {
        for kind in EventType::ALL {
            let Some(name) = name_of(kind) else { continue };
            assert!(named(name).unwrap().contains(&kind), "{name}");
        }
        assert_eq!(named("trackOpen"), Some(vec![]), "known, and never told");
        assert_eq!(named("messageRead"), None);
    }
}
