//! Rows that changed as events: a pure function, so that the same change is always the same events with the same ids.
//!
//! | change | event | what its id follows from, beside tenant and row |
//! |---|---|---|
//! | pulled message inserted, or `told` counted up | `message.received` | nothing |
//! | its flags or folder changed, or it is there again after it was deleted | `message.updated` | the change |
//! | row removed, or marked as deleted | `message.deleted` | the change |
//! | outgoing: sent, partial | `message.sent` | the state and the claim |
//! | outgoing: deferred | `message.delayed` | the claim |
//! | outgoing: failed, partial | `message.failed` | the state and the claim |
//! | outgoing: unknown | `message.unknown` | the claim |
//! | a recipient's `bounce` appeared or changed | `message.bounced`, `message.complained` | recipient and report |
//! | `suspendedAt` of a status set, removed | `account.authFailed`, `account.recovered` | that time |
//! | UIDVALIDITY of a ledger | `folder.reset` | the new one |
//! | a status that makes for a new risk | `risk.raised` | side, kind and end |

use serde_json::{Map, Value, json};

use crate::model::message::thread_of;
use crate::model::report::BounceKind;
use crate::model::risk::{Risk, RiskCode, Severity};
use crate::model::{Account, AccountId, Event, EventType, Message, MessageId, SendState, Tenant, Timestamp};
use crate::ops::emailengine::without_nulls;
use crate::ops::risks;
use crate::store::changes::{Change, Changed, SeenMessage};
use crate::store::{AccountStatus, Bounced, Incoming, Ledger, OutgoingRow, Position, StoredMessage};

#[cfg(test)]
mod tests;

/// The account whose settings are needed to tell what a change means.
pub fn account_needed(changed: &Changed) -> Option<&AccountId> {
    match &changed.change {
        Change::Message { .. } => None,
        Change::Status { account, after: Some(after), .. } => {
            let seen = [&after.smtp_tls, &after.receive_tls].map(|seen| seen.as_ref().and_then(|seen| seen.not_after));
            let ends = seen.into_iter().chain([after.refresh_token_expires_at]).flatten();
            let near = changed.at.plus_seconds(risks::EXPIRING_SECONDS);
            ends.into_iter().any(|end| end < near).then_some(account)
        }
        Change::Status { after: None, .. } | Change::Ledger { .. } => None,
    }
}

/// The events of a change. `account`: its settings, where [`account_needed`] asked for them.
pub fn of(changed: &Changed, account: Option<&Account>) -> Vec<Event> {
    match &changed.change {
        Change::Message { before, after } => of_message(changed, before.as_deref(), after.as_deref()),
        Change::Status { account: name, before, after: Some(after) } => {
            let mut events = of_credentials(changed, name, before.as_deref(), after);
            events.extend(account.into_iter().flat_map(|account| of_risks(changed, account, before.as_deref(), after)));
            events
        }
        Change::Status { after: None, .. } => Vec::new(),
        Change::Ledger { account, before, after } => {
            let event = reset(before.as_deref(), after.as_deref()).zip(after.as_deref());
            event.map(|(numbers, ledger)| of_reset(changed, account, ledger, numbers)).into_iter().collect()
        }
    }
}

/// What an event is made of beside the change.
struct Told<'a> {
    kind: EventType,
    account: &'a AccountId,
    key: Option<&'a str>,
    id: Vec<&'a str>,
    data: Vec<(&'static str, Value)>,
}

impl Changed {
    fn tell(&self, told: Told<'_>) -> Event {
        let parts = [&[self.tenant.as_str(), told.kind.name()], &told.id[..]].concat();
        let data: Map<String, Value> = told.data.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Event {
            id: Event::id_of(&parts),
            kind: told.kind,
            at: self.at,
            tenant: self.tenant.clone(),
            account: told.account.clone(),
            key: told.key.map(str::to_owned),
            data,
        }
    }
}

fn of_message(changed: &Changed, before: Option<&SeenMessage>, after: Option<&SeenMessage>) -> Vec<Event> {
    let living = |seen: Option<&SeenMessage>| seen.is_some_and(|seen| !seen.row.is_gone());
    let kind = EventType::MessageDeleted;
    match (before, after) {
        (Some(gone), _) if living(before) && !living(after) => {
            vec![about(changed, kind, &gone.row, &[&changed.sequence], Vec::new())]
        }
        (_, Some(now)) if living(after) => match &now.row {
            StoredMessage::Incoming(row) => of_incoming(changed, before, now, row).into_iter().collect(),
            StoredMessage::Outgoing(row) => of_outgoing(changed, before, now, row),
        },
        _ => Vec::new(),
    }
}

