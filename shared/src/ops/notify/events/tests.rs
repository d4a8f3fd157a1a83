//! Every kind of event from images as the stream has them.

use aws_lambda_events::event::dynamodb::Event as StreamEvent;
use serde_json::{Value, json};

use super::*;
use crate::store::changes;

const MESSAGE: &str = "00112233445566778899aabbccddeeff";

/// The events of one record: plain JSON becomes attributes.
fn told(pk: &str, sk: &str, before: Value, after: Value) -> Vec<Event> {
    told_of(pk, sk, before, after, None, "100000000000000000007")
}

fn told_of(pk: &str, sk: &str, before: Value, after: Value, account: Option<&Account>, sequence: &str) -> Vec<Event> {
    let changed = changed(pk, sk, before, after, sequence);
    changed.map(|changed| of(&changed, account)).unwrap_or_default()
}

fn changed(pk: &str, sk: &str, before: Value, after: Value, sequence: &str) -> Option<Changed> {
    let image = |value: Value| {
        let mut item: serde_dynamo::Item =
            if value.is_null() { Default::default() } else { serde_dynamo::to_item(value).unwrap() };
        if !item.is_empty() {
            item.insert("pk".to_owned(), serde_dynamo::AttributeValue::S(pk.to_owned()));
            item.insert("sk".to_owned(), serde_dynamo::AttributeValue::S(sk.to_owned()));
        }
        item
    };
    let record = json!({
        "eventID": "1", "eventName": "MODIFY", "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_795_246_570,
            "Keys": {"pk": {"S": pk}, "sk": {"S": sk}},
            "OldImage": image(before), "NewImage": image(after),
            "SequenceNumber": sequence, "SizeBytes": 1,
        },
    });
    let mut event: StreamEvent = serde_json::from_value(json!({"Records": [record]})).unwrap();
    changes::read(event.records.remove(0)).unwrap()
}

fn incoming(flags: &[&str], folder: &str) -> Value {
    json!({
        "lpk": "T#acme#A#support", "lsk": format!("2026-11-21T07:36:10.000Z#{MESSAGE}"),
        "key": "I#7#42", "run": 1, "at": 1_795_246_570_000_i64,
        "m": {
            "folder": folder, "subject": "Hello", "size": 5, "flags": flags, "threadId": "t", "preview": "secret words",
            "hasAttachments": false, "state": "received", "from": {"address": "a@example.org"},
        },
    })
}

fn outgoing(state: &str, fence: u64, bounce: Option<Value>) -> Value {
    let recipient = json!({"address": "b@example.org", "state": "sent", "attempts": 1});
    let bounces: Vec<Value> = bounce.into_iter().collect();
    json!({
        "id": MESSAGE, "account": "support", "state": state, "fence": fence, "attempt": "x", "fingerprint": "f",
        "body": "item", "messageId": "<m@example.com>", "from": {"address": "support@example.com"},
        "recipients": [recipient], "bounces": bounces, "bounced": bounces.len(), "attempts": 1, "size": 9, "createdAt": "2026-11-21T07:36:10.000Z",
        "lpk": "T#acme#A#support", "lsk": format!("2026-11-21T07:36:10.000Z#{MESSAGE}"),
    })
}

fn of_row(before: Value, after: Value) -> Vec<Event> {
    told(&format!("T#acme#M#{MESSAGE}"), "M", before, after)
}

fn kinds(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(|event| event.kind.name()).collect()
}

#[test]
fn a_new_row_is_received_once_and_has_no_text_of_the_mail() {
    let events = of_row(Value::Null, incoming(&[], "INBOX"));
    assert_eq!(kinds(&events), ["message.received"]);
    let event = &events[0];
    assert_eq!((event.tenant.as_str(), event.account.as_str()), ("acme", "support"));
    assert_eq!(event.data["message"]["subject"], "Hello");
    assert!(!event.body().to_string().contains("secret words"));
    assert_eq!(event.key.as_deref(), Some("I#7#42"));
    assert!(event.id.starts_with("evt_") && event.id.len() == 36);
    // Read anew: the same event.
    let mut again = incoming(&[], "INBOX");
    again["told"] = json!(1);
    let repeated = of_row(incoming(&[], "INBOX"), again);
    assert_eq!((kinds(&repeated), &repeated[0].id), (vec!["message.received"], &event.id));
}

