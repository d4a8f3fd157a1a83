//! In doubt (design decision 6): a message was handed over and the reply was lost. Its copy in the account's own folders
//! tells whether the server took it.
//!
//! **What a copy proves.** We file our own copy only behind a written "sent". So a copy of a message in doubt was made by
//! the server when it took the message, unless an earlier transaction of the same message had succeeded.
//!
//! | the account's mailbox | before this attempt | copy is found | no copy after [`LOOKUPS`] |
//! |---|---|---|---|
//! | IMAP; its server files what it sends (Gmail, Microsoft 365, some others) | nobody was sent to | **sent** | most likely not taken: `onUnknown` |
//! | IMAP; its server files nothing | nobody was sent to | cannot be | says nothing: `onUnknown` |
//! | IMAP, any | somebody was sent to | is the one of then, or ours: says nothing, so nobody looks: `onUnknown` | – |
//! | IMAP, any | the Message-ID is the caller's own | may be another message's, so nobody looks: `onUnknown` | – |
//! | POP3, or none | any | nowhere to look: `onUnknown` | – |
//!
//! Whether an unknown server files what it sends cannot be asked, and in both cases absence ends in `onUnknown`: so there
//! is one way for the first two rows. Servers file late, so the lookups are spaced like delivery attempts (1, 5 and 15
//! minutes). Until the last one the message is `unknown`, and `retry` sends nothing. Where some recipients still wait for
//! another attempt, that comes first, and the doubt is resolved behind it: then by the third row, if it succeeds.
//!
//! A lookup that cannot be made (no login, no such folder) counts as one that found nothing; `resolution` says why.
//! Where no further attempt may be made (the message is too old, or its caller was told by now), `retry` is `hold`.

use super::follow_up::{Mailbox, Setback, has_imap};
use super::send::verdicts::{given_up, summary};
use crate::mail::Deadline;
use crate::mail::imap::places;
use crate::model::follow_up::{Copy, CopyState, Resolution, ResolutionState};
use crate::model::send::{OnUnknown, Recipient, RecipientState};
use crate::model::{Account, SendState, Timestamp};
use crate::settings::Settings;
use crate::store::OutgoingRow;

/// How often a copy is looked for.
const LOOKUPS: u32 = 3;

/// Decides on recipients that are in doubt, before the outcome is written. `Some`: the doubt is new. While its copy is
/// being looked for they stay unknown; where that is no use, they get what `onUnknown` says.
pub fn decide(
    account: Option<&Account>,
    row: &OutgoingRow,
    recipients: &mut [Recipient],
    settings: &Settings,
    now: Timestamp,
) -> Option<Resolution> {
    let any = |state| recipients.iter().any(|recipient| recipient.state == state);
    let waiting = any(RecipientState::Queued) || any(RecipientState::Deferred);
    if waiting || !any(RecipientState::Unknown) {
        return None;
    }
    let reason = match account.filter(|account| has_imap(account)) {
        None => "there is no IMAP mailbox to look for its copy in",
        Some(_) if any(RecipientState::Sent) || row.after.copy.is_some() => {
            "an earlier attempt had left a copy: finding one would prove nothing"
        }
        Some(_) if !row.message_id.contains(row.id.as_str()) => {
            "its Message-ID is the caller's own: another message may have it"
        }
        Some(_) => {
            let state = ResolutionState::Searching;
            return Some(Resolution { state, lookups: 0, folder: None, error: None, at: now });
        }
    };
    apply(row, recipients, settings, now);
    let (state, error) = (ResolutionState::Impossible, Some(reason.to_owned()));
    Some(Resolution { state, lookups: 0, folder: None, error, at: now })
}

