//! A pulled message as an item: bounded, and without what its keys say already. An item of up to 1 KB costs one write
//! unit, and most of them are.

use serde_json::{Map, Value};

use super::StoreError;
use crate::model::{AccountId, Address, Message, MessageId, Timestamp};

/// Most addresses, flags or attachments of one message that are kept; the source has them all.
const LISTED: usize = 200;
/// Longest subject, Message-ID and the like, in characters (RFC 5322 §2.1.1: a line).
const LINE_CHARS: usize = 998;
/// Longest name of a person, file or flag, in characters.
const NAME_CHARS: usize = 255;
/// Longest preview, in characters.
const PREVIEW_CHARS: usize = 200;
/// Largest message in an item, as JSON. DynamoDB would take 400 KB, but a list reads 50 of them for one page.
const ITEM_BYTES: usize = 30 << 10;

/// Fields that are left out where they are empty.
const LISTS: [&str; 5] = ["to", "cc", "replyTo", "flags", "attachments"];

/// The one place that bounds what a hostile message can put into an item.
pub(super) fn bounded(mut message: Message) -> Message {
    let Message { subject, message_id, in_reply_to, folder, email_id, .. } = &mut message;
    for text in [subject, message_id, in_reply_to, folder, email_id].into_iter().flatten() {
        cut(text, LINE_CHARS);
    }
    cut(&mut message.thread_id, LINE_CHARS);
    cut(&mut message.preview, PREVIEW_CHARS);
    message.from.iter_mut().for_each(cut_address);
    for list in [&mut message.to, &mut message.cc, &mut message.reply_to] {
        list.iter_mut().for_each(cut_address);
    }
    message.flags.iter_mut().for_each(|flag| cut(flag, NAME_CHARS));
    for attachment in &mut message.attachments {
        cut(&mut attachment.content_type, NAME_CHARS);
        for text in [&mut attachment.filename, &mut attachment.content_id].into_iter().flatten() {
            cut(text, NAME_CHARS);
        }
    }
    let mut most = LISTED;
    loop {
        for list in [&mut message.to, &mut message.cc, &mut message.reply_to] {
            list.truncate(most);
        }
        message.flags.truncate(most);
        message.attachments.truncate(most);
        message.report.iter_mut().for_each(|report| report.recipients.truncate(most));
        let size = serde_json::to_vec(&message).map_or(0, |json| json.len());
        if size <= ITEM_BYTES || most == 0 {
            return message;
        }
        most /= 2;
    }
}

/// What goes into the item beside its keys.
pub(super) fn packed(message: Message) -> Result<Value, serde_json::Error> {
    let mut value = serde_json::to_value(bounded(message))?;
    without_nulls(&mut value);
    if let Value::Object(fields) = &mut value {
        for said_by_keys in ["id", "account", "direction", "receivedAt"] {
            fields.remove(said_by_keys);
        }
        fields.retain(|_, value| !matches!(value, Value::Array(list) if list.is_empty()));
    }
    Ok(value)
}

/// The message of an item and its keys.
pub(super) fn unpacked(
    mut fields: Map<String, Value>,
    id: &MessageId,
    account: &AccountId,
    received_at: Timestamp,
) -> Result<Message, StoreError> {
    for list in LISTS {
        fields.entry(list).or_insert_with(|| Value::Array(Vec::new()));
    }
    fields.insert("id".into(), id.as_str().into());
    fields.insert("account".into(), account.as_str().into());
    fields.insert("receivedAt".into(), received_at.to_string().into());
    fields.insert("direction".into(), "incoming".into());
    serde_json::from_value(Value::Object(fields)).map_err(|_| StoreError::Corrupt { key: format!("message {id}") })
}

fn cut_address(address: &mut Address) {
    address.name.iter_mut().for_each(|name| cut(name, NAME_CHARS));
    cut(&mut address.address, NAME_CHARS);
}

/// At most this many characters.
pub(super) fn cut(text: &mut String, chars: usize) {
    if let Some((end, _)) = text.char_indices().nth(chars) {
        text.truncate(end);
    }
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(without_nulls),
        _ => {}
    }
}
