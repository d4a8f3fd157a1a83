//! Events in the words of other systems.

use serde_json::{Map, Value, json};

use crate::model::webhook::Format;
use crate::model::{Event, EventType};
use crate::ops::files::uuid_of;
use crate::store::MessageKey;

/// The body of an event in a format; none: the format has no words for it, and its webhooks are not told.
pub fn payload(format: Format, event: &Event) -> Option<Value> {
    match format {
        Format::Standard => Some(event.body()),
        Format::EmailEngine => emailengine(event),
        Format::JetQuery => jetquery(event),
    }
}

/// Whether a format has words for a kind.
pub fn speaks(format: Format, kind: EventType) -> bool {
    match format {
        Format::Standard => true,
        Format::EmailEngine => engine_name(kind).is_some(),
        Format::JetQuery => completes(kind),
    }
}

/// EmailEngine's names (A3.5/23). It has none for a risk, and what it calls a delivery error is one that may pass.
fn engine_name(kind: EventType) -> Option<&'static str> {
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

fn emailengine(event: &Event) -> Option<Value> {
    let mut body = json!({"account": event.account, "date": event.at, "event": engine_name(event.kind)?});
    let path = event.of_message("folder").or_else(|| event.data.get("folder")?.get("name"));
    if let Some(path) = path {
        body["path"] = path.clone();
    }
    body["data"] = Value::Object(engine_data(event));
    Some(body)
}

fn engine_data(event: &Event) -> Map<String, Value> {
    let mut data = Map::new();
    let mut copy = |name: &str, from: Option<&Value>| {
        if let Some(value) = from.filter(|value| !value.is_null()) {
            data.insert(name.to_owned(), value.clone());
        }
    };
    let message = |name| event.of_message(name);
    let uid = event.key.as_deref().and_then(MessageKey::imap).and_then(|key| match key {
        MessageKey::Imap { uid, .. } => Some(json!(uid)),
        _ => None,
    });
    match event.kind {
        EventType::MessageReceived => {
            copy("id", message("id"));
            copy("uid", uid.as_ref());
            for name in ["threadId", "date", "flags", "size", "subject", "from", "to", "cc", "replyTo", "messageId"] {
                copy(name, message(name));
            }
            copy("inReplyTo", message("inReplyTo"));
            let seen = message("flags").and_then(Value::as_array);
            let unseen = !seen.is_some_and(|flags| flags.iter().any(|flag| flag == "\\Seen"));
            copy("unseen", Some(&json!(unseen)));
            copy("attachments", Some(&engine_attachments(event)));
        }
        EventType::MessageUpdated => {
            copy("id", message("id"));
            copy("uid", uid.as_ref());
            let mut changes = event.data.get("changes").cloned().unwrap_or_default();
            if let Some(flags) = changes.get_mut("flags") {
                flags["value"] = message("flags").cloned().unwrap_or_default();
            }
            copy("changes", Some(&changes));
        }
        EventType::MessageDeleted => {
            copy("id", message("id"));
            copy("uid", uid.as_ref());
        }
        EventType::FolderReset => {
            let folder = event.data.get("folder");
            copy("path", folder.and_then(|folder| folder.get("name")));
            copy("uidValidity", folder.and_then(|folder| folder.get("uidValidity")));
            copy("prevUidValidity", folder.and_then(|folder| folder.get("previousUidValidity")));
        }
        EventType::AccountAuthFailed | EventType::AccountRecovered => {
            let status = event.data.get("status");
            copy("response", status.and_then(|status| status.get("lastError")));
            copy("serverResponseCode", status.and_then(|status| status.get("errorCode")));
        }
        _ => return engine_outgoing(event),
    }
    data
}