/// One lookup; true: there will be another one.
pub(super) async fn step(mailbox: &mut Mailbox<'_>, row: &mut OutgoingRow, lookups: u32, deadline: Deadline) -> bool {
    let found = look(mailbox, &row.message_id, deadline).await;
    let now = Timestamp::now();
    let (folder, error) = match found {
        Ok(folder) => (folder, None),
        Err(setback) => (None, Some(setback.words)),
    };
    let state = match (&folder, lookups) {
        (Some(_), _) => ResolutionState::Found,
        (None, lookups) if lookups < LOOKUPS => ResolutionState::Searching,
        (None, _) => ResolutionState::NotFound,
    };
    match state {
        ResolutionState::Found => {
            for recipient in row.recipients.iter_mut().filter(|recipient| recipient.state == RecipientState::Unknown) {
                recipient.state = RecipientState::Sent;
                (recipient.error, recipient.phase) = (None, None);
            }
            row.sent_at = row.sent_at.or(Some(now));
        }
        ResolutionState::NotFound => apply(&row.clone(), &mut row.recipients, &mailbox.tools.settings, now),
        ResolutionState::Searching | ResolutionState::Impossible => {}
    }
    row.state = summary(&row.recipients);
    let again = state == ResolutionState::Searching;
    if !again {
        tracing::info!(event = "message.resolved", id = %row.id, ?state, lookups, now = ?row.state, "a doubt is over");
    }
    if let (ResolutionState::Found, Some(folder)) = (state, &folder) {
        row.after.copy = Some(Copy { folder: Some(folder.clone()), ..Copy::of(CopyState::Found) });
    }
    row.after.resolution = Some(Resolution { state, lookups, folder, error, at: now });
    again
}

/// Ends the lookups of a message whose account is gone.
pub(super) fn abandon(row: &mut OutgoingRow, settings: &Settings, now: Timestamp) {
    let lookups = row.follow_up.unwrap_or_default();
    if row.state == SendState::Unknown {
        apply(&row.clone(), &mut row.recipients, settings, now);
        row.state = summary(&row.recipients);
        let (state, error) = (ResolutionState::Impossible, Some("the account was deleted".to_owned()));
        row.after.resolution = Some(Resolution { state, lookups, folder: None, error, at: now });
    }
}

/// Looks for the copy where servers put it: All Mail (RFC 6154 §2, `\All`) and Sent.
async fn look(mailbox: &mut Mailbox<'_>, message_id: &str, deadline: Deadline) -> Result<Option<String>, Setback> {
    let open = mailbox.open(deadline).await?;
    let (all, sent) = (places::all(&open.folders), places::sent(&open.folders));
    let names: Vec<String> = [all, sent].into_iter().flatten().map(|folder| folder.name.clone()).collect();
    if names.is_empty() {
        return Err(Setback::lasting("the mailbox has no folder in which servers file what they send"));
    }
    for name in names {
        let client = &mut open.client;
        let searched = async {
            client.examine(&name).await?;
            client.search_message_id(message_id).await
        };
        match searched.await {
            Ok(uids) if uids.is_empty() => {}
            Ok(_) => return Ok(Some(name)),
            Err(error) => return Err(mailbox.failed(error)),
        }
    }
    Ok(None)
}