#[test]
fn changes_of_flags_and_folder_are_told_with_what_changed() {
    let events = of_row(incoming(&["\\Flagged"], "INBOX"), incoming(&["\\Seen"], "Archive"));
    assert_eq!(kinds(&events), ["message.updated"]);
    assert_eq!(
        events[0].data["changes"],
        json!({
            "flags": {"added": ["\\Seen"], "removed": ["\\Flagged"]}, "folder": "Archive", "previousFolder": "INBOX",
        })
    );
    assert!(of_row(incoming(&["\\Seen"], "INBOX"), incoming(&["\\seen"], "INBOX")).is_empty(), "flags have no case");
    let pk = format!("T#acme#M#{MESSAGE}");
    let id = |sequence| {
        told_of(&pk, "M", incoming(&[], "INBOX"), incoming(&["\\Seen"], "INBOX"), None, sequence)[0].id.clone()
    };
    assert!(id("1") == id("1") && id("1") != id("2"), "each change is an event of its own");
}

#[test]
fn what_is_removed_or_marked_is_deleted_once() {
    let mut marked = incoming(&[], "INBOX");
    marked["m"]["deletedAt"] = json!("2026-11-21T07:40:00.000Z");
    assert_eq!(kinds(&of_row(incoming(&[], "INBOX"), marked.clone())), ["message.deleted"]);
    assert_eq!(kinds(&of_row(incoming(&[], "INBOX"), Value::Null)), ["message.deleted"]);
    let restored = of_row(marked.clone(), incoming(&[], "Archive"));
    assert_eq!(kinds(&restored), ["message.updated"]);
    let changes = json!({"restored": true, "folder": "Archive", "previousFolder": "INBOX"});
    assert_eq!(restored[0].data["changes"], changes);
    assert!(of_row(marked, Value::Null).is_empty());
    let alias = json!({"alias": "ffeeddccbbaa99887766554433221100", "run": 1, "at": 1});
    assert!(of_row(Value::Null, alias.clone()).is_empty() && of_row(alias, Value::Null).is_empty());
}

#[test]
fn the_ways_of_an_outgoing_message() {
    for (before, after, expected) in [
        (None, "queued", &[][..]),
        (Some("queued"), "sending", &[]),
        (Some("sending"), "sent", &["message.sent"]),
        (Some("sending"), "partial", &["message.sent", "message.failed"]),
        (Some("sending"), "deferred", &["message.delayed"]),
        (Some("sending"), "failed", &["message.failed"]),
        (Some("sending"), "unknown", &["message.unknown"]),
        (Some("unknown"), "sent", &["message.sent"]),
        (Some("queued"), "canceled", &[]),
        (Some("sent"), "sent", &[]),
    ] {
        let before = before.map_or(Value::Null, |before| outgoing(before, 1, None));
        assert_eq!(kinds(&of_row(before, outgoing(after, 1, None))), expected, "{after}");
    }
    let delayed = |fence| of_row(outgoing("sending", fence, None), outgoing("deferred", fence, None))[0].id.clone();
    assert!(delayed(1) == delayed(1) && delayed(1) != delayed(2), "each attempt is an event of its own");
    let sent = of_row(outgoing("sending", 1, None), outgoing("sent", 1, None));
    assert_eq!(sent[0].data["message"]["delivery"][0]["address"], "b@example.org");
}

#[test]
fn what_comes_back_is_told_of_its_recipient() {
    let found = |kind: &str, report: &str| {
        let at = "2026-11-21T08:00:00.000Z";
        let report = report.repeat(16);
        Some(
            json!({"address": "b@example.org", "kind": kind, "code": "5.1.1", "text": "no such user", "at": at, "report": report}),
        )
    };
    for (kind, expected) in
        [("hard", "message.bounced"), ("soft", "message.bounced"), ("complaint", "message.complained")]
    {
        let events = of_row(outgoing("sent", 1, None), outgoing("sent", 1, found(kind, "a1")));
        assert_eq!(kinds(&events), [expected]);
        let bounce = &events[0].data["bounce"];
        assert_eq!((&bounce["recipient"], &bounce["kind"]), (&json!("b@example.org"), &json!(kind)));
    }
    let same = of_row(outgoing("sent", 1, found("hard", "a1")), outgoing("sent", 1, found("hard", "a1")));
    assert!(same.is_empty());
    assert_eq!(of_row(outgoing("sent", 1, found("soft", "a1")), outgoing("sent", 1, found("hard", "a2"))).len(), 1);
}