/// What EmailEngine tells of a message that was sent, or was not.
fn engine_outgoing(event: &Event) -> Map<String, Value> {
    let text = |value: Option<&Value>| value.cloned().unwrap_or_default();
    let recipients = event.of_message("delivery").and_then(Value::as_array).cloned().unwrap_or_default();
    let addresses: Vec<Value> = recipients.iter().map(|recipient| text(recipient.get("address"))).collect();
    let from = event.of_message("from").and_then(|from| from.get("address"));
    let mut data = Map::new();
    data.insert("messageId".to_owned(), text(event.of_message("messageId")));
    data.insert("queueId".to_owned(), text(event.of_message("id")));
    data.insert("envelope".to_owned(), json!({"from": from, "to": addresses}));
    if let Some(bounce) = event.data.get("bounce") {
        data.insert("bounceMessage".to_owned(), text(bounce.get("report")));
        data.insert("recipient".to_owned(), text(bounce.get("recipient")));
        data.insert("action".to_owned(), json!("failed"));
        data.insert("response".to_owned(), json!({"message": bounce.get("text"), "status": bounce.get("code")}));
        return data;
    }
    // The reply that tells most: of somebody whose state is the message's own.
    let state = event.of_message("state");
    let telling = recipients.iter().find(|recipient| recipient.get("state") == state).or(recipients.first());
    let reply = telling.and_then(|recipient| recipient.get("smtp"));
    let words = reply.and_then(|reply| reply.get("text")).or_else(|| telling.and_then(|one| one.get("error")));
    data.insert("response".to_owned(), text(words));
    if event.kind != EventType::MessageSent {
        data.insert("error".to_owned(), text(words));
        data.insert("smtpResponseCode".to_owned(), text(reply.and_then(|reply| reply.get("code"))));
    }
    data
}

fn engine_attachments(event: &Event) -> Value {
    let list = event.of_message("attachments").and_then(Value::as_array).cloned().unwrap_or_default();
    let shown = list.iter().map(|attachment| {
        json!({
            "id": attachment["part"].to_string(),
            "contentType": attachment["contentType"],
            "encodedSize": attachment["size"],
            "filename": attachment["filename"],
            "embedded": !attachment["contentId"].is_null(),
            "inline": attachment["disposition"] == "inline",
        })
    });
    shown.collect()
}

/// When jetQuery's `mail_onComplete` is called: a mail has come, or its sending has come to an end (A1.4/30).
fn completes(kind: EventType) -> bool {
    matches!(
        kind,
        EventType::MessageReceived | EventType::MessageSent | EventType::MessageFailed | EventType::MessageUnknown
    )
}