fn of_incoming(changed: &Changed, before: Option<&SeenMessage>, now: &SeenMessage, row: &Incoming) -> Option<Event> {
    let Some((then, old)) = before.and_then(|before| Some((before, before.incoming()?))) else {
        return Some(about(changed, EventType::MessageReceived, &now.row, &[], Vec::new()));
    };
    if now.told > then.told {
        return Some(about(changed, EventType::MessageReceived, &now.row, &[], Vec::new()));
    }
    let changes = changes(&old.message, &row.message)?;
    Some(about(changed, EventType::MessageUpdated, &now.row, &[&changed.sequence], vec![("changes", changes)]))
}

/// What of a message can change at its server.
fn changes(before: &Message, after: &Message) -> Option<Value> {
    let lacks = |flags: &[String], flag: &String| !flags.iter().any(|known| known.eq_ignore_ascii_case(flag));
    let only_in = |some: &[String], others: &[String]| -> Vec<String> {
        some.iter().filter(|flag| lacks(others, flag)).cloned().collect()
    };
    let added = only_in(&after.flags, &before.flags);
    let removed = only_in(&before.flags, &after.flags);
    let mut changes = Map::new();
    if !added.is_empty() || !removed.is_empty() {
        changes.insert("flags".to_owned(), json!({"added": added, "removed": removed}));
    }
    // Told as received, it would have the id of an event that was told before: nobody would look at it.
    if before.deleted_at.is_some() {
        changes.insert("restored".to_owned(), json!(true));
    }
    if before.folder != after.folder {
        changes.insert("folder".to_owned(), json!(after.folder));
        changes.insert("previousFolder".to_owned(), json!(before.folder));
    }
    (!changes.is_empty()).then_some(Value::Object(changes))
}

fn of_outgoing(changed: &Changed, before: Option<&SeenMessage>, now: &SeenMessage, row: &OutgoingRow) -> Vec<Event> {
    let before = before.and_then(|before| match &before.row {
        StoredMessage::Outgoing(row) => Some(row),
        StoredMessage::Incoming(_) => None,
    });
    let mut events = Vec::new();
    if before.map(|before| before.state) != Some(row.state) {
        let claim = row.fence.to_string();
        let version = [claim.as_str(), state_word(row.state)];
        events.extend(outcome(row.state).iter().map(|kind| about(changed, *kind, &now.row, &version, Vec::new())));
    }
    let known = before.map(|before| before.bounces.as_slice()).unwrap_or_default();
    let fresh = row.bounces.iter().filter(|bounced| !known.contains(bounced));
    events.extend(fresh.map(|bounced| of_bounce(changed, now, bounced)));
    events
}

fn outcome(state: SendState) -> &'static [EventType] {
    match state {
        SendState::Sent => &[EventType::MessageSent],
        SendState::Partial => &[EventType::MessageSent, EventType::MessageFailed],
        SendState::Deferred => &[EventType::MessageDelayed],
        SendState::Failed => &[EventType::MessageFailed],
        SendState::Unknown => &[EventType::MessageUnknown],
        SendState::Queued | SendState::Sending | SendState::Canceled => &[],
    }
}

/// Ids must not change with names in JSON: so these are of their own.
fn state_word(state: SendState) -> &'static str {
    match state {
        SendState::Sent => "sent",
        SendState::Partial => "partial",
        SendState::Deferred => "deferred",
        SendState::Failed => "failed",
        SendState::Unknown => "unknown",
        SendState::Queued | SendState::Sending | SendState::Canceled => "",
    }
}

fn of_bounce(changed: &Changed, now: &SeenMessage, bounced: &Bounced) -> Event {
    let kind = match bounced.bounce.kind {
        BounceKind::Complaint => EventType::MessageComplained,
        BounceKind::Soft | BounceKind::Hard => EventType::MessageBounced,
    };
    let mut told = Map::from_iter([("recipient".to_owned(), json!(bounced.address))]);
    if let Value::Object(found) = json!(bounced.bounce) {
        told.extend(found);
    }
    let version = [bounced.address.as_str(), bounced.bounce.report.as_str()];
    about(changed, kind, &now.row, &version, vec![("bounce", Value::Object(told))])
}