/// Does what `onUnknown` says with those who are in doubt.
fn apply(row: &OutgoingRow, recipients: &mut [Recipient], settings: &Settings, now: Timestamp) {
    let state = match row.on_unknown {
        OnUnknown::Retry if given_up(row, settings, now).is_none() => RecipientState::Deferred,
        OnUnknown::Hold | OnUnknown::Retry => RecipientState::Unknown,
        OnUnknown::Fail => RecipientState::Failed,
    };
    recipients
        .iter_mut()
        .filter(|recipient| recipient.state == RecipientState::Unknown)
        .for_each(|recipient| recipient.state = state);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AccountId;
    use crate::model::account::AccountInput;

    fn settings() -> Settings {
        let value = |name: &str| match name {
            "HALFPENNY_EXPIRE_SECONDS" => "3600",
            name if name.ends_with("_SECONDS") => "7",
            "HALFPENNY_ROOT_TOKEN_SHA256" => "",
            _ => "x",
        };
        Settings::read(|name| Some(value(name).to_owned())).unwrap()
    }

    fn account(protocol: &str) -> Account {
        let server = serde_json::json!({"host": "mail.example.com", "port": 993, "security": "tls", "protocol": protocol,
            "auth": {"type": "password", "username": "u", "password": "p"}});
        let input = serde_json::json!({"from": "a@example.com", "receive": server});
        let input: AccountInput = serde_json::from_value(input).unwrap();
        input.check(AccountId::new("box").unwrap(), 60, Timestamp(0)).unwrap().0
    }

    fn row(on_unknown: &str, states: &[&str]) -> OutgoingRow {
        let recipient = |state: &&str| serde_json::json!({"address": "b@example.com", "state": state, "attempts": 1});
        let recipients: Vec<_> = states.iter().map(recipient).collect();
        serde_json::from_value(serde_json::json!({
            "id": "80".repeat(16), "account": "box", "state": "sending", "fence": 1, "attempt": "mine", "due": 0,
            "fingerprint": "f", "body": "item", "messageId": format!("<{}@x>", "80".repeat(16)), "from": {"address": "a@example.com"},
            "recipients": recipients, "attempts": 1, "size": 1, "createdAt": "1970-01-01T00:00:00Z",
            "onUnknown": on_unknown,
        }))
        .unwrap()
    }

    /// What is decided at once, and what the recipients are then.
    fn decided(
        account: Option<&Account>,
        row: &OutgoingRow,
        now: i64,
    ) -> (Option<ResolutionState>, Vec<RecipientState>) {
        let mut recipients = row.recipients.clone();
        let now = Timestamp(0).plus_seconds(now);
        let resolution = decide(account, row, &mut recipients, &settings(), now);
        (resolution.map(|one| one.state), recipients.iter().map(|one| one.state).collect())
    }

    #[test]
    fn the_table_above() {
        use RecipientState::{Deferred, Failed, Sent, Unknown};
        use ResolutionState::{Impossible, Searching};
        let (imap, pop3) = (account("imap"), account("pop3"));
        let unknown = ["unknown", "failed"];
        for policy in ["hold", "retry", "fail"] {
            let row = row(policy, &unknown);
            assert_eq!(decided(Some(&imap), &row, 0), (Some(Searching), vec![Unknown, Failed]), "{policy}");
        }
        for nowhere in [Some(&pop3), None] {
            let decided = |policy| decided(nowhere, &row(policy, &unknown), 0);
            assert_eq!(decided("hold"), (Some(Impossible), vec![Unknown, Failed]));
            assert_eq!(decided("retry"), (Some(Impossible), vec![Deferred, Failed]));
            assert_eq!(decided("fail"), (Some(Impossible), vec![Failed, Failed]));
        }
        let sent_before = row("retry", &["sent", "unknown"]);
        assert_eq!(
            decided(Some(&imap), &sent_before, 0),
            (Some(Impossible), vec![Sent, Deferred]),
            "a copy proves nothing"
        );
        let mut given = row("fail", &["unknown"]);
        given.message_id = "<given@example.com>".to_owned();
        assert_eq!(decided(Some(&imap), &given, 0), (Some(Impossible), vec![Failed]), "anybody may have used it");
        let mut copied = row("fail", &["unknown"]);
        copied.after.copy = Some(Copy::of(CopyState::Stored));
        assert_eq!(decided(Some(&imap), &copied, 0), (Some(Impossible), vec![Failed]));
    }

    #[test]
    fn who_still_waits_comes_first_and_what_is_too_old_is_held() {
        use RecipientState::{Deferred, Sent, Unknown};
        let imap = account("imap");
        let waits = row("retry", &["unknown", "deferred"]);
        assert_eq!(decided(Some(&imap), &waits, 0), (None, vec![Unknown, Deferred]));
        assert_eq!(decided(Some(&imap), &row("retry", &["sent"]), 0), (None, vec![Sent]), "nothing is in doubt");
        let late = decided(None, &row("retry", &["unknown"]), 3600);
        assert_eq!(late, (Some(ResolutionState::Impossible), vec![Unknown]));
        let mut once = row("retry", &["unknown"]);
        once.once = true;
        assert_eq!(decided(None, &once, 0).1, [Unknown], "its caller was told by now");
    }
}
