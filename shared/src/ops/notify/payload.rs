//! Events in the words of other systems.

use serde_json::{Value, json};

use crate::model::webhook::Format;
use crate::model::{Event, EventType};
use crate::ops::emailengine::{self, without_nulls};
use crate::ops::jetquery;

/// The body of an event in a format; none: the format has no words for it, and its webhooks are not told.
pub fn payload(format: Format, event: &Event) -> Option<Value> {
    match format {
        Format::Standard => Some(event.body()),
        Format::EmailEngine => engine(event),
        Format::JetQuery => jet_query(event),
    }
}

/// Whether a format has words for a kind.
pub fn speaks(format: Format, kind: EventType) -> bool {
    match format {
        Format::Standard => true,
        Format::EmailEngine => emailengine::name_of(kind).is_some(),
        Format::JetQuery => completes(kind),
    }
}

fn engine(event: &Event) -> Option<Value> {
    let name = emailengine::name_of(event.kind)?;
    let mut body = json!({"account": event.account, "date": event.at, "event": name, "eventId": event.id});
    let path = event.of_message("folder").or_else(|| event.data.get("folder")?.get("name"));
    if let Some(path) = path {
        body["path"] = path.clone();
    }
    body["data"] = without_nulls(engine_data(event));
    Some(body)
}

fn engine_data(event: &Event) -> Value {
    let message = |name| event.of_message(name);
    let uid = event.key.as_deref().and_then(emailengine::uid_of);
    let of = |whole: &str, name: &str| event.data.get(whole).and_then(|whole| whole.get(name)).cloned();
    match event.kind {
        EventType::MessageReceived => new_message(event, uid),
        EventType::MessageUpdated => {
            let mut changes = event.data.get("changes").cloned().unwrap_or_default();
            if let Some(flags) = changes.get_mut("flags") {
                flags["value"] = json!(message("flags"));
            }
            json!({"id": message("id"), "uid": uid, "changes": changes})
        }
        EventType::MessageDeleted => json!({"id": message("id"), "uid": uid}),
        EventType::FolderReset => json!({
            "path": of("folder", "name"),
            "uidValidity": of("folder", "uidValidity"),
            "prevUidValidity": of("folder", "previousUidValidity"),
        }),
        EventType::AccountAuthFailed | EventType::AccountRecovered => {
            json!({"response": of("status", "lastError"), "serverResponseCode": of("status", "errorCode")})
        }
        EventType::MessageBounced => bounce(event),
        EventType::MessageComplained => complaint(event),
        _ => outcome(event),
    }
}

/// As lists show it, but for its preview: the rest is fetched by its id (A3.5/23).
fn new_message(event: &Event, uid: Option<u32>) -> Value {
    let Some(message) = event.message() else { return Value::Null };
    let mut shown = emailengine::described(&message, uid);
    if let Value::Object(fields) = &mut shown {
        fields.remove("preview");
    }
    shown
}

/// What EmailEngine tells of a message that came back.
fn bounce(event: &Event) -> Value {
    let bounce = event.data.get("bounce");
    let of = |name: &str| bounce.and_then(|bounce| bounce.get(name));
    json!({
        "bounceMessage": of("report"),
        "recipient": of("recipient"),
        "action": "failed",
        "response": {"source": "smtp", "message": of("text"), "status": of("code")},
        "messageId": event.of_message("messageId"),
        "queueId": event.of_message("id"),
    })
}

/// What it tells of a message that somebody calls spam.
fn complaint(event: &Event) -> Value {
    let bounce = event.data.get("bounce");
    let of = |name: &str| bounce.and_then(|bounce| bounce.get(name));
    let message_id = event.of_message("messageId");
    json!({
        "complaintMessage": of("report"),
        "arf": {"feedbackType": of("code"), "originalRcptTo": [of("recipient")], "arrivalDate": of("at")},
        "headers": {
            "messageId": message_id,
            "from": event.of_message("from").and_then(|from| from.get("address")),
            "to": [of("recipient")],
            "subject": event.of_message("subject"),
        },
        "messageId": message_id,
        "queueId": event.of_message("id"),
    })
}