#[test]
fn wrong_credentials_and_their_end() {
    let at = "2026-11-21T07:36:10.000Z";
    let well = json!({"state": "ok", "errorCode": "OK"});
    let refused = json!({
        "state": "authFailed", "errorCode": "INVALID_CREDENTIALS", "lastError": "535 no", "suspendedAt": at,
        "smtp": {"refusals": 5},
    });
    let status = |before: &Value, after: &Value| told("T#acme#S", "support", before.clone(), after.clone());
    let failed = status(&well, &refused);
    assert_eq!(kinds(&failed), ["account.authFailed"]);
    assert_eq!(failed[0].data["status"]["authFailures"], 5);
    assert_eq!(kinds(&status(&refused, &well)), ["account.recovered"]);
    assert_eq!(kinds(&status(&Value::Null, &refused)), ["account.authFailed"]);
    assert!(status(&refused, &refused).is_empty() && status(&well, &Value::Null).is_empty());
    assert!(status(&refused, &Value::Null).is_empty(), "a removed account has not recovered");
}

#[test]
fn a_folder_that_is_numbered_anew() {
    let ledger = |uidvalidity: u32| {
        json!({
            "source": "s1", "version": 1, "run": 1, "folder": "INBOX",
            "position": {"kind": "imap", "uidvalidity": uidvalidity, "uidnext": 2, "messages": 1, "last": 1, "safe": 0},
        })
    };
    let pk = "T#acme#A#support";
    let events = told(pk, "L#s1", ledger(1), ledger(2));
    assert_eq!(kinds(&events), ["folder.reset"]);
    assert_eq!(events[0].data["folder"], json!({"name": "INBOX", "uidValidity": 2, "previousUidValidity": 1}));
    assert!(told(pk, "L#s1", ledger(1), ledger(1)).is_empty() && told(pk, "L#s1", Value::Null, ledger(1)).is_empty());
    assert!(told(pk, "LEASE", Value::Null, json!({"owner": "x"})).is_empty());
}

#[test]
fn a_certificate_that_ends_soon_is_told_once() {
    let account: Account = serde_json::from_value(json!({
        "account": "support", "name": null, "from": {"address": "support@example.com"}, "identities": [],
        "smtp": {"host": "smtp.example.com", "port": 587, "security": "starttls", "verifyCertificate": true,
                 "auth": {"type": "password", "username": "u", "hasPassword": true}},
        "receive": null, "poll": {"enabled": false, "minSeconds": 60, "maxSeconds": 900}, "sentCopy": "auto",
        "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-01T00:00:00.000Z",
    }))
    .unwrap();
    let status = |end: &str, used: &str| {
        json!({
            "state": "ok", "errorCode": "OK", "lastSendAt": used,
            "smtpTls": {"host": "smtp.example.com", "version": "TLSv1.3", "notAfter": end},
        })
    };
    let risks = |before: Value, after: Value| told_of("T#acme#S", "support", before, after, Some(&account), "1");
    let (soon, late) = ("2026-12-01T00:00:00.000Z", "2027-12-01T00:00:00.000Z");
    let (long_ago, now) = ("2026-06-01T00:00:00.000Z", "2026-11-21T07:00:00.000Z");
    let raised = risks(status(late, now), status(soon, now));
    assert_eq!(kinds(&raised), ["risk.raised"]);
    assert_eq!(raised[0].data["risk"]["code"], "certificate_expiring");
    assert_eq!(kinds(&risks(Value::Null, status(soon, now))), ["risk.raised"]);
    assert_eq!(risks(status(soon, long_ago), status(soon, now))[0].id, raised[0].id, "it came nearer by itself");
    assert!(risks(status(soon, now), status(soon, now)).is_empty());
    assert!(risks(status(soon, now), status(late, now)).is_empty());
}

#[test]
fn an_example_of_each_kind_has_its_shape() {
    let now = Timestamp(1_795_246_570_000);
    for kind in EventType::ALL {
        let event = example(kind, &Tenant::new("acme").unwrap(), AccountId::new("support").unwrap(), now);
        assert_eq!(event.kind, kind);
        assert!(!event.data.is_empty());
        if let Some(message) = event.data.get("message") {
            let read: Message = serde_json::from_value(message.clone()).unwrap();
            assert_eq!(json!(read), *message, "{kind:?}");
        }
    }
}