/// A mail in the names of jetQuery's storage (A1.4/21-23), without its texts: they are read by `mail_id`.
fn jetquery(event: &Event) -> Option<Value> {
    if !completes(event.kind) {
        return None;
    }
    let message = |name| event.of_message(name).cloned().unwrap_or_default();
    let addresses = |name| {
        let list = event.of_message(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let bare: Vec<&str> = list.iter().filter_map(|one| one["address"].as_str()).collect();
        bare.join(",")
    };
    let from = event.of_message("from");
    let correlation = event.of_message("correlation");
    Some(json!({
        "event": "mail_onComplete",
        "account": event.account,
        "date": event.at,
        "mail": {
            "mail_id": message("id"),
            "mail_account": event.account,
            "mail_direction": message("direction"),
            "mail_state": message("state"),
            "mail_from": from.and_then(|from| from.get("address")),
            "mail_from_name": from.and_then(|from| from.get("name")),
            "mail_to": addresses("to"),
            "mail_cc": addresses("cc"),
            "mail_subject": message("subject"),
            "mail_date": message("date"),
            "mail_message_id": message("messageId"),
            "mail_attachments": array_of_file(event),
            "mail_remote_source": correlation.and_then(|correlation| correlation.get("source")),
            "mail_remote_id": correlation.and_then(|correlation| correlation.get("id")),
        },
    }))
}

/// jetQuery's list of attachments (A1.4/22, A1.4/23).
fn array_of_file(event: &Event) -> String {
    let list = event.of_message("attachments").and_then(Value::as_array).cloned().unwrap_or_default();
    let file = |attachment: &Value| {
        let name = attachment["filename"].as_str().unwrap_or_default();
        let extension = name.rsplit_once('.').map(|(_, ending)| format!(".{ending}"));
        let extension = extension.filter(|extension| extension.chars().count() <= 10).unwrap_or_default();
        let hash = attachment["fileId"].as_str().map(uuid_of).unwrap_or_default();
        let bytes = attachment["size"].as_u64().unwrap_or_default();
        format!(
            "<file><name>{}</name><bytes>{bytes}</bytes><hash>{hash}</hash><extension>{}</extension></file>",
            escaped(name),
            escaped(&extension)
        )
    };
    format!("<ArrayOfFile>{}</ArrayOfFile>", list.iter().map(file).collect::<String>())
}

/// XML 1.0 §2.2 and §2.4: what stands for markup is escaped, what no document may hold is left out.
fn escaped(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')).collect();
    quick_xml::escape::escape(clean.as_str()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AccountId, Tenant, Timestamp};
    use crate::ops::notify::events::example;

    fn event(kind: EventType) -> Event {
        let now = Timestamp::parse("2026-11-21T07:36:10Z").unwrap();
        example(kind, &Tenant::new("acme").unwrap(), AccountId::new("support").unwrap(), now)
    }

    /// A3.5/23: account, path, event, data with id, uid and the flags that changed.
    #[test]
    fn a_3_5_23_an_update_in_emailengines_words() {
        let body = payload(Format::EmailEngine, &event(EventType::MessageUpdated)).unwrap();
        assert_eq!(
            (&body["account"], &body["path"], &body["event"]),
            (&json!("support"), &json!("INBOX"), &json!("messageUpdated"))
        );
        assert_eq!(body["data"]["uid"], 1);
        assert_eq!(body["data"]["id"].as_str().map(str::len), Some(32));
        assert_eq!(body["data"]["changes"]["flags"], json!({"added": ["\\Seen"], "removed": [], "value": ["\\Seen"]}));
        assert_eq!(body["date"], "2026-11-21T07:36:10.000Z");
    }

    /// A3.5/23: the rest is fetched by the id.
    #[test]
    fn a_3_5_23_a_new_message_carries_little_and_no_text() {
        let body = payload(Format::EmailEngine, &event(EventType::MessageReceived)).unwrap();
        assert_eq!((&body["event"], &body["data"]["unseen"]), (&json!("messageNew"), &json!(true)));
        assert!(body["data"].get("text").is_none() && body["data"].get("preview").is_none());
    }

    #[test]
    fn emailengine_hears_of_everything_but_risks() {
        for kind in EventType::ALL {
            let body = payload(Format::EmailEngine, &event(kind));
            assert_eq!(body.is_some(), speaks(Format::EmailEngine, kind));
            assert_eq!(body.is_none(), kind == EventType::RiskRaised, "{kind:?}");
        }
        let failed = payload(Format::EmailEngine, &event(EventType::MessageFailed)).unwrap();
        assert_eq!(
            (&failed["data"]["error"], &failed["data"]["smtpResponseCode"]),
            (&json!("no such user"), &json!(550))
        );
        let bounce = payload(Format::EmailEngine, &event(EventType::MessageBounced)).unwrap();
        assert_eq!(bounce["data"]["recipient"], "customer@example.org");
    }

    /// A1.4/30: what `mail_onComplete` is told of a mail, in the names of jetQuery's storage.
    #[test]
    fn a_1_4_30_a_complete_mail_in_jetquerys_words() {
        let mut event = event(EventType::MessageReceived);
        let file = json!({"filename": "a<b>.pdf", "size": 29223, "fileId": "5283dce81041da715362134ba3dc7dfe00"});
        event.data["message"]["attachments"] = json!([file]);
        let body = payload(Format::JetQuery, &event).unwrap();
        assert_eq!(body["event"], "mail_onComplete");
        assert_eq!(body["mail"]["mail_to"], "support@example.com");
        assert_eq!(
            body["mail"]["mail_attachments"],
            "<ArrayOfFile><file><name>a&lt;b&gt;.pdf</name><bytes>29223</bytes>\
             <hash>5283dce8-1041-da71-5362-134ba3dc7dfe</hash><extension>.pdf</extension></file></ArrayOfFile>"
        );
        assert!(payload(Format::JetQuery, &self::event(EventType::MessageUpdated)).is_none());
    }

    #[test]
    fn the_native_body_is_type_time_and_data() {
        for kind in EventType::ALL {
            let body = payload(Format::Standard, &event(kind)).unwrap();
            assert_eq!((&body["type"], &body["timestamp"]), (&json!(kind.name()), &json!("2026-11-21T07:36:10.000Z")));
            assert_eq!((&body["data"]["tenant"], &body["data"]["account"]), (&json!("acme"), &json!("support")));
        }
    }
}