/// An event about a message, which is shown as lists show it but for its preview: that is text of the mail.
fn about(
    changed: &Changed,
    kind: EventType,
    row: &StoredMessage,
    version: &[&str],
    more: Vec<(&'static str, Value)>,
) -> Event {
    let message = Message { preview: String::new(), ..row.message() };
    let key = match row {
        StoredMessage::Incoming(row) => Some(row.key.as_str()),
        StoredMessage::Outgoing(_) => None,
    };
    let shown = [("message", json!(message))];
    changed.tell(Told {
        kind,
        account: &message.account,
        key,
        id: [&[message.id.as_str()], version].concat(),
        data: shown.into_iter().chain(more).collect(),
    })
}

fn of_credentials(
    changed: &Changed,
    account: &AccountId,
    before: Option<&AccountStatus>,
    after: &AccountStatus,
) -> Vec<Event> {
    let (kind, since) = match (before.and_then(|before| before.suspended_at), after.suspended_at) {
        (then, Some(now)) if then != Some(now) => (EventType::AccountAuthFailed, now),
        (Some(then), None) => (EventType::AccountRecovered, then),
        _ => return Vec::new(),
    };
    let status = json!({
        "state": after.state,
        "errorCode": after.error_code,
        "authFailures": after.auth_failures(),
        "lastError": after.last_error,
        "since": since,
    });
    let (id, data) = (since.to_string(), vec![("status", status)]);
    vec![changed.tell(Told { kind, account, key: None, id: vec![account.as_str(), &id], data })]
}

/// Risks that were not there when the account was used before. What a refused sign-in means is an event of its own, and
/// what is merely good to know is none.
fn of_risks(changed: &Changed, account: &Account, before: Option<&AccountStatus>, after: &AccountStatus) -> Vec<Event> {
    let worth = |risk: &Risk| risk.severity > Severity::Info && risk.code != RiskCode::SignInFailing;
    let same = |one: &Risk, other: &Risk| (one.side, one.code, one.at) == (other.side, other.code, other.at);
    let used = before.and_then(|before| before.last_pull_at.max(before.last_send_at)).unwrap_or(changed.at);
    let known = before.map(|before| risks::of(account, before, used.min(changed.at))).unwrap_or_default();
    let raised = risks::of(account, after, changed.at).into_iter();
    raised
        .filter(|risk| worth(risk) && is_noticed(risk.code) && !known.iter().any(|known| same(known, risk)))
        .map(|risk| {
            let end = risk.at.map(|at| at.to_string()).unwrap_or_default();
            let code = json!(risk.code).as_str().unwrap_or_default().to_owned();
            let id = vec![account.account.as_str(), risk.side, &code, &end];
            let data = vec![("risk", json!(risk))];
            changed.tell(Told { kind: EventType::RiskRaised, account: &account.account, key: None, id, data })
        })
        .collect()
}

/// What is noticed in use. Everything else stands in the settings, and was told to whoever wrote them.
fn is_noticed(code: RiskCode) -> bool {
    matches!(code, RiskCode::CertificateExpiring | RiskCode::RefreshTokenExpiring)
}

/// UIDVALIDITY before and after, where they differ.
fn reset(before: Option<&Ledger>, after: Option<&Ledger>) -> Option<(u32, u32)> {
    let number = |ledger: &Ledger| match ledger.position {
        Position::Imap { uidvalidity, .. } => Some(uidvalidity),
        Position::New | Position::Pop3 { .. } => None,
    };
    let numbers = (number(before?)?, number(after?)?);
    (numbers.0 != numbers.1).then_some(numbers)
}

fn of_reset(changed: &Changed, account: &AccountId, ledger: &Ledger, (before, after): (u32, u32)) -> Event {
    let number = after.to_string();
    let told = json!({"name": ledger.folder, "uidValidity": after, "previousUidValidity": before});
    let id = vec![account.as_str(), ledger.source.as_str(), &number];
    changed.tell(Told { kind: EventType::FolderReset, account, key: None, id, data: vec![("folder", told)] })
}

/// An event of a kind as an example.
pub fn example(kind: EventType, tenant: &Tenant, account: AccountId, now: Timestamp) -> Event {
    let outgoing = matches!(
        kind,
        EventType::MessageSent
            | EventType::MessageDelayed
            | EventType::MessageFailed
            | EventType::MessageUnknown
            | EventType::MessageBounced
            | EventType::MessageComplained
    );
    let message = ("message", example_message(kind, outgoing, &account, now));
    let bounce = |kind: &str, code: &str, text: Option<&str>| {
        let report = MessageId::derived(&["report"]);
        let found = json!({"recipient": "customer@example.org", "kind": kind, "code": code, "text": text, "at": now, "report": report});
        vec![message.clone(), ("bounce", without_nulls(found))]
    };
    let data = match kind {
        EventType::MessageUpdated => {
            vec![message, ("changes", json!({"flags": {"added": ["\\Seen"], "removed": []}}))]
        }
        EventType::MessageBounced => bounce("hard", "5.1.1", Some("550 no such user")),
        EventType::MessageComplained => bounce("complaint", "abuse", None),
        EventType::AccountAuthFailed | EventType::AccountRecovered => {
            let failed = kind == EventType::AccountAuthFailed;
            let (state, code) = if failed { ("authFailed", "INVALID_CREDENTIALS") } else { ("ok", "OK") };
            let failures = if failed { 5 } else { 0 };
            let words = failed.then_some("535 5.7.8 authentication failed");
            let status =
                json!({"state": state, "errorCode": code, "authFailures": failures, "lastError": words, "since": now});
            vec![("status", status)]
        }
        EventType::FolderReset => {
            vec![("folder", json!({"name": "INBOX", "uidValidity": 2, "previousUidValidity": 1}))]
        }
        EventType::RiskRaised => {
            let text = "The certificate of imap.example.com expires soon: its administrator has to renew it.";
            let (at, code) = (now.plus_seconds(20 * 86_400), RiskCode::CertificateExpiring);
            let severity = Severity::Warning;
            let risk =
                Risk { account: account.clone(), side: "receive", code, severity, at: Some(at), text: text.to_owned() };
            vec![("risk", json!(risk))]
        }
        _ => vec![message],
    };
    let change = Change::Message { before: None, after: None };
    let changed = Changed { tenant: tenant.clone(), at: now, sequence: String::new(), change };
    let (at, key) = (now.to_string(), (!outgoing).then_some("I#1#1"));
    changed.tell(Told { kind, account: &account, key, id: vec!["example", &at], data })
}

/// Written as JSON, because a message has more fields than an example needs.
fn example_message(kind: EventType, outgoing: bool, account: &AccountId, now: Timestamp) -> Value {
    let ours = json!({"name": "Support", "address": "support@example.com"});
    let theirs = json!({"name": "Customer", "address": "customer@example.org"});
    let (from, to) = if outgoing { (ours, theirs) } else { (theirs, ours) };
    let state = match kind {
        EventType::MessageDelayed => "deferred",
        EventType::MessageFailed => "failed",
        EventType::MessageUnknown => "unknown",
        _ if outgoing => "sent",
        _ => "received",
    };
    let reply = match kind {
        EventType::MessageDelayed => json!({"code": 451, "enhanced": "4.7.1", "text": "try again later"}),
        EventType::MessageFailed => json!({"code": 550, "enhanced": "5.1.1", "text": "no such user"}),
        EventType::MessageUnknown => Value::Null,
        _ => json!({"code": 250, "enhanced": "2.0.0", "text": "queued"}),
    };
    let mut message = json!({
        "id": MessageId::derived(&["example"]), "account": account, "direction": "incoming", "folder": "INBOX",
        "subject": "An example", "from": from, "to": [to], "cc": [], "replyTo": [], "date": now, "receivedAt": now,
        "size": 4711, "flags": [], "messageId": "<example@example.org>", "inReplyTo": null,
        "threadId": thread_of("<example@example.org>"), "preview": "", "hasAttachments": false, "attachments": [],
        "sha256": null, "state": state, "correlation": null,
    });
    if outgoing {
        message["direction"] = json!("outgoing");
        message["folder"] = Value::Null;
        let mut recipient = json!({"address": "customer@example.org", "state": state, "attempts": 1});
        if !reply.is_null() {
            recipient["smtp"] = reply;
        }
        message["delivery"] = json!([recipient]);
    }
    if kind == EventType::MessageUpdated {
        message["flags"] = json!(["\\Seen"]);
    }
    message
}