/// And what of a message that was sent, or was not.
fn outcome(event: &Event) -> Value {
    let recipients = event.of_message("delivery").and_then(Value::as_array).cloned().unwrap_or_default();
    let addresses: Vec<_> = recipients.iter().map(|recipient| recipient.get("address")).collect();
    let from = event.of_message("from").and_then(|from| from.get("address"));
    // The reply that tells most: of somebody whose state is the message's own.
    let state = event.of_message("state");
    let telling = recipients.iter().find(|recipient| recipient.get("state") == state).or(recipients.first());
    let reply = telling.and_then(|recipient| recipient.get("smtp"));
    let words = reply.and_then(|reply| reply.get("text")).or_else(|| telling.and_then(|one| one.get("error")));
    let failed = event.kind != EventType::MessageSent;
    json!({
        "messageId": event.of_message("messageId"),
        "queueId": event.of_message("id"),
        "envelope": {"from": from, "to": addresses},
        "response": words,
        "error": words.filter(|_| failed),
        "smtpResponseCode": reply.and_then(|reply| reply.get("code")).filter(|_| failed),
    })
}

/// When jetQuery's `mail_onComplete` is called: a mail has come, or its sending has come to an end (A1.4/30).
fn completes(kind: EventType) -> bool {
    matches!(
        kind,
        EventType::MessageReceived | EventType::MessageSent | EventType::MessageFailed | EventType::MessageUnknown
    )
}

/// A mail as jetQuery's storage shows it (A1.4/21-23), without its texts: they are read by `mail_id`.
fn jet_query(event: &Event) -> Option<Value> {
    let message = event.message().filter(|_| completes(event.kind))?;
    let mail = jetquery::mail(&message);
    Some(json!({"event": "mail_onComplete", "account": event.account, "date": event.at, "mail": mail}))
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

    fn file(name: &str) -> Value {
        json!({"part": 2, "filename": name, "contentType": "application/pdf", "size": 29223, "disposition": "attachment",
               "fileId": "5283dce81041da715362134ba3dc7dfe00", "contentId": null, "safe": true})
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

    /// A3.5/23: the rest is fetched by the ids, which are those of the routes.
    #[test]
    fn a_3_5_23_a_new_message_carries_little_and_no_text() {
        let mut event = event(EventType::MessageReceived);
        event.data["message"]["attachments"] = json!([file("a.pdf")]);
        let body = payload(Format::EmailEngine, &event).unwrap();
        let id = body["data"]["id"].as_str().unwrap();
        assert_eq!(body["data"]["text"]["id"], id);
        assert_eq!(body["data"]["attachments"][0]["id"], format!("{id}-2"));
        assert_eq!((&body["data"]["path"], &body["eventId"]), (&json!("INBOX"), &json!(event.id)));
        assert_eq!((&body["event"], &body["data"]["unseen"]), (&json!("messageNew"), &json!(true)));
        assert!(body["data"].get("preview").is_none() && body["data"]["text"].get("plain").is_none());
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
        assert_eq!(bounce["data"]["response"]["status"], "5.1.1");
        let spam = payload(Format::EmailEngine, &event(EventType::MessageComplained)).unwrap();
        assert_eq!(
            spam["data"]["arf"],
            json!({"feedbackType": "abuse", "originalRcptTo": ["customer@example.org"], "arrivalDate": spam["date"]})
        );
        assert_eq!(spam["data"]["headers"]["messageId"], spam["data"]["messageId"]);
    }

    /// A1.4/30: what `mail_onComplete` is told of a mail, in the names of jetQuery's storage.
    #[test]
    fn a_1_4_30_a_complete_mail_in_jetquerys_words() {
        let mut event = event(EventType::MessageReceived);
        event.data["message"]["attachments"] = json!([file("a<b>.PDF"), file("b")]);
        let body = payload(Format::JetQuery, &event).unwrap();
        assert_eq!((&body["event"], &body["account"]), (&json!("mail_onComplete"), &json!("support")));
        assert_eq!(body["mail"]["mail_to"], "\"Support\" <support@example.com>");
        assert_eq!(
            body["mail"]["mail_attachments"],
            "<ArrayOfFile><file><name>a&lt;b&gt;.PDF</name><bytes>29223</bytes>\
             <hash>5283dce8-1041-da71-5362-134ba3dc7dfe</hash><extension>.pdf</extension></file>\
             <file><name>b</name><bytes>29223</bytes>\
             <hash>5283dce8-1041-da71-5362-134ba3dc7dfe</hash><extension></extension></file></ArrayOfFile>"
        );
        let mut event = self::event(EventType::MessageSent);
        let sent = |event: &Event| payload(Format::JetQuery, event).unwrap()["mail"].take();
        assert_eq!(sent(&event)["mail_state"], "sent");
        assert_eq!(sent(&event)["mail_attachments"], "<ArrayOfFile></ArrayOfFile>");
        event.data["message"]["hasAttachments"] = json!(true);
        assert_eq!(sent(&event)["mail_attachments"], Value::Null, "only the source knows them");
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
